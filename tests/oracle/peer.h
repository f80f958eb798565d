/* peer.h - what the files of the oracle's peer share. The commands are listed in peer.c. */
#ifndef SIDESTACK_ORACLE_PEER_H
#define SIDESTACK_ORACLE_PEER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

#define PEER_CONNECTIONS 16
#define PEER_MESSAGE_BYTES 1024
#define PEER_DEADLINE_S 5

union peer_address {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

/* The family of this run (ORACLE_FAMILY), and its address's size. */
int peer_family(void);
socklen_t peer_address_size(void);

/* An address of that family; host NULL: any. */
union peer_address peer_make_address(const char *host, int port);

/* Add to the text of the reply. */
void peer_add_text(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* No call on a socket waits longer than the deadline. */
void peer_set_deadline(int fd);

/* Do a command on datagram sockets. Return: its result or -errno; -ENOSYS: it is none of these. */
long peer_run_datagram_command(const char *command);

/* The same for ICMP errors. */
long peer_run_icmp_command(const char *command);

#endif
