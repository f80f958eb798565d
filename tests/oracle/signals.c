/*
 * signals.c - signals and threads: EINTR and SA_RESTART in each blocking call; a descriptor that another thread closes
 * or shuts down; many threads on one socket.
 */
#include "oracle.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#define THREADS 8
#define THREAD_BYTES 50000

static volatile sig_atomic_t signals_seen;

static void on_signal(int number)
{
    (void)number;
    signals_seen++;
}

static void install(int flags)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};

    signals_seen = 0;
    if (sigaction(SIGUSR1, &action, NULL) < 0)
        oracle_die("sigaction");
}

/* A signal comes while the next call blocks. */
static void expect_signal(void)
{
    peer_begin_when_blocked("signal @ %d %d", (int)getpid(), SIGUSR1);
}

/* A signal comes while the next call blocks, and when it blocks again, the peer does what ends it. */
static void expect_signal_then(const char *command)
{
    peer_begin_when_blocked("signal-then @ %d %d %s", (int)getpid(), SIGUSR1, command);
}

static void end_signal(void)
{
    peer_end();
    oracle_say("signals: %d", (int)signals_seen);
}

static void try_recv(int flags)
{
    int fd = oracle_connect_peer();
    char buffer[16] = "";
    struct iovec iov = {buffer, 15};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

    install(flags);
    for (int i = 0; i < 4; i++) {
        if (flags == SA_RESTART)
            expect_signal_then("send 0 3");
        else
            expect_signal();
        if (i == 0)
            oracle_recv(fd, 10, 0);
        else if (i == 1)
            CALL(read(fd, buffer, 10));
        else if (i == 2)
            CALL(recvmsg(fd, &message, 0));
        else
            CALL(readv(fd, &iov, 1));
        end_signal();
    }
    peer_do("send 0 5");
    oracle_recv(fd, 10, 0);
}

static void run_recv(void)
{
    try_recv(0);
}

static void run_recv_restart(void)
{
    try_recv(SA_RESTART);
}

/* With a time-out set, SA_RESTART does not restart on Linux. */
static void run_recv_timeout_restart(void)
{
    int fd = oracle_connect_peer();

    install(SA_RESTART);
    oracle_set_timeout(fd, SO_RCVTIMEO, 4000);
    expect_signal();
    oracle_recv(fd, 10, 0);
    end_signal();
}

/* What came before the signal is returned. */
static void run_recv_waitall(void)
{
    int fd = oracle_connect_peer();

    install(0);
    peer_do("send 0 5");
    oracle_wait_bytes(fd, 5);
    expect_signal();
    oracle_recv(fd, 10, MSG_WAITALL);
    end_signal();
}

static void run_send(void)
{
    int fd = oracle_connect_peer();

    install(0);
    oracle_fill(fd);
    expect_signal();
    CALL(send(fd, "x", 1, MSG_NOSIGNAL));
    end_signal();
}

static void run_accept(void)
{
    int listen_fd = oracle_listen(5);

    install(0);
    expect_signal();
    CALL_FD(accept(listen_fd, NULL, NULL));
    end_signal();
    peer_do("connect 0 @ %d", oracle_local_port(listen_fd));
    CALL_FD(accept(listen_fd, NULL, NULL));
}

static void run_accept_restart(void)
{
    int listen_fd = oracle_listen(5);
    char command[64];

    install(SA_RESTART);
    snprintf(command, sizeof command, "connect 0 %d", oracle_local_port(listen_fd));
    expect_signal_then(command);
    CALL_FD(accept(listen_fd, NULL, NULL));
    end_signal();
}

static void run_connect_restart(void)
{
    int fd = oracle_socket(), count = 2;

    install(SA_RESTART);
    CALL(setsockopt(fd, IPPROTO_TCP, 7 /* TCP_SYNCNT */, &count, sizeof count));
    oracle_set_timeout(fd, SO_SNDTIMEO, 500);
    expect_signal();
    CALL(oracle_connect(fd, oracle_address("silent", 80)));
    end_signal();
}

static void run_poll(void)
{
    int fd = oracle_connect_peer(), epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    struct epoll_event event = {.events = EPOLLIN};
    struct timeval time = {.tv_sec = 5};
    fd_set readable;

    install(SA_RESTART); /* these three never restart */
    expect_signal();
    CALL(poll(&poll_fd, 1, 5000));
    end_signal();
    FD_ZERO(&readable);
    FD_SET(fd, &readable);
    expect_signal();
    CALL(select(fd + 1, &readable, NULL, NULL, &time));
    end_signal();
    CALL(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event));
    expect_signal();
    CALL(epoll_wait(epoll_fd, &event, 1, 5000));
    end_signal();
}

/* ---- threads ---- */

struct job {
    int fd;
    volatile long tid;
    pthread_t thread;
};

/* Start a thread on fd and wait until it is blocked. */
static void start_blocked(struct job *job, int fd, void *(*run)(void *))
{
    job->fd = fd;
    job->tid = 0;
    if (pthread_create(&job->thread, NULL, run, job) != 0)
        oracle_die("pthread_create");
    while (job->tid == 0)
        poll(NULL, 0, 1);
    peer_ask("when-blocked %ld nothing", job->tid);
}

static void *recv_in_thread(void *argument)
{
    struct job *job = argument;

    job->tid = syscall(SYS_gettid);
    oracle_recv(job->fd, 10, 0);
    return NULL;
}

static void *accept_in_thread(void *argument)
{
    struct job *job = argument;
    int fd;

    job->tid = syscall(SYS_gettid);
    fd = CALL_FD(accept(job->fd, NULL, NULL));
    if (fd >= 0)
        oracle_send_pattern(fd, 5);
    return NULL;
}

static void run_close_in_recv(void)
{
    int fd = oracle_connect_peer();
    struct job job;

    start_blocked(&job, fd, recv_in_thread);
    CALL(close(fd));
    peer_ask("send 0 5"); /* the call holds the socket, and gets it */
    pthread_join(job.thread, NULL);
    peer_do("drain 0");
}

static void run_shutdown_in_recv(void)
{
    int fd = oracle_connect_peer();
    struct job job;

    start_blocked(&job, fd, recv_in_thread);
    if (shutdown(fd, SHUT_RD) < 0) /* the thread prints meanwhile */
        oracle_die("shutdown");
    pthread_join(job.thread, NULL);
    oracle_send_pattern(fd, 5);
    peer_do("recv 0 5");
}

static void run_close_in_accept(void)
{
    int listen_fd = oracle_listen(5), port = oracle_local_port(listen_fd);
    struct job job;

    start_blocked(&job, listen_fd, accept_in_thread);
    CALL(close(listen_fd));
    peer_ask("connect 0 %d", port);
    pthread_join(job.thread, NULL);
    peer_do("recv 0 5");
    peer_do("connect 1 @ %d", port);
}

static void run_shutdown_in_accept(void)
{
    int listen_fd = oracle_listen(5);
    struct job job;

    start_blocked(&job, listen_fd, accept_in_thread);
    if (shutdown(listen_fd, SHUT_RDWR) < 0)
        oracle_die("shutdown");
    pthread_join(job.thread, NULL);
}

static void *send_in_thread(void *argument)
{
    static char buffer[THREAD_BYTES];
    struct job *job = argument;
    size_t total = 0;

    while (total < sizeof buffer) {
        ssize_t result = send(job->fd, buffer, sizeof buffer - total, MSG_NOSIGNAL);

        if (result <= 0)
            break;
        total += (size_t)result;
    }
    job->tid = (long)total;
    return NULL;
}

static void run_many_senders(void)
{
    int fd = oracle_connect_peer();
    struct job jobs[THREADS];
    long sum = 0;

    for (int i = 0; i < THREADS; i++) {
        jobs[i].fd = fd;
        if (pthread_create(&jobs[i].thread, NULL, send_in_thread, &jobs[i]) != 0)
            oracle_die("pthread_create");
    }
    oracle_say("the peer gets %ld", peer_ask("recv 0 %d", THREADS * THREAD_BYTES));
    for (int i = 0; i < THREADS; i++) {
        pthread_join(jobs[i].thread, NULL);
        sum += jobs[i].tid;
    }
    oracle_say("sent %ld", sum);
}

static void *accept_one(void *argument)
{
    struct job *job = argument;
    int fd = accept(job->fd, NULL, NULL);

    job->tid = fd >= 0 && send(fd, "abcde", 5, 0) == 5;
    return NULL;
}

static void run_many_accepters(void)
{
    int listen_fd = oracle_listen(THREADS);
    struct job jobs[THREADS];
    long sum = 0;

    for (int i = 0; i < THREADS; i++) {
        jobs[i].fd = listen_fd;
        if (pthread_create(&jobs[i].thread, NULL, accept_one, &jobs[i]) != 0)
            oracle_die("pthread_create");
    }
    for (int i = 0; i < THREADS; i++) {
        peer_do("connect %d @ %d", i, oracle_local_port(listen_fd));
        peer_do("recv %d 5", i);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(jobs[i].thread, NULL);
        sum += jobs[i].tid;
    }
    oracle_say("accepted %ld", sum);
}

const struct oracle_case oracle_cases[] = {
    {"recv", run_recv},
    {"recv_restart", run_recv_restart},
    {"recv_timeout_restart", run_recv_timeout_restart},
    {"recv_waitall", run_recv_waitall},
    {"send", run_send},
    {"accept", run_accept},
    {"accept_restart", run_accept_restart},
    {"connect_restart", run_connect_restart},
    {"poll", run_poll},
    {"close_in_recv", run_close_in_recv},
    {"shutdown_in_recv", run_shutdown_in_recv},
    {"close_in_accept", run_close_in_accept},
    {"shutdown_in_accept", run_shutdown_in_accept},
    {"many_senders", run_many_senders},
    {"many_accepters", run_many_accepters},
    {NULL, NULL},
};
