/* control_socket.c - the listening socket at which programs find the service. */
#include "control_socket.h"

#include "service/log/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CONTROL_BACKLOG 4096
#define LISTEN_FD 3 /* the first one that systemd passes */

struct control_counters control_counters;

static bool is_handed_over; /* systemd listens there on */

/* Make the directory that path is in; one level, as under /run. Return: 0 or -errno. */
static int make_directory(const char *path)
{
    char directory[sizeof(((struct sockaddr_un *)0)->sun_path)];
    const char *slash = strrchr(path, '/');

    if (slash == NULL || slash == path)
        return 0;
    memcpy(directory, path, (size_t)(slash - path));
    directory[slash - path] = '\0';
    return mkdir(directory, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

/* Something is at the path: does a service answer? Return: 0 when it was a dead one's socket and is removed,
 * -EADDRINUSE, or -errno. */
static int clear_stale(const struct sockaddr_un *address)
{
    struct stat status;
    int error = 0;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    if (lstat(address->sun_path, &status) < 0)
        error = -errno;
    else if (!S_ISSOCK(status.st_mode))
        error = -EEXIST; /* never remove what is no socket */
    else if (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0)
        error = -EADDRINUSE;
    else if (errno != ECONNREFUSED || unlink(address->sun_path) < 0)
        error = -errno;
    close(fd);
    return error;
}

/* Did systemd pass a socket to this very process? What it said is not for our children. */
static bool find_handed_over(void)
{
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    bool is_ours = pid != NULL && count != NULL && strtol(pid, NULL, 10) == getpid() && strtol(count, NULL, 10) > 0;

    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    return is_ours;
}

/* Let the kernel say with each request who sent it; a connection has that from the listening socket. Return: 0, or -1
 * with errno. */
static int ask_for_senders(int fd)
{
    int on = 1;

    return setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
}

/* Take over systemd's socket. Return: the descriptor or -errno. */
static int take_handed_over(const char *path)
{
    struct sockaddr_un address = {0};
    socklen_t length = sizeof address, size = sizeof(int);
    int type = 0, listens = 0;

    if (getsockname(LISTEN_FD, (struct sockaddr *)&address, &length) < 0 ||
        getsockopt(LISTEN_FD, SOL_SOCKET, SO_TYPE, &type, &size) < 0 ||
        getsockopt(LISTEN_FD, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) < 0)
        return -errno;
    if (address.sun_family != AF_UNIX || type != SOCK_SEQPACKET || !listens)
        return -EPROTOTYPE;
    if (fcntl(LISTEN_FD, F_SETFD, FD_CLOEXEC) < 0 || fcntl(LISTEN_FD, F_SETFL, O_NONBLOCK) < 0 ||
        ask_for_senders(LISTEN_FD) < 0)
        return -errno;
    if (strncmp(address.sun_path, path, sizeof address.sun_path) != 0)
        log_warnx("control: systemd listens at %.*s, and programs look at %s; make ListenSequentialPacket= and the setting `socket` the same",
                  (int)sizeof address.sun_path, address.sun_path, path);
    is_handed_over = true;
    return LISTEN_FD;
}

/* Say who may connect. Return: 0, or -1 with errno. */
static int set_access(const char *path, const struct control_access *access)
{
    if ((access->user != geteuid() || access->group != getegid()) && chown(path, access->user, access->group) < 0)
        return -1;
    return chmod(path, access->mode);
}

int control_socket_open(const char *path, const struct control_access *access)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    int fd, error;

    if (find_handed_over())
        return take_handed_over(path);
    if (length >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, length + 1);
    error = make_directory(path);
    if (error < 0)
        return error;
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        error = errno == EADDRINUSE ? clear_stale(&address) : -errno;
        if (error == 0 && bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
            error = -errno;
        if (error < 0)
            goto out;
    }
    if (set_access(path, access) < 0 || ask_for_senders(fd) < 0 || listen(fd, CONTROL_BACKLOG) < 0) {
        error = -errno;
        goto out;
    }
    return fd;
out:
    close(fd);
    return error;
}

void control_socket_set_systemds(bool is_systemds)
{
    is_handed_over = is_systemds;
}

bool control_socket_is_systemds(void)
{
    return is_handed_over;
}

void control_socket_close(int fd, const char *path)
{
    close(fd);
    /* Who became another user may not remove it: then the next service does. */
    if (!is_handed_over && unlink(path) < 0 && errno != ENOENT && errno != EACCES && errno != EPERM)
        log_warn("control: %s could not be removed; the next service does it", path);
}
