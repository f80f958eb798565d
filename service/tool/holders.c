/* holders.c - which processes hold a socket's descriptor: from /proc, as ss(8) finds them. */
#include "holders.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct holder *holders; /* by inode */
static size_t count, capacity;

static int add(const struct holder *holder)
{
    if (count == capacity) {
        size_t more = capacity == 0 ? 256 : capacity * 2;
        struct holder *bigger = realloc(holders, more * sizeof *bigger);

        if (bigger == NULL)
            return -ENOMEM;
        holders = bigger;
        capacity = more;
    }
    holders[count++] = *holder;
    return 0;
}

static void read_name(int process, char name[16])
{
    int fd = openat(process, "comm", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? read(fd, name, 15) : 0;

    if (fd >= 0)
        close(fd);
    name[length > 0 ? length : 0] = '\0';
    name[strcspn(name, "\n")] = '\0';
}

/* The sockets of one process; one that may not be looked into, or has ended, has none. */
static int read_process(const char *pid)
{
    struct holder holder = {.pid = (pid_t)atoi(pid)};
    struct dirent *entry;
    char path[64];
    int process, error = 0;
    DIR *descriptors = NULL;

    snprintf(path, sizeof path, "/proc/%d", (int)holder.pid);
    process = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (process < 0)
        return 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)holder.pid);
    descriptors = opendir(path);
    while (descriptors != NULL && error == 0 && (entry = readdir(descriptors)) != NULL) {
        unsigned long long inode;
        char target[64];
        ssize_t length = readlinkat(dirfd(descriptors), entry->d_name, target, sizeof target - 1);

        if (length < 0)
            continue;
        target[length] = '\0';
        if (sscanf(target, "socket:[%llu]", &inode) != 1)
            continue;
        if (holder.name[0] == '\0')
            read_name(process, holder.name);
        holder.inode = inode;
        holder.fd = atoi(entry->d_name);
        error = add(&holder);
    }
    if (descriptors != NULL)
        closedir(descriptors);
    close(process);
    return error;
}

static int by_inode(const void *left, const void *right)
{
    const struct holder *a = left, *b = right;

    if (a->inode != b->inode)
        return a->inode < b->inode ? -1 : 1;
    return a->pid != b->pid ? (a->pid < b->pid ? -1 : 1) : a->fd - b->fd;
}

int holders_read(void)
{
    DIR *processes = opendir("/proc");
    struct dirent *entry;
    int error = 0;

    count = 0;
    while (processes != NULL && error == 0 && (entry = readdir(processes)) != NULL)
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
            error = read_process(entry->d_name);
    if (processes != NULL)
        closedir(processes);
    if (count > 0)
        qsort(holders, count, sizeof *holders, by_inode);
    return error;
}

const struct holder *holders_find(uint64_t inode, const struct holder **end)
{
    size_t low = 0, high = count;

    *end = holders + count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (holders[middle].inode < inode)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && holders[low].inode == inode ? &holders[low] : NULL;
}

void holders_free(void)
{
    free(holders);
    holders = NULL;
    count = capacity = 0;
}
