/*
 * replace.h - a new pair in the place of one that is used up.
 */
#ifndef SIDESTACK_REPLACE_H
#define SIDESTACK_REPLACE_H

/* Put new_fd (taken) in the place of fd and its duplicates in this process. Return: 0 or -errno. */
int replace_pair(int fd, int new_fd);

#endif
