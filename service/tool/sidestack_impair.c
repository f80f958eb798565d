/* sidestack_impair.c - asks a running service to make its wire a bad one. */
#include "service/control_path.h"
#include "service/protocol.h"
#include "sidestack.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Print a message. Return: SIDESTACK_EXIT_USAGE. */
static int fail(const char *what, int error)
{
    fprintf(stderr, "sidestack impair: %s%s%s\n", what, error < 0 ? ": " : "", error < 0 ? strerror(-error) : "");
    return SIDESTACK_EXIT_USAGE;
}

/* Send a request and wait for its reply, which takes its place. Return: 0 or -errno. */
static int ask(const char *path, struct protocol_message *message)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int error = 0;
    ssize_t got;
    int fd;

    if (strlen(path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        send(fd, message, sizeof *message, MSG_NOSIGNAL) < 0) {
        error = -errno;
        goto out;
    }
    got = recv(fd, message, sizeof *message, 0);
    if (got < 0)
        error = -errno;
    else if (got != sizeof *message || message->magic != PROTOCOL_MAGIC || message->version != PROTOCOL_VERSION ||
             message->operation != PROTOCOL_IMPAIR || message->option_length > sizeof message->option)
        error = -EPROTO;
out:
    close(fd);
    return error;
}

int sidestack_impair(int argc, char **argv)
{
    static const struct option options[] = {
        {"name", required_argument, NULL, 'n'}, {"socket", required_argument, NULL, 's'}, {NULL, 0, NULL, 0}};
    struct protocol_message message = {
        .magic = PROTOCOL_MAGIC, .version = PROTOCOL_VERSION, .operation = PROTOCOL_IMPAIR};
    char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)] = "";
    int option, error = 0;

    while ((option = getopt_long(argc, argv, "+", options, NULL)) != -1) {
        switch (option) {
        case 'n':
            error = control_path_of_name(optarg, path, sizeof path);
            break;
        case 's':
            error = strlen(optarg) < sizeof path ? 0 : -ENAMETOOLONG;
            if (error == 0)
                strcpy(path, optarg);
            break;
        default:
            return SIDESTACK_EXIT_USAGE; /* getopt_long() said why */
        }
    }
    if (error == 0 && *path == '\0')
        error = control_path_from_environment(path, sizeof path);
    if (error < 0)
        return fail("can't tell where the service is", error);
    if (optind + 1 < argc)
        return fail("one list of settings, with commas (sidestack --help)", 0);
    if (optind < argc) {
        size_t length = strlen(argv[optind]);

        if (length == 0 || length > sizeof message.option)
            return fail("the list is empty or too long", 0);
        message.option_length = (uint32_t)length;
        memcpy(message.option, argv[optind], length);
    }
    error = ask(path, &message);
    if (error < 0)
        return fail(path, error);
    if (message.result == -EINVAL) {
        fprintf(stderr, "sidestack impair: not understood: '%.*s'\n", (int)message.option_length, message.option);
        return SIDESTACK_EXIT_USAGE;
    }
    if (message.result < 0)
        return fail("the service says no", message.result);
    printf("%.*s\n", (int)message.option_length, message.option);
    return EXIT_SUCCESS;
}
