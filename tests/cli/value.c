/* SPDX-License-Identifier: MIT */
/* JSON of control files: a name's bytes come through, whatever they are, and terminals stay whole. */
#include "tools/ftx/value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_read(const char *text, const char *bytes)
{
    cJSON *value = ftx_value_read(text, strlen(text));
    assert_non_null(value);
    assert_string_equal(ftx_value_text(value, "path"), bytes);
    cJSON_Delete(value);
}

static void lone_surrogates_are_bytes(void **state)
{
    (void)state;
    assert_read("{\"path\":\"caf\\udce9\"}", "caf\xe9");
    assert_read("{\"path\":\"\\uDCFF\\udc80\"}", "\xff\x80");
}

static void pairs_and_escaped_backslashes_stay(void **state)
{
    (void)state;
    assert_read("{\"path\":\"\\ud83c\\udfb8\"}", "\xf0\x9f\x8e\xb8");
    assert_read("{\"path\":\"\\\\udce9\"}", "\\udce9");
    assert_read("{\"path\":\"\\ud83c\\udce9\"}", "\xf0\x9f\x83\xa9"); /* a pair, not a byte */
}

static void what_is_no_json_is_null(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "{", "{\"path\":\"\\u", "{\"path\":\"\\ud83c\"}", "\\"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_null(ftx_value_read(texts[i], strlen(texts[i])));
    assert_string_equal(ftx_value_text(NULL, "path"), "");
    assert_true(ftx_value_number(NULL, "size") == 0);
}

static void assert_line(const char *bytes, const char *expected)
{
    cJSON *value = cJSON_CreateString(bytes);
    char *line = ftx_value_line(value);
    assert_string_equal(line, expected);
    free(line);
    cJSON_Delete(value);
}

static void lines_hold_nothing_that_a_terminal_obeys(void **state)
{
    (void)state;
    assert_line("caf\xc3\xa9", "\"caf\xc3\xa9\"\n");
    assert_line("caf\xe9", "\"caf\\udce9\"\n");
    assert_line("\033[31m\x7f", "\"\\u001b[31m\\u007f\"\n");
    assert_line("\xc2\x9b", "\"\\u009b\"\n");
    assert_line("\xe2\x80\xae", "\"\\u202e\"\n");
    assert_line("a\"b\\c\n", "\"a\\\"b\\\\c\\n\"\n");
}

static void what_is_written_reads_the_same(void **state)
{
    (void)state;
    char bytes[256];
    for (int i = 1; i < 256; i++)
        bytes[i - 1] = (char)i;
    bytes[255] = '\0';
    cJSON *value = cJSON_CreateObject();
    cJSON_AddStringToObject(value, "path", bytes);
    char *line = ftx_value_line(value);
    assert_read(line, bytes);
    free(line);
    cJSON_Delete(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lone_surrogates_are_bytes),
        cmocka_unit_test(pairs_and_escaped_backslashes_stay),
        cmocka_unit_test(what_is_no_json_is_null),
        cmocka_unit_test(lines_hold_nothing_that_a_terminal_obeys),
        cmocka_unit_test(what_is_written_reads_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
