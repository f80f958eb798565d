/*
 * service_fixture.h - the service without its process: the loop, the records and a stack whose wire leads nowhere, so
 * that programs' sockets meet over the stack's own loopback. The test plays the programs: it holds their ends of the
 * pairs.
 */
#ifndef SIDESTACK_TEST_SERVICE_FIXTURE_H
#define SIDESTACK_TEST_SERVICE_FIXTURE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Check's fixture: start, and stop with a look at descriptors and counters. */
void service_setup(void);
void service_teardown(void);

/* Take turns of the loop until done(context) is true; fails the test after a bounded number. */
void service_turn_until(bool (*done)(void *context), void *context);

/* Take turns until poll(2) on fd reports all of events. */
void service_turn_until_polled(int fd, short events);

/* Return: what poll(2) says of fd now. */
short service_poll(int fd);

/* Who makes the requests: 0 unless a test says otherwise. */
extern uid_t service_client_uid;

struct protocol_message;

/* Execute a request about fd (-1: none), as the service does when one comes. Return: the descriptor of the reply or
 * -1. */
int service_request(struct protocol_message *request, int fd, struct protocol_message *reply, int result);

/* The requests that a program would make; each fails the test unless it gives `result`. */
int service_socket(void);
void service_bind(int fd, const struct sockaddr_in *address, int result);
void service_listen(int fd, int backlog, int result);
void service_connect(int fd, const struct sockaddr_in *peer, int result);
void service_set_option(int fd, int level, int name, const void *value, size_t length, int result);
int service_get_option(int fd, int level, int name);
struct sockaddr_in service_local_address(int fd);

/* accept(2) as the library does it, without waiting. Return: the new descriptor; the test fails when there is none. */
int service_accept(int listener);

/* A listening socket on 127.0.0.1. */
int service_listener(int backlog, struct sockaddr_in *address);

/* Two connected program ends. */
struct service_connection {
    int listener, client, server;
};
struct service_connection service_connection(void);
void service_close_connection(struct service_connection *connection);

#endif
