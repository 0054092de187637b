/* SPDX-License-Identifier: MIT */
/* Whose turn it is: urgency, priority, small before large, fairness, what waits for its operation.
 */
#include "transport/session/scheduler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N = 24, ANY = 1000, MIB = 1 << 20 };

struct fixture {
    struct ftx_scheduler s;
    struct ftx_stream at[N];
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    ftx_scheduler_init(&f->s);
    for (size_t i = 0; i < N; i++)
        ftx_stream_init(&f->at[i], i, 1);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    free(*state);
    return 0;
}

static void expect(struct fixture *f, size_t i, size_t bytes)
{
    struct ftx_stream *next = ftx_scheduler_next(&f->s, false, ANY);
    assert_non_null(next);
    assert_int_equal(next->id, i);
    ftx_scheduler_took(&f->s, next, bytes);
}

static void nothing_comes_of_nothing(void **state)
{
    struct fixture *f = *state;
    assert_null(ftx_scheduler_next(&f->s, true, ANY));
    ftx_scheduler_remove(&f->s, &f->at[0]);
    ftx_scheduler_clear(&f->s);
}

static void higher_priority_goes_first(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i <= FTX_PRIORITY_MAX; i++) {
        f->at[i].priority = (uint8_t)i;
        f->at[i].small = i % 2;
        ftx_scheduler_add(&f->s, &f->at[i]);
    }
    for (size_t i = FTX_PRIORITY_MAX + 1; i-- > 0;) {
        expect(f, i, 1);
        expect(f, i, MIB);
        ftx_scheduler_remove(&f->s, &f->at[i]);
    }
}

static void small_goes_before_large_but_not_for_ever(void **state)
{
    struct fixture *f = *state;
    f->at[1].small = true;
    ftx_scheduler_add(&f->s, &f->at[0]);
    ftx_scheduler_add(&f->s, &f->at[1]);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 4; i++)
            expect(f, 1, MIB);
        expect(f, 0, MIB);
    }
}

static void large_ones_take_turns(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < 3; i++)
        ftx_scheduler_add(&f->s, &f->at[i]);
    for (int round = 0; round < 3; round++)
        for (size_t i = 0; i < 3; i++)
            expect(f, i, MIB);
}

static void adding_again_keeps_the_turn(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < 3; i++)
        ftx_scheduler_add(&f->s, &f->at[i]);
    for (size_t i = 0; i < 6; i++) {
        ftx_scheduler_add(&f->s, &f->at[i % 3]); /* written to again, just before its turn */
        expect(f, i % 3, MIB);
    }
}

static void a_changed_stream_moves(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < 3; i++)
        ftx_scheduler_add(&f->s, &f->at[i]);
    f->at[2].priority = 9;
    ftx_scheduler_add(&f->s, &f->at[2]);
    f->at[1].small = true;
    ftx_scheduler_add(&f->s, &f->at[1]);
    expect(f, 2, 1);
    ftx_scheduler_remove(&f->s, &f->at[2]);
    expect(f, 1, 1);
}

static void urgent_goes_before_all(void **state)
{
    struct fixture *f = *state;
    f->at[0].priority = FTX_PRIORITY_MAX;
    f->at[1].priority = 0;
    f->at[1].urgent = true;
    ftx_scheduler_add(&f->s, &f->at[0]);
    ftx_scheduler_add(&f->s, &f->at[1]);
    expect(f, 1, MIB);
    expect(f, 1, MIB);
}

static void waits_for_its_operation(void **state)
{
    struct fixture *f = *state;
    f->at[0].op = 7;
    ftx_scheduler_add(&f->s, &f->at[0]);
    assert_null(ftx_scheduler_next(&f->s, true, 6));
    ftx_scheduler_add(&f->s, &f->at[1]);
    assert_int_equal(ftx_scheduler_next(&f->s, false, 6)->id, 1);
    assert_int_equal(ftx_scheduler_next(&f->s, false, 7)->id, 0);
}

static void looks_past_some_that_wait_not_all(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < N; i++) {
        f->at[i].op = i < 15 ? 2 : 1;
        ftx_scheduler_add(&f->s, &f->at[i]);
    }
    assert_int_equal(ftx_scheduler_next(&f->s, false, 1)->id, 15);
    ftx_scheduler_remove(&f->s, &f->at[15]);
    f->at[16].op = 2;
    assert_null(ftx_scheduler_next(&f->s, false, 1));
    assert_int_equal(ftx_scheduler_next(&f->s, false, 2)->id, 0);
}

static void control_takes_lone_seals_first(void **state)
{
    struct fixture *f = *state;
    f->at[0].urgent = true;
    f->at[1].control_only = true;
    ftx_scheduler_add(&f->s, &f->at[0]);
    ftx_scheduler_add(&f->s, &f->at[1]);
    assert_int_equal(ftx_scheduler_next(&f->s, true, ANY)->id, 1);
    assert_int_equal(ftx_scheduler_next(&f->s, false, ANY)->id, 0);
    ftx_scheduler_remove(&f->s, &f->at[0]);
    assert_null(ftx_scheduler_next(&f->s, false, ANY));
}

static void the_unannounced_are_fresh_once(void **state)
{
    struct fixture *f = *state;
    ftx_scheduler_add(&f->s, &f->at[0]);
    ftx_scheduler_add(&f->s, &f->at[0]);
    f->at[1].announced = true;
    ftx_scheduler_add(&f->s, &f->at[1]);
    assert_ptr_equal(f->s.fresh.next, &f->at[0].fresh);
    assert_ptr_equal(f->s.fresh.prev, &f->at[0].fresh);
    ftx_scheduler_remove(&f->s, &f->at[0]);
    assert_true(ftx_list_empty(&f->s.fresh));
}

static void one_that_went_meanwhile_stays_away(void **state)
{
    struct fixture *f = *state;
    ftx_scheduler_add(&f->s, &f->at[0]);
    ftx_scheduler_remove(&f->s, &f->at[0]);
    ftx_scheduler_took(&f->s, &f->at[0], MIB);
    assert_null(ftx_scheduler_next(&f->s, true, ANY));
}

static void clear_unlinks_all(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < 8; i++) {
        f->at[i].urgent = i == 1;
        f->at[i].control_only = i == 2;
        f->at[i].small = i == 3;
        f->at[i].priority = (uint8_t)i;
        ftx_scheduler_add(&f->s, &f->at[i]);
    }
    ftx_scheduler_clear(&f->s);
    for (size_t i = 0; i < 8; i++)
        assert_false(ftx_list_linked(&f->at[i].queue) || ftx_list_linked(&f->at[i].fresh));
    ftx_scheduler_add(&f->s, &f->at[3]);
    expect(f, 3, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_comes_of_nothing),
        TEST(higher_priority_goes_first),
        TEST(small_goes_before_large_but_not_for_ever),
        TEST(large_ones_take_turns),
        TEST(adding_again_keeps_the_turn),
        TEST(a_changed_stream_moves),
        TEST(urgent_goes_before_all),
        TEST(waits_for_its_operation),
        TEST(looks_past_some_that_wait_not_all),
        TEST(control_takes_lone_seals_first),
        TEST(the_unannounced_are_fresh_once),
        TEST(one_that_went_meanwhile_stays_away),
        TEST(clear_unlinks_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
