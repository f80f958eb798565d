/*
 * address.c - socket addresses, and other memory of the program's, in and out.
 *
 * The kernel answers a bad pointer with EFAULT; we would crash. So memory that the program gave is asked about before
 * it is read, by a system call that reads 8 bytes and then refuses: rt_sigprocmask() with an operation that it does not
 * have. Whether memory can be written is not asked: a program that passes a read-only address gets the signal.
 */
#include "address.h"

#include "libc.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#define PAGE_BYTES 4096u /* or more: then some pages are asked about twice */
#define NEAR_BYTES 2048u
#define WORD_BYTES 8u /* what the kernel reads: its sigset */

static int check_word(uintptr_t address)
{
    return libc_syscall(SYS_rt_sigprocmask, -1, (long)(address & ~(uintptr_t)(WORD_BYTES - 1)), 0, WORD_BYTES, 0, 0) <
                       0 &&
                   errno == EFAULT
               ? -EFAULT
               : 0;
}

int memory_check(const void *address, size_t length)
{
    int saved_errno = errno;
    uintptr_t first = (uintptr_t)address;
    uintptr_t own_frame = (uintptr_t)__builtin_frame_address(0);
    int error = 0;

    /* Most of what is passed to us lies in the caller's frame: just above ours, so it needs no question. */
    if (length == 0 || (first > own_frame && first + length - own_frame < NEAR_BYTES))
        return 0;
    if (address == NULL || first + length < first)
        return -EFAULT;
    for (uintptr_t at = first; error == 0 && at < first + length; at = (at | (PAGE_BYTES - 1)) + 1)
        error = check_word(at);
    errno = saved_errno;
    return error;
}

int address_copy_in(struct protocol_address *out, const struct sockaddr *address, socklen_t length)
{
    if (length > sizeof(struct sockaddr_storage))
        return -EINVAL;
    if (memory_check(address, length) < 0)
        return -EFAULT;
    memset(out, 0, sizeof *out); /* what is on our stack is not the service's business */
    out->length = length < sizeof out->bytes ? length : sizeof out->bytes;
    memcpy(out->bytes, address, out->length);
    return 0;
}

int address_copy_out(const struct protocol_address *in, struct sockaddr *address, socklen_t *length)
{
    socklen_t room;

    if (memory_check(length, sizeof *length) < 0)
        return -EFAULT;
    room = *length;
    if ((int)room < 0)
        return -EINVAL;
    if (room > in->length)
        room = in->length;
    if (memory_check(address, room) < 0)
        return -EFAULT;
    if (room > 0)
        memcpy(address, in->bytes, room);
    *length = in->length;
    return 0;
}
