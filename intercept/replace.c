/*
 * replace.c - a new descriptor in the place of a pair that is used up, or that was the wrong thing.
 *
 * A pair can fail only once; a socket can be connected again after each failure. So a program that does that has a new
 * pair put where the old one was. And a socket that the rules send to the kernel's network becomes one of the kernel's
 * (host.c). Both happen on every number of this process that means the old one, with the flags and options
 * that it had, and in every epoll set of this process that held it. What there is of both is read from /proc, so
 * nothing has to be kept in mind for this rare case.
 * DIFFERS: duplicates in other processes keep the dead pair (docs/differences.md).
 */
#include "replace.h"

#include "descriptor.h"
#include "libc.h"
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define REGISTRATIONS_MAX      32
#define NUMBER_BYTES           24 /* holds any decimal number, and "socket:[", "]" with one */
#define DESCRIPTORS            "/proc/self/fd"
#define DESCRIPTOR_INFORMATION "/proc/self/fdinfo/"

/* fd in an epoll set. */
struct registration {
    int epoll_fd;
    int fd;
    struct epoll_event event;
};

struct replacement {
    int new_fd;
    enum descriptor_kind new_kind;
    ino_t old_inode;
    struct registration registrations[REGISTRATIONS_MAX];
    int registration_count;
};

/* What getdents64(2) gives. */
struct directory_entry {
    uint64_t inode;
    int64_t offset;
    uint16_t length;
    uint8_t type;
    char name[];
};

/* Options that live in the pair. */
static void copy_option(int from, int to, int name)
{
    char value[sizeof(struct timeval)];
    socklen_t length = sizeof value;

    if (libc_getsockopt(from, SOL_SOCKET, name, value, &length) == 0)
        libc_setsockopt(to, SOL_SOCKET, name, value, length);
}

/* Who is told of events (F_SETOWN), and by which signal. */
static void copy_owner(int from, int to)
{
    struct f_owner_ex owner;
    int signal_number = libc_fcntl(from, F_GETSIG, 0);

    if (libc_fcntl(from, F_GETOWN_EX, (long)&owner) == 0 && owner.pid != 0)
        libc_fcntl(to, F_SETOWN_EX, (long)&owner);
    if (signal_number > 0)
        libc_fcntl(to, F_SETSIG, signal_number);
}

static void copy_settings(int from, int to)
{
    int flags = libc_fcntl(from, F_GETFL, 0);

    copy_option(from, to, SO_RCVTIMEO);
    copy_option(from, to, SO_SNDTIMEO);
    copy_option(from, to, SO_RCVLOWAT);
    copy_option(from, to, SO_PEEK_OFF);
    copy_owner(from, to);
    if (flags >= 0)
        libc_fcntl(to, F_SETFL, flags);
}

/* The new socket on the number fd. Return: 0 or -errno. */
static int replace_number(const struct replacement *replacement, int fd)
{
    int flags = libc_fcntl(fd, F_GETFD, 0);
    int result = STATE_RESULT(libc_dup3(replacement->new_fd, fd, flags > 0 && (flags & FD_CLOEXEC) ? O_CLOEXEC : 0));

    if (result < 0)
        return result;
    descriptor_set(fd, replacement->new_kind);
    return 0;
}

/* The number behind a name in text, like "ino:". Return: it, or 0. */
static unsigned long long field(const char *text, const char *name, int base)
{
    const char *at = strstr(text, name);

    return at ? strtoull(at + strlen(name), NULL, base) : 0;
}

/* One line of an epoll set's information: "tfd: 5 events: 19 data: 5 pos:0 ino:61 sdev:5". If it is about the old pair,
 * take it out of the set and note it. */
static void note_registration(struct replacement *replacement, int epoll_fd, const char *line)
{
    struct registration *registration = &replacement->registrations[replacement->registration_count];

    if (strncmp(line, "tfd:", 4) != 0 || field(line, "ino:", 16) != replacement->old_inode ||
        replacement->registration_count == REGISTRATIONS_MAX)
        return;
    registration->epoll_fd = epoll_fd;
    registration->fd = (int)field(line, "tfd:", 10);
    registration->event.events = (uint32_t)field(line, "events:", 16);
    registration->event.data.u64 = field(line, "data:", 16);
    if (epoll_ctl(epoll_fd, EPOLL_CTL_DEL, registration->fd, NULL) == 0)
        replacement->registration_count++;
}

/* Look for the old pair in the epoll set epoll_fd, whose number as text is name. */
static void search_epoll_set(struct replacement *replacement, int epoll_fd, const char *name)
{
    char path[sizeof DESCRIPTOR_INFORMATION + NUMBER_BYTES] = DESCRIPTOR_INFORMATION;
    char text[1024];
    size_t length = 0;
    ssize_t got;
    int fd;

    if (strlen(name) >= NUMBER_BYTES)
        return;
    strcat(path, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    /* A line at a time; the set changes under the reader, but only in lines that it has seen. */
    while ((got = libc_read(fd, text + length, sizeof text - 1 - length)) > 0) {
        char *line = text;
        char *end;

        length += (size_t)got;
        text[length] = '\0';
        for (; (end = strchr(line, '\n')) != NULL; line = end + 1) {
            *end = '\0';
            note_registration(replacement, epoll_fd, line);
        }
        length -= (size_t)(line - text);
        memmove(text, line, length);
        if (length == sizeof text - 1)
            break; /* no such line exists */
    }
    libc_close(fd);
}

/* Is the number, as text, a link to what? */
static bool links_to(int directory, const char *name, const char *what)
{
    char link[sizeof "socket:[]" + NUMBER_BYTES];
    ssize_t length = readlinkat(directory, name, link, sizeof link);

    return length > 0 && (size_t)length == strlen(what) && memcmp(link, what, (size_t)length) == 0;
}

/* Call visit for each descriptor of this process whose link is what. */
static void for_each_descriptor(struct replacement *replacement, const char *what,
                                void (*visit)(struct replacement *replacement, int fd, const char *name))
{
    _Alignas(struct directory_entry) char buffer[1024];
    int directory = open(DESCRIPTORS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long length;

    if (directory < 0)
        return;
    while ((length = libc_syscall(SYS_getdents64, directory, (long)buffer, sizeof buffer, 0, 0, 0)) > 0) {
        const struct directory_entry *entry;

        for (long at = 0; at < length; at += entry->length) {
            entry = (const struct directory_entry *)(buffer + at);
            if (entry->name[0] >= '0' && entry->name[0] <= '9' && links_to(directory, entry->name, what))
                visit(replacement, atoi(entry->name), entry->name);
        }
    }
    libc_close(directory);
}

static void visit_epoll_set(struct replacement *replacement, int fd, const char *name)
{
    search_epoll_set(replacement, fd, name);
}

static void visit_duplicate(struct replacement *replacement, int fd, const char *name)
{
    (void)name;
    (void)replace_number(replacement, fd);
}

/* The link text of the socket with this inode. */
static void socket_link(char *out, ino_t inode)
{
    char digits[NUMBER_BYTES];
    size_t count = 0;

    do {
        digits[count++] = (char)('0' + inode % 10);
        inode /= 10;
    } while (inode != 0);
    out = stpcpy(out, "socket:[");
    while (count > 0)
        *out++ = digits[--count];
    strcpy(out, "]");
}

int replace_socket(int fd, int new_fd, enum descriptor_kind kind)
{
    struct replacement replacement = {.new_fd = new_fd, .new_kind = kind, .registration_count = 0};
    char link[sizeof "socket:[]" + NUMBER_BYTES];
    struct stat status;
    int result;
    int state;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    copy_settings(fd, new_fd);
    if (fstat(fd, &status) == 0) {
        replacement.old_inode = status.st_ino;
        socket_link(link, status.st_ino);
        for_each_descriptor(&replacement, "anon_inode:[eventpoll]", visit_epoll_set);
        for_each_descriptor(&replacement, link, visit_duplicate);
    }
    result = replace_number(&replacement, fd); /* again: there may be no /proc */
    libc_close(new_fd);
    for (int i = 0; i < replacement.registration_count; i++) {
        struct registration *registration = &replacement.registrations[i];

        epoll_ctl(registration->epoll_fd, EPOLL_CTL_ADD, registration->fd, &registration->event);
    }
    pthread_setcancelstate(state, &state);
    return result;
}

int replace_pair(int fd, int new_fd)
{
    return replace_socket(fd, new_fd, DESCRIPTOR_EARLY);
}
