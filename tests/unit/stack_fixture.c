/* stack_fixture.c - a stack on a wire of memory. */
#include "stack_fixture.h"

#include <check.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "stack/ip/interface.h"
#include "stack/wire/wire.h"
#include "stack/wire/wire_split.h"
#include "stack/poison.h"

#define FRAMES_MAX 8192

const uint8_t stack_mac[6] = {2, 0, 0, 0, 0, 2};
const uint8_t peer_mac[6] = {2, 0, 0, 0, 0, 1};

struct queue {
    struct frame *frames[FRAMES_MAX]; /* owned */
    size_t first, count;
};

void (*wire_on_close)(void);

static struct queue to_stack, from_stack;
static struct frame *taken; /* owned; the last that wire_take() gave */
static struct wire wire;
static bool cuts; /* SIDESTACK_TEST_CUTS is set */
static uint64_t now_us;

/* Not by malloc(), which fails in test_stack_short.c. */
static struct frame *new_frame(void)
{
    struct frame *frame = aligned_alloc(alignof(struct frame), sizeof *frame);

    ck_assert_ptr_nonnull(frame);
    return frame;
}

static void queue_put(struct queue *queue, struct frame *frame)
{
    ck_assert_uint_lt(queue->count, FRAMES_MAX);
    queue->frames[(queue->first + queue->count++) % FRAMES_MAX] = frame;
}

static struct frame *queue_take(struct queue *queue)
{
    struct frame *frame;

    if (queue->count == 0)
        return NULL;
    frame = queue->frames[queue->first];
    queue->first = (queue->first + 1) % FRAMES_MAX;
    queue->count--;
    return frame;
}

/* What lies behind a frame is not the stack's to look at. */
static void guard(const struct iovec *iov, int count, size_t size)
{
    for (int i = 0; i < count; i++) {
        size_t used = size < iov[i].iov_len ? size : iov[i].iov_len;

        poison_put((uint8_t *)iov[i].iov_base + used, iov[i].iov_len - used);
        size -= used;
    }
}

static ssize_t memory_read(struct wire *it, struct virtio_net_hdr *header, const struct iovec *iov, int count)
{
    struct frame *frame = queue_take(&to_stack);
    size_t at = 0;

    (void)it;
    if (frame == NULL)
        return 0;
    *header = frame->header;
    for (int i = 0; i < count; i++)
        poison_remove(iov[i].iov_base, iov[i].iov_len);
    for (int i = 0; i < count && at < frame->size; i++) {
        size_t n = frame->size - at < iov[i].iov_len ? frame->size - at : iov[i].iov_len;

        memcpy(iov[i].iov_base, frame->bytes + at, n);
        at += n;
    }
    free(frame);
    guard(iov, count, at);
    return (ssize_t)at;
}

/* A piece of a frame that was cut. */
static void put_piece(void *context, uint8_t *bytes, size_t size)
{
    struct frame *piece = new_frame();

    (void)context;
    ck_assert_uint_le(size, 14 + 1500); /* Ethernet header and MTU */
    piece->header = (struct virtio_net_hdr){0};
    memcpy(piece->bytes, bytes, size);
    piece->size = size;
    queue_put(&from_stack, piece);
}

static int memory_write(struct wire *it, const struct virtio_net_hdr *header, const struct iovec *iov, int count)
{
    struct frame *frame = new_frame();

    (void)it;
    frame->header = *header;
    frame->size = 0;
    for (int i = 0; i < count; i++) {
        ck_assert_uint_le(frame->size + iov[i].iov_len, sizeof frame->bytes);
        memcpy(frame->bytes + frame->size, iov[i].iov_base, iov[i].iov_len);
        frame->size += iov[i].iov_len;
    }
    if (!cuts) {
        queue_put(&from_stack, frame);
        return 0;
    }
    wire_split(header, frame->bytes, frame->size, put_piece, NULL);
    free(frame);
    return 0;
}

static void memory_close(struct wire *it)
{
    struct frame *frame;

    (void)it;
    if (wire_on_close != NULL)
        wire_on_close();
    wire_drop_all();
    while ((frame = queue_take(&to_stack)) != NULL)
        free(frame);
    free(taken);
    taken = NULL;
}

static const struct wire_operations memory_operations = {
    .read_frame = memory_read, .write_frame = memory_write, .close = memory_close};

static int try_stack(unsigned wire_features, struct stack_config config)
{
    config.wire = &wire;
    config.mtu = 1500;
    wire = (struct wire){.operations = &memory_operations, .fd = -1, .features = wire_features};
    cuts = wire_features == 0 && getenv("SIDESTACK_TEST_CUTS") != NULL;
    if (cuts)
        wire.features = WIRE_CHECKSUM | WIRE_TSO4 | WIRE_TSO6;
    wire_on_close = NULL;
    memcpy(config.mac, stack_mac, 6);
    now_us += 1000000;
    stack_set_clock(now_us);
    return stack_open(&config);
}

static void open_stack(unsigned wire_features, struct stack_config config)
{
    ck_assert_int_eq(try_stack(wire_features, config), 0);
}

int stack_try_config(struct stack_config config)
{
    return try_stack(0, config);
}

void stack_setup_config(struct stack_config config)
{
    open_stack(0, config);
}

static void setup(unsigned wire_features, struct stack_config config)
{
    open_stack(wire_features, config);
    stack_advance(2000);
    wire_drop_all(); /* it may have announced itself */
}

void stack_setup(unsigned wire_features)
{
    const struct stack_prefix own = {address_of(STACK_IP, 0), 24};
    const struct stack_route gateway = {.via = address_of("10.1.0.254", 0)};

    setup(wire_features,
          (struct stack_config){.addresses = &own, .address_count = 1, .routes = &gateway, .route_count = 1});
}

void stack_setup_with(const struct stack_prefix *addresses, size_t address_count, const struct stack_route *routes,
                      size_t route_count)
{
    setup(0, (struct stack_config){.addresses = addresses, .address_count = address_count, .routes = routes,
                                   .route_count = route_count});
}

static void setup_dual(unsigned wire_features, enum stack_ecn ecn)
{
    const struct stack_prefix own[] = {{address_of(STACK_IP, 0), 24}, {address_of(STACK_IP6, 0), 64}};
    const struct stack_route gateways[] = {{.via = address_of("10.1.0.254", 0)},
                                           {.to.address.sa.sa_family = AF_INET6, .via = address_of("fd00:1::fe", 0)}};

    setup(wire_features,
          (struct stack_config){.addresses = own, .address_count = 2, .routes = gateways, .route_count = 2, .ecn = ecn});
}

void stack_setup_dual(unsigned wire_features)
{
    setup_dual(wire_features, STACK_ECN_ACCEPT);
}

void stack_setup_ecn(enum stack_ecn ecn)
{
    setup_dual(0, ecn);
}

void stack_setup_plain(void)
{
    stack_setup(0);
}

void stack_setup_offload(void)
{
    stack_setup(WIRE_CHECKSUM | WIRE_TSO4);
}

void stack_teardown(void)
{
    struct stack_counters counters;

    stack_close();
    stack_get_counters(&counters);
    ck_assert_uint_eq(counters.sockets, 0);
    ck_assert_uint_eq(counters.transmit_bytes, 0);
    ck_assert_uint_eq(counters.receive_bytes, 0);
}

uint64_t stack_time_us(void)
{
    return now_us;
}

struct stack_counters counters_now(void)
{
    struct stack_counters counters;

    stack_get_counters(&counters);
    return counters;
}

void stack_turn(void)
{
    do {
        while (stack_receive(64) > 0)
            ;
        if (stack_timer_ms() == 0)
            stack_run_timers();
        stack_flush();
    } while (to_stack.count > 0 || stack_timer_ms() == 0);
}

void stack_advance(unsigned milliseconds)
{
    uint64_t end = now_us + (uint64_t)milliseconds * 1000;

    stack_turn();
    for (;;) {
        int timer_ms = stack_timer_ms();

        if (timer_ms < 0 || now_us + (uint64_t)timer_ms * 1000 > end)
            break;
        now_us += (uint64_t)timer_ms * 1000;
        stack_set_clock(now_us);
        stack_turn();
    }
    now_us = end;
    stack_set_clock(now_us);
    stack_turn();
}

void wire_put(const struct virtio_net_hdr *header, const void *bytes, size_t size)
{
    struct frame *frame = new_frame();

    ck_assert_uint_le(size, sizeof frame->bytes);
    frame->header = header != NULL ? *header : (struct virtio_net_hdr){0};
    frame->size = size;
    memcpy(frame->bytes, bytes, size);
    queue_put(&to_stack, frame);
}

const struct frame *wire_take(void)
{
    free(taken);
    taken = queue_take(&from_stack);
    return taken;
}

const struct frame *wire_look(void)
{
    return from_stack.count > 0 ? from_stack.frames[from_stack.first] : NULL;
}

size_t wire_count(void)
{
    return from_stack.count;
}

void wire_drop_all(void)
{
    struct frame *frame;

    while ((frame = queue_take(&from_stack)) != NULL)
        free(frame);
}
