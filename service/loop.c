/*
 * loop.c - the one loop of the service.
 *
 * A turn: sleep until something happens; take the time once; let each event's object note what happened; then move
 * bytes for every socket that has work; run what is due; hand gathered frames to the wire; free what died. Nothing but
 * watch_wait() blocks, or loop_guard.c interrupts it.
 */
#include "loop.h"

#include "client.h"
#include "listener.h"
#include "pairs.h"
#include "service/datagram/datagram_deliver.h"
#include "service/log/log.h"
#include "loop_guard.h"
#include "service/query/capture_stream.h"
#include "service/query/outlet.h"
#include "service/resolver/resolver.h"
#include "service/takeover/takeover_channel.h"
#include "socket.h"
#include "stack/stack.h"
#include "watch.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define EVENTS_PER_TURN 256
#define FRAMES_PER_TURN 64 /* then the programs have their turn */

/* While there is much, it is read in pieces that fit a processor's cache, with the programs' turns between; so many are
 * a turn of the loop, with one acknowledgement for each connection at its end. */
#define WIRE_PIECES 8

/* A single frame is the rule when one waits for another's answer, and then a read that finds the wire empty is a waste:
 * a turn begins with one frame, and takes so many times more as long as each turn finds the wire ready again. */
#define FRAMES_GROWTH 8

/* Turns before another service takes over. */
#define SETTLE_TURNS 8

/* How many turns an acknowledgement may wait for data to go with, while there is other work. */
#define POSTPONE_TURNS 2

/* How long a wire that gives an error is left alone. */
#define WIRE_PAUSE_US 10000

/* How long the last data and FINs have after SIGTERM. */
#define STOP_GRACE_US 3000000

enum loop_state {
    LOOP_RUNNING,
    LOOP_STOPPING, /* no new sockets; until every connection has ended, or STOP_GRACE_US */
    LOOP_ENDED,
};

static int signal_fd = -1, control_fd = -1; /* the caller's of loop_prepare() */
static enum loop_state state;
static uint64_t deadline_us; /* of what the loop waits for; 0: none */
static struct watch wire_watch = {WATCH_WIRE};
static uint32_t wire_events = EPOLLIN; /* what is waited for while it is not left alone */
static uint64_t wire_paused_until_us;  /* 0: it is not */
static void (*reload)(void); /* NULL: none */
static bool (*give)(void);   /* loop_set_takeover() */

int loop_setup(void)
{
    int error = watch_setup();

    stack_set_clock(watch_now_us());
    return error;
}

/* Begin to stop: programs can ask for nothing more, connections end in order. */
static void begin_stop(void)
{
    log_info("stopping: %zu sockets", socket_count());
    state = LOOP_STOPPING;
    deadline_us = watch_now_us() + STOP_GRACE_US;
    if (control_fd >= 0 && watch_remove(control_fd) < 0)
        log_warn("loop: the control socket can't be closed yet; programs that connect now wait");
    client_close_all();
    pairs_end();
}

static void handle_signal(void)
{
    struct signalfd_siginfo info;

    if (read(signal_fd, &info, sizeof info) != sizeof info)
        return;
    if (info.ssi_signo == SIGHUP) {
        if (reload != NULL && state == LOOP_RUNNING)
            reload();
    } else if (state == LOOP_RUNNING) {
        begin_stop();
    } else {
        state = LOOP_ENDED;
    }
}

/* Wait for these events of the wire. */
static void watch_wire(uint32_t events)
{
    int error = watch_change(stack_wire_fd(), &wire_watch, events);

    if (error < 0 && error != -ENOENT) {
        errno = -error;
        log_warn("loop: waiting for the wire");
    }
}

/* Leave a wire alone that gave an error: it may be one frame's, or stay. */
static void pause_wire(int error)
{
    errno = -error;
    log_warn("wire: reading a frame; tried again");
    wire_paused_until_us = watch_now_us() + WIRE_PAUSE_US;
    watch_wire(EPOLLET); /* EPOLLERR comes unasked, but once */
}

static void resume_wire(void)
{
    if (wire_paused_until_us == 0 || wire_paused_until_us > watch_now_us())
        return;
    wire_paused_until_us = 0;
    watch_wire(wire_events);
}

static void handle_wire(void)
{
    static unsigned budget = 1;
    static uint64_t last_turn;
    int frames;

    if (wire_paused_until_us != 0)
        return;
    if (watch_counters.waits > last_turn + 1)
        budget = 1;
    last_turn = watch_counters.waits;
    frames = stack_receive(budget);
    datagram_deliver_flush();
    budget = frames == (int)budget && budget < FRAMES_PER_TURN ? budget * FRAMES_GROWTH : budget;
    if (frames < 0)
        pause_wire(frames);
}

static void dispatch(const struct epoll_event *event)
{
    struct watch *watch = event->data.ptr;

    switch (watch->kind) {
    case WATCH_WIRE:
        handle_wire();
        break;
    case WATCH_CLIENT:
        client_handle((struct client *)watch, event->events);
        break;
    case WATCH_CONTROL:
        client_accept(control_fd);
        break;
    case WATCH_OUTLET:
        outlet_handle((struct outlet *)watch, event->events);
        break;
    case WATCH_SIGNAL:
        handle_signal();
        break;
    case WATCH_SOCKET: /* had its turn */
    case WATCH_DEAD:
        break;
    }
}

/* Of two waits the shorter one; negative: for ever. */
static int64_t sooner(int64_t a, int64_t b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* How long to wait at most. Return: microseconds; negative: until something happens. */
static int64_t choose_wait_us(void)
{
    const bool idle = !pairs_have_work() && !stack_acknowledgements_wait();
    const uint64_t now_us = watch_now_us();
    int64_t wait_us = idle ? stack_timer_us() : 0;

    wait_us = sooner(wait_us, resolver_timer_us(now_us));
    wait_us = sooner(wait_us, listener_timer_us());
    wait_us = sooner(wait_us, pairs_timer_us());
    wait_us = sooner(wait_us, client_timer_us(now_us));
    wait_us = sooner(wait_us, log_timer_us(now_us));
    if (wire_paused_until_us != 0)
        wait_us = sooner(wait_us, now_us < wire_paused_until_us ? (int64_t)(wire_paused_until_us - now_us) : 0);
    if (deadline_us != 0)
        wait_us = sooner(wait_us, now_us < deadline_us ? (int64_t)(deadline_us - now_us) : 0);
    return wait_us;
}

static bool stop_is_complete(void)
{
    struct stack_counters counters;

    if (state != LOOP_STOPPING)
        return false;
    if (watch_now_us() >= deadline_us || socket_count() > 0)
        return watch_now_us() >= deadline_us;
    stack_get_counters(&counters); /* which looks at them all */
    return counters.sockets_unfinished == 0;
}

/* Pairs first: a program closes a socket and then asks for something, and not the other way round. What is brief is on
 * the wire before that is read, which takes long beside bulk. */
static void dispatch_batch(const struct epoll_event *events, int count)
{
    pairs_dispatch(events, count);
    pairs_run_brief();
    for (int i = 0; i < count; i++)
        dispatch(&events[i]);
}

void loop_wire_is_down(bool is_down)
{
    wire_events = EPOLLIN | (is_down ? EPOLLET : 0); /* an error is told once, not in each turn */
    wire_paused_until_us = 0;
    watch_wire(wire_events);
}

/*
 * The end of a turn: what was gathered goes out, acknowledgements when there is nothing else to do, or after
 * POSTPONE_TURNS: a program that has just been given data often answers by then, and its answer takes the
 * acknowledgement along.
 */
static void flush(bool had_events)
{
    static unsigned postponed; /* turns that acknowledgements waited */

    if (had_events && stack_acknowledgements_wait() && postponed < POSTPONE_TURNS) {
        postponed++;
        stack_flush_data();
    } else {
        postponed = 0;
        stack_flush();
    }
}

int loop_turn(void)
{
    struct epoll_event events[EVENTS_PER_TURN];
    int count = watch_wait(events, EVENTS_PER_TURN, choose_wait_us());
    const uint64_t now_us = watch_now_us();

    if (count < 0)
        return errno == EINTR ? 0 : -errno; /* loop_guard.c, which is to find the loop at rest from now on */
    loop_guard_begin();
    stack_set_clock(now_us);
    listener_run_timers(now_us);
    pairs_run_timers(now_us);
    client_run_timers(now_us);
    resume_wire();
    dispatch_batch(events, count);
    pairs_run();
    for (unsigned piece = 1; piece < WIRE_PIECES && stack_has_more(); piece++) {
        handle_wire();
        pairs_run();
    }
    resolver_run(now_us);
    log_run_timers(now_us);
    if (stack_timer_us() == 0) {
        stack_run_timers();
        datagram_deliver_flush();
    }
    flush(count > 0);
    capture_stream_flush();
    socket_sweep();
    client_sweep();
    outlet_sweep();
    loop_guard_end();
    return 0;
}

/* Watch what every turn needs, once. Return: 0 or -errno. */
static int watch_inputs(int signals)
{
    static struct watch signal_watch = {WATCH_SIGNAL};
    int error;

    if (signal_fd == signals)
        return 0;
    error = watch_add(signals, &signal_watch, EPOLLIN);
    signal_fd = signals;
    if (error == 0 && stack_wire_fd() >= 0)
        error = watch_add(stack_wire_fd(), &wire_watch, EPOLLIN);
    return error;
}

int loop_run_until(int signals, bool (*done)(void), unsigned timeout_ms)
{
    int error = watch_inputs(signals);

    deadline_us = watch_now_us() + timeout_ms * UINT64_C(1000);
    while (error == 0 && state == LOOP_RUNNING && !done() && watch_now_us() < deadline_us)
        error = loop_turn();
    if (error < 0)
        return error;
    if (state != LOOP_RUNNING)
        return -EINTR;
    deadline_us = 0;
    return done() ? 0 : -ETIMEDOUT;
}

/* Another service wants everything. What waits on the stack's own loopback is delivered before, as far as that comes to
 * an end. Return: was it handed over? */
static bool hand_over(void)
{
    if (state != LOOP_RUNNING || give == NULL || !takeover_is_wanted())
        return false;
    for (int i = 0; i < SETTLE_TURNS && stack_timer_us() == 0; i++)
        if (loop_turn() < 0)
            return false;
    stack_flush(); /* what flush() let wait */
    if (give())
        return true;
    watch_note_shared();
    return false;
}

int loop_prepare(int signals, int control)
{
    static struct watch control_watch = {WATCH_CONTROL};
    int error = watch_inputs(signals);

    if (error < 0 || control_fd == control)
        return error;
    control_fd = control;
    return watch_add(control_fd, &control_watch, EPOLLIN);
}

int loop_run(void)
{
    int error = 0;

    while (error == 0 && state != LOOP_ENDED && !stop_is_complete()) {
        error = loop_turn();
        if (error == 0 && hand_over())
            return LOOP_HANDED_OVER;
    }
    return error;
}

void loop_set_takeover(bool (*function)(void))
{
    give = function;
}

void loop_set_reload(void (*function)(void))
{
    reload = function;
}
