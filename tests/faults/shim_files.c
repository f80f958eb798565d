/* shim_files.c - libc's calls that use the kernel for the caller: streams, the lists of users and groups, libraries. */
#include "shim.h"

#include <dlfcn.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

/* glibc's own, what ferror() looks at. */
#define STREAM_FAILED 0x20

/* Return: shall a call fail? Then errno is set. */
static bool fails(const char *name, const int errors[SHIM_KINDS])
{
    int error = shim_fails(name, errors);

    if (error != 0)
        errno = error;
    return error != 0;
}

/* Reading from a stream or writing to it failed, as one sees by ferror(). */
static bool stream_fails(const char *name, FILE *stream, const int errors[SHIM_KINDS])
{
    bool failed = fails(name, errors);

    if (failed)
        stream->_flags |= STREAM_FAILED;
    return failed;
}

static const int reading[SHIM_KINDS] = {ENOMEM, EINTR, EIO}, writing[SHIM_KINDS] = {ENOSPC, EINTR, EIO},
                 listing[SHIM_KINDS] = {EMFILE, EINTR, EIO};

#define NEXT(name)                                                                                                     \
    static __typeof__(name) *next;                                                                                     \
    if (next == NULL)                                                                                                  \
    next = shim_next(#name)

/* getline() as it is compiled. */
SHIM_EXPORT ssize_t __getdelim(char **line, size_t *size, int delimiter, FILE *stream);
SHIM_EXPORT ssize_t __getdelim(char **line, size_t *size, int delimiter, FILE *stream)
{
    NEXT(__getdelim);
    return stream_fails("getline", stream, reading) ? -1 : next(line, size, delimiter, stream);
}

#undef fgets
SHIM_EXPORT char *fgets(char *to, int size, FILE *stream)
{
    NEXT(fgets);
    return stream_fails("fgets", stream, reading) ? NULL : next(to, size, stream);
}

#undef fwrite
SHIM_EXPORT size_t fwrite(const void *bytes, size_t size, size_t count, FILE *stream)
{
    NEXT(fwrite);
    return stream_fails("fwrite", stream, writing) ? 0 : next(bytes, size, count, stream);
}

SHIM_EXPORT int fflush(FILE *stream)
{
    NEXT(fflush);
    return stream != NULL && stream_fails("fflush", stream, writing) ? EOF : next(stream);
}

/* It is closed even so. */
SHIM_EXPORT int fclose(FILE *stream)
{
    bool failed = fails("fclose", writing);
    int error = errno, result;

    NEXT(fclose);
    result = next(stream);
    if (failed)
        errno = error;
    return failed ? EOF : result;
}

SHIM_EXPORT struct passwd *fgetpwent(FILE *stream)
{
    NEXT(fgetpwent);
    return stream_fails("fgetpwent", stream, reading) ? NULL : next(stream);
}

SHIM_EXPORT struct group *fgetgrent(FILE *stream)
{
    NEXT(fgetgrent);
    return stream_fails("fgetgrent", stream, reading) ? NULL : next(stream);
}

SHIM_EXPORT struct passwd *getpwnam(const char *name)
{
    NEXT(getpwnam);
    return fails("getpwnam", listing) ? NULL : next(name);
}

SHIM_EXPORT struct passwd *getpwuid(uid_t user)
{
    NEXT(getpwuid);
    return fails("getpwuid", listing) ? NULL : next(user);
}

SHIM_EXPORT struct group *getgrnam(const char *name)
{
    NEXT(getgrnam);
    return fails("getgrnam", listing) ? NULL : next(name);
}

SHIM_EXPORT void *dlopen(const char *path, int how)
{
    NEXT(dlopen);
    return fails("dlopen", (const int[SHIM_KINDS]){ENOMEM, 0, EACCES}) ? NULL : next(path, how);
}
