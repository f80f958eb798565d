/*
 * many.c - what a segment, a handshake and an idle second cost in the stack by how many connections there are, without
 * any system call: the stack on a wire of memory (tests/unit/stack_fixture.h), the test as all peers. So the limit on
 * open files plays no part.
 *
 *   many COUNT...   a line for each: microseconds of processor for a request and its answer on one of 100 connections among all, and for a
 *                   connection that comes and is reset; bytes of heap for each idle connection, lwIP's control block included; milliseconds
 *                   for an idle minute. The peers' part and the wire are in the figures.
 */
#include <check.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/unit/stack_fixture.h"

#define PORT 7
#define PORTS 40000 /* of one peer; each next 40000 connections are to the next port of ours */
#define REQUESTS 20000
#define COMERS 5000

static struct told *listeners, *children;
static struct told spare;

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Return: the number of the stack's SYN-ACK, after the handshake. */
static uint32_t open_one(struct told *child, uint16_t port, uint16_t source_port)
{
    struct segment segment = {.source_port = source_port, .port = port, .sequence = 1, .flags = TH_SYN, .window = 60000,
                              .options = {2, 4, 1460 >> 8, 1460 & 255}, .option_size = 4};
    uint32_t number;

    listeners[port - PORT].child_told = child;
    peer_send(&segment);
    number = peer_take().sequence;
    segment.sequence = 2;
    segment.acknowledgement = number + 1;
    segment.flags = TH_ACK;
    segment.option_size = 0;
    peer_send(&segment);
    ck_assert_ptr_nonnull(child->tcp);
    return number + 1;
}

static void listen_on(uint16_t port)
{
    union stack_address address = address_of("0.0.0.0", port);
    struct told *told = &listeners[port - PORT];

    told->tcp = stack_tcp_open(AF_INET, &told_events, told);
    ck_assert_int_eq(stack_tcp_bind(told->tcp, &address), 0);
    ck_assert_int_eq(stack_tcp_listen(told->tcp, NULL), 0);
}

/* A request comes, is consumed and answered, and the answer is acknowledged. */
static void exchange(struct told *child, uint16_t port, uint16_t source_port, uint32_t *sequence, uint32_t *expected)
{
    char bytes[64] = "";
    struct segment segment = {.source_port = source_port, .port = port, .sequence = *sequence, .acknowledgement = *expected,
                              .flags = TH_ACK | TH_PUSH, .window = 60000, .data = bytes, .size = sizeof bytes};

    peer_send(&segment);
    ck_assert_uint_eq(receive_bytes(child->tcp, bytes, sizeof bytes), sizeof bytes);
    send_bytes(child->tcp, bytes, sizeof bytes);
    *sequence += sizeof bytes;
    *expected += sizeof bytes;
    wire_drop_all();
    peer_send(&(struct segment){.source_port = source_port, .port = port, .sequence = *sequence, .acknowledgement = *expected,
                                .flags = TH_ACK, .window = 60000});
}

static void measure(size_t count)
{
    size_t ports = (count + PORTS - 1) / PORTS, heap, step = count / 100 > 0 ? count / 100 : 1, active = count < 100 ? count : 100;
    uint32_t *expected = calloc(count, sizeof *expected), sequences[100];
    double request, comer, idle, start;

    listeners = calloc(ports + 1, sizeof *listeners);
    children = calloc(count, sizeof *children);
    stack_setup_offload();
    peer_resolve();
    for (size_t i = 0; i <= ports; i++)
        listen_on((uint16_t)(PORT + i));
    heap = mallinfo2().uordblks;
    for (size_t i = 0; i < count; i++)
        expected[i] = open_one(&children[i], (uint16_t)(PORT + i / PORTS), (uint16_t)(1024 + i % PORTS));
    stack_advance(1000);
    heap = mallinfo2().uordblks - heap;
    for (size_t i = 0; i < active; i++)
        sequences[i] = 2;
    start = now_s();
    for (size_t i = 0; i < REQUESTS; i++) {
        size_t which = i % active, at = which * step;

        exchange(&children[at], (uint16_t)(PORT + at / PORTS), (uint16_t)(1024 + at % PORTS), &sequences[which], &expected[at]);
    }
    request = (now_s() - start) / REQUESTS;
    wire_drop_all();
    start = now_s();
    for (size_t i = 0; i < COMERS; i++) {
        spare = (struct told){0};
        (void)open_one(&spare, (uint16_t)(PORT + ports), (uint16_t)(1024 + i));
        stack_tcp_abort(spare.tcp);
        wire_drop_all();
    }
    comer = (now_s() - start) / COMERS;
    stack_advance(1000);
    wire_drop_all();
    start = now_s();
    stack_advance(60000);
    idle = now_s() - start;
    printf("%7zu  request %6.2f us   connection %6.2f us   memory %5.0f bytes   idle minute %6.2f ms\n", count, request * 1e6, comer * 1e6,
           (double)heap / (double)count, idle * 1e3);
    fflush(stdout);
    for (size_t i = 0; i < count; i++) {
        stack_tcp_abort(children[i].tcp);
        if (i % 1000 == 0)
            wire_drop_all();
    }
    for (size_t i = 0; i <= ports; i++)
        stack_tcp_close(listeners[i].tcp);
    wire_drop_all();
    stack_teardown();
    free(expected);
    free(listeners);
    free(children);
}

static int count_count;
static char **counts;

START_TEST(all_counts) /* the fixture's checks want a test about them */
{
    for (int i = 0; i < count_count; i++)
        measure((size_t)atol(counts[i]));
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("many");
    TCase *tcase = tcase_create("many");
    SRunner *runner = srunner_create(suite);
    int failed;

    count_count = argc - 1;
    counts = argv + 1;
    tcase_set_timeout(tcase, 0);
    tcase_add_test(tcase, all_counts);
    suite_add_tcase(suite, tcase);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_MINIMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
