/*
 * json.h - writes JSON into memory, piece by piece.
 *
 *     json_open(&json, NULL, '{');
 *     json_put_number(&json, "port", 80);
 *     json_close(&json, '}');
 *
 * A key is NULL in an array and at the top. What does not fit is left out and sets .overflowed.
 */
#ifndef SIDESTACK_JSON_H
#define SIDESTACK_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json {
    char *text; /* the caller's; not ended by '\0' */
    size_t size, length;
    bool needs_comma;
    bool overflowed;
};

/* Begin an object or array: bracket is { or [. */
void json_open(struct json *json, const char *key, char bracket);
void json_close(struct json *json, char bracket);

/* Strings of any bytes: what is no printable ASCII is written as \u00XX. */
void json_put_string(struct json *json, const char *key, const char *value);
void json_put_number(struct json *json, const char *key, uint64_t value);
void json_put_signed(struct json *json, const char *key, int64_t value);
void json_put_bool(struct json *json, const char *key, bool value);

/* An object at the top is complete. */
void json_end_line(struct json *json);

#endif
