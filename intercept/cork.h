/* cork.h - TCP_CORK of connected sockets, without asking the service each time. */
#ifndef SIDESTACK_CORK_H
#define SIDESTACK_CORK_H

#include <stdbool.h>
#include <stdint.h>

/* TCP_CORK is set to this on a socket of ours that is DESCRIPTOR_SLOTTED. Return: was that all? */
bool cork_set(int fd, bool on);

/* The same for any that is connected, by the service: cork it, and have it give a slot if there is one. Return: was
 * that all? */
bool cork_ask(int fd);

/* accept() was told where the cork of fd is. Return: can we reach it? Then it is DESCRIPTOR_SLOTTED. */
bool cork_note(int fd, uint32_t page, uint32_t slot, uint32_t number);

/* It was told of no place that we can reach: have the service see to it that those that are accepted next from listener
 * have one, if this process corks any. */
void cork_want_children(int listener);

/* Bytes were written to one that is DESCRIPTOR_SLOTTED. */
void cork_wrote(int fd);

/* new_fd was made from fd by dup and its like, and is about to be noted so. */
void cork_copy(int fd, int new_fd);

#endif
