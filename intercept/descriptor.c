/*
 * descriptor.c - which descriptors are ours.
 *
 * The truth is in the kernel: the peer of a descriptor of ours is bound to an abstract name that begins with
 * PROTOCOL_NAME_PREFIX, so getpeername() tells, in any process and after any exec. What is kept here is only a cache of
 * the answers, one byte a number, in zeroed memory of which only the touched pages exist.
 *
 * The cache may be wrong in one way: a number was closed where we could not see it (by fclose(), by a raw system call)
 * and means something else now.
 *  - It says FOREIGN and the descriptor is ours: cannot be, because every way in which a program gets one of ours
 *    (socket, accept, dup, SCM_RIGHTS) goes through a hook that writes the table.
 *  - It says ours and the descriptor is foreign: calls that change something ask again first (descriptor_verify());
 *    the data calls go to the kernel either way, and ask again when it returns an error.
 *
 * A child of vfork(), or of clone() with CLONE_VM and without CLONE_FILES, shares the table and not the descriptors, so
 * only the process that the table belongs to notes what a descriptor is. Forgetting is always right.
 */
#include "descriptor.h"

#include "libc.h"
#include "linger.h"
#include "service/protocol.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

_Atomic uint8_t descriptor_table[DESCRIPTOR_TABLE_SIZE];
_Atomic bool descriptor_errors_are_possible;

/* Whose table it is. 0 until our constructor ran: until then nothing is noted. */
static _Atomic pid_t owner_pid;

#define NAME_PREFIX_LENGTH (sizeof PROTOCOL_NAME_PREFIX - 1)

bool descriptor_address_is_ours(const void *address, socklen_t length, char *kind)
{
    struct sockaddr_un name;

    if (length < offsetof(struct sockaddr_un, sun_path) + 1 + NAME_PREFIX_LENGTH + 1)
        return false;
    memcpy(&name, address, offsetof(struct sockaddr_un, sun_path) + 1 + NAME_PREFIX_LENGTH + 1);
    if (name.sun_family != AF_UNIX || name.sun_path[0] != '\0' ||
        memcmp(name.sun_path + 1, PROTOCOL_NAME_PREFIX, NAME_PREFIX_LENGTH) != 0)
        return false;
    *kind = name.sun_path[1 + NAME_PREFIX_LENGTH];
    return true;
}

/* What descriptor_set_number() noted: the number and the socket's inode, each with the epoch that it was noted in
 * added. The inode is checked each time, so a number that was closed where we could not see it is no harm. All numbers
 * of an epoch are of one instance of the service. */
static _Atomic uint32_t noted_numbers[DESCRIPTOR_TABLE_SIZE];
static _Atomic uint32_t noted_inodes[DESCRIPTOR_TABLE_SIZE]; /* 0: none */
static _Atomic uint32_t epoch = 1, epoch_instance;

uint32_t descriptor_inode(int fd)
{
    struct stat status;
    int saved_errno = errno;
    bool is_socket = fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode);

    errno = saved_errno;
    return is_socket ? (uint32_t)status.st_ino : 0;
}

/* Return: what is noted for a number, or an inode, in the epoch. */
static uint32_t note_of(uint32_t number, uint32_t when)
{
    return number + when * 0x9e3779b1u;
}

void descriptor_set_number(int fd, const struct descriptor_number *number)
{
    uint32_t inode, now;

    if ((unsigned)fd >= DESCRIPTOR_TABLE_SIZE || number->instance == 0)
        return;
    if (epoch_instance != number->instance) { /* in this order: descriptor_find_number() reads them in the other */
        descriptor_forget_numbers();
        epoch_instance = number->instance;
    }
    now = epoch;
    inode = descriptor_inode(fd);
    noted_inodes[fd] = 0;
    noted_numbers[fd] = note_of(number->number, now);
    if (inode != 0)
        noted_inodes[fd] = note_of(inode, now);
}

bool descriptor_is_noted(int fd, uint32_t number)
{
    return (unsigned)fd < DESCRIPTOR_TABLE_SIZE && noted_inodes[fd] != 0 && noted_numbers[fd] == note_of(number, epoch);
}

void descriptor_forget_number(int fd)
{
    if ((unsigned)fd < DESCRIPTOR_TABLE_SIZE)
        noted_inodes[fd] = 0;
}

void descriptor_forget_numbers(void)
{
    epoch++;
}

bool descriptor_find_number(int fd, struct descriptor_number *number)
{
    const uint32_t instance = epoch_instance, now = epoch;
    uint32_t inode;

    if ((unsigned)fd >= DESCRIPTOR_TABLE_SIZE || noted_inodes[fd] == 0)
        return false;
    inode = descriptor_inode(fd);
    *number = (struct descriptor_number){noted_numbers[fd] - note_of(0, now), instance};
    return inode != 0 && noted_inodes[fd] == note_of(inode, now);
}

bool descriptor_table_is_ours(void)
{
    return getpid() == owner_pid;
}

static uint8_t *entry_of(int fd)
{
    return (unsigned)fd < DESCRIPTOR_TABLE_SIZE ? (uint8_t *)&descriptor_table[fd] : NULL;
}

enum descriptor_kind descriptor_verify(int fd)
{
    int saved_errno = errno;
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    enum descriptor_kind kind = DESCRIPTOR_FOREIGN;
    uint8_t *entry = entry_of(fd);
    char birth;
    bool is_open = true;

    if (libc_getpeername(fd, (struct sockaddr *)&address, &length) == 0) {
        if (descriptor_address_is_ours(&address, length, &birth)) {
            kind = entry ? (enum descriptor_kind)__atomic_load_n(entry, __ATOMIC_RELAXED) : DESCRIPTOR_UNKNOWN;
            if (kind == DESCRIPTOR_UNKNOWN)
                linger_see(fd);
            if (kind == DESCRIPTOR_UNKNOWN || kind == DESCRIPTOR_FOREIGN)
                kind = birth == PROTOCOL_NAME_KIND_ACCEPTED   ? DESCRIPTOR_DATA
                       : birth == PROTOCOL_NAME_KIND_DATAGRAM ? DESCRIPTOR_DATAGRAM_ERRORS
                                                              : DESCRIPTOR_EARLY;
        }
    } else {
        is_open = errno != EBADF;
    }
    /* A number that is not open may be opened as one of ours by a way we don't see yet. */
    descriptor_set(fd, is_open ? kind : DESCRIPTOR_UNKNOWN);
    errno = saved_errno;
    return kind;
}

void descriptor_set(int fd, enum descriptor_kind kind)
{
    uint8_t *entry = entry_of(fd);

    if (entry == NULL || __atomic_load_n(entry, __ATOMIC_RELAXED) == kind)
        return;
    if (kind == DESCRIPTOR_DATAGRAM_ERRORS)
        descriptor_errors_are_possible = true;
    if (kind == DESCRIPTOR_UNKNOWN || descriptor_table_is_ours())
        __atomic_store_n(entry, (uint8_t)kind, __ATOMIC_RELAXED);
}

void descriptor_copy(int fd, int new_fd)
{
    uint8_t *entry = entry_of(fd);

    if (fd != new_fd)
        descriptor_set(new_fd,
                       entry ? (enum descriptor_kind)__atomic_load_n(entry, __ATOMIC_RELAXED) : DESCRIPTOR_UNKNOWN);
}

void descriptor_forget_range(unsigned first, unsigned last)
{
    if (last >= DESCRIPTOR_TABLE_SIZE)
        last = DESCRIPTOR_TABLE_SIZE - 1;
    for (unsigned fd = first; fd <= last; fd++) /* reads before it writes, so that untouched pages stay so */
        descriptor_set((int)fd, DESCRIPTOR_UNKNOWN);
}

void descriptor_forget_received(struct msghdr *message)
{
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL; header = CMSG_NXTHDR(message, header)) {
        size_t count;

        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS || header->cmsg_len < CMSG_LEN(0))
            continue;
        count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
            descriptor_set(fd, DESCRIPTOR_UNKNOWN);
        }
    }
}

void descriptor_look_at_all(void)
{
    /* Past a run of numbers that are not open this long, none is expected. */
    const int gap_max = 1024;
    int gap = 0;

    for (int fd = 0; fd < (int)DESCRIPTOR_TABLE_SIZE && gap < gap_max; fd++) {
        descriptor_kind(fd);
        gap = descriptor_table[fd] == DESCRIPTOR_UNKNOWN ? gap + 1 : 0;
    }
}

void descriptor_start(void)
{
    owner_pid = getpid();
}
