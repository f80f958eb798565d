/*
 * aliases.c - the same calls by other names: syscall(), the checked and the internal variants of libc, 64-bit names,
 * the p- variants of poll and select, preadv2 and relatives.
 */
#include "oracle.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* A client's life by syscall(). */
static void run_syscall_client(void)
{
    union oracle_sockaddr peer = oracle_peer_address(oracle_peer_listen(5)), name;
    socklen_t length = sizeof name;
    char buffer[16] = "";
    int fd = CALL_FD(syscall(SYS_socket, oracle_family(), SOCK_STREAM, 0)), type = 0;

    CALL(syscall(SYS_connect, fd, &peer, sizeof peer));
    peer_do("accept 0");
    CALL(syscall(SYS_getpeername, fd, &name, &length));
    oracle_say("%s", oracle_address_text(&name, length));
    length = sizeof name;
    CALL(syscall(SYS_getsockname, fd, &name, &length));
    oracle_say("%s", oracle_address_text(&name, length));
    length = sizeof type;
    CALL(syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_DOMAIN, &type, &length));
    oracle_say("%d", type == oracle_family());
    CALL(syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_KEEPALIVE, &type, sizeof type));
    CALL(syscall(SYS_sendto, fd, "abc", 3, 0, NULL, 0));
    CALL(syscall(SYS_write, fd, "def", 3));
    peer_do("recv 0 6");
    peer_do("send 0 6");
    oracle_wait_bytes(fd, 6);
    CALL(syscall(SYS_recvfrom, fd, buffer, 3, 0, NULL, NULL));
    CALL(syscall(SYS_read, fd, buffer + 3, 3));
    oracle_say("%s", buffer);
    CALL(syscall(SYS_shutdown, fd, SHUT_WR));
    peer_do("drain 0");
    CALL(syscall(SYS_close, fd));
}

static void run_syscall_server(void)
{
    union oracle_sockaddr own = oracle_subject_address(0), name;
    socklen_t length = sizeof name;
    int fd = CALL_FD(syscall(SYS_socket, oracle_family(), SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP)), other;

    CALL(syscall(SYS_bind, fd, &own, sizeof own));
    CALL(syscall(SYS_listen, fd, 5));
    peer_do("connect 0 @ %d", oracle_local_port(fd));
    other = CALL_FD(syscall(SYS_accept4, fd, &name, &length, SOCK_CLOEXEC));
    oracle_say("%s, length %u", oracle_address_text(&name, length), (unsigned)length);
    oracle_send_pattern(other, 5);
    peer_do("recv 0 5");
    peer_do("connect 1 @ %d", oracle_local_port(fd));
    CALL_FD(syscall(SYS_accept, fd, NULL, NULL));
}

static void run_syscall_errors(void)
{
    int fd = oracle_socket();

    CALL(syscall(SYS_recvfrom, fd, NULL, 0, 0, NULL, NULL));
    CALL(syscall(SYS_accept4, fd, NULL, NULL, 0));
    CALL(syscall(SYS_shutdown, fd, SHUT_WR));
    CALL(syscall(SYS_socket, oracle_family(), 99, 0));
    CALL(syscall(SYS_connect, -1, NULL, 0));
}

/* libc's internal names, which some programs take with dlsym(). */
static void run_internal_names(void)
{
    static const char *const names[] = {"__connect", "__send", "__read", "__write", "__close", "__fcntl"};
    union oracle_sockaddr peer = oracle_peer_address(oracle_peer_listen(5));
    int (*connect_call)(int, const struct sockaddr *, socklen_t), fd = oracle_socket();
    ssize_t (*send_call)(int, const void *, size_t, int);

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        oracle_say("%s: %s", names[i], dlsym(RTLD_DEFAULT, names[i]) != NULL ? "there" : "not there");
    *(void **)&connect_call = dlsym(RTLD_DEFAULT, "__connect");
    *(void **)&send_call = dlsym(RTLD_DEFAULT, "__send");
    CALL(connect_call(fd, (struct sockaddr *)&peer, sizeof peer));
    peer_do("accept 0");
    CALL(send_call(fd, "abc", 3, 0));
    peer_do("recv 0 3");
    CALL(send_call(oracle_socket(), "abc", 3, MSG_NOSIGNAL));
}

static void run_checked(void)
{
    ssize_t (*read_call)(int, void *, size_t, size_t), (*recv_call)(int, void *, size_t, size_t, int);
    char buffer[32] = "";
    int fd = oracle_connect_peer(), new_fd = oracle_socket();

    *(void **)&read_call = dlsym(RTLD_DEFAULT, "__read_chk");
    *(void **)&recv_call = dlsym(RTLD_DEFAULT, "__recv_chk");
    peer_do("send 0 10");
    oracle_wait_bytes(fd, 10);
    CALL(read_call(fd, buffer, 5, sizeof buffer));
    CALL(recv_call(fd, buffer + 5, 5, sizeof buffer, 0));
    oracle_say("%s", buffer);
    CALL(read_call(new_fd, buffer, 5, sizeof buffer));
    CALL(recv_call(new_fd, buffer, 5, sizeof buffer, 0));
}

static void run_wide_names(void)
{
    int fd = oracle_connect_peer(), file = open("/proc/self/exe", O_RDONLY);
    off64_t offset = 0;
    struct flock64 lock = {.l_type = F_WRLCK};

    CALL(sendfile64(fd, file, &offset, 1000));
    oracle_say("offset %ld", (long)offset);
    CALL(fcntl64(fd, F_GETFL) & O_ACCMODE);
    CALL(fcntl64(fd, F_GETLK, &lock));
    CALL(pread64(fd, &(char){0}, 1, 0));
    CALL(lseek64(fd, 0, SEEK_SET));
    oracle_say("the peer gets %ld", peer_ask("recv 0 1000"));
}

static void run_p_variants(void)
{
    int fd = oracle_connect_peer(), epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    struct epoll_event event = {.events = EPOLLIN};
    struct timespec time = {.tv_sec = 2}, none = {0};
    sigset_t mask;
    fd_set readable;

    sigemptyset(&mask);
    CALL(ppoll(&poll_fd, 1, &none, &mask));
    CALL(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event));
    peer_do("send 0 3");
    CALL(ppoll(&poll_fd, 1, &time, &mask));
    FD_ZERO(&readable);
    FD_SET(fd, &readable);
    CALL(pselect(fd + 1, &readable, NULL, NULL, &time, &mask));
    CALL(epoll_pwait(epoll_fd, &event, 1, 2000, &mask));
    CALL(epoll_pwait2(epoll_fd, &event, 1, &time, &mask));
    oracle_recv(fd, 10, 0);
    CALL(epoll_pwait2(epoll_fd, &event, 1, &none, NULL));
}

static void run_vectors_2(void)
{
    int fd = oracle_connect_peer();
    char buffer[16] = "";
    struct iovec out = {"abcdef", 6}, in = {buffer, 15};

    CALL(pwritev2(fd, &out, 1, -1, 0));
    CALL(pwritev2(fd, &out, 1, 0, 0));
    CALL(pwritev(fd, &out, 1, 0));
    peer_do("recv 0 6");
    CALL(preadv2(fd, &in, 1, -1, RWF_NOWAIT));
    peer_do("send 0 3");
    oracle_wait_bytes(fd, 3);
    CALL(preadv2(fd, &in, 1, -1, 0));
    oracle_say("%s", buffer);
    CALL(preadv(fd, &in, 1, 0));
}

static void run_isfdtype(void)
{
    int fd = oracle_socket();

    CALL(isfdtype(fd, S_IFSOCK));
    CALL(isfdtype(fd, S_IFREG));
    CALL(isfdtype(0, S_IFSOCK));
}

static void run_dprintf(void)
{
    int fd = oracle_connect_peer();

    CALL(dprintf(fd, "%s %d\n", "line", 7));
    peer_do("recv 0 6");
}

static void run_nonblocking_by_ioctl(void)
{
    int fd = oracle_connect_peer(), on = 1, off = 0;

    CALL(ioctl(fd, FIONBIO, &on));
    oracle_recv(fd, 10, 0);
    CALL(ioctl(fd, FIONBIO, &off));
    oracle_say("O_NONBLOCK %d", (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    CALL(fcntl(fd, F_SETFL, O_NONBLOCK | O_APPEND | O_ASYNC));
    oracle_say("flags %x", (unsigned)fcntl(fd, F_GETFL));
    CALL(fcntl(fd, F_SETOWN, getpid()));
    CALL(fcntl(fd, F_GETOWN) == getpid());
    CALL(fcntl(fd, F_GETSIG));
}

const struct oracle_case oracle_cases[] = {
    {"syscall_client", run_syscall_client},
    {"syscall_server", run_syscall_server},
    {"syscall_errors", run_syscall_errors},
    {"internal_names", run_internal_names},
    {"checked", run_checked},
    {"wide_names", run_wide_names},
    {"p_variants", run_p_variants},
    {"vectors_2", run_vectors_2},
    {"isfdtype", run_isfdtype},
    {"dprintf", run_dprintf},
    {"nonblocking_by_ioctl", run_nonblocking_by_ioctl},
    {NULL, NULL},
};
