/*
 * datagram.h - sending, receiving and errors of datagram sockets of ours (UDP, UDP-Lite, ping, raw).
 *
 * All return what the call returns, or -errno; or DATAGRAM_FOREIGN when the descriptor is not ours after all, and the
 * caller does what the program asked for.
 */
#ifndef SIDESTACK_INTERCEPT_DATAGRAM_H
#define SIDESTACK_INTERCEPT_DATAGRAM_H

#include "descriptor.h"

#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>

struct protocol_datagram;

#define DATAGRAM_FOREIGN INT_MIN

/* One array load. */
static inline bool datagram_is(int fd)
{
    enum descriptor_kind kind = descriptor_kind(fd);

    return kind == DESCRIPTOR_DATAGRAM || kind == DESCRIPTOR_DATAGRAM_ERRORS;
}

/* At the top of a function: let a datagram socket have its own way. */
#define RETURN_IF_DATAGRAM(fd, call)                                                                                   \
    do {                                                                                                               \
        if (datagram_is(fd)) {                                                                                         \
            ssize_t datagram_result = (call);                                                                          \
            if (datagram_result != DATAGRAM_FOREIGN)                                                                   \
                return (__typeof__(call))datagram_result;                                                              \
        }                                                                                                              \
    } while (0)

/* ---- datagram_send.c ---- */

ssize_t datagram_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t datagram_send(int fd, const void *buffer, size_t length, int flags, const struct sockaddr *address,
                      socklen_t address_length);
ssize_t datagram_writev(int fd, const struct iovec *iov, int count, int flags);
int datagram_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags);

/* setsockopt(2) is about to be asked for. */
void datagram_note_option(int fd, int level, int name);

/* Something about the socket changed (bound, connected, an option): ask the service again before a datagram is sent
 * unasked. */
void datagram_forget(int fd);

/* A datagram came from there: so one may be sent there. */
void datagram_note_peer(int fd, const struct protocol_datagram *header);

/* ---- datagram_receive.c ---- */

ssize_t datagram_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t datagram_recvfrom(int fd, void *buffer, size_t length, int flags, struct sockaddr *address,
                          socklen_t *address_length);
int datagram_recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout);

/* FIONREAD: the length of the next datagram. */
int datagram_next_length(int fd, int *length);

/* ---- datagram_pieces.c ---- */

#define DATAGRAM_PIECES_MAX 1024 /* UIO_MAXIOV of Linux, and our header is one */

/* Two neighbours that are one. */
struct datagram_joined {
    size_t place;  /* of the first */
    size_t offset; /* of its bytes in the datagram */
    size_t length; /* of both; 0: there is nothing to copy */
    char bytes[128];
};

/* Copy DATAGRAM_PIECES_MAX pieces so that at least one less does. Return: how many these are. */
size_t datagram_pieces_join(struct iovec *to, const struct iovec *pieces, struct datagram_joined *joined);

/* Copy the bytes of the two: before the datagram is sent, or when one of this length has come. Return: 0 or -EFAULT. */
int datagram_pieces_gather(const struct iovec *pieces, struct datagram_joined *joined);
int datagram_pieces_scatter(const struct iovec *pieces, const struct datagram_joined *joined, size_t length);

/* ---- datagram_error.c ---- */

/* Is it a message as the service writes it? */
bool datagram_header_is_good(const struct protocol_datagram *header, size_t length);

/* Take the pending error if it is the next thing in the pair. Return: positive errno or 0. errno is kept. */
int datagram_take_error(int fd);

/* The pair gave errno to a read or write, or its end. Return: -errno as the program shall see it, 0 for the end, or
 * DATAGRAM_FOREIGN. */
int datagram_pair_error(int fd, int error);

/* The same for a write. has_peer: the datagram says whom it is for. */
int datagram_send_error(int fd, int error, bool has_peer);

/* poll() said that something is ready: where that is a pending error, say so as Linux does. */
void datagram_correct_poll(struct pollfd *fds, nfds_t count);

/* recvmsg() with MSG_ERRQUEUE. */
ssize_t datagram_receive_error(int fd, struct msghdr *message, int flags);

/* Control messages on their way out, as the kernel's put_cmsg() writes them. */
struct control_out {
    char *next;
    size_t room;
    bool is_cut;
};
void control_out_put(struct control_out *out, int level, int type, const void *data, size_t length);

/* Write the control messages that go with a datagram. */
void datagram_put_control(struct control_out *out, const struct protocol_datagram *header);

#endif
