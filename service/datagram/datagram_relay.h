/* datagram_relay.h - carries datagrams and errors between a datagram socket's pair and the stack. */
#ifndef SIDESTACK_DATAGRAM_RELAY_H
#define SIDESTACK_DATAGRAM_RELAY_H

#include "datagram.h"

/* What the stack tells the record. */
extern const struct stack_datagram_events datagram_relay_events;

/* Send all that the program wrote until now. */
void datagram_relay_catch_up(struct socket *socket);

/* Send the datagram that was being put together, if there is one. Return: 0 or -errno. */
int datagram_relay_uncork(struct socket *socket);

/* Have the program's next call fail with error (positive errno), once. */
void datagram_relay_put_error(struct socket *socket, int error);

/* Take the oldest of the queued errors; *taken is the caller's to free, NULL: drop it. Return: was there one? */
bool datagram_relay_take_error(struct socket *socket, struct queued_error **taken);

/* The queued errors go to another service (stack/archive.h). */
struct archive;
void datagram_relay_handover(struct archive *archive, struct datagram *datagram);

/* Write it into the reply to PROTOCOL_ERROR_QUEUE. */
void datagram_relay_describe_error(const struct queued_error *error, struct protocol_message *reply);

#endif
