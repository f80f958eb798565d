/*
 * socket.h - making sockets, connecting them, asking about them. All return what the call returns, or -errno.
 */
#ifndef SIDESTACK_SOCKET_H
#define SIDESTACK_SOCKET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

/* Is it for us to answer socket() of this family? All others are libc's. */
bool socket_family_is_ours(int domain);
int socket_create(int domain, int type, int protocol);

/* These take a descriptor that may be foreign after all, and pass it on to libc then. */
int socket_bind(int fd, const struct sockaddr *address, socklen_t length);
int socket_bindresvport(int fd, struct sockaddr_in *address);
int socket_listen(int fd, int backlog);
int socket_connect(int fd, const struct sockaddr *address, socklen_t length);
/* A write with flags, while it connects (DESCRIPTOR_CONNECTING): wait as the program would have to. Return: 0 or
 * -errno. */
int socket_wait_connected(int fd, int flags);
int socket_accept(int fd, struct sockaddr *address, socklen_t *length, int flags);
int socket_getsockname(int fd, struct sockaddr *address, socklen_t *length);
int socket_getpeername(int fd, struct sockaddr *address, socklen_t *length);
int socket_shutdown(int fd, int how);
int socket_getsockopt(int fd, int level, int name, void *value, socklen_t *length);
int socket_setsockopt(int fd, int level, int name, const void *value, socklen_t length);
int socket_ioctl(int fd, unsigned long request, void *argument);

#endif
