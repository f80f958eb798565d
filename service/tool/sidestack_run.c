/*
 * sidestack_run.c - sidestack run: start a program with libintercept.so in it.
 */
#include "option.h"
#include "sidestack.h"

#include "service/control_path.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PATH_BYTES 4096

/* Put library first in LD_PRELOAD and keep what is there. Return: 0 or -errno. */
static int set_preload(const char *library)
{
    const char *old = getenv("LD_PRELOAD");
    char *value;
    int error = 0;

    /* The dynamic linker splits the value at spaces and colons, and has no way to quote them. */
    if (strpbrk(library, ": ") != NULL)
        return -EINVAL;
    if (old == NULL || *old == '\0')
        return setenv("LD_PRELOAD", library, 1) < 0 ? -errno : 0;
    if (strstr(old, library) != NULL)
        return 0;
    if (asprintf(&value, "%s:%s", library, old) < 0)
        return -ENOMEM;
    if (setenv("LD_PRELOAD", value, 1) < 0)
        error = -errno;
    free(value);
    return error;
}

/* Does a service listen at path? Return: 0 or -errno. */
static int check_service(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int error = 0;
    int fd;

    if (strlen(path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        error = -errno;
    close(fd);
    return error;
}

static const char usage[] =
    "usage: sidestack run [OPTION...] [--] PROGRAM [ARGUMENT...]\n"
    "Runs PROGRAM with its Internet sockets on the TCP/IP stack of a running sidestackd. With SIDESTACK_TRACE=1 in the environment\n"
    "each socket call is printed on standard error.\n"
    "\n"
    ASK_HELP
    "      --help          this text\n";

/* Print a message. Return: SIDESTACK_EXIT_USAGE. */
static int fail(const char *what, const char *detail, int error)
{
    fprintf(stderr, "sidestack run: %s%s%s%s%s\n", what, detail ? ": " : "", detail ? detail : "", error ? ": " : "",
            error ? strerror(-error) : "");
    return SIDESTACK_EXIT_USAGE;
}

/* Set the environment by which the library finds its service, and see whether it is there. Return: 0 or an exit status.
 */
static int choose_service(const char *name, const char *socket_path)
{
    char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
    int error;

    if (socket_path != NULL) {
        /* The program may change its directory. */
        char *absolute = realpath(socket_path, NULL);

        if (absolute == NULL)
            return fail("no service", socket_path, -errno);
        error = setenv("SIDESTACK_SOCKET", absolute, 1) < 0 ? -errno : 0;
        free(absolute);
    } else if (name != NULL) {
        error = setenv("SIDESTACK_NAME", name, 1) < 0 || unsetenv("SIDESTACK_SOCKET") < 0 ? -errno : 0;
    } else {
        error = 0;
    }
    if (error == 0)
        error = control_path_from_environment(path, sizeof path);
    if (error < 0)
        return fail("can't tell where the service is", name, error);
    error = check_service(path);
    return error < 0 ? fail("no service (is sidestackd running?)", path, error) : 0;
}

int sidestack_run(int argc, char **argv)
{
    static const struct option options[] = {
        {"stack", required_argument, NULL, 'n'}, {"name", required_argument, NULL, 'n'}, {"socket", required_argument, NULL, 's'}, TOOL_OPTIONS_END};
    const struct tool_options tool = {"sidestack run", usage, "+", options, NULL};
    const char *name = NULL;
    const char *socket_path = NULL;
    char path[PATH_BYTES];
    char message[PATH_BYTES + 128];
    int option, status;
    int error;

    while ((option = tool_next_option(&tool, argc, argv, &status)) != -1) {
        switch (option) {
        case 'n':
            name = optarg;
            break;
        case 's':
            socket_path = optarg;
            break;
        default:
            return status;
        }
    }
    if (optind == argc)
        return fail("no program given (sidestack run --help)", NULL, 0);

    error = sidestack_find_program(argv[optind], path, sizeof path);
    if (error == 0)
        error = sidestack_check_program(path, message, sizeof message);
    if (error == -ENOEXEC) {
        fprintf(stderr, "sidestack run: %s\n", message);
        return SIDESTACK_EXIT_CANNOT;
    }
    if (error < 0) {
        fail(argv[optind], NULL, error);
        return error == -ENOENT ? SIDESTACK_EXIT_MISSING : SIDESTACK_EXIT_CANNOT;
    }
    error = choose_service(name, socket_path);
    if (error != 0)
        return error;
    error = sidestack_find_installed("libintercept.so", path, sizeof path);
    if (error == 0)
        error = set_preload(path);
    if (error < 0)
        return fail("libintercept.so", path, error);
    execvp(argv[optind], argv + optind);
    error = errno;
    fail(argv[optind], NULL, -error);
    return error == ENOENT ? SIDESTACK_EXIT_MISSING : SIDESTACK_EXIT_CANNOT;
}
