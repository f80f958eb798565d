/* test_service_sandbox.c - a call that the service does not make ends it, and says so; what it makes goes on. */
#include "service/log/log.h"
#include "service/privilege/sandbox.h"
#include "service/privilege/users.h"
#include "tests/suite.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void open_to_write(void)
{
    (void)open("/dev/null", O_RDWR);
}

static void make_file(void)
{
    (void)mkdir("/tmp/sandbox", 0700);
}

static void make_host_socket(void)
{
    (void)socket(AF_INET, SOCK_STREAM, 0);
}

static void make_packet_socket(void)
{
    (void)socket(AF_PACKET, SOCK_RAW, 0);
}

static void execute(void)
{
    char *const arguments[] = {"true", NULL};

    (void)execv("/bin/true", arguments);
}

static void trace(void)
{
    (void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static void kill_another(void)
{
    (void)kill(1, 0);
}

static void change_device(void)
{
    struct ifreq request = {0};

    (void)ioctl(STDIN_FILENO, SIOCSIFFLAGS, &request);
}

static void become_root(void)
{
    (void)syscall(SYS_setresuid, 0, 0, 0);
}

static void filter_again(void)
{
    (void)syscall(SYS_seccomp, 0, 0, NULL);
}

static const struct {
    void (*call)(void);
    const char *name; /* that the message must have */
} forbidden[] = {
    {execute, "(execve)"},         {make_host_socket, "(socket)"}, {make_packet_socket, "(socket)"}, {open_to_write, "(openat)"},
    {make_file, "(mkdir)"},        {trace, "(ptrace)"},            {kill_another, "(kill)"},         {change_device, "(ioctl)"},
    {become_root, "(setresuid)"},  {filter_again, "(seccomp)"},
};

/* Run a function in a sandboxed process. Return: its status; text: what it wrote to standard error. */
static int run_secluded(void (*function)(void), enum sandbox_kind kind, char *text, size_t size)
{
    int ends[2], status;
    size_t used = 0;
    ssize_t got;
    pid_t child;

    ck_assert_int_eq(pipe(ends), 0);
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        if (sandbox_enter(kind) < 0)
            _exit(2);
        function();
        _exit(0);
    }
    close(ends[1]);
    while (used < size - 1 && (got = read(ends[0], text + used, size - 1 - used)) > 0)
        used += (size_t)got;
    text[used] = '\0';
    close(ends[0]);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return status;
}

START_TEST(forbidden_calls_end_the_process)
{
    char text[512];
    int status = run_secluded(forbidden[_i].call, SANDBOX_STRICT, text, sizeof text);

    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "%s: status %#x", forbidden[_i].name, (unsigned)status);
    ck_assert_msg(strstr(text, forbidden[_i].name) != NULL, "%s is not in: %s", forbidden[_i].name, text);
}
END_TEST

static void do_what_is_allowed(void)
{
    int ends[2], queued = -1;
    char byte;
    void *memory;
    FILE *file;
    uid_t user;
    gid_t group;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0 || send(ends[0], "x", 1, MSG_NOSIGNAL) != 1 ||
        ioctl(ends[1], SIOCINQ, &queued) < 0 || queued != 1 || recv(ends[1], &byte, 1, MSG_DONTWAIT) != 1)
        _exit(3);
    memory = malloc(1 << 20);
    file = fopen("/proc/loadavg", "re");
    if (memory == NULL || file == NULL || fgetc(file) == EOF)
        _exit(4);
    fclose(file);
    free(memory);
    if (!users_find("root", &user, &group) || user != 0 || users_find("nobody who is here", &user, &group))
        _exit(5);
    log_threshold = LOG_LEVEL_INFO;
    log_info("allowed");
}

START_TEST(allowed_calls_work)
{
    char text[512];
    int status = run_secluded(do_what_is_allowed, SANDBOX_STRICT, text, sizeof text);

    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x: %s", (unsigned)status, text);
    ck_assert_ptr_nonnull(strstr(text, "allowed"));
}
END_TEST

static void end_by_abort(void)
{
    abort();
}

START_TEST(an_assertion_ends_by_its_own_signal)
{
    char text[512];
    int status = run_secluded(end_by_abort, SANDBOX_STRICT, text, sizeof text);

    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "status %#x: %s", (unsigned)status, text);
}
END_TEST

static void try_to_execute(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0); /* a module has a network */

    if (fd < 0)
        _exit(3);
    execute();
    _exit(errno == EPERM ? 0 : 4);
}

START_TEST(a_module_gets_eperm)
{
    char text[512];
    int status = run_secluded(try_to_execute, SANDBOX_WIDE, text, sizeof text);

    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x: %s", (unsigned)status, text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sandbox");
    TCase *tcase = tcase_create("calls");

    tcase_add_loop_test(tcase, forbidden_calls_end_the_process, 0, sizeof forbidden / sizeof *forbidden);
    tcase_add_test(tcase, allowed_calls_work);
    tcase_add_test(tcase, an_assertion_ends_by_its_own_signal);
    tcase_add_test(tcase, a_module_gets_eperm);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
