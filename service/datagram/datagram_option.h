/* datagram_option.h - makes the options of a datagram socket true. */
#ifndef SIDESTACK_DATAGRAM_OPTION_H
#define SIDESTACK_DATAGRAM_OPTION_H

#include "datagram.h"

/* The options in the record are new, or one was set: pass on what the stack, the pair and the relay act on.
 * program_fd: the program's end, -1: a new socket. */
void datagram_option_changed(struct socket *socket, int program_fd);

#endif
