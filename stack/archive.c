/*
 * archive.c - named fields in objects, in memory.
 *
 * A field is a head, its name and its value:
 *     kind (1 byte), length of the name (1), length of the value (4), the name, the value
 * The value of an object is its fields. Reading begins the search behind the last field that was read, where the next
 * one is when both ends are of one version, and goes on from the object's start; a list is read by beginning no search
 * anew.
 */
#include "archive.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEAD_BYTES 6u
#define CAPACITY_MIN 65536u
#define LENGTH_MAX (UINT32_MAX / 2)

enum kind { KIND_OBJECT = 'o', KIND_NUMBER = 'n', KIND_BYTES = 'b', KIND_FD = 'f' };

/* A field that was found. */
struct field {
    size_t begin, value, end; /* places in the archive */
};

void archive_fail(struct archive *archive, int error)
{
    if (archive->error == 0)
        archive->error = error;
}

void archive_write_begin(struct archive *archive)
{
    *archive = (struct archive){.is_writing = true};
}

void archive_read_begin(struct archive *archive, const void *bytes, size_t length, int *fds, size_t fd_count)
{
    *archive = (struct archive){.bytes = (uint8_t *)(uintptr_t)bytes, .length = length, .fds = fds, .fd_count = fd_count};
    archive->scopes[0].end = length;
}

void archive_release(struct archive *archive)
{
    for (size_t i = 0; !archive->is_writing && i < archive->fd_count; i++)
        if (archive->fds[i] >= 0)
            close(archive->fds[i]);
    free(archive->fds);
    if (archive->is_writing)
        free(archive->bytes);
    *archive = (struct archive){.error = -EINVAL};
}

/* ---- writing ---- */

/* Append bytes. */
static void put(struct archive *archive, const void *bytes, size_t length)
{
    if (archive->error < 0 || length == 0)
        return;
    if (archive->length + length > archive->capacity) {
        size_t capacity = archive->capacity > 0 ? archive->capacity : CAPACITY_MIN;
        uint8_t *larger;

        while (capacity < archive->length + length)
            capacity *= 2;
        larger = capacity <= LENGTH_MAX ? realloc(archive->bytes, capacity) : NULL;
        if (larger == NULL) {
            archive_fail(archive, -ENOMEM);
            return;
        }
        archive->bytes = larger;
        archive->capacity = capacity;
    }
    memcpy(archive->bytes + archive->length, bytes, length);
    archive->length += length;
}

static void put_head(struct archive *archive, enum kind kind, const char *name, size_t length)
{
    uint8_t head[HEAD_BYTES] = {(uint8_t)kind, (uint8_t)strlen(name)};
    uint32_t value = (uint32_t)length;

    if (length > LENGTH_MAX)
        archive_fail(archive, -ENOMEM);
    memcpy(head + 2, &value, sizeof value);
    put(archive, head, sizeof head);
    put(archive, name, strlen(name));
}

/* ---- reading ---- */

/* Read the head at a place. Return: false when there is no whole field before end. */
static bool read_head(struct archive *archive, size_t at, size_t end, struct field *field)
{
    uint32_t length;

    if (end - at < HEAD_BYTES)
        return false;
    memcpy(&length, archive->bytes + at + 2, sizeof length);
    field->begin = at;
    field->value = at + HEAD_BYTES + archive->bytes[at + 1];
    if (field->value > end || length > end - field->value)
        return false;
    field->end = field->value + length;
    return true;
}

/* Search from one place to another. */
static bool search(struct archive *archive, size_t from, size_t to, enum kind kind, const char *name, struct field *field)
{
    size_t name_length = strlen(name);

    while (from < to) {
        if (!read_head(archive, from, to, field)) {
            archive_fail(archive, -EPROTO);
            return false;
        }
        if (archive->bytes[from] == kind && archive->bytes[from + 1] == name_length &&
            memcmp(archive->bytes + from + HEAD_BYTES, name, name_length) == 0)
            return true;
        from = field->end;
    }
    return false;
}

/* Find a field of the present object. */
static bool find(struct archive *archive, enum kind kind, const char *name, struct field *field)
{
    struct archive_scope *scope = &archive->scopes[archive->depth];

    if (archive->error < 0)
        return false;
    if (!search(archive, scope->cursor, scope->end, kind, name, field) &&
        !search(archive, scope->begin, scope->end, kind, name, field)) {
        archive->missing++;
        return false;
    }
    scope->cursor = field->end;
    return true;
}

/* ---- both ---- */

bool archive_begin(struct archive *archive, const char *name)
{
    struct archive_scope *scope = &archive->scopes[archive->depth];
    struct field field;

    if (archive->error < 0)
        return false;
    if (archive->depth + 1 == ARCHIVE_DEPTH_MAX) {
        archive_fail(archive, -EPROTO);
        return false;
    }
    if (archive->is_writing) {
        scope[1].cursor = archive->length;
        put_head(archive, KIND_OBJECT, name, 0);
        scope[1].begin = archive->length;
    } else {
        if (!search(archive, scope->cursor, scope->end, KIND_OBJECT, name, &field))
            return false;
        scope->cursor = field.end;
        scope[1] = (struct archive_scope){field.value, field.end, field.value};
    }
    archive->depth++;
    return true;
}

void archive_end(struct archive *archive)
{
    struct archive_scope *scope = &archive->scopes[archive->depth];
    uint32_t length;

    if (archive->depth == 0)
        return;
    archive->depth--;
    if (!archive->is_writing || archive->error < 0)
        return;
    length = (uint32_t)(archive->length - scope->begin);
    memcpy(archive->bytes + scope->cursor + 2, &length, sizeof length);
}

/* A value of a fixed size. */
static void pass(struct archive *archive, enum kind kind, const char *name, void *value, size_t size)
{
    struct field field;

    if (archive->is_writing) {
        put_head(archive, kind, name, size);
        put(archive, value, size);
    } else if (find(archive, kind, name, &field)) {
        size_t length = field.end - field.value;

        memset(value, 0, size);
        memcpy(value, archive->bytes + field.value, length < size ? length : size);
    }
}

void archive_number(struct archive *archive, const char *name, void *value, size_t size)
{
    pass(archive, KIND_NUMBER, name, value, size);
}

void archive_raw(struct archive *archive, const char *name, void *value, size_t size)
{
    pass(archive, KIND_BYTES, name, value, size);
}

void archive_bytes_begin(struct archive *archive, const char *name, size_t length)
{
    put_head(archive, KIND_BYTES, name, length);
}

void archive_bytes_append(struct archive *archive, const void *bytes, size_t length)
{
    put(archive, bytes, length);
}

const void *archive_bytes(struct archive *archive, const char *name, const void *bytes, size_t *length)
{
    struct field field;

    if (archive->is_writing) {
        archive_bytes_begin(archive, name, *length);
        put(archive, bytes, *length);
        return bytes;
    }
    *length = 0;
    if (!find(archive, KIND_BYTES, name, &field))
        return NULL;
    *length = field.end - field.value;
    return archive->bytes + field.value;
}

void archive_fd(struct archive *archive, const char *name, int *fd)
{
    uint32_t index = UINT32_MAX;

    if (archive->is_writing) {
        if (*fd >= 0 && archive->fd_count == archive->fd_capacity) {
            size_t capacity = archive->fd_capacity > 0 ? archive->fd_capacity * 2 : 64;
            int *larger = realloc(archive->fds, capacity * sizeof *larger);

            if (larger == NULL) {
                archive_fail(archive, -ENOMEM);
                return;
            }
            archive->fds = larger;
            archive->fd_capacity = capacity;
        }
        if (*fd >= 0) {
            index = (uint32_t)archive->fd_count;
            archive->fds[archive->fd_count++] = *fd;
        }
        pass(archive, KIND_FD, name, &index, sizeof index);
        return;
    }
    *fd = -1;
    pass(archive, KIND_FD, name, &index, sizeof index);
    if (index == UINT32_MAX)
        return;
    if (index >= archive->fd_count || archive->fds[index] < 0) {
        archive_fail(archive, -EPROTO);
        return;
    }
    *fd = archive->fds[index];
    archive->fds[index] = -1;
}
