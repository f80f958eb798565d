/*
 * sidestack_capture.c - the frames of a running service, into a file or a pipe.
 *
 * The service sends frames through a pipe; what they are written as (pcapng) and what the filter means (libpcap) is
 * this program's business. Ends with SIGINT and SIGTERM in order: what is in the pipe by then is written, and the
 * statistics.
 */
#include "ask.h"
#include "option.h"
#include "pcapng.h"
#include "sidestack.h"

#include <errno.h>
#include <limits.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define COMMAND "sidestack capture"
#define FILTER_TEXT_MAX 1500
#define INPUT_BYTES (1u << 20)

enum { OPTION_PROGRAM = 0x100, OPTION_PID, OPTION_ID };

static const char usage[] =
    "usage: sidestack capture [OPTION...] FILE [FILTER]\n"
    "Writes the frames of a running sidestackd's wire to FILE (-: standard output) as pcapng, until it is interrupted. FILTER\n"
    "is that of tcpdump(8). For root and the user that the service runs as.\n"
    "\n"
    "  -c, --count N        end after N frames\n"
    "  -s, --snap-length N  only the first N bytes of each\n"
    "      --program NAME   only frames of programs called NAME\n"
    "      --pid PID        only frames of this process\n"
    "      --id N           only frames of one connection: its number (sidestack ss -e: sk, hexadecimal there)\n"
    "  -q, --quiet          no summary at the end\n"
    ASK_HELP
    "      --help           this text\n"
    "\n"
    "  sidestack capture - | wireshark -k -i -\n"
    "  sidestack capture --program nginx /tmp/nginx.pcapng tcp port 80\n"
    "\n"
    "A frame that was left to the device to segment is one, up to 64 KB long, as with tcpdump on the device.\n";

struct request {
    struct service_path path;
    unsigned long count; /* 0: no end */
    unsigned long snap_length;
    unsigned long pid;
    uint64_t id; /* 0: none */
    const char *program;
    const char *file;
    char filter[FILTER_TEXT_MAX]; /* empty: none */
    bool quiet;
};

/* What comes, put together again. */
struct input {
    int fd; /* owned */
    uint8_t *bytes; /* owned */
    size_t start, end;
};

struct totals {
    uint64_t frames, dropped;
};

static int complain(const char *what, int error)
{
    fprintf(stderr, COMMAND ": %s: %s\n", what, strerror(-error));
    return error;
}

/* A connection's addresses and ports as a filter, before what the filter says. Return: 0 or -errno, said. */
static int add_connection(struct request *request)
{
    struct answer answer;
    json_t *object;
    int error = answer_open(&answer, COMMAND, &request->path, PROTOCOL_QUERY_SOCKETS, 0, 0);
    bool found = false;

    if (error < 0)
        return error;
    while ((object = answer_next(&answer)) != NULL) {
        const json_t *local = json_object_get(object, "local"), *peer = json_object_get(object, "peer");

        if (json_number(object, "id") == request->id && !found) {
            char rest[FILTER_TEXT_MAX];
            const char *host = json_text(peer, "address");

            found = true;
            strcpy(rest, request->filter);
            if (strncmp(host, "::ffff:", 7) == 0)
                host += 7;
            error = snprintf(request->filter, sizeof request->filter, "%s port %llu%s%s%s%s%s%s",
                             strcmp(json_text(object, "netid"), "tcp") == 0 ? "tcp" : "udp",
                             (unsigned long long)json_number(local, "port"), peer != NULL ? " and host " : "",
                             peer != NULL ? host : "", "", *rest != '\0' ? " and (" : "", rest, *rest != '\0' ? ")" : "") <
                            (int)sizeof request->filter
                        ? 0
                        : -E2BIG;
        }
        json_decref(object);
    }
    if (answer_close(&answer, COMMAND) < 0)
        return -EIO;
    if (!found || error < 0)
        return complain(found ? "the filter" : "there is no such socket", found ? error : -ENOENT);
    return 0;
}

/* Compile the filter. Return: 0 and the program, to be freed, or -EINVAL, said. */
static int compile(const char *text, struct bpf_program *program)
{
    pcap_t *format = pcap_open_dead(DLT_EN10MB, PROTOCOL_CAPTURE_SNAP_MAX);
    int error = 0;

    if (format == NULL)
        return -ENOMEM;
    if (pcap_compile(format, program, text, 1, PCAP_NETMASK_UNKNOWN) < 0) {
        fprintf(stderr, COMMAND ": filter '%s': %s\n", text, pcap_geterr(format));
        error = -EINVAL;
    } else if (program->bf_len > PROTOCOL_CAPTURE_FILTER_MAX) {
        fprintf(stderr, COMMAND ": the filter is too long\n");
        pcap_freecode(program);
        error = -E2BIG;
    }
    pcap_close(format);
    return error;
}

/* Ask for the frames. Return: the pipe, or -errno, said. */
static int start(const struct request *request)
{
    struct protocol_message message = {
        .operation = PROTOCOL_CAPTURE, .args = {(int32_t)request->snap_length, 0, (int32_t)request->pid}};
    struct bpf_program program = {0, NULL};
    int fd = -1, error;

    if (request->filter[0] != '\0' && compile(request->filter, &program) < 0)
        return -EINVAL;
    message.args[1] = (int32_t)program.bf_len;
    if (request->program != NULL) {
        message.option_length = (uint32_t)strlen(request->program);
        memcpy(message.option, request->program, message.option_length);
    }
    error = ask_service(&request->path, &message, program.bf_insns, program.bf_len * sizeof(struct bpf_insn), &fd);
    pcap_freecode(&program);
    if (error == 0)
        error = message.result < 0 ? message.result : fd < 0 ? -EPROTO : 0;
    if (error == -EPERM)
        fprintf(stderr, COMMAND ": the service's settings don't let this user capture (allow-admin)\n");
    else if (error < 0)
        complain(request->path.text, error);
    return error < 0 ? error : fd;
}

/* Write the whole frames that are there, as many as are wanted. Return: 0, 1: enough, or -errno. */
static int write_frames(const struct request *request, struct input *input, FILE *file, struct totals *totals)
{
    struct protocol_frame head;

    while (input->end - input->start >= sizeof head) {
        struct pcapng_frame frame;

        memcpy(&head, input->bytes + input->start, sizeof head);
        if (head.magic != PROTOCOL_MAGIC || head.captured > PROTOCOL_CAPTURE_SNAP_MAX)
            return -EPROTO;
        if (input->end - input->start < sizeof head + head.captured)
            break;
        frame = (struct pcapng_frame){.time_ns = head.time_ns,
                                      .outgoing = head.outgoing != 0,
                                      .length = head.length,
                                      .captured = head.captured,
                                      .dropped = head.dropped - totals->dropped,
                                      .bytes = input->bytes + input->start + sizeof head};
        totals->dropped = head.dropped;
        totals->frames++;
        input->start += sizeof head + head.captured;
        if (pcapng_write(file, &frame) < 0)
            return -EPIPE;
        if (totals->frames == request->count)
            return 1;
    }
    memmove(input->bytes, input->bytes + input->start, input->end - input->start);
    input->end -= input->start;
    input->start = 0;
    return 0;
}

/* Copy frames until the end. Return: 0 or -errno. */
static int copy(const struct request *request, struct input *input, int signals, FILE *file, struct totals *totals)
{
    struct pollfd polled[] = {{.fd = input->fd, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    bool is_ending = false;
    int result = 0;

    while (result == 0) {
        ssize_t got;

        if (poll(polled, 2, is_ending ? 0 : -1) < 0 && errno != EINTR)
            return -errno;
        is_ending = is_ending || (polled[1].revents & POLLIN) != 0;
        if ((polled[0].revents & (POLLIN | POLLHUP)) == 0) {
            if (is_ending)
                break;
            continue;
        }
        got = read(input->fd, input->bytes + input->end, INPUT_BYTES - input->end);
        if (got < 0 && errno != EINTR)
            return -errno;
        if (got == 0)
            break; /* the service ended */
        input->end += got > 0 ? (size_t)got : 0;
        result = write_frames(request, input, file, totals);
        if (result == 0 && fflush(file) != 0) /* somebody may look on */
            return -EPIPE;
    }
    return result < 0 ? result : 0;
}

/* Return: a descriptor that says when to end, or -errno. */
static int open_signals(void)
{
    sigset_t set;
    int fd;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -errno;
    fd = signalfd(-1, &set, SFD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* The wire's name, for the file. */
static void find_interface(const struct service_path *path, char name[64])
{
    json_t *object = ask_for_object(COMMAND, path, PROTOCOL_QUERY_SERVICE);
    const char *text = json_text(json_array_get(json_object_get(object, "interfaces"), 1), "name");

    snprintf(name, 64, "%s", *text != '\0' ? text : "wire");
    json_decref(object);
}

static int run(const struct request *request)
{
    const bool to_stdout = strcmp(request->file, "-") == 0;
    struct input input = {.fd = -1};
    struct totals totals = {0, 0};
    struct timespec now;
    char interface[64];
    FILE *file = NULL;
    int error, signals;

    find_interface(&request->path, interface);
    signals = open_signals();
    if (signals < 0)
        return complain("signals", signals);
    input.fd = start(request);
    if (input.fd < 0)
        return input.fd;
    input.bytes = malloc(INPUT_BYTES);
    file = to_stdout ? stdout : fopen(request->file, "we");
    if (file == NULL || input.bytes == NULL) {
        error = complain(request->file, -errno);
        goto out;
    }
    if (!request->quiet)
        fprintf(stderr, COMMAND ": on %s\n", interface);
    error = pcapng_begin(file, "sidestack " SIDESTACK_VERSION, interface, request->filter[0] != '\0' ? request->filter : NULL,
                         request->snap_length > 0 ? (uint32_t)request->snap_length : PROTOCOL_CAPTURE_SNAP_MAX);
    if (error == 0 && fflush(file) == 0)
        error = copy(request, &input, signals, file, &totals);
    clock_gettime(CLOCK_REALTIME, &now);
    if (error == 0)
        error = pcapng_end(file, (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec, totals.frames + totals.dropped,
                           totals.dropped);
    if (fflush(file) != 0 && error == 0)
        error = -EPIPE;
    if (error == -EPIPE && to_stdout)
        error = 0; /* who read it has gone: that is an end like another */
    if (error < 0)
        complain(request->file, error);
    if (!request->quiet)
        fprintf(stderr, COMMAND ": %llu frames, %llu dropped\n", (unsigned long long)totals.frames,
                (unsigned long long)totals.dropped);
out:
    if (file != NULL && !to_stdout && fclose(file) != 0 && error == 0)
        error = complain(request->file, -errno);
    free(input.bytes);
    close(input.fd);
    return error;
}

/* Read a number of at most max. Return: 0 or -EINVAL, said. */
static int read_number(const char *text, unsigned long max, unsigned long *number)
{
    char *end;

    errno = 0;
    *number = strtoul(text, &end, 0);
    if (*text >= '0' && *text <= '9' && *end == '\0' && errno == 0 && *number <= max && *number > 0)
        return 0;
    fprintf(stderr, COMMAND ": '%s' is no number between 1 and %lu\n", text, max);
    return -EINVAL;
}

/* Return: 0 or -EINVAL, said. */
static int read_option(int option, struct request *request)
{
    switch (option) {
    case 'c': return read_number(optarg, ULONG_MAX, &request->count);
    case 's': return read_number(optarg, PROTOCOL_CAPTURE_SNAP_MAX, &request->snap_length);
    case 'q': request->quiet = true; return 0;
    case OPTION_PID: return read_number(optarg, INT32_MAX, &request->pid);
    case OPTION_ID: return read_number(optarg, ULONG_MAX, &request->id);
    case OPTION_PROGRAM:
        request->program = optarg;
        if (*optarg != '\0' && strlen(optarg) < 16)
            return 0;
        fputs(COMMAND ": a program's name has at most 15 bytes (/proc/PID/comm)\n", stderr);
        return -EINVAL;
    }
    return 0;
}

int sidestack_capture(int argc, char **argv)
{
    static const struct option options[] = {{"count", required_argument, NULL, 'c'},
                                            {"snap-length", required_argument, NULL, 's'},
                                            {"program", required_argument, NULL, OPTION_PROGRAM},
                                            {"pid", required_argument, NULL, OPTION_PID},
                                            {"id", required_argument, NULL, OPTION_ID},
                                            {"quiet", no_argument, NULL, 'q'},
                                            TOOL_OPTIONS};
    struct request request = {.count = 0};
    const struct tool_options tool = {COMMAND, usage, "+c:s:q", options, &request.path};
    size_t length = 0;
    int option, status, error = 0;

    while ((option = tool_next_option(&tool, argc, argv, &status)) != -1)
        if (option == '?' || read_option(option, &request) < 0)
            return status;
    if (optind == argc) {
        fputs(COMMAND ": into which file? (- for standard output; sidestack capture --help)\n", stderr);
        error = -EINVAL;
    }
    if (error == 0 && strcmp(argv[optind], "-") == 0 && isatty(STDOUT_FILENO)) {
        fputs(COMMAND ": not to a terminal\n", stderr);
        error = -EINVAL;
    }
    for (int i = optind + 1; error == 0 && i < argc; i++) {
        int n = snprintf(request.filter + length, sizeof request.filter - length, "%s%s", length > 0 ? " " : "", argv[i]);

        length += n > 0 ? (size_t)n : 0;
        if (length >= sizeof request.filter)
            error = complain("the filter", -E2BIG);
    }
    if (error < 0)
        return SIDESTACK_EXIT_USAGE;
    request.file = argv[optind];
    if (request.id != 0 && add_connection(&request) < 0)
        return EXIT_FAILURE;
    return run(&request) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
