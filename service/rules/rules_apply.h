/* rules_apply.h - what the rules mean for the sockets of programs. */
#ifndef SIDESTACK_RULES_APPLY_H
#define SIDESTACK_RULES_APPLY_H

#include "service/request.h"
#include "service/socket.h"

/* rules_apply_datagram(): as if it was sent. */
#define RULES_VANISH 1

/* PROTOCOL_SOCKET, before a socket is made: is it decided by the program alone? Return: 0 and *rules for the socket,
 * -PROTOCOL_ON_HOST, or -errno: the rule's. */
int rules_apply_new(const struct protocol_message *request, struct rules_who *who, struct socket_rules *rules);

/* The socket was made: *rules is its own from now on. */
void rules_apply_made(struct socket *socket, const struct socket_rules *rules);

/*
 * Before a request about the socket is carried out. who: who asks; NULL: there are no rules.
 * Return: 0: carry it out, -PROTOCOL_ON_HOST (the reply says how to make the socket again), or -errno: the rule's.
 */
int rules_apply(struct socket *socket, const struct protocol_message *request, struct protocol_message *reply,
                struct rules_who *who);

/* After it was carried out: what a socket of the kernel's would have to be told. */
void rules_apply_done(struct socket *socket, const struct protocol_message *request);

/* Before a datagram is sent. peer: NULL: to the connected one. is_asked: the program learns the result. Return: 0: send
 * it, RULES_VANISH, or -errno; -PROTOCOL_ON_HOST: the answer to PROTOCOL_SEND_RESULT is rules_apply_describe()'s. */
int rules_apply_datagram(struct socket *socket, const union stack_address *peer, bool is_asked);

/* Fill in a reply with the result -PROTOCOL_ON_HOST. */
void rules_apply_describe(const struct socket *socket, struct protocol_message *reply);

/* PROTOCOL_SETTINGS. Return: 0 */
int rules_apply_read_settings(const struct socket *socket, const struct protocol_message *request,
                              struct protocol_message *reply);

/* The socket can't be moved any more: forget what was noted for that. */
void rules_apply_settle(struct socket *socket);

/* PROTOCOL_RULES (sidestack rules). Return: 0 or -errno. */
int rules_apply_query(const struct protocol_message *request, struct protocol_message *reply);

#endif
