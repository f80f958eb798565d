/* program_outcome.c - what program.c says of calls and of bytes: which errors are to be expected, and what is the end. */
#include "program.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

const char *step;

void end(const char *why)
{
    printf("%s WRONG: %s\n", step, why);
    fflush(stdout);
    _exit(1);
}

/* May a call fail so, when something is short, interrupted or broken? */
static bool is_known(const char *call, int error)
{
    static const int everywhere[] = {EMFILE, ENFILE, ENOMEM, ENOBUFS, ENETDOWN, EINTR, EAGAIN};
    static const int broken[] = {ECONNRESET, EPIPE, ETIMEDOUT, ECONNABORTED, EIO, ENOTCONN};
    static const int connecting[] = {ECONNREFUSED, ETIMEDOUT,     ECONNABORTED, ENETUNREACH,
                                     EHOSTUNREACH, EADDRNOTAVAIL, ECONNRESET,   EADDRINUSE};

    for (size_t i = 0; i < sizeof everywhere / sizeof *everywhere; i++)
        if (error == everywhere[i])
            return true;
    if (strcmp(call, "connect") == 0)
        for (size_t i = 0; i < sizeof connecting / sizeof *connecting; i++)
            if (error == connecting[i])
                return true;
    if (strcmp(call, "sendmsg") == 0 && error == ETOOMANYREFS) /* unix(7) */
        return true;
    if (strcmp(call, "accept") == 0 && (error == ECONNABORTED || error == EPROTO))
        return true;
    if (strcmp(call, "bind") == 0 || strcmp(call, "listen") == 0)
        return error == EADDRINUSE;
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
        if (error == broken[i])
            return true;
    return false;
}

bool good(const char *call, long result)
{
    char why[100];

    if (result >= 0)
        return true;
    printf("%s %s %s\n", step, call, strerrorname_np(errno));
    if (!is_known(call, errno)) {
        snprintf(why, sizeof why, "%s gives %s", call, strerrorname_np(errno));
        end(why);
    }
    return false;
}

static uint8_t pattern(size_t at)
{
    return (uint8_t)(at * 2654435761u >> 13);
}

void fill(uint8_t *bytes, size_t size, size_t from)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = pattern(from + i);
}

void check(const uint8_t *bytes, size_t size, size_t from)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != pattern(from + i))
            end("a byte is wrong");
}
