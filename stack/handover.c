/* handover.c - the stack's state into an archive and out of it. */
#include "handover.h"

#include "stack/ip/network_handover.h"
#include "stack/tcp/isn.h"
#include "stack/tcp/tcp_handover.h"
#include "stack/wire/gather.h"

void stack_handover(struct archive *archive)
{
    isn_handover(archive);
    network_handover(archive);
    tcp_handover(archive);
}

void stack_resume(void)
{
    gather_is_mute = false;
}
