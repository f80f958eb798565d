/*
 * sidestack_check.c - can a preload reach this program?
 *
 * The dynamic linker loads a preload into a program that it links, and only when the program runs with the rights of
 * the one who starts it. So three kinds are beyond our reach: static programs (no PT_INTERP), programs of another class
 * or machine than the library, and those that gain rights (set-uid, set-gid, file capabilities).
 */
#include "sidestack.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define SCRIPT_DEPTH_MAX    5 /* the kernel's BINPRM limit is about that */
#define PROGRAM_HEADERS_MAX 256
#define PATH_BYTES          4096

/* What we are ourselves, and so the library. */
#if defined(__x86_64__)
#define OWN_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define OWN_MACHINE EM_AARCH64
#else
#error "which machine?"
#endif

/* Is this 64-bit ELF program dynamically linked? */
static bool has_interpreter(int fd, const Elf64_Ehdr *header)
{
    for (unsigned i = 0; i < header->e_phnum && i < PROGRAM_HEADERS_MAX; i++) {
        Elf64_Phdr segment;
        off_t offset = (off_t)(header->e_phoff + i * (Elf64_Off)header->e_phentsize);

        if (pread(fd, &segment, sizeof segment, offset) != sizeof segment)
            return false;
        if (segment.p_type == PT_INTERP)
            return true;
    }
    return false;
}

/* Does running the open file fd give rights? Return: what does, or NULL. */
static const char *gains_rights(int fd, const struct stat *status)
{
    if ((status->st_mode & S_ISUID) && status->st_uid != geteuid())
        return "it is set-uid";
    if ((status->st_mode & S_ISGID) && (status->st_mode & S_IXGRP) && status->st_gid != getegid())
        return "it is set-gid";
    if (fgetxattr(fd, "security.capability", NULL, 0) > 0 && geteuid() != 0)
        return "it has file capabilities";
    return NULL;
}

/* The interpreter that a script's first line names. Return: 0, or -ENOEXEC when there is none. */
static int script_interpreter(char *line, const char **interpreter)
{
    line += strspn(line, " \t");
    line[strcspn(line, " \t\n")] = '\0';
    *interpreter = line;
    return *line != '\0' ? 0 : -ENOEXEC;
}

/* Judge one file. Return: as sidestack_check_program(), or 1 with the interpreter to judge next in path. */
static int check_file(char *path, size_t path_size, char *message, size_t size)
{
    union {
        Elf64_Ehdr elf;
        char text[256]; /* the kernel's BINPRM_BUF_SIZE */
    } head;
    const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    const char *reason = NULL;
    const char *interpreter;
    struct stat status;
    ssize_t length;
    int result = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return errno == EACCES ? 0 : -errno; /* executable, not readable: exec will tell */
    memset(&head, 0, sizeof head);
    length = pread(fd, &head, sizeof head - 1, 0);
    if (length < 0 || fstat(fd, &status) < 0) {
        result = -errno;
        goto out;
    }
    if (length >= 2 && memcmp(head.text, "#!", 2) == 0) {
        result = script_interpreter(head.text + 2, &interpreter);
        if (result == 0) {
            snprintf(path, path_size, "%s", interpreter);
            result = 1;
        }
        goto out;
    }
    if ((size_t)length < sizeof head.elf || memcmp(head.elf.e_ident, ELFMAG, SELFMAG) != 0)
        goto out; /* a script without a first line, or something that exec refuses: a shell runs it */
    if (head.elf.e_ident[EI_CLASS] != ELFCLASS64 || head.elf.e_machine != OWN_MACHINE)
        reason = "it was built for another machine than libintercept.so";
    else if (!has_interpreter(fd, &head.elf))
        reason = "it is statically linked";
    else
        reason = gains_rights(fd, &status);
    if (reason != NULL) {
        snprintf(message, size, "%s: a preloaded library can't reach it, because %s", name, reason);
        result = -ENOEXEC;
    }
out:
    close(fd);
    return result;
}

int sidestack_check_program(const char *path, char *message, size_t size)
{
    char current[PATH_BYTES];
    int result = 1;

    if (strlen(path) >= sizeof current)
        return -ENAMETOOLONG;
    strcpy(current, path);
    for (int depth = 0; depth < SCRIPT_DEPTH_MAX && result == 1; depth++)
        result = check_file(current, sizeof current, message, size);
    return result == 1 ? -ELOOP : result;
}

/* Is this an executable file? Return: 0 or -errno. */
static int check_executable(const char *path)
{
    struct stat status;

    if (stat(path, &status) < 0)
        return -errno;
    if (!S_ISREG(status.st_mode) || access(path, X_OK) < 0)
        return -EACCES;
    return 0;
}

int sidestack_find_program(const char *name, char *path, size_t size)
{
    const char *directories = getenv("PATH");
    int error = -ENOENT;

    if (*name == '\0')
        return -ENOENT;
    if (strchr(name, '/') != NULL) {
        if ((size_t)snprintf(path, size, "%s", name) >= size)
            return -ENAMETOOLONG;
        return check_executable(path);
    }
    if (directories == NULL)
        directories = "/usr/local/bin:/usr/bin:/bin";
    for (;;) {
        size_t length = strcspn(directories, ":");
        int written = snprintf(path, size, "%.*s%s%s", (int)length, directories, length > 0 ? "/" : "", name);
        int result = written > 0 && (size_t)written < size ? check_executable(path) : -ENOENT;

        if (result == 0)
            return 0;
        if (result == -EACCES)
            error = result;
        if (directories[length] == '\0')
            return error;
        directories += length + 1;
    }
}
