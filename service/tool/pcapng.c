/* pcapng.c - writes a capture file of pcapng: one section, one Ethernet interface. */
#include "pcapng.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#define BLOCK_SECTION 0x0a0d0d0au
#define BLOCK_INTERFACE 1u
#define BLOCK_STATISTICS 5u
#define BLOCK_PACKET 6u
#define SECTION_BYTE_ORDER 0x1a2b3c4du
#define LINK_ETHERNET 1
#define OPTIONS_BYTES 2048

enum {
    OPTION_END = 0,
    OPTION_SECTION_APPLICATION = 4,
    OPTION_INTERFACE_NAME = 2,
    OPTION_INTERFACE_RESOLUTION = 9,
    OPTION_INTERFACE_FILTER = 11,
    OPTION_PACKET_FLAGS = 2,
    OPTION_PACKET_DROPPED = 4,
    OPTION_STATISTICS_RECEIVED = 4,
    OPTION_STATISTICS_DROPPED = 5,
};

struct options {
    uint8_t bytes[OPTIONS_BYTES];
    size_t length;
};

static void add_option(struct options *options, uint16_t code, const void *value, size_t length)
{
    const uint16_t head[2] = {code, (uint16_t)length};

    if (options->length + sizeof head + length + 3 + sizeof head > sizeof options->bytes)
        return; /* a filter that long is not worth it */
    memcpy(options->bytes + options->length, head, sizeof head);
    memcpy(options->bytes + options->length + sizeof head, value, length);
    memset(options->bytes + options->length + sizeof head + length, 0, 3);
    options->length += sizeof head + (length + 3) / 4 * 4;
}

static void end_options(struct options *options)
{
    if (options->length > 0)
        add_option(options, OPTION_END, "", 0);
}

/* Write a block: its own fields, data padded to 4 bytes, options. Return: 0 or -EIO. */
static int write_block(FILE *file, uint32_t type, const void *fields, size_t fields_size, const void *data,
                       size_t data_size, const struct options *options)
{
    static const uint8_t zeros[3];
    const size_t padding = (4 - data_size % 4) % 4;
    const uint32_t length = (uint32_t)(12 + fields_size + data_size + padding + options->length);
    const uint32_t head[2] = {type, length};
    const struct iovec parts[] = {{(void *)head, sizeof head},          {(void *)fields, fields_size},
                                  {(void *)data, data_size},            {(void *)zeros, padding},
                                  {(void *)options->bytes, options->length}, {(void *)&length, sizeof length}};

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i].iov_len > 0 && fwrite(parts[i].iov_base, parts[i].iov_len, 1, file) != 1)
            return -EIO;
    return 0;
}

int pcapng_begin(FILE *file, const char *application, const char *interface, const char *filter, uint32_t snap_length)
{
    const struct {
        uint32_t byte_order;
        uint16_t major, minor;
        uint64_t length;
    } section = {SECTION_BYTE_ORDER, 1, 0, UINT64_MAX}; /* not known */
    const struct {
        uint16_t link, reserved;
        uint32_t snap_length;
    } description = {LINK_ETHERNET, 0, snap_length};
    const uint8_t nanoseconds = 9;
    struct options options = {.length = 0};
    int error;

    add_option(&options, OPTION_SECTION_APPLICATION, application, strlen(application));
    end_options(&options);
    error = write_block(file, BLOCK_SECTION, &section, sizeof section, NULL, 0, &options);
    if (error < 0)
        return error;
    options.length = 0;
    add_option(&options, OPTION_INTERFACE_NAME, interface, strlen(interface));
    add_option(&options, OPTION_INTERFACE_RESOLUTION, &nanoseconds, 1);
    if (filter != NULL) {
        char text[OPTIONS_BYTES] = ""; /* the first byte 0: a filter of libpcap's */
        size_t length = strlen(filter);

        if (length < sizeof text - 1) {
            memcpy(text + 1, filter, length);
            add_option(&options, OPTION_INTERFACE_FILTER, text, length + 1);
        }
    }
    end_options(&options);
    return write_block(file, BLOCK_INTERFACE, &description, sizeof description, NULL, 0, &options);
}

int pcapng_write(FILE *file, const struct pcapng_frame *frame)
{
    const uint32_t fields[5] = {0, (uint32_t)(frame->time_ns >> 32), (uint32_t)frame->time_ns, frame->captured,
                                frame->length};
    const uint32_t direction = frame->outgoing ? 2 : 1;
    struct options options = {.length = 0};

    add_option(&options, OPTION_PACKET_FLAGS, &direction, sizeof direction);
    if (frame->dropped > 0)
        add_option(&options, OPTION_PACKET_DROPPED, &frame->dropped, sizeof frame->dropped);
    end_options(&options);
    return write_block(file, BLOCK_PACKET, fields, sizeof fields, frame->bytes, frame->captured, &options);
}

int pcapng_end(FILE *file, uint64_t time_ns, uint64_t frames, uint64_t dropped)
{
    const uint32_t fields[3] = {0, (uint32_t)(time_ns >> 32), (uint32_t)time_ns};
    struct options options = {.length = 0};

    add_option(&options, OPTION_STATISTICS_RECEIVED, &frames, sizeof frames);
    add_option(&options, OPTION_STATISTICS_DROPPED, &dropped, sizeof dropped);
    end_options(&options);
    return write_block(file, BLOCK_STATISTICS, fields, sizeof fields, NULL, 0, &options);
}
