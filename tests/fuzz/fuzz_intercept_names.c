/* fuzz_intercept_names.c - answers of name servers as the library reads them, and nsswitch.conf. */
#include "fuzz.h"

#include "intercept/names/names.h"

#include <arpa/nameser.h>
#include <check.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const int types[] = {T_A, T_AAAA, T_PTR};
    struct names_sources sources;
    struct names_host host = {.name = NULL};
    char *text;

    if (size == 0)
        return 0;
    if (bytes[0] == 'n') {
        text = strndup((const char *)bytes + 1, size - 1);
        names_sources_parse(text, &sources);
        ck_assert_uint_le(sources.count, NAMES_SOURCES_MAX);
        free(text);
        return 0;
    }
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) { /* into the same host, as getaddrinfo() has it */
        struct names_answer answer = {.bytes = malloc(size - 1), .length = size - 1};

        memcpy(answer.bytes, bytes + 1, size - 1);
        if (names_read_answer(&answer, types[i], &host) == 0)
            ck_assert_ptr_nonnull(host.name);
        free(answer.bytes);
        if (bytes[0] == 's')
            names_host_free(&host);
    }
    names_host_free(&host);
    return 0;
}
