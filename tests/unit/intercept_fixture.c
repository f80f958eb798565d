/* intercept_fixture.c - the library, linked into a test, with a fake service for it to talk to. */
#include "intercept_fixture.h"

#include "fake_service.h"

#include "intercept/control.h"
#include "intercept/control_pool.h"
#include "intercept/descriptor.h"
#include "intercept/libc.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static char directory[] = "/tmp/sidestack-unit-XXXXXX";
static char path[sizeof directory + 16];
const char *intercept_service_path = path;
pid_t intercept_service;

void intercept_setup(void)
{
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/socket", directory);
    setenv("SIDESTACK_SOCKET", path, 1);
    intercept_service = fake_service_start(path);
    libc_load();
    control_start();
    descriptor_start();
}

void intercept_teardown(void)
{
    if (intercept_service > 0)
        fake_service_stop(intercept_service, path);
    rmdir(directory);
}

int intercept_connection_used(int fd)
{
    struct sockaddr_in address;
    socklen_t length = sizeof address;

    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    ck_assert_uint_eq(length, sizeof address);
    return ntohs(address.sin_port);
}

int intercept_make_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    ck_assert_int_ge(fd, 0);
    return fd;
}

void intercept_set_state(int fd, enum protocol_state state, int error)
{
    struct protocol_message message;

    control_prepare(&message, PROTOCOL_SHUTDOWN);
    message.args[0] = (int)state + 16 * error;
    ck_assert_int_eq(control_request(&message, fd, NULL), 0);
}

int intercept_make_connected(void)
{
    struct sockaddr_in address = fake_address(0);
    int fd = intercept_make_socket();

    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(descriptor_kind(fd), DESCRIPTOR_DATA);
    return fd;
}

void intercept_expect_no_socket(int domain, int type, int protocol, int error)
{
    errno = 0;
    ck_assert_int_eq(socket(domain, type, protocol), -1);
    ck_assert_int_eq(errno, error);
}
