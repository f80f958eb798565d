/*
 * test_intercept_calls.c - the hooks, linked into this program, against a fake service.
 */
#include "descriptors.h"
#include "fake_service.h"

#include "intercept/control.h"
#include "intercept/descriptor.h"
#include "intercept/libc.h"
#include "intercept/trace.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char directory[] = "/tmp/sidestack-unit-XXXXXX";
static char path[sizeof directory + 16];
static pid_t service;

static void setup(void)
{
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/socket", directory);
    setenv("SIDESTACK_SOCKET", path, 1);
    service = fake_service_start(path);
    libc_load();
    control_start();
    descriptor_start();
}

static void teardown(void)
{
    if (service > 0)
        fake_service_stop(service, path);
    rmdir(directory);
}

/* The number of the control connection that a request about fd takes. */
static int connection_used(int fd)
{
    struct sockaddr_in address;
    socklen_t length = sizeof address;

    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    ck_assert_uint_eq(length, sizeof address);
    return ntohs(address.sin_port);
}

static int make_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    ck_assert_int_ge(fd, 0);
    return fd;
}

/* Tell the fake what STATUS says. */
static void set_state(int fd, enum protocol_state state, int error)
{
    struct protocol_message message;

    control_prepare(&message, PROTOCOL_SHUTDOWN);
    message.args[0] = (int)state + 16 * error;
    ck_assert_int_eq(control_request(&message, fd, NULL), 0);
}

/* A socket whose pair is up, as after a connect. */
static int make_connected(void)
{
    struct sockaddr_in address = fake_address(0);
    int fd = make_socket();

    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(descriptor_kind(fd), DESCRIPTOR_DATA);
    return fd;
}

START_TEST(socket_gets_lowest_number)
{
    int lowest = open("/dev/null", O_RDONLY);
    int fd;

    close(lowest);
    fd = make_socket();
    ck_assert_int_eq(fd, lowest);
    ck_assert_int_eq(fcntl(fd, F_GETFD), 0);
    ck_assert_int_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    ck_assert_int_eq(make_socket(), lowest + 1);
}
END_TEST

START_TEST(socket_flags)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);

    ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    ck_assert_int_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
}
END_TEST

static void assert_socket_fails(int domain, int type, int protocol, int error)
{
    errno = 0;
    ck_assert_int_eq(socket(domain, type, protocol), -1);
    ck_assert_int_eq(errno, error);
}

START_TEST(socket_refuses)
{
    assert_socket_fails(AF_INET6, SOCK_STREAM, IPPROTO_UDP, EPROTONOSUPPORT);
    assert_socket_fails(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE, EPROTONOSUPPORT);
    assert_socket_fails(AF_INET, SOCK_DGRAM, IPPROTO_ICMPV6, EPROTONOSUPPORT);
    assert_socket_fails(AF_INET, SOCK_RAW, 0, EPROTONOSUPPORT);
    assert_socket_fails(AF_INET, SOCK_STREAM, IPPROTO_UDP, EPROTONOSUPPORT);
    assert_socket_fails(AF_INET, SOCK_STREAM, 262 /* MPTCP */, EPROTONOSUPPORT);
    assert_socket_fails(AF_INET, SOCK_STREAM, -1, EINVAL);
    assert_socket_fails(AF_INET, SOCK_STREAM | 0x100000, 0, EINVAL);
    assert_socket_fails(AF_INET, SOCK_SEQPACKET, 0, ESOCKTNOSUPPORT);
}
END_TEST

START_TEST(other_families_untouched)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(descriptor_kind(fd), DESCRIPTOR_FOREIGN);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    ck_assert_int_eq(address.ss_family, AF_UNIX);
}
END_TEST

START_TEST(errno_is_kept)
{
    int fd;

    errno = 1234;
    fd = make_socket();
    connection_used(fd);
    close(fd);
    ck_assert_int_eq(errno, 1234);
}
END_TEST

START_TEST(connection_is_reused)
{
    int fd = make_socket();

    ck_assert_int_eq(connection_used(fd), 1);
    ck_assert_int_eq(connection_used(fd), 1);
}
END_TEST

START_TEST(connection_survives_closefrom)
{
    int fd = make_socket();
    int before = connection_used(fd);

    closefrom(fd + 1);
    ck_assert_int_gt(connection_used(fd), before);
    close_range((unsigned)fd + 1, ~0u, 0);
    ck_assert_int_gt(connection_used(fd), before + 1);
}
END_TEST

START_TEST(reused_number_is_left_alone)
{
    int fd = make_socket();
    int pipes[2];
    char byte;

    ck_assert_int_eq(pipe(pipes), 0);
    /* A program that closes every number and then puts its own thing on each. */
    for (int other = 64; other < 1024; other++)
        ck_assert_int_eq(dup2(pipes[1], other), other);
    ck_assert_int_eq(connection_used(fd), 2);
    for (int other = 64; other < 1024; other++)
        ck_assert_int_eq(fcntl(other, F_GETFD), 0);
    fcntl(pipes[0], F_SETFL, O_NONBLOCK);
    ck_assert_int_eq(read(pipes[0], &byte, 1), -1); /* nothing was written into it */
    ck_assert_int_eq(errno, EAGAIN);
}
END_TEST

START_TEST(fork_gets_its_own_connection)
{
    int fd = make_socket();
    int status;
    pid_t child;

    ck_assert_int_eq(connection_used(fd), 1);
    child = fork();
    if (child == 0) {
        int before = count_descriptors();

        /* The parent's copy is gone, and one is made. */
        if (connection_used(fd) != 2 || count_descriptors() != before + 1 || connection_used(fd) != 2)
            _exit(1);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(connection_used(fd), 1);
}
END_TEST

START_TEST(vfork_leaves_parent_alone)
{
    int fd = make_socket();
    int status;
    int before = count_descriptors();
    volatile int used = 0;
    pid_t child = vfork();

    if (child == 0) {
        used = connection_used(fd);
        close(fd);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(used, 2);
    ck_assert_int_eq(count_descriptors(), before);
    ck_assert_int_eq(connection_used(fd), 1);
}
END_TEST

START_TEST(raw_fork_gets_its_own_connection)
{
    int fd = make_socket();
    int status;
    pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

    if (child == 0)
        _exit(connection_used(fd) == 2 && connection_used(fd) == 2 ? 0 : 1);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(connection_used(fd), 1);
}
END_TEST

START_TEST(child_keeps_reach_when_it_gives_up_root)
{
    int fd = make_socket();
    int status;
    pid_t child = _i < 2 ? fork() : (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

    if (child == 0) {
        /* setup() made the directory for its owner alone. */
        if (_i % 2 == 0 ? setresuid(12345, 12345, 12345) != 0 : chroot("/proc") != 0)
            _exit(1);
        _exit(access(path, F_OK) < 0 && connection_used(fd) == 2 ? 0 : 2);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(service_comes_back)
{
    int fd = make_socket();
    int other;

    fake_service_stop(service, path);
    service = 0;
    ck_assert_int_eq(socket(AF_INET, SOCK_STREAM, 0), -1);
    ck_assert_int_eq(errno, ENETDOWN);
    service = fake_service_start(path);
    other = make_socket();
    ck_assert_int_eq(connection_used(other), 1);
    close(fd);
}
END_TEST

/* All that lists interfaces fails with this errno. */
static void assert_no_interfaces(int error)
{
    struct ifaddrs *list;
    char name[IF_NAMESIZE];

    ck_assert_int_eq(getifaddrs(&list), -1);
    ck_assert_int_eq(errno, error);
    errno = 0;
    ck_assert_uint_eq(if_nametoindex("lo"), 0);
    ck_assert_int_eq(errno, error);
    errno = 0;
    ck_assert_ptr_null(if_indextoname(1, name));
    ck_assert_int_eq(errno, error);
    errno = 0;
    ck_assert_ptr_null(if_nameindex());
    ck_assert_int_eq(errno, error);
}

/* The kernel's are never shown in their place. */
START_TEST(interfaces_are_the_services)
{
    struct ifreq line = {.ifr_name = "lo"};
    int fd = make_socket();

    assert_no_interfaces(EPROTO); /* the fake says that there are none */
    ck_assert_int_eq(ioctl(fd, SIOCGIFINDEX, &line), -1);
    ck_assert_int_eq(errno, EPROTO);
    fake_service_stop(service, path);
    service = 0;
    assert_no_interfaces(ENETDOWN);
    ck_assert_int_eq(ioctl(fd, SIOCGIFINDEX, &line), -1);
    ck_assert_int_eq(errno, ENETDOWN);
    close(fd);
}
END_TEST

START_TEST(restarted_service_costs_no_failure)
{
    int fd;

    make_socket();
    fake_service_stop(service, path);
    service = fake_service_start(path);
    fd = make_socket();
    ck_assert_int_eq(connection_used(fd), 1);
}
END_TEST

START_TEST(complains_once)
{
    int pipes[2];
    char text[1024];
    ssize_t length;

    fake_service_stop(service, path);
    service = 0;
    ck_assert_int_eq(pipe(pipes), 0);
    dup2(pipes[1], STDERR_FILENO);
    for (int i = 0; i < 3; i++)
        assert_socket_fails(AF_INET, SOCK_STREAM, 0, ENETDOWN);
    length = read(pipes[0], text, sizeof text - 1);
    ck_assert_int_gt(length, 0);
    text[length] = '\0';
    ck_assert_ptr_nonnull(strstr(text, path));
    ck_assert_ptr_eq(strchr(text, '\n'), text + length - 1); /* one line */
}
END_TEST

static const int garbage[] = {FAKE_BAD_MAGIC, FAKE_SHORT, FAKE_OTHER_OPERATION, FAKE_EXTRA_DESCRIPTORS, FAKE_POSITIVE};

START_TEST(garbage_is_refused)
{
    int fd = make_socket();
    struct sockaddr_in address = fake_address(garbage[_i]);
    int before;

    connection_used(fd);
    before = count_descriptors();
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), -1);
    ck_assert_int_eq(errno, EPROTO);
    ck_assert_int_lt(count_descriptors(), before); /* its connection was closed, and what came with it */
    ck_assert_int_eq(connection_used(fd), 2);
    ck_assert_int_eq(count_descriptors(), before);
}
END_TEST

START_TEST(hang_up_is_not_repeated)
{
    int fd = make_socket();
    struct sockaddr_in address = fake_address(FAKE_HANG_UP);

    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), -1);
    ck_assert_int_eq(errno, ENETDOWN);
    ck_assert_int_eq(connection_used(fd), 2);
}
END_TEST

START_TEST(reply_is_passed_on)
{
    int fd = make_socket();
    struct sockaddr_in address = fake_address(EADDRINUSE);

    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), -1);
    ck_assert_int_eq(errno, EADDRINUSE);
}
END_TEST

START_TEST(bad_pointers)
{
    struct sockaddr_in address = fake_address(0);
    socklen_t length = sizeof address;
    int fd = make_socket();

    ck_assert_int_eq(bind(fd, (struct sockaddr *)8, sizeof address), -1);
    ck_assert_int_eq(errno, EFAULT);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, 129), -1);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_int_eq(connect(fd, NULL, sizeof address), -1);
    ck_assert_int_eq(errno, EFAULT);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, 1), -1);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)8, &length), -1);
    ck_assert_int_eq(errno, EFAULT);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, NULL), -1);
    ck_assert_int_eq(errno, EFAULT);
    length = (socklen_t)-1;
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &length), -1);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_int_eq(setsockopt(fd, IPPROTO_TCP, 1, NULL, 4), -1);
    ck_assert_int_eq(errno, EFAULT);
    ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, 1, NULL, NULL), -1);
    ck_assert_int_eq(errno, EFAULT);
}
END_TEST

START_TEST(name_is_cut)
{
    int fd = make_socket();
    struct {
        struct sockaddr_in address;
        char rest[4];
    } room;
    socklen_t length = 4;

    memset(&room, 0x55, sizeof room);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&room, &length), 0);
    ck_assert_uint_eq(length, sizeof(struct sockaddr_in));
    ck_assert_uint_eq(room.address.sin_port, htons(1));
    ck_assert_uint_eq(room.address.sin_addr.s_addr, 0x55555555);
    length = sizeof room;
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&room, &length), 0);
    ck_assert_uint_eq(length, sizeof(struct sockaddr_in));
    ck_assert_int_eq(room.rest[0], 0x55);
}
END_TEST

START_TEST(option_is_cut)
{
    int fd = make_socket();
    char value[32] = {0};
    socklen_t length = 3;

    ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, 1, value, &length), 0);
    ck_assert_uint_eq(length, 3);
    ck_assert_mem_eq(value, "\1\2\3\0", 4);
    length = sizeof value;
    ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, 1, value, &length), 0);
    ck_assert_uint_eq(length, 16);
}
END_TEST

START_TEST(accept_takes_connections)
{
    int fd = make_socket();
    struct sockaddr_in address;
    socklen_t length;
    char byte;

    ck_assert_int_eq(accept(fd, NULL, NULL), -1);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_int_eq(listen(fd, 2), 0);
    for (int i = 1; i <= 2; i++) {
        int flags = i == 1 ? 0 : SOCK_NONBLOCK | SOCK_CLOEXEC;
        int accepted;

        length = sizeof address;
        accepted = accept4(fd, (struct sockaddr *)&address, &length, flags);
        ck_assert_int_ge(accepted, 0);
        ck_assert_uint_eq(length, sizeof address);
        ck_assert_int_eq(ntohs(address.sin_port), i);
        ck_assert_int_eq(descriptor_kind(accepted), DESCRIPTOR_DATA);
        ck_assert_int_eq(fcntl(accepted, F_GETFD), i == 1 ? 0 : FD_CLOEXEC);
        ck_assert_int_eq(fcntl(accepted, F_GETFL) & O_NONBLOCK, i == 1 ? 0 : O_NONBLOCK);
        ck_assert_int_eq(accept(accepted, NULL, NULL), -1);
        ck_assert_int_eq(errno, EINVAL);
    }
    ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    ck_assert_int_eq(accept(fd, NULL, NULL), -1);
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert_int_eq(accept4(fd, NULL, NULL, 1), -1);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_int_eq(recv(fd, &byte, 1, 0), -1);
    ck_assert_int_eq(errno, ENOTCONN);
}
END_TEST

START_TEST(accept_without_a_free_number_loses_nothing)
{
    int fd = make_socket();
    struct rlimit limit;
    struct rlimit none;
    int copy;

    ck_assert_int_eq(listen(fd, 1), 0);
    getrlimit(RLIMIT_NOFILE, &limit);
    none = limit;
    copy = dup(fd);
    none.rlim_cur = (rlim_t)copy; /* numbers below it are all in use */
    close(copy);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    ck_assert_int_eq(accept(fd, NULL, NULL), -1);
    ck_assert_int_eq(errno, EMFILE);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_int_ge(accept(fd, NULL, NULL), 0);
}
END_TEST

START_TEST(socket_without_a_free_number)
{
    int fd = make_socket();
    struct rlimit limit;
    int copy = dup(fd);

    close(copy);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = (rlim_t)copy;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_socket_fails(AF_INET, SOCK_STREAM, 0, EMFILE);
    ck_assert_int_eq(connection_used(fd), 1); /* which could not be made again */
    limit.rlim_cur = limit.rlim_max; /* the leak sanitizer opens files when the test is over */
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}
END_TEST

START_TEST(listening_survives_dup_and_fork)
{
    int fd = make_socket();
    int copy = dup(fd);
    int status;
    pid_t child;

    ck_assert_int_eq(listen(fd, 3), 0);
    set_state(fd, PROTOCOL_STATE_LISTENING, 0);
    ck_assert_int_ge(accept(copy, NULL, NULL), 0);
    child = fork();
    if (child == 0)
        _exit(accept(fd, NULL, NULL) >= 0 ? 0 : 1);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    /* As after exec: nothing is known. */
    descriptor_set(fd, DESCRIPTOR_UNKNOWN);
    ck_assert_int_ge(accept(fd, NULL, NULL), 0);
}
END_TEST

static volatile sig_atomic_t pipes_broken;

static void on_sigpipe(int signal)
{
    (void)signal;
    pipes_broken++;
}

START_TEST(unconnected_socket_has_no_data)
{
    int fd = make_socket();
    char byte = 0;

    signal(SIGPIPE, on_sigpipe);
    ck_assert_int_eq(read(fd, &byte, 1), -1);
    ck_assert_int_eq(errno, ENOTCONN);
    ck_assert_int_eq(read(fd, &byte, 0), 0);
    ck_assert_int_eq(write(fd, &byte, 1), -1);
    ck_assert_int_eq(errno, EPIPE);
    ck_assert_int_eq(pipes_broken, 1);
    ck_assert_int_eq(send(fd, &byte, 1, MSG_NOSIGNAL), -1);
    ck_assert_int_eq(errno, EPIPE);
    ck_assert_int_eq(pipes_broken, 1);
}
END_TEST

START_TEST(data_shows_no_address)
{
    int fd = make_connected();
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    char byte = 'x';
    struct iovec iov = {&byte, 1};
    struct msghdr message = {.msg_name = &address, .msg_namelen = sizeof address, .msg_iov = &iov, .msg_iovlen = 1};

    fcntl(fd, F_SETFL, O_NONBLOCK);
    memset(&address, 0x55, sizeof address);
    fake_service_stop(service, path); /* so that there is something to receive: the end */
    service = 0;
    ck_assert_int_eq(recvfrom(fd, &byte, 1, 0, (struct sockaddr *)&address, &length), 0);
    ck_assert_uint_eq(length, 0);
    ck_assert_int_eq(recvmsg(fd, &message, 0), 0);
    ck_assert_uint_eq(message.msg_namelen, 0);
    ck_assert_int_eq(address.ss_family, 0x5555);
}
END_TEST

START_TEST(reset_has_its_cause)
{
    int fd = make_connected();
    char byte = 'x';

    /* The fake never reads: closing its end is a reset. */
    ck_assert_int_eq(write(fd, &byte, 1), 1);
    fake_service_stop(service, path);
    service = fake_service_start(path);
    set_state(fd, PROTOCOL_STATE_RESET, ETIMEDOUT);
    signal(SIGPIPE, on_sigpipe);
    if (_i == 0)
        ck_assert_int_eq(read(fd, &byte, 1), -1);
    else if (_i == 1)
        ck_assert_int_eq(write(fd, &byte, 1), -1);
    else if (_i == 2)
        ck_assert_int_eq(splice(fd, NULL, open("/dev/null", O_WRONLY), NULL, 1, 0), -1);
    else {
        int error = 0;
        socklen_t length = sizeof error;

        ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length), 0);
        errno = error;
    }
    if (_i != 2)
        ck_assert_int_eq(errno, ETIMEDOUT);
    ck_assert_int_eq(pipes_broken, 0);
    if (_i == 2)
        return;
    ck_assert_int_eq(read(fd, &byte, 1), 0); /* once */
    ck_assert_int_eq(write(fd, &byte, 1), -1);
    ck_assert_int_eq(errno, EPIPE);
    ck_assert_int_eq(pipes_broken, 1);
}
END_TEST

START_TEST(connect_answers)
{
    int fd = make_socket();
    struct sockaddr_in refused = fake_address(ECONNREFUSED);
    struct sockaddr_in progress = fake_address(EINPROGRESS);

    ck_assert_int_eq(connect(fd, (struct sockaddr *)&refused, sizeof refused), -1);
    ck_assert_int_eq(errno, ECONNREFUSED);
    ck_assert_int_eq(descriptor_kind(fd), DESCRIPTOR_EARLY);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&progress, sizeof progress), -1);
    ck_assert_int_eq(errno, EINPROGRESS);
    ck_assert_int_eq(descriptor_kind(fd), DESCRIPTOR_CONNECTING);
}
END_TEST

START_TEST(connect_replaces_stale_pair)
{
    struct sockaddr_in address = fake_address(FAKE_STALE);
    struct timeval timeout = {3, 0};
    socklen_t length = sizeof timeout;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int before;

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, length);
    connection_used(fd);
    before = count_descriptors();
    /* The fake says so twice, the second time there is no answer but this. */
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), -1);
    ck_assert_int_eq(errno, ESTALE);
    ck_assert_int_eq(count_descriptors(), before);
    ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    ck_assert_int_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    timeout.tv_sec = 0;
    ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, &length), 0);
    ck_assert_int_eq(timeout.tv_sec, 3);
}
END_TEST

START_TEST(connect_again_keeps_duplicates_and_epoll)
{
    struct sockaddr_in address = fake_address(FAKE_STALE);
    struct epoll_event event = {.events = EPOLLHUP, .data.u64 = 0x123456789abcdef0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int copy = dup(fd);
    int other = make_socket();
    int sets[2];
    struct stat old;
    struct stat new;
    struct stat status;

    for (int i = 0; i < 2; i++) {
        sets[i] = epoll_create1(0);
        ck_assert_int_eq(epoll_ctl(sets[i], EPOLL_CTL_ADD, other, &event), 0);
        ck_assert_int_eq(epoll_ctl(sets[i], EPOLL_CTL_ADD, i == 0 ? fd : copy, &event), 0);
    }
    fstat(fd, &old);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), -1);
    fstat(fd, &new);
    ck_assert_uint_ne(new.st_ino, old.st_ino);
    fstat(copy, &status);
    ck_assert_uint_eq(status.st_ino, new.st_ino);
    fstat(other, &status);
    ck_assert_uint_ne(status.st_ino, new.st_ino);
    /* The sets know the new pair by the numbers and with the data that they knew the old one by. */
    close(other);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(epoll_wait(sets[i], &event, 1, 0), 0);
    fake_service_stop(service, path);
    service = 0;
    for (int i = 0; i < 2; i++) {
        event.data.u64 = 0;
        ck_assert_int_eq(epoll_wait(sets[i], &event, 1, 1000), 1);
        ck_assert_uint_eq(event.data.u64, 0x123456789abcdef0);
        ck_assert_int_eq(epoll_ctl(sets[i], EPOLL_CTL_DEL, i == 0 ? fd : copy, NULL), 0);
    }
}
END_TEST

START_TEST(connect_has_a_time_limit)
{
    struct sockaddr_in address = fake_address(FAKE_SILENT);
    struct timeval timeout = {0, 20000};
    int fd = make_socket();

    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), -1);
    ck_assert_int_eq(errno, EINPROGRESS);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), -1);
    ck_assert_int_eq(errno, EALREADY);
}
END_TEST

static void on_alarm(int signal)
{
    (void)signal;
}

START_TEST(connect_is_interrupted)
{
    struct sockaddr_in address = fake_address(FAKE_SILENT);
    struct sigaction action = {.sa_handler = on_alarm};
    int fd = make_socket();
    int before;

    sigaction(SIGALRM, &action, NULL);
    before = count_descriptors();
    ualarm(20000, 20000);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), -1);
    ck_assert_int_eq(errno, EINTR);
    ualarm(0, 0);
    ck_assert_int_lt(count_descriptors(), before);
}
END_TEST

static void *connect_forever(void *fd)
{
    struct sockaddr_in address = fake_address(FAKE_SILENT);

    connect(*(int *)fd, (struct sockaddr *)&address, sizeof address);
    return NULL;
}

START_TEST(connect_is_cancelled)
{
    int fd = make_socket();
    pthread_t thread;
    void *result;
    int before = count_descriptors();

    ck_assert_int_eq(pthread_create(&thread, NULL, connect_forever, &fd), 0);
    while (count_descriptors() == before + 1)
        sched_yield();
    ck_assert_int_eq(pthread_cancel(thread), 0);
    ck_assert_int_eq(pthread_join(thread, &result), 0);
    ck_assert_ptr_eq(result, PTHREAD_CANCELED);
    ck_assert_int_lt(count_descriptors(), before);
    ck_assert_int_eq(connection_used(fd), 2);
}
END_TEST

static void *make_requests(void *fd)
{
    for (int i = 0; i < 200; i++)
        connection_used(*(int *)fd);
    return NULL;
}

START_TEST(threads_make_requests_at_once)
{
    pthread_t threads[24]; /* more than the pool has connections */
    int fd = make_socket();

    for (size_t i = 0; i < sizeof threads / sizeof *threads; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, make_requests, &fd), 0);
    for (size_t i = 0; i < sizeof threads / sizeof *threads; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    ck_assert_int_le(count_descriptors(), fd + 32);
}
END_TEST

START_TEST(queue_figures)
{
    int fd = make_connected();
    int value = 0;

    ck_assert_int_eq(ioctl(fd, TIOCOUTQ, &value), 0);
    ck_assert_int_eq(value, 7);
    ck_assert_int_eq(ioctl(fd, 0x894B /* SIOCOUTQNSD */, &value), 0);
    ck_assert_int_eq(value, 5);
    ck_assert_int_eq(ioctl(fd, FIONREAD, &value), 0);
    ck_assert_int_eq(value, 0);
}
END_TEST

START_TEST(calls_by_number)
{
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    long fd = syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);

    ck_assert_int_ge((int)fd, 0);
    ck_assert_int_eq(descriptor_kind((int)fd), DESCRIPTOR_EARLY);
    ck_assert_int_eq((int)syscall(SYS_getsockname, (int)fd, &address, &length), 0);
    ck_assert_int_eq(address.sin_family, AF_INET);
    ck_assert_int_eq((int)syscall(SYS_read, (int)fd, &address, (size_t)1), -1);
    ck_assert_int_eq(errno, ENOTCONN);
    ck_assert_int_eq((int)syscall(SYS_getpid), (int)getpid());
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("intercept calls");
    TCase *tcase = tcase_create("calls");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 20);
    tcase_add_test(tcase, socket_gets_lowest_number);
    tcase_add_test(tcase, socket_flags);
    tcase_add_test(tcase, socket_refuses);
    tcase_add_test(tcase, other_families_untouched);
    tcase_add_test(tcase, errno_is_kept);
    tcase_add_test(tcase, connection_is_reused);
    tcase_add_test(tcase, connection_survives_closefrom);
    tcase_add_test(tcase, reused_number_is_left_alone);
    tcase_add_test(tcase, fork_gets_its_own_connection);
    tcase_add_test(tcase, vfork_leaves_parent_alone);
    tcase_add_test(tcase, raw_fork_gets_its_own_connection);
    tcase_add_loop_test(tcase, child_keeps_reach_when_it_gives_up_root, 0, 4);
    tcase_add_test(tcase, service_comes_back);
    tcase_add_test(tcase, interfaces_are_the_services);
    tcase_add_test(tcase, restarted_service_costs_no_failure);
    tcase_add_test(tcase, complains_once);
    tcase_add_loop_test(tcase, garbage_is_refused, 0, sizeof garbage / sizeof *garbage);
    tcase_add_test(tcase, hang_up_is_not_repeated);
    tcase_add_test(tcase, reply_is_passed_on);
    tcase_add_test(tcase, bad_pointers);
    tcase_add_test(tcase, name_is_cut);
    tcase_add_test(tcase, option_is_cut);
    tcase_add_test(tcase, accept_takes_connections);
    tcase_add_test(tcase, accept_without_a_free_number_loses_nothing);
    tcase_add_test(tcase, socket_without_a_free_number);
    tcase_add_test(tcase, listening_survives_dup_and_fork);
    tcase_add_test(tcase, unconnected_socket_has_no_data);
    tcase_add_test(tcase, data_shows_no_address);
    tcase_add_loop_test(tcase, reset_has_its_cause, 0, 4);
    tcase_add_test(tcase, connect_answers);
    tcase_add_test(tcase, connect_replaces_stale_pair);
    tcase_add_test(tcase, connect_again_keeps_duplicates_and_epoll);
    tcase_add_test(tcase, connect_has_a_time_limit);
    tcase_add_test(tcase, connect_is_interrupted);
    tcase_add_test(tcase, connect_is_cancelled);
    tcase_add_test(tcase, threads_make_requests_at_once);
    tcase_add_test(tcase, queue_figures);
    tcase_add_test(tcase, calls_by_number);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
