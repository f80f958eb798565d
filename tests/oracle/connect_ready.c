/*
 * connect_ready.c - what poll, select and epoll (level, edge, one-shot) say of a non-blocking connect() to a peer that
 * accepts, refuses, or is silent.
 */
#include "oracle.h"

#include <sys/epoll.h>
#include <sys/select.h>
#include <unistd.h>

enum peer_kind { ACCEPTING, REFUSING, SILENT };

/* How long a silent peer is waited for: long enough for a false event to show. */
#define SILENT_MS 200
#define DEADLINE_MS 5000

/* What is asked of epoll. */
#define EVENTS (EPOLLIN | EPOLLOUT | EPOLLRDHUP)

/* A socket on which connect() was begun. */
static int begin_connect(enum peer_kind kind, int epoll_fd, unsigned epoll_events)
{
    union oracle_sockaddr address = oracle_address("silent", 80);
    struct epoll_event event = {.events = epoll_events};
    int fd = oracle_socket();

    if (kind == ACCEPTING)
        address = oracle_peer_address(oracle_peer_listen(5));
    else if (kind == REFUSING)
        address = oracle_peer_address(oracle_refused_port());
    oracle_set_nonblocking(fd, true);
    CALL(oracle_connect(fd, address));
    if (epoll_fd >= 0)
        CALL(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event));
    return fd;
}

static void try_poll(enum peer_kind kind)
{
    int fd = begin_connect(kind, -1, 0);
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};

    CALL(poll(&poll_fd, 1, kind == SILENT ? SILENT_MS : DEADLINE_MS));
    oracle_say("%s", oracle_bits_text(oracle_settled(fd, (unsigned)poll_fd.revents, (unsigned)poll_fd.events)));
    oracle_print_so_error(fd);
    oracle_print_poll(fd);
}

static void try_poll_out_only(enum peer_kind kind)
{
    int fd = begin_connect(kind, -1, 0);
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};

    CALL(poll(&poll_fd, 1, kind == SILENT ? SILENT_MS : DEADLINE_MS));
    oracle_say("%s", oracle_bits_text(oracle_settled(fd, (unsigned)poll_fd.revents, (unsigned)poll_fd.events)));
    oracle_print_so_error(fd);
}

static void try_select(enum peer_kind kind)
{
    int fd = begin_connect(kind, -1, 0);
    struct timeval time = {.tv_sec = kind == SILENT ? 0 : DEADLINE_MS / 1000, .tv_usec = kind == SILENT ? 200000 : 0};
    fd_set readable, writable, except;

    FD_ZERO(&readable);
    FD_ZERO(&writable);
    FD_ZERO(&except);
    FD_SET(fd, &readable);
    FD_SET(fd, &writable);
    FD_SET(fd, &except);
    CALL(select(fd + 1, &readable, &writable, &except, &time));
    oracle_say("readable %d, writable %d, exceptional %d", FD_ISSET(fd, &readable) != 0, FD_ISSET(fd, &writable) != 0,
               FD_ISSET(fd, &except) != 0);
    oracle_print_so_error(fd);
}

/*
 * Print what epoll reports until the connect has ended, then what it has to say at once. An edge may be reported twice
 * (Linux allows a spurious one), so the same bits in a row are printed once for edge-triggered descriptors.
 */
static void print_epoll(int epoll_fd, int fd, unsigned mode, int timeout_ms)
{
    struct epoll_event event = {0};
    unsigned before = 0;

    for (int i = 0; i < 4; i++) {
        int count = epoll_wait(epoll_fd, &event, 1, i == 0 ? timeout_ms : 0);

        if (count <= 0) {
            oracle_say("epoll: nothing");
            return;
        }
        event.events = oracle_settled(fd, event.events, EVENTS);
        if (event.events != before || mode == 0)
            oracle_say("epoll: %s", oracle_bits_text(event.events));
        before = event.events;
    }
}

static void try_epoll(enum peer_kind kind, unsigned mode)
{
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    unsigned events = EVENTS | mode;
    int timeout_ms = kind == SILENT ? SILENT_MS : DEADLINE_MS;
    int fd = begin_connect(kind, epoll_fd, events);
    struct epoll_event event = {.events = events};

    print_epoll(epoll_fd, fd, mode, timeout_ms);
    oracle_print_so_error(fd);
    if (mode == EPOLLONESHOT) {
        CALL(epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &event));
        print_epoll(epoll_fd, fd, EPOLLET, 0);
    }
    if (kind != ACCEPTING)
        return;
    peer_do("accept 0");
    peer_do("send 0 3");
    if (mode == EPOLLONESHOT)
        CALL(epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &event));
    oracle_wait_bits(fd, POLLIN);
    print_epoll(epoll_fd, fd, EPOLLET, timeout_ms);
    oracle_recv(fd, 10, 0);
}

/* Registered before connect(): a new socket reports HUP there, and the edge of the connect comes after. */
static void try_epoll_registered_before(enum peer_kind kind, unsigned mode)
{
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC), fd = oracle_socket();
    struct epoll_event event = {.events = EVENTS | mode};
    union oracle_sockaddr address;

    if (kind == ACCEPTING)
        address = oracle_peer_address(oracle_peer_listen(5));
    else
        address = oracle_peer_address(oracle_refused_port());
    oracle_set_nonblocking(fd, true);
    CALL(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event));
    CALL(oracle_connect(fd, address));
    oracle_wait_bits(fd, kind == ACCEPTING ? POLLOUT : POLLERR);
    print_epoll(epoll_fd, fd, EPOLLET, DEADLINE_MS);
    oracle_print_so_error(fd);
}

/* A socket that was refused connects again: the epoll set that holds it still reports. */
static void run_epoll_again(void)
{
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC), fd = begin_connect(REFUSING, epoll_fd, EVENTS | EPOLLET);

    print_epoll(epoll_fd, fd, EPOLLET, DEADLINE_MS);
    CALL(oracle_connect(fd, oracle_peer_address(80))); /* tells the error */
    CALL(oracle_connect(fd, oracle_peer_address(oracle_peer_listen(5))));
    oracle_wait_bits(fd, POLLOUT);
    peer_do("accept 0");
    peer_do("send 0 3");
    oracle_wait_bits(fd, POLLIN);
    print_epoll(epoll_fd, fd, EPOLLET, SILENT_MS);
    oracle_recv(fd, 10, 0);
}

static void run_poll_accepting(void) { try_poll(ACCEPTING); }
static void run_poll_refusing(void) { try_poll(REFUSING); }
static void run_poll_silent(void) { try_poll(SILENT); }
static void run_poll_out_accepting(void) { try_poll_out_only(ACCEPTING); }
static void run_poll_out_refusing(void) { try_poll_out_only(REFUSING); }
static void run_select_accepting(void) { try_select(ACCEPTING); }
static void run_select_refusing(void) { try_select(REFUSING); }
static void run_select_silent(void) { try_select(SILENT); }
static void run_level_accepting(void) { try_epoll(ACCEPTING, 0); }
static void run_level_refusing(void) { try_epoll(REFUSING, 0); }
static void run_level_silent(void) { try_epoll(SILENT, 0); }
static void run_edge_accepting(void) { try_epoll(ACCEPTING, EPOLLET); }
static void run_edge_refusing(void) { try_epoll(REFUSING, EPOLLET); }
static void run_edge_silent(void) { try_epoll(SILENT, EPOLLET); }
static void run_oneshot_accepting(void) { try_epoll(ACCEPTING, EPOLLONESHOT); }
static void run_oneshot_refusing(void) { try_epoll(REFUSING, EPOLLONESHOT); }
static void run_oneshot_silent(void) { try_epoll(SILENT, EPOLLONESHOT); }
static void run_before_level_accepting(void) { try_epoll_registered_before(ACCEPTING, 0); }
static void run_before_edge_accepting(void) { try_epoll_registered_before(ACCEPTING, EPOLLET); }
static void run_before_edge_refusing(void) { try_epoll_registered_before(REFUSING, EPOLLET); }

const struct oracle_case oracle_cases[] = {
    {"poll_accepting", run_poll_accepting},
    {"poll_refusing", run_poll_refusing},
    {"poll_silent", run_poll_silent},
    {"poll_out_accepting", run_poll_out_accepting},
    {"poll_out_refusing", run_poll_out_refusing},
    {"select_accepting", run_select_accepting},
    {"select_refusing", run_select_refusing},
    {"select_silent", run_select_silent},
    {"epoll_level_accepting", run_level_accepting},
    {"epoll_level_refusing", run_level_refusing},
    {"epoll_level_silent", run_level_silent},
    {"epoll_edge_accepting", run_edge_accepting},
    {"epoll_edge_refusing", run_edge_refusing},
    {"epoll_edge_silent", run_edge_silent},
    {"epoll_oneshot_accepting", run_oneshot_accepting},
    {"epoll_oneshot_refusing", run_oneshot_refusing},
    {"epoll_oneshot_silent", run_oneshot_silent},
    {"epoll_again", run_epoll_again},
    {"epoll_before_level_accepting", run_before_level_accepting},
    {"epoll_before_edge_accepting", run_before_edge_accepting},
    {"epoll_before_edge_refusing", run_before_edge_refusing},
    {NULL, NULL},
};
