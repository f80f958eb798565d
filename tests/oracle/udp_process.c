/* udp_process.c - datagram sockets in more than one descriptor, thread, process and program. */
#include "oracle_datagram.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void wait_child(pid_t child)
{
    int status;

    if (waitpid(child, &status, 0) != child)
        oracle_die("waitpid");
    oracle_say("child: %s %d", WIFEXITED(status) ? "exit" : "signal",
               WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

/* One datagram each way. */
static void use_connected(int fd)
{
    CALL(send(fd, "abc", 3, 0));
    peer_do("udp-recv 0");
    peer_do("udp-send 0 3 0");
    oracle_wait_datagram(fd);
    oracle_recvfrom(fd, 10, 0);
}

static void run_fork(void)
{
    int fd = oracle_udp_connected();
    pid_t child;

    peer_ask("udp-connect 0 %d", oracle_local_port(fd));
    child = fork();
    if (child == 0) {
        use_connected(fd);
        oracle_print_names(fd);
        _exit(0);
    }
    wait_child(child);
    use_connected(fd);
}

/* A socket that the child binds and connects is bound and connected for the parent. */
static void run_fork_new(void)
{
    int fd = oracle_udp(), port = oracle_peer_udp(0);
    pid_t child = fork();

    if (child == 0) {
        CALL(oracle_bind(fd, oracle_subject_address(0)));
        oracle_name_port(oracle_local_port(fd), "bound");
        CALL(oracle_connect(fd, oracle_peer_address(port)));
        _exit(0);
    }
    wait_child(child);
    oracle_name_port(oracle_local_port(fd), "bound");
    oracle_print_names(fd);
    peer_ask("udp-connect 0 %d", oracle_local_port(fd));
    use_connected(fd);
}

/* The parent closes; the child has the port still, until it ends. */
static void run_fork_close(void)
{
    int fd = oracle_udp_bound(), port = oracle_local_port(fd), ends[2], other = oracle_udp();
    pid_t child;

    oracle_peer_udp(0);
    if (pipe(ends) < 0)
        oracle_die("pipe");
    child = fork();
    if (child == 0) {
        close(ends[1]);
        if (read(ends[0], &(char){0}, 1) != 0)
            oracle_die("read");
        oracle_recvfrom(fd, 10, 0);
        _exit(0);
    }
    CALL(close(fd));
    peer_do("udp-send 0 3 @ %d", port);
    CALL(oracle_bind(other, oracle_subject_address(port)));
    close(ends[1]);
    wait_child(child);
    CALL(oracle_bind(other, oracle_subject_address(port)));
}

/* Each datagram goes to one of those who wait. */
static void run_fork_shared(void)
{
    int fd = oracle_udp_bound();
    pid_t children[3];

    oracle_peer_udp(0);
    for (int i = 0; i < 3; i++) {
        children[i] = fork();
        if (children[i] == 0)
            _exit(recv(fd, &(char[10]){0}, 10, 0) == 3 ? 0 : 1);
    }
    peer_do("udp-send 0 3 @ %d 3", oracle_local_port(fd));
    for (int i = 0; i < 3; i++)
        wait_child(children[i]);
    oracle_recvfrom(fd, 10, MSG_DONTWAIT);
}

static void run_dup(void)
{
    int fd = oracle_udp_connected(), copy;

    peer_ask("udp-connect 0 %d", oracle_local_port(fd));
    copy = CALL_FD(dup(fd));
    close(fd);
    use_connected(copy);
    oracle_print_names(copy);
    fd = CALL_FD(fcntl(copy, F_DUPFD_CLOEXEC, 100));
    use_connected(fd);
    close(fd);
    CALL(dup2(copy, 50) == 50);
    CALL(dup3(copy, 51, O_CLOEXEC) == 51);
    close(copy);
    use_connected(50);
    use_connected(51);
}

/* A duplicate is the same socket: what one connects is connected in the other. */
static void run_dup_connect(void)
{
    int fd = oracle_udp_bound(), copy = dup(fd), port = oracle_peer_udp(0);

    CALL(oracle_connect(fd, oracle_peer_address(port)));
    oracle_print_names(copy);
    CALL(send(copy, "abc", 3, 0));
    peer_do("udp-recv 0");
    CALL(write(copy, "def", 3));
    peer_do("udp-recv 0");
    CALL(connect(copy, &(struct sockaddr){.sa_family = AF_UNSPEC}, sizeof(struct sockaddr)));
    CALL(send(fd, "abc", 3, 0));
    CALL(write(fd, "abc", 3));
}

/* As inetd starts a program for a datagram service: the socket is its standard input and output. */
static void run_exec(void)
{
    int fd = oracle_udp_bound();
    pid_t child;

    oracle_peer_udp(0);
    oracle_peer_sends(fd, 3);
    child = fork();
    if (child == 0) {
        char number[16];

        dup2(fd, STDIN_FILENO);
        dup2(fd, STDOUT_FILENO);
        close(fd);
        snprintf(number, sizeof number, "%d", ORACLE_PEER_FD);
        fcntl(ORACLE_PEER_FD, F_SETFD, 0);
        execl("/proc/self/exe", "udp_process", "_child", (char *)NULL);
        _exit(1);
    }
    wait_child(child);
    peer_do("udp-recv 0");
    oracle_print_names(fd);
}

static void run_exec_child(void)
{
    struct sockaddr_storage from;
    socklen_t length = sizeof from;
    char buffer[10];
    ssize_t result;

    oracle_print_names(STDIN_FILENO);
    result = CALL(recvfrom(STDIN_FILENO, buffer, sizeof buffer, 0, (struct sockaddr *)&from, &length));
    CALL(sendto(STDOUT_FILENO, buffer, (size_t)result, 0, (struct sockaddr *)&from, length));
}

/* A program that knows nothing of sockets. */
static void run_copy(void)
{
    char buffer[100];
    ssize_t length = read(STDIN_FILENO, buffer, sizeof buffer);

    _exit(length > 0 && write(STDOUT_FILENO, buffer, (size_t)length) == length ? 0 : 1);
}

static void run_exec_copy(void)
{
    int fd = oracle_udp_connected();
    pid_t child;

    oracle_peer_sends(fd, 7);
    child = fork();
    if (child == 0) {
        dup2(fd, STDIN_FILENO);
        dup2(fd, STDOUT_FILENO);
        execl("/proc/self/exe", "udp_process", "_copy", (char *)NULL);
        _exit(1);
    }
    wait_child(child);
    peer_do("udp-recv 0");
}

static void run_pass(void)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    struct iovec iov = {&(char){'x'}, 1};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    int ends[2], fd;
    pid_t child;

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
        oracle_die("socketpair");
    child = fork();
    if (child == 0) {
        if (recvmsg(ends[1], &message, MSG_CMSG_CLOEXEC) < 0)
            oracle_die("recvmsg");
        memcpy(&fd, CMSG_DATA(&control.header), sizeof fd);
        oracle_name_port(oracle_local_port(fd), "bound");
        use_connected(fd);
        _exit(0);
    }
    fd = oracle_udp_connected();
    peer_ask("udp-connect 0 %d", oracle_local_port(fd));
    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    if (sendmsg(ends[0], &message, 0) < 0)
        oracle_die("sendmsg");
    close(fd);
    wait_child(child);
}

static void *receive_one(void *argument)
{
    char buffer[10];

    return (void *)recv(*(int *)argument, buffer, sizeof buffer, 0);
}

static void run_threads(void)
{
    int fd = oracle_udp_bound();
    pthread_t threads[4];
    long total = 0;

    oracle_peer_udp(0);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, receive_one, &fd);
    peer_do("udp-send 0 3 @ %d 4", oracle_local_port(fd));
    for (int i = 0; i < 4; i++) {
        void *result;

        pthread_join(threads[i], &result);
        total += (long)result;
    }
    oracle_say("%ld", total);
}

/* What was sent before the end of the process arrives. */
static void run_killed(void)
{
    int fd = oracle_udp_connected();
    pid_t child = fork();

    if (child == 0) {
        for (int i = 0; i < 10; i++)
            send(fd, "abc", 3, 0);
        kill(getpid(), SIGKILL);
    }
    wait_child(child);
    for (int i = 0; i < 10; i++)
        peer_do("udp-recv 0");
}

static void run_sent_and_closed(void)
{
    int fd = oracle_udp_connected(), port = oracle_local_port(fd);

    CALL(send(fd, "abc", 3, 0));
    CALL(close(fd));
    close(oracle_udp()); /* the service has seen the close when it answers this */
    peer_do("udp-recv 0");
    peer_ask("udp-connect 0 %d", port);
    peer_do("udp-send 0 3 0");
    peer_do("udp-error 0");
}

static void run_sigio(void)
{
    int fd = oracle_udp_bound();
    sigset_t set;

    oracle_peer_udp(0);
    sigemptyset(&set);
    sigaddset(&set, SIGIO);
    sigprocmask(SIG_BLOCK, &set, NULL);
    CALL(fcntl(fd, F_SETOWN, getpid()));
    CALL(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_ASYNC));
    peer_do("udp-send 0 3 @ %d", oracle_local_port(fd));
    oracle_wait_datagram(fd);
    /* The kernel wakes those that wait before it sends the signal. */
    oracle_say("signalled: %d", sigtimedwait(&set, NULL, &(struct timespec){.tv_sec = 5}) == SIGIO);
    oracle_recvfrom(fd, 10, 0);
}

const struct oracle_case oracle_cases[] = {
    {"fork", run_fork},
    {"fork_new", run_fork_new},
    {"fork_close", run_fork_close},
    {"fork_shared", run_fork_shared},
    {"dup", run_dup},
    {"dup_connect", run_dup_connect},
    {"exec", run_exec},
    {"_child", run_exec_child},
    {"exec_copy", run_exec_copy},
    {"_copy", run_copy},
    {"pass", run_pass},
    {"threads", run_threads},
    {"killed", run_killed},
    {"sent_and_closed", run_sent_and_closed},
    {"sigio", run_sigio},
    {NULL, NULL},
};
