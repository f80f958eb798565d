/* passed.c - descriptors that came from a program and may be of anything. */
#include "passed.h"

#include <sys/socket.h>
#include <unistd.h>

bool passed_is_foreign(int fd)
{
    int domain;
    socklen_t length = sizeof domain;

    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) < 0 || domain != AF_UNIX;
}

void passed_close(int fd)
{
    const struct linger off = {0};

    /* A socket of the kernel's could have us wait for its peer: whoever made it may have set SO_LINGER. */
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &off, sizeof off); /* what is no socket has none */
    close(fd);
}
