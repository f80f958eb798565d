/*
 * process.c - sockets across fork, exec, dup and descriptor passing, and as descriptor 0 of another program;
 * stdio.
 */
#include "oracle.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void wait_child(pid_t child)
{
    int status;

    if (waitpid(child, &status, 0) != child)
        oracle_die("waitpid");
    oracle_say("the child ends with %d", status);
}

/* Everything a holder may do with a connected descriptor, in whatever process. */
static void use_connected(int fd, int connection)
{
    int one = 1, type = -1;
    socklen_t length = sizeof type;

    oracle_print_names(fd);
    CALL(getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length));
    oracle_say("SO_TYPE %d", type);
    CALL(setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &one, sizeof one));
    oracle_send_pattern(fd, 10);
    peer_do("recv %d 10", connection);
    peer_do("send %d 10", connection);
    oracle_wait_bytes(fd, 10);
    oracle_recv(fd, 20, 0);
    CALL(shutdown(fd, SHUT_WR));
    peer_do("drain %d", connection);
}

static void run_fork_child_uses(void)
{
    int fd = oracle_connect_peer();
    pid_t child = fork();

    if (child == 0) {
        use_connected(fd, 0);
        _exit(0);
    }
    wait_child(child);
    peer_do("send 0 5");
    oracle_read_bytes(fd, 5);
}

static void run_fork_parent_closes(void)
{
    int fd = oracle_connect_peer(), go[2];
    pid_t child;

    if (pipe(go) < 0)
        oracle_die("pipe");
    child = fork();
    if (child == 0) {
        if (read(go[0], &(char){0}, 1) == 1)
            use_connected(fd, 0);
        _exit(0);
    }
    close(fd);
    if (write(go[1], "g", 1) != 1)
        oracle_die("write");
    wait_child(child);
    peer_do("send 0 5"); /* nobody holds it any more */
    peer_do("wait-gone 0");
}

static void run_fork_child_closes(void)
{
    int fd = oracle_connect_peer();
    pid_t child = fork();

    if (child == 0) {
        close(fd);
        _exit(0);
    }
    wait_child(child);
    use_connected(fd, 0);
}

static void run_fork_before_connect(void)
{
    int fd = oracle_socket(), port = oracle_peer_listen(5);
    pid_t child = fork();

    if (child == 0) {
        CALL(oracle_connect(fd, oracle_peer_address(port)));
        _exit(0);
    }
    wait_child(child);
    peer_do("accept 0");
    oracle_print_poll(fd);
    use_connected(fd, 0);
}

static void run_child_connects(void)
{
    int fd = oracle_socket(), port = oracle_peer_listen(5);
    pid_t child;

    close(fd);
    child = fork();
    if (child == 0) {
        fd = oracle_socket();
        CALL(oracle_connect(fd, oracle_peer_address(port)));
        peer_do("accept 0");
        use_connected(fd, 0);
        _exit(0);
    }
    wait_child(child);
    fd = oracle_socket();
    CALL(oracle_connect(fd, oracle_peer_address(port)));
    peer_do("accept 1");
    use_connected(fd, 1);
}

/* In the program that was executed: the socket is descriptor 0. */
static void run_after_exec(void)
{
    use_connected(0, 0);
}

static void run_after_exec_listener(void)
{
    int fd = CALL_FD(accept(0, NULL, NULL));

    oracle_print_names(0);
    use_connected(fd, 0);
}

/* Start this program again for another case, with fd as its descriptor 0; the peer's descriptor goes along. */
static void run_again(const char *name, int fd)
{
    char *arguments[] = {(char *)"process", (char *)name, NULL};
    pid_t child;

    setenv("ORACLE_PEER_FD", "3", 1);
    child = fork();
    if (child == 0) {
        dup2(fd, 0);
        dup2(ORACLE_OUTPUT_FD, 1);
        dup2(ORACLE_PEER_FD, 3);
        close_range(4, ~0u, 0);
        execv("/proc/self/exe", arguments);
        _exit(127);
    }
    wait_child(child);
}

static void run_exec(void)
{
    int fd = oracle_connect_peer();

    run_again("_after_exec", fd);
}

static void run_exec_accepted(void)
{
    int fd = oracle_accept_peer();

    run_again("_after_exec", fd);
}

static void run_exec_listener(void)
{
    int fd = oracle_listen(5);

    peer_do("connect 0 @ %d", oracle_local_port(fd));
    run_again("_after_exec_listener", fd);
}

/* A program without any knowledge of sockets: cat. */
static void run_spawn_cat(void)
{
    int fd = oracle_connect_peer();
    char *arguments[] = {(char *)"cat", NULL};
    posix_spawn_file_actions_t actions;
    pid_t child;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fd, 0);
    posix_spawn_file_actions_adddup2(&actions, fd, 1);
    CALL(posix_spawnp(&child, "cat", &actions, NULL, arguments, environ));
    close(fd);
    peer_do("send 0 100000");
    peer_do("shut 0");
    peer_do("drain 0");
    wait_child(child);
}

static void run_cloexec(void)
{
    int fd = oracle_connect_peer();
    pid_t child;

    CALL(fcntl(fd, F_SETFD, FD_CLOEXEC));
    peer_ask("send 0 3");
    oracle_wait_bytes(fd, 3); /* or the close may come first, and is no reset then */
    child = fork();
    if (child == 0) {
        execlp("true", "true", (char *)NULL);
        _exit(127);
    }
    close(fd);
    wait_child(child);
    peer_do("drain 0");
}

static void run_dup(void)
{
    int fd = oracle_connect_peer(), copy, more;

    copy = CALL_FD(dup(fd));
    CALL(close(fd));
    more = CALL(dup2(copy, 50));
    CALL(close(copy));
    CALL(dup3(more, 60, O_CLOEXEC));
    oracle_say("FD_CLOEXEC %d", fcntl(60, F_GETFD));
    CALL(close(more));
    CALL(fcntl(60, F_DUPFD, 70));
    CALL(fcntl(60, F_DUPFD_CLOEXEC, 80));
    CALL(close(60));
    CALL(close(80));
    use_connected(70, 0);
}

/* A number that was ours becomes a pipe by dup2(), and the other way round. */
static void run_dup_over(void)
{
    int fd = oracle_connect_peer(), ends[2], other = oracle_socket();

    if (pipe(ends) < 0)
        oracle_die("pipe");
    CALL(dup2(fd, other) == other);
    oracle_send_pattern(other, 5);
    peer_do("recv 0 5");
    CALL(dup2(ends[0], other) == other);
    CALL(recv(other, &(char){0}, 1, 0));
    CALL(getpeername(other, (struct sockaddr *)&(struct sockaddr_storage){0}, &(socklen_t){16}));
    CALL(dup2(fd, ends[1]) == ends[1]);
    CALL(close(fd));
    oracle_print_names(ends[1]);
    use_connected(ends[1], 0);
}

/* Pass fd over an AF_UNIX pair to a child that did not inherit it. */
static void try_pass(bool closed_by_sender)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    char byte = 'x';
    struct iovec iov = {&byte, 1};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = sizeof control};
    int pair[2], fd;
    pid_t child;

    CALL(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    child = fork();
    if (child == 0) {
        close(pair[0]);
        CALL(recvmsg(pair[1], &message, 0));
        memcpy(&fd, CMSG_DATA(&control.header), sizeof fd);
        use_connected(fd, 0);
        _exit(0);
    }
    fd = oracle_accept_peer();
    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    if (sendmsg(pair[0], &message, 0) != 1)
        oracle_die("sendmsg");
    if (closed_by_sender)
        close(fd);
    wait_child(child);
    peer_do("send 0 3");
    if (!closed_by_sender)
        oracle_recv(fd, 3, 0);
}

static void run_pass(void)
{
    try_pass(false);
}

static void run_pass_and_close(void)
{
    try_pass(true);
}

static void run_closefrom(void)
{
    int fd = oracle_connect_peer(), other;

    CALL(dup2(fd, 0));
    close_range(3, ORACLE_OUTPUT_FD - 1, 0); /* all but the transcript and the peer */
    close_range(ORACLE_PEER_FD + 1, ~0u, 0);
    oracle_print_names(0);
    other = oracle_socket();
    oracle_say("the next descriptor is %d", other);
    CALL(oracle_connect(other, oracle_peer_address(oracle_peer_listen(1))));
    use_connected(0, 0);
}

static void run_stdio(void)
{
    int fd = oracle_connect_peer();
    FILE *in = fdopen(fd, "r"), *out = fdopen(dup(fd), "w");
    char line[64];

    fprintf(out, "one line\n");
    fflush(out);
    peer_do("recv 0 8");
    peer_do("send 0 26");
    peer_do("shut 0");
    oracle_say("fgets: %s", fgets(line, 20, in) != NULL ? line : "none");
    oracle_say("fgets: %s", fgets(line, sizeof line, in) != NULL ? line : "none");
    oracle_say("fgets: %s, feof %d, ferror %d", fgets(line, sizeof line, in) != NULL ? line : "none", feof(in) != 0,
               ferror(in) != 0);
    fputs("more", out);
    fclose(out);
    fclose(in);
    peer_do("drain 0");
}

const struct oracle_case oracle_cases[] = {
    {"fork_child_uses", run_fork_child_uses},
    {"fork_parent_closes", run_fork_parent_closes},
    {"fork_child_closes", run_fork_child_closes},
    {"fork_before_connect", run_fork_before_connect},
    {"child_connects", run_child_connects},
    {"exec", run_exec},
    {"exec_accepted", run_exec_accepted},
    {"exec_listener", run_exec_listener},
    {"spawn_cat", run_spawn_cat},
    {"cloexec", run_cloexec},
    {"dup", run_dup},
    {"dup_over", run_dup_over},
    {"pass", run_pass},
    {"pass_and_close", run_pass_and_close},
    {"closefrom", run_closefrom},
    {"stdio", run_stdio},
    {"_after_exec", run_after_exec},
    {"_after_exec_listener", run_after_exec_listener},
    {NULL, NULL},
};
