/*
 * fake_service.h - a process that answers requests as a test wants it.
 *
 * It keeps no sockets. What it does follows from the request:
 *  - SOCKET: a new pair, named as the service names it, and as many more as are wanted.
 *  - GETSOCKNAME: an address whose port is the number of the control connection (1 is the first that was made).
 *  - LISTEN with backlog N: N connections are put on the descriptor at once, from ports 1 to N.
 *  - STATUS: the state and errno that the last SHUTDOWN request gave (args[0] = state + 16 * errno).
 *  - BIND to port P answers -P; the FAKE_ ports below answer garbage instead.
 *  - CONNECT to port P: 0 for port 0; -P for any other; port FAKE_STALE: -ESTALE with a new pair; FAKE_SILENT: no
 * answer.
 *  - GETSOCKOPT: the bytes 1, 2, 3, ... as many as asked for, at most 16; of FAKE_HOW_NAMED: by which number the socket was named, 0: by its descriptor.
 *  - LISTEN wants the descriptor.
 */
#ifndef FAKE_SERVICE_H
#define FAKE_SERVICE_H

#include <netinet/in.h>
#include <sys/types.h>

enum {
    FAKE_BAD_MAGIC = 1000,
    FAKE_SHORT,
    FAKE_OTHER_OPERATION,
    FAKE_HANG_UP,
    FAKE_EXTRA_DESCRIPTORS,
    FAKE_POSITIVE,
    FAKE_STALE,
    FAKE_SILENT,
    FAKE_HOW_NAMED,
};

/* Start it, listening at path when this returns. The caller ends it with fake_service_stop(). */
pid_t fake_service_start(const char *path);
void fake_service_stop(pid_t pid, const char *path);

/* 127.0.0.1 and a port. */
struct sockaddr_in fake_address(int port);

#endif
