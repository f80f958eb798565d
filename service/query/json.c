/* json.c - writes JSON into memory, piece by piece. */
#include "json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void add(struct json *json, const char *bytes, size_t length)
{
    if (json->overflowed || length > json->size - json->length) {
        json->overflowed = true;
        return;
    }
    // cppcheck-suppress uninitvar ; add_byte() gives its parameter
    memcpy(json->text + json->length, bytes, length);
    json->length += length;
}

static void add_byte(struct json *json, char byte)
{
    add(json, &byte, 1);
}

static void add_string(struct json *json, const char *value)
{
    add_byte(json, '"');
    for (; *value != '\0'; value++) {
        unsigned char byte = (unsigned char)*value;
        char escape[8];

        if (byte == '"' || byte == '\\') {
            add_byte(json, '\\');
            add_byte(json, *value);
        } else if (byte < 0x20 || byte > 0x7e) {
            add(json, escape, (size_t)snprintf(escape, sizeof escape, "\\u%04x", byte));
        } else {
            add_byte(json, *value);
        }
    }
    add_byte(json, '"');
}

/* What goes before a value. */
static void begin_value(struct json *json, const char *key)
{
    if (json->needs_comma)
        add_byte(json, ',');
    json->needs_comma = true;
    if (key == NULL)
        return;
    add_string(json, key);
    add_byte(json, ':');
}

void json_open(struct json *json, const char *key, char bracket)
{
    begin_value(json, key);
    add_byte(json, bracket);
    json->needs_comma = false;
}

void json_close(struct json *json, char bracket)
{
    add_byte(json, bracket);
    json->needs_comma = true;
}

void json_put_string(struct json *json, const char *key, const char *value)
{
    begin_value(json, key);
    add_string(json, value);
}

void json_put_number(struct json *json, const char *key, uint64_t value)
{
    char digits[24];

    begin_value(json, key);
    add(json, digits, (size_t)snprintf(digits, sizeof digits, "%" PRIu64, value));
}

void json_put_signed(struct json *json, const char *key, int64_t value)
{
    char digits[24];

    begin_value(json, key);
    add(json, digits, (size_t)snprintf(digits, sizeof digits, "%" PRId64, value));
}

void json_put_bool(struct json *json, const char *key, bool value)
{
    begin_value(json, key);
    add(json, value ? "true" : "false", value ? 4 : 5);
}

void json_end_line(struct json *json)
{
    add_byte(json, '\n');
    json->needs_comma = false;
}
