/* flags.c - send and receive calls on a connected socket: message flags, addresses, vectors, what fits and what
 * waits. */
#include "oracle.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef SIOCOUTQ
#define SIOCOUTQ 0x5411
#endif

static void run_peek(void)
{
    int fd = oracle_connect_peer();

    oracle_recv(fd, 10, MSG_PEEK | MSG_DONTWAIT);
    peer_do("send 0 10");
    oracle_wait_bytes(fd, 10);
    oracle_recv(fd, 4, MSG_PEEK);
    oracle_recv(fd, 20, MSG_PEEK);
    oracle_recv(fd, 4, 0);
    oracle_recv(fd, 20, MSG_PEEK);
    oracle_recv(fd, 20, 0);
    oracle_recv(fd, 20, MSG_PEEK | MSG_DONTWAIT);
    peer_do("shut 0");
    oracle_recv(fd, 20, MSG_PEEK);
    oracle_recv(fd, 20, 0);
}

static void run_waitall(void)
{
    int fd = oracle_connect_peer();

    peer_do("send 0 10");
    oracle_wait_bytes(fd, 10);
    oracle_recv(fd, 20, MSG_WAITALL | MSG_DONTWAIT);
    peer_do("send 0 10");
    oracle_wait_bytes(fd, 10);
    peer_begin_when_blocked("send 0 10");
    oracle_recv(fd, 20, MSG_WAITALL);
    peer_end();
    peer_do("send 0 10");
    peer_do("shut 0");
    oracle_recv(fd, 20, MSG_WAITALL);
}

static void run_waitall_peek(void)
{
    int fd = oracle_connect_peer();

    peer_do("send 0 10");
    peer_do("shut 0");
    oracle_wait_bits(fd, POLLRDHUP);
    oracle_recv(fd, 20, MSG_WAITALL | MSG_PEEK);
    oracle_recv(fd, 20, MSG_WAITALL);
}

/* On TCP, MSG_TRUNC throws data away without copying it. */
static void run_trunc(void)
{
    int fd = oracle_connect_peer();
    char buffer[16] = "untouched";

    peer_do("send 0 20");
    oracle_wait_bytes(fd, 20);
    CALL(recv(fd, buffer, 5, MSG_TRUNC));
    oracle_say("%s", buffer);
    CALL(recv(fd, NULL, 5, MSG_TRUNC));
    oracle_recv(fd, 20, 0);
}

static void run_dontwait(void)
{
    int fd = oracle_connect_peer();

    oracle_recv(fd, 10, MSG_DONTWAIT);
    CALL(read(fd, NULL, 0));
    CALL(recv(fd, NULL, 0, MSG_DONTWAIT));
    CALL(send(fd, "", 0, MSG_DONTWAIT));
    CALL(write(fd, "", 0));
    peer_do("send 0 3");
    oracle_wait_bytes(fd, 3);
    CALL(recv(fd, NULL, 0, 0));
    oracle_recv(fd, 10, MSG_DONTWAIT);
}

static void run_urgent(void)
{
    int fd = oracle_connect_peer();

    CALL(recv(fd, &(char){0}, 1, MSG_OOB));
    peer_do("send 0 3");
    peer_do("oob 0");
    oracle_wait_bits(fd, POLLPRI);
    oracle_recv(fd, 1, MSG_OOB);
    oracle_recv(fd, 10, 0);
    oracle_print_poll(fd);
}

static void run_error_queue(void)
{
    int fd = oracle_connect_peer();
    char buffer[16];

    CALL(recv(fd, buffer, sizeof buffer, MSG_ERRQUEUE));
    CALL(recv(fd, buffer, sizeof buffer, MSG_ERRQUEUE | MSG_DONTWAIT));
}

static void run_recvfrom(void)
{
    int fd = oracle_connect_peer();
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    char buffer[16];

    memset(&address, 0x55, sizeof address);
    peer_do("send 0 3");
    oracle_wait_bytes(fd, 3);
    CALL(recvfrom(fd, buffer, sizeof buffer, 0, (struct sockaddr *)&address, &length));
    oracle_say("length %u, family %x", (unsigned)length, address.ss_family);
}

static void run_recvmsg(void)
{
    int fd = oracle_connect_peer();
    struct sockaddr_storage address;
    char first[4] = "", second[16] = "", control[64];
    struct iovec iov[2] = {{first, 3}, {second, 15}};
    struct msghdr message = {.msg_name = &address, .msg_namelen = sizeof address, .msg_iov = iov, .msg_iovlen = 2,
                             .msg_control = control, .msg_controllen = sizeof control, .msg_flags = -1};

    memset(&address, 0x55, sizeof address);
    peer_do("send 0 10");
    oracle_wait_bytes(fd, 10);
    CALL(recvmsg(fd, &message, MSG_CMSG_CLOEXEC));
    oracle_say("\"%s\" \"%s\" name length %u, family %x, control length %zu, flags %x", first, second,
               (unsigned)message.msg_namelen, address.ss_family, message.msg_controllen,
               (unsigned)(message.msg_flags & ~MSG_CMSG_CLOEXEC));
}

static void run_sendto(void)
{
    int fd = oracle_connect_peer();
    union oracle_sockaddr address = oracle_address(oracle_pick("192.0.2.7", "2001:db8::7"), 7);

    CALL(sendto(fd, "abc", 3, 0, &address.sa, sizeof address)); /* Linux ignores the address */
    CALL(sendto(fd, "def", 3, 0, NULL, 0));
    peer_do("recv 0 6");
}

static void run_sendmsg(void)
{
    int fd = oracle_connect_peer();
    struct iovec iov[3] = {{"ab", 2}, {"", 0}, {"cdefgh", 6}};
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = 3};

    CALL(sendmsg(fd, &message, 0));
    CALL(sendmsg(fd, &message, MSG_MORE));
    CALL(sendmsg(fd, &message, MSG_NOSIGNAL));
    peer_do("recv 0 8");
    CALL(shutdown(fd, SHUT_WR));
    peer_ask("drain 0");
    oracle_say("the rest:%s", peer_text());
}

/* Rights cannot go over TCP. */
static void run_sendmsg_rights(void)
{
    int fd = oracle_connect_peer();
    struct iovec iov = {"x", 1};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = sizeof control};

    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    CALL(sendmsg(fd, &message, 0));
    close(fd);
    peer_do("drain 0");
}

static void run_mmsg(void)
{
    int fd = oracle_connect_peer();
    char first[8] = "", second[8] = "";
    struct iovec out[2] = {{"abc", 3}, {"defg", 4}}, in[2] = {{first, 4}, {second, 7}};
    struct mmsghdr messages[2] = {{.msg_hdr = {.msg_iov = &out[0], .msg_iovlen = 1}},
                                  {.msg_hdr = {.msg_iov = &out[1], .msg_iovlen = 1}}};

    CALL(sendmmsg(fd, messages, 2, 0));
    oracle_say("%u %u", messages[0].msg_len, messages[1].msg_len);
    peer_do("recv 0 7");
    peer_do("send 0 10");
    oracle_wait_bytes(fd, 10);
    messages[0].msg_hdr.msg_iov = &in[0];
    messages[1].msg_hdr.msg_iov = &in[1];
    CALL(recvmmsg(fd, messages, 2, MSG_DONTWAIT, NULL));
    oracle_say("%u \"%s\" %u \"%s\"", messages[0].msg_len, first, messages[1].msg_len, second);
    CALL(recvmmsg(fd, messages, 2, MSG_DONTWAIT, NULL));
}

static void run_vectors(void)
{
    int fd = oracle_connect_peer();
    char first[4] = "", second[16] = "";
    struct iovec out[2] = {{"abc", 3}, {"defg", 4}}, in[2] = {{first, 3}, {second, 15}};

    CALL(writev(fd, out, 2));
    CALL(writev(fd, out, 0));
    peer_do("recv 0 7");
    peer_do("send 0 10");
    oracle_wait_bytes(fd, 10);
    CALL(readv(fd, in, 2));
    oracle_say("\"%s\" \"%s\"", first, second);
    CALL(pwrite(fd, "x", 1, 0));
    CALL(pread(fd, first, 1, 0));
    CALL(lseek(fd, 0, SEEK_CUR));
}

static void run_bad_pointers(void)
{
    int fd = oracle_connect_peer();
    void *bad = (void *)8;

    peer_do("send 0 5");
    oracle_wait_bytes(fd, 5);
    CALL(recv(fd, bad, 5, 0));
    CALL(send(fd, bad, 5, MSG_NOSIGNAL));
    CALL(recvmsg(fd, bad, 0));
    CALL(sendmsg(fd, bad, 0));
    oracle_recv(fd, 10, 0);
    CALL(send(fd, "ok", 2, MSG_NOSIGNAL));
    peer_do("recv 0 2");
}

static void run_pending(void)
{
    int fd = oracle_connect_peer(), pending = -1;

    CALL(ioctl(fd, FIONREAD, &pending));
    oracle_say("%d", pending);
    peer_do("send 0 1000");
    oracle_wait_bytes(fd, 1000);
    CALL(ioctl(fd, FIONREAD, &pending));
    oracle_say("%d", pending);
    oracle_read_bytes(fd, 400);
    CALL(ioctl(fd, FIONREAD, &pending));
    oracle_say("%d", pending);
    peer_do("shut 0");
    oracle_wait_bits(fd, POLLRDHUP);
    CALL(ioctl(fd, FIONREAD, &pending));
    oracle_say("%d", pending);
    oracle_send_pattern(fd, 10);
    peer_do("recv 0 10");
    for (int i = 0; i < 1000 && ioctl(fd, SIOCOUTQ, &pending) == 0 && pending > 0; i++)
        poll(NULL, 0, 1);
    oracle_say("SIOCOUTQ in the end: %d", pending);
}

/* What a receiver that does not read does to the sender, and that all comes when it reads. */
static void run_back_pressure(void)
{
    int fd = oracle_connect_peer();
    long total = oracle_fill(fd);

    CALL(send(fd, "x", 1, MSG_DONTWAIT));
    oracle_print_poll(fd);
    CALL(shutdown(fd, SHUT_WR));
    oracle_say("the peer gets all: %s", peer_ask("drain 0") == total ? "yes" : "no");
}

static void run_back_pressure_wakes(void)
{
    int fd = oracle_connect_peer();
    long total = oracle_fill(fd);

    oracle_say("the peer reads: %s", peer_ask("recv 0 %ld", total) == total ? "all" : "not all");
    oracle_wait_bits(fd, POLLOUT);
    CALL(send(fd, "x", 1, MSG_NOSIGNAL));
    peer_do("recv 0 1");
}

static void run_peer_blocked(void)
{
    int fd = oracle_connect_peer();
    char *buffer = malloc(1 << 20);
    ssize_t result;

    peer_do("fill 0");
    peer_do("shut 0");
    while ((result = read(fd, buffer, 1 << 20)) > 0)
        ;
    oracle_say("read to the end: %s", result < 0 ? oracle_errno_text(errno) : "end of file");
    free(buffer);
}

static void run_timeouts(void)
{
    char buffer[16];
    int fd = oracle_connect_peer();

    oracle_set_timeout(fd, SO_RCVTIMEO, 50);
    oracle_recv(fd, 10, 0);
    CALL(read(fd, buffer, 10));
    peer_do("send 0 5");
    oracle_wait_bytes(fd, 5);
    oracle_recv(fd, 10, MSG_WAITALL);
    oracle_set_timeout(fd, SO_SNDTIMEO, 50);
    oracle_fill(fd);
    CALL(send(fd, "x", 1, MSG_NOSIGNAL));
}

const struct oracle_case oracle_cases[] = {
    {"peek", run_peek},
    {"waitall", run_waitall},
    {"waitall_peek", run_waitall_peek},
    {"trunc", run_trunc},
    {"dontwait", run_dontwait},
    {"urgent", run_urgent},
    {"error_queue", run_error_queue},
    {"recvfrom", run_recvfrom},
    {"recvmsg", run_recvmsg},
    {"sendto", run_sendto},
    {"sendmsg", run_sendmsg},
    {"sendmsg_rights", run_sendmsg_rights},
    {"mmsg", run_mmsg},
    {"vectors", run_vectors},
    {"bad_pointers", run_bad_pointers},
    {"pending", run_pending},
    {"back_pressure", run_back_pressure},
    {"back_pressure_wakes", run_back_pressure_wakes},
    {"peer_blocked", run_peer_blocked},
    {"timeouts", run_timeouts},
    {NULL, NULL},
};
