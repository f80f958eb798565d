/* kill.c - PROTOCOL_KILL: end connections and other sockets from outside. */
#include "kill.h"

#include "service/privilege/access.h"
#include "service/datagram/datagram.h"
#include "service/listener.h"
#include "service/log/log.h"
#include "service/program.h"
#include "service/socket.h"
#include "stack/inspect.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static bool may_kill(const struct program *program, uid_t owner)
{
    return program->uid == owner || access_may(program, ACCESS_ADMIN);
}

/* One that is in TIME-WAIT. Return: 0 or -errno. */
static int kill_time_wait(uint64_t id, const struct program *program)
{
    struct stack_label label;
    struct time_wait *wait = id != 0 ? stack_time_wait_find(id, &label) : NULL;

    if (wait == NULL)
        return -ENOENT;
    if (!may_kill(program, label.user))
        return -EPERM;
    stack_time_wait_kill(wait);
    return 0;
}

/* One of TCP, known to a program or not any more. Return: 0 or -errno. */
static int kill_tcp(uint64_t id, const struct program *program)
{
    struct stack_label label;
    struct stack_tcp *tcp = id != 0 ? stack_tcp_find(id, &label) : NULL;
    struct socket *socket;

    if (tcp == NULL)
        return kill_time_wait(id, program);
    if (!may_kill(program, label.user))
        return -EPERM;
    socket = socket_find_id(id);
    if (socket != NULL && socket->state == PROTOCOL_STATE_LISTENING) {
        listener_stop(socket);
        return 0;
    }
    return stack_tcp_kill(tcp, ECONNABORTED);
}

/* As Linux: not those of pings. Return: 0 or -errno. */
static int kill_datagram(struct socket *socket, const struct program *program)
{
    if (!may_kill(program, socket->program != NULL ? socket->program->uid : 0))
        return -EPERM;
    if (socket->datagram->kind == STACK_DATAGRAM_PING)
        return -EOPNOTSUPP;
    datagram_abort(socket, ECONNABORTED);
    return 0;
}

int kill_sockets(const struct protocol_message *request, struct protocol_message *reply, const struct program *program)
{
    const size_t count = request->option_length / sizeof(uint64_t);
    int first_error = 0;

    if (count == 0 || request->option_length % sizeof(uint64_t) != 0 || request->address.length != 0 ||
        request->args[0] != 0 || request->args[1] != 0 || request->args[2] != 0 || request->args[3] != 0)
        return -EINVAL;
    for (size_t i = 0; i < count; i++) {
        struct socket *socket;
        uint64_t id;
        int error;

        memcpy(&id, request->option + i * sizeof id, sizeof id);
        error = kill_tcp(id, program);
        socket = error == -ENOENT ? socket_find_id(id) : NULL;
        if (socket != NULL && socket->datagram != NULL)
            error = kill_datagram(socket, program);
        if (error == 0)
            log_info("socket %llu: ended by user %u", (unsigned long long)id, (unsigned)program->uid);
        reply->args[0] += error == 0;
        if (error < 0 && first_error == 0)
            first_error = error;
    }
    return first_error;
}
