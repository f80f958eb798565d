/* tcp_handover.h - TCP sockets into an archive and out of it. */
#ifndef SIDESTACK_TCP_HANDOVER_H
#define SIDESTACK_TCP_HANDOVER_H

#include "stack/archive.h"

void tcp_handover(struct archive *archive);

#endif
