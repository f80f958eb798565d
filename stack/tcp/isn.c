/* isn.c - initial sequence numbers that a stranger can't guess: a clock plus a keyed hash of both ends (RFC 6528). */
#include "isn.h"

#include <string.h>

#include "stack/archive.h"
#include "stack/lwip_api.h"
#include "stack/port.h"

static uint64_t key[2]; /* the secret, new for each stack_open() */
static bool follows;    /* the next connection takes the place of one in TIME-WAIT, or was answered before ... */
static uint32_t followed; /* ... and begins with this number */

int isn_open(void)
{
    follows = false;
    return port_get_entropy(key, sizeof key);
}

void isn_handover(struct archive *archive)
{
    archive_raw(archive, "isn_key", key, sizeof key);
}

static uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

/* SipHash-2-4 (Aumasson, Bernstein 2012) of whole words. Return: 64 bits. */
static uint64_t sip_hash(const uint64_t *words, int count)
{
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575ull, key[1] ^ 0x646f72616e646f6dull, key[0] ^ 0x6c7967656e657261ull,
                     key[1] ^ 0x7465646279746573ull};

    for (int i = 0; i <= count; i++) {
        uint64_t word = i < count ? words[i] : (uint64_t)count << 59; /* the last holds the length in bytes */

        v[3] ^= word;
        sip_round(v);
        sip_round(v);
        v[0] ^= word;
    }
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void isn_follow(uint32_t sequence)
{
    isn_set(sequence + 65535 + 2); /* Linux: tcp_timewait_state_process() */
}

void isn_set(uint32_t number)
{
    followed = number;
    follows = true;
}

void isn_forget(void)
{
    follows = false;
}

/* Return: the first sequence number of a connection; it moves on by one every 4 microseconds (RFC 9293 3.4.1). */
u32_t isn_choose(const ip_addr_t *local, u16_t local_port, const ip_addr_t *peer, u16_t peer_port)
{
    if (follows) {
        follows = false;
        return followed;
    }
    return isn_hash(local, local_port, peer, peer_port, 0) + (u32_t)(port_now_us / 4);
}

uint32_t isn_hash(const ip_addr_t *local, u16_t local_port, const ip_addr_t *peer, u16_t peer_port, uint32_t more)
{
    uint64_t words[5] = {(uint64_t)more << 32 | (uint64_t)local_port << 16 | peer_port};
    int count;

    if (IP_IS_V6(local)) {
        memcpy(&words[1], ip_2_ip6(local)->addr, 16);
        memcpy(&words[3], ip_2_ip6(peer)->addr, 16);
        count = 5;
    } else {
        words[1] = (uint64_t)ip4_addr_get_u32(ip_2_ip4(local)) << 32 | ip4_addr_get_u32(ip_2_ip4(peer));
        count = 2;
    }
    return (uint32_t)sip_hash(words, count);
}
