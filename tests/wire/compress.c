/* SPDX-License-Identifier: MIT */
/* The policy: when it compresses, how hard, and what it leaves alone. */
#include "transport/session/compress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MIB = 1 << 20, MS = 1000 };

static struct ftx_compress c;
static uint64_t now_us, given;

static void begin(enum ftx_compress_mode mode)
{
    ftx_compress_init(&c, mode);
    now_us = 5000 * MS;
    given = 0;
    ftx_compress_look(&c, 0, 0, now_us);
}

/* `n` times the socket sends a MiB in `us`, of which a byte is still there when the next is given;
 * or it is dry for `idle`. */
static void take(unsigned n, uint64_t us, uint64_t idle)
{
    while (n--) {
        given += MIB;
        now_us += us;
        ftx_compress_look(&c, given, 1, now_us);
        now_us += idle;
        if (idle)
            ftx_compress_look(&c, given, 0, now_us);
    }
}

static struct ftx_plan *plan_of(uint64_t stream, uint64_t length)
{
    struct ftx_source source = {.extent = {.stream = stream, .length = length}};
    source.extent.kind = FTX_EXTENT_DATA;
    struct ftx_plan *plan = ftx_plan_new(0, 1);
    assert_non_null(plan);
    assert_int_equal(ftx_plan_add_extent(plan, &source), 0);
    return plan;
}

/* The level of a record of text now, of which a third is left, for 2 ns a byte and level. */
static int send_text(void)
{
    struct ftx_plan *plan = plan_of(1, MIB);
    struct ftx_packing *packing = &plan->entries[0].packing;
    ftx_compress_plan(&c, plan);
    int level = packing->level;
    packing->tried = level > 0;
    packing->after = MIB / 3;
    packing->ns = (uint32_t)level * 2 * MIB;
    ftx_compress_built(&c, plan);
    ftx_plan_free(plan);
    return level;
}

static void off_is_never_and_on_always(void **state)
{
    (void)state;
    begin(FTX_COMPRESS_OFF);
    take(50, 100 * MS, 0);
    assert_int_equal(send_text(), 0);
    begin(FTX_COMPRESS_ON);
    assert_int_equal(send_text(), 3);
    take(50, 1, 1);
    assert_int_equal(send_text(), 3);
}

static void the_rate_is_that_of_the_time_with_something_to_take(void **state)
{
    (void)state;
    begin(FTX_COMPRESS_AUTO);
    assert_int_equal(ftx_compress_rate(&c), 0);
    take(20, 4 * MS, 1000 * MS);
    assert_in_range(ftx_compress_rate(&c), MIB / 4 - 2, MIB / 4);
    take(100, 8 * MS, 0); /* the past fades */
    assert_in_range(ftx_compress_rate(&c), MIB / 8, MIB / 8 * 11 / 10);
}

static void a_rate_takes_some_time_to_be_known(void **state)
{
    (void)state;
    begin(FTX_COMPRESS_AUTO);
    take(9, 1 * MS, 0);
    assert_int_equal(ftx_compress_rate(&c), 0);
    take(1, 1 * MS, 0);
    assert_in_range(ftx_compress_rate(&c), MIB - 2, MIB);
}

static void compresses_while_a_slow_network_has_enough_to_do(void **state)
{
    (void)state;
    begin(FTX_COMPRESS_AUTO);
    assert_int_equal(send_text(), 0); /* nothing is known */
    take(2, 40 * MS, 0);              /* 26 MB/s */
    assert_int_equal(send_text(), 0); /* it may have been a moment */
    take(2, 40 * MS, 2 * MS);         /* building takes time too */
    assert_int_equal(send_text(), 1);
    begin(FTX_COMPRESS_AUTO);
    take(20, 40 * MS, 40 * MS); /* who writes is slow */
    assert_int_equal(send_text(), 0);
}

static void leaves_a_fast_network_alone(void **state)
{
    (void)state;
    begin(FTX_COMPRESS_AUTO);
    take(200, 2 * MS, 0); /* 524 MB/s */
    assert_int_equal(send_text(), 0);
    take(1, 30 * MS, 0); /* somebody else had the processor */
    assert_int_equal(send_text(), 0);
    take(100, 40 * MS, 0);
    assert_int_equal(send_text(), 1);
    take(1000, 2 * MS, 0);
    assert_int_equal(send_text(), 0);
    assert_int_equal(c.level, 0);
}

/* The level that comes of `n` records at 26 MB/s. */
static int level_after(unsigned n, uint64_t idle)
{
    while (n--) {
        take(1, 40 * MS, idle);
        (void)send_text();
    }
    return c.level;
}

static void the_level_rises_while_the_socket_is_busy(void **state)
{
    (void)state;
    begin(FTX_COMPRESS_AUTO);
    assert_int_equal(level_after(3, 0), 1);
    assert_int_equal(level_after(2, 0), 1); /* not before it can have helped */
    assert_int_equal(level_after(1, 0), 2);
    assert_int_equal(level_after(50, 20 * MS), 2); /* busy enough */
    assert_in_range(level_after(13, 0), 3, 5);
}

/* 79 MB of text fit through each second: at 2 ns a level for each byte, 9.5 ns are a core's 0.75. */
static void the_level_stops_before_it_needs_a_whole_core(void **state)
{
    (void)state;
    begin(FTX_COMPRESS_AUTO);
    assert_int_equal(level_after(200, 0), 4);
    begin(FTX_COMPRESS_AUTO);
    c.connections = 3; /* that are as fast: 237 MB, 3.2 ns */
    assert_int_equal(level_after(200, 0), 2);
    begin(FTX_COMPRESS_AUTO);
    for (int i = 0; i < 50; i++) {
        take(1, 400 * MS, 0);
        (void)send_text();
    }
    assert_int_equal(c.level, FTX_PACK_LEVEL_MAX);
}

static void the_level_falls_when_the_socket_has_to_wait(void **state)
{
    (void)state;
    begin(FTX_COMPRESS_AUTO);
    assert_int_equal(level_after(9, 0), 3);
    assert_int_equal(level_after(1, 60 * MS), 2);
    assert_int_equal(level_after(1, 60 * MS), 1);
    assert_int_equal(level_after(9, 60 * MS), 1); /* raw, a third of it would fill the network */
    assert_int_equal(level_after(5, 200 * MS), 0);
    assert_in_range(level_after(20, 0), 2, 4);
}

static void another_connection_begins_with_what_the_first_knows(void **state)
{
    (void)state;
    begin(FTX_COMPRESS_AUTO);
    assert_int_equal(level_after(9, 0), 3);
    struct ftx_compress other;
    ftx_compress_init(&other, FTX_COMPRESS_AUTO);
    other.connections = 2;
    ftx_compress_follow(&other, &c);
    assert_int_equal(other.connections, 2);
    c = other;
    assert_int_equal(send_text(), 3);
    ftx_compress_look(&c, 0, 0, now_us += 1000 * MS); /* its first look is no pause */
    assert_int_equal(send_text(), 3);
}

static void after_a_pause_it_begins_anew(void **state)
{
    (void)state;
    begin(FTX_COMPRESS_AUTO);
    assert_int_equal(level_after(9, 0), 3);
    take(1, 40 * MS, 300 * MS);
    assert_int_equal(send_text(), 0);
    assert_int_equal(level_after(3, 0), 1);
}

/* What an extent of this stream gets: 's' sample first, 'p' packed without, '-' left alone. */
static char order(uint64_t stream, uint64_t length, bool shrinks)
{
    struct ftx_plan *plan = plan_of(stream, length);
    struct ftx_packing *packing = &plan->entries[0].packing;
    ftx_compress_plan(&c, plan);
    char said = !packing->level ? '-' : packing->sample ? 's' : 'p';
    packing->after = packing->level && shrinks ? (uint32_t)length / 2 : 0;
    packing->tried = packing->after > 0;
    ftx_compress_built(&c, plan);
    ftx_plan_free(plan);
    return said;
}

static void what_does_not_shrink_is_sampled_less_and_less_often(void **state)
{
    (void)state;
    begin(FTX_COMPRESS_ON);
    for (unsigned distance = 1; distance <= 64; distance *= 2) {
        assert_int_equal(order(7, MIB, false), 's');
        for (unsigned i = 0; i < (distance < 32 ? distance : 32); i++)
            assert_int_equal(order(7, MIB, false), '-');
    }
    assert_int_equal(order(8, MIB, true), 's'); /* another stream is another matter */
    assert_int_equal(order(7, MIB, true), 's');
    assert_int_equal(order(7, MIB, true), 's');
    assert_int_equal(order(7, MIB, false), 's');
    assert_int_equal(order(7, MIB, false), '-');
    assert_int_equal(order(7, MIB, false), 's');
}

static void small_extents_are_not_sampled_and_tiny_ones_not_packed(void **state)
{
    (void)state;
    begin(FTX_COMPRESS_ON);
    assert_int_equal(order(1, 64 << 10, true), 's');
    assert_int_equal(order(1, (64 << 10) - 1, true), 'p');
    assert_int_equal(order(2, 4096, false), 'p');
    assert_int_equal(order(2, 4096, false), 'p');
    assert_int_equal(order(1, FTX_PACK_MIN, true), 'p');
    assert_int_equal(order(1, FTX_PACK_MIN - 1, true), '-');
}

static void only_data_is_packed_answers_too(void **state)
{
    (void)state;
    begin(FTX_COMPRESS_ON);
    struct ftx_plan *plan = plan_of(1, MIB / 4);
    struct ftx_source source = {.extent = {.stream = 2, .length = MIB}};
    source.extent.kind = FTX_EXTENT_HOLE;
    assert_int_equal(ftx_plan_add_extent(plan, &source), 0);
    source.answer = true;
    assert_int_equal(ftx_plan_add_answer(plan, &source), 0);
    source.extent.kind = FTX_EXTENT_DATA;
    source.extent.length = 5000;
    assert_int_equal(ftx_plan_add_answer(plan, &source), 0);
    struct ftx_plan_seal seal = {.stream = 1};
    assert_int_equal(ftx_plan_add_seal(plan, &seal), 0);
    assert_false(ftx_plan_packs(plan));
    ftx_compress_plan(&c, plan);
    assert_true(ftx_plan_packs(plan));
    static const int levels[] = {3, 0, 0, 3, 0};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(plan->entries[i].packing.level, levels[i]);
    ftx_plan_free(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(off_is_never_and_on_always),
        cmocka_unit_test(the_rate_is_that_of_the_time_with_something_to_take),
        cmocka_unit_test(a_rate_takes_some_time_to_be_known),
        cmocka_unit_test(compresses_while_a_slow_network_has_enough_to_do),
        cmocka_unit_test(leaves_a_fast_network_alone),
        cmocka_unit_test(the_level_rises_while_the_socket_is_busy),
        cmocka_unit_test(the_level_stops_before_it_needs_a_whole_core),
        cmocka_unit_test(the_level_falls_when_the_socket_has_to_wait),
        cmocka_unit_test(another_connection_begins_with_what_the_first_knows),
        cmocka_unit_test(after_a_pause_it_begins_anew),
        cmocka_unit_test(what_does_not_shrink_is_sampled_less_and_less_often),
        cmocka_unit_test(small_extents_are_not_sampled_and_tiny_ones_not_packed),
        cmocka_unit_test(only_data_is_packed_answers_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
