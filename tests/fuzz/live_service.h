/* live_service.h - a service with its control socket, for targets that play its programs. */
#ifndef SIDESTACK_TEST_LIVE_SERVICE_H
#define SIDESTACK_TEST_LIVE_SERVICE_H

#include "stack/stack.h"

#include <stddef.h>

/* Begin with a service that asks these name servers. The time is fuzz_time_us, and no turn of the loop waits. */
void live_service_begin(const union stack_address *servers, size_t count);

/* End it; the target has closed its own descriptors. */
void live_service_end(void);

/* The control socket, the same for all inputs. */
int live_service_control(void);

/* Connect to that, in the place of *client; -1: there is none. */
void live_service_connect(int *client);

#endif
