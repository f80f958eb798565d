/*
 * start.c - what is done when the library is loaded.
 *
 * Hooks may have been called before: by other libraries' constructors, or by malloc. They work then, but note nothing.
 */
#include "control_pool.h"
#include "descriptor.h"
#include "libc.h"
#include "on_death.h"
#include "trace.h"

#include <errno.h>

static __attribute__((constructor)) void start(void)
{
    int saved_errno = errno;

    libc_load();
    trace_start();
    control_start();
    on_death_start();
    descriptor_start();
    errno = saved_errno;
}
