/*
 * journal.h - what a program has done to a socket so far, for the case that it all has to be done again on a socket of
 * the kernel's.
 */
#ifndef SIDESTACK_JOURNAL_H
#define SIDESTACK_JOURNAL_H

#include "service/protocol.h"

#include <stdbool.h>

struct journal; /* NULL: empty */

/* Note a setsockopt(2) or a bind(2) that went well. Out of memory, or with no room left: it is not noted. */
void journal_note_option(struct journal **journal, const struct protocol_message *request);
/* is_chosen: the program chose the port. */
void journal_note_bind(struct journal **journal, const struct protocol_address *address, bool is_chosen);

/* Write as many whole struct protocol_setting as fit, from the byte `offset` on, to the reply's option. Return: the
 * offset of the next one, 0 when these were the last. */
uint32_t journal_read(const struct journal *journal, uint32_t offset, struct protocol_message *reply);

/* The journal goes to another service (stack/archive.h). */
struct archive;
void journal_handover(struct archive *archive, struct journal **journal);

void journal_free(struct journal **journal);

#endif
