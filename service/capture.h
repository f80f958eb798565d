/* capture.h - every frame of the wire into a capture file, with libpcap. */
#ifndef SIDESTACK_CAPTURE_H
#define SIDESTACK_CAPTURE_H

#include <stdbool.h>

/* Open the file (replaced if it is there; append: written on) and watch the frames. Return: 0, or -errno with *message
 * saying what failed. */
int capture_open(const char *path, bool append, const char **message);

/* Write out what is buffered and close the file. */
void capture_close(void);

#endif
