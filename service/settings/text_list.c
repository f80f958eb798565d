/* text_list.c - lists of words for one line of the log. */
#include "text_list.h"

#include <stdio.h>
#include <string.h>

void text_list_add(char *text, size_t size, const char *word)
{
    size_t length = strlen(text), more = strlen(word) + (length > 0 ? 2 : 0);

    if (length + more < size)
        snprintf(text + length, size - length, "%s%s", length > 0 ? ", " : "", word);
}
