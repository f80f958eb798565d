/*
 * privilege.c - whom the service runs as, and what that user may do.
 *
 * Root, or a capability, is needed to make a device, to listen in /run, to write a capture where root says. All that is
 * done before privilege_drop(), and before the first byte of a program or of the wire is looked at. Then go the groups,
 * the user, the capabilities (of all sets), and no_new_privs is set. What can't be given up ends the service.
 *
 * Where root starts the service and no user is named, and PRIVILEGE_USER is none of this machine's, it stays user 0
 * without a capability: what belongs to root it could still read; the sandbox (sandbox.c) lets it write nothing.
 *
 * The one capability that is kept, and only while rules ask for programs: CAP_SYS_PTRACE, without which the kernel does
 * not say which program another user's process runs. The sandbox lets nothing else be done with it than to read in
 * /proc.
 */
#include "privilege.h"

#include "service/log/log.h"
#include "sandbox.h"
#include "users.h"

#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <sys/prctl.h>
#include <unistd.h>

static bool gave_up_sight; /* of other users' programs */

int privilege_choose(const char *user, struct privilege_identity *identity)
{
    *identity = (struct privilege_identity){geteuid(), getegid(), user != NULL};
    if (user == NULL) {
        if (identity->user == 0)
            (void)users_find(PRIVILEGE_USER, &identity->user, &identity->group);
        return 0;
    }
    if (!users_find(user, &identity->user, &identity->group))
        return -ENOENT;
    return identity->user == geteuid() || geteuid() == 0 ? 0 : -EPERM;
}

/* Give up groups and user. Return: 0 or -errno; *step says what failed. */
static int change_user(const struct privilege_identity *identity, const char **step)
{
    *step = "giving up the groups";
    if (setgroups(0, NULL) < 0)
        return -errno;
    *step = "becoming the group";
    if (setresgid(identity->group, identity->group, identity->group) < 0)
        return -errno;
    *step = "becoming the user";
    if (setresuid(identity->user, identity->user, identity->user) < 0)
        return -errno;
    *step = "staying the user";
    return identity->user != 0 && setresuid(0, 0, 0) == 0 ? -EPERM : 0; /* there must be no way back */
}

/* Nothing that is executed could gain a capability. Takes one itself: who starts without it never had more. Return: 0
 * or -errno. */
static int drop_bounding_set(void)
{
    if (!capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP))
        return 0;
    capng_clear(CAPNG_SELECT_BOUNDS);
    return capng_apply(CAPNG_SELECT_BOUNDS) < 0 ? -EPERM : 0;
}

/* Give up every capability but CAP_SYS_PTRACE, that too unless it is kept. Return: 0 or -errno. */
static int drop_capabilities(bool keeps_ptrace)
{
    const capng_select_t sets = CAPNG_SELECT_CAPS | CAPNG_SELECT_AMBIENT;

    capng_clear(sets);
    if (keeps_ptrace)
        (void)capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_SYS_PTRACE);
    if (capng_apply(sets) < 0 || capng_get_caps_process() < 0)
        return -EPERM;
    /* What does the kernel say? */
    for (unsigned capability = 0; capability <= CAP_LAST_CAP; capability++)
        if (capng_have_capability(CAPNG_PERMITTED, capability) && !(keeps_ptrace && capability == CAP_SYS_PTRACE))
            return -EPERM;
    return 0;
}

int privilege_drop(const struct privilege_identity *identity, bool sees_programs)
{
    const char *step = "reading the capabilities";
    bool keeps_ptrace = false;
    int error = capng_get_caps_process() < 0 ? -ENOSYS : 0;

    if (error == 0) {
        keeps_ptrace = sees_programs && capng_have_capability(CAPNG_PERMITTED, CAP_SYS_PTRACE);
        gave_up_sight = !keeps_ptrace && capng_have_capability(CAPNG_PERMITTED, CAP_SYS_PTRACE);
        step = "emptying the bounding set of capabilities";
        error = drop_bounding_set();
    }
    if (error == 0) {
        step = "keeping capabilities for a moment"; /* across the change of the user */
        error = prctl(PR_SET_KEEPCAPS, 1) < 0 ? -errno : 0;
    }
    if (error == 0 && geteuid() == 0)
        error = change_user(identity, &step);
    if (error < 0 && !identity->is_chosen && geteuid() == 0)
        error = 0; /* a namespace that has no such user (user_namespaces(7)) */
    if (error == 0) {
        step = "giving up capabilities";
        error = drop_capabilities(keeps_ptrace);
    }
    if (error == 0) {
        if (geteuid() == 0 && !identity->is_chosen)
            log_info("privilege: runs as root, without capabilities (a user " PRIVILEGE_USER " would be taken, or that of the setting user)");
        step = "no_new_privs";
        error = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
    }
#ifndef SANDBOX_SANITIZED /* the leak sanitizer looks at its own process with ptrace(2) */
    if (error == 0) {
        step = "keeping other programs of the user from looking";
        error = prctl(PR_SET_DUMPABLE, 0) < 0 ? -errno : 0;
    }
#endif
    if (error < 0) {
        errno = -error;
        log_error("privilege: %s (user %u, group %u)", step, (unsigned)identity->user, (unsigned)identity->group);
    }
    return error;
}

bool privilege_sees_programs(void)
{
    return !gave_up_sight;
}
