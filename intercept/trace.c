/*
 * trace.c - prints each hooked call on our sockets, strace-like.
 *
 * Runs wherever the program calls a socket function: in signal handlers, after fork, inside malloc. So a line is put
 * together on the stack, without stdio, and leaves with one write(2).
 */
#include "trace.h"

#include "address.h"
#include "descriptor.h"
#include "libc.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_BYTES 512

bool trace_is_on;

struct line {
    char text[LINE_BYTES];
    size_t length;
};

static void put_char(struct line *line, char c)
{
    if (line->length < sizeof line->text - 1) /* the last one is for the newline */
        line->text[line->length++] = c;
}

static void put_string(struct line *line, const char *text)
{
    while (*text != '\0')
        put_char(line, *text++);
}

static void put_number(struct line *line, uint64_t value, unsigned base)
{
    char digits[20];
    size_t count = 0;

    do {
        digits[count++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    while (count > 0)
        put_char(line, digits[--count]);
}

static void put_signed(struct line *line, int64_t value)
{
    if (value < 0)
        put_char(line, '-');
    put_number(line, value < 0 ? -(uint64_t)value : (uint64_t)value, 10);
}

static void put_hexadecimal(struct line *line, uint64_t value)
{
    put_string(line, "0x");
    put_number(line, value, 16);
}

/* All eight numbers: shorter ways to write an IPv6 address are for people who have the time. */
static void put_address6(struct line *line, const struct sockaddr_in6 *in6)
{
    put_char(line, '[');
    for (int i = 0; i < 8; i++) {
        put_number(line, ntohs(in6->sin6_addr.s6_addr16[i]), 16);
        put_string(line, i < 7 ? ":" : "]:");
    }
    put_number(line, ntohs(in6->sin6_port), 10);
}

static void put_address(struct line *line, const struct sockaddr *address, socklen_t length)
{
    struct protocol_address copy;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    const uint8_t *bytes = (const uint8_t *)&in.sin_addr;

    if (address == NULL || address_copy_in(&copy, address, length) < 0 || copy.length < sizeof in) {
        put_hexadecimal(line, (uintptr_t)address);
        return;
    }
    memcpy(&in, copy.bytes, sizeof in);
    if (in.sin_family == AF_INET6 && copy.length >= sizeof in6) {
        memcpy(&in6, copy.bytes, sizeof in6);
        put_address6(line, &in6);
        return;
    }
    if (in.sin_family != AF_INET) {
        put_string(line, "{family ");
        put_number(line, in.sin_family, 10);
        put_char(line, '}');
        return;
    }
    for (int i = 0; i < 4; i++) {
        put_number(line, bytes[i], 10);
        put_char(line, i < 3 ? '.' : ':');
    }
    put_number(line, ntohs(in.sin_port), 10);
}

static void put_level(struct line *line, int level)
{
    switch (level) {
    case SOL_SOCKET:
        put_string(line, "SOL_SOCKET");
        break;
    case IPPROTO_IP:
        put_string(line, "IPPROTO_IP");
        break;
    case IPPROTO_TCP:
        put_string(line, "IPPROTO_TCP");
        break;
    default:
        put_signed(line, level);
    }
}

static void put_message_flags(struct line *line, int flags)
{
    static const struct {
        int flag;
        const char *name;
    } names[] = {
        {MSG_OOB, "MSG_OOB"},         {MSG_PEEK, "MSG_PEEK"},         {MSG_TRUNC, "MSG_TRUNC"},
        {MSG_WAITALL, "MSG_WAITALL"}, {MSG_DONTWAIT, "MSG_DONTWAIT"}, {MSG_NOSIGNAL, "MSG_NOSIGNAL"},
        {MSG_MORE, "MSG_MORE"},       {MSG_ERRQUEUE, "MSG_ERRQUEUE"}, {MSG_CMSG_CLOEXEC, "MSG_CMSG_CLOEXEC"},
    };
    bool is_first = true;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (flags & names[i].flag) {
            if (!is_first)
                put_char(line, '|');
            put_string(line, names[i].name);
            flags &= ~names[i].flag;
            is_first = false;
        }
    if (flags != 0 || is_first) {
        if (!is_first)
            put_char(line, '|');
        put_hexadecimal(line, (unsigned)flags);
    }
}

static void put_arguments(struct line *line, const char *format, va_list arguments)
{
    for (; *format != '\0'; format++) {
        const struct sockaddr *address;
        const char *text;

        if (*format != '%') {
            put_char(line, *format);
            continue;
        }
        switch (*++format) {
        case 'd':
            put_signed(line, va_arg(arguments, int));
            break;
        case 'x':
            put_hexadecimal(line, va_arg(arguments, unsigned));
            break;
        case 'u':
            put_number(line, va_arg(arguments, size_t), 10);
            break;
        case 'p':
            put_hexadecimal(line, (uintptr_t)va_arg(arguments, const void *));
            break;
        case 's':
            text = va_arg(arguments, const char *);
            put_string(line, text ? text : "NULL");
            break;
        case 'l':
            put_level(line, va_arg(arguments, int));
            break;
        case 'm':
            put_message_flags(line, va_arg(arguments, int));
            break;
        case 'a':
            address = va_arg(arguments, const struct sockaddr *);
            put_address(line, address, va_arg(arguments, socklen_t));
            break;
        default:
            put_char(line, *format);
        }
    }
}

void trace_print(const char *name, int64_t result, const char *format, ...)
{
    int saved_errno = errno;
    struct line line = {.length = 0};
    va_list arguments;

    if (!descriptor_is_foreign(STDERR_FILENO)) /* a socket on descriptor 2 gets no line of ours into its stream */
        return;
    put_string(&line, "sidestack[");
    put_signed(&line, getpid());
    put_string(&line, "] ");
    put_string(&line, name);
    put_char(&line, '(');
    va_start(arguments, format);
    put_arguments(&line, format, arguments);
    va_end(arguments);
    put_string(&line, ") = ");
    if (result >= 0) {
        put_signed(&line, result);
    } else {
        const char *error = strerrorname_np((int)-result);

        put_string(&line, "-1 ");
        put_string(&line, error ? error : "?");
    }
    line.text[line.length++] = '\n';
    (void)!libc_write(STDERR_FILENO, line.text, line.length);
    errno = saved_errno;
}

void trace_start(void)
{
    const char *value = getenv("SIDESTACK_TRACE");

    trace_is_on = value != NULL && *value != '\0' && strcmp(value, "0") != 0;
}
