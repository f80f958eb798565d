/*
 * sidestack.c - the sidestack command.
 */
#include "sidestack.h"

#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: sidestack run [--stack NAME] [--socket PATH] [--] PROGRAM [ARGUMENT...]\n"
    "       sidestack list [--json]\n"
    "       sidestack impair [--stack NAME] [--socket PATH] [LIST]\n"
    "       sidestack ss [OPTION...] [FILTER]\n"
    "       sidestack top [OPTION...] [FILTER]\n"
    "       sidestack stats [OPTION...] [SECONDS [COUNT]]\n"
    "       sidestack netif [OPTION...]\n"
    "       sidestack kill [OPTION...] FILTER\n"
    "       sidestack capture [OPTION...] FILE [FILTER]\n"
    "       sidestack ping [OPTION...] HOST\n"
    "       sidestack metrics [OPTION...]\n"
    "       sidestack rules [OPTION...] [test PROGRAM CALL ADDRESS]\n"
    "\n"
    "run: runs PROGRAM with its Internet sockets on the TCP/IP stack of a running sidestackd.\n"
    "list: shows the services of this machine.\n"
    "impair: makes the wire of a running sidestackd a bad one, as sidestackd --impair LIST (\"none\": a good one again),\n"
    "and prints what it is now.\n"
    "ss: shows its sockets, as ss(8) does the kernel's.\n"
    "top: shows its connections and programs with their rates, live.\n"
    "stats: shows the counters of all its layers.\n"
    "netif: shows its addresses, routes, neighbours, name servers and wire.\n"
    "kill: ends connections.\n"
    "capture: writes the frames of its wire to a file or a pipe.\n"
    "ping: sends ICMP echo requests from its stack.\n"
    "metrics: prints its counters for Prometheus, or offers them over HTTP.\n"
    "rules: shows its rules, and what they would do. Each of these has --help.\n"
    "\n"
    "  --stack NAME   the service called NAME, instead of SIDESTACK_NAME or \"default\"\n"
    "  --socket PATH  the service with this control socket\n"
    "  --help         this text\n"
    "  --version      the version\n"
    "\n"
    "With SIDESTACK_TRACE=1 in the environment each socket call is printed on standard error.\n";

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"sidestack run", sidestack_run},
    {"sidestack list", sidestack_list},
    {"sidestack impair", sidestack_impair},
    {"sidestack ss", sidestack_ss},
    {"sidestack stats", sidestack_stats},
    {"sidestack netif", sidestack_netif},
    {"sidestack kill", sidestack_kill},
    {"sidestack capture", sidestack_helper},
    {"sidestack top", sidestack_helper},
    {"sidestack metrics", sidestack_helper},
    {"sidestack ping", sidestack_ping},
    {"sidestack rules", sidestack_rules},
};

int main(int argc, char **argv)
{
    if (argc >= 2 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    if (argc >= 2 && strcmp(argv[1], "--version") == 0) {
        puts("sidestack " SIDESTACK_VERSION);
        return 0;
    }
    for (size_t i = 0; argc >= 2 && i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(argv[1], commands[i].name + sizeof "sidestack") == 0) {
            argv[1] = (char *)commands[i].name; /* getopt_long() begins its messages with it */
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    fputs(usage, stderr);
    return SIDESTACK_EXIT_USAGE;
}
