/* statistics.h - every figure that the stack keeps, by name. */
#ifndef SIDESTACK_STATISTICS_H
#define SIDESTACK_STATISTICS_H

#include <stddef.h>
#include <stdint.h>

struct stack_statistic {
    const char *layer; /* "wire", "tcp", ...: those of one layer stand together */
    const char *name;  /* as nstat(8) has it, where it has one */
    uint64_t value;
};
#define STACK_STATISTICS_MAX 160

/* Fill in the figures since stack_open(). Return: how many. */
size_t stack_get_statistics(struct stack_statistic statistics[STACK_STATISTICS_MAX]);

#endif
