/*
 * export_data.c - libc's names for reading and writing.
 *
 * The fast path of every program: for a foreign descriptor a load from the table and a tail call.
 */
#undef _FORTIFY_SOURCE /* its wrappers bear the names that are defined here */

#include "data.h"
#include "descriptor.h"
#include "export.h"
#include "libc.h"

#include <fcntl.h>
#include <sys/sendfile.h>
#include <unistd.h>

/* Where libc's fortified variants go when the buffer is too small. */
extern void __chk_fail(void) __attribute__((noreturn));

/* ---- reading ---- */

EXPORT ssize_t read(int fd, void *buffer, size_t length)
{
    if (descriptor_is_foreign(fd))
        return libc_read(fd, buffer, length);
    return EXPORT_CALL("read", data_read(fd, buffer, length), "%d, %p, %u", fd, buffer, length);
}

EXPORT_ALIAS(read) ssize_t __read(int fd, void *buffer, size_t length);

EXPORT ssize_t __read_chk(int fd, void *buffer, size_t length, size_t size);
EXPORT ssize_t __read_chk(int fd, void *buffer, size_t length, size_t size)
{
    if (length > size)
        __chk_fail();
    return read(fd, buffer, length);
}

EXPORT ssize_t readv(int fd, const struct iovec *iov, int count)
{
    if (descriptor_is_foreign(fd))
        return libc_readv(fd, iov, count);
    return EXPORT_CALL("readv", data_readv(fd, iov, count), "%d, %p, %d", fd, iov, count);
}

EXPORT ssize_t preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
    if (descriptor_is_foreign(fd))
        return libc_preadv2(fd, iov, count, offset, flags);
    return EXPORT_CALL("preadv2", data_preadv2(fd, iov, count, offset, flags), "%d, %p, %d, -1, %x", fd, iov, count,
                       flags);
}

EXPORT_ALIAS(preadv2) ssize_t preadv64v2(int fd, const struct iovec *iov, int count, off64_t offset, int flags);

EXPORT ssize_t recv(int fd, void *buffer, size_t length, int flags)
{
    if (descriptor_is_foreign(fd))
        return libc_recv(fd, buffer, length, flags);
    return EXPORT_CALL("recv", data_recv(fd, buffer, length, flags), "%d, %p, %u, %m", fd, buffer, length, flags);
}

EXPORT ssize_t __recv_chk(int fd, void *buffer, size_t length, size_t size, int flags);
EXPORT ssize_t __recv_chk(int fd, void *buffer, size_t length, size_t size, int flags)
{
    if (length > size)
        __chk_fail();
    return recv(fd, buffer, length, flags);
}

EXPORT ssize_t recvfrom(int fd, void *buffer, size_t length, int flags, struct sockaddr *address,
                        socklen_t *address_length)
{
    if (descriptor_is_foreign(fd))
        return libc_recvfrom(fd, buffer, length, flags, address, address_length);
    return EXPORT_CALL("recvfrom", data_recvfrom(fd, buffer, length, flags, address, address_length), "%d, %p, %u, %m",
                       fd, buffer, length, flags);
}

EXPORT ssize_t __recvfrom_chk(int fd, void *buffer, size_t length, size_t size, int flags, struct sockaddr *address,
                              socklen_t *address_length);
EXPORT ssize_t __recvfrom_chk(int fd, void *buffer, size_t length, size_t size, int flags, struct sockaddr *address,
                              socklen_t *address_length)
{
    if (length > size)
        __chk_fail();
    return recvfrom(fd, buffer, length, flags, address, address_length);
}

EXPORT ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    ssize_t got;

    if (!descriptor_is_foreign(fd))
        return EXPORT_CALL("recvmsg", data_recvmsg(fd, message, flags), "%d, %p, %m", fd, message, flags);
    got = libc_recvmsg(fd, message, flags);
    if (got >= 0 && message->msg_controllen > 0)
        descriptor_forget_received(message);
    return got;
}

EXPORT int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout)
{
    int got;

    if (!descriptor_is_foreign(fd))
        return EXPORT_CALL("recvmmsg", data_recvmmsg(fd, messages, count, flags, timeout), "%d, %p, %d, %m", fd,
                           messages, (int)count, flags);
    got = libc_recvmmsg(fd, messages, count, flags, timeout);
    for (int i = 0; i < got; i++)
        if (messages[i].msg_hdr.msg_controllen > 0)
            descriptor_forget_received(&messages[i].msg_hdr);
    return got;
}

/* ---- writing ---- */

EXPORT ssize_t write(int fd, const void *buffer, size_t length)
{
    if (descriptor_is_foreign(fd))
        return libc_write(fd, buffer, length);
    return EXPORT_CALL("write", data_write(fd, buffer, length), "%d, %p, %u", fd, buffer, length);
}

EXPORT_ALIAS(write) ssize_t __write(int fd, const void *buffer, size_t length);

EXPORT ssize_t writev(int fd, const struct iovec *iov, int count)
{
    if (descriptor_is_foreign(fd))
        return libc_writev(fd, iov, count);
    return EXPORT_CALL("writev", data_writev(fd, iov, count), "%d, %p, %d", fd, iov, count);
}

EXPORT ssize_t pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
    if (descriptor_is_foreign(fd))
        return libc_pwritev2(fd, iov, count, offset, flags);
    return EXPORT_CALL("pwritev2", data_pwritev2(fd, iov, count, offset, flags), "%d, %p, %d, -1, %x", fd, iov, count,
                       flags);
}

EXPORT_ALIAS(pwritev2) ssize_t pwritev64v2(int fd, const struct iovec *iov, int count, off64_t offset, int flags);

EXPORT ssize_t send(int fd, const void *buffer, size_t length, int flags)
{
    if (descriptor_is_foreign(fd))
        return libc_send(fd, buffer, length, flags);
    return EXPORT_CALL("send", data_send(fd, buffer, length, flags), "%d, %p, %u, %m", fd, buffer, length, flags);
}

EXPORT_ALIAS(send) ssize_t __send(int fd, const void *buffer, size_t length, int flags);

EXPORT ssize_t sendto(int fd, const void *buffer, size_t length, int flags, const struct sockaddr *address,
                      socklen_t address_length)
{
    if (descriptor_is_foreign(fd))
        return libc_sendto(fd, buffer, length, flags, address, address_length);
    return EXPORT_CALL("sendto", data_sendto(fd, buffer, length, flags, address, address_length), "%d, %p, %u, %m, %a",
                       fd, buffer, length, flags, address, address_length);
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    if (descriptor_is_foreign(fd))
        return libc_sendmsg(fd, message, flags);
    return EXPORT_CALL("sendmsg", data_sendmsg(fd, message, flags), "%d, %p, %m", fd, message, flags);
}

EXPORT int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
    if (descriptor_is_foreign(fd))
        return libc_sendmmsg(fd, messages, count, flags);
    return EXPORT_CALL("sendmmsg", data_sendmmsg(fd, messages, count, flags), "%d, %p, %d, %m", fd, messages,
                       (int)count, flags);
}

EXPORT ssize_t sendfile(int out_fd, int in_fd, off_t *offset, size_t length)
{
    if (descriptor_is_foreign(out_fd))
        return libc_sendfile(out_fd, in_fd, offset, length);
    return EXPORT_CALL("sendfile", data_sendfile(out_fd, in_fd, offset, length), "%d, %d, %p, %u", out_fd, in_fd,
                       offset, length);
}

EXPORT_ALIAS(sendfile) ssize_t sendfile64(int out_fd, int in_fd, off64_t *offset, size_t length);

EXPORT ssize_t splice(int in_fd, off64_t *in_offset, int out_fd, off64_t *out_offset, size_t length, unsigned flags)
{
    if (descriptor_is_foreign(in_fd) && descriptor_is_foreign(out_fd))
        return libc_splice(in_fd, in_offset, out_fd, out_offset, length, flags);
    return EXPORT_CALL("splice", data_splice(in_fd, in_offset, out_fd, out_offset, length, flags),
                       "%d, %p, %d, %p, %u, %x", in_fd, in_offset, out_fd, out_offset, length, flags);
}
