/* SPDX-License-Identifier: MIT */
/* .ftxignore reads as gitignore(5) does; the cases were checked against git check-ignore. */
#include "tools/ftx/ignore.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *rules, *path; /* a / at the path's end: a folder */
    bool skipped;
} cases[] = {
    {"*.o", "a.o", true},
    {"*.o", "deep/er/a.o", true},
    {"*.o", "a.c", false},
    {"*.o", "a.o.c", false},
    {"/a.o", "a.o", true},
    {"/a.o", "deep/a.o", false},
    {"deep/a.o", "deep/a.o", true},
    {"deep/a.o", "very/deep/a.o", false},
    {"build/", "build/", true},
    {"build/", "build", false},
    {"build/", "deep/build/", true},
    {"a/*/c", "a/b/c", true},
    {"a/*/c", "a/b/b/c", false},
    {"a/**/c", "a/c", true},
    {"a/**/c", "a/b/b/c", true},
    {"a/**/c", "a/bc", false},
    {"**/c", "c", true},
    {"**/c", "a/b/c", true},
    {"**/c", "a/bc", false},
    {"a/**", "a/b/c", true},
    {"a/**", "a/", false},
    {"a**b", "axxb", true},
    {"a**b", "ax/b", false},
    {"?.c", "a.c", true},
    {"?.c", "ab.c", false},
    {"/a?b", "a/b", false},
    {"[a-c].c", "b.c", true},
    {"[!a-c].c", "b.c", false},
    {"[!a-c].c", "d.c", true},
    {"[]x].c", "].c", true},
    {"[[:digit:]]*", "7up", true},
    {"[[:digit:]]*", "up7", false},
    {"a[/]b", "a/b", false},
    {"[a", "[a", false},
    {"*.log\n!keep.log", "keep.log", false},
    {"*.log\n!keep.log", "other.log", true},
    {"!keep.log\n*.log", "keep.log", true},
    {"# x", "# x", false},
    {"\\# x", "# x", true},
    {"\\!x", "!x", true},
    {"x  ", "x", true},
    {"x\\ ", "x ", true},
    {"x\\", "x", false},
    {"\\*", "*", true},
    {"\\*", "a", false},
    {"x\r", "x", true},
    {"", "x", false},
    {"/", "x", false},
    {"*", "x", true},
    {"**", "a/b", true},
    {"caf\xe9", "caf\xe9", true},
    {"a*a*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
     false},
};

static void patterns_match_as_in_gitignore(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ftx_ignore ignore = {0};
        char path[128];
        size_t n = strlen(cases[i].path);
        bool folder = cases[i].path[n - 1] == '/';
        memcpy(path, cases[i].path, n + 1);
        path[n - folder] = '\0';
        assert_int_equal(ftx_ignore_add_text(&ignore, cases[i].rules, strlen(cases[i].rules)), 0);
        bool skipped = ftx_ignore_match(&ignore, path, folder) == FTX_IGNORE_SKIP;
        ftx_ignore_close(&ignore);
        if (skipped != cases[i].skipped)
            fail_msg("'%s' on '%s'", cases[i].rules, cases[i].path);
    }
}

static void too_long_a_pattern_matches_nothing(void **state)
{
    (void)state;
    struct ftx_ignore ignore = {0};
    char line[4000];
    memset(line, '*', sizeof line);
    assert_int_equal(ftx_ignore_add(&ignore, line, sizeof line), 0);
    assert_int_equal(ftx_ignore_match(&ignore, "x", false), FTX_IGNORE_UNSAID);
    ftx_ignore_close(&ignore);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_match_as_in_gitignore),
        cmocka_unit_test(too_long_a_pattern_matches_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
