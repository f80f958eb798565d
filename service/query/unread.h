/* unread.h - how many bytes has a program not read yet? */
#ifndef SIDESTACK_UNREAD_H
#define SIDESTACK_UNREAD_H

#include <stddef.h>
#include <sys/types.h>

/* More sockets than this, and the kernel takes too long to find one of them. */
#define UNREAD_SOCKETS_MAX 1024

/* Open what unread_ask() asks, without privilege: the kernel remembers who did. Return: 0 or -errno: it does not
 * tell. */
int unread_setup(void);

void unread_teardown(void);

/* Bytes in the receive queue of the AF_UNIX socket with this inode. Return: bytes or -errno. */
ssize_t unread_ask(ino_t inode);

#endif
