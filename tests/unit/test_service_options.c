/* test_service_options.c - command line and configuration file of the daemon. */
#include "service/log/log.h"
#include "service/settings/options.h"
#include "service/settings/settings.h"
#include "tests/suite.h"

#include <arpa/inet.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARGUMENTS_MAX 16

static struct options options;

static void teardown(void)
{
    options_free(&options);
}

/* Run options_read() on a line of words. */
static int read_line(const char *line)
{
    static char words[512];
    static char *argv[ARGUMENTS_MAX + 1]; /* options_read_again() reads it */
    int argc = 0;

    ck_assert_uint_lt(strlen(line), sizeof words);
    strcpy(words, line);
    for (char *word = strtok(words, " "); word != NULL && argc < ARGUMENTS_MAX; word = strtok(NULL, " "))
        argv[argc++] = word;
    argv[argc] = NULL;
    options_free(&options);
    return options_read(argc, argv, &options);
}

static void write_file(char *path, const char *text)
{
    int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

START_TEST(everything_is_read)
{
    ck_assert_int_eq(read_line("sidestackd --name a.b --socket /x/y --netif tap:t0 --address 10.1.2.3/24 --gateway 10.1.2.1 "
                               "--mtu 9000 --ready-fd 3"),
                     0);
    ck_assert_str_eq(options.name, "a.b");
    ck_assert_str_eq(options.socket_path, "/x/y");
    ck_assert_str_eq(options.interface, "t0");
    ck_assert_uint_eq(options.address_count, 1);
    ck_assert_uint_eq(options.addresses[0].address.in.sin_addr.s_addr, inet_addr("10.1.2.3"));
    ck_assert_uint_eq(options.addresses[0].bits, 24);
    ck_assert_uint_eq(options.gateways[0].via.in.sin_addr.s_addr, inet_addr("10.1.2.1"));
    ck_assert_uint_eq(options.mtu, 9000);
    ck_assert_int_eq(options.ready_fd, 3);
}
END_TEST

START_TEST(several_addresses_gateways_and_routes)
{
    char *argv[] = {"sidestackd", "--socket",   "/s",          "--address",  "10.1.2.3/24", "--address",
                    "fd00::3/64", "--address",  "10.2.0.1/16", "--gateway",  "fd00::1",     "--gateway",
                    "10.1.2.1",   "--route",    "10.3.0.0/16 via 10.2.0.9",  "--route",     "fd01::/32 via fd00::9",
                    "--dns",      "fd00::53",   NULL};
    char bad_family[] = "10.3.0.0/16 via fd00::1";
    struct in6_addr dns;

    ck_assert_int_eq(options_read(sizeof argv / sizeof *argv - 1, argv, &options), 0);
    ck_assert_uint_eq(options.address_count, 3);
    ck_assert_int_eq(options.addresses[1].address.sa.sa_family, AF_INET6);
    ck_assert_uint_eq(options.addresses[1].bits, 64);
    ck_assert_uint_eq(options.addresses[2].bits, 16);
    ck_assert_int_eq(options.gateways[0].via.sa.sa_family, AF_INET);
    ck_assert_int_eq(options.gateways[1].via.sa.sa_family, AF_INET6);
    ck_assert_uint_eq(options.route_count, 2);
    ck_assert_uint_eq(options.routes[0].to.bits, 16);
    ck_assert_uint_eq(options.routes[0].via.in.sin_addr.s_addr, inet_addr("10.2.0.9"));
    ck_assert_int_eq(options.routes[1].to.address.sa.sa_family, AF_INET6);
    ck_assert_uint_eq(options.dns_count, 1);
    inet_pton(AF_INET6, "fd00::53", &dns);
    ck_assert_mem_eq(&options.dns[0].in6.sin6_addr, &dns, sizeof dns);
    options_free(&options);
    argv[14] = bad_family;
    ck_assert_int_eq(options_read(sizeof argv / sizeof *argv - 1, argv, &options), 3);
}
END_TEST

START_TEST(switches_stand_alone_or_with_a_value)
{
    ck_assert_int_eq(read_line("sidestackd --socket /s --dhcp --hostname a-b.c"), 0);
    ck_assert(options.dhcp);
    ck_assert(!options.slaac);
    ck_assert_str_eq(options.hostname, "a-b.c");
    ck_assert_int_eq(read_line("sidestackd --socket /s --dhcp=off --slaac=on"), 0);
    ck_assert(!options.dhcp);
    ck_assert(options.slaac);
    ck_assert_int_eq(read_line("sidestackd --socket /s"), 0);
    ck_assert(!options.dhcp);
    ck_assert_int_eq(read_line("sidestackd --socket /s --dhcp=maybe"), 3);
    ck_assert_int_eq(read_line("sidestackd --socket /s --hostname a_b"), 3);
}
END_TEST

START_TEST(mac_log_level_and_offload)
{
    static const uint8_t mac[6] = {2, 0, 0, 0xab, 0xcd, 0xef};

    ck_assert_int_eq(read_line("sidestackd --socket /s --mac 02:00:00:ab:cd:ef --log-level debug --offload off --pcap f"), 0);
    ck_assert_mem_eq(options.mac, mac, sizeof mac);
    ck_assert(options.mac_given);
    ck_assert_int_eq(options.log_level, LOG_LEVEL_DEBUG);
    ck_assert(!options.offload);
    ck_assert_str_eq(options.capture_path, "f");
}
END_TEST

static const char *const bad_lines[] = {
    "sidestackd --address 10.0.0.1",
    "sidestackd --address 10.0.0.1/0",
    "sidestackd --address 10.0.0.1/33",
    "sidestackd --address 10.0.0.256/24",
    "sidestackd --address 10.0.0.1/24 --address 10.0.0.1/8",
    "sidestackd --address 224.0.0.1/24",
    "sidestackd --address fd00::1",
    "sidestackd --address fd00::1/129",
    "sidestackd --address ff02::1/64",
    "sidestackd --gateway x",
    "sidestackd --gateway 10.0.0.1 --gateway 10.0.0.2",
    "sidestackd --route 10.0.0.0/8",
    "sidestackd --dns 0.0.0.0",
    "sidestackd --mtu 575",
    "sidestackd --tcp-ecn sometimes",
    "sidestackd --mtu 65522",
    "sidestackd --mtu 15oo",
    "sidestackd --netif eth0",
    "sidestackd --netif tap:",
    "sidestackd --netif tap:a-name-that-is-too-long",
    "sidestackd --netif tap:../x",
    "sidestackd --mac 01:00:00:00:00:01",
    "sidestackd --mac 02:00:00:00:00",
    "sidestackd --name a/b",
    "sidestackd --log-level loud",
    "sidestackd --ready-fd -1",
    "sidestackd --offload maybe",
    "sidestackd --config /nonexistent/file",
    "sidestackd --no-such-option",
    "sidestackd stray",
};

START_TEST(bad_settings_are_refused)
{
    ck_assert_int_eq(read_line(bad_lines[_i]), 3);
}
END_TEST

START_TEST(file_is_read_and_the_command_line_wins)
{
    char path[] = "/tmp/test_options_XXXXXX", line[256];

    write_file(path, "; a comment\nname = filed\naddress = 10.0.0.9/8\nmtu = 1400\ndns = 10.0.0.1\n");
    snprintf(line, sizeof line, "sidestackd --socket /s --mtu 1300 --address 10.0.0.10/16 --dns 10.0.0.2 --config %s", path);
    ck_assert_int_eq(read_line(line), 0);
    ck_assert_str_eq(options.name, "filed");
    ck_assert_uint_eq(options.mtu, 1300);
    ck_assert_uint_eq(options.address_count, 1);
    ck_assert_uint_eq(options.addresses[0].address.in.sin_addr.s_addr, inet_addr("10.0.0.10"));
    ck_assert_uint_eq(options.addresses[0].bits, 16);
    ck_assert_uint_eq(options.dns_count, 1);
    ck_assert_uint_eq(options.dns[0].in.sin_addr.s_addr, inet_addr("10.0.0.2"));
    unlink(path);
}
END_TEST

START_TEST(file_says_what_to_ask_the_network)
{
    char path[] = "/tmp/test_options_XXXXXX", line[256];

    write_file(path, "dhcp = on\nslaac = on\nhostname = bob\naddress = 10.0.0.9/8\naddress = fd00::9/64\n"
                     "route = 10.9.0.0/16 via 10.0.0.1\nroute = fd09::/16 via fd00::1\ngateway = fd00::2\n");
    snprintf(line, sizeof line, "sidestackd --socket /s --slaac=off --config %s", path);
    ck_assert_int_eq(read_line(line), 0);
    ck_assert(options.dhcp);
    ck_assert(!options.slaac);
    ck_assert_str_eq(options.hostname, "bob");
    ck_assert_uint_eq(options.address_count, 2);
    ck_assert_uint_eq(options.route_count, 2);
    ck_assert_int_eq(options.gateways[1].via.sa.sa_family, AF_INET6);
    unlink(path);
}
END_TEST

#define BAD_TEXTS 8
START_TEST(bad_file_is_refused)
{
    static const char *const texts[BAD_TEXTS] = {"nosuch = 1\n",
                                                 "mtu = 1\n",
                                                 "just words\n",
                                                 "[section]\nmtu = 1500\n",
                                                 "mtu = 1400\nmtu = 1300\n", /* once */
                                                 "mtu = 1400\n = 3\n",
                                                 "mtu =\n",
                                                 "address = 10.0.0.1/8\naddress = 10.0.0.1/9\n"};
    char path[] = "/tmp/test_options_XXXXXX", line[128];

    write_file(path, texts[_i]);
    snprintf(line, sizeof line, "sidestackd --socket /s --config %s", path);
    ck_assert_int_eq(read_line(line), 3);
    unlink(path);
}
END_TEST

START_TEST(lines_stand_for_themselves)
{
    char path[] = "/tmp/test_options_XXXXXX", line[256];

    write_file(path, "\xef\xbb\xbf# a mark, then lines that are set in\r\n  mtu=1400\r\n\tdns : 10.0.0.1 ; the first\r\n  dns = 10.0.0.2");
    snprintf(line, sizeof line, "sidestackd --socket /s --config %s", path);
    ck_assert_int_eq(read_line(line), 0);
    ck_assert_uint_eq(options.mtu, 1400);
    ck_assert_uint_eq(options.dns_count, 2);
    unlink(path);
}
END_TEST

START_TEST(a_long_line_is_refused_whole)
{
    char path[] = "/tmp/test_options_XXXXXX", line[256], text[512];

    snprintf(text, sizeof text, "search = %0300d\n", 0);
    write_file(path, text);
    snprintf(line, sizeof line, "sidestackd --socket /s --config %s", path);
    ck_assert_int_eq(read_line(line), 3);
    unlink(path);
}
END_TEST

START_TEST(on_the_command_line_the_last_one_holds)
{
    ck_assert_int_eq(read_line("sidestackd --socket /s --mtu 1400 --mtu 1300"), 0);
    ck_assert_uint_eq(options.mtu, 1300);
    ck_assert_uint_eq(options_values(&options, "mtu")->count, 1);
    ck_assert_str_eq(options_values(&options, "offload")->all[0].text, "on"); /* the initial one */
    ck_assert_uint_eq(options_values(&options, "gateway")->count, 0);
}
END_TEST

START_TEST(names_that_are_nearly_right)
{
    ck_assert_str_eq(setting_guess("adress"), "address");
    ck_assert_str_eq(setting_guess("Log-Level"), "log-level");
    ck_assert_str_eq(setting_guess("log_level"), "log-level");
    ck_assert_ptr_null(setting_guess("colour"));
    ck_assert_ptr_null(setting_guess("a name that is longer than any setting's name"));
}
END_TEST

START_TEST(a_second_reading_is_compared)
{
    char path[] = "/tmp/test_options_XXXXXX", line[256];
    struct options fresh;

    write_file(path, "mtu = 1400\ndns = 10.0.0.1\n");
    snprintf(line, sizeof line, "sidestackd --socket /s --mtu 1300 --config %s", path);
    ck_assert_int_eq(read_line(line), 0);
    ck_assert_int_eq(truncate(path, 0), 0);
    ck_assert_int_eq(options_read_again(&options, &fresh), 0);
    for (size_t i = 0; i < setting_count; i++)
        ck_assert_int_eq(options_agree(&options, &fresh, i), strcmp(settings[i].name, "dns") != 0);
    options_free(&fresh);
    unlink(path);
    ck_assert_int_lt(options_read_again(&options, &fresh), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("options");
    TCase *tcase = tcase_create("options");

    tcase_add_checked_fixture(tcase, NULL, teardown);
    tcase_add_test(tcase, everything_is_read);
    tcase_add_test(tcase, several_addresses_gateways_and_routes);
    tcase_add_test(tcase, switches_stand_alone_or_with_a_value);
    tcase_add_test(tcase, mac_log_level_and_offload);
    tcase_add_loop_test(tcase, bad_settings_are_refused, 0, (int)(sizeof bad_lines / sizeof *bad_lines));
    tcase_add_test(tcase, file_is_read_and_the_command_line_wins);
    tcase_add_test(tcase, file_says_what_to_ask_the_network);
    tcase_add_loop_test(tcase, bad_file_is_refused, 0, BAD_TEXTS);
    tcase_add_test(tcase, lines_stand_for_themselves);
    tcase_add_test(tcase, a_long_line_is_refused_whole);
    tcase_add_test(tcase, on_the_command_line_the_last_one_holds);
    tcase_add_test(tcase, names_that_are_nearly_right);
    tcase_add_test(tcase, a_second_reading_is_compared);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
