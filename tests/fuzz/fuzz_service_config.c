/* fuzz_service_config.c - configuration files, with rules and impairments, and resolv.conf; by the first byte. */
#include "fuzz.h"

#include "service/settings/options.h"
#include "service/resolver/resolver_config.h"
#include "service/rules/rules.h"
#include "stack/wire/impairment.h"

#include <arpa/inet.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void read_file(const char *text)
{
    static char path[32];
    char *argv[] = {(char *)"sidestackd", (char *)"--config", path, NULL};
    struct options options;
    static int fd = -1;

    if (fd < 0)
        fd = memfd_create("config", MFD_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ck_assert_int_eq(ftruncate(fd, 0), 0);
    ck_assert_int_eq(pwrite(fd, text, strlen(text), 0), (ssize_t)strlen(text));
    if (options_read(3, argv, &options) == 0)
        options_free(&options);
}

/* Each line is a rule; then some questions. */
static void read_rules(char *text)
{
    struct rules_set set = {NULL, 0}, none = {NULL, 0};
    union stack_address address = {.in = {.sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = htonl(0x0a000001)}};
    struct rules_question questions[] = {{RULES_TCP, RULES_CONNECT, &address}, {RULES_UDP, RULES_LISTEN, &address}, {RULES_RAW, 0, NULL}};
    struct rules_who *who;
    char *line, why[256];
    unsigned number = 0;

    while ((line = strsep(&text, "\n")) != NULL)
        if (rules_set_add(&set, line, "rules", ++number, why, sizeof why) < 0)
            ck_assert_uint_gt(strlen(why), 0);
    rules_install(&set);
    who = rules_who_of_program("/usr/bin/curl", 1000);
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
        struct rules_verdict verdict = rules_judge(who, &questions[i]);

        rules_note_hit(&verdict);
    }
    rules_who_release(who);
    rules_install(&none);
}

/* What is read can be written, and read again as the same. */
static void read_impairments(const char *text)
{
    struct impairments once = {.seed = 1}, again = {.seed = 1};
    char written[IMPAIRMENT_TEXT_MAX], twice[IMPAIRMENT_TEXT_MAX];
    const char *wrong;

    if (impairment_parse(text, &once, &wrong) < 0) {
        ck_assert(wrong >= text && wrong <= text + strlen(text));
        return;
    }
    impairment_format(&once, written, sizeof written);
    ck_assert_int_eq(impairment_parse(written, &again, &wrong), 0);
    impairment_format(&again, twice, sizeof twice);
    ck_assert_str_eq(written, twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct resolver_config config;
    char *text;

    if (size == 0)
        return 0;
    text = strndup((const char *)bytes + 1, size - 1);
    switch (bytes[0]) {
    case 'r':
        read_rules(text);
        break;
    case 'i':
        read_impairments(text);
        break;
    case 'n':
        resolver_config_parse(text, &config);
        ck_assert_uint_le(config.server_count, RESOLVER_SERVERS_MAX);
        break;
    default:
        read_file(text);
    }
    free(text);
    return 0;
}
