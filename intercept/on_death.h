/*
 * on_death.h - what a new socket is to do when the service is gone.
 */
#ifndef SIDESTACK_ON_DEATH_H
#define SIDESTACK_ON_DEATH_H

#include "service/protocol.h"

/* Read SIDESTACK_ON_DEATH. Once, early: programs clear their environment. */
void on_death_start(void);

/* The service told what its configuration says (reply to PROTOCOL_SOCKET). The environment has the last word. */
void on_death_note(int32_t told);

/* There is no service, and the program wants a new socket. Return: the policy; for PROTOCOL_ON_DEATH_WAIT after a
 * moment, and the caller tries again. */
enum protocol_on_death on_death_decide(unsigned attempt);

#endif
