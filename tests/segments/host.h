/*
 * host.h - the host that segments are crafted for: our stack in memory, or the kernel behind a TUN device.
 *
 * It is 10.1.0.2 and fd00:1::2; the case plays 10.1.0.1 and fd00:1::1. It has one socket at a time.
 */
#ifndef TEST_SEGMENTS_HOST_H
#define TEST_SEGMENTS_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HOST_IP "10.1.0.2"
#define PEER_IP "10.1.0.1"
#define HOST_IP6 "fd00:1::2"
#define PEER_IP6 "fd00:1::1"
#define LISTEN_PORT 7    /* of the host */
#define CONNECT_PORT 80  /* of the peer */

struct host {
    const char *name;
    unsigned patience_ms; /* how much later than said something may happen: real clocks are coarse */
    /* The case failed. Does not return. */
    void (*fail_case)(const char *why);
    void (*setup)(int family);
    void (*teardown)(void); /* NULL: the end of the process does it */
    /* An IP packet comes. */
    void (*put)(const uint8_t *packet, size_t size);
    /* Take the oldest IP packet that it sent. Return: its size; 0: none. */
    size_t (*take)(uint8_t *packet, size_t size);
    void (*wait)(unsigned milliseconds);

    /* The socket. Return: 0 or -errno unless said otherwise. */
    int (*listen)(void);
    int (*connect)(void);
    int (*accept)(void); /* the connection takes the listening socket's place; -EAGAIN: there is none */
    ssize_t (*send)(const void *bytes, size_t size);
    ssize_t (*receive)(void *bytes, size_t size); /* 0: the end; -EAGAIN: nothing yet */
    int (*shutdown)(void);
    int (*close)(void);
    int (*abort)(void);
    int (*set)(const char *option, int value);
    int (*get)(const char *option, int *value);
    int (*error)(void); /* pending, positive, once */
    int (*state)(void); /* TCP_ESTABLISHED and so on */
};

extern const struct host host;

#endif
