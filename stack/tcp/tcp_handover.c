/*
 * tcp_handover.c - TCP sockets into an archive and out of it.
 *
 * Each structure has one function for both directions (archive.h). What is not named there is one of these:
 *  - pointers and links, which the reader makes anew by entering the socket where it belongs;
 *  - what is 0 or empty whenever the loop is between two turns (depth, abort_pending, close_pending, wanted, resending, refused_data);
 *  - the place in lists, tables and clocks;
 *  - hints (netif_hints), and lwIP's round trip and congestion figures that tcp_sender.c does not let it use.
 * tests/checks/handover compares the structures with tcp_handover_state.c.
 *
 * Times are CLOCK_MONOTONIC's, which both ends have; only tcp_ticks is the process's own: what counts in it is written
 * as an age.
 */
#include "tcp_handover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stack/handover.h"
#include "stack/port.h"
#include "tcp_large.h"
#include "tcp_socket.h"
#include "tcp_timer.h"

static struct stack_tcp **found; /* reading: owned; by number - 1 */
static uint32_t found_count;

/* ---- clocks ---- */

static void walk_clock(struct archive *archive, const char *name, struct tcp_clock *clock)
{
    uint64_t due_us = clock->due_us;

    archive_number(archive, name, &due_us, sizeof due_us);
    if (!archive->is_writing && due_us != 0 && due_us != TCP_CLOCK_NEVER) /* 0: it was never set */
        tcp_clock_set(clock, due_us);
}

/* ---- one connection ---- */

/* What a connection has beside the socket. */
static void walk_connection(struct archive *archive, struct stack_tcp *tcp)
{
    struct tcp_pcb *pcb = tcp->pcb;

    if (archive->is_writing && !tcp_large_cut_all(tcp))
        archive_fail(archive, -ENOMEM);
    tcp_handover_pcb(archive, pcb);
    if (!archive->is_writing) {
        tcp_acknowledge_start(tcp); /* for their clocks */
        tcp_sender_start(tcp);
    }
    if (archive_begin(archive, "congestion")) {
        tcp_handover_congestion(archive, &tcp->sender.congestion);
        archive_end(archive);
    }
    if (archive_begin(archive, "sender")) {
        tcp_handover_sender(archive, &tcp->sender);
        archive_end(archive);
    }
    if (archive_begin(archive, "acknowledger")) {
        tcp_handover_acknowledger(archive, &tcp->acknowledger);
        archive_end(archive);
    }
    tcp_handover_ecn(archive, &tcp->ecn);
    if (archive_begin(archive, "window")) {
        tcp_handover_window(archive, &tcp->window);
        archive_end(archive);
    }
    tcp_handover_segments(archive, tcp);
    walk_clock(archive, "sender_due_us", &tcp->sender.clock);
    walk_clock(archive, "acknowledge_due_us", &tcp->acknowledger.clock);
    walk_clock(archive, "pace_clock_due_us", &tcp->sender.pace.clock);
}

/* ---- all sockets ---- */

/* Which kind of control block has it? */
enum block_kind { BLOCK_NONE, BLOCK_LISTEN, BLOCK_CONNECTION };

static enum block_kind block_of(const struct stack_tcp *tcp)
{
    if (tcp->pcb == NULL)
        return BLOCK_NONE;
    return tcp->pcb->state == LISTEN ? BLOCK_LISTEN : BLOCK_CONNECTION;
}

static void write_socket(struct archive *archive, struct stack_tcp *tcp)
{
    enum block_kind kind = block_of(tcp);
    uint32_t listener = stack_handover_number(tcp->listener);
    bool in_table = tcp->port_link != NULL;

    archive_number(archive, "block", &kind, sizeof kind);
    archive_number(archive, "listener", &listener, sizeof listener);
    archive_number(archive, "in_table", &in_table, sizeof in_table);
    tcp_handover_socket(archive, tcp);
    tcp_handover_received(archive, tcp);
    if (kind == BLOCK_CONNECTION)
        walk_connection(archive, tcp);
    else /* what its connections will have */
        tcp_handover_congestion(archive, &tcp->sender.congestion);
}

/* lwIP knows the control block from now on, and its timers run. */
static void enter_connection(struct stack_tcp *tcp)
{
    tcp_lookup_add(tcp);
    tcp_timer_start(tcp);
}

/* Listen again, where it listened. Return: 0 or -errno. */
static int listen_again(struct stack_tcp *tcp)
{
    tcp->role = TCP_ROLE_NEW;
    return stack_tcp_listen(tcp, NULL);
}

static void read_socket(struct archive *archive, struct stack_tcp *tcp)
{
    enum block_kind kind = BLOCK_NONE;
    uint32_t listener = 0;
    bool in_table = false;
    int error = 0;

    archive_number(archive, "block", &kind, sizeof kind);
    archive_number(archive, "listener", &listener, sizeof listener);
    archive_number(archive, "in_table", &in_table, sizeof in_table);
    tcp_handover_socket(archive, tcp);
    tcp_socket_set_user(tcp, memory_hold(tcp->label.user));
    tcp_handover_received(archive, tcp);
    if (in_table)
        tcp_bind_enter(tcp, &tcp->local, tcp->local_port);
    if (kind == BLOCK_CONNECTION) {
        struct tcp_pcb *pcb = tcp_alloc(TCP_PRIO_NORMAL);

        if (pcb == NULL) {
            archive_fail(archive, -ENOMEM);
            return;
        }
        tcp_socket_attach(tcp, pcb);
        walk_connection(archive, tcp);
        if (tcp->role == TCP_ROLE_INCOMING) {
            tcp_listen_restore(tcp, stack_handover_find(listener));
        } else {
            tcp_socket_set_callbacks(tcp);
            tcp_connect_set_callback(tcp);
        }
        enter_connection(tcp);
        return;
    }
    tcp_handover_congestion(archive, &tcp->sender.congestion);
    if (kind == BLOCK_LISTEN)
        error = listen_again(tcp);
    if (error < 0)
        archive_fail(archive, error);
}

uint32_t stack_handover_number(const struct stack_tcp *tcp)
{
    return tcp != NULL ? tcp->handover_number : 0;
}

struct stack_tcp *stack_handover_find(uint32_t number)
{
    return number > 0 && number <= found_count ? found[number - 1] : NULL;
}

/* Those that listen come first, and are older than what comes to them. Return: how many. */
static uint32_t number_all(void)
{
    uint32_t count = 0;

    for (int listening = 1; listening >= 0; listening--)
        for (struct stack_tcp *tcp = tcp_sockets; tcp != NULL; tcp = tcp->all_next)
            if ((tcp->role == TCP_ROLE_LISTENING) == listening)
                tcp->handover_number = ++count;
    return count;
}

static void write_all(struct archive *archive)
{
    uint32_t count = number_all();

    archive_number(archive, "tcp_count", &count, sizeof count);
    for (int listening = 1; listening >= 0; listening--) {
        for (struct stack_tcp *tcp = tcp_sockets; tcp != NULL; tcp = tcp->all_next) {
            if ((tcp->role == TCP_ROLE_LISTENING) != listening || !archive_begin(archive, "tcp"))
                continue;
            write_socket(archive, tcp);
            archive_end(archive);
        }
    }
}

static void read_all(struct archive *archive)
{
    uint32_t count = 0;

    archive_number(archive, "tcp_count", &count, sizeof count);
    if (archive->error < 0 || count > archive->length) { /* each takes more than a byte */
        archive_fail(archive, -EPROTO);
        return;
    }
    found = calloc(count + 1, sizeof *found);
    if (found == NULL) {
        archive_fail(archive, -ENOMEM);
        return;
    }
    while (found_count < count && archive_begin(archive, "tcp")) {
        struct stack_tcp *tcp = tcp_socket_new();

        if (tcp == NULL) {
            archive_fail(archive, -ENOMEM);
            break;
        }
        tcp->owned = true; /* until stack_handover_end() */
        found[found_count++] = tcp;
        read_socket(archive, tcp);
        archive_end(archive);
    }
    if (found_count != count)
        archive_fail(archive, -EPROTO);
}

/* What is left of connections in TIME-WAIT: each whole, and only for a reader of the same layout, because nothing is
 * lost with them but the care for segments that come late. */
static void walk_time_wait(struct archive *archive)
{
    const size_t size = sizeof(struct time_wait) - offsetof(struct time_wait, local);

    for (struct time_wait *wait = time_wait_oldest; archive->is_writing && wait != NULL; wait = wait->newer) {
        size_t length = size;

        if (!archive_begin(archive, "time_wait"))
            return;
        (void)archive_bytes(archive, "kept", &wait->local, &length);
        archive_end(archive);
    }
    while (!archive->is_writing && archive_begin(archive, "time_wait")) {
        size_t length = 0;
        const void *kept = archive_bytes(archive, "kept", NULL, &length);

        archive_end(archive);
        if (length == size)
            tcp_time_wait_restore(kept);
    }
}

void tcp_handover(struct archive *archive)
{
    walk_time_wait(archive);
    if (archive->is_writing)
        write_all(archive);
    else
        read_all(archive);
}

void stack_handover_end(void)
{
    for (uint32_t i = 0; i < found_count; i++) {
        struct stack_tcp *tcp = found[i];

        if (tcp == NULL || tcp->events != NULL)
            continue;
        if (tcp->role != TCP_ROLE_INCOMING && !(tcp->role == TCP_ROLE_CONNECTED && tcp->shut)) { /* its owner did not come */
            stack_tcp_abort(tcp);
            continue;
        }
        tcp->owned = false;
        if (tcp->pcb != NULL && tcp->role == TCP_ROLE_CONNECTED)
            tcp_err(tcp->pcb, NULL);
        if (tcp->pcb == NULL)
            tcp_socket_release(tcp);
    }
    free(found);
    found = NULL;
    found_count = 0;
}
