/*
 * servers.c - what servers do: prefork, SO_REUSEPORT, a backlog that overflows, one epoll over many kinds, limits on
 * descriptors, ends by exit and by close of a range.
 */
#include "oracle.h"

#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILDREN 4
#define CONNECTIONS 12

/* Children wait in accept(); each connection is served by one of them. */
static void run_prefork(void)
{
    int listen_fd = oracle_listen(CONNECTIONS), served = 0;
    pid_t children[CHILDREN];

    for (int i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            for (;;) {
                int fd = accept(listen_fd, NULL, NULL);

                if (fd < 0 || send(fd, "hello", 5, 0) != 5)
                    _exit(1);
                close(fd);
            }
        }
    }
    for (int i = 0; i < CONNECTIONS; i++) {
        peer_ask("connect %d %d", i, oracle_local_port(listen_fd));
        if (peer_ask("drain %d", i) == 5 && strcmp(peer_text(), " hello, then end of file") == 0)
            served++;
    }
    oracle_say("served %d", served);
    for (int i = 0; i < CHILDREN; i++) {
        kill(children[i], SIGTERM);
        waitpid(children[i], NULL, 0);
    }
    peer_do("connect 0 @ %d", oracle_local_port(listen_fd));
    CALL_FD(accept(listen_fd, NULL, NULL));
}

/* A child is killed while it waits in accept(): the others go on. */
static void run_accepter_killed(void)
{
    int listen_fd = oracle_listen(5);
    pid_t child = fork();

    if (child == 0) {
        accept(listen_fd, NULL, NULL);
        _exit(0);
    }
    peer_ask("when-blocked %d nothing", (int)child);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    peer_do("connect 0 @ %d", oracle_local_port(listen_fd));
    CALL_FD(accept(listen_fd, NULL, NULL));
}

/* A process is killed with connections in every state: its peers see each end. */
static void run_killed(void)
{
    int listen_fd = oracle_listen(5), ready[2];
    pid_t child;

    if (pipe(ready) < 0)
        oracle_die("pipe");
    child = fork();
    if (child == 0) {
        int plain = accept(listen_fd, NULL, NULL), unread = accept(listen_fd, NULL, NULL);
        int half = accept(listen_fd, NULL, NULL);

        oracle_wait_bytes(unread, 5);
        shutdown(half, SHUT_WR);
        if (plain < 0 || write(ready[1], "r", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    peer_do("connect 0 @ %d", oracle_local_port(listen_fd));
    peer_do("connect 1 @ %d", oracle_local_port(listen_fd));
    peer_do("connect 2 @ %d", oracle_local_port(listen_fd));
    peer_do("send 1 5");
    if (read(ready[0], &(char){0}, 1) != 1)
        oracle_die("read");
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    peer_do("drain 0");
    peer_do("drain 1");
    peer_do("drain 2");
}

static void run_reuseport(void)
{
    int on = 1, first = oracle_socket(), second = oracle_socket(), total = 0;

    setsockopt(first, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    setsockopt(second, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    CALL(oracle_bind(first, oracle_subject_address(0)));
    CALL(oracle_bind(second, oracle_subject_address(oracle_local_port(first))));
    CALL(listen(first, CONNECTIONS));
    CALL(listen(second, CONNECTIONS));
    for (int i = 0; i < CONNECTIONS; i++)
        peer_do("connect %d @ %d", i, oracle_local_port(first));
    for (int i = 0; i < CONNECTIONS; i++) {
        struct pollfd poll_fds[2] = {{.fd = first, .events = POLLIN}, {.fd = second, .events = POLLIN}};

        if (poll(poll_fds, 2, 5000) < 1)
            break;
        total += accept(poll_fds[0].revents & POLLIN ? first : second, NULL, NULL) >= 0;
    }
    oracle_say("accepted %d", total);
}

/* More connections than the backlog: those too many are accepted after there is room. */
static void run_backlog_overflow(void)
{
    int listen_fd = oracle_listen(1);

    peer_do("connect 0 @ %d", oracle_local_port(listen_fd));
    peer_do("connect 1 @ %d", oracle_local_port(listen_fd));
    peer_do("start 2 @ %d", oracle_local_port(listen_fd));
    CALL_FD(accept(listen_fd, NULL, NULL));
    CALL_FD(accept(listen_fd, NULL, NULL));
    peer_do("finish 2");
    CALL_FD(accept(listen_fd, NULL, NULL));
    oracle_print_poll(listen_fd);
}

/* A larger backlog by a second listen(). */
static void run_backlog_raised(void)
{
    int listen_fd = oracle_listen(0);

    CALL(listen(listen_fd, 8));
    for (int i = 0; i < 8; i++)
        peer_do("connect %d @ %d", i, oracle_local_port(listen_fd));
    for (int i = 0; i < 8; i++)
        CALL_FD(accept(listen_fd, NULL, NULL));
}

static void add(int epoll_fd, int fd, unsigned number)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = number};

    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        oracle_die("epoll_ctl");
}

static void print_ready(int epoll_fd)
{
    struct epoll_event events[8];
    int count = epoll_wait(epoll_fd, events, 8, 2000);
    unsigned ready = 0;

    for (int i = 0; i < count; i++)
        ready |= 1u << events[i].data.u32;
    oracle_say("ready: %x", ready);
}

/* One epoll over a listener, a connection, a pipe, an eventfd, an AF_UNIX pair, and all of that in another epoll. */
static void run_mixed_epoll(void)
{
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC), outer_fd = epoll_create1(EPOLL_CLOEXEC), fd = oracle_connect_peer();
    int listen_fd = oracle_listen(5), pipe_fds[2], pair[2], event_fd = eventfd(0, EFD_CLOEXEC);

    if (pipe(pipe_fds) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
        oracle_die("pipe and pair");
    add(epoll_fd, listen_fd, 0);
    add(epoll_fd, fd, 1);
    add(epoll_fd, pipe_fds[0], 2);
    add(epoll_fd, pair[0], 3);
    add(epoll_fd, event_fd, 4);
    add(outer_fd, epoll_fd, 5);
    peer_do("connect 1 @ %d", oracle_local_port(listen_fd));
    oracle_wait_bits(listen_fd, POLLIN);
    print_ready(epoll_fd);
    peer_do("send 0 3");
    oracle_wait_bits(fd, POLLIN);
    print_ready(epoll_fd);
    CALL(write(pipe_fds[1], "x", 1));
    CALL(write(pair[1], "x", 1));
    CALL(eventfd_write(event_fd, 1));
    print_ready(epoll_fd);
    print_ready(outer_fd);
    oracle_recv(fd, 10, 0);
    CALL_FD(accept(listen_fd, NULL, NULL));
    print_ready(epoll_fd);
    CALL(epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL));
    peer_do("send 0 3");
    oracle_wait_bits(fd, POLLIN);
    print_ready(epoll_fd);
}

static void run_many_in_poll(void)
{
    struct pollfd poll_fds[8];
    int listen_fd = oracle_listen(8);

    for (int i = 0; i < 8; i++) {
        peer_ask("connect %d %d", i, oracle_local_port(listen_fd));
        poll_fds[i] = (struct pollfd){.fd = accept(listen_fd, NULL, NULL), .events = POLLIN};
    }
    CALL(poll(poll_fds, 8, 0));
    peer_do("send 3 1");
    peer_do("close 6");
    oracle_wait_bits(poll_fds[3].fd, POLLIN);
    oracle_wait_bits(poll_fds[6].fd, POLLRDHUP);
    CALL(poll(poll_fds, 8, 1000));
    for (int i = 0; i < 8; i++)
        oracle_say("%d: %s", i, oracle_bits_text((unsigned)poll_fds[i].revents));
}

static void set_limit(rlim_t count)
{
    struct rlimit limit = {.rlim_cur = count, .rlim_max = 4096};

    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        oracle_die("setrlimit");
}

/* No number is free: EMFILE; and a connection that could not be accepted is there when a number is. */
static void run_no_number(void)
{
    int listen_fd = oracle_listen(5), spare = dup(0), fd;

    set_limit((rlim_t)spare + 1);
    CALL_FD(socket(oracle_family(), SOCK_STREAM, 0));
    peer_do("connect 0 @ %d", oracle_local_port(listen_fd));
    oracle_wait_bits(listen_fd, POLLIN);
    CALL_FD(accept(listen_fd, NULL, NULL));
    oracle_print_poll(listen_fd);
    close(spare);
    fd = CALL_FD(accept(listen_fd, NULL, NULL));
    oracle_send_pattern(fd, 5);
    peer_do("recv 0 5");
}

static void run_many_sockets(void)
{
    int fds[300], made = 0, listen_fd = oracle_listen(5);

    for (int i = 0; i < 300; i++) {
        fds[i] = socket(oracle_family(), SOCK_STREAM, 0);
        made += fds[i] >= 0;
    }
    oracle_say("made %d", made);
    for (int i = 0; i < 300; i++)
        close(fds[i]);
    for (int i = 0; i < 200; i++) {
        int fd;

        if (peer_ask("connect 0 %d", oracle_local_port(listen_fd)) < 0 || (fd = accept(listen_fd, NULL, NULL)) < 0)
            oracle_die("connection");
        made += send(fd, "x", 1, 0) == 1 && peer_ask("recv 0 1") == 1;
        close(fd);
    }
    oracle_say("used %d", made - 300);
}

static void run_close_range(void)
{
    int fd = oracle_connect_peer();

    oracle_send_pattern(fd, 5);
    CALL(close_range((unsigned)fd, (unsigned)fd, 0));
    peer_do("drain 0");
    CALL(send(fd, "x", 1, MSG_NOSIGNAL));
}

static void run_dup2_closes(void)
{
    int fd = oracle_connect_peer();

    oracle_send_pattern(fd, 5);
    CALL(dup2(0, fd) == fd);
    peer_do("drain 0");
    CALL(send(fd, "x", 1, MSG_NOSIGNAL));
}

static void run_exit_with_unread(void)
{
    int fd = oracle_connect_peer(), status;

    peer_do("send 0 5");
    oracle_wait_bytes(fd, 5);
    if (fork() == 0)
        _exit(0);
    wait(&status);
    oracle_print_poll(fd); /* still ours */
    if (fork() == 0) {
        oracle_recv(fd, 2, 0);
        _exit(0);
    }
    wait(&status);
    close(fd);
    peer_do("drain 0");
}

const struct oracle_case oracle_cases[] = {
    {"prefork", run_prefork},
    {"accepter_killed", run_accepter_killed},
    {"killed", run_killed},
    {"reuseport", run_reuseport},
    {"backlog_overflow", run_backlog_overflow},
    {"backlog_raised", run_backlog_raised},
    {"mixed_epoll", run_mixed_epoll},
    {"many_in_poll", run_many_in_poll},
    {"no_number", run_no_number},
    {"many_sockets", run_many_sockets},
    {"close_range", run_close_range},
    {"dup2_closes", run_dup2_closes},
    {"exit_with_unread", run_exit_with_unread},
    {NULL, NULL},
};
