/*
 * options.c - what the daemon was told, by its command line and its configuration file.
 *
 * The values of both are collected first, as texts. Of each setting those of the command line hold if there are any,
 * else those of the file, else the initial one; these texts are then parsed in the order of settings[], and kept, so
 * that --check can print them and a reload can compare them.
 */
#include "options.h"

#include "config_file.h"
#include "service/control_path.h"
#include "settings.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef SIDESTACK_VERSION
#define SIDESTACK_VERSION "0.1"
#endif

/* A value as it was given. */
struct given {
    const struct setting *setting;
    char *text; /* owned */
    int line;   /* of the file; 0: from the command line */
};

struct reading {
    struct given *given; /* owned */
    size_t count;
    const char *config_path; /* of argv */
    bool check, help, version, takeover;
    bool is_good;
};

/* Return: false, after telling so. */
static bool lack_memory(void)
{
    log_each(LOG_LEVEL_ERROR, "settings: out of memory");
    return false;
}

/* Keep a value. Return: false when out of memory, after telling so. */
static bool add_given(struct reading *reading, const struct setting *setting, const char *text, int line)
{
    struct given *more = reallocarray(reading->given, reading->count + 1, sizeof *more);
    char *copy = strdup(text);

    if (more != NULL)
        reading->given = more;
    if (more == NULL || copy == NULL) {
        free(copy);
        return lack_memory();
    }
    reading->given[reading->count++] = (struct given){setting, copy, line};
    // cppcheck-suppress memleak ; free_reading() frees it
    return true;
}

static void free_reading(struct reading *reading)
{
    for (size_t i = 0; i < reading->count; i++)
        free(reading->given[i].text);
    free(reading->given);
}

static const struct given *find_given(const struct reading *reading, const struct setting *setting, bool in_file)
{
    for (size_t i = 0; i < reading->count; i++)
        if (reading->given[i].setting == setting && (reading->given[i].line != 0) == in_file)
            return &reading->given[i];
    return NULL;
}

/* What a line of the file can't hold as it is: inih drops blanks at the ends, and what follows a blank and a
 * semicolon. */
static bool can_be_written(const char *text)
{
    size_t length = strlen(text);

    return strpbrk(text, "\r\n") == NULL && strstr(text, " ;") == NULL && strstr(text, "\t;") == NULL &&
           (length == 0 || (strchr(" \t;", text[0]) == NULL && strchr(" \t", text[length - 1]) == NULL));
}

/* Parse one value into options. line: of the file; 0: it comes from the command line. Return: false when it is wrong,
 * after telling where. */
static bool set_value(struct options *options, const struct setting *setting, const char *text, int line)
{
    const char *expected = setting->expected, *intro = "expected ", *found = "found";

    setting_place = (struct setting_place){line > 0 ? options->config_path : NULL, line};
    setting_why[0] = '\0';
    errno = 0;
    if (can_be_written(text) && setting->set(options, text))
        return true;
    if (errno == ENOMEM)
        return lack_memory();
    if (setting_why[0] != '\0') {
        intro = "";
        expected = setting_why;
        found = "in";
    }
    if (line > 0)
        log_each(LOG_LEVEL_ERROR, "%s:%d: %s: %s%s, %s '%s'", options->config_path, line, setting->name, intro, expected, found, text);
    else
        log_each(LOG_LEVEL_ERROR, "--%s: %s%s, %s '%s'", setting->name, intro, expected, found, text);
    return false;
}

/* A pair of the file. Return: false when there is no such setting, after telling so. */
static bool take_line(void *context, int line, const char *name, const char *value)
{
    struct reading *reading = context;
    const struct setting *setting = setting_find(name);
    const struct given *before = setting != NULL ? find_given(reading, setting, true) : NULL;

    if (setting == NULL) {
        const char *guess = setting_guess(name);

        log_each(LOG_LEVEL_ERROR, "%s:%d: no setting is called '%s'%s%s%s", reading->config_path, line, name,
                 guess != NULL ? "; is it '" : "; sidestackd --help lists them", guess != NULL ? guess : "",
                 guess != NULL ? "'?" : "");
        return false;
    }
    if (before != NULL && (setting->flags & SETTING_REPEATS) == 0) {
        log_each(LOG_LEVEL_ERROR, "%s:%d: %s: expected once, found in line %d before", reading->config_path, line, name, before->line);
        return false;
    }
    return add_given(reading, setting, value, line);
}

static void set_initial(struct options *options, const char *config_path)
{
    *options = (struct options){.socket_access = {(uid_t)-1, (gid_t)-1, CONTROL_MODE_DEFAULT}, .ready_fd = -1, .config_path = config_path};
}

/* Are all values of the file right, those too that the command line replaces? */
static bool check_file(const struct reading *reading)
{
    struct options scratch;
    bool is_good = true;

    set_initial(&scratch, reading->config_path);
    for (size_t i = 0; i < reading->count; i++) {
        const struct given *given = &reading->given[i];

        if (given->line > 0 && !set_value(&scratch, given->setting, given->text, given->line))
            is_good = false;
    }
    options_free(&scratch);
    return is_good;
}

/* Parse a value that holds, and keep its text. */
static bool use_value(struct options *options, const struct setting *setting, const char *text, int line)
{
    struct option_values *values = &options->values[setting - settings];
    struct option_value *more = reallocarray(values->all, values->count + 1, sizeof *more);
    char *copy = strdup(text);

    if (more != NULL)
        values->all = more;
    if (more == NULL || copy == NULL) {
        free(copy);
        return lack_memory();
    }
    values->all[values->count++] = (struct option_value){copy, line};
    // cppcheck-suppress memleak ; kept with the other values
    return set_value(options, setting, text, line);
}

/* The values that hold, of all settings. Return: are they right? */
static bool use_values(const struct reading *reading, struct options *options)
{
    bool is_good = true;

    options->values = calloc(setting_count, sizeof *options->values);
    if (options->values == NULL)
        return lack_memory();
    for (size_t i = 0; i < setting_count; i++) {
        const struct setting *setting = &settings[i];
        bool in_file = find_given(reading, setting, false) == NULL;
        struct given last = {setting, (char *)setting->initial, 0};

        for (size_t j = 0; j < reading->count; j++) {
            const struct given *given = &reading->given[j];

            if (given->setting != setting || (given->line > 0) != in_file)
                continue;
            last = *given;
            if ((setting->flags & SETTING_REPEATS) != 0)
                is_good &= use_value(options, setting, given->text, given->line);
        }
        if ((setting->flags & SETTING_REPEATS) == 0 && last.text != NULL)
            is_good &= use_value(options, setting, last.text, last.line);
    }
    return is_good;
}

/* getopt's values. */
enum { OPTION_SETTING = 256, OPTION_CONFIG, OPTION_CHECK, OPTION_TAKEOVER, OPTION_HELP, OPTION_VERSION };

static const struct option other_options[] = {{"config", required_argument, NULL, OPTION_CONFIG},
                                              {"check", no_argument, NULL, OPTION_CHECK},
                                              {"takeover", no_argument, NULL, OPTION_TAKEOVER},
                                              {"help", no_argument, NULL, OPTION_HELP},
                                              {"version", no_argument, NULL, OPTION_VERSION},
                                              {NULL, 0, NULL, 0}};
#define OTHER_COUNT (sizeof other_options / sizeof *other_options) /* with the end */

/* Collect what the command line says. Return: false when it is wrong, after telling so. */
static bool read_arguments(int argc, char **argv, struct reading *reading)
{
    struct option *table = calloc(setting_count + OTHER_COUNT, sizeof *table);
    bool is_good = true;
    int option, index = 0;

    if (table == NULL)
        return lack_memory();
    for (size_t i = 0; i < setting_count; i++)
        table[i] = (struct option){
            settings[i].name, (settings[i].flags & SETTING_SWITCH) != 0 ? optional_argument : required_argument, NULL, OPTION_SETTING};
    memcpy(table + setting_count, other_options, sizeof other_options);
    optind = 0; /* glibc: start over */
    while (is_good && (option = getopt_long(argc, argv, "", table, &index)) != -1) {
        switch (option) {
        case OPTION_SETTING:
            is_good = add_given(reading, &settings[index], optarg != NULL ? optarg : "on", 0);
            break;
        case OPTION_CONFIG:
            reading->config_path = optarg;
            break;
        case OPTION_CHECK:
            reading->check = true;
            break;
        case OPTION_TAKEOVER:
            reading->takeover = true;
            break;
        case OPTION_HELP:
            reading->help = true;
            break;
        case OPTION_VERSION:
            reading->version = true;
            break;
        default:
            is_good = false; /* getopt_long() said why */
        }
    }
    if (is_good && optind < argc) {
        log_each(LOG_LEVEL_ERROR, "unexpected argument '%s'; see sidestackd --help", argv[optind]);
        is_good = false;
    }
    free(table);
    return is_good;
}

/* Print lines, all but the first one indented. */
static void print_indented(const char *lines, int columns)
{
    for (const char *c = lines; *c != '\0'; c++) {
        putchar(*c);
        if (*c == '\n')
            printf("%*s", columns, "");
    }
    putchar('\n');
}

static void print_help(void)
{
    static const char option_format[] = "  %-19s  ";
    enum { HELP_COLUMN = 23 };

    printf("Usage: sidestackd [OPTION]...\n"
           "Give programs a TCP/IP stack of their own. Runs in the foreground; SIGTERM ends every connection\n"
           "in order, a second one at once; SIGHUP reads the configuration file again.\n\n");
    printf(option_format, "--config FILE");
    printf("read settings from FILE, one `name = value` a line; names are\n%*sthose of the options below\n", HELP_COLUMN, "");
    printf(option_format, "--check");
    printf("only see whether the settings are right, and print them as\n%*sa configuration file\n", HELP_COLUMN, "");
    printf(option_format, "--takeover");
    printf("take the place of the service that runs there, with all its\n%*sconnections; settings may be others\n", HELP_COLUMN, "");
    for (size_t i = 0; i < setting_count; i++) {
        char left[32];

        snprintf(left, sizeof left, "--%s%s%s", settings[i].name, (settings[i].flags & SETTING_SWITCH) != 0 ? "" : " ",
                 settings[i].argument);
        printf(option_format, left);
        print_indented(settings[i].help, HELP_COLUMN);
    }
    printf(option_format, "--help");
    printf("show this help\n");
    printf(option_format, "--version");
    printf("show the version\n");
}

/* Print the settings that hold as a configuration file. */
static void print_settings(const struct options *options)
{
    printf("# The settings of sidestackd %s%s%s. `name = value`; sidestack.conf(5) tells about each.\n", SIDESTACK_VERSION,
           options->config_path != NULL ? ", with " : "", options->config_path != NULL ? options->config_path : "");
    for (size_t i = 0; i < setting_count; i++)
        for (size_t j = 0; j < options->values[i].count; j++)
            printf("%s = %s\n", settings[i].name, options->values[i].all[j].text);
}

/* Choose the control socket by the name when none is given. Return: false when there is no place for it, after telling
 * so. */
static bool choose_socket(struct options *options)
{
    if (options->socket_path[0] != '\0')
        return true;
    if (control_path_of_name(options->name, options->socket_path, sizeof options->socket_path) < 0) {
        log_each(LOG_LEVEL_ERROR, "no place for the control socket: XDG_RUNTIME_DIR is not set; give --socket");
        return false;
    }
    return use_value(options, setting_find("socket"), options->socket_path, 0);
}

/* Read everything into options, of which nothing is left to free when it fails. */
static bool read_all(int argc, char **argv, struct options *options, struct reading *reading)
{
    bool is_good;

    set_initial(options, NULL);
    if (!read_arguments(argc, argv, reading))
        return false;
    if (reading->help || reading->version)
        return true;
    is_good = true;
    if (reading->config_path != NULL) {
        is_good = config_file_read(reading->config_path, take_line, reading);
        is_good &= check_file(reading);
    }
    if (!is_good)
        return false;
    set_initial(options, reading->config_path);
    options->argc = argc;
    options->argv = argv;
    if (use_values(reading, options) && choose_socket(options))
        return true;
    options_free(options);
    return false;
}

int options_read(int argc, char **argv, struct options *options)
{
    struct reading reading = {0};
    bool is_good = read_all(argc, argv, options, &reading);
    int status = is_good ? 0 : 3;

    options->takeover = reading.takeover;
    free_reading(&reading);
    if (is_good && (reading.help || reading.version || reading.check)) {
        if (reading.help)
            print_help();
        else if (reading.version)
            printf("sidestackd %s\n", SIDESTACK_VERSION);
        else
            print_settings(options);
        status = fflush(stdout) == 0 ? 1 : 2;
    }
    return status;
}

int options_read_again(const struct options *options, struct options *fresh)
{
    struct reading reading = {0};
    bool is_good = read_all(options->argc, options->argv, fresh, &reading);

    free_reading(&reading);
    return is_good ? 0 : -EINVAL;
}

const struct option_values *options_values(const struct options *options, const char *name)
{
    return &options->values[setting_find(name) - settings];
}

bool options_agree(const struct options *one, const struct options *other, size_t setting)
{
    const struct option_values *a = &one->values[setting], *b = &other->values[setting];

    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->all[i].text, b->all[i].text) != 0)
            return false;
    return true;
}

size_t options_get_routes(const struct options *options, struct stack_route routes[OPTIONS_ROUTES_MAX + OPTIONS_GATEWAYS_MAX])
{
    size_t count = options->route_count;

    memcpy(routes, options->routes, count * sizeof *routes);
    for (size_t i = 0; i < OPTIONS_GATEWAYS_MAX; i++)
        if (options->gateways[i].via.sa.sa_family != 0)
            routes[count++] = options->gateways[i];
    return count;
}

void options_free(struct options *options)
{
    free(options->capture_path);
    options->capture_path = NULL;
    free(options->user);
    options->user = NULL;
    if (options->rules != NULL)
        rules_set_clear(options->rules);
    free(options->rules);
    options->rules = NULL;
    for (size_t i = 0; options->values != NULL && i < setting_count; i++) {
        for (size_t j = 0; j < options->values[i].count; j++)
            free(options->values[i].all[j].text);
        free(options->values[i].all);
    }
    free(options->values);
    options->values = NULL;
}
