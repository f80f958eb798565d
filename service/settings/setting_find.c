/* setting_find.c - a setting by its name, or by what comes near it. */
#include "settings.h"

#include <ctype.h>
#include <limits.h>
#include <string.h>
#include <sys/param.h>

#define GUESS_BYTES 32
#define GUESS_EDITS_MAX 2

const struct setting *setting_find(const char *name)
{
    for (size_t i = 0; i < setting_count; i++)
        if (strcmp(settings[i].name, name) == 0)
            return &settings[i];
    return NULL;
}

/* How many letters must be put in, left out or changed to make one word of the other (Levenshtein)? */
static unsigned count_edits(const char *one, const char *other)
{
    unsigned row[GUESS_BYTES + 1];
    size_t width = strlen(other);

    if (width > GUESS_BYTES)
        return UINT_MAX;
    for (size_t i = 0; i <= width; i++)
        row[i] = (unsigned)i;
    for (size_t i = 0; one[i] != '\0'; i++) {
        unsigned diagonal = row[0];

        row[0] = (unsigned)i + 1;
        for (size_t j = 0; j < width; j++) {
            unsigned change = diagonal + (tolower((unsigned char)one[i]) != tolower((unsigned char)other[j]));
            unsigned step = MIN(row[j], row[j + 1]) + 1;

            diagonal = row[j + 1];
            row[j + 1] = MIN(change, step);
        }
    }
    return row[width];
}

const char *setting_guess(const char *name)
{
    const char *best = NULL;
    unsigned fewest = GUESS_EDITS_MAX + 1;

    for (size_t i = 0; i < setting_count; i++) {
        unsigned edits = count_edits(settings[i].name, name);

        if (edits < fewest) {
            fewest = edits;
            best = settings[i].name;
        }
    }
    return best;
}
