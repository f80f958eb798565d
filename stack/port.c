/* port.c - what lwIP asks of its platform: the time, random numbers, and where a broken invariant goes. */
#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

#include "lwip_api.h"
#include "port.h"

uint64_t port_now_us;

/* State of xorshift64* (Vigna 2016). It chooses ports and the like; sequence numbers have their own secret (isn.c). */
static uint64_t random_state = 1;

int port_get_entropy(void *buffer, size_t size)
{
    unsigned char *at = buffer;

    while (size > 0) {
        ssize_t n = getrandom(at, size, 0);

        if (n < 0) {
            if (errno == EINTR)
                continue;
            return -errno;
        }
        at += n;
        size -= (size_t)n;
    }
    return 0;
}

int port_seed_random(void)
{
    int error = port_get_entropy(&random_state, sizeof random_state);

    random_state |= 1; /* zero would stay zero */
    return error;
}

/* Return: 32 random bits. */
uint32_t port_random(void)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (uint32_t)((random_state * 0x2545f4914f6cdd1dull) >> 32);
}

/* lwIP's clock. Return: milliseconds since some moment. */
u32_t sys_now(void)
{
    return (u32_t)(port_now_us / 1000);
}

/* An assertion of lwIP failed: its state can't be trusted any more. */
_Noreturn void port_assert_failed(const char *message, const char *file, int line)
{
    fprintf(stderr, "stack: lwIP assertion failed: %s (%s:%d)\n", message, file, line);
    abort();
}
