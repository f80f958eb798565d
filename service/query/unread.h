/* unread.h - how many bytes has a program not read yet? */
#ifndef SIDESTACK_UNREAD_H
#define SIDESTACK_UNREAD_H

#include <stddef.h>
#include <sys/types.h>

/* More sockets than this, and the kernel takes too long to find one of them. */
#define UNREAD_SOCKETS_MAX 1024

/* Begin to ask. Return: a descriptor for unread_ask(), the caller's to close; or -errno: the kernel does not tell. */
int unread_open(void);

/* Bytes in the receive queue of the AF_UNIX socket with this inode. Return: bytes or -errno. */
ssize_t unread_ask(int fd, ino_t inode);

#endif
