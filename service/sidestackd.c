/*
 * sidestackd.c - the daemon: starts everything in order, runs the loop, ends everything in the opposite order.
 */
#include "capture.h"
#include "client.h"
#include "control_socket.h"
#include "service/log/log.h"
#include "loop.h"
#include "loop_guard.h"
#include "watch.h"
#include "network.h"
#include "notify.h"
#include "service/settings/options.h"
#include "pair.h"
#include "passed.h"
#include "service/privilege/privilege.h"
#include "service/settings/reload.h"
#include "request.h"
#include "service/rules/rules.h"
#include "service/privilege/sandbox.h"
#include "service/query/frames.h"
#include "service/query/query.h"
#include "service/query/unread.h"
#include "service/resolver/resolver.h"
#include "service/resolver/resolver_config.h"
#include "socket.h"
#include "service/takeover/takeover.h"
#include "stack/ip/interface.h"
#include "stack/memory.h"
#include "stack/stack.h"
#include "stack/wire/wire.h"
#include "stack/wire/wire_impair.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* Descriptors kept back for the wire, the loop, files, and one moment of work on a request. */
#define DESCRIPTOR_RESERVE 32

/* As many descriptors as the system allows, shared out: each socket takes two for a moment and one for its life.
 * Return: 0 or -errno. */
static int set_limits(void)
{
    struct rlimit limit;
    size_t usable;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -errno;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -errno;
    usable = limit.rlim_cur > DESCRIPTOR_RESERVE * 2 ? limit.rlim_cur - DESCRIPTOR_RESERVE : DESCRIPTOR_RESERVE;
    client_setup(usable / 8);
    socket_setup(usable - usable / 8 - usable / 4);
    log_info("limits: %zu open files: %zu sockets, %zu programs and threads", (size_t)limit.rlim_cur, usable - usable / 8 - usable / 4,
             usable / 8);
    return client_keep_spare();
}

/* SIGTERM, SIGINT and SIGHUP come as events; a client that goes away is no reason to die. Return: the signalfd or
 * -errno. */
static int open_signals(void)
{
    sigset_t set;
    int fd;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -errno;
    fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

/* Put the layer on the wire that makes it a bad one. Return: 0 or -errno, after saying what failed; the wire is closed
 * then. */
static int impair_wire(const struct options *options, struct stack_config *config)
{
    char text[IMPAIRMENT_TEXT_MAX];
    const char *wrong;
    int error;

    config->wire = wire_impair_open(config->wire);
    if (config->wire == NULL) {
        log_errorx("impair: out of memory");
        return -ENOMEM;
    }
    config->impairable = true;
    impairment_format(&options->impairments, text, sizeof text);
    error = wire_impair_set(config->wire, text, &wrong);
    if (error < 0) {
        errno = -error;
        log_error("impair: the wire can't be impaired; start without it");
        config->wire->operations->close(config->wire);
    }
    return error;
}

static struct takeover taken = {.wire_fd = -1, .control_fd = -1}; /* from the service whose place this one takes */

static int open_wire(const struct options *options, struct wire **wire, const char **message)
{
    if (taken.wire_fd >= 0 && strcmp(taken.netif, options->netif) == 0)
        return wire_open_fd(taken.wire_fd, options->offload, wire, message);
    if (strncmp(options->netif, "vde:", 4) == 0)
        return wire_open_vde(options->netif + 4, options->mtu, wire, message);
    if (strncmp(options->netif, "fd:", 3) == 0)
        return wire_open_fd(atoi(options->netif + 3), options->offload, wire, message);
    return wire_open_tap(options->interface, options->mtu, options->offload, wire, message);
}

/* The wire went down, or is back. */
static void report_wire(void *context, int error, const char *text)
{
    (void)context;
    if (strncmp(text, "tap:", 4) == 0)
        loop_wire_is_down(error < 0);
    if (error < 0) {
        log_errorx("%s", text);
    } else {
        log_info("%s", text);
        stack_wire_is_back();
    }
}

/* Open the wire, the capture and the stack. Return: 0 or -errno, after saying what failed. */
static int open_stack(const struct options *options)
{
    struct stack_route routes[OPTIONS_ROUTES_MAX + OPTIONS_GATEWAYS_MAX];
    struct stack_config config = {.name = options->interface,
                                  .addresses = options->addresses,
                                  .address_count = options->address_count,
                                  .routes = routes,
                                  .mtu = options->mtu,
                                  .ecn = options->tcp_ecn,
                                  .dhcp = options->dhcp,
                                  .slaac = options->slaac,
                                  .hostname = options->hostname[0] != '\0' ? options->hostname : NULL,
                                  .resumes = options->takeover,
                                  .changed = network_changed};
    const char *message = "";
    int error;

    config.route_count = options_get_routes(options, routes);
    memcpy(config.mac, options->mac, sizeof config.mac);
    if (options->takeover && !options->mac_given) {
        memcpy(config.mac, taken.mac, sizeof config.mac);
    } else if (!options->mac_given) {
        if (getrandom(config.mac, sizeof config.mac, 0) != sizeof config.mac) {
            log_error("mac: the kernel gives no random one; give one");
            return -EIO;
        }
        config.mac[0] = (uint8_t)((config.mac[0] & 0xfc) | 0x02); /* locally administered, one station's */
    }
    error = open_wire(options, &config.wire, &message);
    if (error < 0) {
        errno = -error;
        log_error("%s: %s%s", options->netif, message,
                  (error == -EPERM || error == -EACCES) && strncmp(options->netif, "tap:", 4) == 0
                      ? " (root can make the device for you: ip tuntap add dev NAME mode tap user YOU)"
                      : "");
        return error;
    }
    config.wire->report = report_wire;
    error = impair_wire(options, &config);
    if (error < 0)
        return error;
    frames_setup(config.wire);
    if (options->capture_path != NULL) {
        error = capture_open(options->capture_path, options->takeover, &message);
        if (error < 0) {
            log_errorx("pcap: %s: %s; give another file", options->capture_path, message);
            config.wire->operations->close(config.wire);
            return error;
        }
    }
    error = stack_open(&config);
    if (error < 0) {
        errno = -error;
        log_error("starting the stack: see address, route and gateway");
    }
    return error;
}

/* Everything is open: from here on with as little power as may be. Return: 0 or -errno, after saying what failed. */
static int seclude(const struct options *options, const struct privilege_identity *identity)
{
    bool is_vde = strncmp(options->netif, "vde:", 4) == 0;
    int error = privilege_drop(identity, rules_name_programs());

    if (error < 0)
        return error;
    if (options->config_path != NULL && access(options->config_path, R_OK) < 0)
        log_warn("privilege: user %u can't read %s: SIGHUP won't do; give that user the right to", (unsigned)geteuid(), options->config_path);
    error = unread_setup();
    if (error < 0) {
        errno = -error;
        log_warn("query: queues of sockets show memory for bytes (does the kernel have unix_diag?)");
    }
    error = loop_guard_start();
    if (error < 0) {
        errno = -error;
        log_error("making a timer (is a limit too low?)");
        return error;
    }
    error = options->sandbox ? sandbox_enter(is_vde ? SANDBOX_WIDE : SANDBOX_STRICT) : 0;
    if (error < 0) {
        errno = -error;
        log_error("sandbox: the kernel can't filter system calls (start with --sandbox off to do without)");
    }
    return error;
}

static const struct options *running; /* and the control socket's descriptor, for hand_over() */
static int given_control_fd;

/* Tell whoever started us. Return: 0 or -errno. */
static int report_ready(int fd)
{
    ssize_t written;
    int error;

    do
        written = write(fd, "\n", 1);
    while (written < 0 && errno == EINTR);
    error = written == 1 ? 0 : -errno;
    close(fd);
    return error;
}

/* Another service takes over: what it gets. Return: is all its? */
static bool hand_over(void)
{
    struct stack_interface interface;
    struct takeover given = {.wire_fd = -1, .control_fd = given_control_fd, .control_is_systemds = control_socket_is_systemds(), .pid = (uint64_t)getpid()};

    snprintf(given.netif, sizeof given.netif, "%s", running->netif);
    if (strncmp(running->netif, "tap:", 4) == 0)
        given.wire_fd = stack_wire_fd();
    if (stack_get_interface(STACK_INTERFACE_WIRE, &interface) == 0)
        memcpy(given.mac, interface.mac, sizeof given.mac);
    return takeover_give(&given) == 0;
}

/* Be the one that runs there from now on. Does not return when that fails, or something before did: nothing was touched
 * yet, and nothing may be. */
static void commit_takeover(int error)
{
    if (error < 0 || takeover_commit() < 0)
        _exit(EXIT_FAILURE);
    control_socket_set_systemds(taken.control_is_systemds);
    log_info("took over from process %llu: %zu sockets", (unsigned long long)taken.pid, socket_count());
}

/* From here on nothing that is needed may fail. Return: 0 or -errno, after saying what failed. */
static int prepare_loop(int signal_fd, int control_fd)
{
    int error = loop_prepare(signal_fd, control_fd);

    if (error < 0) {
        errno = -error;
        log_error("starting the loop (is memory too low?)");
    }
    return error;
}

static void say_started(const struct options *options)
{
    log_info("started: service %s at %s, %s", options->name, options->socket_path, options->netif);
    network_log_addresses();
}

/* Everything between the options and the exit status. */
static int serve(struct options *options)
{
    struct privilege_identity identity;
    int error, signal_fd = -1, control_fd = -1;

    log_threshold = options->log_level;
    error = log_output_set(options->log_target, options->log_format, options->name);
    if (error < 0) {
        errno = -error;
        log_error("log-to: nothing takes messages there (give --log-to stderr)");
        return error;
    }
    error = privilege_choose(options->user, &identity);
    if (error < 0) {
        errno = -error;
        log_error("user: %s: only root can become another user, and there must be one of this name", options->user);
        return error;
    }
    error = set_limits();
    if (error < 0) {
        errno = -error;
        log_error("raising the limit on open files to its hard limit; give it with ulimit -n before");
        return error;
    }
    error = pair_setup();
    if (error == 0)
        error = loop_setup();
    watch_set_busy_poll(options->busy_poll_us);
    if (error == 0)
        error = resolver_setup();
    if (error == 0) {
        signal_fd = open_signals();
        error = signal_fd < 0 ? signal_fd : 0;
    }
    if (error < 0) {
        errno = -error;
        log_error("starting (is the limit on open files or memory too low?)");
        goto out_loop;
    }
    socket_limit(options->sockets_max);
    access_set(&options->access);
    memory_set_limit(options->memory_max);
    quota_set(&options->quota, socket_max(), client_max());
    request_on_death = options->on_death;
    query_setup(&(struct query_service){options->name, options->socket_path});
    resolver_set_servers(options->dns, options->dns_count);
    resolver_set_domains(&options->search);
    if (options->rules != NULL)
        rules_install(options->rules);
    if (options->takeover && takeover_ask(options->socket_path, &taken) < 0)
        _exit(EXIT_FAILURE);
    error = open_stack(options);
    if (error < 0 && options->takeover)
        _exit(EXIT_FAILURE);
    if (error < 0)
        goto out_capture;
    if (options->takeover && takeover_build() < 0)
        _exit(EXIT_FAILURE);
    if (options->socket_access.user == (uid_t)-1)
        options->socket_access.user = geteuid(); /* root who has given up capabilities (ping) may use it then */
    if (options->socket_access.group == (gid_t)-1)
        options->socket_access.group = identity.group;
    control_fd = options->takeover ? taken.control_fd : control_socket_open(options->socket_path, &options->socket_access);
    if (control_fd < 0) {
        error = control_fd;
        errno = -error;
        log_error("control socket %s%s", options->socket_path,
                  error == -EADDRINUSE   ? ": another service runs there; give this one another --name"
                  : error == -EPROTOTYPE ? ": systemd's socket is of another kind; use ListenSequentialPacket="
                                         : "");
        goto out_stack;
    }
    error = seclude(options, &identity);
    if (error == 0 && options->takeover)
        error = prepare_loop(signal_fd, control_fd);
    if (options->takeover)
        commit_takeover(error);
    if (error < 0)
        goto out_control;
    error = options->takeover ? 0 : network_wait(signal_fd);
    if (error < 0) {
        error = error == -EINTR ? 0 : error;
        goto out_control;
    }
    error = prepare_loop(signal_fd, control_fd);
    if (error < 0)
        goto out_control;
    say_started(options);
    if (options->ready_fd >= 0) {
        error = report_ready(options->ready_fd);
        if (error < 0) {
            errno = -error;
            log_error("ready-fd: writing to descriptor %d; is it open?", options->ready_fd);
            if (!options->takeover) /* else programs rely on us by now */
                goto out_control;
        }
    }
    reload_begin(options);
    loop_set_reload(reload_settings);
    if (options->takeover)
        notify_took_over();
    else
        notify_ready();
    running = options;
    given_control_fd = control_fd;
    loop_set_takeover(hand_over);
    error = loop_run();
    if (error == LOOP_HANDED_OVER) {
        capture_close();
        log_run_timers(UINT64_MAX);
        _exit(EXIT_SUCCESS); /* whatever closes something in order would tell programs, or the peers */
    }
    notify_stopping();
    if (error < 0) {
        errno = -error;
        log_error("loop: it can't go on");
    }
    log_info("stopped");
out_control:
    control_socket_close(control_fd, options->socket_path);
    client_close_all();
    client_sweep();
    outlet_close_all();
    outlet_sweep();
    socket_destroy_all();
    socket_sweep();
    resolver_teardown();
    unread_teardown();
out_stack:
    stack_close();
out_capture:
    frames_setup(NULL); /* it is closed */
    capture_close();
out_loop:
    if (signal_fd >= 0)
        close(signal_fd);
    watch_teardown();
    return error;
}

int main(int argc, char **argv)
{
    struct options options;
    int status = options_read(argc, argv, &options);

    if (status == 0)
        status = serve(&options) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
    else
        status--;
    options_free(&options);
    return status;
}
