/* service_fixture.c - the service without its process, for tests that play the programs. */
#include "service_fixture.h"

#include "service/client.h"
#include "service/loop.h"
#include "service/watch.h"
#include "service/pair.h"
#include "service/program.h"
#include "service/query/frames.h"
#include "service/query/outlet.h"
#include "service/request.h"
#include "service/socket.h"
#include "stack/ip/interface.h"
#include "stack/wire/wire.h"
#include "tests/descriptors.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TURNS_MAX 100000
#define SOCKETS_MAX 4000

uid_t service_client_uid;

static int descriptors_before;

static ssize_t read_nothing(struct wire *wire, struct virtio_net_hdr *header, const struct iovec *iov, int count)
{
    (void)wire, (void)header, (void)iov, (void)count;
    return 0;
}

static int write_nowhere(struct wire *wire, const struct virtio_net_hdr *header, const struct iovec *iov, int count)
{
    (void)wire, (void)header, (void)iov, (void)count;
    return 0;
}

static void close_nothing(struct wire *wire)
{
    (void)wire;
}

void service_setup(void)
{
    static const struct wire_operations operations = {
        .read_frame = read_nothing, .write_frame = write_nowhere, .close = close_nothing};
    static struct wire wire = {.operations = &operations, .fd = -1};
    struct stack_prefix own = {.address.in.sin_family = AF_INET, .bits = 24};
    struct stack_config config = {.wire = &wire, .name = "wire9", .addresses = &own, .address_count = 1, .mtu = 1500,
                                  .mac = {2, 0, 0, 0, 0, 1}};

    inet_pton(AF_INET, "10.9.8.7", &own.address.in.sin_addr);
    ck_assert_int_eq(pair_setup(), 0); /* opens a file, for good */
    descriptors_before = count_descriptors();
    ck_assert_int_eq(loop_setup(), 0);
    frames_setup(&wire);
    ck_assert_int_eq(stack_open(&config), 0);
    socket_setup(SOCKETS_MAX);
    client_setup(SOCKETS_MAX);
}

/* What programs passed is closed by a thread (service/passed.c), soon. */
static void wait_for_descriptors(void)
{
    for (int i = 0; i < 10000 && count_descriptors() > descriptors_before; i++)
        (void)poll(NULL, 0, 1);
}

void service_teardown(void)
{
    client_close_all();
    client_sweep();
    outlet_close_all();
    outlet_sweep();
    socket_destroy_all();
    socket_sweep();
    ck_assert_uint_eq(socket_count(), 0);
    frames_setup(NULL);
    stack_close();
    watch_teardown();
    wait_for_descriptors();
    ck_assert_int_eq(count_descriptors(), descriptors_before);
}

void service_turn_until(bool (*done)(void *context), void *context)
{
    for (int turn = 0; turn < TURNS_MAX; turn++) {
        if (done(context))
            return;
        ck_assert_int_eq(loop_turn(), 0);
    }
    ck_abort_msg("nothing came of %d turns", TURNS_MAX);
}

short service_poll(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};

    ck_assert_int_ge(poll(&poll_fd, 1, 0), 0);
    return poll_fd.revents;
}

struct awaited {
    int fd;
    short events;
};

static bool is_polled(void *context)
{
    const struct awaited *awaited = context;

    return (service_poll(awaited->fd) & awaited->events) == awaited->events;
}

void service_turn_until_polled(int fd, short events)
{
    service_turn_until(is_polled, &(struct awaited){fd, events});
}

int service_request(struct protocol_message *request, int fd, struct protocol_message *reply, int result)
{
    struct program *program = program_connect(getpid(), service_client_uid, service_client_uid);
    struct request_context context = {
        .program = program, .fd = fd >= 0 ? dup(fd) : -1, .reply_fd = -1};

    request->magic = PROTOCOL_MAGIC;
    request->version = PROTOCOL_VERSION;
    memset(reply, 0, sizeof *reply);
    ck_assert_int_eq(request_check(request, fd, 0), 0);
    ck_assert_int_eq(request_execute(request, reply, &context), result);
    if (context.fd >= 0)
        close(context.fd);
    program_disconnect(program);
    return context.reply_fd;
}

static void put_address(struct protocol_message *request, const struct sockaddr_in *address)
{
    request->address.length = sizeof *address;
    memcpy(request->address.bytes, address, sizeof *address);
}

int service_socket(void)
{
    struct protocol_message reply,
        request = {.operation = PROTOCOL_SOCKET, .args = {AF_INET, SOCK_STREAM, IPPROTO_TCP}};
    int fd = service_request(&request, -1, &reply, 0);

    ck_assert_int_ge(fd, 0);
    return fd;
}

void service_bind(int fd, const struct sockaddr_in *address, int result)
{
    struct protocol_message reply, request = {.operation = PROTOCOL_BIND};

    put_address(&request, address);
    service_request(&request, fd, &reply, result);
}

void service_listen(int fd, int backlog, int result)
{
    struct protocol_message reply, request = {.operation = PROTOCOL_LISTEN, .args = {backlog}};

    service_request(&request, fd, &reply, result);
}

void service_connect(int fd, const struct sockaddr_in *peer, int result)
{
    struct protocol_message reply, request = {.operation = PROTOCOL_CONNECT};
    int new_fd;

    put_address(&request, peer);
    new_fd = service_request(&request, fd, &reply, result);
    if (new_fd >= 0) { /* -ESTALE */
        ck_assert_int_eq(dup2(new_fd, fd), fd);
        close(new_fd);
    }
}

void service_set_option(int fd, int level, int name, const void *value, size_t length, int result)
{
    struct protocol_message reply,
        request = {.operation = PROTOCOL_SETSOCKOPT, .args = {level, name}, .option_length = (uint32_t)length};

    memcpy(request.option, value, length);
    service_request(&request, fd, &reply, result);
}

int service_get_option(int fd, int level, int name)
{
    struct protocol_message reply,
        request = {.operation = PROTOCOL_GETSOCKOPT, .args = {level, name}, .option_length = sizeof(int)};
    int value;

    service_request(&request, fd, &reply, 0);
    ck_assert_uint_eq(reply.option_length, sizeof value);
    memcpy(&value, reply.option, sizeof value);
    return value;
}

struct sockaddr_in service_local_address(int fd)
{
    struct protocol_message reply, request = {.operation = PROTOCOL_GETSOCKNAME};
    struct sockaddr_in address;

    service_request(&request, fd, &reply, 0);
    memcpy(&address, reply.address.bytes, sizeof address);
    return address;
}

int service_accept(int listener)
{
    struct protocol_accepted accepted;
    struct iovec iov = {&accepted, sizeof accepted};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    int fd;

    ck_assert_int_eq(recvmsg(listener, &message, MSG_DONTWAIT), sizeof accepted);
    ck_assert_uint_eq(accepted.magic, PROTOCOL_MAGIC);
    ck_assert_int_eq(control.header.cmsg_type, SCM_RIGHTS);
    memcpy(&fd, CMSG_DATA(&control.header), sizeof fd);
    ck_assert_int_eq(send(fd, "", 1, MSG_NOSIGNAL), 1);
    return fd;
}

int service_listener(int backlog, struct sockaddr_in *address)
{
    int fd = service_socket();

    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    service_bind(fd, address, 0);
    service_listen(fd, backlog, 0);
    *address = service_local_address(fd);
    return fd;
}

struct service_connection service_connection(void)
{
    struct service_connection connection;
    struct sockaddr_in address;

    connection.listener = service_listener(5, &address);
    connection.client = service_socket();
    service_connect(connection.client, &address, -EINPROGRESS);
    service_turn_until_polled(connection.client, POLLOUT);
    service_turn_until_polled(connection.listener, POLLIN);
    connection.server = service_accept(connection.listener);
    return connection;
}

void service_close_connection(struct service_connection *connection)
{
    int *const fds[] = {&connection->listener, &connection->client, &connection->server};

    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
}
