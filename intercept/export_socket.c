/*
 * export_socket.c - libc's names for making and handling sockets.
 */
#include "datagram.h"
#include "descriptor.h"
#include "export.h"
#include "interface.h"
#include "libc.h"
#include "socket.h"

#include <netinet/in.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <unistd.h>

EXPORT int socket(int domain, int type, int protocol)
{
    int fd;

    if (socket_family_is_ours(domain))
        return EXPORT_CALL("socket", socket_create(domain, type, protocol), "%d, %x, %d", domain, type, protocol);
    fd = libc_socket(domain, type, protocol);
    if (fd >= 0)
        descriptor_set(fd, DESCRIPTOR_FOREIGN);
    return fd;
}

/* Hooked, like pipe(), for one reason: what is known not to be ours needs no getpeername() later, which a sandbox might
 * punish. */
EXPORT int socketpair(int domain, int type, int protocol, int fds[2])
{
    int result = libc_socketpair(domain, type, protocol, fds);

    if (result == 0) {
        descriptor_set(fds[0], DESCRIPTOR_FOREIGN);
        descriptor_set(fds[1], DESCRIPTOR_FOREIGN);
    }
    return result;
}

EXPORT int bind(int fd, const struct sockaddr *address, socklen_t length)
{
    if (descriptor_is_foreign(fd))
        return libc_bind(fd, address, length);
    return EXPORT_CALL("bind", socket_bind(fd, address, length), "%d, %a", fd, address, length);
}

EXPORT int listen(int fd, int backlog)
{
    if (descriptor_is_foreign(fd))
        return libc_listen(fd, backlog);
    return EXPORT_CALL("listen", socket_listen(fd, backlog), "%d, %d", fd, backlog);
}

EXPORT int connect(int fd, const struct sockaddr *address, socklen_t length)
{
    if (descriptor_is_foreign(fd))
        return libc_connect(fd, address, length);
    return EXPORT_CALL("connect", socket_connect(fd, address, length), "%d, %a", fd, address, length);
}

EXPORT_ALIAS(connect) int __connect(int fd, const struct sockaddr *address, socklen_t length);

EXPORT int accept(int fd, struct sockaddr *address, socklen_t *length)
{
    int new_fd;

    if (!descriptor_is_foreign(fd))
        return EXPORT_CALL("accept", socket_accept(fd, address, length, 0), "%d", fd);
    new_fd = libc_accept(fd, address, length);
    if (new_fd >= 0)
        descriptor_set(new_fd, DESCRIPTOR_FOREIGN);
    return new_fd;
}

EXPORT int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
    int new_fd;

    if (!descriptor_is_foreign(fd))
        return EXPORT_CALL("accept4", socket_accept(fd, address, length, flags), "%d, %x", fd, flags);
    new_fd = libc_accept4(fd, address, length, flags);
    if (new_fd >= 0)
        descriptor_set(new_fd, DESCRIPTOR_FOREIGN);
    return new_fd;
}

EXPORT int getsockname(int fd, struct sockaddr *address, socklen_t *length)
{
    if (descriptor_is_foreign(fd))
        return libc_getsockname(fd, address, length);
    return EXPORT_CALL("getsockname", socket_getsockname(fd, address, length), "%d", fd);
}

EXPORT int getpeername(int fd, struct sockaddr *address, socklen_t *length)
{
    if (descriptor_is_foreign(fd))
        return libc_getpeername(fd, address, length);
    return EXPORT_CALL("getpeername", socket_getpeername(fd, address, length), "%d", fd);
}

EXPORT int getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
    if (descriptor_is_foreign(fd))
        return libc_getsockopt(fd, level, name, value, length);
    return EXPORT_CALL("getsockopt", socket_getsockopt(fd, level, name, value, length), "%d, %l, %d", fd, level, name);
}

EXPORT int setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    if (descriptor_is_foreign(fd))
        return libc_setsockopt(fd, level, name, value, length);
    return EXPORT_CALL("setsockopt", socket_setsockopt(fd, level, name, value, length), "%d, %l, %d", fd, level, name);
}

EXPORT int shutdown(int fd, int how)
{
    if (descriptor_is_foreign(fd))
        return libc_shutdown(fd, how);
    return EXPORT_CALL("shutdown", socket_shutdown(fd, how), "%d, %d", fd, how);
}

EXPORT int ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;
    void *argument;

    va_start(arguments, request);
    argument = va_arg(arguments, void *);
    va_end(arguments);
    if (descriptor_is_foreign(fd) && !interface_is_unix_ioctl(fd, request))
        return libc_ioctl(fd, request, argument);
    return EXPORT_CALL("ioctl", socket_ioctl(fd, request, argument), "%d, %x, %p", fd, (unsigned)request, argument);
}

/* libc's own reaches ioctl() without us. */
EXPORT int sockatmark(int fd)
{
    int mark;

    return ioctl(fd, SIOCATMARK, &mark) < 0 ? -1 : mark;
}

/* libc's own reaches bind() without us. */
EXPORT int bindresvport(int fd, struct sockaddr_in *address)
{
    if (descriptor_is_foreign(fd))
        return libc_bindresvport(fd, address);
    return EXPORT_CALL("bindresvport", socket_bindresvport(fd, address), "%d", fd);
}
