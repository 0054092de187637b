/* SPDX-License-Identifier: MIT */
/* The room table: who meets whom, who is refused and why, and that nothing of it grows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "transport/relay/rooms.h"

enum { N_SEATS = 300 };

static struct {
    struct ftx_rooms_limits limits;
    struct ftx_rooms *rooms;
    uint64_t now_ms;
    uint32_t n_sources;
    struct ftx_seat seats[N_SEATS];
} table;

static struct ftx_source ipv4(uint32_t address)
{
    struct ftx_source source = {.bytes = {[10] = 0xff, [11] = 0xff}};

    memcpy(source.bytes + 12, &address, sizeof(address));
    return source;
}

static struct ftx_source ipv6(uint8_t network, uint8_t host)
{
    return (struct ftx_source){.bytes = {0x20, 0x01, [7] = network, [15] = host}};
}

static void open_with(const struct ftx_rooms_limits *limits)
{
    memset(&table, 0, sizeof(table));
    table.limits = *limits;
    table.rooms = ftx_rooms_new(limits, 42);
    table.now_ms = 1000 * 1000;
    assert_non_null(table.rooms);
}

static int set_up(void **state)
{
    (void)state;
    open_with(&ftx_rooms_default_limits);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_SEATS; i++)
        ftx_rooms_leave(table.rooms, &table.seats[i]);
    assert_int_equal(ftx_rooms_count(table.rooms)->n_handshakes, 0);
    assert_int_equal(ftx_rooms_count(table.rooms)->n_waiting, 0);
    assert_int_equal(ftx_rooms_count(table.rooms)->n_pairs, 0);
    ftx_rooms_free(table.rooms);
    return 0;
}

static enum ftx_refusal join_from(size_t seat, const char *name, char role,
                                  const struct ftx_source *source)
{
    enum ftx_refusal why = FTX_ADMITTED;

    if (table.seats[seat].state == FTX_SEAT_NONE)
        why = ftx_rooms_arrive(table.rooms, &table.seats[seat], source, false, table.now_ms);
    if (why != FTX_ADMITTED)
        return why;
    return ftx_rooms_join(table.rooms, &table.seats[seat], name, role, source, table.now_ms);
}

/* Each from a source of its own. */
static enum ftx_refusal join(size_t seat, const char *name, char role)
{
    struct ftx_source source = ipv4(++table.n_sources);

    return join_from(seat, name, role, &source);
}

static uint64_t n_refused(enum ftx_refusal why)
{
    return ftx_rooms_count(table.rooms)->n_refused[why];
}

static void pairs_s_and_r_of_one_room(void **state)
{
    (void)state;
    assert_int_equal(join(0, "7", 's'), FTX_ADMITTED);
    assert_int_equal(table.seats[0].state, FTX_SEAT_WAITING);
    assert_int_equal(join(1, "8", 'r'), FTX_ADMITTED);
    assert_int_equal(table.seats[1].state, FTX_SEAT_WAITING);
    assert_int_equal(join(2, "7", 'r'), FTX_ADMITTED);
    assert_int_equal(table.seats[0].state, FTX_SEAT_PAIRED);
    assert_ptr_equal(table.seats[0].partner, &table.seats[2]);
    assert_ptr_equal(table.seats[2].partner, &table.seats[0]);
    assert_int_equal(ftx_rooms_count(table.rooms)->n_waiting, 1);
    assert_int_equal(ftx_rooms_count(table.rooms)->n_pairs, 1);
    assert_int_equal(ftx_rooms_count(table.rooms)->n_joins, 3);
}

static void s_never_meets_s(void **state)
{
    (void)state;
    assert_int_equal(join(0, "7", 's'), FTX_ADMITTED);
    assert_int_equal(join(1, "7", 's'), FTX_REFUSED_TAKEN);
    assert_int_equal(table.seats[0].state, FTX_SEAT_WAITING); /* not evicted */
    assert_int_equal(table.seats[1].state, FTX_SEAT_HANDSHAKE);
    assert_int_equal(join(2, "7", 'r'), FTX_ADMITTED);
    assert_ptr_equal(table.seats[2].partner, &table.seats[0]);
}

static void a_third_party_is_refused(void **state)
{
    (void)state;
    assert_int_equal(join(0, "7", 's'), FTX_ADMITTED);
    assert_int_equal(join(1, "7", 'r'), FTX_ADMITTED);
    assert_int_equal(join(2, "7", 'r'), FTX_REFUSED_TAKEN);
    assert_int_equal(join(3, "7", 's'), FTX_REFUSED_TAKEN);
    assert_ptr_equal(table.seats[0].partner, &table.seats[1]);
    assert_int_equal(n_refused(FTX_REFUSED_TAKEN), 2);
}

static void room_is_free_once_one_has_left(void **state)
{
    (void)state;
    assert_int_equal(join(0, "7", 's'), FTX_ADMITTED);
    assert_int_equal(join(1, "7", 'r'), FTX_ADMITTED);
    ftx_rooms_leave(table.rooms, &table.seats[0]);
    assert_int_equal(table.seats[0].state, FTX_SEAT_NONE);
    assert_int_equal(table.seats[1].state, FTX_SEAT_ALONE);
    assert_null(table.seats[1].partner);
    assert_int_equal(join(2, "7", 's'), FTX_ADMITTED); /* waits for a new R */
    assert_int_equal(table.seats[2].state, FTX_SEAT_WAITING);
    assert_int_equal(join(3, "7", 'r'), FTX_ADMITTED);
    assert_ptr_equal(table.seats[2].partner, &table.seats[3]);
}

static void waiting_rooms_are_bounded_and_their_seconds_still_come(void **state)
{
    char name[16];

    (void)state;
    for (size_t i = 0; i < 128; i++) {
        (void)snprintf(name, sizeof(name), "room-%zu", i);
        assert_int_equal(join(i, name, 's'), FTX_ADMITTED);
    }
    assert_int_equal(join(128, "one-more", 's'), FTX_REFUSED_WAITING);
    assert_int_equal(join(129, "room-5", 'r'), FTX_ADMITTED);
    assert_int_equal(join(130, "one-more", 'r'), FTX_ADMITTED);
}

static void pairs_are_bounded(void **state)
{
    struct ftx_rooms_limits limits = ftx_rooms_default_limits;

    (void)state;
    ftx_rooms_free(table.rooms);
    limits.n_pairs = 1;
    open_with(&limits);
    assert_int_equal(join(0, "7", 's'), FTX_ADMITTED);
    assert_int_equal(join(1, "7", 'r'), FTX_ADMITTED);
    assert_int_equal(join(2, "8", 's'), FTX_REFUSED_PAIRS);
    ftx_rooms_leave(table.rooms, &table.seats[1]);
    assert_int_equal(join(2, "8", 's'), FTX_ADMITTED);
}

static void handshakes_are_bounded_in_all_and_for_each_source(void **state)
{
    struct ftx_source flood = ipv4(1), other;
    size_t seat = 0;

    (void)state;
    for (; seat < 16; seat++)
        assert_int_equal(
            ftx_rooms_arrive(table.rooms, &table.seats[seat], &flood, false, table.now_ms),
            FTX_ADMITTED);
    assert_int_equal(ftx_rooms_arrive(table.rooms, &table.seats[seat], &flood, false, table.now_ms),
                     FTX_REFUSED_HANDSHAKES);
    assert_int_equal(ftx_rooms_arrive(table.rooms, &table.seats[seat], &flood, true, table.now_ms),
                     FTX_ADMITTED); /* a balancer */
    for (seat = 17; seat < 64; seat++) {
        other = ipv4((uint32_t)seat + 1);
        assert_int_equal(
            ftx_rooms_arrive(table.rooms, &table.seats[seat], &other, false, table.now_ms),
            FTX_ADMITTED);
    }
    other = ipv4(1000);
    assert_int_equal(ftx_rooms_arrive(table.rooms, &table.seats[seat], &other, false, table.now_ms),
                     FTX_REFUSED_HANDSHAKES);
    assert_int_equal(n_refused(FTX_REFUSED_HANDSHAKES), 2);
}

static void a_network_of_ipv6_counts_as_one_source(void **state)
{
    struct ftx_source source;

    (void)state;
    for (uint8_t host = 0; host < 16; host++) {
        source = ipv6(1, host);
        assert_int_equal(
            ftx_rooms_arrive(table.rooms, &table.seats[host], &source, false, table.now_ms),
            FTX_ADMITTED);
    }
    source = ipv6(1, 77);
    assert_int_equal(ftx_rooms_arrive(table.rooms, &table.seats[16], &source, false, table.now_ms),
                     FTX_REFUSED_HANDSHAKES);
    source = ipv6(2, 77);
    assert_int_equal(ftx_rooms_arrive(table.rooms, &table.seats[16], &source, false, table.now_ms),
                     FTX_ADMITTED);
}

static void a_source_has_thirty_joins_a_minute(void **state)
{
    struct ftx_source source = ipv4(9);
    char name[16];

    (void)state;
    for (unsigned i = 0; i < 30; i++) {
        (void)snprintf(name, sizeof(name), "room-%u", i);
        assert_int_equal(join_from(0, name, 's', &source), FTX_ADMITTED);
        ftx_rooms_leave(table.rooms, &table.seats[0]);
    }
    assert_int_equal(join_from(0, "room-30", 's', &source), FTX_REFUSED_SOURCE_RATE);
    assert_int_equal(join(1, "room-31", 's'), FTX_ADMITTED); /* another */
    table.now_ms += 1999;
    assert_int_equal(join_from(0, "room-30", 's', &source), FTX_REFUSED_SOURCE_RATE);
    table.now_ms += 1;
    assert_int_equal(join_from(0, "room-30", 's', &source), FTX_ADMITTED);
    ftx_rooms_leave(table.rooms, &table.seats[0]);
    assert_int_equal(join_from(0, "room-32", 's', &source), FTX_REFUSED_SOURCE_RATE);
}

static void refused_joins_cost_rate_too(void **state)
{
    struct ftx_source source = ipv4(9);

    (void)state;
    assert_int_equal(join(0, "7", 's'), FTX_ADMITTED);
    for (unsigned i = 0; i < 29; i++)
        assert_int_equal(join_from(1, "7", 's', &source), FTX_REFUSED_TAKEN);
    assert_int_equal(join_from(1, "7", 's', &source), FTX_REFUSED_ROOM_RATE);
    assert_int_equal(join_from(1, "8", 's', &source), FTX_REFUSED_SOURCE_RATE);
}

static void a_room_has_thirty_joins_a_minute_from_wherever(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 30; i++) {
        assert_int_equal(join(0, "7", 's'), FTX_ADMITTED);
        ftx_rooms_leave(table.rooms, &table.seats[0]);
    }
    assert_int_equal(join(0, "7", 's'), FTX_REFUSED_ROOM_RATE);
    table.now_ms += 60 * 1000;
    assert_int_equal(join(0, "7", 's'), FTX_ADMITTED);
}

static void ten_thousand_sources_and_rooms_take_no_memory(void **state)
{
    char name[24];

    (void)state;
    for (unsigned i = 0; i < 10 * 1000; i++) {
        (void)snprintf(name, sizeof(name), "room-%u", i);
        (void)join(0, name, 's');
        ftx_rooms_leave(table.rooms, &table.seats[0]);
    }
    assert_true(ftx_rooms_count(table.rooms)->n_joins >
                9 * 1000); /* buckets are shared by chance */
}

static void deadlines_pass_in_order(void **state)
{
    struct ftx_source source = ipv4(1);
    enum ftx_refusal why;

    (void)state;
    assert_int_equal(join(0, "7", 's'), FTX_ADMITTED);
    assert_int_equal(ftx_rooms_arrive(table.rooms, &table.seats[1], &source, false, table.now_ms),
                     FTX_ADMITTED);
    assert_null(ftx_rooms_overdue(table.rooms, table.now_ms + 9999, &why));
    assert_ptr_equal(ftx_rooms_overdue(table.rooms, table.now_ms + 10000, &why), &table.seats[1]);
    assert_int_equal(why, FTX_REFUSED_LATE);
    ftx_rooms_leave(table.rooms, &table.seats[1]);
    assert_null(ftx_rooms_overdue(table.rooms, table.now_ms + 299999, &why));
    assert_ptr_equal(ftx_rooms_overdue(table.rooms, table.now_ms + 300000, &why), &table.seats[0]);
    assert_int_equal(why, FTX_REFUSED_EXPIRED);
    ftx_rooms_leave(table.rooms, &table.seats[0]);
    assert_null(ftx_rooms_overdue(table.rooms, UINT64_MAX, &why));
}

static void a_pair_has_no_deadline(void **state)
{
    enum ftx_refusal why;

    (void)state;
    assert_int_equal(join(0, "7", 's'), FTX_ADMITTED);
    assert_int_equal(join(1, "7", 'r'), FTX_ADMITTED);
    assert_null(ftx_rooms_overdue(table.rooms, UINT64_MAX, &why));
}

static void a_room_has_its_quota(void **state)
{
    struct ftx_rooms_limits limits = ftx_rooms_default_limits;

    (void)state;
    ftx_rooms_free(table.rooms);
    limits.room_bytes = 1000;
    open_with(&limits);
    assert_int_equal(join(0, "7", 's'), FTX_ADMITTED);
    assert_int_equal(join(1, "7", 'r'), FTX_ADMITTED);
    assert_true(ftx_rooms_move(table.rooms, &table.seats[0], 600));
    assert_true(ftx_rooms_move(table.rooms, &table.seats[1], 400));
    assert_false(ftx_rooms_move(table.rooms, &table.seats[1], 1));
    assert_int_equal(ftx_rooms_count(table.rooms)->n_bytes, 1001);
}

static void drain_refuses_joins_and_keeps_pairs(void **state)
{
    (void)state;
    assert_int_equal(join(0, "7", 's'), FTX_ADMITTED);
    assert_int_equal(join(1, "7", 'r'), FTX_ADMITTED);
    assert_int_equal(join(2, "8", 'r'), FTX_ADMITTED);
    ftx_rooms_drain(table.rooms);
    assert_true(ftx_rooms_is_draining(table.rooms));
    assert_int_equal(join(3, "8", 's'), FTX_REFUSED_DRAINING);
    assert_ptr_equal(ftx_rooms_first_waiting(table.rooms), &table.seats[2]);
    ftx_rooms_leave(table.rooms, &table.seats[2]);
    assert_null(ftx_rooms_first_waiting(table.rooms));
    assert_true(ftx_rooms_move(table.rooms, &table.seats[0], 1));
}

static bool no_memory;
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

void *__wrap_calloc(size_t n, size_t size)
{
    return no_memory ? NULL : __real_calloc(n, size);
}

static void without_memory_nobody_is_let_in_and_nothing_is_left(void **state)
{
    (void)state;
    no_memory = true;
    assert_null(ftx_rooms_new(&table.limits, 1));
    assert_int_equal(join(0, "7", 's'), FTX_REFUSED_MEMORY);
    no_memory = false;
    assert_int_equal(table.seats[0].state, FTX_SEAT_HANDSHAKE);
    assert_int_equal(join(0, "7", 's'), FTX_ADMITTED);
}

static void every_refusal_has_a_word(void **state)
{
    (void)state;
    for (enum ftx_refusal why = 0; why < FTX_N_REFUSALS; why++) {
        assert_non_null(ftx_refusal_name(why));
        for (enum ftx_refusal other = 0; other < why; other++)
            assert_string_not_equal(ftx_refusal_name(other), ftx_refusal_name(why));
    }
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(pairs_s_and_r_of_one_room),
        CASE(s_never_meets_s),
        CASE(a_third_party_is_refused),
        CASE(room_is_free_once_one_has_left),
        CASE(waiting_rooms_are_bounded_and_their_seconds_still_come),
        CASE(pairs_are_bounded),
        CASE(handshakes_are_bounded_in_all_and_for_each_source),
        CASE(a_network_of_ipv6_counts_as_one_source),
        CASE(a_source_has_thirty_joins_a_minute),
        CASE(refused_joins_cost_rate_too),
        CASE(a_room_has_thirty_joins_a_minute_from_wherever),
        CASE(ten_thousand_sources_and_rooms_take_no_memory),
        CASE(deadlines_pass_in_order),
        CASE(a_pair_has_no_deadline),
        CASE(a_room_has_its_quota),
        CASE(drain_refuses_joins_and_keeps_pairs),
        CASE(without_memory_nobody_is_let_in_and_nothing_is_left),
        CASE(every_refusal_has_a_word),
    };
#undef CASE

    return cmocka_run_group_tests_name("rooms", tests, NULL, NULL);
}
