/* holders.h - which processes hold a socket's descriptor: from /proc, as ss(8) finds them. */
#ifndef SIDESTACK_HOLDERS_H
#define SIDESTACK_HOLDERS_H

#include <stdint.h>
#include <sys/types.h>

struct holder {
    uint64_t inode;
    pid_t pid;
    int fd;
    char name[16];
};

/* Look through the processes that this user may look into. Return: 0 or -ENOMEM. */
int holders_read(void);

/* Return: the first holder of an inode, the others behind it as long as .inode is the same; NULL: none is known. *end
 * is behind the last. */
const struct holder *holders_find(uint64_t inode, const struct holder **end);

void holders_free(void);

#endif
