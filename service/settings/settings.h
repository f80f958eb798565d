/* settings.h - the table of settings: each is an option of the command line and a key of the configuration file. */
#ifndef SIDESTACK_SETTINGS_H
#define SIDESTACK_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

struct options;

/* setting.flags */
#define SETTING_REPEATS 1u /* may be given several times; else once in the file, and on the command line the last one holds */
#define SETTING_RELOADS 2u /* SIGHUP changes it while the service runs; else it takes a restart */
#define SETTING_SWITCH 4u  /* stands alone on the command line, or with "=on" or "=off" */

struct setting {
    const char *name;
    /* Parse a value into options, after those that were there before. Return: false when it is not what .expected
     * says. */
    bool (*set)(struct options *options, const char *value);
    const char *argument; /* for --help */
    const char *expected; /* for messages: "expected ..." */
    const char *help;
    unsigned flags;
    const char *initial; /* the value when none is given; NULL: none */
};

extern const struct setting settings[];
extern const size_t setting_count;

/* setting_find.c */

/* Return: NULL when there is none of this name. */
const struct setting *setting_find(const char *name);

/* The name that somebody who wrote this may have meant; NULL: none comes near. */
const char *setting_guess(const char *name);

/* For setters: where the value stands that they parse; file NULL: on the command line. */
struct setting_place {
    const char *file;
    int line;
};
extern struct setting_place setting_place;

/* What a setter that failed can say better than .expected; empty: nothing. */
extern char setting_why[256];

#endif
