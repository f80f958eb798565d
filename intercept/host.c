/*
 * host.c - a socket that the rules send to the kernel's network, after the program has got one of ours.
 *
 * The service says which options the program has set and where it is bound, in order; all of that is done again on a
 * socket of the kernel's, which then takes the old one's place: on every number of this process, with flags, time-outs,
 * owner and signal, and in every epoll set (replace.c). Where an option is of no use there (a device of the stack's) it
 * is left out; a bind() that fails is the call's error, and the socket stays where it is. DIFFERS: duplicates in other
 * processes stay on the stack, and move by themselves when they are used (docs/differences.md).
 */
#include "host.h"

#include "control.h"
#include "descriptor.h"
#include "libc.h"
#include "replace.h"
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* Who moves a socket now: its process; 0: nobody. One at a time, so that two threads that send on a new socket at once
 * get the same. A child of fork() does not wait for its parent. */
static pid_t mover;

/* What the mover does without: signals, whose handlers may use sockets, and being cancelled. */
struct quiet {
    sigset_t signals;
    int cancel_state;
};

static void lock_moving(struct quiet *quiet)
{
    pid_t self = getpid(), holder;
    sigset_t all;

    sigfillset(&all);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &quiet->cancel_state);
    pthread_sigmask(SIG_BLOCK, &all, &quiet->signals);
    for (;;) {
        holder = __atomic_load_n(&mover, __ATOMIC_RELAXED);
        if (holder != self && __atomic_compare_exchange_n(&mover, &holder, self, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            break;
        sched_yield();
    }
}

static void unlock_moving(const struct quiet *quiet)
{
    __atomic_store_n(&mover, 0, __ATOMIC_RELEASE);
    pthread_sigmask(SIG_SETMASK, &quiet->signals, NULL);
    pthread_setcancelstate(quiet->cancel_state, &(int){0});
}

/* A port that the stack chose may be taken on the host, and then another one is as good; one that the program chose is
 * not. */
static int bind_again(int fd, const void *value, uint32_t length, bool is_chosen)
{
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        char bytes[sizeof(struct sockaddr_in6)];
    } address = {.bytes = {0}};

    if (length > sizeof address)
        return -EPROTO;
    memcpy(&address, value, length);
    if (libc_bind(fd, &address.sa, length) == 0)
        return 0;
    if (errno != EADDRINUSE || is_chosen)
        return -errno;
    if (address.sa.sa_family == AF_INET6)
        address.in6.sin6_port = 0;
    else
        address.in.sin_port = 0;
    return STATE_RESULT(libc_bind(fd, &address.sa, length));
}

/* Do again what is in one reply. Return: 0 or -errno. */
static int apply_settings(int fd, const struct protocol_message *reply)
{
    uint32_t at = 0;
    int error = 0;

    while (error == 0 && reply->option_length - at >= sizeof(struct protocol_setting)) {
        struct protocol_setting setting;
        const uint8_t *value = reply->option + at + sizeof setting;

        memcpy(&setting, reply->option + at, sizeof setting);
        if (setting.length > reply->option_length - at - sizeof setting)
            return -EPROTO;
        at += (uint32_t)sizeof setting + ((setting.length + 3) & ~UINT32_C(3));
        if (setting.level == PROTOCOL_SETTING_BIND)
            error = bind_again(fd, value, setting.length, setting.name != 0);
        else
            (void)libc_setsockopt(fd, setting.level, setting.name, value, setting.length);
        if (at > reply->option_length)
            break;
    }
    return error;
}

/* A socket of the kernel's as the program wants it. Return: it, or -errno. */
static int make_socket(int old_fd, const struct protocol_message *reply)
{
    struct protocol_message part = *reply;
    int fd = libc_socket(reply->args[0], reply->args[1] | SOCK_CLOEXEC, reply->args[2]);
    int error = fd < 0 ? -errno : apply_settings(fd, &part);

    while (error == 0 && part.args[3] != 0) {
        int32_t offset = part.args[3];

        control_prepare(&part, PROTOCOL_SETTINGS);
        part.args[0] = offset;
        error = control_request(&part, old_fd, NULL);
        if (error == 0 && part.args[3] != 0 && part.args[3] <= offset)
            error = -EPROTO; /* it would never end */
        if (error == 0)
            error = apply_settings(fd, &part);
    }
    if (error == 0)
        return fd;
    if (fd >= 0)
        libc_close(fd);
    return error;
}

/* address: NULL: don't connect. Return: 0 or -errno. */
static int move(int fd, const struct protocol_message *reply, const struct sockaddr *address, socklen_t length)
{
    int saved_errno = errno, result = 0, new_fd = -1;
    bool is_connected = false;
    struct quiet quiet;

    lock_moving(&quiet);
    if (descriptor_verify(fd) != DESCRIPTOR_FOREIGN) { /* else another thread was faster */
        new_fd = make_socket(fd, reply);
        if (new_fd >= 0 && address != NULL && (libc_fcntl(fd, F_GETFL, 0) & O_NONBLOCK)) {
            libc_fcntl(new_fd, F_SETFL, O_NONBLOCK);
            result = STATE_RESULT(libc_connect(new_fd, address, length));
            is_connected = true;
        }
        if (new_fd >= 0) {
            int error = replace_socket(fd, new_fd, DESCRIPTOR_FOREIGN);

            result = error < 0 ? error : result;
        } else {
            result = new_fd;
        }
    }
    unlock_moving(&quiet);
    if (result == 0 && address != NULL && !is_connected)
        result = STATE_RESULT(libc_connect(fd, address, length));
    errno = saved_errno;
    return result;
}

int host_move(int fd, const struct protocol_message *reply)
{
    return move(fd, reply, NULL, 0);
}

int host_move_and_connect(int fd, const struct protocol_message *reply, const struct sockaddr *address, socklen_t length)
{
    return move(fd, reply, address, length);
}
