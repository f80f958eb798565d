/*
 * queues_full.c - preloaded into the service: the kernel has no room for some of what it writes to the TAP device and to
 * programs. The file QUEUES_FULL has how often (0: never) and counts how many were refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static struct {
    atomic_uint every;           /* of so many writes one, and the one behind it, are refused */
    atomic_uint wire, pairs;     /* were refused */
} *shared;

__attribute__((constructor)) static void map_shared(void)
{
    const char *path = getenv("QUEUES_FULL");
    int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *map = fd >= 0 ? mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;

    if (map == MAP_FAILED)
        abort();
    shared = map;
    close(fd);
}

/* Return: shall this write fail? Then errno is one of those that the kernel has when queues are full or memory short. */
static int is_refused(unsigned *number, atomic_uint *count, const int *errors, unsigned error_count)
{
    unsigned every = atomic_load(&shared->every);

    if (every == 0 || ++*number % every > 1)
        return 0;
    errno = errors[atomic_fetch_add(count, 1) % error_count];
    return 1;
}

/* The service uses writev() for the TAP device alone. */
ssize_t writev(int fd, const struct iovec *iov, int count)
{
    static const int errors[] = {EAGAIN, ENOBUFS, ENOMEM};
    static unsigned number;

    return is_refused(&number, &shared->wire, errors, 3) ? -1 : syscall(SYS_writev, fd, iov, count);
}

/* Streams, and accepted connections on their way to a listening socket. Never EAGAIN: that the kernel says of a full
 * pair only, whose next edge the service waits for. Not the control socket. */
static int is_refused_to_program(int fd)
{
    static const int errors[] = {ENOBUFS, ENOMEM};
    static unsigned number;
    int type = 0;
    socklen_t length = sizeof type;

    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_STREAM && is_refused(&number, &shared->pairs, errors, 2);
}

ssize_t send(int fd, const void *bytes, size_t size, int flags)
{
    return is_refused_to_program(fd) ? -1 : syscall(SYS_sendto, fd, bytes, size, flags, NULL, 0);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    return is_refused_to_program(fd) ? -1 : syscall(SYS_sendmsg, fd, message, flags);
}
