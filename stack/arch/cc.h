/* cc.h - lwIP's port to this compiler and C library. */
#ifndef SIDESTACK_ARCH_CC_H
#define SIDESTACK_ARCH_CC_H

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "stack/small.h"

#define LWIP_ERRNO_STDINCLUDE 1

/* The C library's htons and htonl are macros of the same meaning; lwIP's would clash with them. */
#define LWIP_DONT_PROVIDE_BYTEORDER_FUNCTIONS 1
#define lwip_htons(x) __builtin_bswap16(x)
#define lwip_htonl(x) __builtin_bswap32(x)

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "lwip_htons assumes it");

/* lwIP counts retransmissions up to 255. */
enum { port_retries_max = 254 };

uint32_t port_random(void);
_Noreturn void port_assert_failed(const char *message, const char *file, int line);

#define LWIP_RAND() port_random()
#define LWIP_PLATFORM_DIAG(x) ((void)0)
#define LWIP_PLATFORM_ASSERT(x) port_assert_failed(x, __FILE__, __LINE__)

/* LWIP_ERROR guards against misuse by the caller: ours is a bug, never a peer's doing, so it takes lwIP's way out. */
#define LWIP_ERROR(message, expression, handler) \
    do { \
        if (!(expression)) { \
            handler; \
        } \
    } while (0)

#endif
