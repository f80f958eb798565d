/*
 * cork.c - TCP_CORK of connected sockets, in memory that programs share.
 *
 * A server that corks a connection for each answer (nginx with tcp_nopush: cork, head, file, uncork) would ask us twice
 * for each. Instead it sets a flag in memory, which we look at when we read its bytes. The flag is the option, of the
 * socket and not of a process: it is in a slot that the socket has until its pair is closed, so fork, exec, dup, passing
 * the descriptor and kill need nothing. Who can't reach the memory, or finds no room in it, asks by requests; they change
 * the same slot, or the stack's option if there is none.
 *
 * A slot is given when a program first corks a socket (PROTOCOL_CORK), in the page of the user who asks; a process that
 * has such a page asks for all that it will accept from a listening socket, too. So a page has only sockets of which a
 * process of that user has shown the descriptor, or that of the socket that they come from; and what one can spoil there
 * is what the user's processes could spoil anyway.
 *
 * What is done when, on both sides (L: intercept/cork.c, S: here), every step atomic:
 *
 *   L cork     ON
 *   L uncork   not ON, not HELD, GO; if it was HELD: tell S, with PROTOCOL_CORK
 *   L write    bytes into the pair; if not ON: GO
 *   S look     not GO; remember whether it was (cork_look)
 *   S read     bytes out of the pair
 *   S decide   GO was or is there, or ON is not: the bytes go. Else HELD, and they wait (cork_hold)
 *
 * No bytes wait although the cork is off: S lets them wait when one operation has found ON and set HELD. An uncork
 * before it would have taken ON away; one after it finds HELD, and tells. No bytes wait that were written before a cork:
 * at its end, and behind each write without, GO is set. S takes GO away before it reads, so what a GO was set for, and
 * was in the pair by then, is read and sent. If the cork is set meanwhile, what follows may leave with them: sent early
 * is no harm, as Linux sends it when the peer's window or the timer want it.
 *
 * Bytes that wait are TCP's (stack_tcp_send_commit_part()), which sends them after 200 ms whatever the page says. We
 * read flags there and nothing else, each time anew, and in no loop; so whatever a program scribbles, its own bytes wait
 * or don't.
 */
#include "cork.h"

#include "program.h"
#include "protocol.h"
#include "service/log/log.h"
#include "service/privilege/quota.h"
#include "service/sockopt/sockopt.h"
#include "socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <sys/random.h>
#include <unistd.h>

#define PAGE_BYTES (PROTOCOL_CORK_SLOTS * sizeof(uint64_t))
#define WORD_BITS 64

/* Nobody can make it smaller, so that we read no memory that is not there. */
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

struct cork_page {
    uint32_t id;      /* not 0; of no other page, of this service or another */
    unsigned holders; /* the user, sockets that have slots, and listening ones whose children have */
    uid_t uid;        /* whose it is */
    int fd;           /* owned */
    _Atomic uint64_t *slots; /* owned, mapped: PROTOCOL_CORK_SLOTS of them */
    unsigned next_word;      /* of .taken: look here first */
    uint64_t taken[PROTOCOL_CORK_SLOTS / WORD_BITS]; /* a bit for each slot */
    struct quota *user;      /* held while an archive is read, for who may have nothing else; else NULL */
    LIST_ENTRY(cork_page) link;
};

static LIST_HEAD(, cork_page) all = LIST_HEAD_INITIALIZER(all);

/* Map what .fd is. Return: 0 or -errno. */
static int map(struct cork_page *page)
{
    void *memory = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, page->fd, 0);

    if (memory == MAP_FAILED)
        return -errno;
    page->slots = memory;
    return 0;
}

void cork_release_page(struct cork_page *page)
{
    if (page == NULL || --page->holders > 0)
        return;
    if (page->slots != NULL)
        munmap((void *)page->slots, PAGE_BYTES);
    if (page->fd >= 0)
        close(page->fd);
    LIST_REMOVE(page, link);
    free(page);
}

/* Make one for a user, held once. Return: 0 and *made, or -errno. */
static int make_page(uid_t uid, struct cork_page **made)
{
    struct cork_page *page = calloc(1, sizeof *page);
    int error = 0;

    if (page == NULL)
        return -ENOMEM;
    LIST_INSERT_HEAD(&all, page, link);
    page->holders = 1;
    page->uid = uid;
    page->fd = memfd_create("sidestack cork", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (page->fd < 0 || ftruncate(page->fd, PAGE_BYTES) < 0 || fcntl(page->fd, F_ADD_SEALS, SEALS) < 0)
        error = -errno;
    while (error == 0 && page->id == 0)
        if (getrandom(&page->id, sizeof page->id, 0) < 0)
            error = -errno;
    if (error == 0)
        error = map(page);
    if (error < 0)
        cork_release_page(page);
    else
        *made = page;
    return error;
}

/* Return: a free one; or PROTOCOL_CORK_SLOTS: there is none. */
static unsigned find_slot(struct cork_page *page)
{
    const unsigned words = sizeof page->taken / sizeof *page->taken;

    for (unsigned i = 0; i < words; i++) {
        unsigned word = (page->next_word + i) % words;
        unsigned bit = (unsigned)__builtin_ctzll(~page->taken[word] | (page->taken[word] == UINT64_MAX));

        if (page->taken[word] == UINT64_MAX)
            continue;
        page->next_word = word;
        return word * WORD_BITS + bit;
    }
    return PROTOCOL_CORK_SLOTS;
}

static _Atomic uint64_t *slot_of(const struct socket *socket)
{
    return &socket->cork_page->slots[socket->cork_slot];
}

/* The socket has this slot from now on, with what stands in it. */
static void enter_slot(struct socket *socket, struct cork_page *page, unsigned slot)
{
    page->taken[slot / WORD_BITS] |= UINT64_C(1) << slot % WORD_BITS;
    page->holders++;
    socket->cork_page = page;
    socket->cork_slot = slot;
}

/* Give it one, uncorked. Return: 0 or -ENOSPC. */
static int attach(struct socket *socket, struct cork_page *page)
{
    unsigned slot = find_slot(page);

    if (slot == PROTOCOL_CORK_SLOTS)
        return -ENOSPC;
    enter_slot(socket, page, slot);
    atomic_store(slot_of(socket), protocol_cork_tag(page->id, (uint32_t)socket->id));
    return 0;
}

/* The page of a user, made if there is none yet. Return: NULL: there can't be one. */
static struct cork_page *page_of(struct quota *user)
{
    int error = user->cork_page == NULL ? make_page(user->uid, &user->cork_page) : 0;

    if (error < 0) {
        errno = -error;
        log_warn("cork: no memory to share with user %u; its programs ask each time" LOG_FAULT, (unsigned)user->uid);
    }
    return user->cork_page;
}

int cork_attach(struct socket *socket, const struct program *asks)
{
    struct cork_page *page;

    if (socket->cork_page != NULL)
        return socket->cork_page == asks->quota->cork_page ? 0 : -EPERM;
    if (socket->tcp == NULL || stack_tcp_get_option(socket->tcp, STACK_TCP_CORK))
        return -EBUSY;
    page = page_of(asks->quota);
    return page != NULL ? attach(socket, page) : -ENOMEM;
}

void cork_attach_listener(struct socket *listener, const struct program *asks)
{
    if (listener->cork_children != NULL)
        return;
    listener->cork_children = page_of(asks->quota);
    if (listener->cork_children != NULL)
        listener->cork_children->holders++;
}

void cork_attach_child(struct socket *child)
{
    if (child->listener->cork_children != NULL && !stack_tcp_get_option(child->tcp, STACK_TCP_CORK))
        (void)attach(child, child->listener->cork_children);
}

void cork_detach(struct socket *socket)
{
    struct cork_page *page = socket->cork_page;

    cork_release_page(socket->cork_children);
    socket->cork_children = NULL;
    if (page == NULL)
        return;
    atomic_store(slot_of(socket), 0);
    page->taken[socket->cork_slot / WORD_BITS] &= ~(UINT64_C(1) << socket->cork_slot % WORD_BITS);
    socket->cork_page = NULL;
    cork_release_page(page);
}

int cork_describe(const struct socket *socket, uint32_t *page, uint32_t *slot)
{
    *page = socket->cork_page != NULL ? socket->cork_page->id : 0;
    *slot = socket->cork_page != NULL ? socket->cork_slot : 0;
    return socket->cork_page != NULL ? socket->cork_page->fd : -1;
}

bool cork_is_on(const struct socket *socket)
{
    if (socket->cork_page != NULL)
        return (atomic_load(slot_of(socket)) & PROTOCOL_CORK_ON) != 0;
    return socket->tcp != NULL && stack_tcp_get_option(socket->tcp, STACK_TCP_CORK) != 0;
}

void cork_set(struct socket *socket, bool on)
{
    if (socket->cork_page != NULL && on) {
        atomic_fetch_or(slot_of(socket), PROTOCOL_CORK_ON);
        return;
    }
    if (socket->cork_page != NULL)
        atomic_fetch_and(slot_of(socket), ~(uint64_t)(PROTOCOL_CORK_ON | PROTOCOL_CORK_HELD));
    if (socket->tcp != NULL)
        (void)stack_tcp_set_option(socket->tcp, STACK_TCP_CORK, on);
}

void cork_release(struct socket *socket)
{
    if (socket->cork_page != NULL && socket->tcp != NULL)
        (void)stack_tcp_set_option(socket->tcp, STACK_TCP_CORK, 0); /* it never was, but that ends it */
}

bool cork_look(const struct socket *socket)
{
    if (__builtin_expect(socket->cork_page == NULL, 1) || (atomic_load(slot_of(socket)) & PROTOCOL_CORK_GO) == 0)
        return false;
    atomic_fetch_and(slot_of(socket), ~(uint64_t)PROTOCOL_CORK_GO);
    return true;
}

bool cork_hold(const struct socket *socket)
{
    const uint64_t mask = PROTOCOL_CORK_ON | PROTOCOL_CORK_GO;

    if (__builtin_expect(socket->cork_page == NULL, 1) || (atomic_load(slot_of(socket)) & mask) != PROTOCOL_CORK_ON)
        return false;
    if ((atomic_fetch_or(slot_of(socket), PROTOCOL_CORK_HELD) & mask) == PROTOCOL_CORK_ON)
        return true;
    atomic_fetch_and(slot_of(socket), ~(uint64_t)PROTOCOL_CORK_HELD); /* uncorked just now */
    return false;
}

bool cork_went(const struct socket *socket)
{
    return socket->cork_page != NULL && (atomic_load(slot_of(socket)) & PROTOCOL_CORK_GO) != 0;
}

/* ---- takeover ---- */

static void walk_page(struct archive *archive, struct cork_page *page)
{
    ARCHIVE_NUMBER(archive, page, id);
    ARCHIVE_NUMBER(archive, page, uid);
    archive_fd(archive, "fd", &page->fd);
}

/* One that was read: its user's from now on. Return: 0 or -errno. */
static int enter_page(struct cork_page *page)
{
    int error = map(page);

    page->user = error == 0 ? quota_hold(page->uid) : NULL;
    if (error == 0 && (page->user == NULL || page->user->cork_page != NULL))
        error = page->user == NULL ? -ENOMEM : -EPROTO;
    if (error == 0)
        page->user->cork_page = page;
    return error;
}

static void read_pages(struct archive *archive)
{
    while (archive_begin(archive, "cork_page")) {
        struct cork_page *page = calloc(1, sizeof *page);
        int error;

        if (page == NULL) {
            archive_fail(archive, -ENOMEM);
            return;
        }
        page->holders = 1;
        page->fd = -1;
        LIST_INSERT_HEAD(&all, page, link);
        walk_page(archive, page);
        archive_end(archive);
        error = enter_page(page);
        if (error < 0) {
            quota_release(page->user);
            page->user = NULL;
            cork_release_page(page);
            archive_fail(archive, error);
        }
    }
}

void cork_handover_pages(struct archive *archive)
{
    struct cork_page *page;

    if (!archive->is_writing) {
        read_pages(archive);
        return;
    }
    LIST_FOREACH(page, &all, link) {
        if (!archive_begin(archive, "cork_page"))
            return;
        walk_page(archive, page);
        archive_end(archive);
    }
}

/* Return: NULL: there is none. */
static struct cork_page *find_page(uint32_t id)
{
    struct cork_page *page;

    LIST_FOREACH(page, &all, link)
        if (page->id == id)
            break;
    return page;
}

void cork_handover(struct archive *archive, struct socket *socket)
{
    uint32_t id, slot, children = socket->cork_children != NULL ? socket->cork_children->id : 0;
    struct cork_page *page;

    (void)cork_describe(socket, &id, &slot);
    archive_number(archive, "cork_page", &id, sizeof id);
    archive_number(archive, "cork_slot", &slot, sizeof slot);
    archive_number(archive, "cork_children", &children, sizeof children);
    if (archive->is_writing)
        return;
    socket->cork_children = children != 0 ? find_page(children) : NULL;
    if (socket->cork_children != NULL)
        socket->cork_children->holders++;
    if (id == 0)
        return;
    page = find_page(id);
    if (page == NULL || slot >= PROTOCOL_CORK_SLOTS || (page->taken[slot / WORD_BITS] & UINT64_C(1) << slot % WORD_BITS) != 0)
        archive_fail(archive, -EPROTO);
    else
        enter_slot(socket, page, slot);
}

void cork_forget_pages(void)
{
    struct cork_page *page, *next;

    for (page = LIST_FIRST(&all); page != NULL; page = next) {
        struct quota *user = page->user;

        next = LIST_NEXT(page, link); /* this one may go with its user */
        page->user = NULL;
        quota_release(user);
    }
}
