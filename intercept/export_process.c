/*
 * export_process.c - libc's names after which a process may reach less than before: sandbox, chroot, another user.
 */
#include "control_pool.h"
#include "data.h"
#include "descriptor.h"
#include "export.h"
#include "libc.h"

#include <stdarg.h>
#include <sys/prctl.h>
#include <unistd.h>

/*
 * A sandbox is about to be put up, in which read() and write() may be all that is allowed (sshd kills its child for a
 * send() or a getpeername()). So look at every descriptor now, and from then on write with write(). DIFFERS: SIGPIPE
 * then also comes for a connection that was reset (tests/apps/ssh.sh needs it).
 */
EXPORT int prctl(int option, ...)
{
    unsigned long argument[4];
    va_list arguments;

    va_start(arguments, option);
    for (int i = 0; i < 4; i++)
        argument[i] = va_arg(arguments, unsigned long);
    va_end(arguments);
    if (option == PR_SET_SECCOMP) {
        descriptor_look_at_all();
        data_stop_asking();
    }
    return libc_prctl(option, argument[0], argument[1], argument[2], argument[3]);
}

/*
 * Servers give up root, or lock themselves up, in a child that was just forked and so has no connection to the service
 * yet; afterwards they may not be able to make one. So it is made before.
 */
EXPORT int chroot(const char *path)
{
    control_keep();
    return libc_chroot(path);
}

EXPORT int setuid(uid_t uid)
{
    control_keep();
    return libc_setuid(uid);
}

EXPORT int seteuid(uid_t uid)
{
    control_keep();
    return libc_seteuid(uid);
}

EXPORT int setreuid(uid_t real, uid_t effective)
{
    control_keep();
    return libc_setreuid(real, effective);
}

EXPORT int setresuid(uid_t real, uid_t effective, uid_t saved)
{
    control_keep();
    return libc_setresuid(real, effective, saved);
}
