/* fake_service.c - a process that answers requests as a test wants it. */
#include "fake_service.h"

#include "intercept/libc.h"
#include "service/protocol.h"

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define CONNECTIONS_MAX 64
#define PAIRS_MAX       512

static int listener;
static struct pollfd connections[CONNECTIONS_MAX];
static int serials[CONNECTIONS_MAX];
static int connection_count;
static int kept[PAIRS_MAX]; /* the service's ends */
static int kept_count;
static int32_t state;

#define INSTANCE 0xfa4e

static int last_id;

/* A new pair. Return: the program's end. */
static int make_pair(char kind)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int fds[2];
    int length = snprintf(name.sun_path + 1, sizeof name.sun_path - 1, PROTOCOL_NAME_PREFIX "%c/%016x/%d", kind, INSTANCE,
                          ++last_id);

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0 ||
        bind(fds[0], (struct sockaddr *)&name,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length)) < 0 ||
        kept_count == PAIRS_MAX)
        _exit(1);
    kept[kept_count++] = fds[0];
    return fds[1];
}

/* Send bytes with count copies of the descriptor passed (-1: none), which is closed. */
static void send_with(int fd, const void *bytes, size_t length, int passed, int count)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(4 * sizeof(int))];
    } control;
    struct iovec iov = {(void *)bytes, length};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

    memset(&control, 0, sizeof control);
    if (passed >= 0) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
        for (int i = 0; i < count; i++)
            memcpy(CMSG_DATA(&control.header) + (size_t)i * sizeof(int), &passed, sizeof(int));
    }
    sendmsg(fd, &message, MSG_NOSIGNAL);
    if (passed >= 0)
        close(passed);
}

/* The service's end whose other end is fd. */
static int kept_peer_of(int fd)
{
    struct sockaddr_un peer;
    struct sockaddr_un own;
    socklen_t peer_length = sizeof peer;

    /* Not through the hook, which is linked into this program and would ask the service: us. */
    if (libc_getpeername(fd, (struct sockaddr *)&peer, &peer_length) < 0)
        return -1;
    for (int i = 0; i < kept_count; i++) {
        socklen_t own_length = sizeof own;

        if (getsockname(kept[i], (struct sockaddr *)&own, &own_length) == 0 && own_length == peer_length &&
            memcmp(&own, &peer, own_length) == 0)
            return kept[i];
    }
    return -1;
}

struct sockaddr_in fake_address(int port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
}

static void put_address(struct protocol_address *out, int port)
{
    struct sockaddr_in address = fake_address(port);

    out->length = sizeof address;
    memcpy(out->bytes, &address, sizeof address);
}

static int port_of(const struct protocol_address *in)
{
    struct sockaddr_in address;

    memcpy(&address, in->bytes, sizeof address);
    return ntohs(address.sin_port);
}

static void put_connections(int fd, int count)
{
    struct protocol_accepted accepted = {.magic = PROTOCOL_MAGIC, .version = PROTOCOL_VERSION, .listener = UINT32_MAX};
    int end = kept_peer_of(fd);

    for (int i = 1; i <= count; i++) {
        put_address(&accepted.local, 80);
        put_address(&accepted.peer, i);
        send_with(end, &accepted, sizeof accepted, make_pair(PROTOCOL_NAME_KIND_ACCEPTED), 1);
    }
}

/* PROTOCOL_SOCKET with others behind it. */
static void send_sockets(int fd, struct protocol_message *message, int count)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE((1 + PROTOCOL_SPARES_MAX) * sizeof(int))];
    } control = {.header = {CMSG_LEN((size_t)count * sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    struct iovec iov = {message, sizeof *message};
    struct msghdr out = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                         .msg_controllen = CMSG_SPACE((size_t)count * sizeof(int))};
    int fds[1 + PROTOCOL_SPARES_MAX];

    message->args[0] = PROTOCOL_ON_DEATH_FAIL;
    message->args[1] = count - 1;
    message->args[2] = last_id + 1;
    message->args[3] = INSTANCE;
    for (int i = 0; i < count; i++)
        fds[i] = make_pair(PROTOCOL_NAME_KIND_SOCKET);
    memcpy(CMSG_DATA(&control.header), fds, (size_t)count * sizeof *fds);
    sendmsg(fd, &out, MSG_NOSIGNAL);
    for (int i = 0; i < count; i++)
        close(fds[i]);
}

/* Answer one request. Return: keep the connection? */
static bool answer(int fd, int serial)
{
    struct protocol_message message;
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = {&message, sizeof message};
    struct msghdr in = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    size_t length = sizeof message;
    int passed = -1;
    int passed_count = 1;
    int came = -1;
    int port;

    if (recvmsg(fd, &in, MSG_CMSG_CLOEXEC) != sizeof message)
        return false;
    if (in.msg_controllen > 0)
        memcpy(&came, CMSG_DATA(&control.header), sizeof came);
    port = port_of(&message.address);
    switch (message.operation) {
    case PROTOCOL_SOCKET:
        send_sockets(fd, &message, 1 + (message.args[1] == SOCK_STREAM ? message.args[3] : 0));
        return true;
    case PROTOCOL_GETSOCKNAME:
        put_address(&message.address, serial);
        break;
    case PROTOCOL_LISTEN:
        if (message.flags & PROTOCOL_FLAG_BY_NUMBER) {
            message.result = -PROTOCOL_SHOW;
            break;
        }
        put_connections(came, message.args[0]);
        break;
    case PROTOCOL_SHUTDOWN:
        state = message.args[0];
        break;
    case PROTOCOL_STATUS:
        message.args[0] = state % 16;
        message.args[1] = state / 16;
        message.args[2] = 7;
        message.args[3] = 5;
        break;
    case PROTOCOL_GETSOCKOPT:
        if (message.args[1] == FAKE_HOW_NAMED) { /* by its descriptor or by which number? */
            int named = message.flags & PROTOCOL_FLAG_BY_NUMBER ? message.args[2] : came >= 0 ? 0 : -1;

            memcpy(message.option, &named, sizeof named);
            break;
        }
        for (unsigned i = 0; i < sizeof message.option; i++)
            message.option[i] = (uint8_t)(i + 1);
        if (message.option_length > 16)
            message.option_length = 16;
        break;
    case PROTOCOL_CONNECT:
    case PROTOCOL_BIND:
        message.result = -port;
        if (port == FAKE_BAD_MAGIC)
            message.magic++;
        else if (port == FAKE_SHORT)
            length--;
        else if (port == FAKE_OTHER_OPERATION)
            message.operation++;
        else if (port == FAKE_POSITIVE)
            message.result = 1;
        else if (port == FAKE_EXTRA_DESCRIPTORS) {
            message.result = 0;
            passed = make_pair(PROTOCOL_NAME_KIND_SOCKET);
            passed_count = 4;
        } else if (port == FAKE_STALE) {
            message.result = -ESTALE;
            passed = make_pair(PROTOCOL_NAME_KIND_SOCKET);
        }
        break;
    default:
        break;
    }
    if (came >= 0)
        close(came);
    if (port == FAKE_HANG_UP)
        return false;
    if (port != FAKE_SILENT && !(message.flags & PROTOCOL_FLAG_ONE_WAY))
        send_with(fd, &message, length, passed, passed_count);
    return true;
}

static void serve(void)
{
    int serial = 0;

    for (;;) {
        struct pollfd listening = {.fd = listener, .events = POLLIN};

        connections[connection_count] = listening;
        if (poll(connections, (nfds_t)connection_count + 1, -1) < 0)
            _exit(1);
        if (connections[connection_count].revents != 0) {
            if (connection_count == CONNECTIONS_MAX - 1)
                _exit(1);
            connections[connection_count].fd = accept(listener, NULL, NULL);
            connections[connection_count].revents = 0;
            serials[connection_count++] = ++serial;
        }
        for (int i = 0; i < connection_count; i++)
            if (connections[i].revents != 0 && !answer(connections[i].fd, serials[i])) {
                close(connections[i].fd);
                connections[i] = connections[--connection_count];
                serials[i] = serials[connection_count];
                i--;
            }
    }
}

pid_t fake_service_start(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    pid_t pid;

    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(listener, 0);
    unlink(path);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(listener, 128), 0);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        serve();
    }
    close(listener);
    return pid;
}

void fake_service_stop(pid_t pid, const char *path)
{
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    unlink(path);
}
