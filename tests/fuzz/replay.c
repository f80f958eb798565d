/* replay.c - gives a target each file of a directory, or each file, that it is called with: for compilers without
 * libFuzzer. */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static unsigned count;

/* Give the target a file's content, in memory that ends where the content does. Return: false when it can't be read. */
static bool replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = NULL;
    struct stat status;
    bool good = false;

    if (file != NULL && fstat(fileno(file), &status) == 0) {
        bytes = malloc((size_t)status.st_size);
        good = (bytes != NULL || status.st_size == 0) && fread(bytes, 1, (size_t)status.st_size, file) == (size_t)status.st_size;
    }
    if (file != NULL)
        fclose(file);
    if (!good) {
        perror(path);
    } else {
        if (getenv("VERBOSE") != NULL)
            fprintf(stderr, "%s\n", path);
        LLVMFuzzerTestOneInput(bytes, (size_t)status.st_size);
        count++;
    }
    free(bytes);
    return good;
}

static bool replay(const char *path)
{
    struct dirent **names;
    int found = scandir(path, &names, NULL, alphasort);
    bool good = true;

    if (found < 0)
        return replay_file(path);
    for (int i = 0; i < found; i++) {
        char file[4096];

        snprintf(file, sizeof file, "%s/%s", path, names[i]->d_name);
        if (names[i]->d_name[0] != '.' && !replay_file(file))
            good = false;
        free(names[i]);
    }
    free(names);
    return good;
}

int main(int argc, char **argv)
{
    bool good = argc > 1;

    for (int i = 1; i < argc; i++)
        good = replay(argv[i]) && good;
    printf("%u inputs\n", count);
    return good && count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
