/* SPDX-License-Identifier: MIT */
/* Ways to the peer: which are kept, and in which order they are tried. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "transport/peer/ways.h"

static struct ftx_ways ways; /* of the running case */

static struct ftx_way way(enum ftx_way_kind kind, enum ftx_path path, const char *host,
                          uint64_t found_ms)
{
    struct ftx_way made = {.kind = kind, .path = path, .address.port = 1, .found_ms = found_ms};
    snprintf(made.address.host, sizeof made.address.host, "%s", host);
    return made;
}

static bool add(enum ftx_way_kind kind, enum ftx_path path, const char *host, uint64_t found_ms)
{
    struct ftx_way made = way(kind, path, host, found_ms);
    return ftx_ways_add(&ways, &made);
}

static struct ftx_way *find(const char *host)
{
    struct ftx_way like = way(FTX_WAY_TOLD, FTX_PATH_NONE, host, 0);
    return ftx_ways_find(&ways, &like.address);
}

static void assert_next(enum ftx_path above, const char *host)
{
    const struct ftx_way *next = ftx_ways_next(&ways, above);
    if (!host)
        assert_null(next);
    else
        assert_string_equal(next ? next->address.host : "none", host);
}

static int begin(void **state)
{
    (void)state;
    memset(&ways, 0, sizeof ways);
    return 0;
}

static void known_address_is_no_second_way(void **state)
{
    (void)state;
    assert_true(add(FTX_WAY_TOLD, FTX_PATH_DIRECT, "host.example", 1));
    assert_false(add(FTX_WAY_LAN, FTX_PATH_LAN, "HOST.example", 2));
    assert_false(add(FTX_WAY_TOLD, FTX_PATH_DIRECT, "host.example", 3));
    assert_int_equal(ways.n, 1);
    assert_int_equal(ways.at[0].kind, FTX_WAY_LAN);
    assert_int_equal(ways.at[0].path, FTX_PATH_LAN);
    assert_int_equal(ways.at[0].found_ms, 3);
    struct ftx_way other = way(FTX_WAY_TOLD, FTX_PATH_DIRECT, "host.example", 4);
    other.address.port = 2;
    assert_true(ftx_ways_add(&ways, &other));
}

static void places_are_bounded_and_the_users_stay(void **state)
{
    (void)state;
    char host[16];
    add(FTX_WAY_CONFIGURED, FTX_PATH_DIRECT, "mine", 0);
    add(FTX_WAY_RELAY, FTX_PATH_RELAY, "wss://mine", 0);
    add(FTX_WAY_TOLD, FTX_PATH_DIRECT, "good", 1);
    find("good")->proven = true;
    for (unsigned i = 0; i < 2 * FTX_WAYS_MAX; i++) {
        snprintf(host, sizeof host, "10.0.0.%u", i);
        assert_true(add(FTX_WAY_TOLD, FTX_PATH_DIRECT, host, 2 + i));
        assert_true(ways.n <= FTX_WAYS_MAX);
    }
    assert_non_null(find("mine"));
    assert_non_null(find("wss://mine"));
    assert_non_null(find("good"));
    assert_non_null(find(host));
    assert_null(find("10.0.0.0"));

    memset(&ways, 0, sizeof ways);
    for (unsigned i = 0; i < FTX_WAYS_MAX; i++) {
        snprintf(host, sizeof host, "10.0.0.%u", i);
        add(FTX_WAY_CONFIGURED, FTX_PATH_DIRECT, host, 0);
    }
    assert_false(add(FTX_WAY_LAN, FTX_PATH_LAN, "one-more", 1));
}

static void old_ways_go(void **state)
{
    (void)state;
    add(FTX_WAY_CONFIGURED, FTX_PATH_DIRECT, "mine", 0);
    add(FTX_WAY_LAN, FTX_PATH_LAN, "near", 0);
    add(FTX_WAY_TOLD, FTX_PATH_DIRECT, "far", 0);
    ftx_ways_age(&ways, 599 * 1000);
    assert_int_equal(ways.n, 3);
    ftx_ways_age(&ways, 600 * 1000);
    assert_null(find("near"));
    ftx_ways_heard(&ways, FTX_WAY_TOLD, 1);
    ftx_ways_age(&ways, FTX_WAY_TOLD_MS);
    assert_non_null(find("far"));
    ftx_ways_age(&ways, FTX_WAY_TOLD_MS + 1);
    assert_null(find("far"));
    assert_int_equal(ways.n, 1);
    add(FTX_WAY_TOLD, FTX_PATH_DIRECT, "told", 0);
    add(FTX_WAY_TOLD, FTX_PATH_DIRECT, "told-again", 1);
    ftx_ways_forget(&ways, FTX_WAY_TOLD, 1);
    assert_int_equal(ways.n, 2);
    assert_non_null(find("told-again"));
}

static void better_then_proven_then_families_by_turns(void **state)
{
    (void)state;
    add(FTX_WAY_RELAY, FTX_PATH_RELAY, "wss://relay", 0);
    add(FTX_WAY_CONFIGURED, FTX_PATH_DIRECT, "192.0.2.1", 0);
    add(FTX_WAY_CONFIGURED, FTX_PATH_DIRECT, "192.0.2.2", 0);
    add(FTX_WAY_TOLD, FTX_PATH_DIRECT, "192.0.2.3", 0);
    add(FTX_WAY_TOLD, FTX_PATH_DIRECT, "2001:db8::1", 0);
    add(FTX_WAY_TOLD, FTX_PATH_DIRECT, "2001:db8::2", 0);
    add(FTX_WAY_LAN, FTX_PATH_LAN, "192.168.0.1", 0);
    find("192.0.2.3")->proven = true;
    for (int round = 0; round < 2; round++) {
        ftx_ways_round(&ways);
        assert_next(FTX_PATH_NONE, "192.168.0.1");
        assert_next(FTX_PATH_NONE, "192.0.2.3");
        assert_next(FTX_PATH_NONE, "2001:db8::1");
        assert_next(FTX_PATH_NONE, "192.0.2.1");
        assert_next(FTX_PATH_NONE, "2001:db8::2");
        assert_next(FTX_PATH_NONE, "192.0.2.2");
        assert_next(FTX_PATH_NONE, "wss://relay");
        assert_next(FTX_PATH_NONE, NULL);
    }
}

static void only_what_is_better_is_tried(void **state)
{
    (void)state;
    add(FTX_WAY_RELAY, FTX_PATH_RELAY, "wss://relay", 0);
    assert_false(ftx_ways_any(&ways, FTX_PATH_RELAY));
    add(FTX_WAY_TOLD, FTX_PATH_DIRECT, "192.0.2.1", 0);
    ftx_ways_round(&ways);
    assert_next(FTX_PATH_DIRECT, NULL);
    assert_next(FTX_PATH_RELAY, "192.0.2.1");
    assert_next(FTX_PATH_RELAY, NULL);
    assert_true(ftx_ways_any(&ways, FTX_PATH_RELAY));
}

static void way_found_in_a_round_joins_it(void **state)
{
    (void)state;
    add(FTX_WAY_TOLD, FTX_PATH_DIRECT, "192.0.2.1", 0);
    ftx_ways_round(&ways);
    assert_next(FTX_PATH_NONE, "192.0.2.1");
    add(FTX_WAY_LAN, FTX_PATH_LAN, "192.168.0.1", 0);
    assert_next(FTX_PATH_NONE, "192.168.0.1");
    assert_next(FTX_PATH_NONE, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(known_address_is_no_second_way, begin),
        cmocka_unit_test_setup(places_are_bounded_and_the_users_stay, begin),
        cmocka_unit_test_setup(old_ways_go, begin),
        cmocka_unit_test_setup(better_then_proven_then_families_by_turns, begin),
        cmocka_unit_test_setup(only_what_is_better_is_tried, begin),
        cmocka_unit_test_setup(way_found_in_a_round_joins_it, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
