/*
 * descriptors.c - what belongs to the descriptor and what to the socket: flags shared by duplicates, epoll sets, what
 * AF_UNIX would show through getsockopt() and ioctl(), sockets used from handlers, threads that fork.
 */
#include "oracle.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* O_NONBLOCK belongs to the open file: duplicates and children share it. */
static void run_shared_flags(void)
{
    int fd = oracle_connect_peer(), copy = dup(fd), status;

    oracle_set_nonblocking(copy, true);
    oracle_recv(fd, 10, 0);
    if (fork() == 0) {
        oracle_set_nonblocking(fd, false);
        _exit(0);
    }
    wait(&status);
    oracle_say("O_NONBLOCK %d", (fcntl(copy, F_GETFL) & O_NONBLOCK) != 0);
    CALL(fcntl(copy, F_SETFD, FD_CLOEXEC));
    oracle_say("FD_CLOEXEC %d %d", fcntl(fd, F_GETFD), fcntl(copy, F_GETFD));
}

static void run_shared_options(void)
{
    int fd = oracle_connect_peer(), copy = dup(fd), on = 1;
    socklen_t length = sizeof on;

    CALL(setsockopt(copy, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
    close(copy);
    on = 0;
    CALL(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &length));
    oracle_say("TCP_NODELAY %d", on);
}

/* A closed descriptor leaves its epoll set, unless a duplicate holds the socket. */
static void run_epoll_closed(void)
{
    int fd = oracle_connect_peer(), copy = dup(fd), epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};

    CALL(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event));
    CALL(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event));
    CALL(epoll_ctl(epoll_fd, EPOLL_CTL_MOD, copy, &event));
    close(fd);
    peer_do("send 0 3");
    oracle_wait_bytes(copy, 3);
    CALL(epoll_wait(epoll_fd, &event, 1, 2000));
    close(copy);
    CALL(epoll_wait(epoll_fd, &event, 1, 0));
    CALL(epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL));
}

static void run_epoll_exclusive(void)
{
    int listen_fd = oracle_listen(5), first = epoll_create1(0), second = epoll_create1(0), woken = 0;
    struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE};

    CALL(epoll_ctl(first, EPOLL_CTL_ADD, listen_fd, &event));
    CALL(epoll_ctl(second, EPOLL_CTL_ADD, listen_fd, &event));
    CALL(epoll_ctl(first, EPOLL_CTL_MOD, listen_fd, &event));
    peer_do("connect 0 @ %d", oracle_local_port(listen_fd));
    oracle_wait_bits(listen_fd, POLLIN);
    woken += epoll_wait(first, &event, 1, 0) == 1;
    woken += epoll_wait(second, &event, 1, 0) == 1;
    oracle_say("at least one was woken: %d", woken >= 1);
    CALL_FD(accept(listen_fd, NULL, NULL));
}

/* A descriptor number is used again for another socket in an epoll set. */
static void run_number_again(void)
{
    int fd = oracle_connect_peer(), epoll_fd = epoll_create1(EPOLL_CLOEXEC), again;
    struct epoll_event event = {.events = EPOLLIN};

    CALL(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event));
    close(fd);
    again = oracle_connect_peer();
    oracle_say("the same number: %d", again == fd);
    CALL(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, again, &event));
    peer_do("send 0 3");
    CALL(epoll_wait(epoll_fd, &event, 1, 2000));
    oracle_recv(again, 10, 0);
}

/* The number becomes a file, and a socket again: nothing is remembered of the one before. */
static void run_number_changes_kind(void)
{
    int fd = oracle_connect_peer(), again;
    char byte;

    close(fd);
    again = open("/dev/null", O_RDWR);
    oracle_say("the same number: %d", again == fd);
    CALL(read(again, &byte, 1));
    CALL(write(again, "x", 1));
    CALL(send(again, "x", 1, 0));
    CALL(lseek(again, 0, SEEK_SET));
    close(again);
    again = oracle_socket();
    CALL(read(again, &byte, 1));
    close(again);
    again = oracle_listen(1);
    oracle_recv(again, 1, 0);
    close(again);
    again = oracle_accept_peer();
    oracle_send_pattern(again, 5);
    peer_do("recv 0 5");
}

static void run_unix_options(void)
{
    struct {
        int pid;
        unsigned uid, gid;
    } credentials = {0};
    char buffer[128];
    socklen_t length = sizeof credentials;
    int fd = oracle_connect_peer(), on = 1;

    CALL(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length));
    oracle_say("length %u: %d %d %d", (unsigned)length, credentials.pid, (int)credentials.uid, (int)credentials.gid);
    length = sizeof buffer;
    CALL(getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, buffer, &length));
    length = sizeof buffer;
    CALL(getsockopt(fd, SOL_SOCKET, SO_PEERSEC, buffer, &length));
    length = sizeof buffer;
    CALL(getsockopt(fd, SOL_SOCKET, SO_PEERNAME, buffer, &length));
    oracle_say("%s", oracle_address_text(buffer, length));
    CALL(setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
    CALL(setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &on, sizeof on));
}

static void run_unix_ioctls(void)
{
    int fd = oracle_connect_peer(), value = -1;

    CALL(ioctl(fd, SIOCATMARK, &value));
    oracle_say("%d", value);
    CALL(ioctl(fd, 0x894B /* SIOCOUTQNSD */, &value));
    oracle_say("%d", value);
    CALL(ioctl(fd, TIOCOUTQ, &value));
    oracle_say("%d", value);
    CALL(ioctl(oracle_listen(1), FIONREAD, &value));
    CALL(ioctl(oracle_listen(1), TIOCOUTQ, &value));
    CALL(ioctl(oracle_socket(), TIOCOUTQ, &value));
    CALL(ioctl(oracle_socket(), SIOCATMARK, &value));
}

static int handler_fd;

static void send_in_handler(int number)
{
    (void)number;
    send(handler_fd, "signal", 6, MSG_NOSIGNAL);
}

static void run_handler_sends(void)
{
    struct sigaction action = {.sa_handler = send_in_handler, .sa_flags = SA_RESTART};

    handler_fd = oracle_connect_peer();
    sigaction(SIGUSR1, &action, NULL);
    peer_begin_when_blocked("signal-then @ %d %d send 0 5", (int)getpid(), SIGUSR1);
    oracle_recv(handler_fd, 10, 0);
    peer_end();
    peer_do("recv 0 6");
}

static void connect_in_handler(int number)
{
    int fd = socket(oracle_family(), SOCK_STREAM, 0);

    (void)number;
    if (oracle_connect(fd, oracle_peer_address(handler_fd)) == 0)
        send(fd, "hello", 5, MSG_NOSIGNAL);
    close(fd);
}

/* A new socket made, connected and closed in a handler that interrupts an accept(). */
static void run_handler_connects(void)
{
    struct sigaction action = {.sa_handler = connect_in_handler, .sa_flags = SA_RESTART};
    int listen_fd = oracle_listen(5);

    handler_fd = oracle_peer_listen(5);
    sigaction(SIGUSR1, &action, NULL);
    peer_begin_when_blocked("signal-then @ %d %d connect 1 %d", (int)getpid(), SIGUSR1, oracle_local_port(listen_fd));
    CALL_FD(accept(listen_fd, NULL, NULL));
    peer_end();
    peer_do("accept 0");
    peer_do("drain 0");
}

static volatile bool stop_thread;

static void *open_and_close(void *unused)
{
    (void)unused;
    while (!stop_thread) {
        int fd = socket(oracle_family(), SOCK_STREAM, 0);

        if (fd >= 0)
            close(fd);
    }
    return NULL;
}

/* One thread makes sockets while another forks; each child makes and connects one of its own. */
static void run_fork_beside_thread(void)
{
    int port = oracle_peer_listen(100), good = 0;
    pthread_t thread;

    if (pthread_create(&thread, NULL, open_and_close, NULL) != 0)
        oracle_die("pthread_create");
    for (int i = 0; i < 30; i++) {
        int status;
        pid_t child = fork();

        if (child == 0) {
            int fd = socket(oracle_family(), SOCK_STREAM, 0);

            alarm(10);
            _exit(fd >= 0 && oracle_connect(fd, oracle_peer_address(port)) == 0 ? 0 : 1);
        }
        waitpid(child, &status, 0);
        good += status == 0;
    }
    stop_thread = true;
    pthread_join(thread, NULL);
    oracle_say("children that connected: %d", good);
}

static void run_vfork_exec(void)
{
    int fd = oracle_connect_peer();
    pid_t child = vfork();

    if (child == 0) {
        dup2(fd, 1);
        execlp("echo", "echo", "-n", "hello", (char *)NULL);
        _exit(127);
    }
    waitpid(child, NULL, 0);
    peer_do("recv 0 5");
    oracle_send_pattern(fd, 5);
    close(fd);
    peer_do("drain 0");
}

const struct oracle_case oracle_cases[] = {
    {"shared_flags", run_shared_flags},
    {"shared_options", run_shared_options},
    {"epoll_closed", run_epoll_closed},
    {"epoll_exclusive", run_epoll_exclusive},
    {"number_again", run_number_again},
    {"number_changes_kind", run_number_changes_kind},
    {"unix_options", run_unix_options},
    {"unix_ioctls", run_unix_ioctls},
    {"handler_sends", run_handler_sends},
    {"handler_connects", run_handler_connects},
    {"fork_beside_thread", run_fork_beside_thread},
    {"vfork_exec", run_vfork_exec},
    {NULL, NULL},
};
