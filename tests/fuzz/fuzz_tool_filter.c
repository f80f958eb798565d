/* fuzz_tool_filter.c - filters of sidestack ss and its like: words, put to two sockets if they can be read. */
#include "fuzz.h"

#include "service/tool/filter.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 40

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const char *const sockets[] = {
        "{\"id\":7,\"netid\":\"tcp\",\"state\":\"established\",\"family\":4,\"uid\":1000,\"local\":{\"address\":\"10.0.0.1\",\"port\":22},"
        "\"peer\":{\"address\":\"10.0.0.2\",\"port\":5000},\"program\":{\"pid\":77,\"name\":\"sshd\"}}",
        "{\"id\":8,\"netid\":\"udp\",\"state\":\"closed\",\"family\":6,\"uid\":0,\"local\":{\"address\":\"fe80::1\",\"port\":53,\"scope\":2}}"};
    char *text = strndup((const char *)bytes, size), *words[WORDS_MAX], *rest = text, message[256];
    struct filter filter = {0};
    int count = 0;

    while (count < WORDS_MAX && (words[count] = strsep(&rest, "\n")) != NULL)
        count++;
    if (filter_parse(&filter, count, words, message, sizeof message) == 0) {
        for (size_t i = 0; i < sizeof sockets / sizeof *sockets; i++) {
            json_t *object = json_loads(sockets[i], 0, NULL);
            struct row row;

            ck_assert(row_read(&row, object));
            (void)filter_matches(&filter, &row);
            json_decref(object);
        }
        filter_free(&filter);
    } else {
        ck_assert_uint_gt(strlen(message), 0);
    }
    free(text);
    return 0;
}
