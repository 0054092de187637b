/* SPDX-License-Identifier: MIT */
/* Several ways between two ends: the first that leads to the peer carries the link. */
#include "tests/peer/link.h"

#include <signal.h>
#include <sodium.h>
#include <stdio.h>

#include "transport/peer/peer_internal.h"

enum { N_WAYS = 3 };

static struct link both;             /* of the running case */
static struct proxy more[2][N_WAYS]; /* more[S]: to S */

static void open_ways(void)
{
    link_open(&both, CODE, CODE);
    both.dials[S] = both.dials[R] = false;
    for (int end = 0; end < 2; end++)
        for (int i = 0; i < N_WAYS; i++)
            proxy_open(&more[end][i], &both.loop.uv);
}

static void start(int end)
{
    link_start(&both, end);
    for (int i = 0; i < N_WAYS; i++)
        more[end][i].target = both.ways[end].target;
}

static void close_ways(void)
{
    for (int end = 0; end < 2; end++)
        for (int i = 0; i < N_WAYS; i++)
            more[end][i].frozen = false;
    for (int end = 0; end < 2; end++)
        end_stop(&both.ends[end]);
    for (int end = 0; end < 2; end++)
        for (int i = 0; i < N_WAYS; i++)
            proxy_close(&more[end][i]);
    link_close(&both);
}

/* The end hears of the way. */
static void find(int end, const struct proxy *way)
{
    struct ftx_address address = {.host = "127.0.0.1", .port = way->port};
    ftx_peer_found(both.ends[end].peer, FTX_WAY_LAN, &address);
}

static void assert_works(void)
{
    test_loop_await(&both.loop, link_connected(&both));
    for (int end = 0; end < 2; end++)
        end_send(&both.ends[end], PIECE);
    test_loop_await(&both.loop, end_delivered(&both.ends[S]) && end_delivered(&both.ends[R]));
}

static void way_that_is_found_is_dialled(void **state)
{
    (void)state;
    for (int end = 0; end < 2; end++) {
        open_ways();
        start(S);
        start(R);
        size_t unchanged = 0;
        test_loop_settle(&both.loop, &unchanged);
        find(end, &more[1 - end][0]);
        assert_works();
        close_ways();
    }
}

/* Who does not answer does not hold up those that do, nor is he waited for. */
static void silent_ways_hold_up_nobody(void **state)
{
    (void)state;
    for (int end = 0; end < 2; end++) {
        open_ways();
        start(S);
        start(R);
        for (int i = 0; i < N_WAYS; i++) {
            more[1 - end][i].frozen = i < N_WAYS - 1;
            find(end, &more[1 - end][i]);
        }
        test_loop_await(&both.loop, link_connected(&both));
        assert_int_equal(both.ends[end].peer->rests, 0); /* PAIR and RESUME took one round each */
        assert_true(more[1 - end][0].n_accepted > 0);
        assert_works();
        close_ways();
    }
}

/* However many connections there are at once: one pairs, and one carries the session. */
static void all_ways_at_once_end_in_one_session(void **state)
{
    (void)state;
    open_ways();
    start(S);
    start(R);
    for (int end = 0; end < 2; end++)
        for (int i = 0; i < N_WAYS; i++)
            find(end, &more[1 - end][i]);
    assert_works();
    assert_int_equal(both.ends[S].n_begun, 1);
    assert_int_equal(both.ends[S].disk.guesses, 0);
    assert_int_equal(both.ends[R].disk.guesses, 0);

    for (int i = 0; i < N_WAYS; i++) { /* cut, they meet again */
        proxy_cut(&more[S][i]);
        proxy_cut(&more[R][i]);
    }
    test_loop_await(&both.loop, both.ends[S].n_begun > 1 && link_connected(&both));
    assert_works();
    close_ways();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(way_that_is_found_is_dialled),
        cmocka_unit_test(silent_ways_hold_up_nobody),
        cmocka_unit_test(all_ways_at_once_end_in_one_session),
    };
    signal(SIGPIPE, SIG_IGN);
    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
