/*
 * replace.h - a new descriptor in the place of a pair that is used up, or that was the wrong thing.
 */
#ifndef SIDESTACK_REPLACE_H
#define SIDESTACK_REPLACE_H

#include "descriptor.h"

/* Put new_fd (taken) in the place of fd and its duplicates in this process, with their flags and their places in epoll
 * sets. kind: what it is. Return: 0 or -errno. */
int replace_socket(int fd, int new_fd, enum descriptor_kind kind);

/* The same with a new pair, as after socket(). */
int replace_pair(int fd, int new_fd);

#endif
