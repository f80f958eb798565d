/* sidestack_list.c - sidestack list: the services of this machine that the user may see. */
#include "ask.h"
#include "option.h"
#include "service/control_path.h"
#include "sidestack.h"

#include <dirent.h>
#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define COMMAND "sidestack list"
#define SOCKET_SUFFIX ".sock"
#define SYSTEM_DIRECTORY "/run"
#define PIDS_MAX 4096 /* that are told apart; more count as these many */
#define ADDRESSES_BYTES 1024

enum list_state {
    LIST_RUNNING,
    LIST_WAITING,  /* systemd listens; the first program starts it */
    LIST_STALE,    /* the socket of a service that died */
    LIST_CLOSED,   /* this user may not use it */
    LIST_OTHER,    /* of another version, or stuck */
};

static const char *const state_names[] = {"running", "waiting", "stale", "closed", "other"};

static const char usage[] =
    "usage: sidestack list [--json]\n"
    "Shows the services of this machine that you may see: those in /run/sidestack, and your own.\n"
    "\n"
    "      --json          JSON, one object a service\n"
    "      --help          this text\n"
    "\n"
    "State: running; waiting: systemd starts it for the first program; stale: a service died and left its socket,\n"
    "which the next one of that name removes; closed: you may not use it; other: it does not answer, or is of another version.\n";

/* A service, and what it says of itself. */
struct service {
    char name[64];
    struct service_path path;
    enum list_state state;
    json_t *about;   /* NULL unless it runs */
    size_t programs; /* with sockets that the user may see */
};

/* Does systemd listen at the system's socket of this name, with no service behind it? To connect would start it. */
static bool is_waiting(const char *name)
{
    static const char script[] = "case \"$(systemctl show -P ActiveState \"$1.socket\" \"$1.service\" | tr -s '\\n' ' ')\" in\n"
                                 "'active inactive '*|'active failed '*) exit 0 ;; esac; exit 1";
    char unit[96];
    char *argv[] = {(char *)"sh", (char *)"-c", (char *)script, (char *)"sh", unit, NULL};
    pid_t pid;
    int status = -1;

    if (access("/run/systemd/system", F_OK) < 0)
        return false;
    snprintf(unit, sizeof unit, "sidestackd%s%s", strcmp(name, CONTROL_NAME_DEFAULT) == 0 ? "" : "@",
             strcmp(name, CONTROL_NAME_DEFAULT) == 0 ? "" : name);
    if (posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ) != 0)
        return false;
    return waitpid(pid, &status, 0) == pid && status == 0;
}

/* Does anybody listen there? */
static enum list_state probe(const struct service_path *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    enum list_state state = LIST_RUNNING;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return LIST_OTHER;
    strcpy(address.sun_path, path->text);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        state = errno == ECONNREFUSED ? LIST_STALE : errno == EACCES || errno == EPERM ? LIST_CLOSED : LIST_OTHER;
    close(fd);
    return state;
}

static int compare_pids(const void *one, const void *other)
{
    const pid_t a = *(const pid_t *)one, b = *(const pid_t *)other;

    return (a > b) - (a < b);
}

/* How many programs made the sockets that there are? */
static size_t count_programs(const struct service_path *path)
{
    pid_t pids[PIDS_MAX];
    size_t count = 0, different = 0;
    struct answer answer;
    json_t *socket;

    if (answer_open(&answer, COMMAND, path, PROTOCOL_QUERY_SOCKETS, 0, 0) < 0)
        return 0;
    while ((socket = answer_next(&answer)) != NULL) {
        pid_t pid = (pid_t)json_number(json_object_get(socket, "program"), "pid");

        if (pid != 0 && count < PIDS_MAX)
            pids[count++] = pid;
        json_decref(socket);
    }
    (void)answer_close(&answer, COMMAND);
    qsort(pids, count, sizeof *pids, compare_pids);
    for (size_t i = 0; i < count; i++)
        different += i == 0 || pids[i] != pids[i - 1];
    return different;
}

static void look_at(struct service *service, bool is_system)
{
    service->state = is_system && is_waiting(service->name) ? LIST_WAITING : probe(&service->path);
    if (service->state != LIST_RUNNING)
        return;
    service->about = ask_for_object(COMMAND, &service->path, PROTOCOL_QUERY_SERVICE);
    if (service->about == NULL)
        service->state = LIST_OTHER;
    else
        service->programs = count_programs(&service->path);
}

/* The interface that is the wire. Return: NULL when there is none. */
static const json_t *find_wire(const json_t *about)
{
    const json_t *interfaces = json_object_get(about, "interfaces");

    for (size_t i = 0; i < json_array_size(interfaces); i++)
        if (json_number(json_array_get(interfaces, i), "index") == 2)
            return json_array_get(interfaces, i);
    return NULL;
}

/* Addresses on the wire, without those of the link alone. */
static void format_addresses(const json_t *wire, char text[ADDRESSES_BYTES])
{
    const json_t *addresses = json_object_get(wire, "addresses");
    size_t used = 0;

    *text = '\0';
    for (size_t i = 0; i < json_array_size(addresses) && used < ADDRESSES_BYTES; i++) {
        const json_t *address = json_array_get(addresses, i);

        if (strncmp(json_text(address, "address"), "fe80:", 5) != 0)
            used += (size_t)snprintf(text + used, ADDRESSES_BYTES - used, "%s%s/%u", used > 0 ? " " : "", json_text(address, "address"),
                                     (unsigned)json_number(address, "prefix"));
    }
}

static void format_uptime(uint64_t seconds, char text[32])
{
    unsigned days = (unsigned)(seconds / 86400), hours = (unsigned)(seconds / 3600 % 24), minutes = (unsigned)(seconds / 60 % 60);

    if (days > 0)
        snprintf(text, 32, "%ud %uh", days, hours);
    else if (hours > 0)
        snprintf(text, 32, "%uh %umin", hours, minutes);
    else if (minutes > 0)
        snprintf(text, 32, "%umin", minutes);
    else
        snprintf(text, 32, "%us", (unsigned)(seconds % 60));
}

static void print_line(const struct service *service)
{
    const json_t *wire = service->about != NULL ? find_wire(service->about) : NULL;
    char addresses[ADDRESSES_BYTES] = "", uptime[32] = "-", programs[32] = "-";

    if (service->about != NULL) {
        format_addresses(wire, addresses);
        format_uptime(json_number(service->about, "uptime_s"), uptime);
        snprintf(programs, sizeof programs, "%zu", service->programs);
    }
    printf("%-15s %-8s %-15s %8s %-9s %s\n", service->name, state_names[service->state], wire != NULL ? json_text(wire, "name") : "-",
           programs, uptime, addresses[0] != '\0' ? addresses : "-");
}

/* The service's own object, and what only the list knows. */
static int print_json(const struct service *service)
{
    json_t *object = service->about != NULL ? json_deep_copy(service->about) : json_object();
    int error = 0;

    if (object == NULL || json_object_set_new(object, "name", json_string(service->name)) < 0 ||
        json_object_set_new(object, "socket", json_string(service->path.text)) < 0 ||
        json_object_set_new(object, "state", json_string(state_names[service->state])) < 0 ||
        (service->about != NULL && json_object_set_new(object, "programs", json_integer((json_int_t)service->programs)) < 0) ||
        json_dumpf(object, stdout, JSON_COMPACT) < 0)
        error = -ENOMEM;
    putchar('\n');
    json_decref(object);
    return error;
}

static int is_socket_name(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);

    return length > sizeof SOCKET_SUFFIX - 1 && strcmp(entry->d_name + length - (sizeof SOCKET_SUFFIX - 1), SOCKET_SUFFIX) == 0;
}

/* Print the services of one directory. Return: how many, or -errno. */
static int list_directory(const char *runtime, bool is_system, bool as_json)
{
    char directory[sizeof(((struct service_path *)NULL)->text)];
    struct dirent **entries = NULL;
    int count, error = 0;

    if ((size_t)snprintf(directory, sizeof directory, "%s/sidestack", runtime) >= sizeof directory)
        return -ENAMETOOLONG;
    count = scandir(directory, &entries, is_socket_name, alphasort);
    if (count < 0)
        return errno == ENOENT ? 0 : -errno;
    for (int i = 0; i < count; i++) {
        struct service service = {.name = ""};
        int length = (int)(strlen(entries[i]->d_name) - (sizeof SOCKET_SUFFIX - 1));

        snprintf(service.name, sizeof service.name, "%.*s", length, entries[i]->d_name);
        if (snprintf(service.path.text, sizeof service.path.text, "%s/%s", directory, entries[i]->d_name) <
            (int)sizeof service.path.text) {
            look_at(&service, is_system);
            if (!as_json)
                print_line(&service);
            else if (error == 0)
                error = print_json(&service);
            json_decref(service.about);
        }
        free(entries[i]);
    }
    free(entries);
    return error < 0 ? error : count;
}

int sidestack_list(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'}, TOOL_OPTIONS_END};
    const struct tool_options tool = {COMMAND, usage, "", options, NULL};
    const char *own = geteuid() != 0 ? getenv("XDG_RUNTIME_DIR") : NULL;
    bool as_json = false;
    int option, status, found = 0, count;

    while ((option = tool_next_option(&tool, argc, argv, &status)) != -1) {
        if (option == '?')
            return status;
        as_json = true;
    }
    if (optind < argc) {
        fputs(usage, stderr);
        return SIDESTACK_EXIT_USAGE;
    }
    if (!as_json)
        printf("%-15s %-8s %-15s %8s %-9s %s\n", "NAME", "STATE", "WIRE", "PROGRAMS", "UPTIME", "ADDRESSES");
    if (own != NULL) {
        found = list_directory(own, false, as_json);
        if (found < 0)
            fprintf(stderr, COMMAND ": %s/sidestack: %s\n", own, strerror(-found));
    }
    count = list_directory(SYSTEM_DIRECTORY, true, as_json);
    if (count < 0)
        fprintf(stderr, COMMAND ": " SYSTEM_DIRECTORY "/sidestack: %s\n", strerror(-count));
    return found < 0 || count < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
