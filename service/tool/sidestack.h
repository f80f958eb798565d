/*
 * sidestack.h - the parts of the sidestack command: one file a subcommand.
 */
#ifndef SIDESTACK_SIDESTACK_H
#define SIDESTACK_SIDESTACK_H

#include <stddef.h>

/* Exit statuses of our own, as env(1) and nohup(1) have them. */
#define SIDESTACK_EXIT_USAGE   125 /* we failed */
#define SIDESTACK_EXIT_CANNOT  126 /* the program was found and can't be run so */
#define SIDESTACK_EXIT_MISSING 127

/* sidestack run: argv[0] is "run". Return: the exit status, only when the program was not started. */
int sidestack_run(int argc, char **argv);

/* sidestack list: argv[0] is how messages begin. Return: the exit status. */
int sidestack_list(int argc, char **argv);

/* sidestack impair: argv[0] is "impair". Return: the exit status. */
int sidestack_impair(int argc, char **argv);

/* The tools that look at a running service; argv[0] is how messages begin. Return: the exit status. */
int sidestack_ss(int argc, char **argv);
int sidestack_stats(int argc, char **argv);
int sidestack_netif(int argc, char **argv);
int sidestack_kill(int argc, char **argv);
int sidestack_capture(int argc, char **argv);
int sidestack_top(int argc, char **argv);
int sidestack_ping(int argc, char **argv);
int sidestack_metrics(int argc, char **argv);

/* Run the subcommand as a program of its own; argv[0] is "sidestack NAME". Return: the exit status, only when it was
 * not started. */
int sidestack_helper(int argc, char **argv);
int sidestack_rules(int argc, char **argv);

/* Find a file that came with this program: beside it (as built), or in ../lib/sidestack (as installed). Return: 0 or
 * -errno, with the place where it should be in path. */
int sidestack_find_installed(const char *name, char *path, size_t size);

/*
 * Can a preload reach the program at path, an absolute or relative path? A script is judged by its interpreter.
 * Return: 0, -ENOENT or another -errno when it can't be read, or -ENOEXEC with the reason in message.
 */
int sidestack_check_program(const char *path, char *message, size_t size);

/* Find the file that execvp() would run. Return: 0 and path, or -ENOENT, -EACCES, -ENAMETOOLONG. */
int sidestack_find_program(const char *name, char *path, size_t size);

#endif
