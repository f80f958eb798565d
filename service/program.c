/* program.c - who is at the other end of a control connection, and so who made a socket. */
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static uint32_t last_number;

struct program *program_make(pid_t pid, uid_t uid, gid_t gid)
{
    struct program *program = calloc(1, sizeof *program);

    if (program == NULL)
        return NULL;
    program->holders = 1;
    program->number = ++last_number != 0 ? last_number : ++last_number;
    program->pid = pid;
    program->uid = uid;
    program->gid = gid;
    return program;
}

struct program *program_restore(const struct program *known)
{
    struct program *program = program_make(known->pid, known->uid, known->gid);

    if (program == NULL)
        return NULL;
    if (known->number > last_number)
        last_number = known->number;
    program->number = known->number;
    memcpy(program->name, known->name, sizeof program->name);
    program->name[sizeof program->name - 1] = '\0';
    return program;
}

/* Ask the kernel what it is called; it does not matter if nobody knows. */
static void read_name(struct program *program)
{
    char path[32];
    ssize_t length;
    int fd;

    snprintf(path, sizeof path, "/proc/%d/comm", (int)program->pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    length = read(fd, program->name, sizeof program->name - 1);
    close(fd);
    if (length > 0 && program->name[length - 1] == '\n')
        program->name[length - 1] = '\0';
}

struct program *program_hold(struct program *program)
{
    if (program == NULL)
        return NULL;
    if (program->name[0] == '\0' && program->pid > 0)
        read_name(program);
    program->holders++;
    return program;
}

void program_release(struct program *program)
{
    if (program == NULL || --program->holders > 0)
        return;
    free(program->groups);
    free(program);
}

void program_read_groups(struct program *program, int fd)
{
    socklen_t size = 0;
    gid_t *groups;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) == 0 || errno != ERANGE)
        return;
    groups = malloc(size);
    if (groups == NULL || getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0) {
        free(groups);
        return; /* it is in none then */
    }
    free(program->groups);
    program->groups = groups;
    program->group_count = size / sizeof *groups;
}

bool program_is_in_group(const struct program *program, gid_t group)
{
    for (size_t i = 0; i < program->group_count; i++)
        if (program->groups[i] == group)
            return true;
    return program->gid == group;
}
