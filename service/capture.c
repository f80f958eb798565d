/*
 * capture.c - every frame of the wire into a capture file, with libpcap.
 *
 * Frames are recorded as they cross the device: one that was left to the kernel to segment is recorded whole.
 */
#include "capture.h"

#include "service/log/log.h"
#include "service/query/frames.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

#define SNAPLEN 65550 /* an IP packet of 65 535 bytes and its Ethernet header */

static pcap_t *format;
static pcap_dumper_t *file;
static unsigned char frame[SNAPLEN];
static bool is_over; /* a frame could not be written */

static void write_frame(struct frames_watcher *watcher, bool outgoing, const struct iovec *iov, int count, size_t length)
{
    struct pcap_pkthdr header = {.len = (bpf_u_int32)length};

    (void)watcher;
    (void)outgoing;
    if (is_over)
        return;
    header.caplen = (bpf_u_int32)frames_copy(frame, sizeof frame, iov, count, length);
    if (gettimeofday(&header.ts, NULL) < 0)
        log_warn("pcap: a frame has no time" LOG_FAULT);
    pcap_dump((unsigned char *)file, &header, frame);
    if (pcap_dump_flush(file) == 0 && ferror(pcap_dump_file(file)) == 0)
        return;
    /* Part of the frame may be there; what came behind that could not be read. */
    log_error("pcap: the recording ends here (is the disk full?); the service goes on without");
    is_over = true;
}

static struct frames_watcher watcher = {.frame = write_frame};

int capture_open(const char *path, bool append, const char **message)
{
    format = pcap_open_dead(DLT_EN10MB, SNAPLEN);
    if (format == NULL) {
        *message = "out of memory";
        return -ENOMEM;
    }
    file = append ? pcap_dump_open_append(format, path) : pcap_dump_open(format, path);
    if (file == NULL) {
        *message = pcap_geterr(format); /* lives as long as format */
        return -EIO;
    }
    frames_watch(&watcher);
    return 0;
}

void capture_close(void)
{
    if (file != NULL) {
        frames_unwatch(&watcher);
        pcap_dump_close(file);
    }
    if (format != NULL)
        pcap_close(format);
    file = NULL;
    format = NULL;
}
