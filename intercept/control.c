/*
 * control.c - requests to the service.
 *
 * A pool of connections to the control socket. Each request claims one by an atomic exchange and has it to itself
 * until the reply is there, so there are no request numbers and no locks: another thread, or a signal handler in the
 * middle of a request, claims another. When all are in use, a connection is made for the one request.
 *
 * What a connection has to survive:
 *  - The program counts on getting the lowest free numbers, so ours are moved up, close below FD_TOP or RLIMIT_NOFILE.
 *  - closefrom() and loops over close(): before each use fstat() must show the inode that we made. If not, the
 *    number is the program's now, is left alone, and a new connection is made.
 *  - exec: they are close-on-exec.
 *  - fork: the pool belongs to the process that it was made in. The child closes its copies (a fork handler) and
 *    starts with an empty pool. One that was made without handlers (_Fork, the clone system call) sees at its next
 *    request that it is new. A child that shares our memory (vfork) is not the owner and makes a connection for each
 *    request. No lock is held by anyone, so none can be held across fork.
 *  - The process gave up root, or its root directory, and may not connect any more: control_keep() made some
 *    connections before, and those are shared by waiting for one another.
 *  - The service was restarted: a connection on which a request can't be sent is replaced, once. A request that was
 *    sent is never repeated.
 */
#include "control.h"

#include "descriptor.h"
#include "libc.h"
#include "spare.h"
#include "service/control_path.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define POOL_SIZE 16
/* Our numbers begin FD_SPAN below RLIMIT_NOFILE, or below FD_TOP if that is less: the kernel's table of descriptors
 * grows to the highest number in use. */
#define FD_TOP  1024u
#define FD_SPAN 32u
/* What control_keep() sees to: one for the threads to share, and one for a signal handler or a connect() that waits. */
#define KEPT_CONNECTIONS 2
/* Nobody needs a connection for longer, but for a connect() that waits. */
#define KEPT_WAIT_MS 1000
#define KEPT_YIELDS  20
/* More than this may not come with a reply; those beyond what is asked for are closed. */
#define RECEIVED_MAX 8

/* One connection, and what it was when it was made. */
struct connection {
    int fd; /* owned by the slot that this is in, or by the one request; -1: none */
    dev_t device;
    ino_t inode;
};

enum slot_state { SLOT_FREE, SLOT_BUSY };

struct slot {
    _Atomic int state; /* enum slot_state; whoever exchanged FREE for BUSY has the connection until it is FREE again */
    struct connection connection; /* .inode is 0: none was made yet */
};

static struct slot pool[POOL_SIZE];
/* Whose pool it is. 0 before the constructor; also in a child that was made past fork() and its handlers, because the
 * kernel wipes the page that this is on (MADV_WIPEONFORK). A child that shares our memory (vfork) finds the parent's. */
static _Atomic pid_t *pool_pid;

static struct sockaddr_un service_address; /* the family is 0 until the environment was read */
static _Atomic bool complained;

/* ---- the service ---- */

/* Read the environment. Once, early: programs clear it, change user and directory. */
static void find_service(void)
{
    if (control_path_from_environment(service_address.sun_path, sizeof service_address.sun_path) < 0)
        service_address.sun_path[0] = '\0';
    service_address.sun_family = AF_UNIX;
}

/* Say once a process why Internet sockets fail. Return: -ENETDOWN. */
static int complain(int error)
{
    char *path = service_address.sun_path[0] != '\0' ? service_address.sun_path : (char *)"(no path)";
    const char *cause = strerrordesc_np(error);
    const char *parts[] = {"sidestack: no service at ", path, ": ", cause ? cause : "unknown error",
                           "; Internet sockets fail until it is started (sidestackd; SIDESTACK_SOCKET=PATH or "
                           "SIDESTACK_NAME=NAME to use another)\n"};
    struct iovec iov[sizeof parts / sizeof *parts];

    if (atomic_exchange(&complained, true) || !descriptor_is_foreign(STDERR_FILENO))
        return -ENETDOWN;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        iov[i] = (struct iovec){(char *)parts[i], strlen(parts[i])};
    (void)!libc_writev(STDERR_FILENO, iov, sizeof parts / sizeof *parts);
    return -ENETDOWN;
}

/* ---- connections ---- */

/* Is the number still what we opened? Else it belongs to the program now. */
static bool connection_is_ours(const struct connection *connection)
{
    struct stat status;

    return connection->inode != 0 && fstat(connection->fd, &status) == 0 && status.st_ino == connection->inode &&
           status.st_dev == connection->device;
}

/* Close it if it is still ours. */
static void connection_close(struct connection *connection)
{
    if (connection_is_ours(connection))
        libc_close(connection->fd);
    *connection = (struct connection){.fd = -1};
}

int control_move_up(int fd)
{
    struct rlimit limit;
    unsigned top = FD_TOP;
    int high;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < top)
        top = (unsigned)limit.rlim_cur;
    if (top <= FD_SPAN)
        return fd;
    high = libc_fcntl(fd, F_DUPFD_CLOEXEC, (long)(top - FD_SPAN));
    if (high < 0)
        return fd;
    libc_close(fd);
    return high;
}

/* Return: 0 or -errno. */
static int connection_open(struct connection *connection)
{
    struct stat status;
    int fd;
    int error;

    *connection = (struct connection){.fd = -1};
    if (service_address.sun_family == 0)
        find_service();
    if (service_address.sun_path[0] == '\0')
        return -EINVAL;
    fd = libc_socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    do {
        error = libc_connect(fd, (const struct sockaddr *)&service_address, sizeof service_address) == 0 ? 0 : errno;
    } while (error == EINTR);
    if (error != 0) {
        libc_close(fd);
        return -error;
    }
    fd = control_move_up(fd);
    if (fstat(fd, &status) < 0) {
        error = errno;
        libc_close(fd);
        return -error;
    }
    *connection = (struct connection){.fd = fd, .device = status.st_dev, .inode = status.st_ino};
    return 0;
}

/* Is this about the process or the system, not about the service? */
static bool is_out_of_resources(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
}

/* ---- one request ---- */

/* What one request uses. */
struct request {
    struct slot *slot; /* NULL: none was free, or the pool is not this process's */
    struct connection *connection;
    struct connection own; /* when slot is NULL */
};

/* In a child: what was copied is the parent's. */
static void begin_child(void)
{
    int saved_errno = errno;

    for (size_t i = 0; i < POOL_SIZE; i++) {
        connection_close(&pool[i].connection);
        atomic_store(&pool[i].state, SLOT_FREE);
    }
    *pool_pid = getpid();
    descriptor_start();
    descriptor_forget_numbers();
    spare_close_all();
    errno = saved_errno;
}

bool control_is_own_process(void)
{
    if (pool_pid == NULL)
        return false;
    if (*pool_pid == 0)
        begin_child();
    return *pool_pid == getpid();
}

/* Get a connection for one request, which may not be open yet. */
static void request_begin(struct request *request)
{
    request->slot = NULL;
    if (control_is_own_process())
        for (size_t i = 0; i < POOL_SIZE && request->slot == NULL; i++)
            if (atomic_exchange(&pool[i].state, SLOT_BUSY) == SLOT_FREE)
                request->slot = &pool[i];
    request->own = (struct connection){.fd = -1};
    request->connection = request->slot ? &request->slot->connection : &request->own;
}

static void request_end(struct request *request, bool keep)
{
    if (!keep || request->slot == NULL)
        connection_close(request->connection);
    if (request->slot != NULL)
        atomic_store(&request->slot->state, SLOT_FREE);
}

/*
 * A process that gave up root may be barred from the control socket; then it has what control_keep() made, and its
 * threads take turns. Return: whether the request got a connection of the pool that is open; false after KEPT_WAIT_MS.
 */
static bool request_wait_for_kept(struct request *request)
{
    bool is_any_open = control_is_own_process();

    request_end(request, false);
    request->slot = NULL;
    request->connection = &request->own;
    for (int waited_ms = -KEPT_YIELDS; is_any_open && waited_ms < KEPT_WAIT_MS; waited_ms++) {
        is_any_open = false;
        for (size_t i = 0; i < POOL_SIZE; i++) {
            if (pool[i].connection.inode == 0)
                continue;
            is_any_open = true;
            if (atomic_exchange(&pool[i].state, SLOT_BUSY) != SLOT_FREE)
                continue;
            if (connection_is_ours(&pool[i].connection)) {
                request->slot = &pool[i];
                request->connection = &pool[i].connection;
                return true;
            }
            atomic_store(&pool[i].state, SLOT_FREE);
        }
        if (waited_ms < 0)
            sched_yield(); /* most requests are over in no time */
        else
            poll(NULL, 0, 1);
    }
    return false;
}

/* Send the request, with what follows it unless that is NULL. Return: 0 or -errno. */
static int send_request(const struct connection *connection, const struct protocol_message *message, int fd,
                        const struct control_tail *tail)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    struct iovec iov[2] = {{(void *)message, sizeof *message}};
    struct msghdr out = {.msg_iov = iov, .msg_iovlen = 1};
    ssize_t sent;

    if (tail != NULL) {
        iov[1] = (struct iovec){tail->bytes, tail->length};
        out.msg_iovlen = 2;
    }

    if (fd >= 0) {
        memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
        out.msg_control = &control;
        out.msg_controllen = sizeof control;
    }
    do {
        sent = libc_sendmsg(connection->fd, &out, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

static void close_received(const struct control_received *received)
{
    for (size_t i = 0; i < received->count; i++)
        libc_close(received->fds[i]);
}

/* Take the first `max` descriptors of a received message; all others are closed. */
static void take_received(struct msghdr *in, size_t max, struct control_received *received)
{
    received->count = 0;

    for (struct cmsghdr *header = CMSG_FIRSTHDR(in); header != NULL; header = CMSG_NXTHDR(in, header)) {
        size_t count;

        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
            if (received->count < max)
                received->fds[received->count++] = fd;
            else
                libc_close(fd);
        }
    }
}

/* Wait until a reply is there, and make room for what follows it. cancel_state: the caller's, which holds while we wait.
 * Return: 0 or -errno. */
static int prepare_tail(const struct connection *connection, struct control_tail *tail, int cancel_state)
{
    ssize_t length;
    int state;

    do {
        pthread_setcancelstate(cancel_state, &state);
        length = libc_recv(connection->fd, NULL, 0, MSG_PEEK | MSG_TRUNC);
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    } while (length < 0 && errno == EINTR);
    if (length < 0)
        return errno == ECONNRESET ? -ENETDOWN : -errno;
    tail->length = length > (ssize_t)sizeof(struct protocol_message) ? (size_t)length - sizeof(struct protocol_message) : 0;
    tail->bytes = tail->length > 0 ? malloc(tail->length) : NULL;
    return tail->length > 0 && tail->bytes == NULL ? -ENOMEM : 0;
}

/* Wait for the reply. wait: a signal handler and a time limit may end it, and the caller's cancel_state holds. tail: where what follows the reply goes; NULL: nothing may.
 * Return: 0 (*message, *received and *tail are set), or -errno. */
static int receive_reply(const struct connection *connection, struct protocol_message *message,
                         struct control_received *received, size_t received_max, bool wait, struct control_tail *tail, int cancel_state)
{
    struct protocol_message reply;
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(RECEIVED_MAX * sizeof(int))];
    } control;
    struct iovec iov[2] = {{&reply, sizeof reply}};
    struct msghdr in = {.msg_iov = iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t length;
    int state;

    if (tail != NULL) {
        iov[1] = (struct iovec){tail->bytes, tail->length};
        in.msg_iovlen = 2;
    }
    do {
        if (wait)
            pthread_setcancelstate(cancel_state, &state);
        length = libc_recvmsg(connection->fd, &in, MSG_CMSG_CLOEXEC);
        if (wait)
            pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    } while (length < 0 && errno == EINTR && !wait);
    // cppcheck-suppress uninitvar ; the loop has run once
    if (length < 0)
        return errno == ECONNRESET ? -ENETDOWN : -errno;
    if (length == 0)
        return -ENETDOWN;
    take_received(&in, received_max > 0 ? received_max : 1, received);
    if (length != (ssize_t)(sizeof reply + (tail != NULL ? tail->length : 0)) || (in.msg_flags & MSG_TRUNC) || reply.magic != PROTOCOL_MAGIC ||
        reply.version != PROTOCOL_VERSION || reply.operation != message->operation || reply.result > 0 ||
        reply.result < -4095 || reply.address.length > sizeof reply.address.bytes ||
        reply.option_length > sizeof reply.option || received->count > received_max) {
        close_received(received);
        received->count = 0;
        return -EPROTO;
    }
    if ((in.msg_flags & MSG_CTRUNC) && (received->count == 0 || received_max == 1)) { /* there was no number free for it */
        close_received(received);
        received->count = 0;
        return -EMFILE;
    }
    if (reply.result == -PROTOCOL_SHOW)
        return -PROTOCOL_SHOW; /* the request is still in *message */
    *message = reply;
    return 0;
}

static void cancel_request(void *request)
{
    request_end(request, false);
}

/* What goes with a request; whatever it has not is 0. */
struct exchange {
    int fd;                         /* rides along; -1: none */
    struct control_received *received; /* for the descriptors that come back */
    size_t received_max;            /* how many may */
    bool wait;                      /* a signal handler may end it, and a time limit */
    const struct timeval *timeout;  /* with wait */
    const struct control_tail *out; /* NULL: nothing follows the request */
    struct control_tail *in;        /* NULL: nothing follows the reply */
};

/* Wait for the reply; who is cancelled meanwhile gives the connection back. Return: 0 or -errno. */
static int await_reply(struct request *request, struct protocol_message *message, const struct exchange *exchange,
                       int cancel_state)
{
    int error;

    pthread_cleanup_push(cancel_request, request);
    error = exchange->in != NULL ? prepare_tail(request->connection, exchange->in, cancel_state) : 0;
    if (error == 0)
        error = receive_reply(request->connection, message, exchange->received, exchange->received_max, exchange->wait,
                              exchange->in, cancel_state);
    pthread_cleanup_pop(0);
    return error;
}

/* May such a request name the socket by its number? */
static bool operation_takes_number(uint16_t operation)
{
    switch (operation) {
    case PROTOCOL_BIND:
    case PROTOCOL_LISTEN:
    case PROTOCOL_CONNECT:
    case PROTOCOL_SHUTDOWN:
    case PROTOCOL_GETSOCKNAME:
    case PROTOCOL_GETPEERNAME:
    case PROTOCOL_GETSOCKOPT:
    case PROTOCOL_SETSOCKOPT:
    case PROTOCOL_STATUS:
        return true;
    default:
        return false;
    }
}

/*
 * Say which socket the request is about: by its number, which spares passing its descriptor, or have the descriptor ride along. A request without
 * reply has no second try, so the number must be known to the service: not on a connection that is fresh, when the older ones may be gone.
 * Return: the descriptor to send, or -1.
 */
static int name_socket(struct protocol_message *message, int fd, bool is_fresh)
{
    const bool is_one_way = (message->flags & PROTOCOL_FLAG_ONE_WAY) != 0;
    struct descriptor_number number;

    if (message->flags & PROTOCOL_FLAG_BY_NUMBER) { /* of an earlier attempt */
        message->flags &= ~PROTOCOL_FLAG_BY_NUMBER;
        message->args[2] = message->args[3] = 0;
    }
    if (fd < 0 || !operation_takes_number(message->operation) || (is_one_way && is_fresh) ||
        !descriptor_find_number(fd, &number))
        return fd;
    message->flags |= PROTOCOL_FLAG_BY_NUMBER;
    message->args[2] = (int32_t)number.number;
    message->args[3] = (int32_t)number.instance;
    return -1;
}

/* Do the request, once. Return: the reply's result, or -errno of our own. */
static int try_request(struct protocol_message *message, const struct exchange *exchange)
{
    static const struct timeval forever;
    const bool wait = exchange->wait;
    const struct timeval *timeout = exchange->timeout;
    bool is_limited = wait && (timeout->tv_sec != 0 || timeout->tv_usec != 0);
    struct request request;
    int error = -ENETDOWN;
    int open_error = 0; /* why no connection could be made, when one that was kept is used instead */
    int state;

    exchange->received->count = 0;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    request_begin(&request);
    for (int attempt = 0; attempt < 2; attempt++) {
        bool is_fresh = !connection_is_ours(request.connection);

        if (is_fresh && request.connection->inode != 0) /* it was lost, perhaps with all others */
            descriptor_forget_numbers();
        error = is_fresh ? connection_open(request.connection) : 0;
        if (error == -EACCES || error == -EPERM || error == -ENOENT) {
            open_error = -error;
            error = request_wait_for_kept(&request) ? 0 : error;
        }
        if (error < 0 && !is_out_of_resources(-error))
            error = complain(-error);
        if (error == 0)
            error = send_request(request.connection, message, name_socket(message, exchange->fd, is_fresh), exchange->out);
        /* Only an old connection can have died before the request went out. */
        if (is_fresh || (error != -EPIPE && error != -ECONNRESET && error != -ENOTCONN))
            break;
        descriptor_forget_numbers();
        connection_close(request.connection);
    }
    if (error == -EPIPE || error == -ECONNRESET)
        error = open_error ? complain(open_error) : -ENETDOWN;
    if (error == 0 && (message->flags & PROTOCOL_FLAG_ONE_WAY)) {
        message->result = 0;
    } else if (error == 0) {
        if (is_limited)
            libc_setsockopt(request.connection->fd, SOL_SOCKET, SO_RCVTIMEO, timeout, sizeof *timeout);
        error = await_reply(&request, message, exchange, state);
        if (is_limited && error == 0)
            libc_setsockopt(request.connection->fd, SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof forever);
    }
    /* A connection whose reply did not come, or made no sense, is of no use to the next request. EMFILE is about the
     * descriptor that came with the reply, and the next connection would have no number either. */
    request_end(&request, error == 0 || error == -EMFILE || error == -PROTOCOL_SHOW);
    pthread_setcancelstate(state, &state);
    if (error == 0 && message->result == -ENOTSOCK && exchange->fd >= 0)
        return -ENETDOWN; /* the service was started anew and does not know it: the network that it was on is gone */
    return error < 0 ? error : message->result;
}

/* Do the request. Return: the reply's result, or -errno of our own. */
static int do_request(struct protocol_message *message, const struct exchange *exchange)
{
    int result = try_request(message, exchange);

    if (result == -PROTOCOL_SHOW) {
        descriptor_forget_number(exchange->fd);
        result = try_request(message, exchange);
    }
    return result == -PROTOCOL_SHOW ? -EPROTO : result;
}

void control_prepare(struct protocol_message *message, enum protocol_operation operation)
{
    memset(message, 0, sizeof *message);
    message->magic = PROTOCOL_MAGIC;
    message->version = PROTOCOL_VERSION;
    message->operation = (uint16_t)operation;
}

/* For who has a place for one descriptor, or none. */
static int request_one(struct protocol_message *message, struct exchange *exchange, int *received)
{
    struct control_received came = {.count = 0};
    int saved_errno = errno, result;

    // cppcheck-suppress autoVariables ; nobody looks there after do_request()
    exchange->received = &came;
    exchange->received_max = received != NULL ? 1 : 0;
    result = do_request(message, exchange);
    if (received != NULL)
        *received = came.count > 0 ? came.fds[0] : -1;
    errno = saved_errno;
    return result;
}

int control_request(struct protocol_message *message, int fd, int *received)
{
    return request_one(message, &(struct exchange){.fd = fd}, received);
}

int control_request_sockets(struct protocol_message *message, struct control_received *received)
{
    struct exchange exchange = {.fd = -1, .received = received, .received_max = 1 + PROTOCOL_SPARES_MAX};
    int saved_errno = errno, result = do_request(message, &exchange);

    errno = saved_errno;
    return result;
}

int control_send(struct protocol_message *message, int fd)
{
    message->flags |= PROTOCOL_FLAG_ONE_WAY;
    return control_request(message, fd, NULL);
}

int control_request_waiting(struct protocol_message *message, int fd, int *received, const struct timeval *timeout)
{
    return request_one(message, &(struct exchange){.fd = fd, .wait = true, .timeout = timeout}, received);
}

int control_request_with_tail(struct protocol_message *message, const struct control_tail *out, struct control_tail *in)
{
    int result;

    *in = (struct control_tail){NULL, 0};
    result = request_one(message, &(struct exchange){.fd = -1, .out = out, .in = in}, NULL);
    if (result < 0) {
        int saved_errno = errno;

        free(in->bytes);
        *in = (struct control_tail){NULL, 0};
        errno = saved_errno;
    }
    return result;
}

int control_status(int fd, struct protocol_message *message)
{
    control_prepare(message, PROTOCOL_STATUS);
    return control_request(message, fd, NULL);
}

int control_cause(int fd, int fallback)
{
    struct protocol_message message;

    return control_status(fd, &message) == 0 && message.args[1] > 0 && message.args[1] < 4096 ? message.args[1]
                                                                                              : fallback;
}

/* ---- processes ---- */

void control_keep(void)
{
    int saved_errno = errno;
    struct request requests[KEPT_CONNECTIONS];
    int state;

    if (!control_is_own_process())
        return;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    for (size_t i = 0; i < KEPT_CONNECTIONS; i++)
        request_begin(&requests[i]);
    for (size_t i = 0; i < KEPT_CONNECTIONS; i++)
        request_end(&requests[i],
                    connection_is_ours(requests[i].connection) || connection_open(requests[i].connection) == 0);
    pthread_setcancelstate(state, &state);
    errno = saved_errno;
}

void control_start(void)
{
    void *page = mmap(NULL, (size_t)getpagesize(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (service_address.sun_family == 0)
        find_service();
    if (page == MAP_FAILED)
        return; /* each request makes a connection of its own */
    madvise(page, (size_t)getpagesize(), MADV_WIPEONFORK);
    pool_pid = page;
    *pool_pid = getpid();
    pthread_atfork(NULL, NULL, begin_child);
}
