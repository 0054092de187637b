/* SPDX-License-Identifier: MIT */
/* How fast a pipe is taken to be and what may stand before it; when a session adds connections; what a
 * limit lets pass. */
#include "transport/peer/growth.h"
#include "transport/peer/limit.h"
#include "transport/peer/pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

enum { KIB = 1 << 10, MIB = 1 << 20, RTT_US = 50 * 1000, SPAN_MS = 500, START_MS = 600 };

/* A pipe that takes `rate` bytes per second, in records of `size`, never empty. */
static void carry(struct ftx_pace *pace, uint64_t rate, size_t size, uint64_t ms, uint64_t *now_ms)
{
    ftx_pace_queued(pace, *now_ms);
    for (uint64_t end = *now_ms + ms; *now_ms < end;) {
        *now_ms += size * 1000 / rate;
        ftx_pace_taken(pace, size, false, *now_ms);
    }
}

static void nothing_is_known_at_first(void **state)
{
    (void)state;
    struct ftx_pace pace = {0};
    assert_int_equal(ftx_pace_queue(&pace), 4 * MIB);
}

static void a_slow_pipe_gets_a_tenth_of_a_second(void **state)
{
    (void)state;
    struct ftx_pace pace = {0};
    uint64_t now_ms = 1000;
    carry(&pace, 2500000, 100000, 2000, &now_ms);
    assert_in_range(pace.rate, 2400000, 2600000);
    assert_in_range(ftx_pace_queue(&pace), 240000, 260000);
    carry(&pace, 20000, 10000, 20000, &now_ms);
    assert_in_range(ftx_pace_queue(&pace), 64 * KIB, 64 * KIB);
}

static void it_follows_a_pipe_that_becomes_faster(void **state)
{
    (void)state;
    struct ftx_pace pace = {0};
    uint64_t now_ms = 1000;
    carry(&pace, 100000, 10000, 5000, &now_ms);
    assert_in_range(pace.rate, 95000, 105000);
    carry(&pace, 20000000, 1000000, 3000, &now_ms);
    assert_in_range(pace.rate, 18000000, 21000000);
}

static void a_pipe_that_runs_empty_is_faster_than_that(void **state)
{
    (void)state;
    struct ftx_pace pace = {0};
    uint64_t now_ms = 1000;
    carry(&pace, 100000, 10000, 5000, &now_ms);
    ftx_pace_taken(&pace, 10000, true, now_ms);
    uint64_t slow = pace.rate;
    ftx_pace_queued(&pace, now_ms + 500); /* the rest before does not count */
    ftx_pace_taken(&pace, MIB, true, now_ms + 501);
    assert_int_equal(pace.rate, slow); /* went into the kernel's buffer: says nothing */
    ftx_pace_queued(&pace, now_ms + 600);
    ftx_pace_taken(&pace, MIB, false, now_ms + 602);
    ftx_pace_taken(&pace, MIB, false, now_ms + 604);
    ftx_pace_taken(&pace, MIB, true, now_ms + 606);
    assert_int_equal(ftx_pace_queue(&pace), 4 * MIB);
}

/* Looks every 10 ms for `ms`, with `rate` bytes per second; true if one was to be added. */
static bool look(struct ftx_growth *growth, bool full, uint64_t rate, uint32_t rtt_us, uint64_t ms,
                 uint64_t *now_ms, uint64_t *written)
{
    for (uint64_t end = *now_ms + ms; *now_ms < end;) {
        *now_ms += 10;
        *written += rate / 100;
        if (ftx_growth_look(growth, full, *written, rtt_us, *now_ms))
            return true;
    }
    return false;
}

static void adds_while_that_adds_throughput(void **state)
{
    (void)state;
    struct ftx_growth growth = {0};
    uint64_t now_ms = 5000, written = 0;
    assert_false(look(&growth, true, 10 * MIB, RTT_US, SPAN_MS, &now_ms, &written));
    assert_true(look(&growth, true, 10 * MIB, RTT_US, 20, &now_ms, &written));
    assert_false(look(&growth, true, 10 * MIB, RTT_US, START_MS, &now_ms, &written)); /* comes up */
    assert_true(look(&growth, true, 20 * MIB, RTT_US, SPAN_MS + 50, &now_ms, &written));
    assert_false(look(&growth, true, 21 * MIB, RTT_US, 60000, &now_ms, &written)); /* no gain */
    assert_true(growth.done);
    assert_false(look(&growth, true, 90 * MIB, RTT_US, 60000, &now_ms, &written));
}

static void a_short_way_needs_one(void **state)
{
    (void)state;
    struct ftx_growth growth = {0};
    uint64_t now_ms = 5000, written = 0;
    assert_false(look(&growth, true, 10 * MIB, 4999, 60000, &now_ms, &written));
    assert_false(look(&growth, true, 10 * MIB, 0, 60000, &now_ms, &written));
    assert_true(look(&growth, true, 10 * MIB, 5000, SPAN_MS + 50, &now_ms, &written));
}

static void who_has_nothing_more_to_send_needs_one(void **state)
{
    (void)state;
    struct ftx_growth growth = {0};
    uint64_t now_ms = 5000, written = 0;
    for (int i = 0; i < 100; i++) {
        assert_false(look(&growth, true, 10 * MIB, RTT_US, SPAN_MS - 20, &now_ms, &written));
        assert_false(look(&growth, false, 10 * MIB, RTT_US, 10, &now_ms, &written));
    }
}

/* Bytes that pass in `ms`, in pieces of `size`, by a clock of milliseconds. */
static uint64_t pass(struct ftx_limit *limit, size_t size, uint64_t ms, uint64_t *now_ms)
{
    uint64_t passed = 0;
    for (uint64_t end = *now_ms + ms; *now_ms < end;) {
        uint64_t wait_ms = ftx_limit_wait_ms(limit, *now_ms);
        *now_ms += wait_ms;
        if (wait_ms)
            continue;
        ftx_limit_take(limit, size);
        passed += size;
    }
    return passed;
}

static void a_limit_holds_for_pieces_of_any_size(void **state)
{
    (void)state;
    for (uint64_t rate = 1000; rate <= 1000000000; rate *= 100)
        for (size_t size = rate / 10000 + 100; size <= MIB; size *= 100) {
            struct ftx_limit limit = {0};
            uint64_t now_ms = 5000, ms = size * 20000 / rate + 10000;
            ftx_limit_set(&limit, rate, now_ms);
            uint64_t passed = pass(&limit, size, ms, &now_ms);
            assert_in_range(passed, rate * ms / 1000 / 100 * 94, rate * ms / 1000 / 100 * 112);
        }
}

static void a_limit_saves_no_more_than_a_tenth_of_a_second(void **state)
{
    (void)state;
    struct ftx_limit limit = {0};
    uint64_t now_ms = 5000;
    ftx_limit_set(&limit, 1000000, now_ms);
    now_ms += 3600 * 1000;
    assert_in_range(pass(&limit, 1000, 1000, &now_ms), 1000000, 1110000);
}

static void no_limit_lets_all_pass(void **state)
{
    (void)state;
    struct ftx_limit limit = {0};
    ftx_limit_take(&limit, UINT64_MAX);
    assert_int_equal(ftx_limit_wait_ms(&limit, 5), 0);
    ftx_limit_set(&limit, 1, 5);
    ftx_limit_take(&limit, 1000);
    assert_true(ftx_limit_wait_ms(&limit, 6) > 900000);
    ftx_limit_set(&limit, 0, 7); /* lifted: what was overdrawn is forgotten */
    assert_int_equal(ftx_limit_wait_ms(&limit, 7), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_known_at_first),
        cmocka_unit_test(a_slow_pipe_gets_a_tenth_of_a_second),
        cmocka_unit_test(it_follows_a_pipe_that_becomes_faster),
        cmocka_unit_test(a_pipe_that_runs_empty_is_faster_than_that),
        cmocka_unit_test(adds_while_that_adds_throughput),
        cmocka_unit_test(a_short_way_needs_one),
        cmocka_unit_test(who_has_nothing_more_to_send_needs_one),
        cmocka_unit_test(a_limit_holds_for_pieces_of_any_size),
        cmocka_unit_test(a_limit_saves_no_more_than_a_tenth_of_a_second),
        cmocka_unit_test(no_limit_lets_all_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
