/* poll_bits.h - the bits of poll(2) and epoll(7) by name, for messages. */
#ifndef SIDESTACK_TEST_POLL_BITS_H
#define SIDESTACK_TEST_POLL_BITS_H

/* "IN|RDHUP", "nothing" for none; the text lives for four calls. */
const char *poll_bits_text(unsigned bits);

#endif
