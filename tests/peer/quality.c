/* SPDX-License-Identifier: MIT */
/* What is said of a way, by its round-trip time and its losses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "transport/peer/quality.h"

static void worse_of_time_and_loss_decides(void **state)
{
    static const struct {
        uint32_t rtt_us, again;
        const char *text;
    } rows[] = {
        {0, 0, "excellent"},  {30000, 5, "excellent"}, {30001, 0, "good"}, {100, 6, "good"},
        {100000, 20, "good"}, {100001, 0, "fair"},     {100, 21, "fair"},  {300000, 50, "fair"},
        {300001, 0, "poor"},  {100, 51, "poor"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ftx_quality quality = {0};
        ftx_quality_look(&quality, 1000, rows[i].again);
        assert_string_equal(ftx_quality_text(&quality, rows[i].rtt_us), rows[i].text);
    }
}

static void losses_are_those_of_late(void **state)
{
    struct ftx_quality quality = {0};
    (void)state;
    ftx_quality_look(&quality, 1000, 500);
    ftx_quality_look(&quality, 1100, 510); /* too few to say anything */
    assert_string_equal(ftx_quality_text(&quality, 0), "poor");
    ftx_quality_look(&quality, 11000, 510);
    assert_string_equal(ftx_quality_text(&quality, 0), "excellent");
    ftx_quality_look(&quality, UINT32_MAX, 510);
    ftx_quality_look(&quality, 999, 610); /* counters of 32 bits go around */
    assert_string_equal(ftx_quality_text(&quality, 0), "poor");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(worse_of_time_and_loss_decides),
        cmocka_unit_test(losses_are_those_of_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
