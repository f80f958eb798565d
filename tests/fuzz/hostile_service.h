/* hostile_service.h - a service inside the fuzzer's process, which says what the input has. */
#ifndef SIDESTACK_TEST_FUZZ_HOSTILE_SERVICE_H
#define SIDESTACK_TEST_FUZZ_HOSTILE_SERVICE_H

#include "fuzz.h"

/* Begin a run: the library's requests are answered from this input from now on. */
void hostile_begin(struct fuzz_input *input);

/* End it, when the program has closed its sockets: the library has kept none of those that came. All other descriptors
 * that came to be since the first run are closed, and the library knows of none. */
void hostile_end(void);

/* Write something into the service's end of a pair: a datagram, a new connection, anything. */
void hostile_write_pair(void);

/* Close or shut down the service's end of a pair. */
void hostile_end_pair(void);

#endif
