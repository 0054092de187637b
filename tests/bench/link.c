/* SPDX-License-Identifier: MIT */
/* The emulated link in a time of its own: rate, delay, queue and loss are what was asked for. */
#include "tests/bench/tools/link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { MTU = 1500, MS = 1000000, SECOND = 1000 * MS };

/* Offers packets of one size at a constant pace; counts what came out by `until_ns`, and the last due time. */
struct flow {
    uint64_t n_delivered, bytes, last_due_ns;
};

static struct flow offer(struct link *link, size_t bytes, uint64_t every_ns, uint64_t until_ns)
{
    struct flow flow = {0};
    for (uint64_t now = 0; now < until_ns; now += every_ns) {
        uint64_t due;
        if (link_accept(link, now, bytes, &due) != LINK_DELIVERED)
            continue;
        assert_true(due >= flow.last_due_ns);
        assert_true(due >= now + link->shape.delay_ns);
        flow.last_due_ns = due;
        flow.n_delivered++;
        flow.bytes += bytes;
    }
    return flow;
}

static void carries_its_rate_and_no_more(void **state)
{
    (void)state;
    static const uint64_t rates[] = {20000000, 200000000, 1000000000};
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        struct link link;
        link_init(&link, &(struct link_shape){.rate_bits = rates[i], .queue_bytes = 1 << 16});
        /* twice what the line takes */
        struct flow flow = offer(&link, MTU, MTU * 4ULL * SECOND / rates[i], 2ULL * SECOND);
        double asked = (double)rates[i] / 8 * 2, got = (double)flow.bytes;
        assert_true(got > asked * 0.999 && got < asked * 1.001 + (1 << 16));
        assert_int_not_equal(link.n_packets[LINK_DROPPED], 0);
    }
}

static void an_idle_line_only_delays(void **state)
{
    (void)state;
    struct link link;
    link_init(&link, &(struct link_shape){
                         .rate_bits = 20000000, .delay_ns = 15 * MS, .queue_bytes = 1 << 16});
    for (uint64_t now = 0; now < SECOND; now += 10 * MS) {
        uint64_t due;
        assert_int_equal(link_accept(&link, now, MTU, &due), LINK_DELIVERED);
        assert_int_equal(due, now + 15 * MS + 600000); /* 12,000 bits at 20 Mbit/s */
    }
}

static void a_pause_earns_no_credit(void **state)
{
    (void)state;
    struct link link;
    link_init(&link, &(struct link_shape){.rate_bits = 8000000, .queue_bytes = 1 << 20});
    uint64_t due;
    for (uint64_t i = 1; i <= 100; i++) { /* 1500 bytes take 1.5 ms */
        assert_int_equal(link_accept(&link, 5ULL * SECOND, MTU, &due), LINK_DELIVERED);
        assert_int_equal(due, 5ULL * SECOND + i * 1500000);
    }
}

static void drops_what_the_queue_has_no_room_for(void **state)
{
    (void)state;
    struct link link;
    link_init(&link, &(struct link_shape){.rate_bits = 8000000, .queue_bytes = 10 * MTU});
    uint64_t due;
    for (int i = 0; i < 10; i++)
        assert_int_equal(link_accept(&link, 0, MTU, &due), LINK_DELIVERED);
    assert_int_equal(link_accept(&link, 0, MTU, &due), LINK_DROPPED);
    assert_int_equal(link_accept(&link, 1400000, MTU, &due), LINK_DROPPED);
    assert_int_equal(link_accept(&link, 1500000, MTU, &due), LINK_DELIVERED); /* one has left */
    assert_int_equal(due, 11 * 1500000);
}

static void a_packet_larger_than_the_queue_passes_when_the_line_is_free(void **state)
{
    (void)state;
    struct link link;
    link_init(&link, &(struct link_shape){.rate_bits = 8000000, .queue_bytes = 100});
    uint64_t due;
    assert_int_equal(link_accept(&link, 0, MTU, &due), LINK_DELIVERED);
    assert_int_equal(link_accept(&link, 0, MTU, &due), LINK_DROPPED);
}

static void loses_as_many_as_asked(void **state)
{
    (void)state;
    static const double chances[] = {0.001, 0.01, 0.5};
    for (size_t i = 0; i < sizeof chances / sizeof *chances; i++) {
        struct link link;
        link_init(&link, &(struct link_shape){.loss = chances[i], .seed = i});
        offer(&link, MTU, 1000, 4ULL * SECOND); /* four million */
        double lost = (double)link.n_packets[LINK_LOST] / 4e6;
        assert_true(lost > chances[i] * 0.97 && lost < chances[i] * 1.03);
    }
}

static void the_same_seed_loses_the_same(void **state)
{
    (void)state;
    struct link one, same, other;
    link_init(&one, &(struct link_shape){.loss = 0.1, .seed = 7});
    link_init(&same, &(struct link_shape){.loss = 0.1, .seed = 7});
    link_init(&other, &(struct link_shape){.loss = 0.1, .seed = 8});
    int n_different = 0;
    for (uint64_t now = 0; now < 10000; now++) {
        uint64_t due;
        enum link_fate fate = link_accept(&one, now, MTU, &due);
        assert_int_equal(fate, link_accept(&same, now, MTU, &due));
        n_different += fate != link_accept(&other, now, MTU, &due);
    }
    assert_true(n_different > 1000);
}

static void what_is_lost_has_used_the_line(void **state)
{
    (void)state;
    struct link link;
    link_init(&link, &(struct link_shape){
                         .rate_bits = 8000000, .queue_bytes = 1 << 20, .loss = 0.5, .seed = 1});
    uint64_t due, last = 0;
    for (int i = 0; i < 100; i++)
        if (link_accept(&link, 0, MTU, &due) == LINK_DELIVERED)
            last = due;
    assert_true(last > 90 * 1500000ULL);
    assert_int_equal(link.n_bytes, 100 * MTU);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(carries_its_rate_and_no_more),
        cmocka_unit_test(an_idle_line_only_delays),
        cmocka_unit_test(a_pause_earns_no_credit),
        cmocka_unit_test(drops_what_the_queue_has_no_room_for),
        cmocka_unit_test(a_packet_larger_than_the_queue_passes_when_the_line_is_free),
        cmocka_unit_test(loses_as_many_as_asked),
        cmocka_unit_test(the_same_seed_loses_the_same),
        cmocka_unit_test(what_is_lost_has_used_the_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
