/* SPDX-License-Identifier: MIT */
/* Two ends that meet at a real relay: they pair there, find a better way, and come back. */
#include "tests/peer/link.h"

#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/net/relay.h"
#include "transport/peer/peer_internal.h"

enum { BIG = 8 << 20, DAY_S = 86400 };

static struct link both; /* of the running case */
static struct test_relay relay;
static char url[64];

/* Where the last one was, if there was one. */
static void start_relay(void)
{
    char listen[64];
    const char *const options[] = {"--joins", "10000", "--listen", listen, NULL};
    snprintf(listen, sizeof listen, "127.0.0.1:%u", relay.port);
    test_relay_open(&relay, options);
    snprintf(url, sizeof url, "ws://127.0.0.1:%u", relay.port);
}

static void open_ends(void)
{
    link_open(&both, CODE, CODE);
    both.dials[S] = both.dials[R] = false;
    for (int end = 0; end < 2; end++)
        both.ends[end].relay = url;
}

static int begin(void **state)
{
    (void)state;
    relay.port = 0;
    start_relay();
    open_ends();
    return 0;
}

static int end(void **state)
{
    (void)state;
    link_close(&both);
    test_relay_close(&relay);
    return 0;
}

static void start_both(void)
{
    link_start(&both, S);
    link_start(&both, R);
}

static void await_relayed(void)
{
    test_loop_await(&both.loop, link_connected(&both) && both.ends[S].path == FTX_PATH_RELAY &&
                                    both.ends[R].path == FTX_PATH_RELAY);
}

static void send_both_ways(void)
{
    for (int i = 0; i < 2; i++)
        end_send(&both.ends[i], BIG);
}

static void await_delivered(void)
{
    for (int i = 0; i < 2; i++) {
        test_loop_await(&both.loop, end_delivered(&both.ends[i]));
        assert_arrived(&both.ends[i], &both.ends[1 - i]);
    }
}

static void pairs_and_resumes_over_a_relay(void **state)
{
    (void)state;
    start_both();
    await_relayed();
    assert_int_equal(both.ends[S].disk.stage, FTX_PEER_PAIRED);
    send_both_ways();
    await_delivered();
    assert_int_equal(both.ends[S].n_begun, 1);
    for (int i = 0; i < 2; i++) {
        end_stop(&both.ends[i]);
        test_loop_await(&both.loop, both.ends[1 - i].health == FTX_PEER_OFFLINE);
        link_start(&both, i);
        await_relayed();
    }
}

/* The proxy lets nobody through at first. */
static void told_way_takes_over_from_the_relay(void **state)
{
    (void)state;
    for (int which = 0; which < 2; which++) {
        struct end *told = &both.ends[which], *other = &both.ends[1 - which];
        told->told[0] =
            (struct ftx_told_address){{[10] = 0xff, 0xff, 127, 0, 0, 1}, both.ways[which].port};
        told->n_told = 1;
        start_both();
        both.ways[which].target = 0;
        await_relayed();
        send_both_ways();
        test_loop_await(&both.loop, both.ways[which].n_accepted > 0 && other->n_arrived > 0);
        both.ways[which].target = ftx_node_port(told->node);
        test_loop_await(&both.loop, link_connected(&both) && both.ends[S].path == FTX_PATH_DIRECT &&
                                        both.ends[R].path == FTX_PATH_DIRECT);
        await_delivered();
        assert_true(both.ways[which].n_passed > 0);

        both.ways[which].target = 0; /* it dies: back to the relay */
        send_both_ways();
        both.ways[which].cut_at = both.ways[which].n_passed + BIG / 2;
        await_relayed();
        await_delivered();
        link_close(&both);
        open_ends();
    }
}

static void relay_may_come_and_go(void **state)
{
    (void)state;
    test_relay_close(&relay);
    start_both();
    size_t unchanged = 0;
    test_loop_settle(&both.loop, &unchanged);
    start_relay();
    await_relayed();
    send_both_ways();
    test_loop_await(&both.loop, both.ends[S].n_arrived > 0);
    kill(relay.pid, SIGKILL);
    waitpid(relay.pid, NULL, 0);
    start_relay();
    await_relayed();
    await_delivered();
}

static void ends_in_the_same_role_are_told(void **state)
{
    (void)state;
    for (enum ftx_role role = FTX_ROLE_S; role <= FTX_ROLE_R; role++) {
        for (int i = 0; i < 2; i++)
            both.ends[i].disk.role = role;
        start_both();
        test_loop_await(&both.loop, both.ends[0].was_same_role && both.ends[1].was_same_role);
        for (int i = 0; i < 2; i++)
            assert_int_equal(both.ends[i].disk.guesses, 0);
        link_close(&both);
        open_ends();
    }
}

/* A second link of the same label and role is not taken for the other end of the first. */
static void links_of_one_label_are_not_told_of_each_other(void **state)
{
    (void)state;
    struct end *s = &both.ends[S];
    struct end beside;
    size_t unchanged = 0;
    end_init(&beside, &both.loop, &both.ways[S], FTX_ROLE_S, "7-drum-harvest");
    link_start(&both, S);
    end_start_beside(&beside, s);
    test_loop_await(&both.loop, s->peer->dial_err == UV_EBUSY || beside.peer->dial_err == UV_EBUSY);
    test_loop_settle(&both.loop, &unchanged);
    assert_false(s->was_same_role || beside.was_same_role);
    end_stop(s);
    test_loop_await(&both.loop, beside.gone);
    end_free(&beside);
}

static void rooms_follow_the_link_and_the_day(void **state)
{
    (void)state;
    struct ftx_room rooms[FTX_ROOMS_MAX], later[FTX_ROOMS_MAX];
    start_both();
    const struct ftx_peer *peer = both.ends[S].peer;
    assert_int_equal(ftx_peer_rooms(peer, 1, rooms), 1);
    assert_int_equal(rooms[0].mode, FTX_MODE_PAIR);
    assert_string_equal(rooms[0].name, "7");
    await_relayed();

    assert_int_equal(ftx_peer_rooms(peer, DAY_S / 2, rooms), 1);
    assert_int_equal(rooms[0].mode, FTX_MODE_RESUME);
    assert_int_equal(strlen(rooms[0].name), 32);
    assert_int_equal(ftx_peer_rooms(both.ends[R].peer, DAY_S - 3601, later), 1);
    assert_string_equal(later[0].name, rooms[0].name);
    assert_int_equal(ftx_peer_rooms(peer, DAY_S - 3600, later), 2);
    assert_string_equal(later[0].name, rooms[0].name);
    assert_int_equal(ftx_peer_rooms(peer, DAY_S + 3600, rooms), 1);
    assert_string_equal(later[1].name, rooms[0].name);
    assert_string_not_equal(later[0].name, rooms[0].name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pairs_and_resumes_over_a_relay, begin, end),
        cmocka_unit_test_setup_teardown(told_way_takes_over_from_the_relay, begin, end),
        cmocka_unit_test_setup_teardown(relay_may_come_and_go, begin, end),
        cmocka_unit_test_setup_teardown(ends_in_the_same_role_are_told, begin, end),
        cmocka_unit_test_setup_teardown(links_of_one_label_are_not_told_of_each_other, begin, end),
        cmocka_unit_test_setup_teardown(rooms_follow_the_link_and_the_day, begin, end),
    };
    signal(SIGPIPE, SIG_IGN);
    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
