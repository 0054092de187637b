/* SPDX-License-Identifier: MIT */
/* Timetables of limits, and rules about which files are taken. */
#include "fs/store/rules.h"
#include "fs/store/timetable.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct ftx_timetable table_of(const char *text)
{
    struct ftx_timetable table;
    if (ftx_timetable_parse(text, strlen(text), &table))
        fail_msg("refused: %s", text);
    return table;
}

static void period_holds_from_its_first_minute_to_its_last(void **state)
{
    (void)state;
    const struct ftx_timetable table = table_of("08:00-18:00=2M,else=5");
    assert_int_equal(ftx_timetable_rate(&table, 8 * 60 - 1), 5);
    assert_int_equal(ftx_timetable_rate(&table, 8 * 60), 2 << 20);
    assert_int_equal(ftx_timetable_rate(&table, 18 * 60 - 1), 2 << 20);
    assert_int_equal(ftx_timetable_rate(&table, 18 * 60), 5);
}

static void night_goes_over_midnight(void **state)
{
    (void)state;
    const struct ftx_timetable table = table_of("else=1K,22:30-06:00=none,12:00-13:00=7");
    static const unsigned none[] = {22 * 60 + 30, FTX_DAY_MINUTES - 1, 0, 6 * 60 - 1};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_int_equal(ftx_timetable_rate(&table, none[i]), 0);
    assert_int_equal(ftx_timetable_rate(&table, 6 * 60), 1024);
    assert_int_equal(ftx_timetable_rate(&table, 12 * 60), 7);
}

static void outside_of_all_periods_there_is_no_limit_unless_it_is_said(void **state)
{
    (void)state;
    const struct ftx_timetable table = table_of("00:00-12:00=3");
    assert_int_equal(ftx_timetable_rate(&table, 11 * 60), 3);
    assert_int_equal(ftx_timetable_rate(&table, 12 * 60), 0);
    const struct ftx_timetable whole = table_of("00:00-24:00=3"), plain = table_of("2M");
    assert_int_equal(ftx_timetable_rate(&whole, FTX_DAY_MINUTES - 1), 3);
    assert_int_equal(ftx_timetable_rate(&plain, 0), 2 << 20);
}

static void timetable_is_written_as_it_is_read(void **state)
{
    static const char *const rows[][2] = {
        {"none", "none"},
        {"0", "none"},
        {"2M", "2097152"},
        {"08:00-18:00=2M", "08:00-18:00=2097152,else=none"},
        {"else=1,00:00-24:00=none", "00:00-24:00=none,else=1"},
    };
    char text[FTX_TIMETABLE_TEXT];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct ftx_timetable table = table_of(rows[i][0]);
        ftx_timetable_text(&table, text);
        assert_string_equal(text, rows[i][1]);
    }
}

static void refuses_what_is_no_timetable(void **state)
{
    static const char *const rows[] = {"",
                                       ",",
                                       "else=2M",
                                       "08:00-18:00",
                                       "08:00-18:00=",
                                       "8:00-18:00=1",
                                       "08:00-18:60=1",
                                       "08:00-24:01=1",
                                       "24:00-08:00=1",
                                       "08:00-00:00=1",
                                       "08:00-08:00=1",
                                       "08:00-18:00=-1",
                                       "08:00-18:00=2M,",
                                       "08:00-18:00=1,17:59-19:00=2",
                                       "22:00-06:00=1,05:00-07:00=2",
                                       "else=1,else=2,08:00-18:00=1",
                                       "00:00-01:00=1,01:00-02:00=1,02:00-03:00=1,03:00-04:00=1,"
                                       "04:00-05:00=1,05:00-06:00=1,06:00-07:00=1,07:00-08:00=1,"
                                       "08:00-09:00=1",
                                       "08:00-18:00=8388608T"};
    struct ftx_timetable table;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (ftx_timetable_parse(rows[i], strlen(rows[i]), &table) != -EINVAL)
            fail_msg("taken: %s", rows[i]);
}

/* The last Sunday of October 2026 in Berlin: 02:30 comes twice. */
static void minute_is_that_of_the_clock_on_the_wall(void **state)
{
    enum { FIRST = 1792888200 }; /* 00:30 UTC */
    (void)state;
    assert_int_equal(setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1), 0);
    tzset();
    assert_int_equal(ftx_timetable_minute(FIRST), 2 * 60 + 30);
    assert_int_equal(ftx_timetable_minute(FIRST + 3600), 2 * 60 + 30);
    assert_int_equal(ftx_timetable_minute(FIRST + 7200), 3 * 60 + 30);
    unsetenv("TZ");
    tzset();
}

static struct ftx_rules rules_of(enum ftx_rule rule, const char *text)
{
    struct ftx_rules rules = {0};
    if (ftx_rule_parse(rule, text, strlen(text), rules.text[rule]))
        fail_msg("refused: %s", text);
    return rules;
}

static bool takes(const struct ftx_rules *rules, const char *name)
{
    return ftx_rules_take_name(rules, name, strlen(name));
}

static void ending_is_what_stands_behind_a_dot(void **state)
{
    (void)state;
    const struct ftx_rules deny = rules_of(FTX_RULE_DENY_EXT, "EXE,tar.gz");
    assert_false(takes(&deny, "a.exe"));
    assert_false(takes(&deny, "A.b.ExE"));
    assert_false(takes(&deny, "x.tar.gz"));
    assert_true(takes(&deny, "x.gz"));
    assert_true(takes(&deny, "exe"));
    assert_true(takes(&deny, ".exe"));
    assert_true(takes(&deny, "a.exe2"));
}

static void only_what_is_allowed_is_taken(void **state)
{
    (void)state;
    struct ftx_rules allow = rules_of(FTX_RULE_ALLOW_EXT, "jpg,png");
    assert_true(takes(&allow, "a.PNG"));
    assert_false(takes(&allow, "a.gif"));
    assert_false(takes(&allow, "jpg"));
    memcpy(allow.text[FTX_RULE_DENY_EXT], "raw.jpg", sizeof "raw.jpg");
    assert_false(takes(&allow, "a.raw.jpg"));
    assert_int_equal(ftx_rule_parse(FTX_RULE_ALLOW_EXT, "none", 4, allow.text[FTX_RULE_ALLOW_EXT]),
                     0);
    assert_true(takes(&allow, "a.gif"));
}

static void kind_is_one_or_all_of_a_type(void **state)
{
    (void)state;
    const struct ftx_rules allow = rules_of(FTX_RULE_ALLOW_MIME, "image/*,Application/PDF");
    const struct ftx_rules none = {0};
    assert_true(ftx_rules_look(&allow) && !ftx_rules_look(&none));
    assert_true(ftx_rules_take_mime(&allow, "image/png"));
    assert_true(ftx_rules_take_mime(&allow, "application/pdf"));
    assert_false(ftx_rules_take_mime(&allow, "application/pdfx"));
    assert_false(ftx_rules_take_mime(&allow, "video/mp4"));
    assert_true(ftx_rules_take_mime(&none, "video/mp4"));
}

static void refuses_what_is_no_rule(void **state)
{
    static const struct {
        enum ftx_rule rule;
        const char *text;
    } rows[] = {{FTX_RULE_DENY_EXT, ""},       {FTX_RULE_DENY_EXT, ".exe"},
                {FTX_RULE_DENY_EXT, "a,,b"},   {FTX_RULE_DENY_EXT, "a,"},
                {FTX_RULE_DENY_EXT, "a/b"},    {FTX_RULE_DENY_EXT, "a\tb"},
                {FTX_RULE_DENY_MIME, "image"}, {FTX_RULE_DENY_MIME, "/png"},
                {FTX_RULE_DENY_MIME, "*/png"}, {FTX_RULE_DENY_MIME, "image/"},
                {FTX_RULE_DENY_MIME, "a/b/c"}, {FTX_RULE_DENY_MIME, "image/p*"}};
    char out[FTX_RULE_MAX], longest[FTX_RULE_MAX + 1];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (ftx_rule_parse(rows[i].rule, rows[i].text, strlen(rows[i].text), out) != -EINVAL)
            fail_msg("taken: %s", rows[i].text);
    for (size_t i = 0; i < sizeof longest; i++)
        longest[i] = i % 2 ? ',' : 'a';
    assert_int_equal(ftx_rule_parse(FTX_RULE_DENY_EXT, longest, FTX_RULE_MAX - 1, out), 0);
    assert_int_equal(ftx_rule_parse(FTX_RULE_DENY_EXT, longest, FTX_RULE_MAX + 1, out), -EINVAL);
    assert_int_equal(ftx_rule_parse(FTX_RULE_DENY_EXT, "a\0b", 3, out), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(period_holds_from_its_first_minute_to_its_last),
        cmocka_unit_test(night_goes_over_midnight),
        cmocka_unit_test(outside_of_all_periods_there_is_no_limit_unless_it_is_said),
        cmocka_unit_test(timetable_is_written_as_it_is_read),
        cmocka_unit_test(refuses_what_is_no_timetable),
        cmocka_unit_test(minute_is_that_of_the_clock_on_the_wall),
        cmocka_unit_test(ending_is_what_stands_behind_a_dot),
        cmocka_unit_test(only_what_is_allowed_is_taken),
        cmocka_unit_test(kind_is_one_or_all_of_a_type),
        cmocka_unit_test(refuses_what_is_no_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
