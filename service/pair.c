/*
 * pair.c - the AF_UNIX stream pair that stands for one socket.
 *
 * The stale byte. An AF_UNIX end that is closed while bytes lie unread in it gives the other end ECONNRESET once what
 * it had already received is read: exactly TCP's reset. So the service leaves one byte unread for as long as the stream
 * is open: first a byte that it wrote itself, later the last byte of what it read, which was peeked at and forwarded. A
 * reset, and the death of the service, then need no further step.
 *
 * The filler. An end is writable while what its peer has not read is at most a quarter of SO_SNDBUF. SO_SNDBUF is such
 * that one message of FILLER_BYTES is just within that, and not so with one byte more in a message of its own. These
 * two make the program's end not writable (poll() reports nothing, like a TCP socket before its handshake), and reading
 * the first of them makes it writable, with one edge; the byte stays as the stale one. So nothing has to be done to the
 * program's end, of which the service keeps no copy: it would never see the program close its own. The filler's pages
 * are sent by reference, so a held pair costs no memory.
 *
 * The name. The service's end has one, by which any holder of the program's end knows that it is ours. A name of its
 * own for each, by bind(), would have the kernel look through all names of the same hash, of which it has 256: with
 * 50 000 sockets that is 200 of them, or many more where the names are alike (measured: 40 µs a pair with none, 180 to
 * 530 with 50 000 others). So a pair is not made by socketpair(): for each kind there is a listening socket with the
 * name, the program's end is connected to that, and the service's end is what it accepts, which inherits the name.
 * Anybody on this machine can connect to it as well; what comes from others is closed. If that comes faster than it can
 * be closed, a pair is made by socketpair(), with a name of its own.
 */
#include "pair.h"

#include "protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* What one sendfile() puts into one message: 16 pages. */
#define FILLER_BYTES 65536

/*
 * What setsockopt() is given for SO_SNDBUF of the service's end when the default was too little (pair_grow()), and of
 * the program's end of an accepted connection; the kernel doubles it, and no privilege is needed up to
 * net.core.wmem_max. A quarter of it must be more than FILLER_BYTES, because the message that the stale byte belongs to
 * counts whole: up to as much when it came from sendfile() or splice() (16 pages, the kernel's fs/splice.c). With the
 * default a program that does that would wait for ever.
 */
#define SEND_BUFFER 212992

/* SO_RCVBUF of a new datagram socket: net.core.rmem_default. */
#define DATAGRAM_BUFFER 212992

/* Connections of others that wait to be accepted; when there are so many, ours has to wait until they are closed. */
#define STRANGERS_MAX 64
/* How often that may happen for one pair, which is then made without. */
#define TRIES 4

/* Listening sockets with the name of the pairs' ends, for good. */
static struct origin {
    char kind;
    int type;
    int fd; /* owned */
    bool is_left; /* a connection of ours is in its queue, whose other end is closed: there was no descriptor for it */
    struct sockaddr_un name;
    socklen_t name_length;
} origins[] = {
    {.kind = PROTOCOL_NAME_KIND_SOCKET, .type = SOCK_STREAM, .fd = -1},
    {.kind = PROTOCOL_NAME_KIND_ACCEPTED, .type = SOCK_STREAM, .fd = -1},
    {.kind = PROTOCOL_NAME_KIND_DATAGRAM, .type = SOCK_SEQPACKET, .fd = -1},
};

static uint64_t instance; /* random, so that two services never give the same name */
static pid_t own_pid;
static int filler_fd = -1; /* a file of FILLER_BYTES zeros */
static int held_send_buffer; /* what setsockopt() is given for the program's end of a pair that begins held */

/* Put the filler, or the byte behind it, into the queue of the other end. Return: 0 or -errno. */
static int send_filler(int fd)
{
    off_t offset = 0;
    ssize_t sent;

    do
        sent = sendfile(fd, filler_fd, &offset, FILLER_BYTES);
    while (sent < 0 && errno == EINTR);
    return sent == FILLER_BYTES ? 0 : sent < 0 ? -errno : -EAGAIN;
}

static int send_byte(int fd)
{
    ssize_t sent;

    do
        sent = send(fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent == 1 ? 0 : -errno;
}

/* Return: bytes, 0 at the end, or -errno. */
static ssize_t receive(int fd, struct msghdr *message, int flags)
{
    ssize_t got;

    do
        got = recvmsg(fd, message, flags | MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

/* The same without a message, which takes the kernel 0.2 µs less. */
static ssize_t receive_bytes(int fd, void *bytes, size_t size, int flags)
{
    ssize_t got;

    do
        got = recv(fd, bytes, size, flags | MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

/* What does the kernel count for the filler alone, and with the byte? Return: 0 or -errno. */
static int measure_filler(int *filler, int *both)
{
    int fds[2], size = SEND_BUFFER, error;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    error = setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size) < 0 ? -errno : send_filler(fds[0]);
    if (error == 0 && ioctl(fds[0], SIOCOUTQ, filler) < 0)
        error = -errno;
    if (error == 0)
        error = send_byte(fds[0]);
    if (error == 0 && ioctl(fds[0], SIOCOUTQ, both) < 0)
        error = -errno;
    close(fds[0]);
    close(fds[1]);
    return error;
}

/* Have the kind's listening socket, by its name. Return: 0 or -errno. */
static int open_origin(struct origin *origin)
{
    int length = snprintf(origin->name.sun_path + 1, sizeof origin->name.sun_path - 1, PROTOCOL_NAME_PREFIX "%c/%016llx",
                          origin->kind, (unsigned long long)instance);

    origin->name.sun_family = AF_UNIX;
    origin->name_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
    if (origin->fd >= 0)
        close(origin->fd);
    origin->fd = socket(AF_UNIX, origin->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (origin->fd < 0 || bind(origin->fd, (struct sockaddr *)&origin->name, origin->name_length) < 0 ||
        listen(origin->fd, STRANGERS_MAX) < 0)
        return -errno;
    return 0;
}

int pair_setup(void)
{
    int filler = 0, both = 0, error = 0;

    own_pid = getpid();
    do {
        if (getrandom(&instance, sizeof instance, 0) != sizeof instance)
            return -errno;
    } while (pair_instance() == 0);
    for (size_t i = 0; i < sizeof origins / sizeof *origins && error == 0; i++)
        error = open_origin(&origins[i]);
    if (error < 0)
        return error;
    if (filler_fd < 0)
        filler_fd = memfd_create("sidestack filler", MFD_CLOEXEC);
    if (filler_fd < 0 || ftruncate(filler_fd, FILLER_BYTES) < 0)
        return -errno;
    error = measure_filler(&filler, &both);
    if (error == 0)
        held_send_buffer = (4 * filler + 4 * both) / 2 / 2; /* between them; the kernel doubles it */
    return error;
}

uint32_t pair_instance(void)
{
    return (uint32_t)instance;
}

uint64_t pair_get_instance(void)
{
    return instance;
}

void pair_set_instance(uint64_t number)
{
    instance = number;
}

static int set_send_buffer(int fd, int size)
{
    return setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size) < 0 ? -errno : 0;
}

/* Did we connect it ourselves? */
static bool is_own(int fd)
{
    struct ucred credentials;
    socklen_t length = sizeof credentials;

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) == 0 && credentials.pid == own_pid;
}

/* Take the connection of ours out of the queue, and close the others. Return: it, or -errno (-EAGAIN: there is
 * none). */
static int accept_own(const struct origin *origin)
{
    int fd;

    // cppcheck-suppress nullPointer ; whose address it is plays no part
    while ((fd = accept4(origin->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        if (is_own(fd))
            return fd;
        close(fd);
    }
    return -errno;
}

/* Close what waits. Return: 0 or -errno. */
static int empty_queue(const struct origin *origin)
{
    int fd = -1;

    // cppcheck-suppress nullPointer ; whose address it is plays no part
    for (int i = 0; i <= STRANGERS_MAX + 1 && (fd = accept4(origin->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0; i++)
        close(fd);
    return fd >= 0 || errno == EAGAIN ? 0 : -errno;
}

/* Connect the program's end to the kind's name, and accept that. Return: 0 or -errno. */
static int connect_ends(struct pair *pair, struct origin *origin)
{
    int error = -EAGAIN;

    for (int i = 0; i < TRIES && error == -EAGAIN; i++) {
        error = i > 0 || origin->is_left ? empty_queue(origin) : 0;
        if (error < 0)
            return error;
        origin->is_left = false;
        error = connect(pair->program_fd, (struct sockaddr *)&origin->name, origin->name_length) < 0 ? -errno : 0;
    }
    if (error < 0)
        return error;
    pair->service_fd = accept_own(origin);
    origin->is_left = pair->service_fd < 0;
    if (pair->service_fd < 0)
        return pair->service_fd;
    return fcntl(pair->program_fd, F_SETFL, O_RDWR) < 0 ? -errno : 0; /* connect() was not to wait */
}

/* Make the ends without the kind's listening socket; *pair has none yet. Return: 0 or -errno. */
static int make_apart(struct pair *pair, const struct origin *origin)
{
    static unsigned long long number; /* of the last one; with it no two names are the same */
    struct sockaddr_un name = origin->name;
    const size_t begin = origin->name_length - offsetof(struct sockaddr_un, sun_path);
    int length = snprintf(name.sun_path + begin, sizeof name.sun_path - begin, "/%llx", ++number), ends[2];

    if (socketpair(AF_UNIX, origin->type | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    pair->service_fd = ends[0];
    pair->program_fd = ends[1];
    return bind(ends[0], (struct sockaddr *)&name, origin->name_length + (socklen_t)length) < 0 ? -errno : 0;
}

int pair_make(struct pair *pair, char kind)
{
    struct origin *origin = origins;
    struct stat status;
    int error;

    while (origin->kind != kind)
        origin++;
    *pair = (struct pair){-1, socket(AF_UNIX, origin->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), 0};
    if (pair->program_fd < 0)
        return -errno;
    error = connect_ends(pair, origin);
    if (error == -EAGAIN) {
        pair_close(pair);
        error = make_apart(pair, origin);
    }
    if (error == 0 && origin->type == SOCK_SEQPACKET) /* that is its SO_RCVBUF */
        error = set_send_buffer(pair->service_fd, DATAGRAM_BUFFER / 2);
    if (error == 0)
        error = set_send_buffer(pair->program_fd, kind == PROTOCOL_NAME_KIND_SOCKET ? held_send_buffer : SEND_BUFFER);
    if (error == 0 && fstat(pair->program_fd, &status) < 0)
        error = -errno;
    if (error < 0)
        pair_close(pair);
    else
        // NOLINTNEXTLINE(clang-analyzer-core.uninitialized.Assign): without an error fstat() filled it
        pair->program_inode = status.st_ino;
    return error;
}

void pair_grow(int service_fd)
{
    (void)set_send_buffer(service_fd, SEND_BUFFER); /* if not, it goes on with what there is */
}

void pair_close(struct pair *pair)
{
    if (pair->service_fd >= 0)
        close(pair->service_fd);
    if (pair->program_fd >= 0)
        close(pair->program_fd);
    pair->service_fd = pair->program_fd = -1;
}

int pair_hold(const struct pair *pair)
{
    int error = send_filler(pair->program_fd);

    return error < 0 ? error : send_byte(pair->program_fd);
}

int pair_release(int service_fd)
{
    static char drained[FILLER_BYTES];

    ssize_t got = receive_bytes(service_fd, drained, sizeof drained, 0);

    return got == sizeof drained ? 0 : got < 0 ? (int)got : -EPROTO;
}

int pair_put_stale_byte(const struct pair *pair)
{
    return send_byte(pair->program_fd);
}

ssize_t pair_fresh_bytes(int service_fd)
{
    int queued;

    if (ioctl(service_fd, SIOCINQ, &queued) < 0)
        return -errno;
    return queued > 0 ? queued - 1 : 0;
}

/* The address of byte `offset` of iov. */
static void *iov_at(const struct iovec *iov, size_t offset)
{
    while (offset >= iov->iov_len) {
        offset -= iov->iov_len;
        iov++;
    }
    return (char *)iov->iov_base + offset;
}

ssize_t pair_read(int service_fd, const struct iovec *iov, int count, size_t length)
{
    struct iovec parts[1 + PAIR_IOV_MAX];
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 1};
    size_t left = length - 1;
    ssize_t part, got = 0;
    char stale;

    parts[0] = (struct iovec){&stale, 1};
    for (int i = 0; i < count && i < PAIR_IOV_MAX && left > 0; i++) {
        parts[i + 1] = iov[i];
        if (parts[i + 1].iov_len > left)
            parts[i + 1].iov_len = left;
        left -= parts[i + 1].iov_len;
        message.msg_iovlen++;
    }
    while (message.msg_iovlen > 0) { /* once, unless somebody passes descriptors: a read ends behind such a message */
        part = receive(service_fd, &message, 0);
        if (part <= 0)
            return part < 0 ? part : -EPROTO;
        got += part;
        while (message.msg_iovlen > 0 && (size_t)part >= message.msg_iov->iov_len) {
            part -= (ssize_t)message.msg_iov->iov_len;
            message.msg_iov++;
            message.msg_iovlen--;
        }
        if (message.msg_iovlen > 0) {
            message.msg_iov->iov_base = (char *)message.msg_iov->iov_base + part;
            message.msg_iov->iov_len -= (size_t)part;
        }
    }
    /* got - 1 fresh bytes are in iov now; the next one stays queued. */
    return receive_bytes(service_fd, iov_at(iov, (size_t)got - 1), 1, MSG_PEEK) == 1 ? got : -EPROTO;
}

ssize_t pair_peek(int service_fd, char *bytes, size_t size)
{
    struct iovec iov = {bytes, size};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t got = receive(service_fd, &message, MSG_PEEK);

    if (got < 0)
        return got == -EAGAIN ? 0 : got;
    if ((size_t)got == size || (message.msg_flags & MSG_CTRUNC)) /* a look ends behind descriptors */
        return -EMSGSIZE;
    return got > 0 ? got - 1 : 0;
}

int pair_take_peeked(int service_fd, char *bytes, size_t length)
{
    ssize_t got = receive_bytes(service_fd, bytes, length, 0);

    return got == (ssize_t)length ? 0 : got < 0 ? (int)got : -EPROTO;
}

int pair_take_last(int service_fd, char *bytes, size_t length)
{
    return pair_take_peeked(service_fd, bytes, length + 1);
}

bool pair_is_closed(int service_fd)
{
    struct pollfd poll_fd = {.fd = service_fd, .events = POLLRDHUP};
    int count;

    do
        count = poll(&poll_fd, 1, 0);
    while (count < 0 && errno == EINTR);
    return count == 1 && (poll_fd.revents & POLLHUP) != 0;
}

void pair_drain(int service_fd)
{
    static char unread[FILLER_BYTES + 1];

    /* An empty queue is as good. */
    (void)receive_bytes(service_fd, unread, sizeof unread, 0);
}

ssize_t pair_write(int service_fd, struct iovec *iov, int count)
{
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = (size_t)count};
    ssize_t written;

    do /* the first is what the kernel does faster */
        written = count == 1 ? send(service_fd, iov->iov_base, iov->iov_len, MSG_DONTWAIT | MSG_NOSIGNAL)
                             : sendmsg(service_fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (written < 0 && errno == EINTR);
    return written < 0 ? -errno : written;
}
