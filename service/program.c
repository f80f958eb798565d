/* program.c - who is at the other end of a control connection, and so who made a socket. */
#include "program.h"

#include "service/privilege/quota.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static uint32_t last_number;

#define HASH_BUCKETS 1024

static struct program *connected[HASH_BUCKETS]; /* by pid */
static uint64_t last_process;

static struct program **bucket_of(pid_t pid)
{
    return &connected[(unsigned)pid % HASH_BUCKETS];
}

/* Read a file of /proc/PID. Return: it as text; empty if it can't be read. */
static void read_file(pid_t pid, const char *name, char *text, size_t size)
{
    char path[32];
    ssize_t length;
    int fd;

    text[0] = '\0';
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    length = read(fd, text, size - 1);
    close(fd);
    text[length > 0 ? length : 0] = '\0';
}

/* When was the process started? Field 22 of its stat; its name, the second one, may have spaces. Return: 0: not
 * known. */
static uint64_t find_start(pid_t pid)
{
    char text[512], *field;

    if (pid <= 0)
        return 0;
    read_file(pid, "stat", text, sizeof text);
    field = strrchr(text, ')');
    for (int i = 2; i < 22 && field != NULL; i++)
        field = strchr(field + 1, ' ');
    return field != NULL ? strtoull(field, NULL, 10) : 0;
}

/* Which process is this? Return: what its other connections have; a number of its own when there are none. */
static uint64_t find_process(const struct program *program)
{
    const struct program *other = *bucket_of(program->pid);

    while (other != NULL && (other->pid != program->pid || other->started != program->started))
        other = other->hash_next;
    return other != NULL && program->started != 0 ? other->process : ++last_process;
}

static struct program *make(pid_t pid, uid_t uid, gid_t gid)
{
    struct program *program = calloc(1, sizeof *program);

    if (program == NULL)
        return NULL;
    program->holders = 1;
    program->number = ++last_number != 0 ? last_number : ++last_number;
    program->pid = pid;
    program->uid = uid;
    program->gid = gid;
    program->quota = quota_hold(uid);
    if (program->quota == NULL) {
        free(program);
        return NULL;
    }
    return program;
}

struct program *program_connect(pid_t pid, uid_t uid, gid_t gid)
{
    struct program *program = make(pid, uid, gid);

    if (program == NULL)
        return NULL;
    program->started = find_start(pid);
    program->process = find_process(program);
    program_enter(program);
    return program;
}

struct program *program_restore(const struct program *known)
{
    struct program *program = make(known->pid, known->uid, known->gid);

    if (program == NULL)
        return NULL;
    if (known->number > last_number)
        last_number = known->number;
    if (known->process > last_process)
        last_process = known->process;
    program->number = known->number;
    program->started = known->started;
    program->process = known->process;
    program->was_root = known->was_root;
    memcpy(program->name, known->name, sizeof program->name);
    program->name[sizeof program->name - 1] = '\0';
    return program;
}

void program_enter(struct program *program)
{
    program->hash_next = *bucket_of(program->pid);
    *bucket_of(program->pid) = program;
}

void program_disconnect(struct program *program)
{
    if (program == NULL)
        return;
    for (struct program **place = bucket_of(program->pid); *place != NULL; place = &(*place)->hash_next) {
        if (*place == program) {
            *place = program->hash_next;
            break;
        }
    }
    program_release(program);
}

/* Ask the kernel what it is called; it does not matter if nobody knows. */
static void read_name(struct program *program)
{
    read_file(program->pid, "comm", program->name, sizeof program->name);
    program->name[strcspn(program->name, "\n")] = '\0';
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
    quota_release(program->quota);
    free(program->groups);
    free(program);
}

bool program_kept_capability(const struct program *program, unsigned capability)
{
    char text[4096];
    const char *field;

    if (!program->was_root || program->pid == 0 || find_start(program->pid) != program->started)
        return false;
    read_file(program->pid, "status", text, sizeof text);
    field = strstr(text, "\nCapEff:");
    return field != NULL && (strtoull(field + strlen("\nCapEff:"), NULL, 16) >> capability & 1) != 0;
}

void program_read_groups(struct program *program, int fd)
{
    socklen_t size = 0;
    gid_t *groups;

    // cppcheck-suppress nullPointer ; asks for the length alone
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
