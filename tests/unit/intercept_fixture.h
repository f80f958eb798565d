/* intercept_fixture.h - the library, linked into a test, with a fake service for it to talk to. */
#ifndef SIDESTACK_TEST_INTERCEPT_FIXTURE_H
#define SIDESTACK_TEST_INTERCEPT_FIXTURE_H

#include "service/protocol.h"

#include <sys/types.h>

/* Where the fake service is, and its process; a test that stops it leaves 0. */
extern const char *intercept_service_path;
extern pid_t intercept_service;

/* Check's fixture: start the fake service and the library; stop both. */
void intercept_setup(void);
void intercept_teardown(void);

/* The number of the control connection that a request about fd takes. */
int intercept_connection_used(int fd);

int intercept_make_socket(void);

/* A socket whose pair is up, as after a connect. */
int intercept_make_connected(void);

/* socket() with these fails with this errno. */
void intercept_expect_no_socket(int domain, int type, int protocol, int error);

/* Tell the fake what STATUS says. */
void intercept_set_state(int fd, enum protocol_state state, int error);

#endif
