/*
 * cork.c - TCP_CORK of connected sockets, without asking the service each time.
 *
 * A server that corks a connection for each answer (nginx with tcp_nopush: cork, header, file, uncork) would ask the
 * service twice for each. Instead the option is a flag in memory that the service shares with the processes of a user,
 * in a slot of the socket's own; the service looks at it when it reads what was written. service/cork.c has the rules,
 * and why no bytes are left behind; these are the program's part of them.
 *
 * A descriptor whose slot we know is DESCRIPTOR_SLOTTED; accept() tells it, or the service when it is first asked to cork
 * a socket. All others go by requests. What is kept here for a number is no more than where to find the slot: forgetting
 * it, by exec or otherwise, costs a request. The slot says by its tag whose it is, so when we are wrong about a number,
 * it is not touched. A child of fork has the memory, too, and goes on with the sockets that it has inherited.
 */
#include "cork.h"

#include "control.h"
#include "descriptor.h"
#include "libc.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_BYTES (PROTOCOL_CORK_SLOTS * sizeof(uint64_t))
#define TAG_MASK   (~(uint64_t)UINT32_MAX)

/* The page: its memory, which once mapped stays where it is, and which it is; 0: none. */
static _Atomic uint64_t *_Atomic slots;
static _Atomic uint32_t page_id;

/* Which thread may map one, by its process: a child of fork whose parent was at it may as well. */
static _Atomic pid_t mapper;

/* For each number: the tag of the socket, and below it its slot. Good while the number is DESCRIPTOR_SLOTTED. For one that
 * listens: has this process asked for slots of what it accepts? */
static _Atomic uint64_t known[DESCRIPTOR_TABLE_SIZE];

/* Is it what the service promises: so large, and never smaller? */
static bool is_page(int fd)
{
    struct stat status;
    int seals = libc_fcntl(fd, F_GET_SEALS, 0);

    return seals >= 0 && (seals & F_SEAL_SHRINK) && fstat(fd, &status) == 0 && status.st_size >= (off_t)PAGE_BYTES;
}

/* Map the page that came, in the place of one of a service that is gone: who looks there meanwhile finds no tag of
 * theirs. */
static void map_page(int fd, uint32_t id)
{
    pid_t self = getpid(), other = mapper;
    void *place = slots, *memory;

    if (other == self || !atomic_compare_exchange_strong(&mapper, &other, self))
        return; /* another thread is at it */
    memory = is_page(fd) ? mmap(place, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | (place != NULL ? MAP_FIXED : 0), fd, 0)
                         : MAP_FAILED;
    if (memory != MAP_FAILED) {
        slots = memory;
        page_id = id;
    }
    mapper = 0;
}

/* Is it a number of the table, which this process may write? A child of vfork has its parent's. */
static bool is_noted(int fd)
{
    return (unsigned)fd < DESCRIPTOR_TABLE_SIZE && descriptor_table_is_ours();
}

bool cork_note(int fd, uint32_t page, uint32_t slot, uint32_t number)
{
    if (page == 0 || page != page_id || slot >= PROTOCOL_CORK_SLOTS || !is_noted(fd))
        return false;
    known[fd] = protocol_cork_tag(page, number) | slot;
    return true;
}

void cork_want_children(int listener)
{
    const uint64_t asked = protocol_cork_tag(page_id, 0) | PROTOCOL_CORK_SLOTS; /* a place that is none */
    struct protocol_message message;

    if (page_id == 0 || !is_noted(listener) || atomic_exchange(&known[listener], asked) == asked)
        return;
    control_prepare(&message, PROTOCOL_CORK);
    message.args[0] = PROTOCOL_CORK_CHILDREN;
    (void)control_send(&message, listener);
}

void cork_copy(int fd, int new_fd)
{
    if (descriptor_kind_is_slotted(fd) && is_noted(new_fd))
        known[new_fd] = known[fd];
}

/* Return: where the cork of fd is, and *tag: if that is still there. */
static _Atomic uint64_t *slot_of(int fd, uint64_t *tag)
{
    uint64_t place = known[fd];

    *tag = place & TAG_MASK;
    return &slots[place & UINT32_MAX];
}

bool cork_set(int fd, bool on)
{
    uint64_t tag, old, new;
    _Atomic uint64_t *slot = slot_of(fd, &tag);

    old = *slot;
    do {
        if ((old & TAG_MASK) != tag)
            return false;
        new = on ? old | PROTOCOL_CORK_ON : (old & ~(uint64_t)(PROTOCOL_CORK_ON | PROTOCOL_CORK_HELD)) | PROTOCOL_CORK_GO;
    } while (!atomic_compare_exchange_weak(slot, &old, new));
    if (!on && (old & PROTOCOL_CORK_HELD)) {
        struct protocol_message message;

        control_prepare(&message, PROTOCOL_CORK);
        message.args[0] = PROTOCOL_CORK_RELEASE;
        (void)control_send(&message, fd); /* without a service there is nobody who holds anything */
    }
    return true;
}

bool cork_ask(int fd)
{
    struct protocol_message message;
    int page_fd, error;

    control_prepare(&message, PROTOCOL_CORK);
    message.args[0] = PROTOCOL_CORK_SET;
    error = control_request(&message, fd, &page_fd);
    if (error == 0 && page_fd >= 0) {
        if ((uint32_t)message.args[0] != page_id)
            map_page(page_fd, (uint32_t)message.args[0]);
        if (cork_note(fd, (uint32_t)message.args[0], (uint32_t)message.args[1], (uint32_t)message.args[2]))
            descriptor_set(fd, DESCRIPTOR_SLOTTED);
    }
    if (page_fd >= 0)
        libc_close(page_fd);
    return error == 0;
}

void cork_wrote(int fd)
{
    uint64_t tag;
    _Atomic uint64_t *slot = slot_of(fd, &tag);
    uint64_t now = atomic_load_explicit(slot, memory_order_relaxed);

    if ((now & TAG_MASK) == tag && (now & (PROTOCOL_CORK_ON | PROTOCOL_CORK_GO)) == 0)
        atomic_fetch_or(slot, PROTOCOL_CORK_GO);
}
