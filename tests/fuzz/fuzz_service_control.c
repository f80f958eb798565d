/*
 * fuzz_service_control.c - programs that say anything to a live service: requests with any descriptors, and any bytes
 * in their sockets.
 *
 * Several control connections, sockets of all kinds, and the stack's own loopback between them. The time is the
 * fuzzer's. What a reply brings is used in what follows: descriptors go to slots, addresses are those of sockets that
 * are there.
 */
#include "fuzz.h"
#include "live_service.h"

#include "service/loop.h"
#include "service/protocol.h"
#include "service/rules/rules.h"
#include "service/takeover/takeover.h"
#include "service/takeover/takeover_channel.h"
#include "tests/unit/service_fixture.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define CLIENTS 3
#define SLOTS 12
#define STRANGERS 10 /* descriptors that are none of the service's */
#define COMMANDS_MAX 120
#define DESCRIPTORS_MAX 12 /* that ride with one message */

static int strangers[STRANGERS];
static int clients[CLIENTS]; /* -1: none */
static int slots[SLOTS];     /* the programs' ends; -1: none */
static union stack_address last_address; /* that a reply told */
static int32_t last_args[4];
static uint64_t *cork_page; /* mapped; NULL: none has come */
#define CORK_PAGE_BYTES (PROTOCOL_CORK_SLOTS * sizeof *cork_page)

static void open_strangers(void)
{
    int ends[2];

    strangers[0] = open("/dev/null", O_RDWR | O_CLOEXEC);
    strangers[1] = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    strangers[2] = epoll_create1(EPOLL_CLOEXEC);
    strangers[3] = memfd_create("stranger", MFD_CLOEXEC);
    strangers[4] = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    strangers[5] = ends[0];
    strangers[6] = ends[1];
    strangers[7] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    strangers[8] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    strangers[9] = open("/", O_PATH | O_CLOEXEC);
}

/* ---- what comes from the service ---- */

/* Map what is a cork page, in the place of the last one. */
static void map_cork_page(int fd)
{
    struct stat status;
    void *memory;

    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || status.st_size < (off_t)CORK_PAGE_BYTES)
        return;
    memory = mmap(cork_page, CORK_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | (cork_page != NULL ? MAP_FIXED : 0), fd, 0);
    ck_assert_ptr_ne(memory, MAP_FAILED);
    cork_page = memory;
}

/* Keep a descriptor where there is room, or in the place of another. */
static void keep(int fd)
{
    static int next;
    int place = 0;

    map_cork_page(fd);
    while (place < SLOTS && slots[place] >= 0)
        place++;
    if (place == SLOTS) {
        place = next++ % SLOTS;
        close(slots[place]);
    }
    slots[place] = fd;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

/* Receive a message, and the descriptors that ride with it. Return: its length or -1. */
static ssize_t receive(int fd, void *bytes, size_t size)
{
    struct iovec iov = {bytes, size};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))];
    } control;
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t length = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    if (length < 0)
        return -1;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(&message); part != NULL; part = CMSG_NXTHDR(&message, part)) {
        int fds[DESCRIPTORS_MAX];
        size_t count = part->cmsg_type == SCM_RIGHTS ? (part->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;

        memcpy(fds, CMSG_DATA(part), count * sizeof(int));
        for (size_t i = 0; i < count; i++)
            keep(fds[i]);
    }
    return length;
}

static void take_replies(void)
{
    static union {
        struct protocol_message message;
        uint8_t bytes[70000];
    } reply;

    for (int i = 0; i < CLIENTS; i++)
        while (clients[i] >= 0 && receive(clients[i], &reply, sizeof reply) >= (ssize_t)sizeof reply.message) {
            ck_assert_uint_eq(reply.message.magic, PROTOCOL_MAGIC);
            ck_assert_uint_le(reply.message.option_length, PROTOCOL_OPTION_MAX);
            ck_assert_uint_le(reply.message.address.length, sizeof reply.message.address.bytes);
            memcpy(last_args, reply.message.args, sizeof last_args);
            if (reply.message.address.length > 0)
                memcpy(&last_address, reply.message.address.bytes, reply.message.address.length);
        }
}

static void turn(void)
{
    ck_assert_int_eq(loop_turn(), 0);
    take_replies();
}

/* ---- what goes to it ---- */

/* Return: a descriptor to send; -1: none. */
static int choose_descriptor(uint8_t which)
{
    which %= SLOTS + STRANGERS + 2;
    return which < SLOTS               ? slots[which]
           : which < SLOTS + STRANGERS ? strangers[which - SLOTS]
           : which == SLOTS + STRANGERS ? clients[0]
                                       : -1;
}

static void send_with(int fd, const struct iovec *iov, int count, const int *fds, size_t fd_count)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))];
    } control = {.header = {CMSG_LEN(fd_count * sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    struct msghdr message = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count};

    if (fd_count > 0) {
        memcpy(CMSG_DATA(&control.header), fds, fd_count * sizeof(int));
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
    }
    (void)!sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void take_address(struct fuzz_input *input, struct protocol_address *address)
{
    uint8_t how = fuzz_take_8(input);
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    const uint8_t *bytes;
    size_t length;

    switch (how % 8) {
    case 0:
        return;
    case 1:
        address->length = sizeof in6;
        memcpy(address->bytes, &last_address, sizeof address->bytes);
        if (last_address.sa.sa_family == AF_INET)
            address->length = sizeof in;
        return;
    case 2:
    case 3:
        in.sin_port = htons((uint16_t)(how / 8 * 64));
        if (how % 8 == 3)
            in.sin_addr.s_addr = fuzz_take_32(input);
        address->length = sizeof in;
        memcpy(address->bytes, &in, sizeof in);
        return;
    case 4:
    case 5:
        in6.sin6_port = htons((uint16_t)(how / 8 * 64));
        if (how % 8 == 5)
            in6.sin6_addr.s6_addr[how / 8 % 16] = fuzz_take_8(input);
        address->length = sizeof in6;
        memcpy(address->bytes, &in6, sizeof in6);
        return;
    default:
        address->length = fuzz_take_8(input);
        length = fuzz_take_bytes(input, how / 8 % 29, &bytes);
        memcpy(address->bytes, bytes, length);
    }
}

static int32_t take_argument(struct fuzz_input *input, int index)
{
    static const int32_t known[] = {0, 1, 2, 3, 4, 5, 6, 10, 17, 41, 58, 136, 255, 256, 263, 4096, 65536, INT32_MAX, INT32_MIN, -1};
    uint8_t how = fuzz_take_8(input);

    if (how == 255)
        return (int32_t)fuzz_take_32(input);
    if (how >= 200)
        return how >= 240 ? last_args[index] : how - 200;
    return known[how % (sizeof known / sizeof *known)];
}

/* A request that is well-formed on the whole. */
static void send_request(struct fuzz_input *input)
{
    struct protocol_message request = {.magic = PROTOCOL_MAGIC, .version = PROTOCOL_VERSION};
    uint8_t who = fuzz_take_8(input);
    const uint8_t *bytes, *tail;
    struct iovec iov[2] = {{&request, sizeof request}};
    size_t length;
    int fd;

    request.operation = (uint16_t)(fuzz_take_8(input) % (PROTOCOL_OPERATION_COUNT + 1));
    fd = choose_descriptor(fuzz_take_8(input));
    request.flags = (who & 0x40) != 0 ? fuzz_take_8(input) : 0;
    for (int i = 0; i < 4; i++)
        request.args[i] = take_argument(input, i);
    take_address(input, &request.address);
    request.option_length = fuzz_take_8(input);
    length = fuzz_take_bytes(input, request.option_length, &bytes);
    memcpy(request.option, bytes, length);
    if ((who & 0x80) != 0) {
        iov[1].iov_len = fuzz_take_bytes(input, fuzz_take_8(input), &tail);
        iov[1].iov_base = (void *)tail;
        if (request.operation == PROTOCOL_RESOLVE)
            request.args[0] = (int32_t)iov[1].iov_len, request.args[1] = 0;
        if (request.operation == PROTOCOL_CAPTURE)
            request.args[1] = (int32_t)(iov[1].iov_len / PROTOCOL_CAPTURE_INSTRUCTION);
    }
    if ((who & 0x20) != 0)
        request.result = 1;
    send_with(clients[who % CLIENTS], iov, 2, &fd, fd >= 0 && (who & 0x10) == 0);
}

/* Any bytes, with any descriptors. */
static void send_anything(struct fuzz_input *input)
{
    uint8_t who = fuzz_take_8(input);
    int fds[DESCRIPTORS_MAX];
    const uint8_t *bytes;
    uint8_t first;
    struct iovec iov;
    size_t count = 0;

    iov.iov_len = fuzz_take_bytes(input, fuzz_take_16(input) % 600, &bytes);
    iov.iov_base = (void *)bytes;
    first = fuzz_take_8(input);
    for (size_t i = 0; i < who / 16u % DESCRIPTORS_MAX; i++)
        if (choose_descriptor((uint8_t)(first + i)) >= 0)
            fds[count++] = choose_descriptor((uint8_t)(first + i));
    send_with(clients[who % CLIENTS], &iov, 1, fds, count);
}

/* Bytes into a socket: as they are, or as a datagram with its header; perhaps with a descriptor. Before, perhaps,
 * anything into the memory that corks it. */
static void write_to_socket(struct fuzz_input *input)
{
    static uint8_t filler[66000];
    uint8_t how = fuzz_take_8(input);
    int to = slots[fuzz_take_8(input) % SLOTS], fd = choose_descriptor(fuzz_take_8(input));
    struct protocol_datagram datagram = {.magic = PROTOCOL_MAGIC, .version = PROTOCOL_VERSION, .ttl = -1, .tos = -1};
    struct iovec iov[2] = {{&datagram, sizeof datagram}, {filler, fuzz_take_16(input)}};
    const uint8_t *bytes;

    if (to < 0)
        return;
    if ((how & 16) != 0 && cork_page != NULL)
        cork_page[fuzz_take_8(input) % 8] = fuzz_take_8(input);
    take_address(input, &datagram.peer);
    if ((how & 1) != 0) {
        datagram.flags = fuzz_take_8(input);
        datagram.ttl = (int32_t)fuzz_take_16(input) - 2;
        datagram.tos = (int32_t)fuzz_take_16(input) - 2;
        datagram.segment = fuzz_take_16(input);
        datagram.number = fuzz_take_8(input);
        datagram.interface = fuzz_take_8(input) % 8;
        take_address(input, &datagram.local);
    }
    if ((how & 2) != 0) {
        iov[1].iov_len = fuzz_take_bytes(input, iov[1].iov_len % 256, &bytes);
        iov[1].iov_base = (void *)bytes;
    }
    if ((how & 4) != 0)
        send_with(to, iov + 1, 1, &fd, fd >= 0 && (how & 8) != 0);
    else
        send_with(to, iov, 2, &fd, fd >= 0 && (how & 8) != 0);
}

static void read_from_socket(struct fuzz_input *input)
{
    static uint8_t bytes[70000];
    int from = slots[fuzz_take_8(input) % SLOTS];
    ssize_t length = from >= 0 ? receive(from, bytes, fuzz_take_16(input)) : -1;
    struct protocol_accepted accepted;

    if (length == (ssize_t)sizeof accepted) { /* what accept() does */
        memcpy(&accepted, bytes, sizeof accepted);
        memcpy(&last_address, accepted.peer.bytes, sizeof accepted.peer.bytes);
    }
}

static void end_socket(struct fuzz_input *input)
{
    uint8_t how = fuzz_take_8(input);
    int *slot = &slots[how % SLOTS];

    if (*slot < 0)
        return;
    if (how < 64) {
        shutdown(*slot, how / 16 % 3);
        return;
    }
    close(*slot);
    *slot = -1;
}

static void end_client(struct fuzz_input *input)
{
    live_service_connect(&clients[fuzz_take_8(input) % CLIENTS]);
}

static void take_turns(struct fuzz_input *input)
{
    for (int i = fuzz_take_8(input) % 8; i >= 0; i--)
        turn();
}

static void let_time_pass(struct fuzz_input *input)
{
    static const unsigned steps_ms[] = {1, 50, 200, 1000, 3000, 60000};

    fuzz_time_us += steps_ms[fuzz_take_8(input) % 6] * UINT64_C(1000);
    turn();
}

/* Make a socket the ordinary way: a listener, a connection to it, or one for datagrams. */
static void make_socket(struct fuzz_input *input)
{
    uint8_t how = fuzz_take_8(input);
    static const int types[] = {SOCK_STREAM, SOCK_STREAM, SOCK_DGRAM, SOCK_RAW};
    struct protocol_message request = {.magic = PROTOCOL_MAGIC, .version = PROTOCOL_VERSION, .operation = PROTOCOL_SOCKET,
                                       .args = {how & 1 ? AF_INET6 : AF_INET, types[how / 2 % 4], how / 8}};

    if (types[how / 2 % 4] == SOCK_STREAM)
        request.args[2] = 0;
    send_with(clients[0], &(struct iovec){&request, sizeof request}, 1, NULL, 0);
    turn();
}

static void connect_sockets(struct fuzz_input *input)
{
    uint8_t how = fuzz_take_8(input);
    struct service_connection connection;

    (void)how;
    connection = service_connection();
    keep(connection.listener);
    keep(connection.client);
    keep(connection.server);
}

/* ---- beginning and end ---- */

static void install_rules(void)
{
    static const char *const texts[] = {"host protocol=udp port=64", "reject program=/nowhere/* port=128", "blackhole address=10.0.0.0/8 role=connect",
                                        "reject error=EACCES port=192 role=listen", "host port=256-320 role=listen"};
    struct rules_set set = {NULL, 0};
    char why[256];

    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++)
        ck_assert_int_eq(rules_set_add(&set, texts[i], NULL, i, why, sizeof why), 0);
    rules_install(&set);
}

static void open_all(uint8_t how)
{
    const union stack_address server = {.in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};

    live_service_begin(&server, 1);
    if ((how & 1) != 0)
        install_rules();
    memset(clients, 0xff, sizeof clients);
    memset(slots, 0xff, sizeof slots);
    memset(&last_address, 0, sizeof last_address);
    memset(last_args, 0, sizeof last_args);
    for (int i = 0; i < CLIENTS; i++)
        live_service_connect(&clients[i]);
}

static void close_all(void)
{
    struct rules_set none = {NULL, 0};

    take_replies(); /* with their descriptors */
    for (int i = 0; i < CLIENTS; i++)
        close(clients[i]);
    for (int i = 0; i < SLOTS; i++)
        if (slots[i] >= 0)
            close(slots[i]);
    if (takeover_is_wanted()) { /* by somebody who has gone: nothing comes of it */
        struct takeover state = {.wire_fd = -1, .control_fd = live_service_control()};

        ck_assert_int_lt(takeover_give(&state), 0);
    }
    live_service_end();
    rules_install(&none);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static void (*const commands[])(struct fuzz_input *input) = {
        send_request, make_socket, take_turns, write_to_socket, read_from_socket, connect_sockets, end_socket, send_anything,
        let_time_pass, end_client, send_request, take_turns};
    static bool is_prepared;
    struct fuzz_input input = fuzz_begin(bytes, size);

    if (!is_prepared)
        open_strangers();
    is_prepared = true;
    open_all(fuzz_take_8(&input));
    for (int i = 0; i < COMMANDS_MAX && input.left > 0; i++)
        commands[fuzz_take_8(&input) % (sizeof commands / sizeof *commands)](&input);
    take_turns(&input);
    close_all();
    return 0;
}
