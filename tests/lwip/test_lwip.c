/*
 * test_lwip.c - lwIP's own unit tests (test/unit of its tree), with our options.
 *
 * Which of its tests can't hold with them stands in left_out[], with the reason; each run tells. So do the suites that
 * are not compiled: dns, timers, mdns, mqtt, ppp, sockets. They are about parts of lwIP that we don't have.
 */
#include "lwip_check.h"

#include "core/test_def.h"
#include "core/test_mem.h"
#include "core/test_netif.h"
#include "core/test_pbuf.h"
#include "dhcp/test_dhcp.h"
#include "etharp/test_etharp.h"
#include "ip4/test_ip4.h"
#include "ip6/test_ip6.h"
#include "tcp/test_tcp.h"
#include "tcp/test_tcp_oos.h"
#include "tcp/test_tcp_state.h"
#include "udp/test_udp.h"

#include "lwip/init.h"
#include "lwip/netif.h"
#include "lwip/stats.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/sys.h"

#include "stack/memory.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of our sources only the small objects' are here: there is no bound on what they keep. */
bool memory_may_keep(size_t bytes)
{
    (void)bytes;
    return true;
}

static const struct {
    const char *test;
    const char *reason;
} left_out[] = {
    {"test_tcp_rto_rexmit_wraparound", "counts ticks of 250 ms until a retransmission; ours are of 50 ms (TCP_TMR_INTERVAL)"},
    {"test_tcp_new_max_num", "wants control blocks to run out; ours are no pool (MEMP_MEM_MALLOC)"},
    {"test_tcp_new_max_num_remove_TIME_WAIT", "the same"},
    {"test_mem_one", "wants the heap empty at first; our pools are on it (MEMP_MEM_MALLOC)"},
    {"test_mem_random", "the same; and the heap is the C library's (MEM_LIBC_MALLOC)"},
    {"test_mem_invalid_free", "the same"},
    {"test_mem_double_free", "the same"},
    {"test_dhcp_relayed", "counts ticks of a minute until the renewal; ours are of a second (DHCP_COARSE_TIMER_SECS)"},
};
#define LEFT_OUT (sizeof left_out / sizeof *left_out)

static bool was_there[LEFT_OUT];

/* What lwIP asks of its platform (stack/port.c); the tests set the time. */
extern u32_t lwip_sys_now;
u32_t lwip_sys_now;

u32_t sys_now(void)
{
    return lwip_sys_now;
}

uint32_t port_random(void)
{
    return (uint32_t)rand();
}

_Noreturn void port_assert_failed(const char *message, const char *file, int line)
{
    fprintf(stderr, "lwIP assertion failed: %s (%s:%d)\n", message, file, line);
    abort();
}

/* What they call to let the other thread have its turn. */
void tcpip_thread_poll_one(void);
void tcpip_thread_poll_one(void)
{
    netif_poll_all();
}

/* test_tcp_oos.c calls it, but has it only with small windows. Return: how many pbufs wait, out of order. */
int tcp_oos_pbuf_count(const struct tcp_pcb *pcb);
int tcp_oos_pbuf_count(const struct tcp_pcb *pcb)
{
    int count = 0;

    for (const struct tcp_seg *segment = pcb->ooseq; segment != NULL; segment = segment->next)
        count += pbuf_clen(segment->p);
    return count;
}

/* Is a test left out? Then tell. */
static bool is_left_out(const char *test)
{
    for (size_t i = 0; i < LEFT_OUT; i++)
        if (strcmp(left_out[i].test, test) == 0) {
            printf("LEFT OUT: %s: %s\n", test, left_out[i].reason);
            was_there[i] = true;
            return true;
        }
    return false;
}

/* What lwIP's tests call to make their suites. */
Suite *create_suite(const char *name, testfunc *tests, size_t num_tests, SFun setup, SFun teardown)
{
    Suite *suite = suite_create(name);

    for (size_t i = 0; i < num_tests; i++) {
        TCase *tcase;

        if (is_left_out(tests[i]->name))
            continue;
        tcase = tcase_create(tests[i]->name);
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, tests[i]);
        suite_add_tcase(suite, tcase);
    }
    return suite;
}

/* With us pools are on the heap, too, and the pool of time-outs is never empty. */
static mem_size_t bytes_of_timeout;

/* What they call at their end: is anything still allocated? */
void lwip_check_ensure_no_alloc(unsigned int skip)
{
    if ((skip & SKIP_HEAP) == 0)
        ck_assert_uint_eq(lwip_stats.mem.used, lwip_stats.memp[MEMP_SYS_TIMEOUT]->used * bytes_of_timeout);
    for (int i = 0; i < MEMP_MAX; i++)
        if ((skip & SKIP_POOL(i)) == 0)
            ck_assert_msg(lwip_stats.memp[i]->used == 0, "pool %d still has %d entries", i, (int)lwip_stats.memp[i]->used);
}

int main(void)
{
    suite_getter_fn *const suites[] = {ip4_suite, ip6_suite, udp_suite, tcp_suite, tcp_oos_suite, tcp_state_suite,
                                       def_suite, mem_suite, netif_suite, pbuf_suite, etharp_suite, dhcp_suite};
    SRunner *runner = srunner_create(suites[0]());
    int failed;

    for (size_t i = 1; i < sizeof suites / sizeof *suites; i++)
        srunner_add_suite(runner, suites[i]());
    for (size_t i = 0; i < LEFT_OUT; i++)
        if (!was_there[i]) {
            printf("there is no test %s any more: take it out of the list\n", left_out[i].test);
            return EXIT_FAILURE;
        }
    lwip_init();
    bytes_of_timeout = lwip_stats.mem.used / lwip_stats.memp[MEMP_SYS_TIMEOUT]->used;
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
