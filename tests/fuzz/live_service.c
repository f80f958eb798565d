/* live_service.c - a service with its control socket, for targets that play its programs. */
#include "live_service.h"

#include "fuzz.h"
#include "service/client.h"
#include "service/resolver/resolver.h"
#include "service/resolver/resolver_config.h"
#include "service/watch.h"
#include "tests/unit/service_fixture.h"

#include <check.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int control_fd = -1, always_ready_fd; /* for good */

/* Once. The kernel chooses the name: no two processes have the same. */
static void prepare(void)
{
    const struct sockaddr_un any = {.sun_family = AF_UNIX};

    control_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ck_assert_int_eq(bind(control_fd, (const struct sockaddr *)&any, sizeof any.sun_family), 0);
    ck_assert_int_eq(listen(control_fd, 16), 0);
    always_ready_fd = eventfd(1, EFD_CLOEXEC);
}

void live_service_begin(const union stack_address *servers, size_t count)
{
    static struct watch nobody = {WATCH_DEAD};

    if (control_fd < 0)
        prepare();
    fuzz_time_us = 1000000000;
    service_setup();
    ck_assert_int_eq(watch_add(always_ready_fd, &nobody, EPOLLIN), 0);
    ck_assert_int_eq(resolver_setup(), 0);
    resolver_set_servers(servers, count);
}

void live_service_end(void)
{
    client_close_all();
    resolver_teardown();
    service_teardown();
    fuzz_time_us = 0;
}

int live_service_control(void)
{
    return control_fd;
}

void live_service_connect(int *client)
{
    struct sockaddr_un address;
    socklen_t length = sizeof address;

    if (*client >= 0)
        close(*client);
    *client = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ck_assert_int_eq(getsockname(control_fd, (struct sockaddr *)&address, &length), 0);
    ck_assert_int_eq(connect(*client, (struct sockaddr *)&address, length), 0);
    client_accept(control_fd);
}
