/* SPDX-License-Identifier: MIT */
/* ftx_escape: what a terminal may see of names that somebody else chose. */
#include "transport/base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void assert_escaped(const char *bytes, const char *expected)
{
    char out[256];
    assert_string_equal(ftx_escape(out, sizeof out, bytes, strlen(bytes)), expected);
}

static void printable_text_stays(void **state)
{
    (void)state;
    assert_escaped("song 1.flac", "song 1.flac");
    assert_escaped("caf\xc3\xa9 \xe6\x97\xa5 \xf0\x9f\x8e\xb8",
                   "caf\xc3\xa9 \xe6\x97\xa5 \xf0\x9f\x8e\xb8");
}

static void control_bytes_are_escaped(void **state)
{
    (void)state;
    assert_escaped("\033[31mred\033[0m", "\\x1b[31mred\\x1b[0m");
    assert_escaped("\033]0;title\a", "\\x1b]0;title\\x07");
    assert_escaped("a\nb\rc\td\x7f", "a\\x0ab\\x0dc\\x09d\\x7f");
}

static void the_backslash_is_escaped(void **state)
{
    (void)state;
    assert_escaped("\\x1b", "\\x5cx1b");
}

static void c1_controls_and_direction_marks_are_escaped(void **state)
{
    (void)state;
    assert_escaped("\xc2\x9b"
                   "31m",
                   "\\xc2\\x9b31m");
    assert_escaped("exe\xe2\x80\xae"
                   "fdp.",
                   "exe\\xe2\\x80\\xaefdp.");
    assert_escaped("\xe2\x81\xa6", "\\xe2\\x81\\xa6");
}

static void what_is_no_utf8_is_escaped(void **state)
{
    (void)state;
    assert_escaped("caf\xe9", "caf\\xe9");
    assert_escaped("\xc0\xaf", "\\xc0\\xaf");          /* overlong */
    assert_escaped("\xed\xa0\x80", "\\xed\\xa0\\x80"); /* half a pair */
    assert_escaped("\xe6\x97", "\\xe6\\x97");          /* cut */
    assert_escaped("\xf5\x80\x80\x80", "\\xf5\\x80\\x80\\x80");
}

static void a_small_buffer_cuts_between_characters(void **state)
{
    (void)state;
    char out[8];
    assert_string_equal(ftx_escape(out, sizeof out, "ab\033\033", 4), "ab\\x1b");
    assert_string_equal(ftx_escape(out, 1, "abc", 3), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(printable_text_stays),
        cmocka_unit_test(control_bytes_are_escaped),
        cmocka_unit_test(the_backslash_is_escaped),
        cmocka_unit_test(c1_controls_and_direction_marks_are_escaped),
        cmocka_unit_test(what_is_no_utf8_is_escaped),
        cmocka_unit_test(a_small_buffer_cuts_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
