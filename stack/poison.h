/* poison.h - memory that must not be touched, for the address sanitizer; without it these do nothing. */
#ifndef SIDESTACK_POISON_H
#define SIDESTACK_POISON_H

#include <stddef.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

static inline void poison_put(const volatile void *at, size_t size)
{
#ifdef __SANITIZE_ADDRESS__
    __asan_poison_memory_region(at, size);
#else
    (void)at, (void)size;
#endif
}

static inline void poison_remove(const volatile void *at, size_t size)
{
#ifdef __SANITIZE_ADDRESS__
    __asan_unpoison_memory_region(at, size);
#else
    (void)at, (void)size;
#endif
}

#endif
