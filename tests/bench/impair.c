/*
 * impair.c - a bad network between two TAP devices: what sidestackd --impair does to its wire, for the kernel.
 *
 *   impair NAMESPACE:DEVICE NAMESPACE:DEVICE
 *
 * Each line of its standard input is a list of settings (stack/wire/impairment.h), answered with a line that tells what
 * is in force; the line "count" with what became of the frames so far. Frames from the first device to the second meet
 * what is said for "out:", the others what is said for "in:", so that the first device's end is where sidestackd would
 * be. Ends with its input. The code that treats the frames is the daemon's own (stack/wire/wire_impair.c), so that both
 * can be put through the very same network.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "stack/port.h"
#include "stack/wire/wire_impair.h"
#include "stack/wire/wire_split.h"

#define MTU 1500
#define FRAMES_A_TURN 64

static void die(const char *what, const char *detail, int error)
{
    fprintf(stderr, "impair: %s: %s: %s\n", what, detail, strerror(error));
    exit(1);
}

/* Open the device that NAMESPACE:DEVICE means. */
static struct wire *open_device(const char *text)
{
    const char *colon = strchr(text, ':');
    const char *message;
    char path[256];
    struct wire *wire;
    int fd, error;

    if (colon == NULL)
        die(text, "NAMESPACE:DEVICE", EINVAL);
    snprintf(path, sizeof path, "/run/netns/%.*s", (int)(colon - text), text);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
        die(text, path, errno);
    close(fd);
    error = wire_open_tap(colon + 1, MTU, true, &wire, &message);
    if (error < 0)
        die(text, message, -error);
    return wire;
}

/* Carry frames from one wire to the other. */
static void carry(struct wire *from, struct wire *to)
{
    static uint8_t frame[WIRE_FRAME_MAX];

    for (int i = 0; i < FRAMES_A_TURN; i++) {
        struct iovec all = {frame, sizeof frame};
        struct virtio_net_hdr header;
        ssize_t size = from->operations->read_frame(from, &header, &all, 1);

        if (size < 0)
            die("reading", "a device", (int)-size);
        if (size == 0)
            return;
        all.iov_len = (size_t)size;
        header.flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
        (void)to->operations->write_frame(to, &header, &all, 1); /* what is not taken is lost */
    }
}

static void read_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    port_now_us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Tell what became of the frames of both directions. */
static void count(const struct wire *wire)
{
    struct wire_impair_counters all[IMPAIRMENT_DIRECTIONS];

    wire_impair_count(wire, all);
    for (int i = 0; i < IMPAIRMENT_DIRECTIONS; i++)
        printf("%s\"%s\": {\"frames\": %llu, \"lost\": %llu, \"marked\": %llu, \"overflowed\": %llu, "
               "\"queued\": %llu, \"waited_us\": %llu}%s", i == 0 ? "{" : ", ", i == IMPAIRMENT_IN ? "in" : "out",
               (unsigned long long)all[i].frames, (unsigned long long)all[i].lost, (unsigned long long)all[i].marked,
               (unsigned long long)all[i].overflowed, (unsigned long long)all[i].queued,
               (unsigned long long)all[i].waited_us, i == 0 ? "" : "}\n");
    fflush(stdout);
}

/* One line of input. */
static void change(struct wire *wire)
{
    char text[IMPAIRMENT_TEXT_MAX];
    const char *wrong;

    if (fgets(text, sizeof text, stdin) == NULL)
        exit(0);
    text[strcspn(text, "\n")] = '\0';
    if (strcmp(text, "count") == 0) {
        count(wire);
        return;
    }
    if (wire_impair_set(wire, text, &wrong) < 0)
        die("not understood", wrong, EINVAL);
    wire_impair_get(wire, text, sizeof text);
    puts(text);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct wire *near, *far;

    if (argc != 3)
        die("usage", "impair NAMESPACE:DEVICE NAMESPACE:DEVICE", EINVAL);
    setvbuf(stdin, NULL, _IONBF, 0); /* so that poll() knows of every line */
    read_clock();
    far = open_device(argv[1]);
    near = wire_impair_open(open_device(argv[2]));
    if (near == NULL)
        die("starting", "memory", ENOMEM);
    for (;;) {
        struct pollfd fds[] = {{.fd = near->fd, .events = POLLIN},
                               {.fd = far->fd, .events = POLLIN},
                               {.fd = STDIN_FILENO, .events = POLLIN}};
        uint64_t due_us = near->operations->due_us(near);
        uint64_t wait_us = due_us <= port_now_us ? 0 : due_us - port_now_us;
        struct timespec wait = {.tv_sec = (time_t)(wait_us / 1000000), .tv_nsec = (long)(wait_us % 1000000 * 1000)};

        if (ppoll(fds, 3, due_us == UINT64_MAX ? NULL : &wait, NULL) < 0 && errno != EINTR)
            die("waiting", "ppoll", errno);
        read_clock();
        if (fds[2].revents != 0)
            change(near);
        near->operations->run(near);
        carry(near, far);
        carry(far, near);
    }
}
