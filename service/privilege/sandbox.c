/*
 * sandbox.c - which system calls the service may make while it serves, enforced by the kernel (seccomp(2), libseccomp).
 *
 * Who takes over the service by a mistake of ours in reading what a program or the wire sent can call what stands in
 * the table below, and nothing else: no program is started, no file written, no socket of the host's network made, no
 * other process looked at. Each line has its reason; a call that stands there several times is allowed with any of
 * these arguments.
 *
 * A call that is not in the table is not done: the kernel sends SIGSYS, whose handler writes the call's name where
 * messages go at last, to standard error, and lets the signal end the process. It may interrupt anything, so it calls
 * nothing but write() and tgkill(); the names are looked up before.
 */
#include "sandbox.h"

#include "users.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CALLS_MAX 512 /* numbers of calls whose names are known */

struct call {
    int number;
    unsigned count; /* 1: with this argument; 0: whatever they are */
    struct scmp_arg_cmp argument;
};

#define ANY(name) {SCMP_SYS(name), 0, {0}}
#define ONE(name, ...) {SCMP_SYS(name), 1, __VA_ARGS__}
#define IS(argument, value) {argument, SCMP_CMP_EQ, (scmp_datum_t)(value), 0}
#define HAS(argument, mask, value) {argument, SCMP_CMP_MASKED_EQ, (scmp_datum_t)(mask), (scmp_datum_t)(value)}

/* Flags of open(2) by which something is written or made. */
#define OPEN_WRITES (O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND | (O_TMPFILE & ~O_DIRECTORY))

/* Calls whose arguments the filter has to look at each time, the busiest first; the kernel remembers of others that
 * they are allowed (Linux 5.11). */
static const int looked_at[] = {SCMP_SYS(ioctl), SCMP_SYS(setsockopt), SCMP_SYS(getsockopt), SCMP_SYS(socketpair), SCMP_SYS(fcntl)};

static const struct call calls[] = {
    /* The relay: frames, pairs, control connections, answers. */
    ONE(ioctl, IS(1, SIOCINQ)),  /* pair_fresh_bytes() */
    ONE(ioctl, IS(1, SIOCOUTQ)), /* what a program has not read */
    ANY(read), ANY(readv), ANY(write), ANY(writev), ANY(pread64),
    ANY(recvmsg), ANY(recvmmsg), ANY(recvfrom), ANY(sendmsg), ANY(sendmmsg), ANY(sendto),
    ANY(sendfile), /* the filler of a pair */
    ANY(shutdown), ANY(close),
    ANY(epoll_wait), ANY(epoll_pwait), ANY(epoll_pwait2), ANY(epoll_ctl),
    ANY(poll), ANY(ppoll),      /* pair_is_closed() */
    ANY(restart_syscall),       /* waiting goes on after SIGSTOP and SIGCONT */
    /* A TAP device that was removed is there again. */
    ONE(ioctl, IS(1, TUNSETIFF)), ONE(ioctl, IS(1, TUNSETVNETHDRSZ)), ONE(ioctl, IS(1, TUNSETOFFLOAD)),
    /* New sockets. */
    ONE(socketpair, IS(0, AF_UNIX)),
    ANY(bind), ANY(accept4),    /* of sockets of AF_UNIX, there being no others: a pair is a connection to ourselves */
    ONE(setsockopt, IS(1, SOL_SOCKET)), ONE(getsockopt, IS(1, SOL_SOCKET)),
    ANY(fstat), ANY(newfstatat), ANY(statx), /* a descriptor's inode; has resolv.conf changed? */
    /* Logs, systemd. */
    ONE(socket, IS(0, AF_UNIX)), ANY(connect),
    ANY(memfd_create), /* the state, for another service that takes over; a cork page */
    ANY(ftruncate), ONE(fcntl, IS(1, F_ADD_SEALS)), /* of such a page */
    /* Pipes to tools. */
    ANY(pipe2), ONE(fcntl, IS(1, F_GETFL)), ONE(fcntl, IS(1, F_SETFL)),
    /* Files: the configuration, resolv.conf, /proc. To read. */
    ONE(openat, HAS(2, OPEN_WRITES, O_RDONLY)), ONE(open, HAS(1, OPEN_WRITES, O_RDONLY)),
    ANY(readlink), ANY(readlinkat), /* which program is it? */
    ANY(lseek),                     /* fclose() */
    ANY(unlink), ANY(unlinkat),     /* the control socket, at the end */
    /* Memory that can't be executed. */
    ANY(brk), ANY(munmap), ANY(mremap), ANY(madvise),
    ONE(mmap, HAS(2, PROT_EXEC, 0)), ONE(mmap2, HAS(2, PROT_EXEC, 0)), ONE(mprotect, HAS(2, PROT_EXEC, 0)),
    /* Time, chance, oneself. */
    ANY(clock_gettime), ANY(gettimeofday), ANY(time), /* where the kernel's page has them not */
    ANY(getrandom), ANY(getpid), ANY(gettid), ANY(geteuid), ANY(getuid), ANY(getegid), ANY(getgid), ANY(getrusage),
    ANY(uname), /* the resolver library asks for our name */
    ANY(getcpu), ANY(sched_getaffinity), ANY(sched_yield), ANY(futex),
    ANY(timer_settime), /* loop_guard.c */
    /* A thread more (passed.c), and no process. */
    ONE(clone, HAS(0, CLONE_THREAD, CLONE_THREAD)), /* clone3(): its flags can't be seen; libc does without */
    ANY(set_robust_list), ANY(rseq),
    ONE(rt_sigaction, IS(0, __SIGRTMIN + 1)), /* libc's for setuid() in all threads, with the first of them */
    /* The end; abort(). tgkill() is in allow_signals(). */
    ANY(exit), ANY(exit_group), ANY(rt_sigreturn), ANY(rt_sigprocmask),
};

/* What libvdeplug and its modules need besides: a network, a place in a switch's directory. */
static const struct call wide_calls[] = {
    ANY(socket), ANY(socketpair), ANY(listen), ANY(accept), ANY(setsockopt), ANY(getsockopt), ANY(getsockname), ANY(getpeername),
    ANY(ioctl), ANY(fcntl), ANY(select), ANY(pselect6), ANY(pipe), ANY(eventfd2), ANY(epoll_create1), ANY(timerfd_create), ANY(timerfd_settime),
    ANY(open), ANY(openat), ANY(access), ANY(faccessat), ANY(faccessat2), ANY(stat), ANY(lstat), ANY(getdents64), ANY(getcwd),
    ANY(mkdir), ANY(rmdir), ANY(chmod), ANY(fchmod), ANY(chown), ANY(umask), ANY(rename), ANY(dup), ANY(dup2), ANY(dup3), ANY(flock),
    ANY(mmap), ANY(mprotect), /* dlopen() */
    ANY(rt_sigaction), ANY(sigaltstack), ANY(tgkill), ANY(nanosleep), ANY(clock_nanosleep),
    ANY(getppid), ANY(getresuid), ANY(getresgid), ANY(getgroups), ANY(prlimit64), ANY(uname), ANY(sysinfo), ONE(prctl, IS(0, PR_SET_NAME)),
};

#ifdef SANDBOX_SANITIZED
/* The sanitizers': reports go to files, memory is mapped and protected at will, and at the end a thread of the
 * process's looks at the others for leaks. */
static const struct call sanitizer_calls[] = {
    ONE(openat, HAS(2, O_ACCMODE | O_CREAT, O_WRONLY | O_CREAT)), ANY(mmap), ANY(mprotect), ANY(clone), ANY(wait4),
    ONE(ptrace, IS(0, PTRACE_ATTACH)), ONE(ptrace, IS(0, PTRACE_DETACH)), ONE(ptrace, IS(0, PTRACE_GETREGS)),
    ONE(ptrace, IS(0, PTRACE_GETREGSET)), ONE(ptrace, IS(0, PTRACE_CONT)),
    ANY(prctl), ANY(sigaltstack), ANY(rt_sigaction), ANY(tgkill), ANY(getdents), ANY(getdents64), ANY(getppid), ANY(prlimit64), ANY(getrlimit), ANY(stat),
    ANY(dup), ANY(fcntl), ANY(uname), ANY(process_vm_readv), ANY(msync), ANY(mincore), ANY(pipe),
};
#endif

static const char *names[CALLS_MAX]; /* for good */

static void put(char **to, const char *text)
{
    size_t length = strlen(text);

    memcpy(*to, text, length);
    *to += length;
}

static void put_number(char **to, int number)
{
    char digits[12], *first = digits + sizeof digits - 1;

    *first = '\0';
    do
        *--first = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    put(to, first);
}

/* SIGSYS: say which call it was, and end by the signal. */
static void end_by_call(int signal, siginfo_t *info, void *context)
{
    int number = info->si_syscall;
    char text[256], *end = text;
    ssize_t written;

    (void)context;
    put(&end, "sidestackd: error: sandbox: system call ");
    put_number(&end, number > 0 ? number : 0);
    put(&end, " (");
    put(&end, number >= 0 && number < CALLS_MAX && names[number] != NULL ? names[number] : "unknown");
    put(&end, ") is none that the service makes, or not with these arguments: it ends here; report it (--sandbox off does without)\n");
    written = write(STDERR_FILENO, text, (size_t)(end - text));
    (void)written; /* there is nobody else to tell */
    (void)syscall(SYS_tgkill, getpid(), (pid_t)syscall(SYS_gettid), signal); /* SA_RESETHAND, SA_NODEFER: at once */
}

/* Return: 0 or -errno. */
static int prepare_handler(void)
{
    struct sigaction action = {.sa_sigaction = end_by_call, .sa_flags = SA_SIGINFO | (int)SA_RESETHAND | SA_NODEFER};

    for (int i = 0; i < CALLS_MAX; i++)
        if (names[i] == NULL)
            names[i] = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, i);
    return sigaction(SIGSYS, &action, NULL) < 0 ? -errno : 0;
}

/* Allow each call of a list. Return: 0 or -errno. */
static int allow(scmp_filter_ctx filter, const struct call *list, size_t count)
{
    int error = 0;

    for (size_t i = 0; i < count && error == 0; i++)
        error = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, list[i].number, list[i].count, &list[i].argument);
    return error;
}

/* abort() and the handler: to ourselves, and only these signals. Return: 0 or -errno. */
static int allow_signals(scmp_filter_ctx filter)
{
    const int signals[] = {SIGABRT, SIGSYS};
    int error = 0;

    for (size_t i = 0; i < sizeof signals / sizeof *signals && error == 0; i++)
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 2, (struct scmp_arg_cmp)IS(0, getpid()),
                                 (struct scmp_arg_cmp)IS(2, signals[i]));
    return error;
}

int sandbox_enter(enum sandbox_kind kind)
{
    scmp_filter_ctx filter = seccomp_init(kind == SANDBOX_WIDE ? SCMP_ACT_ERRNO(EPERM) : SCMP_ACT_TRAP);
    int error = filter != NULL ? prepare_handler() : -ENOMEM;

    if (error == 0)
        error = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (error == 0)
        error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1); /* a module's threads, too */
    if (error == 0)
        error = seccomp_attr_set(filter, SCMP_FLTATR_API_SYSRAWRC, 1); /* the kernel's word for what fails */
    if (error == 0)
        error = allow(filter, calls, sizeof calls / sizeof *calls);
    for (size_t i = 0; i < sizeof looked_at / sizeof *looked_at && error == 0; i++)
        error = seccomp_syscall_priority(filter, looked_at[i], (uint8_t)(UINT8_MAX - i));
    if (error == 0)
        error = allow_signals(filter);
    if (error == 0)
        error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (error == 0 && kind == SANDBOX_WIDE)
        error = allow(filter, wide_calls, sizeof wide_calls / sizeof *wide_calls);
#ifdef SANDBOX_SANITIZED
    if (error == 0)
        error = allow(filter, sanitizer_calls, sizeof sanitizer_calls / sizeof *sanitizer_calls);
#endif
    if (error == 0)
        error = seccomp_load(filter);
    seccomp_release(filter);
    if (error == 0)
        users_seclude();
    return error;
}
