/* sidestack_netif.c - the network as a running service has it: interfaces, addresses, routes, neighbours, names, the
 * wire. */
#include "ask.h"
#include "option.h"
#include "sidestack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define COMMAND "sidestack netif"

enum { OPTION_JSON = 0x100 };

static const char usage[] =
    "usage: sidestack netif [OPTION...]\n"
    "Shows the interfaces of a running sidestackd, with their addresses, routes, neighbours, name servers and the wire.\n"
    "\n"
    "      --json      JSON, as the service writes it\n"
    ASK_HELP
    "      --help      this text\n";

/* How long something holds yet, as "1d 02:03:04"; nothing if it is not said. */
static void print_time(const json_t *object, const char *key, const char *title)
{
    const json_t *value = json_object_get(object, key);
    unsigned long long seconds = json_number(object, key);

    if (value == NULL)
        return;
    printf(" %s ", title);
    if (seconds >= 86400)
        printf("%llud ", seconds / 86400);
    printf("%02llu:%02llu:%02llu", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
}

static void print_interface(const json_t *interface)
{
    const json_t *addresses = json_object_get(interface, "addresses");

    printf("%llu: %s: mtu %llu", (unsigned long long)json_number(interface, "index"), json_text(interface, "name"),
           (unsigned long long)json_number(interface, "mtu"));
    if (*json_text(interface, "mac") != '\0')
        printf(" mac %s", json_text(interface, "mac"));
    puts("");
    for (size_t i = 0; i < json_array_size(addresses); i++) {
        const json_t *address = json_array_get(addresses, i);
        const char *text = json_text(address, "address");

        printf("    %s %s/%llu", strchr(text, ':') != NULL ? "inet6" : "inet", text,
               (unsigned long long)json_number(address, "prefix"));
        if (*json_text(address, "origin") != '\0')
            printf(" %s", json_text(address, "origin"));
        print_time(address, "seconds_left", "valid for");
        print_time(address, "preferred_left", "preferred for");
        printf("%s%s%s\n", json_number(address, "tentative") ? " tentative" : "",
               json_number(address, "duplicate") ? " duplicate" : "",
               json_number(address, "deprecated") ? " deprecated" : "");
    }
}

static void print_wire(const json_t *wire)
{
    static const struct {
        const char *key, *name;
    } features[] = {{"checksum", "checksums"}, {"tso4", "TCP segmentation"}, {"tso6", "TCP segmentation (IPv6)"},
                    {"uso", "UDP segmentation"}};
    const char *comma = " left to the device: ";

    printf("wire: %s;", json_text(wire, "device"));
    for (size_t i = 0; i < sizeof features / sizeof *features; i++) {
        if (json_number(wire, features[i].key)) {
            printf("%s%s", comma, features[i].name);
            comma = ", ";
        }
    }
    if (*comma == ' ')
        printf(" nothing left to the device");
    printf("; impairment: %s\n", *json_text(wire, "impairment") != '\0' ? json_text(wire, "impairment") : "none");
}

static void print_routes(const json_t *routes)
{
    puts("routes:");
    for (size_t i = 0; i < json_array_size(routes); i++) {
        const json_t *route = json_array_get(routes, i);
        const char *to = json_text(route, "to");

        if (json_number(route, "prefix") == 0)
            printf("    default%s", strchr(to, ':') != NULL ? " (IPv6)" : "");
        else
            printf("    %s/%llu", to, (unsigned long long)json_number(route, "prefix"));
        if (*json_text(route, "via") != '\0')
            printf(" via %s", json_text(route, "via"));
        printf(" %s", json_text(route, "origin"));
        print_time(route, "seconds_left", "for");
        puts("");
    }
}

static void print_neighbours(const json_t *neighbours)
{
    puts("neighbours:");
    for (size_t i = 0; i < json_array_size(neighbours); i++) {
        const json_t *it = json_array_get(neighbours, i);

        printf("    %s", json_text(it, "address"));
        if (*json_text(it, "mac") != '\0')
            printf(" %s", json_text(it, "mac"));
        printf(" %s%s\n", json_text(it, "state"), json_number(it, "router") ? " router" : "");
    }
}

static void print_list(const char *title, const json_t *texts)
{
    if (json_array_size(texts) == 0)
        return;
    printf("%s:", title);
    for (size_t i = 0; i < json_array_size(texts); i++)
        printf(" %s", json_string_value(json_array_get(texts, i)));
    puts("");
}

int sidestack_netif(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, OPTION_JSON}, TOOL_OPTIONS};
    struct service_path path = {""};
    const struct tool_options tool = {COMMAND, usage, "", options, &path};
    const json_t *interfaces;
    bool as_json = false;
    json_t *object;
    int option, status;

    while ((option = tool_next_option(&tool, argc, argv, &status)) != -1) {
        switch (option) {
        case OPTION_JSON: as_json = true; break;
        default: return status;
        }
    }
    object = ask_for_object(COMMAND, &path, PROTOCOL_QUERY_NETWORK);
    if (object == NULL)
        return EXIT_FAILURE;
    if (as_json) {
        json_dumpf(object, stdout, JSON_COMPACT);
        puts("");
    } else {
        interfaces = json_object_get(object, "interfaces");
        for (size_t i = 0; i < json_array_size(interfaces); i++)
            print_interface(json_array_get(interfaces, i));
        print_wire(json_object_get(object, "wire"));
        print_routes(json_object_get(object, "routes"));
        print_neighbours(json_object_get(object, "neighbours"));
        print_list("name servers", json_object_get(json_object_get(object, "dns"), "servers"));
        print_list("domains", json_object_get(json_object_get(object, "dns"), "search"));
    }
    json_decref(object);
    return EXIT_SUCCESS;
}
