/*
 * hostile_service.c - a service inside the fuzzer's process, which says what the input has.
 *
 * The calls that the library makes to reach the service go through its table of libc's functions: a control connection
 * is a socket pair here, and a request is answered before sendmsg() returns, so there is one thread, and nothing waits.
 * All sockets are pairs of AF_UNIX, the "kernel's" as well: nothing leaves the process.
 */
#include "hostile_service.h"

#include "intercept/control_pool.h"
#include "intercept/descriptor.h"
#include "intercept/libc.h"
#include "intercept/on_death.h"
#include "intercept/spare.h"
#include "service/protocol.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define CONNECTIONS 24 /* control connections */
#define ENDS 64        /* the service's ends of pairs */
#define PASSED_MAX 12  /* descriptors with one message */
#define FD_MAX 1100    /* no descriptor is above */
#define INSTANCE 0xfa4e
#define ANSWER_MAX 3000

enum { /* how a reply is made; what is not set is as an honest service has it */
    REPLY_ARGS = 1 << 3,
    REPLY_ADDRESS = 1 << 4,
    REPLY_OPTION = 1 << 5,
    REPLY_DESCRIPTORS = 1 << 6,
    REPLY_RESULT = 1 << 7,
};

static struct fuzz_input *input;     /* of this run */
static int connections[CONNECTIONS]; /* the service's side; -1: none */
static int ends[ENDS];
static unsigned end_count;
static uint32_t last_id, run;
static bool was_open[FD_MAX]; /* before the first input */

/* A new pair, as the service makes them, or one without a name. Return: the program's end. */
static int make_pair(uint8_t how)
{
    static const char kinds[] = {PROTOCOL_NAME_KIND_SOCKET, PROTOCOL_NAME_KIND_DATAGRAM, PROTOCOL_NAME_KIND_ACCEPTED, 'x'};
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    char kind = kinds[how % 4];
    int length = snprintf(name.sun_path + 1, sizeof name.sun_path - 1, PROTOCOL_NAME_PREFIX "%c/%x%08x%08x/%u", kind, (unsigned)getpid(), run,
                          INSTANCE, ++last_id); /* one of an earlier run may still be on its way in a pair */
    int fds[2];

    ck_assert_int_eq(socketpair(AF_UNIX, (kind == PROTOCOL_NAME_KIND_DATAGRAM ? SOCK_SEQPACKET : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    if ((how & 128) == 0)
        ck_assert_int_eq(bind(fds[0], (struct sockaddr *)&name,
                              (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length)), 0);
    if (end_count < ENDS)
        ends[end_count++] = fds[0];
    else
        close(fds[0]);
    return fds[1];
}

/* Send bytes with descriptors, which are closed. Return: did they go? */
static bool send_with(int fd, const struct iovec *pieces, size_t count, int *fds, size_t fd_count)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(PASSED_MAX * sizeof(int))];
    } control = {.header = {CMSG_LEN(fd_count * sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    struct msghdr message = {.msg_iov = (struct iovec *)pieces, .msg_iovlen = count};
    long sent;

    if (fd_count > 0) {
        memcpy(CMSG_DATA(&control.header), fds, fd_count * sizeof *fds);
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(fd_count * sizeof *fds);
    }
    sent = syscall(SYS_sendmsg, fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    for (size_t i = 0; i < fd_count; i++)
        close(fds[i]);
    return sent >= 0;
}

/* How an honest service answers. Return: how many descriptors go with it. */
static size_t answer_honestly(struct protocol_message *message)
{
    static const struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = 0x5000, .sin_addr = {0x0100007f}};
    size_t count = 0;

    message->result = 0;
    message->flags = 0;
    switch (message->operation) {
    case PROTOCOL_SOCKET:
        count = 1 + (message->args[1] == SOCK_STREAM ? (size_t)message->args[3] % (PROTOCOL_SPARES_MAX + 1) : 0);
        message->args[0] = PROTOCOL_ON_DEATH_FAIL;
        message->args[1] = (int32_t)count - 1;
        message->args[2] = (int32_t)last_id + 1;
        message->args[3] = INSTANCE;
        break;
    case PROTOCOL_INTERFACES:
        message->args[0] = 1;
        message->option_length = sizeof(struct protocol_interface);
        message->option[0] = 1; /* index */
        break;
    case PROTOCOL_GETSOCKNAME:
    case PROTOCOL_GETPEERNAME:
    case PROTOCOL_ERROR_QUEUE:
        message->address.length = sizeof address;
        memcpy(message->address.bytes, &address, sizeof address);
        break;
    case PROTOCOL_STATUS:
        message->args[0] = PROTOCOL_STATE_CONNECTED;
        break;
    case PROTOCOL_CORK:
        count = 1;
        message->args[0] = (int32_t)INSTANCE;
        message->args[1] = 1;
        message->args[2] = (int32_t)last_id;
        break;
    default:
        break;
    }
    return count;
}

/* A cork page, with anything in one of its slots. Return: a descriptor. */
static int make_cork_page(void)
{
    const off_t size = (off_t)(PROTOCOL_CORK_SLOTS * sizeof(uint64_t));
    int fd = memfd_create("cork", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    uint64_t slot = protocol_cork_tag(INSTANCE, last_id) | fuzz_take_8(input);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(ftruncate(fd, size), 0);
    ck_assert_int_eq(pwrite(fd, &slot, sizeof slot, 8), sizeof slot);
    ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
    return fd;
}

static int32_t choose_result(void)
{
    static const int errors[] = {ESTALE, PROTOCOL_ON_HOST, PROTOCOL_SHOW, ENOTSOCK, EINPROGRESS, EAGAIN, ENETDOWN, ECONNREFUSED, EISCONN, EINTR};
    uint8_t which = fuzz_take_8(input);

    return which < 128 ? -errors[which % (sizeof errors / sizeof *errors)] : which == 255 ? (int32_t)fuzz_take_32(input) : -(which & 127);
}

/* Answer a request. Return: false to hang up. */
static bool answer(int fd, struct protocol_message *message, uint8_t how)
{
    static uint8_t tail[ANSWER_MAX];
    struct iovec pieces[2] = {{message, sizeof *message}, {tail, 0}};
    size_t count = answer_honestly(message);
    uint8_t kind = message->operation == PROTOCOL_SOCKET && message->args[1] <= 0 ? 1 : 0;
    int fds[PASSED_MAX];

    if (how & REPLY_RESULT) {
        message->result = choose_result();
        count = message->result == -ESTALE ? 1 : count;
        message->args[0] = AF_INET;
        message->args[1] = SOCK_STREAM;
    }
    if (how & REPLY_ARGS)
        for (int i = 0; i < 4; i++)
            message->args[i] = (how & 1) ? (int32_t)fuzz_take_32(input) : fuzz_take_8(input);
    if (message->operation == PROTOCOL_SOCKET && message->args[0] == PROTOCOL_ON_DEATH_WAIT)
        message->args[0] = PROTOCOL_ON_DEATH_HOST; /* nobody has the time */
    if (how & REPLY_ADDRESS) {
        message->address.length = fuzz_take_8(input) % 40;
        fuzz_take_into(input, message->address.bytes, sizeof message->address.bytes);
    }
    if (how & REPLY_OPTION) {
        message->option_length = fuzz_take_8(input) * 2u;
        fuzz_take_into(input, message->option, message->option_length < sizeof message->option ? message->option_length : sizeof message->option);
    }
    if (message->operation == PROTOCOL_RESOLVE) {
        pieces[1].iov_len = fuzz_take_into(input, tail, fuzz_take_16(input) % sizeof tail);
        if (!(how & REPLY_ARGS)) {
            message->args[0] = (int32_t)pieces[1].iov_len;
            message->args[1] = message->args[2] = message->args[3] = 0;
        }
    }
    if (how & REPLY_DESCRIPTORS) {
        count = fuzz_take_8(input) % (PASSED_MAX + 1);
        kind = fuzz_take_8(input);
    }
    for (size_t i = 0; i < count; i++)
        fds[i] = i == 0 && message->operation == PROTOCOL_CORK && kind == 0 ? make_cork_page() : make_pair(kind);
    if ((how & 7) == 7) { /* no reply at all, or nearly one */
        uint8_t what = fuzz_take_8(input);

        if (what % 4 == 0)
            memcpy((uint8_t *)message + what % 12, &what, 1);
        else
            pieces[0].iov_len = what * 2 < sizeof *message ? what * 2u : sizeof *message;
        if (what % 4 == 1)
            pieces[1].iov_len = what;
    }
    return send_with(fd, pieces, pieces[1].iov_len > 0 ? 2 : 1, fds, count) && (how & 7) != 6;
}

/* Answer what has come on the control connections. */
static void serve(void)
{
    for (int i = 0; i < CONNECTIONS; i++) {
        struct protocol_message message;
        uint8_t how;

        if (connections[i] < 0 || recv(connections[i], &message, sizeof message, MSG_DONTWAIT) != (ssize_t)sizeof message)
            continue;
        how = fuzz_take_8(input);
        if (((message.flags & PROTOCOL_FLAG_ONE_WAY) && how < 250) || ((how & 7) != 5 && answer(connections[i], &message, how)))
            continue;
        close(connections[i]);
        connections[i] = -1;
    }
}

/* ---- in libc's place, for the library ---- */

static ssize_t (*real_sendmsg)(int fd, const struct msghdr *message, int flags);

static int fake_socket(int domain, int type, int protocol)
{
    int fds[2], place = 0;

    (void)protocol;
    while (place < CONNECTIONS - 1 && connections[place] >= 0)
        place++;
    if (domain != AF_UNIX) /* the kernel's */
        return make_pair(type == SOCK_DGRAM ? 129 : 128);
    if (connections[place] >= 0)
        close(connections[place]);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    connections[place] = fds[1];
    return fds[0];
}

static int fake_connect(int fd, const struct sockaddr *address, socklen_t length)
{
    (void)fd, (void)address, (void)length;
    return 0;
}

static ssize_t fake_sendmsg(int fd, const struct msghdr *message, int flags)
{
    ssize_t sent = real_sendmsg(fd, message, flags);

    if (sent >= (ssize_t)sizeof(struct protocol_message))
        serve();
    return sent;
}

static void prepare(void)
{
    struct rlimit limit;

    signal(SIGPIPE, SIG_IGN);
    setenv("SIDESTACK_SOCKET", "/nowhere", 1);
    for (int fd = 0; fd < FD_MAX; fd++)
        was_open[fd] = fcntl(fd, F_GETFD) >= 0;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur > FD_MAX) {
        limit.rlim_cur = FD_MAX;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    libc_load();
    control_start();
    descriptor_start();
    real_sendmsg = libc_table.sendmsg;
    libc_table.socket = fake_socket;
    libc_table.connect = fake_connect;
    libc_table.bind = fake_connect;
    libc_table.sendmsg = fake_sendmsg;
}

/* ---- what comes by itself ---- */

/* What the service puts in a pair: a datagram, a new connection, anything. */
void hostile_write_pair(void)
{
    uint8_t bytes[1200], how = fuzz_take_8(input), passed = fuzz_take_8(input) % 4;
    struct protocol_datagram datagram = {.magic = PROTOCOL_MAGIC, .version = PROTOCOL_VERSION};
    struct protocol_accepted accepted = {.magic = PROTOCOL_MAGIC, .version = PROTOCOL_VERSION, .flags = how / 8 % 4, .number = last_id + 1, .instance = INSTANCE,
                                         .cork_page = INSTANCE, .cork_slot = how / 16};
    size_t head = 0, length;
    int end = end_count > 0 ? ends[fuzz_take_8(input) % end_count] : -1, fds[4];

    if (end < 0)
        return;
    if (how % 8 < 4) {
        if (how & 64)
            fuzz_take_into(input, (uint8_t *)&datagram + 6, sizeof datagram - 6);
        else
            datagram.flags = fuzz_take_16(input);
        datagram.peer.length = datagram.local.length = how & 32 ? fuzz_take_8(input) : sizeof(struct sockaddr_in);
        memcpy(bytes, &datagram, head = sizeof datagram);
    } else if (how % 8 < 7) {
        accepted.peer.length = how & 32 ? fuzz_take_8(input) : sizeof(struct sockaddr_in);
        memcpy(bytes, &accepted, head = sizeof accepted);
        passed = how & 64 ? passed : 1;
    }
    if (how & 128)
        head = head < fuzz_take_8(input) ? head : head / 2;
    length = head + fuzz_take_into(input, bytes + head, fuzz_take_8(input) * 4u % (sizeof bytes - head));
    for (int i = 0; i < passed; i++)
        fds[i] = make_pair(how & 1 ? 2 : how);
    send_with(end, &(struct iovec){bytes, length}, 1, fds, passed);
}

void hostile_end_pair(void)
{
    uint8_t how = fuzz_take_8(input);
    unsigned which = end_count > 0 ? how % end_count : 0;

    if (end_count == 0)
        return;
    if (how & 128) {
        (void)syscall(SYS_shutdown, ends[which], SHUT_WR);
    } else {
        close(ends[which]);
        ends[which] = ends[--end_count];
    }
}

/* ---- beginning and end ---- */

void hostile_begin(struct fuzz_input *taken)
{
    static bool is_prepared;
    static uint64_t time_us; /* later in each run: the library remembers when it did something last */

    if (!is_prepared)
        prepare();
    is_prepared = true;
    fuzz_time_us = time_us += 1000000;
    fuzz_time_step_us = 100;
    input = taken;
    memset(connections, 0xff, sizeof connections);
    end_count = 0;
    last_id = 0;
    run++;
}

/* The program has closed all its sockets, so no pair of ours may be left. */
static void check_descriptors(void)
{
    for (int fd = 0; fd < FD_MAX; fd++) {
        struct sockaddr_storage peer;
        socklen_t length = sizeof peer;
        char kind;

        if (!was_open[fd] && syscall(SYS_getpeername, fd, &peer, &length) == 0 && descriptor_address_is_ours(&peer, length, &kind))
            ck_abort_msg("descriptor %d was left open", fd);
    }
}

void hostile_end(void)
{
    spare_close_all();
    check_descriptors();
    for (unsigned fd = 0; fd < FD_MAX;) {
        unsigned last = fd;

        while (last < FD_MAX && !was_open[last])
            last++;
        if (last > fd)
            ck_assert_int_eq(syscall(SYS_close_range, fd, last - 1, 0), 0);
        fd = last + 1;
    }
    descriptor_forget_range(0, FD_MAX);
    descriptor_forget_numbers();
    on_death_note(PROTOCOL_ON_DEATH_FAIL);
    fuzz_time_us = 0;
}
