/*
 * test_tool_run.c - what `sidestack run` refuses, and where the control socket is.
 */
#include "service/control_path.h"
#include "service/tool/sidestack.h"
#include "tests/suite.h"

#include <check.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[] = "/tmp/sidestack-unit-XXXXXX";
static char path[sizeof directory + 32];
static char message[4096];

static void setup(void)
{
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/program", directory);
    message[0] = '\0';
}

static void teardown(void)
{
    unlink(path);
    rmdir(directory);
}

static void write_program(const void *content, size_t length, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0755);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, content, length), (ssize_t)length);
    ck_assert_int_eq(fchmod(fd, mode), 0); /* after the write, which takes set-uid away */
    close(fd);
}

/* The smallest file that looks like a program. */
static void write_elf(bool is_dynamic, unsigned char class, mode_t mode)
{
    struct {
        Elf64_Ehdr header;
        Elf64_Phdr segment;
    } elf;
    int self = open("/proc/self/exe", O_RDONLY);

    memset(&elf, 0, sizeof elf);
    ck_assert_int_eq(read(self, &elf.header, sizeof elf.header), sizeof elf.header);
    close(self);
    elf.header.e_ident[EI_CLASS] = class;
    elf.header.e_phoff = sizeof elf.header;
    elf.header.e_phnum = 1;
    elf.segment.p_type = is_dynamic ? PT_INTERP : PT_LOAD;
    write_program(&elf, sizeof elf, mode);
}

START_TEST(own_program_passes)
{
    ck_assert_int_eq(sidestack_check_program("/proc/self/exe", message, sizeof message), 0);
    write_elf(true, ELFCLASS64, 0755);
    ck_assert_int_eq(sidestack_check_program(path, message, sizeof message), 0);
}
END_TEST

START_TEST(static_program_is_refused)
{
    write_elf(false, ELFCLASS64, 0755);
    ck_assert_int_eq(sidestack_check_program(path, message, sizeof message), -ENOEXEC);
    ck_assert_ptr_nonnull(strstr(message, "program: "));
    ck_assert_ptr_nonnull(strstr(message, "static"));
}
END_TEST

START_TEST(other_machine_is_refused)
{
    write_elf(true, ELFCLASS32, 0755);
    ck_assert_int_eq(sidestack_check_program(path, message, sizeof message), -ENOEXEC);
    ck_assert_ptr_nonnull(strstr(message, "machine"));
}
END_TEST

START_TEST(rights_are_refused)
{
    write_elf(true, ELFCLASS64, 0755);
    ck_assert_int_eq(chown(path, 12345, 12345), 0);
    ck_assert_int_eq(chmod(path, S_ISUID | 0755), 0);
    ck_assert_int_eq(sidestack_check_program(path, message, sizeof message), -ENOEXEC);
    ck_assert_ptr_nonnull(strstr(message, "set-uid"));
    ck_assert_int_eq(chmod(path, S_ISGID | 0755), 0);
    ck_assert_int_eq(sidestack_check_program(path, message, sizeof message), -ENOEXEC);
    ck_assert_ptr_nonnull(strstr(message, "set-gid"));
    ck_assert_int_eq(chmod(path, 0755), 0);
    ck_assert_int_eq(sidestack_check_program(path, message, sizeof message), 0);
}
END_TEST

START_TEST(script_is_judged_by_its_interpreter)
{
    static const char good[] = "#! /bin/sh -e\nexit 0\n";
    static const char missing[] = "#!/nowhere/at-all\n";
    static const char none[] = "exit 0\n";
    char itself[sizeof path + 8];

    write_program(good, sizeof good - 1, 0755);
    ck_assert_int_eq(sidestack_check_program(path, message, sizeof message), 0);
    write_program(missing, sizeof missing - 1, 0755);
    ck_assert_int_eq(sidestack_check_program(path, message, sizeof message), -ENOENT);
    write_program(none, sizeof none - 1, 0755);
    ck_assert_int_eq(sidestack_check_program(path, message, sizeof message), 0);
    snprintf(itself, sizeof itself, "#!%s\n", path);
    write_program(itself, strlen(itself), 0755);
    ck_assert_int_eq(sidestack_check_program(path, message, sizeof message), -ELOOP);
}
END_TEST

START_TEST(program_is_found)
{
    char found[4096];

    write_elf(true, ELFCLASS64, 0755);
    setenv("PATH", "/nowhere:", 1);
    ck_assert_int_eq(sidestack_find_program("program", found, sizeof found), -ENOENT);
    setenv("PATH", directory, 1);
    ck_assert_int_eq(sidestack_find_program("program", found, sizeof found), 0);
    ck_assert_str_eq(found, path);
    ck_assert_int_eq(chmod(path, 0644), 0);
    ck_assert_int_eq(sidestack_find_program("program", found, sizeof found), -EACCES);
    ck_assert_int_eq(sidestack_find_program("./program", found, sizeof found), -ENOENT);
    ck_assert_int_eq(sidestack_find_program("", found, sizeof found), -ENOENT);
}
END_TEST

START_TEST(control_path)
{
    char out[64];

    unsetenv("SIDESTACK_SOCKET");
    unsetenv("SIDESTACK_NAME");
    if (geteuid() == 0) {
        ck_assert_int_eq(control_path_from_environment(out, sizeof out), 0);
        ck_assert_str_eq(out, "/run/sidestack/default.sock");
    }
    setenv("SIDESTACK_NAME", "web", 1);
    ck_assert_int_eq(control_path_from_environment(out, sizeof out), 0);
    ck_assert_ptr_nonnull(strstr(out, "/sidestack/web.sock"));
    ck_assert_int_eq(control_path_of_name("../x", out, sizeof out), -EINVAL);
    ck_assert_int_eq(control_path_of_name("..", out, sizeof out), -EINVAL);
    ck_assert_int_eq(control_path_of_name("", out, sizeof out), -EINVAL);
    ck_assert_int_eq(control_path_of_name("web", out, 10), -ENAMETOOLONG);
    setenv("SIDESTACK_SOCKET", "/a/path", 1);
    ck_assert_int_eq(control_path_from_environment(out, sizeof out), 0);
    ck_assert_str_eq(out, "/a/path");
    ck_assert_int_eq(control_path_from_environment(out, 7), -ENAMETOOLONG);
    ck_assert_int_eq(control_path_from_environment(out, 8), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sidestack run");
    TCase *tcase = tcase_create("run");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, own_program_passes);
    tcase_add_test(tcase, static_program_is_refused);
    tcase_add_test(tcase, other_machine_is_refused);
    tcase_add_test(tcase, rights_are_refused);
    tcase_add_test(tcase, script_is_judged_by_its_interpreter);
    tcase_add_test(tcase, program_is_found);
    tcase_add_test(tcase, control_path);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
