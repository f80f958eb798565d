/* impairment.c - the settings of an impaired wire as text. */
#include "impairment.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE_DEFAULT 1000 /* frames; as tc-netem(8) */
#define PPM 1000000.0

enum kind { KIND_TIME, KIND_CHANCE, KIND_RATE, KIND_COUNT, KIND_FLAG };

struct unit {
    const char *name;
    double factor;
};

/* The first of each kind is the one that is written. */
static const struct unit time_units[] = {{"ms", 1e3}, {"us", 1}, {"s", 1e6}, {NULL, 0}};
static const struct unit chance_units[] = {{"%", PPM / 100}, {NULL, 0}};
static const struct unit rate_units[] = {{"mbit", 1e6}, {"kbit", 1e3}, {"gbit", 1e9}, {"bit", 1}, {NULL, 0}};
static const struct unit count_units[] = {{"", 1}, {NULL, 0}};

static const struct unit *const units[] = {[KIND_TIME] = time_units, [KIND_CHANCE] = chance_units,
                                           [KIND_RATE] = rate_units, [KIND_COUNT] = count_units,
                                           [KIND_FLAG] = count_units};
static const double maxima[] = {[KIND_TIME] = 60e6, [KIND_CHANCE] = PPM, [KIND_RATE] = 1e12, [KIND_COUNT] = 1e6,
                                [KIND_FLAG] = 1};

static const struct key {
    const char *name;
    enum kind kind;
    size_t offset;
} keys[] = {
    {"delay", KIND_TIME, offsetof(struct impairment, delay_us)},
    {"jitter", KIND_TIME, offsetof(struct impairment, jitter_us)},
    {"loss", KIND_CHANCE, offsetof(struct impairment, loss)},
    {"duplicate", KIND_CHANCE, offsetof(struct impairment, duplicate)},
    {"reorder", KIND_CHANCE, offsetof(struct impairment, reorder)},
    {"corrupt", KIND_CHANCE, offsetof(struct impairment, corrupt)},
    {"rate", KIND_RATE, offsetof(struct impairment, rate_bit_s)},
    {"queue", KIND_COUNT, offsetof(struct impairment, queue)},
    {"ecn", KIND_FLAG, offsetof(struct impairment, ecn)},
};
#define KEY_COUNT (sizeof keys / sizeof *keys)

static void set_value(struct impairment *impairment, const struct key *key, double value)
{
    void *at = (char *)impairment + key->offset;

    if (key->kind == KIND_FLAG)
        *(bool *)at = value != 0;
    else if (key->kind == KIND_RATE)
        *(uint64_t *)at = (uint64_t)(value + 0.5);
    else
        *(uint32_t *)at = (uint32_t)(value + 0.5);
}

static double get_value(const struct impairment *impairment, const struct key *key)
{
    const void *at = (const char *)impairment + key->offset;

    if (key->kind == KIND_FLAG)
        return *(const bool *)at;
    return key->kind == KIND_RATE ? (double)*(const uint64_t *)at : (double)*(const uint32_t *)at;
}

static void clear(struct impairments *impairments)
{
    for (int i = 0; i < IMPAIRMENT_DIRECTIONS; i++)
        impairments->direction[i] = (struct impairment){.queue = QUEUE_DEFAULT};
}

/* Read a number with a unit, all of text. */
static bool parse_value(const char *text, enum kind kind, double *value)
{
    const struct unit *unit = units[kind];
    char *end;

    *value = strtod(text, &end);
    if (end == text || !(*value >= 0))
        return false;
    while (unit->name != NULL && strcmp(unit->name, end) != 0)
        unit++;
    if (unit->name == NULL && !(*end == '\0' && *value == 0))
        return false;
    *value *= unit->name != NULL ? unit->factor : 0;
    return *value <= maxima[kind];
}

/* One item of the list. */
static bool parse_item(char *item, struct impairments *impairments)
{
    int first = IMPAIRMENT_IN, last = IMPAIRMENT_OUT;
    const char *text;
    char *equals;
    double value;

    if (strcmp(item, "none") == 0) {
        clear(impairments);
        return true;
    }
    if (strncmp(item, "in:", 3) == 0) {
        last = IMPAIRMENT_IN;
        item += 3;
    } else if (strncmp(item, "out:", 4) == 0) {
        first = IMPAIRMENT_OUT;
        item += 4;
    }
    equals = strchr(item, '=');
    if (equals != NULL)
        *equals++ = '\0';
    else if (strcmp(item, "ecn") != 0)
        return false;
    text = equals != NULL ? equals : "1";
    if (strcmp(item, "seed") == 0) {
        char *end;

        impairments->seed = strtoull(text, &end, 10);
        return end != text && *end == '\0' && *text != '-';
    }
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (strcmp(item, keys[i].name) != 0)
            continue;
        if (!parse_value(text, keys[i].kind, &value))
            return false;
        for (int at = first; at <= last; at++)
            set_value(&impairments->direction[at], &keys[i], value);
        return true;
    }
    return false;
}

int impairment_parse(const char *text, struct impairments *impairments, const char **wrong)
{
    struct impairments result = *impairments;
    const char *at = text;

    for (int i = 0; i < IMPAIRMENT_DIRECTIONS; i++)
        if (result.direction[i].queue == 0)
            result.direction[i].queue = QUEUE_DEFAULT;
    for (;;) {
        size_t length = strcspn(at, ",");
        char item[64];

        *wrong = at;
        if (length >= sizeof item)
            return -EINVAL;
        memcpy(item, at, length);
        item[length] = '\0';
        if (!parse_item(item, &result))
            return -EINVAL;
        if (at[length] == '\0')
            break;
        at += length + 1;
    }
    for (int i = 0; i < IMPAIRMENT_DIRECTIONS; i++)
        if (result.direction[i].jitter_us > result.direction[i].delay_us)
            return -EINVAL;
    *impairments = result;
    return 0;
}

void impairment_format(const struct impairments *impairments, char *text, size_t size)
{
    const struct impairment *in = &impairments->direction[IMPAIRMENT_IN];
    const struct impairment *out = &impairments->direction[IMPAIRMENT_OUT];
    size_t used = 0;

    *text = '\0';
    if (impairment_is_none(in) && impairment_is_none(out)) {
        snprintf(text, size, "none");
        return;
    }
    for (size_t i = 0; i < KEY_COUNT; i++) {
        const struct key *key = &keys[i];
        const struct unit *unit = units[key->kind];
        double values[] = {get_value(in, key), get_value(out, key)};
        double usual = key->kind == KIND_COUNT ? QUEUE_DEFAULT : 0;
        bool same = values[0] == values[1];

        for (int at = same ? 1 : 0; at < IMPAIRMENT_DIRECTIONS && used < size; at++)
            if (values[at] != usual)
                used += (size_t)snprintf(text + used, size - used, "%s%s%s=%g%s", used > 0 ? "," : "",
                                         same      ? ""
                                         : at == 0 ? "in:"
                                                   : "out:",
                                         key->name, values[at] / unit->factor, unit->name);
    }
    if (used < size)
        snprintf(text + used, size - used, ",seed=%llu", (unsigned long long)impairments->seed);
}

bool impairment_is_none(const struct impairment *impairment)
{
    return impairment->delay_us == 0 && impairment->loss == 0 && impairment->duplicate == 0 &&
           impairment->corrupt == 0 && impairment->rate_bit_s == 0;
}
