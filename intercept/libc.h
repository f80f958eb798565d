/*
 * libc.h - libc's own calls, reached past our hooks: libc_read() is what read() would have been without us.
 *
 * Each is one indirect call through a table. The table starts out with functions that bind the whole of it and go on,
 * so that calls made before our constructor ran (by other constructors, by malloc) work as well.
 */
#ifndef SIDESTACK_LIBC_H
#define SIDESTACK_LIBC_H

#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

/* X(result, name, parameters, arguments): every function that is hooked and so can only be reached through here.
 * Variadic ones take what they could be given at most; the calling conventions of Linux allow that. */
#define LIBC_CALLS(X)                                                                                                  \
    X(ssize_t, read, (int fd, void *buffer, size_t length), (fd, buffer, length))                                      \
    X(ssize_t, write, (int fd, const void *buffer, size_t length), (fd, buffer, length))                               \
    X(ssize_t, readv, (int fd, const struct iovec *iov, int count), (fd, iov, count))                                  \
    X(ssize_t, writev, (int fd, const struct iovec *iov, int count), (fd, iov, count))                                 \
    X(ssize_t, preadv2, (int fd, const struct iovec *iov, int count, off_t offset, int flags),                         \
      (fd, iov, count, offset, flags))                                                                                 \
    X(ssize_t, pwritev2, (int fd, const struct iovec *iov, int count, off_t offset, int flags),                        \
      (fd, iov, count, offset, flags))                                                                                 \
    X(ssize_t, recv, (int fd, void *buffer, size_t length, int flags), (fd, buffer, length, flags))                    \
    X(ssize_t, recvfrom,                                                                                               \
      (int fd, void *buffer, size_t length, int flags, struct sockaddr *address, socklen_t *address_length),           \
      (fd, buffer, length, flags, address, address_length))                                                            \
    X(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags))                             \
    X(int, recvmmsg, (int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout),          \
      (fd, messages, count, flags, timeout))                                                                           \
    X(ssize_t, send, (int fd, const void *buffer, size_t length, int flags), (fd, buffer, length, flags))              \
    X(ssize_t, sendto,                                                                                                 \
      (int fd, const void *buffer, size_t length, int flags, const struct sockaddr *address,                           \
       socklen_t address_length),                                                                                      \
      (fd, buffer, length, flags, address, address_length))                                                            \
    X(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags))                       \
    X(int, sendmmsg, (int fd, struct mmsghdr *messages, unsigned count, int flags), (fd, messages, count, flags))      \
    X(ssize_t, sendfile, (int out_fd, int in_fd, off_t *offset, size_t length), (out_fd, in_fd, offset, length))       \
    X(ssize_t, splice,                                                                                                 \
      (int in_fd, off64_t *in_offset, int out_fd, off64_t *out_offset, size_t length, unsigned flags),                 \
      (in_fd, in_offset, out_fd, out_offset, length, flags))                                                           \
    X(int, socket, (int domain, int type, int protocol), (domain, type, protocol))                                     \
    X(int, socketpair, (int domain, int type, int protocol, int fds[2]), (domain, type, protocol, fds))                \
    X(int, pipe, (int fds[2]), (fds))                                                                                  \
    X(int, pipe2, (int fds[2], int flags), (fds, flags))                                                               \
    X(int, bind, (int fd, const struct sockaddr *address, socklen_t length), (fd, address, length))                    \
    X(int, listen, (int fd, int backlog), (fd, backlog))                                                               \
    X(int, connect, (int fd, const struct sockaddr *address, socklen_t length), (fd, address, length))                 \
    X(int, accept, (int fd, struct sockaddr *address, socklen_t *length), (fd, address, length))                       \
    X(int, accept4, (int fd, struct sockaddr *address, socklen_t *length, int flags), (fd, address, length, flags))    \
    X(int, getsockname, (int fd, struct sockaddr *address, socklen_t *length), (fd, address, length))                  \
    X(int, getpeername, (int fd, struct sockaddr *address, socklen_t *length), (fd, address, length))                  \
    X(int, getsockopt, (int fd, int level, int name, void *value, socklen_t *length),                                  \
      (fd, level, name, value, length))                                                                                \
    X(int, setsockopt, (int fd, int level, int name, const void *value, socklen_t length),                             \
      (fd, level, name, value, length))                                                                                \
    X(int, shutdown, (int fd, int how), (fd, how))                                                                     \
    X(int, poll, (struct pollfd *fds, nfds_t count, int timeout), (fds, count, timeout))                               \
    X(int, ppoll, (struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask),            \
      (fds, count, timeout, mask))                                                                                     \
    X(int, bindresvport, (int fd, struct sockaddr_in *address), (fd, address))                                         \
    X(int, ioctl, (int fd, unsigned long request, void *argument), (fd, request, argument))                            \
    X(int, fcntl, (int fd, int command, long argument), (fd, command, argument))                                       \
    X(int, close, (int fd), (fd))                                                                                      \
    X(int, close_range, (unsigned first, unsigned last, int flags), (first, last, flags))                              \
    X(void, closefrom, (int first), (first))                                                                           \
    X(int, dup, (int fd), (fd))                                                                                        \
    X(int, dup2, (int fd, int new_fd), (fd, new_fd))                                                                   \
    X(int, dup3, (int fd, int new_fd, int flags), (fd, new_fd, flags))                                                 \
    X(int, pidfd_getfd, (int process_fd, int fd, unsigned flags), (process_fd, fd, flags))                             \
    X(int, getaddrinfo,                                                                                                \
      (const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **result),                 \
      (name, service, hints, result))                                                                                  \
    X(int, getnameinfo,                                                                                                \
      (const struct sockaddr *address, socklen_t length, char *host, socklen_t host_length, char *service, socklen_t   \
       service_length, int flags),                                                                                     \
      (address, length, host, host_length, service, service_length, flags))                                            \
    X(struct hostent *, gethostbyname, (const char *name), (name))                                                     \
    X(struct hostent *, gethostbyname2, (const char *name, int family), (name, family))                                \
    X(struct hostent *, gethostbyaddr, (const void *address, socklen_t length, int family), (address, length, family)) \
    X(int, gethostbyname_r,                                                                                            \
      (const char *name, struct hostent *host, char *buffer, size_t length, struct hostent **result, int *code),       \
      (name, host, buffer, length, result, code))                                                                      \
    X(int, gethostbyname2_r,                                                                                           \
      (const char *name, int family, struct hostent *host, char *buffer, size_t length, struct hostent **result, int   \
       *code),                                                                                                         \
      (name, family, host, buffer, length, result, code))                                                              \
    X(int, gethostbyaddr_r,                                                                                            \
      (const void *address, socklen_t address_length, int family, struct hostent *host, char *buffer, size_t length,   \
       struct hostent **result, int *code),                                                                            \
      (address, address_length, family, host, buffer, length, result, code))                                           \
    X(long, gethostid, (void), ())                                                                                     \
    X(struct netent *, getnetbyname, (const char *name), (name))                                                       \
    X(struct netent *, getnetbyaddr, (uint32_t network, int family), (network, family))                                \
    X(int, getnetbyname_r,                                                                                             \
      (const char *name, struct netent *network, char *buffer, size_t length, struct netent **result, int *code),      \
      (name, network, buffer, length, result, code))                                                                   \
    X(int, getnetbyaddr_r,                                                                                             \
      (uint32_t number, int family, struct netent *network, char *buffer, size_t length, struct netent **result, int   \
       *code),                                                                                                         \
      (number, family, network, buffer, length, result, code))                                                         \
    X(int, chroot, (const char *path), (path))                                                                         \
    X(int, setuid, (uid_t uid), (uid))                                                                                 \
    X(int, seteuid, (uid_t uid), (uid))                                                                                \
    X(int, setreuid, (uid_t real, uid_t effective), (real, effective))                                                 \
    X(int, setresuid, (uid_t real, uid_t effective, uid_t saved), (real, effective, saved))                            \
    X(int, prctl, (int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d),                    \
      (option, a, b, c, d))                                                                                            \
    X(long, syscall, (long number, long a, long b, long c, long d, long e, long f), (number, a, b, c, d, e, f))

#define LIBC_MEMBER(result, name, parameters, arguments) result(*name) parameters;
struct libc_table {
    LIBC_CALLS(LIBC_MEMBER)
};
#undef LIBC_MEMBER

extern struct libc_table libc_table;

#define LIBC_CALL(result, name, parameters, arguments)                                                                 \
    static inline result libc_##name parameters                                                                        \
    {                                                                                                                  \
        return libc_table.name arguments;                                                                              \
    }
LIBC_CALLS(LIBC_CALL)
#undef LIBC_CALL

/* Fill in every entry of the table. May be called again, and by several threads at once. */
void libc_load(void);

#endif
