/*
 * oracle.h - what the oracle's programs share.
 *
 * A program here is a table of cases. A case makes calls on Internet sockets and prints a transcript: each call, its
 * result or errno by name, poll bits by name, data. The runner (compare) runs each case once on the kernel's stack and
 * once with libintercept.so before it, and the two transcripts must be the same, byte for byte. So a transcript has no
 * descriptor or port numbers, no times and no sizes that a kernel is free to choose.
 *
 * The other party of a case is the peer (peer.c), a kernel process in another network namespace that does what the case
 * tells it, through an AF_UNIX socket. Order comes from its replies and from waiting for poll bits, never from time.
 */
#ifndef SIDESTACK_ORACLE_H
#define SIDESTACK_ORACLE_H

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

/*
 * One case: `PROGRAM NAME` runs it. A name that begins with '_' is a helper (a program to exec) and not listed.
 *
 * Every case runs on IPv4, and again on IPv6 when ORACLE_FAMILY is 6 in the environment (compare calls that TOPIC6):
 * helpers below make sockets and addresses of that family. A case whose name ends in _v4 or _v6 runs on that one only.
 */
struct oracle_case {
    const char *name;
    void (*run)(void);
};

/* Defined by each program; the last one has no name. */
extern const struct oracle_case oracle_cases[];

/* Where transcript and peer are: high numbers, so that a case sees the same free descriptors in both settings. */
#define ORACLE_OUTPUT_FD 201
#define ORACLE_PEER_FD 202

/* ---- the transcript ---- */

/* Print one line (a newline is added). */
void oracle_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* An errno that no call sets: a successful call must leave it alone. */
#define ORACLE_ERRNO_UNTOUCHED 7777

/* Make a call and print it as it stands in the source, with its result or errno; CALL_FD hides the number. */
#define CALL(call) (errno = ORACLE_ERRNO_UNTOUCHED, oracle_print_result(#call, (long)(call), false))
#define CALL_FD(call) ((int)(errno = ORACLE_ERRNO_UNTOUCHED, oracle_print_result(#call, (long)(call), true)))

/* Print "text = result". Return: result, with errno as the call left it. */
long oracle_print_result(const char *text, long result, bool hide);

/* End the case: "cannot go on: what: errno". */
void oracle_die(const char *what) __attribute__((noreturn));

/* "ECONNRESET", "0" for none; "IN|RDHUP" for poll and epoll bits (the static buffer lives for four calls). */
const char *oracle_errno_text(int error);
const char *oracle_bits_text(unsigned bits);

/* Role and port: "subject:listener", "peer:port", "any:0"; ports get a name by oracle_name_port(). */
const char *oracle_address_text(const void *address, socklen_t length);
void oracle_name_port(int port, const char *name);

/* Print getsockname() and getpeername(). */
void oracle_print_names(int fd);

/* Print SO_ERROR. */
void oracle_print_so_error(int fd);

/* Print what poll() says now, asked for everything. */
void oracle_print_poll(int fd);

/*
 * A socket dies in steps that a call on another processor sees between: Linux sets the state before it ends both ways,
 * a pair hangs up before its queue is emptied. If bits tell of a death (ERR and HUP), wait a moment for the rest.
 * Return: what poll() says then of the bits that were asked for, else bits.
 */
unsigned oracle_settled(int fd, unsigned bits, unsigned asked);

/* Wait (up to 5 s) until poll() reports all of these bits; print what it says then. */
void oracle_wait_bits(int fd, int bits);

/* Wait until FIONREAD says at least count. Not printed, unless it fails. */
void oracle_wait_bytes(int fd, int count);

/* Read until count bytes came, or the end, or an error; print what came. */
void oracle_read_bytes(int fd, size_t count);

/* One recv() of at most count (up to 4096) bytes; prints the bytes. */
long oracle_recv(int fd, size_t count, int flags);

/* Send the next count bytes of the pattern (a to z and again); print how many went. Blocking descriptors only. */
void oracle_send_pattern(int fd, size_t count);

/* Send until nothing moves any more: the peer does not read. Return: how many bytes went. Leaves the descriptor
 * blocking. */
long oracle_fill(int fd);

/* ---- addresses and sockets ---- */

/* An address of either family. */
union oracle_sockaddr {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

/* The family that this run is about, AF_INET or AF_INET6, and its address's size. */
int oracle_family(void);
socklen_t oracle_address_size(void);
/* One of the two, by the family. */
const char *oracle_pick(const char *ipv4, const char *ipv6);

union oracle_sockaddr oracle_peer_address(int port);
union oracle_sockaddr oracle_subject_address(int port);
/* "subject", "peer", "silent" (drops everything), "unreachable" (answered by ICMP), "absent" (nobody has it), "any",
 * "loopback", "peer-link" (the peer's link-local address, of IPv6), or numbers. */
union oracle_sockaddr oracle_address(const char *role, int port);

int oracle_local_port(int fd);
void oracle_set_nonblocking(int fd, bool on);
void oracle_set_timeout(int fd, int option, int milliseconds);

/* A blocking TCP socket, not connected. */
int oracle_socket(void);
/* A blocking socket connected to the peer, which holds the other end as connection 0. */
int oracle_connect_peer(void);
/* The same, accepted from a connect() of the peer's. */
int oracle_accept_peer(void);
/* A listening socket on the subject's address, its port named "listener". */
int oracle_listen(int backlog);
/* A port of the peer's on which nobody listens. */
int oracle_refused_port(void);
/* A file in memory that holds count bytes of the pattern, at its beginning. */
int oracle_make_file(size_t count);
/* Listen at the peer. Return: the port, named "peer-listener". */
int oracle_peer_listen(int backlog);

/* bind() and connect() without the casts. */
int oracle_bind(int fd, union oracle_sockaddr address);
int oracle_connect(int fd, union oracle_sockaddr address);

/* ---- the peer ---- */

/*
 * Have the peer do something, and wait until it is done. The commands are listed in peer.c. What stands after '@' is
 * part of the command, but not printed. peer_do() prints command and result; peer_ask() prints nothing.
 * Return: the result, or -errno.
 */
long peer_do(const char *format, ...) __attribute__((format(printf, 1, 2)));
long peer_ask(const char *format, ...) __attribute__((format(printf, 1, 2)));
/*
 * The same in two halves, for what has to happen while the subject is blocked in a call: the peer waits until this
 * thread sleeps, then does it; peer_end() waits for the reply, and prints both.
 */
void peer_begin_when_blocked(const char *format, ...) __attribute__((format(printf, 1, 2)));
long peer_end(void);
long peer_end_ask(void); /* prints nothing */
/* The text that came with the last reply. */
const char *peer_text(void);

#endif
