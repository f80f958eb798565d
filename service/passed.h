/* passed.h - descriptors that came from a program and may be of anything. */
#ifndef SIDESTACK_PASSED_H
#define SIDESTACK_PASSED_H

#include <stdbool.h>

struct quota;

/* Is it anything but a socket of AF_UNIX, as ours are? What is not is asked nothing else: a file system of a user's own
 * answers fstat(2) when that user likes, and with the inode number of anybody's socket. */
bool passed_is_foreign(int fd);

/* Close one, whatever it is, without waiting for that; it came from this user. */
void passed_close(int fd, struct quota *quota);

/* May programs of this user pass more? Not while several of theirs can't be closed. */
bool passed_may_come(const struct quota *quota);

#endif
