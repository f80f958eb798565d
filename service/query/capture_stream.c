/*
 * capture_stream.c - PROTOCOL_CAPTURE: frames to a tool.
 *
 * A frame that is wanted is copied into a buffer of a fixed size, behind a struct protocol_frame; at the end of the
 * turn the pipe gets what it takes. What finds no room is dropped and counted, and the next frame that is passed on
 * tells how many were: so a tool that is slow, or does not read at all, neither slows the stack nor makes it grow.
 *
 * The filter is a program of BPF's that the tool compiled. bpf_validate() makes sure, as for the kernel, that it ends
 * and looks at nothing but the frame; is_known() that it does not end us. It sees FILTER_BYTES of a frame that does not
 * lie in one piece.
 *
 * Frames of a program are those that have the port of one of its sockets on our side.
 */
#include "capture_stream.h"

#include "frames.h"
#include "outlet.h"
#include "service/privilege/access.h"
#include "service/program.h"
#include "service/socket.h"
#include "stack/inspect.h"

#include <errno.h>
#include <netinet/in.h>
#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BUFFER_BYTES (4u << 20)
#define FILTER_BYTES 2048
#define ETHERNET_SIZE 14
#define IP6_SIZE 40
#define KNOWN_PROGRAMS 64 /* a power of 2 */

struct capture {
    struct outlet outlet; /* first */
    struct frames_watcher watcher;
    TAILQ_ENTRY(capture) link;
    size_t snap_length;
    struct bpf_insn *filter; /* owned; NULL: all */
    pid_t pid;               /* 0: any */
    char name[PROGRAM_NAME_BYTES]; /* empty: any */
    uint64_t dropped;
    struct { /* what was found out about programs: connections outlive their sockets' records */
        uint32_t number;
        bool is_wanted;
    } known[KNOWN_PROGRAMS];
};

TAILQ_HEAD(capture_list, capture);

struct capture_stream_counters capture_stream_counters;

static struct capture_list captures = TAILQ_HEAD_INITIALIZER(captures);

/* stack_port_test: is it a socket of the program? */
static bool is_of_program(void *context, const struct stack_label *label, void *owner)
{
    struct capture *capture = context;
    const struct program *program = owner != NULL ? ((struct socket *)owner)->program : NULL;
    uint32_t number = program != NULL ? program->number : label->program;
    bool is_wanted;

    if (program == NULL)
        return number != 0 && capture->known[number % KNOWN_PROGRAMS].number == number &&
               capture->known[number % KNOWN_PROGRAMS].is_wanted;
    is_wanted = (capture->pid == 0 || program->pid == capture->pid) &&
                (capture->name[0] == '\0' || strcmp(program->name, capture->name) == 0);
    capture->known[number % KNOWN_PROGRAMS].number = number;
    capture->known[number % KNOWN_PROGRAMS].is_wanted = is_wanted;
    return is_wanted;
}

/* Where are the ports of a packet? Return: the offset in the frame; 0: it has none here. */
static size_t find_ports(const unsigned char *frame, size_t size, int *protocol)
{
    size_t at = 0;

    if (size >= ETHERNET_SIZE + 20 && frame[12] == 8 && frame[13] == 0) {
        *protocol = frame[ETHERNET_SIZE + 9];
        if ((frame[ETHERNET_SIZE + 6] & 0x1f) == 0 && frame[ETHERNET_SIZE + 7] == 0)
            at = ETHERNET_SIZE + (size_t)(frame[ETHERNET_SIZE] & 15) * 4;
    } else if (size >= ETHERNET_SIZE + IP6_SIZE && frame[12] == 0x86 && frame[13] == 0xdd) {
        *protocol = frame[ETHERNET_SIZE + 6];
        at = ETHERNET_SIZE + IP6_SIZE;
    }
    return at != 0 && at + 4 <= size ? at : 0;
}

/* Is the frame one of the program's? */
static bool is_programs(struct capture *capture, bool outgoing, const unsigned char *frame, size_t size)
{
    int protocol = 0;
    size_t at = find_ports(frame, size, &protocol);

    if (at == 0 || (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP && protocol != IPPROTO_UDPLITE))
        return false;
    at += outgoing ? 0 : 2;
    return stack_port_any(protocol, (uint16_t)(frame[at] << 8 | frame[at + 1]), is_of_program, capture);
}

/* Does the capture want this frame? */
static bool is_wanted(struct capture *capture, bool outgoing, const struct iovec *iov, int count, size_t length)
{
    static unsigned char start[FILTER_BYTES];
    const unsigned char *frame = iov[0].iov_base;
    size_t size = iov[0].iov_len < length ? iov[0].iov_len : length;

    if (capture->filter == NULL && capture->pid == 0 && capture->name[0] == '\0')
        return true;
    if (size < length && size < sizeof start) {
        size = frames_copy(start, sizeof start, iov, count, length);
        frame = start;
    }
    if (capture->filter != NULL && bpf_filter(capture->filter, frame, (unsigned)length, (unsigned)size) == 0)
        return false;
    return (capture->pid == 0 && capture->name[0] == '\0') || is_programs(capture, outgoing, frame, size);
}

static void on_frame(struct frames_watcher *watcher, bool outgoing, const struct iovec *iov, int count, size_t length)
{
    struct capture *capture = (struct capture *)(void *)((char *)watcher - offsetof(struct capture, watcher));
    size_t captured = length < capture->snap_length ? length : capture->snap_length;
    struct protocol_frame head = {.magic = PROTOCOL_MAGIC, .outgoing = outgoing, .length = (uint32_t)length};
    struct timespec now;
    size_t room;
    char *at;

    if (!is_wanted(capture, outgoing, iov, count, length))
        return;
    room = outlet_room(&capture->outlet, &at);
    if (room < sizeof head + captured) {
        capture->dropped++;
        capture_stream_counters.dropped++;
        return;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    head.time_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    head.captured = (uint32_t)frames_copy((unsigned char *)at + sizeof head, captured, iov, count, length);
    head.dropped = capture->dropped;
    memcpy(at, &head, sizeof head);
    capture->outlet.end += sizeof head + head.captured;
    capture_stream_counters.frames++;
}

static void close_capture(struct outlet *outlet)
{
    struct capture *capture = (struct capture *)outlet;

    if (capture->watcher.frame != NULL) {
        frames_unwatch(&capture->watcher);
        TAILQ_REMOVE(&captures, capture, link);
        capture_stream_counters.open--;
    }
    free(capture->filter);
    capture->filter = NULL;
}

static const struct outlet_kind capture_outlet = {.close = close_capture};

/* Is it one of the instructions that there are? bpf_validate() does not look at all of it, and bpf_filter() aborts at
 * others. */
static bool is_known(unsigned code)
{
    static const uint16_t codes[] = {
        BPF_LD | BPF_W | BPF_ABS,    BPF_LD | BPF_H | BPF_ABS,    BPF_LD | BPF_B | BPF_ABS,    BPF_LD | BPF_W | BPF_IND,
        BPF_LD | BPF_H | BPF_IND,    BPF_LD | BPF_B | BPF_IND,    BPF_LD | BPF_IMM,            BPF_LD | BPF_MEM,
        BPF_LD | BPF_W | BPF_LEN,    BPF_LDX | BPF_IMM,           BPF_LDX | BPF_MEM,           BPF_LDX | BPF_W | BPF_LEN,
        BPF_LDX | BPF_B | BPF_MSH,   BPF_ST,                      BPF_STX,                     BPF_JMP | BPF_JA,
        BPF_JMP | BPF_JEQ | BPF_K,   BPF_JMP | BPF_JGT | BPF_K,   BPF_JMP | BPF_JGE | BPF_K,   BPF_JMP | BPF_JSET | BPF_K,
        BPF_JMP | BPF_JEQ | BPF_X,   BPF_JMP | BPF_JGT | BPF_X,   BPF_JMP | BPF_JGE | BPF_X,   BPF_JMP | BPF_JSET | BPF_X,
        BPF_ALU | BPF_ADD | BPF_K,   BPF_ALU | BPF_SUB | BPF_K,   BPF_ALU | BPF_MUL | BPF_K,   BPF_ALU | BPF_DIV | BPF_K,
        BPF_ALU | BPF_MOD | BPF_K,   BPF_ALU | BPF_AND | BPF_K,   BPF_ALU | BPF_OR | BPF_K,    BPF_ALU | BPF_XOR | BPF_K,
        BPF_ALU | BPF_LSH | BPF_K,   BPF_ALU | BPF_RSH | BPF_K,   BPF_ALU | BPF_NEG,           BPF_ALU | BPF_ADD | BPF_X,
        BPF_ALU | BPF_SUB | BPF_X,   BPF_ALU | BPF_MUL | BPF_X,   BPF_ALU | BPF_DIV | BPF_X,   BPF_ALU | BPF_MOD | BPF_X,
        BPF_ALU | BPF_AND | BPF_X,   BPF_ALU | BPF_OR | BPF_X,    BPF_ALU | BPF_XOR | BPF_X,   BPF_ALU | BPF_LSH | BPF_X,
        BPF_ALU | BPF_RSH | BPF_X,   BPF_RET | BPF_K,             BPF_RET | BPF_A,             BPF_MISC | BPF_TAX,
        BPF_MISC | BPF_TXA,
    };

    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i] == code)
            return true;
    return false;
}

/* Copy the filter and see that it does no harm. Return: 0 or -errno. */
static int take_filter(struct capture *capture, const uint8_t *tail, size_t count)
{
    if (count == 0)
        return 0;
    _Static_assert(sizeof(struct bpf_insn) == PROTOCOL_CAPTURE_INSTRUCTION, "as the tool sends them");
    capture->filter = malloc(count * sizeof *capture->filter);
    if (capture->filter == NULL)
        return -ENOMEM;
    memcpy(capture->filter, tail, count * sizeof *capture->filter);
    for (size_t i = 0; i < count; i++)
        if (!is_known(capture->filter[i].code))
            return -EINVAL;
    return bpf_validate(capture->filter, (int)count) ? 0 : -EINVAL;
}

/* Does every field say something that it may? */
static bool is_good(const struct protocol_message *request)
{
    return request->args[0] >= 0 && request->args[0] <= PROTOCOL_CAPTURE_SNAP_MAX && request->args[2] >= 0 &&
           request->args[3] == 0 && request->option_length < PROGRAM_NAME_BYTES && request->address.length == 0 &&
           memchr(request->option, '\0', request->option_length) == NULL;
}

int capture_stream_start(const struct protocol_message *request, const uint8_t *tail, const struct program *program, int *reader)
{
    struct capture *capture;
    int error, fd;

    if (!access_may(program, ACCESS_ADMIN))
        return -EPERM;
    if (!is_good(request))
        return -EINVAL;
    capture = calloc(1, sizeof *capture);
    if (capture == NULL)
        return -ENOMEM;
    capture->snap_length = request->args[0] > 0 ? (size_t)request->args[0] : PROTOCOL_CAPTURE_SNAP_MAX;
    capture->pid = request->args[2];
    memcpy(capture->name, request->option, request->option_length);
    error = take_filter(capture, tail, (size_t)request->args[1]);
    if (error < 0) {
        free(capture->filter);
        free(capture);
        return error;
    }
    fd = outlet_open(&capture->outlet, &capture_outlet, program->uid, BUFFER_BYTES);
    if (fd < 0)
        return fd;
    capture->watcher.frame = on_frame;
    frames_watch(&capture->watcher);
    TAILQ_INSERT_TAIL(&captures, capture, link);
    capture_stream_counters.open++;
    capture_stream_counters.started++;
    *reader = fd;
    return 0;
}

void capture_stream_flush(void)
{
    struct capture *capture, *next;

    for (capture = TAILQ_FIRST(&captures); capture != NULL; capture = next) {
        next = TAILQ_NEXT(capture, link);
        outlet_flush(&capture->outlet);
    }
}
