/*
 * data.h - reading and writing on sockets of ours. All return what the call returns, or -errno.
 */
#ifndef SIDESTACK_DATA_H
#define SIDESTACK_DATA_H

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

ssize_t data_read(int fd, void *buffer, size_t length);
ssize_t data_readv(int fd, const struct iovec *iov, int count);
ssize_t data_preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags);
ssize_t data_recv(int fd, void *buffer, size_t length, int flags);
ssize_t data_recvfrom(int fd, void *buffer, size_t length, int flags, struct sockaddr *address,
                      socklen_t *address_length);
ssize_t data_recvmsg(int fd, struct msghdr *message, int flags);
int data_recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout);
/* A read of fd, which may be a foreign one, failed with errno. Return: what TCP would give: -errno, or 0 for the
 * end. */
int data_receive_error(int fd);

ssize_t data_write(int fd, const void *buffer, size_t length);
ssize_t data_writev(int fd, const struct iovec *iov, int count);
ssize_t data_pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags);
ssize_t data_send(int fd, const void *buffer, size_t length, int flags);
ssize_t data_sendto(int fd, const void *buffer, size_t length, int flags, const struct sockaddr *address,
                    socklen_t address_length);
ssize_t data_sendmsg(int fd, const struct msghdr *message, int flags);
int data_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags);
ssize_t data_sendfile(int out_fd, int in_fd, off_t *offset, size_t length);
ssize_t data_splice(int in_fd, off64_t *in_offset, int out_fd, off64_t *out_offset, size_t length, unsigned flags);

/* The process may be allowed plain read() and write() only, from now on (seccomp). */
void data_stop_asking(void);

#endif
