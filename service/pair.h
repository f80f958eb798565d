/*
 * pair.h - the AF_UNIX pair that stands for one socket: a stream, or for datagram sockets SOCK_SEQPACKET.
 *
 * The program holds one end, the service the other. The state of the pair mirrors TCP's, so that poll, read and write
 * in the kernel say what they would say of a TCP socket. The rules, and the kernel behaviour behind each, are in
 * docs/rxtx.md and tests/platform/.
 */
#ifndef SIDESTACK_PAIR_H
#define SIDESTACK_PAIR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Both ends as made; each descriptor's owner is whoever takes it out of here and leaves -1. */
struct pair {
    int service_fd;
    int program_fd;
    ino_t program_inode; /* how the service recognises the program's end when it comes back */
};

/* Draw the random instance number that is part of every name, and listen by these names. Once, at start. Return: 0 or
 * -errno. */
int pair_setup(void);

/* The end of that number; not 0. */
uint32_t pair_instance(void);

/* All of it; of a service that went on from another, whose names are its own nevertheless. */
uint64_t pair_get_instance(void);
void pair_set_instance(uint64_t number);

/* Make a pair; kind is a PROTOCOL_NAME_KIND_*. Return: 0 or -errno. */
int pair_make(struct pair *pair, char kind);

/* The program reads more slowly than we write: more room for what it has not read. */
void pair_grow(int service_fd);

/* Close what is left in it. */
void pair_close(struct pair *pair);

/* Make the program's end not writable: the filler, and the stale byte behind it. Return: 0 or -errno. */
int pair_hold(const struct pair *pair);

/* Make it writable, with one edge: take the filler out. Return: 0 or -errno. */
int pair_release(int service_fd);

/* Put the stale byte into the service's queue, through the program's end. Return: 0 or -errno. */
int pair_put_stale_byte(const struct pair *pair);

/* How many bytes has the program written beyond the stale one? Return: bytes or -errno. */
ssize_t pair_fresh_bytes(int service_fd);

/*
 * Read the next length (at least 1, at most what pair_fresh_bytes() said) bytes into iov, which has room for them: the
 * old stale byte goes, the last byte of these is only peeked at and stays behind as the new one. Return: bytes read, or
 * -errno.
 */
#define PAIR_IOV_MAX 16
ssize_t pair_read(int service_fd, const struct iovec *iov, int count, size_t length);

/*
 * The same for a short message, in two steps: look at the stale byte and all that the program wrote beyond it, and later,
 * when that is on its way, take it out, the last of it left behind as the new stale byte. Return: bytes beyond the stale
 * one (0: none), -EMSGSIZE (there may be more than fit, or behind descriptors that somebody passed: pair_read()), or
 * another -errno.
 */
ssize_t pair_peek(int service_fd, char *bytes, size_t size);
int pair_take_peeked(int service_fd, char *bytes, size_t length);
/* The same when the program will write no more, and no stale byte is to be left: the pair is empty then. There is room
 * for one byte more than pair_peek() gave. */
int pair_take_last(int service_fd, char *bytes, size_t length);

/* Has the program closed its end, or shut it down both ways? What the loop has not heard yet counts. */
bool pair_is_closed(int service_fd);

/* Take out what lies unread, stale byte or filler: closing must not look like a reset. */
void pair_drain(int service_fd);

/* Write to the program. Return: bytes, -EAGAIN (full), -EPIPE (it reads no more, or is gone), or another -errno. */
ssize_t pair_write(int service_fd, struct iovec *iov, int count);

#endif
