/*
 * archive.h - the state of a service in memory, to be handed to another process: named fields, in objects.
 *
 * One function describes a structure for both directions, so that what is written is what is read:
 *
 *     static void walk_point(struct archive *archive, struct point *point)
 *     {
 *         ARCHIVE_NUMBER(archive, point, x);
 *         ARCHIVE_NUMBER(archive, point, y);
 *     }
 *
 * Every field has its name and its length with it. Reading looks for a field by name: one that is not there (an older
 * writer) leaves the value as it was, one that nobody asks for (a newer writer) is passed over. So two versions
 * understand each other as far as their names agree; a field whose meaning or sign changes gets another name. Numbers
 * are in the machine's order: both ends are on one machine.
 */
#ifndef SIDESTACK_ARCHIVE_H
#define SIDESTACK_ARCHIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARCHIVE_DEPTH_MAX 8

struct archive {
    bool is_writing;
    int error;       /* 0, or the first -errno: -ENOMEM, -EPROTO (it makes no sense). All calls do nothing from then on */
    uint8_t *bytes;  /* owned when writing; borrowed when reading */
    size_t length;   /* when reading: of all; when writing: so far */
    size_t capacity; /* when writing */
    struct archive_scope {
        size_t begin, end; /* what is in the object */
        size_t cursor;     /* reading: behind what was read last; writing: the object's head, where its length is filled in */
    } scopes[ARCHIVE_DEPTH_MAX];
    unsigned depth;
    int *fds;         /* owned; writing: the descriptors are their holders'; reading: those that are not -1 are owned, archive_fd() takes them out */
    size_t fd_count, fd_capacity;
    unsigned missing; /* reading: fields that were not there */
};

void archive_write_begin(struct archive *archive);
void archive_read_begin(struct archive *archive, const void *bytes, size_t length, int *fds, size_t fd_count);
/* Free what is owned; descriptors that nobody took out when reading are closed. */
void archive_release(struct archive *archive);

/*
 * An object. Writing: begin it; true. Reading: enter the next object of that name; false: there is none (any more).
 * After true archive_end() follows. Objects of one name one after another are a list.
 */
bool archive_begin(struct archive *archive, const char *name);
void archive_end(struct archive *archive);

/* An integer, a bool, an enum, a double. Reading: of another width: its lower bytes. */
void archive_number(struct archive *archive, const char *name, void *value, size_t size);
#define ARCHIVE_NUMBER(archive, object, field) archive_number(archive, #field, &(object)->field, sizeof(object)->field)

/* A structure or array as it lies in memory, without pointers. Reading: of another size: as much as fits. */
void archive_raw(struct archive *archive, const char *name, void *value, size_t size);
#define ARCHIVE_RAW(archive, object, field) archive_raw(archive, #field, &(object)->field, sizeof(object)->field)

/* Bytes of any number. Writing: bytes, length. Return (reading): where they lie in the archive, and *length; NULL: they
 * are not there. */
const void *archive_bytes(struct archive *archive, const char *name, const void *bytes, size_t *length);
/* The same in pieces; the sum of their lengths is `length`. Writing only. */
void archive_bytes_begin(struct archive *archive, const char *name, size_t length);
void archive_bytes_append(struct archive *archive, const void *bytes, size_t length);

/* A descriptor, or -1. Writing: it stays its holder's. Reading: the caller's from then on. */
void archive_fd(struct archive *archive, const char *name, int *fd);

/* Note an error; the first counts. */
void archive_fail(struct archive *archive, int error);

#endif
