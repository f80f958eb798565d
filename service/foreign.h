/* foreign.h - descriptors that came from a program and may hang who asks them something, or closes them. */
#ifndef SIDESTACK_FOREIGN_H
#define SIDESTACK_FOREIGN_H

#include <stdbool.h>
#include <sys/types.h>

/* Is it anything but a socket of AF_UNIX? Only of such a one may be asked what it is, by fstat(2) and its like. */
bool foreign_is(int fd);

/* Close what a program of this user passed, whatever it is, without waiting for that. */
void foreign_close(int fd, uid_t user);

/* May programs of this user pass more descriptors? Not while the closing of several hangs. */
bool foreign_may_come(uid_t user);

#endif
