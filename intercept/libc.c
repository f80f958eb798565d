/*
 * libc.c - binds libc's own calls.
 */
#include "libc.h"

#include <dlfcn.h>
#include <errno.h>

/* What an entry holds until it is bound: bind all, then do the call. */
#define LIBC_FIRST(result, name, parameters, arguments)                                                                \
    static result first_##name parameters                                                                              \
    {                                                                                                                  \
        libc_load();                                                                                                   \
        return libc_table.name arguments;                                                                              \
    }
LIBC_CALLS(LIBC_FIRST)

/* What it holds when this libc has no such function. */
#define LIBC_MISSING(result, name, parameters, arguments)                                                              \
    static result missing_##name parameters                                                                            \
    {                                                                                                                  \
        errno = ENOSYS;                                                                                                \
        return (result)-1;                                                                                             \
    }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter" /* a missing call uses none of them */
LIBC_CALLS(LIBC_MISSING)
#pragma GCC diagnostic pop

#define LIBC_INITIAL(result, name, parameters, arguments) .name = first_##name,
struct libc_table libc_table = {LIBC_CALLS(LIBC_INITIAL)};

/*
 * Each entry changes once, from "bind, then call" to the call itself, and both are right at any time; that is why no
 * lock or order is needed.
 */
#define LIBC_BIND(result, name, parameters, arguments)                                                                 \
    symbol = dlsym(RTLD_NEXT, #name);                                                                                  \
    __atomic_store_n(&libc_table.name, symbol ? (result(*) parameters)symbol : missing_##name, __ATOMIC_RELAXED);

void libc_load(void)
{
    int saved_errno = errno;
    void *symbol;

    LIBC_CALLS(LIBC_BIND)
    errno = saved_errno;
}
