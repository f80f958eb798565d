/*
 * reload.c - the settings of a running service: what SIGHUP changes.
 *
 * The new settings are read whole before anything is done. Then each setting whose texts are others than before is
 * applied, by the function that stands for it in appliers[]. What has none takes a restart: it is named, and stays as
 * it was, so that the next reload names it again. A setting that did not change is left alone: what `sidestack impair`
 * did in the meantime stays.
 */
#include "reload.h"

#include "service/client.h"
#include "service/log/log.h"
#include "service/watch.h"
#include "service/network.h"
#include "service/notify.h"
#include "service/privilege/privilege.h"
#include "service/request.h"
#include "service/resolver/resolver_config.h"
#include "service/rules/rules.h"
#include "settings.h"
#include "service/socket.h"
#include "stack/memory.h"
#include "stack/stack.h"
#include "text_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_BYTES 512

static struct options *running;

static int apply_addresses(const struct options *options)
{
    int error = stack_set_addresses(options->addresses, options->address_count);

    network_log_addresses();
    return error;
}

static int apply_routes(const struct options *options)
{
    struct stack_route routes[OPTIONS_ROUTES_MAX + OPTIONS_GATEWAYS_MAX];

    return stack_set_routes(routes, options_get_routes(options, routes));
}

static int apply_dns(const struct options *options)
{
    resolver_set_servers(options->dns, options->dns_count);
    return 0;
}

static int apply_search(const struct options *options)
{
    resolver_set_domains(&options->search);
    return 0;
}

static int apply_impair(const struct options *options)
{
    char list[IMPAIRMENT_TEXT_MAX + sizeof "none,"], text[IMPAIRMENT_TEXT_MAX];

    strcpy(list, "none,"); /* what is not named is off, not as before */
    impairment_format(&options->impairments, list + strlen(list), IMPAIRMENT_TEXT_MAX);
    return stack_impair(list, text, sizeof text);
}

static int apply_rules(const struct options *options)
{
    struct rules_set none = {NULL, 0};

    rules_install(options->rules != NULL ? options->rules : &none);
    if (rules_name_programs() && !privilege_sees_programs())
        log_each(LOG_LEVEL_WARN, "reload: rule: there was none with a program when the service started, so it may not see which program "
                                 "other users run, and such rules don't match; start it again");
    return 0;
}

static int apply_busy_poll(const struct options *options)
{
    watch_set_busy_poll(options->busy_poll_us);
    return 0;
}

static int apply_on_death(const struct options *options)
{
    request_on_death = options->on_death;
    return 0;
}

static int apply_quota(const struct options *options)
{
    quota_set(&options->quota, socket_max(), client_max());
    return 0;
}

static int apply_max_sockets(const struct options *options)
{
    socket_limit(options->sockets_max);
    (void)apply_quota(options);
    return 0;
}

static int apply_access(const struct options *options)
{
    access_set(&options->access);
    return 0;
}

static int apply_max_memory(const struct options *options)
{
    memory_set_limit(options->memory_max);
    return 0;
}

static int apply_log(const struct options *options)
{
    log_threshold = options->log_level;
    return log_output_set(options->log_target, options->log_format, options->name);
}

/* What to do about a setting that changed. Return: 0 or -errno; what was before holds then. */
static const struct applier {
    const char *name;
    int (*apply)(const struct options *options);
} appliers[] = {
    {"address", apply_addresses},  {"gateway", apply_routes},     {"route", apply_routes}, {"dns", apply_dns},
    {"search", apply_search},      {"impair", apply_impair}, {"max-sockets", apply_max_sockets},
    {"rule", apply_rules},         {"max-memory", apply_max_memory},
    {"user-sockets", apply_quota}, {"user-clients", apply_quota}, {"user-requests", apply_quota},
    {"on-death", apply_on_death},
    {"busy-poll", apply_busy_poll},
    {"privileged-ports", apply_access}, {"allow-ports", apply_access}, {"allow-raw", apply_access},
    {"allow-ping", apply_access},  {"allow-admin", apply_access},
    {"log-level", apply_log},      {"log-format", apply_log}, {"log-to", apply_log},
};

static const struct applier *find_applier(const char *name)
{
    for (size_t i = 0; i < sizeof appliers / sizeof *appliers; i++)
        if (strcmp(appliers[i].name, name) == 0)
            return &appliers[i];
    return NULL;
}

void reload_begin(struct options *options)
{
    running = options;
}

/* A setting keeps its old texts. */
static void keep_old(struct options *fresh, size_t setting)
{
    struct option_values kept = running->values[setting];

    running->values[setting] = fresh->values[setting];
    fresh->values[setting] = kept;
}

static void apply_changes(struct options *fresh)
{
    char changed[NAMES_BYTES] = "", later[NAMES_BYTES] = ""; /* their names */

    for (size_t i = 0; i < setting_count; i++) {
        const struct applier *applier = find_applier(settings[i].name);
        int error;

        if (options_agree(running, fresh, i))
            continue;
        error = applier != NULL ? applier->apply(fresh) : 0;
        if (error < 0) {
            log_each(LOG_LEVEL_ERROR, "reload: %s stays as it was: %s; correct it in %s and reload again", settings[i].name, strerror(-error),
                     running->config_path);
            (void)applier->apply(running);
        }
        if (applier != NULL && error == 0) {
            text_list_add(changed, sizeof changed, settings[i].name);
        } else {
            if (applier == NULL)
                text_list_add(later, sizeof later, settings[i].name);
            keep_old(fresh, i);
        }
    }
    log_each(LOG_LEVEL_INFO, "reloaded %s: %s%s", running->config_path, changed[0] != '\0' ? "changed " : "nothing changed",
             changed);
    if (later[0] != '\0')
        log_each(LOG_LEVEL_WARN, "reload: these take a restart of the service: %s", later);
}

void reload_settings(void)
{
    struct options fresh;

    if (running == NULL || running->config_path == NULL) {
        log_each(LOG_LEVEL_INFO, "reload: there is no configuration file to read again; start with --config FILE to have one");
        return;
    }
    notify_reloading();
    if (options_read_again(running, &fresh) == 0) {
        apply_changes(&fresh);
        options_free(running);
        *running = fresh;
    } else {
        log_each(LOG_LEVEL_ERROR, "reload: everything stays as it was; correct %s (sidestackd --config FILE --check) and reload again",
                 running->config_path);
    }
    notify_ready();
}
