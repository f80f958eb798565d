/*
 * control_pool.c - connections to the control socket.
 *
 * Each request claims one of a pool by an atomic exchange and has it to itself until the reply is there, so there are
 * no request numbers and no locks: another thread, or a signal handler in the middle of a request, claims another. When
 * all are in use, a connection is made for the one request.
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
 */
#include "control_pool.h"

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

enum slot_state { SLOT_FREE, SLOT_BUSY };

struct slot {
    _Atomic int state; /* enum slot_state; whoever exchanged FREE for BUSY has the connection until it is FREE again */
    struct connection connection; /* .inode is 0: none was made yet */
};

static struct slot pool[POOL_SIZE];
/* Whose pool it is. 0 before the constructor; also in a child that was made past fork() and its handlers, because the
 * kernel wipes the page that this is on (MADV_WIPEONFORK). A child that shares our memory (vfork) finds the
 * parent's. */
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

int control_complain(int error)
{
    char *path = service_address.sun_path[0] != '\0' ? service_address.sun_path : (char *)"(no path)";
    const char *cause = strerrordesc_np(error);
    const char *parts[] = {"sidestack: no service at ", path, ": ", cause ? cause : "unknown error",
                           "; Internet sockets fail until it is started (sidestackd; SIDESTACK_SOCKET=PATH or ",
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

bool control_connection_is_ours(const struct connection *connection)
{
    struct stat status;

    return connection->inode != 0 && fstat(connection->fd, &status) == 0 && status.st_ino == connection->inode &&
           status.st_dev == connection->device;
}

void control_connection_close(struct connection *connection)
{
    if (control_connection_is_ours(connection))
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

int control_connection_open(struct connection *connection)
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

/* ---- claims ---- */

/* A thread that the child has not may have been in the middle of writing this when it was copied: what it says is
 * looked at before it is believed. */
static __attribute__((no_sanitize("thread"))) struct connection take_copied(struct connection *connection)
{
    struct connection copied = *connection;

    *connection = (struct connection){.fd = -1};
    return copied;
}

/* In a child: what was copied is the parent's. */
static void begin_child(void)
{
    int saved_errno = errno;

    for (size_t i = 0; i < POOL_SIZE; i++) {
        struct connection copied = take_copied(&pool[i].connection);

        control_connection_close(&copied);
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

void control_claim(struct claim *claim)
{
    claim->slot = NULL;
    if (control_is_own_process())
        for (size_t i = 0; i < POOL_SIZE && claim->slot == NULL; i++)
            if (atomic_exchange(&pool[i].state, SLOT_BUSY) == SLOT_FREE)
                claim->slot = &pool[i];
    claim->own = (struct connection){.fd = -1};
    claim->connection = claim->slot ? &claim->slot->connection : &claim->own;
}

void control_release(struct claim *claim, bool keep)
{
    if (!keep || claim->slot == NULL)
        control_connection_close(claim->connection);
    if (claim->slot != NULL)
        atomic_store(&claim->slot->state, SLOT_FREE);
}

bool control_wait_for_kept(struct claim *claim)
{
    bool is_any_open = control_is_own_process();

    control_release(claim, false);
    claim->slot = NULL;
    claim->connection = &claim->own;
    for (int waited_ms = -KEPT_YIELDS; is_any_open && waited_ms < KEPT_WAIT_MS; waited_ms++) {
        is_any_open = false;
        for (size_t i = 0; i < POOL_SIZE; i++) {
            if (pool[i].connection.inode == 0)
                continue;
            is_any_open = true;
            if (atomic_exchange(&pool[i].state, SLOT_BUSY) != SLOT_FREE)
                continue;
            if (control_connection_is_ours(&pool[i].connection)) {
                claim->slot = &pool[i];
                claim->connection = &pool[i].connection;
                return true;
            }
            atomic_store(&pool[i].state, SLOT_FREE);
        }
        if (waited_ms < 0)
            sched_yield(); /* most requests are over in no time */
        else
            (void)libc_poll(NULL, 0, 1);
    }
    return false;
}

/* ---- processes ---- */

void control_keep(void)
{
    int saved_errno = errno;
    struct claim claims[KEPT_CONNECTIONS];
    int state;

    if (!control_is_own_process())
        return;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    for (size_t i = 0; i < KEPT_CONNECTIONS; i++)
        control_claim(&claims[i]);
    for (size_t i = 0; i < KEPT_CONNECTIONS; i++)
        control_release(&claims[i],
                    control_connection_is_ours(claims[i].connection) || control_connection_open(claims[i].connection) == 0);
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
