/* errors.c - socket(2)'s arguments, calls in the wrong state, and descriptors that are not Internet sockets. */
#include "oracle.h"

#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static void run_socket_types(void)
{
    int fd = CALL_FD(socket(oracle_family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));

    oracle_say("O_NONBLOCK %d, FD_CLOEXEC %d", (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0, fcntl(fd, F_GETFD));
    fd = CALL_FD(socket(oracle_family(), SOCK_STREAM, 0));
    oracle_say("O_NONBLOCK %d, FD_CLOEXEC %d", (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0, fcntl(fd, F_GETFD));
    CALL_FD(socket(oracle_family(), SOCK_STREAM, IPPROTO_UDP));
    CALL_FD(socket(oracle_family(), SOCK_STREAM, 255));
    CALL_FD(socket(oracle_family(), SOCK_STREAM, 256));
    CALL_FD(socket(oracle_family(), SOCK_STREAM, 1000));
    CALL_FD(socket(oracle_family(), SOCK_STREAM, -1));
    CALL_FD(socket(oracle_family(), 0, 0));
    CALL_FD(socket(oracle_family(), 11, 0));
    CALL_FD(socket(oracle_family(), -1, 0));
    CALL_FD(socket(oracle_family(), SOCK_SEQPACKET, 0));
    CALL_FD(socket(oracle_family(), SOCK_STREAM | 0x100, 0));
    CALL_FD(socket(-1, SOCK_STREAM, 0));
    CALL_FD(socket(255, SOCK_STREAM, 0));
}

/* Linux gives the lowest free number, and programs count on it. */
static void run_lowest_number(void)
{
    int first = oracle_socket(), second = oracle_socket(), again;

    oracle_say("the second is the next: %d", second == first + 1);
    close(first);
    again = oracle_socket();
    oracle_say("a closed number is used again: %d", again == first);
    close(0);
    again = oracle_socket();
    oracle_say("after close(0): %d", again);
    CALL(oracle_connect(again, oracle_peer_address(oracle_peer_listen(1))));
    peer_do("accept 0");
    oracle_send_pattern(0, 5);
    peer_do("recv 0 5");
    CALL(oracle_bind(second, oracle_subject_address(0)));
    CALL(listen(second, 5));
    peer_do("connect 1 @ %d", oracle_local_port(second));
    oracle_wait_bits(second, POLLIN);
    close(1);
    oracle_say("accept after close(1): %d", accept(second, NULL, NULL));
}

static void run_new_socket(void)
{
    int fd = oracle_socket();

    oracle_recv(fd, 10, 0);
    oracle_recv(fd, 10, MSG_DONTWAIT);
    oracle_recv(fd, 10, MSG_PEEK);
    CALL(read(fd, &(char){0}, 1));
    CALL(send(fd, "x", 1, MSG_NOSIGNAL));
    CALL(sendto(fd, "x", 1, MSG_NOSIGNAL, NULL, 0));
    oracle_print_so_error(fd);
    CALL(oracle_connect(fd, oracle_peer_address(oracle_peer_listen(5))));
    oracle_send_pattern(fd, 5);
    peer_do("accept 0");
    peer_do("recv 0 5");
}

static void run_shutdown_new_socket(void)
{
    static const int hows[] = {SHUT_RD, SHUT_WR, SHUT_RDWR, 3, -1};

    for (int i = 0; i < 5; i++) {
        int fd = oracle_socket();

        CALL(shutdown(fd, hows[i]));
        oracle_print_so_error(fd);
    }
}

/* On Linux the shutdown() fails, and yet leaves a mark. */
static void run_poll_new_socket(void)
{
    int fd = oracle_socket();

    oracle_print_poll(fd);
    CALL(oracle_bind(fd, oracle_subject_address(0)));
    oracle_print_poll(fd);
    CALL(shutdown(fd, SHUT_RDWR));
    oracle_print_poll(fd);
    CALL(oracle_connect(fd, oracle_peer_address(oracle_peer_listen(5))));
    oracle_print_poll(fd);
}

static void run_bound_socket(void)
{
    int fd = oracle_socket();

    CALL(oracle_bind(fd, oracle_subject_address(0)));
    oracle_recv(fd, 10, 0);
    CALL(send(fd, "x", 1, MSG_NOSIGNAL));
    CALL(shutdown(fd, SHUT_RDWR));
}

static void run_closed_descriptor(void)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    union oracle_sockaddr peer = oracle_peer_address(80);
    int value = 0, fd = oracle_socket();

    close(fd);
    CALL(oracle_connect(fd, peer));
    CALL(oracle_bind(fd, peer));
    CALL(listen(fd, 1));
    CALL(accept(fd, NULL, NULL));
    CALL(getsockname(fd, (struct sockaddr *)&address, &length));
    CALL(getpeername(fd, (struct sockaddr *)&address, &length));
    length = sizeof value;
    CALL(getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &length));
    CALL(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, sizeof value));
    CALL(shutdown(fd, SHUT_WR));
    CALL(send(fd, "x", 1, 0));
    CALL(recv(fd, &value, 1, 0));
    CALL(read(fd, &value, 1));
    CALL(write(fd, &value, 1));
    CALL(ioctl(fd, FIONREAD, &value));
    CALL(close(fd));
    CALL(oracle_connect(-1, peer));
    CALL(accept(-1, NULL, NULL));
    CALL(close(-1));
    CALL(recv(1000000, &value, 1, 0));
}

static void try_foreign(int fd, const char *what)
{
    union oracle_sockaddr peer = oracle_peer_address(80);
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    int value = 0;

    oracle_say("%s", what);
    CALL(oracle_connect(fd, peer));
    CALL(oracle_bind(fd, peer));
    CALL(accept(fd, NULL, NULL));
    CALL(getpeername(fd, (struct sockaddr *)&address, &length));
    length = sizeof value;
    CALL(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &value, &length));
    CALL(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, sizeof value));
    CALL(setsockopt(fd, IPPROTO_TCP, 1, &value, sizeof value));
    CALL(shutdown(fd, SHUT_WR));
    CALL(recv(fd, &value, 1, MSG_DONTWAIT));
    CALL(send(fd, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT));
}

static void run_foreign_file(void)
{
    try_foreign(open("/dev/null", O_RDWR), "a file");
}

static void run_foreign_pipe(void)
{
    int ends[2];

    if (pipe(ends) < 0)
        oracle_die("pipe");
    try_foreign(ends[0], "a pipe");
}

static void run_foreign_unix(void)
{
    int pair[2];

    CALL(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    try_foreign(pair[0], "an end of a pair");
    CALL(socketpair(oracle_family(), SOCK_STREAM, 0, pair));
}

/* What fstat() and others tell about the descriptor itself. */
static void run_descriptor(void)
{
    int fd = oracle_socket(), on = 1, value = -1;
    struct stat status;

    CALL(fstat(fd, &status));
    oracle_say("is a socket: %d", S_ISSOCK(status.st_mode));
    CALL(lseek(fd, 0, SEEK_SET));
    CALL(ioctl(fd, FIONBIO, &on));
    oracle_say("O_NONBLOCK %d", (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    oracle_say("flags %x", (unsigned)fcntl(fd, F_GETFL) & (unsigned)~O_NONBLOCK);
    CALL(ioctl(fd, FIOCLEX));
    oracle_say("FD_CLOEXEC %d", fcntl(fd, F_GETFD));
    CALL(ioctl(fd, FIONREAD, &value));
    CALL(ioctl(fd, 0xdead, &value));
    CALL(isatty(fd));
    CALL(fsync(fd));
    CALL(ftruncate(fd, 0));
}

const struct oracle_case oracle_cases[] = {
    {"socket_types", run_socket_types},
    {"lowest_number", run_lowest_number},
    {"new_socket", run_new_socket},
    {"shutdown_new_socket", run_shutdown_new_socket},
    {"poll_new_socket", run_poll_new_socket},
    {"bound_socket", run_bound_socket},
    {"closed_descriptor", run_closed_descriptor},
    {"foreign_file", run_foreign_file},
    {"foreign_pipe", run_foreign_pipe},
    {"foreign_unix", run_foreign_unix},
    {"descriptor", run_descriptor},
    {NULL, NULL},
};
