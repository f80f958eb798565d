/* row.h - a socket as the service describes it, read from JSON: what ss, kill and top work on. */
#ifndef SIDESTACK_ROW_H
#define SIDESTACK_ROW_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* An address: IPv4 ones as v4-mapped. */
struct row_address {
    uint8_t bytes[16];
    uint16_t port;
    uint32_t scope;
    char text[48];
};

struct row {
    json_t *object; /* the caller's, of which the strings are part */
    uint64_t id;
    const char *netid;
    int state;  /* Linux's numbers: TCP_ESTABLISHED ... */
    int family; /* 4 or 6 */
    uint64_t receive_q, send_q;
    struct row_address local, peer; /* peer.text empty: none */
    bool v6only;
    uint64_t uid, inode;
    pid_t pid; /* of who made it; 0: not known */
    const char *program;
    const json_t *info; /* NULL: none */
};

/* Read an object. Return: false when it is none of a socket. */
bool row_read(struct row *row, json_t *object);

/* A state by its number: as ss shows it, and as filters have it. */
const char *row_state_shown(int state);
const char *row_state_word(int state);
#define ROW_STATES 12 /* numbers are below this */

/* Is it of TCP? Does the peer's address play a part: is it IPv6? */
bool row_is_tcp(const struct row *row);
bool row_address_is_v4(const struct row_address *address);

#endif
