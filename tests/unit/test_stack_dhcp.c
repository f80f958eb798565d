/* test_stack_dhcp.c - DHCP: what the stack makes of a server's answers, and when it asks again. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stack/ip/interface.h"
#include "stack_fixture.h"
#include "tests/checksum.h"
#include "tests/suite.h"

#define DHCP_AT 42 /* in a frame, behind Ethernet, IP and UDP */
#define OPTIONS_AT (DHCP_AT + 240)
#define FRAME_MAX (OPTIONS_AT + 400)
#define SERVER "10.1.0.1"
#define OFFERED "10.1.0.50"

enum { DISCOVER = 1, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE };

static unsigned changes;

static void on_changed(void *context)
{
    (void)context;
    changes++;
}

static void setup(void)
{
    changes = 0;
    stack_setup_config((struct stack_config){.dhcp = true, .hostname = "tester", .changed = on_changed});
}

/* A message that the stack sent. */
struct message {
    int type; /* 0: there is none */
    uint32_t to, from, client; /* network byte order */
    uint8_t transaction[4];
    uint8_t options[400];
    size_t size;
};

/* Return: where an option's value begins; NULL: it is not there. */
static const uint8_t *find_option(const struct message *message, uint8_t option, uint8_t *length)
{
    for (size_t at = 0; at + 1 < message->size && message->options[at] != 255; at += 2 + message->options[at + 1])
        if (message->options[at] == option) {
            *length = message->options[at + 1];
            return message->options + at + 2;
        }
    return NULL;
}

/* The next DHCP message on the wire; other frames are passed over. */
static struct message take(void)
{
    const struct frame *frame;
    struct message message = {0};
    uint8_t length;

    while ((frame = wire_take()) != NULL) {
        if (frame->size < OPTIONS_AT || frame->bytes[12] != 8 || frame->bytes[13] != 0 || frame->bytes[23] != 17 ||
            frame->bytes[37] != 67)
            continue;
        memcpy(&message.from, frame->bytes + 26, 4);
        memcpy(&message.to, frame->bytes + 30, 4);
        memcpy(message.transaction, frame->bytes + DHCP_AT + 4, 4);
        memcpy(&message.client, frame->bytes + DHCP_AT + 12, 4);
        message.size = frame->size - OPTIONS_AT;
        ck_assert_uint_le(message.size, sizeof message.options);
        memcpy(message.options, frame->bytes + OPTIONS_AT, message.size);
        message.type = *find_option(&message, 53, &length);
        return message;
    }
    return message;
}

/* Make the server's answer, with these options beside type and server; size of them. Return: the size of the frame. */
static size_t make_answer(uint8_t frame[FRAME_MAX], const struct message *to, int type, const void *options, size_t size)
{
    static const uint8_t head[] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17};
    uint8_t *at = frame + OPTIONS_AT;
    size_t total;

    memset(frame, 0, FRAME_MAX);
    memcpy(frame, head, sizeof head);
    inet_pton(AF_INET, SERVER, frame + 26);
    inet_pton(AF_INET, OFFERED, frame + 30);
    frame[35] = 67;
    frame[37] = 68;
    frame[DHCP_AT] = 2;
    frame[DHCP_AT + 1] = 1;
    frame[DHCP_AT + 2] = 6;
    memcpy(frame + DHCP_AT + 4, to->transaction, 4);
    inet_pton(AF_INET, OFFERED, frame + DHCP_AT + 16);
    memcpy(frame + DHCP_AT + 28, "\2\0\0\0\0\2", 6);
    memcpy(frame + DHCP_AT + 236, "\x63\x82\x53\x63", 4);
    *at++ = 53;
    *at++ = 1;
    *at++ = (uint8_t)type;
    *at++ = 54;
    *at++ = 4;
    inet_pton(AF_INET, SERVER, at);
    at += 4;
    memcpy(at, options, size);
    at += size;
    *at++ = 255;
    total = (size_t)(at - frame);
    total += total % 2;
    frame[16] = (uint8_t)((total - 14) >> 8);
    frame[17] = (uint8_t)(total - 14);
    frame[38] = (uint8_t)((total - 34) >> 8);
    frame[39] = (uint8_t)(total - 34);
    checksum_put(frame + 14, 20, 10);
    return total;
}

/* Answer as the server. */
static void answer(const struct message *to, int type, const void *options, size_t size)
{
    uint8_t frame[FRAME_MAX];
    size_t total = make_answer(frame, to, type, options, size);

    wire_put(NULL, frame, total);
    stack_turn();
}

/* The same in fragments: what lwIP wants in one piece, and all the rest in such of 8 bytes. */
static void answer_in_fragments(const struct message *to, int type, const void *options, size_t size)
{
    uint8_t frame[FRAME_MAX], piece[FRAME_MAX];
    size_t total = make_answer(frame, to, type, options, size), length = 56;

    for (size_t at = 34; at < total; at += length, length = 8) {
        size_t offset = (at - 34) / 8, left = total - at;

        length = left < length ? left : length;
        memcpy(piece, frame, 34);
        memcpy(piece + 34, frame + at, length);
        piece[17] = (uint8_t)(20 + length);
        piece[16] = 0;
        piece[20] = (uint8_t)((left > length ? 0x20 : 0) | offset >> 8);
        piece[21] = (uint8_t)offset;
        piece[24] = piece[25] = 0;
        checksum_put(piece + 14, 20, 10);
        wire_put(NULL, piece, 34 + length);
        stack_turn();
    }
}

/* Mask, router, a lease of 1000 seconds (so 500 to T1), a name server. */
static const uint8_t usual[] = {1, 4, 255, 255, 255, 0, 3, 4, 10, 1, 0, 254, 51, 4, 0, 0, 3, 0xe8, 6, 4, 10, 1, 0, 9};

/* From DISCOVER to the address. */
static void get_lease(const uint8_t *options, size_t size)
{
    struct message message;

    stack_turn();
    message = take();
    ck_assert_int_eq(message.type, DISCOVER);
    answer(&message, OFFER, options, size);
    message = take();
    ck_assert_int_eq(message.type, REQUEST);
    answer(&message, ACK, options, size);
    ck_assert(!stack_is_configured()); /* is it anybody's? */
    stack_advance(1000);
    ck_assert(stack_is_configured());
}

/* The address that the stack has from the server, as text; "none". */
static const char *address_text(void)
{
    static char text[INET_ADDRSTRLEN];
    struct stack_interface_address found[34];
    size_t count = stack_get_addresses(found, 34);

    for (size_t i = 0; i < count; i++)
        if (found[i].interface == STACK_INTERFACE_WIRE && found[i].prefix.address.sa.sa_family == AF_INET)
            return inet_ntop(AF_INET, &found[i].prefix.address.in.sin_addr, text, sizeof text);
    return "none";
}

START_TEST(discover_says_who_we_are)
{
    struct message message = take();
    uint8_t length;
    const uint8_t *name = find_option(&message, 12, &length);

    ck_assert_int_eq(message.type, DISCOVER);
    ck_assert_uint_eq(message.from, 0);
    ck_assert_uint_eq(message.to, INADDR_BROADCAST);
    ck_assert(name == NULL || (length == 6 && memcmp(name, "tester", 6) == 0));
    answer(&message, OFFER, usual, sizeof usual);
    message = take();
    ck_assert_int_eq(message.type, REQUEST);
    name = find_option(&message, 12, &length);
    ck_assert_ptr_nonnull(name);
    ck_assert(length == 6 && memcmp(name, "tester", 6) == 0);
}
END_TEST

START_TEST(discover_is_repeated)
{
    int count = 1;

    ck_assert_int_eq(take().type, DISCOVER);
    for (int i = 0; i < 30; i++) {
        stack_advance(1000);
        count += take().type == DISCOVER;
    }
    ck_assert_int_eq(count, 5); /* after 2, 6, 14, 30 s */
    ck_assert(!stack_is_configured());
}
END_TEST

START_TEST(lease_gives_address_route_and_server)
{
    union stack_address servers[STACK_NAME_SERVERS_MAX], peer = address_of("8.8.8.8", 80);
    struct told told = {.tcp = stack_tcp_open(AF_INET, &told_events, &told)};

    ck_assert_int_eq(stack_tcp_connect(told.tcp, &peer), -ENETUNREACH);
    get_lease(usual, sizeof usual);
    ck_assert_str_eq(address_text(), OFFERED);
    ck_assert_uint_eq(stack_get_name_servers(servers, STACK_NAME_SERVERS_MAX), 1);
    ck_assert_uint_eq(servers[0].in.sin_addr.s_addr, inet_addr("10.1.0.9"));
    ck_assert_uint_eq(changes, 1);
    ck_assert_int_eq(stack_tcp_connect(told.tcp, &peer), 0);
    stack_tcp_abort(told.tcp);
}
END_TEST

START_TEST(nothing_ticks_until_the_lease_wants_renewal)
{
    get_lease(usual, sizeof usual);
    stack_advance(20000); /* announcements, neighbours */
    ck_assert_int_gt(stack_timer_ms(), 400000);
    ck_assert_int_lt(stack_timer_ms(), 500000);
}
END_TEST

START_TEST(endless_lease_needs_no_timer)
{
    static const uint8_t endless[] = {1, 4, 255, 255, 255, 0, 51, 4, 255, 255, 255, 255};

    get_lease(endless, sizeof endless);
    stack_advance(20000);
    ck_assert_int_eq(stack_timer_ms(), -1);
}
END_TEST

/* An ARP packet to or about OFFERED from somebody else: 1 a question, 2 an answer. */
static void other_says(uint8_t operation, const char *sender)
{
    uint8_t arp[42] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 8, 6, 0, 1, 8, 0, 6, 4, 0, operation,
                       2,    0,    0,    0,    0,    9};

    inet_pton(AF_INET, sender, arp + 28);
    inet_pton(AF_INET, OFFERED, arp + 38);
    wire_put(NULL, arp, sizeof arp);
    stack_turn();
}

/* Get a lease, and wait until it is to be renewed. Return: the request for that. */
static struct message take_renewal(void)
{
    struct message message;

    get_lease(usual, sizeof usual);
    wire_drop_all();
    stack_advance(501000);
    other_says(2, SERVER);
    message = take();
    ck_assert_int_eq(message.type, REQUEST);
    return message;
}

START_TEST(lease_is_renewed)
{
    struct message message = take_renewal();

    ck_assert_uint_eq(message.from, inet_addr(OFFERED));
    ck_assert_uint_eq(message.client, inet_addr(OFFERED));
    answer(&message, ACK, usual, sizeof usual);
    stack_advance(498000);
    ck_assert_int_eq(take().type, 0);
    stack_advance(4000);
    other_says(2, SERVER);
    ck_assert_int_eq(take().type, REQUEST);
    ck_assert_str_eq(address_text(), OFFERED);
}
END_TEST

START_TEST(lease_that_is_not_renewed_ends)
{
    bool asked_all = false;
    struct message message;

    get_lease(usual, sizeof usual);
    stack_advance(990000);
    ck_assert_str_eq(address_text(), OFFERED);
    while ((message = take()).type != 0)
        asked_all |= message.type == REQUEST && message.to == INADDR_BROADCAST; /* T2 */
    ck_assert(asked_all);
    stack_advance(20000);
    ck_assert_str_eq(address_text(), "none");
    ck_assert(!stack_is_configured());
    ck_assert_uint_eq(changes, 2);
    do
        message = take();
    while (message.type != 0 && message.type != DISCOVER);
    ck_assert_int_eq(message.type, DISCOVER);
}
END_TEST

START_TEST(refused_renewal_begins_anew)
{
    struct message message = take_renewal();

    answer(&message, NAK, "", 0);
    ck_assert_str_eq(address_text(), "none");
    ck_assert_int_eq(take().type, DISCOVER);
}
END_TEST

static unsigned releases;

static void see_release(void)
{
    struct message message = take();
    uint8_t length;

    ck_assert_int_eq(message.type, RELEASE);
    ck_assert_uint_eq(message.client, inet_addr(OFFERED));
    ck_assert_uint_eq(message.to, inet_addr(SERVER));
    ck_assert_ptr_nonnull(find_option(&message, 54, &length));
    releases++;
}

START_TEST(address_is_given_back)
{
    get_lease(usual, sizeof usual);
    wire_drop_all();
    wire_on_close = see_release;
    stack_teardown(); /* no neighbour was ever asked for its address */
    ck_assert_uint_eq(releases, 1);
    setup();
}
END_TEST

START_TEST(address_of_another_is_declined)
{
    struct message message = take();

    answer(&message, OFFER, usual, sizeof usual);
    message = take();
    answer(&message, ACK, usual, sizeof usual);
    other_says(2, OFFERED);
    message = take();
    ck_assert_int_eq(message.type, DECLINE);
    ck_assert_uint_eq(message.client, 0);
    ck_assert(!stack_is_configured());
    stack_advance(9000);
    ck_assert_int_eq(take().type, 0);
    stack_advance(2000);
    ck_assert_int_eq(take().type, DISCOVER);
}
END_TEST

START_TEST(address_is_defended_once)
{
    const struct frame *frame;
    bool defended = false;

    get_lease(usual, sizeof usual);
    stack_advance(5000);
    wire_drop_all();
    other_says(1, OFFERED);
    while ((frame = wire_take()) != NULL)
        defended |= frame->bytes[13] == 6 && memcmp(frame->bytes + 28, frame->bytes + 38, 4) == 0;
    ck_assert(defended);
    ck_assert_str_eq(address_text(), OFFERED);
    other_says(1, OFFERED);
    ck_assert_str_eq(address_text(), "none");
    ck_assert_int_eq(take().type, DECLINE);
}
END_TEST

START_TEST(classless_routes_replace_the_router)
{
    /* 10.9.0.0/16 by 10.1.0.7; 10.8.0.0/16 on the link; nothing by default. */
    static const uint8_t options[] = {1, 4, 255, 255, 255, 0, 3, 4, 10, 1, 0, 254, 51, 4, 0, 0, 3, 0xe8,
                                      121, 14, 16, 10, 9, 10, 1, 0, 7, 16, 10, 8, 0, 0, 0, 0};
    union stack_address far = address_of("10.9.1.1", 80), nowhere = address_of("8.8.8.8", 80);
    struct stack_tcp *tcp = stack_tcp_open(AF_INET, &told_events, NULL);

    get_lease(options, sizeof options);
    ck_assert_int_eq(stack_tcp_connect(tcp, &nowhere), -ENETUNREACH);
    ck_assert_int_eq(stack_tcp_connect(tcp, &far), 0);
    stack_tcp_abort(tcp);
}
END_TEST

START_TEST(domains_and_mtu)
{
    /* A search list with a pointer, RFC 3397; an MTU of 1400. */
    static const uint8_t options[] = {1, 4, 255, 255, 255, 0, 51, 4, 0, 0, 3, 0xe8, 26, 2, 1400 >> 8, 1400 & 255, 15, 3, 'o', 'n', 'e',
                                      119, 11, 1, 'a', 3, 'n', 'e', 't', 0, 1, 'b', 0xc0, 2};
    const char *domains[STACK_DOMAINS_MAX];
    struct stack_interface interface;

    get_lease(options, sizeof options);
    ck_assert_uint_eq(stack_get_domains(domains, STACK_DOMAINS_MAX), 2);
    ck_assert_str_eq(domains[0], "a.net");
    ck_assert_str_eq(domains[1], "b.net");
    stack_get_interface(STACK_INTERFACE_WIRE, &interface);
    ck_assert_uint_eq(interface.mtu, 1400);
}
END_TEST

/* Options that lie about their length, or say what makes no sense: an address all the same, or none, and nothing
 * bad. */
static const struct {
    uint8_t size;
    uint8_t bytes[20];
} hostile[] = {
    {4, {121, 200, 33, 1}},
    {8, {121, 6, 33, 1, 2, 3, 4, 5}},
    {4, {119, 2, 0xc0, 0}},
    {6, {119, 4, 0xc0, 2, 0xc0, 0}},
    {5, {119, 3, 63, 'a', 'b'}},
    {5, {15, 3, '.', '/', 0}},
    {3, {26, 1, 9}},
    {4, {26, 2, 0, 1}},
    {5, {6, 3, 1, 2, 3}},
    {2, {15, 255}},
};

START_TEST(hostile_options)
{
    uint8_t options[sizeof usual + 20];
    const char *domains[STACK_DOMAINS_MAX];
    struct message message = take();

    memcpy(options, usual, sizeof usual);
    memcpy(options + sizeof usual, hostile[_i].bytes, hostile[_i].size);
    answer(&message, OFFER, options, sizeof usual + hostile[_i].size);
    message = take();
    if (message.type == REQUEST)
        answer(&message, ACK, options, sizeof usual + hostile[_i].size);
    stack_advance(1000);
    ck_assert_uint_eq(stack_get_domains(domains, STACK_DOMAINS_MAX), 0);
}
END_TEST

/* In an answer of several pieces dhcp.c goes on reading behind each, as far as their bytes tell it to. */
START_TEST(answers_in_fragments_are_none)
{
    uint8_t options[sizeof usual + 300];
    struct message message = take_renewal();

    answer_in_fragments(&message, NAK, usual, sizeof usual);
    ck_assert_str_eq(address_text(), OFFERED);
    memcpy(options, usual, sizeof usual);
    memset(options + sizeof usual, 200, sizeof options - sizeof usual); /* unknown options, of 200 bytes each */
    answer_in_fragments(&message, NAK, options, sizeof options);
    ck_assert_str_eq(address_text(), OFFERED);
    answer(&message, NAK, usual, sizeof usual);
    ck_assert_str_eq(address_text(), "none");
}
END_TEST

/* A server that sends rubbish. */
START_TEST(random_answers)
{
    static const uint8_t more[] = {119, 11, 1, 'a', 3, 'n', 'e', 't', 0, 1, 'b', 0xc0, 2, 121, 8, 24, 10, 9, 0, 10, 1, 0, 7,
                                   26, 2, 5, 0x78, 52, 1, 3};
    uint8_t options[sizeof usual + sizeof more];
    struct message last = {0};

    srand(1);
    for (int i = 0; i < 20000; i++) {
        struct message message = take();

        if (message.type != 0)
            last = message;
        memcpy(options, usual, sizeof usual);
        memcpy(options + sizeof usual, more, sizeof more);
        for (int k = rand() % 4; k > 0; k--)
            options[(size_t)rand() % sizeof options] = (uint8_t)rand();
        answer(&last, rand() % 8, options, (size_t)rand() % (sizeof options + 1));
        if (rand() % 8 == 0)
            stack_advance((unsigned)rand() % 20000);
        if (rand() % 500 == 0)
            other_says(1 + rand() % 2, OFFERED);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dhcp");
    TCase *tcase = tcase_create("dhcp");

    tcase_add_checked_fixture(tcase, setup, stack_teardown);
    tcase_add_test(tcase, discover_says_who_we_are);
    tcase_add_test(tcase, discover_is_repeated);
    tcase_add_test(tcase, lease_gives_address_route_and_server);
    tcase_add_test(tcase, nothing_ticks_until_the_lease_wants_renewal);
    tcase_add_test(tcase, endless_lease_needs_no_timer);
    tcase_add_test(tcase, lease_is_renewed);
    tcase_add_test(tcase, lease_that_is_not_renewed_ends);
    tcase_add_test(tcase, refused_renewal_begins_anew);
    tcase_add_test(tcase, address_is_given_back);
    tcase_add_test(tcase, address_of_another_is_declined);
    tcase_add_test(tcase, address_is_defended_once);
    tcase_add_test(tcase, classless_routes_replace_the_router);
    tcase_add_test(tcase, domains_and_mtu);
    tcase_add_test(tcase, random_answers);
    tcase_add_test(tcase, answers_in_fragments_are_none);
    tcase_add_loop_test(tcase, hostile_options, 0, (int)(sizeof hostile / sizeof *hostile));
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
