/* test_stack_segments.c - crafted segments: the cases of tests/segments, put to the stack. An argument is part of a
 * title. */
#include <check.h>
#include <stdlib.h>

#include "tests/segments/host.h"
#include "tests/segments/script.h"
#include "tests/suite.h"

static struct script_case *cases;
static int *chosen; /* indices of them */

START_TEST(segments)
{
    script_run(&cases[chosen[_i]]);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("stack segments");
    TCase *tcase = tcase_create("cases");
    size_t count = script_load_all("tests/segments/*.case", &cases);
    int meant = 0;

    chosen = calloc(count, sizeof *chosen);
    for (size_t i = 0; i < count; i++)
        if (script_is_meant(&cases[i], host.name, argc > 1 ? argv[1] : NULL))
            chosen[meant++] = (int)i;
    tcase_set_timeout(tcase, 30);
    tcase_add_loop_test(tcase, segments, 0, meant);
    suite_add_tcase(suite, tcase);
    return suite_run(suite) || meant == 0;
}
