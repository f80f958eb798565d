/* poll_bits.c - the bits of poll(2) and epoll(7) by name, for messages. */
#include "poll_bits.h"

#include <poll.h>
#include <stddef.h>
#include <string.h>

const char *poll_bits_text(unsigned bits)
{
    static char texts[4][80];
    static unsigned next;
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = {
        {POLLIN, "IN"},      {POLLPRI, "PRI"}, {POLLOUT, "OUT"}, {POLLRDHUP, "RDHUP"},
        {POLLHUP, "HUP"},    {POLLERR, "ERR"}, {POLLNVAL, "NVAL"},
    };
    char *text = texts[next++ % 4];

    text[0] = '\0';
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!(bits & names[i].bit))
            continue;
        if (text[0] != '\0')
            strcat(text, "|");
        strcat(text, names[i].name);
    }
    return text[0] != '\0' ? text : "nothing";
}
