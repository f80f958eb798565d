/*
 * descriptor.h - which descriptors are ours, from a table of one byte for each number.
 */
#ifndef SIDESTACK_DESCRIPTOR_H
#define SIDESTACK_DESCRIPTOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

enum descriptor_kind {
    DESCRIPTOR_UNKNOWN = 0, /* not seen yet */
    DESCRIPTOR_FOREIGN,     /* not ours: libc does what is asked */
    DESCRIPTOR_DATA,       /* ours, was connected or accepted: reading and writing are the pair's business */
    DESCRIPTOR_SLOTTED,    /* the same, and cork.c knows where its TCP_CORK is */
    DESCRIPTOR_CONNECTING, /* ours, has begun to connect: a write has to wait until the pair is writable */
    DESCRIPTOR_LISTENING,  /* ours, listens */
    DESCRIPTOR_DATAGRAM,   /* ours, a datagram socket */
    DESCRIPTOR_DATAGRAM_ERRORS, /* the same, which may have heard of errors: connected, with IP_RECVERR, or we don't know */
    DESCRIPTOR_EARLY,      /* ours, none of these (yet), or we don't know: ask the service for its state */
};

/* Numbers beyond the table are looked at anew each time. */
#define DESCRIPTOR_TABLE_SIZE 65536u
extern _Atomic uint8_t descriptor_table[DESCRIPTOR_TABLE_SIZE];

/* What the kernel says of fd now, whatever the table says, which is corrected. Never UNKNOWN; a number that is not open
 * is FOREIGN. errno is kept. */
enum descriptor_kind descriptor_verify(int fd);

/* What is fd? One array load if it was seen before. Never UNKNOWN. errno is kept. */
static inline enum descriptor_kind descriptor_kind(int fd)
{
    if ((unsigned)fd < DESCRIPTOR_TABLE_SIZE) {
        uint8_t kind = __atomic_load_n((const uint8_t *)&descriptor_table[fd], __ATOMIC_RELAXED);

        if (__builtin_expect(kind != DESCRIPTOR_UNKNOWN, 1))
            return (enum descriptor_kind)kind;
    }
    return descriptor_verify(fd);
}

/* Is this a kind of what is or was connected? */
static inline bool descriptor_kind_is_data(enum descriptor_kind kind)
{
    return kind == DESCRIPTOR_DATA || kind == DESCRIPTOR_SLOTTED;
}

/* Is the table's word for it that it is DESCRIPTOR_SLOTTED? */
static inline bool descriptor_kind_is_slotted(int fd)
{
    return (unsigned)fd < DESCRIPTOR_TABLE_SIZE &&
           __atomic_load_n((const uint8_t *)&descriptor_table[fd], __ATOMIC_RELAXED) == DESCRIPTOR_SLOTTED;
}

/* The one question of the fast path. */
static inline bool descriptor_is_foreign(int fd)
{
    return descriptor_kind(fd) == DESCRIPTOR_FOREIGN;
}

/* Has this process had a descriptor that is DESCRIPTOR_DATAGRAM_ERRORS? */
extern _Atomic bool descriptor_errors_are_possible;

/*
 * The number of a socket that this process made, or accepted from such a one, by which the service lets it control that
 * without the descriptor (PROTOCOL_FLAG_BY_NUMBER). In a child of fork, and when the connections to the service were
 * lost, none is known any more.
 */
struct descriptor_number {
    uint32_t number, instance;
};
void descriptor_set_number(int fd, const struct descriptor_number *number);
bool descriptor_is_noted(int fd, uint32_t number);
/* The same, asking the kernel. Return: is it known, and still this descriptor's? errno is kept. */
bool descriptor_find_number(int fd, struct descriptor_number *number);
/* That one is not known to the service; all that are known now are not. */
void descriptor_forget_number(int fd);
void descriptor_forget_numbers(void);

/* Return: by what the kernel tells this socket from others while it lives, not 0; 0: it is no socket. errno is kept. */
uint32_t descriptor_inode(int fd);

/* Note what fd is; UNKNOWN when it is about to be closed or was replaced behind our back. */
void descriptor_set(int fd, enum descriptor_kind kind);

/* new_fd was made from fd by dup and its like. */
void descriptor_copy(int fd, int new_fd);

/* All numbers from first to last. */
void descriptor_forget_range(unsigned first, unsigned last);

/* These came with a message: SCM_RIGHTS in its control part. */
void descriptor_forget_received(struct msghdr *message);

/* Is this the address of the service's end of a pair? length as the kernel returned it. kind: PROTOCOL_NAME_KIND_*. */
bool descriptor_address_is_ours(const void *address, socklen_t length, char *kind);

/* Look at every descriptor that is open, because soon we may not be allowed to. */
void descriptor_look_at_all(void);

/* This process, which alone may write to the table, is new: at start and after fork. */
void descriptor_start(void);

/* Is it this one? */
bool descriptor_table_is_ours(void);

#endif
