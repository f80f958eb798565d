/* text_list.h - lists of words for one line of the log. */
#ifndef SIDESTACK_TEXT_LIST_H
#define SIDESTACK_TEXT_LIST_H

#include <stddef.h>

/* Append a word to the list in text, behind a comma; not if size bytes have no room for it. */
void text_list_add(char *text, size_t size, const char *word);

#endif
