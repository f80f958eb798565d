/* test_service_log.c - messages: their text, how many of them, and in which form. */
#include "service/log/log_output.h"
#include "tests/suite.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char path[] = "/tmp/test_log_XXXXXX";
static char said[1 << 16];

/* Standard error becomes a file. Each test is a process of its own. */
static void setup(void)
{
    int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(dup2(fd, STDERR_FILENO), STDERR_FILENO);
    close(fd);
}

static void teardown(void)
{
    unlink(path);
}

static const char *read_said(void)
{
    ssize_t got = pread(STDERR_FILENO, said, sizeof said - 1, 0);

    ck_assert_int_ge(got, 0);
    said[got] = '\0';
    return said;
}

static unsigned count_lines(void)
{
    unsigned lines = 0;

    for (const char *c = read_said(); *c != '\0'; c++)
        lines += *c == '\n';
    return lines;
}

static uint64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

START_TEST(text_is_one_line_of_utf8)
{
    static const struct {
        const char *text, *clean;
    } cases[] = {
        {"plain", "plain"},
        {"two\nlines\r\t\x1b[0m\x7f", "two?lines??" "?[0m?"},
        {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"\xff \xc3 \xe2\x82", "? ? ??"},           /* no UTF-8; cut off */
        {"\xc0\xaf \xed\xa0\x80 \xc2\x9b", "?? ??? ??"}, /* too long a form; half of a pair; a control character */
    };
    char text[64];

    strcpy(text, cases[_i].text);
    log_clean_text(text);
    ck_assert_str_eq(text, cases[_i].clean);
}
END_TEST

START_TEST(levels_and_errno)
{
    errno = ENOENT;
    log_warn("part: what failed");
    ck_assert_int_eq(errno, ENOENT);
    log_debug("nobody asked");
    ck_assert_str_eq(read_said(), "sidestackd: warn: part: what failed: No such file or directory\n");
}
END_TEST

START_TEST(a_long_message_is_cut)
{
    log_info("%02000d", 1);
    ck_assert_uint_eq(strlen(read_said()), strlen("sidestackd: info: ") + LOG_TEXT_MAX - 1 + 1);
}
END_TEST

START_TEST(json)
{
    ck_assert_int_eq(log_output_set(LOG_TARGET_STDERR, LOG_FORMAT_JSON, "blue"), 0);
    errno = EPERM;
    log_error("file \"a\\b\"\n");
    ck_assert_ptr_nonnull(strstr(read_said(), "\"level\":\"error\",\"service\":\"blue\","));
    ck_assert_ptr_nonnull(strstr(said, "\"error\":\"EPERM\",\"message\":\"file \\\"a\\\\b\\\"?: Operation not permitted\"}\n"));
}
END_TEST

START_TEST(what_is_left_out_is_counted)
{
    uint64_t now = now_us();

    ck_assert_int_eq(log_timer_us(now), -1);
    for (int i = 0; i < LOG_BURST + 7; i++)
        log_warnx("number %d", i);
    log_warnx("another site");
    ck_assert_uint_eq(count_lines(), LOG_BURST + 1);
    ck_assert_int_gt(log_timer_us(now), 0);
    ck_assert_int_le(log_timer_us(now), LOG_WINDOW_MS * 1000 + 1000);
    log_run_timers(now);
    ck_assert_uint_eq(count_lines(), LOG_BURST + 1);
    now += (LOG_WINDOW_MS + 2000) * UINT64_C(1000);
    ck_assert_int_eq(log_timer_us(now), 0);
    log_run_timers(now);
    ck_assert_uint_eq(count_lines(), LOG_BURST + 2);
    ck_assert_ptr_nonnull(strstr(said, "sidestackd: warn: 7 more suppressed in 5 s, the first: number 10\n"));
    ck_assert_int_eq(log_timer_us(now), -1);
}
END_TEST

START_TEST(nobody_takes_messages)
{
    enum log_target target;

    ck_assert(log_target_parse("journal", &target));
    ck_assert(!log_target_parse("nowhere", &target));
    if (access("/run/systemd/journal/socket", F_OK) < 0) /* a machine may have one */
        ck_assert_int_eq(log_output_set(target, LOG_FORMAT_PLAIN, "blue"), -ENOENT);
    log_info("here");
    ck_assert_uint_eq(strncmp(read_said(), "sidestackd", 10), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log");
    TCase *tcase = tcase_create("log");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, text_is_one_line_of_utf8, 0, 5);
    tcase_add_test(tcase, levels_and_errno);
    tcase_add_test(tcase, a_long_message_is_cut);
    tcase_add_test(tcase, json);
    tcase_add_test(tcase, what_is_left_out_is_counted);
    tcase_add_test(tcase, nobody_takes_messages);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
