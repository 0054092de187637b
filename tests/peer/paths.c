/* SPDX-License-Identifier: MIT */
/* Several ways between two ends: the first that leads to the peer carries the link, until there is
 * a better one. */
#include "tests/peer/link.h"

#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "transport/peer/peer_internal.h"

enum { N_WAYS = 3, BIG = 8 << 20 };

/* What 127.0.0.2 stands for. */
bool __wrap_ftx_ip_is_near(const struct ftx_ip *ip);

bool __wrap_ftx_ip_is_near(const struct ftx_ip *ip)
{
    return ip->bytes[12] == 127 && ip->bytes[15] == 2;
}

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
        assert_true(more[1 - end][0].n_accepted > 0);
        assert_works();
        close_ways();
    }
}

/* More than are tried at once: those give way in time. */
static void crowd_of_silent_ways_hides_nobody(void **state)
{
    (void)state;
    struct proxy silent;
    open_ways();
    proxy_open_at(&silent, &both.loop.uv, "0.0.0.0");
    silent.frozen = true;
    start(S);
    start(R);
    for (int i = 0; i < 20; i++) {
        struct ftx_address address = {.port = silent.port};
        snprintf(address.host, sizeof address.host, "127.1.%d.1", i);
        ftx_peer_found(both.ends[S].peer, FTX_WAY_LAN, &address);
    }
    find(S, &more[R][0]);
    assert_works();
    silent.frozen = false;
    proxy_close(&silent);
    close_ways();
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

/* -- better and worse ways -- */

static struct proxy near[2]; /* near[S]: to S */

/* Connected over the way that is no near one. */
static void open_far(void)
{
    link_open(&both, CODE, CODE);
    for (int end = 0; end < 2; end++)
        proxy_open_at(&near[end], &both.loop.uv, "127.0.0.2");
    link_start(&both, S);
    link_start(&both, R);
    for (int end = 0; end < 2; end++)
        near[end].target = both.ways[end].target;
    test_loop_await(&both.loop, link_connected(&both));
    assert_int_equal(both.ends[S].path, FTX_PATH_DIRECT);
    assert_int_equal(both.ends[R].path, FTX_PATH_DIRECT);
}

static void close_far(void)
{
    for (int end = 0; end < 2; end++)
        near[end].frozen = both.ways[end].frozen = false;
    for (int end = 0; end < 2; end++)
        end_stop(&both.ends[end]);
    for (int end = 0; end < 2; end++)
        proxy_close(&near[end]);
    link_close(&both);
}

static void find_near(int end)
{
    struct ftx_address address = {.host = "127.0.0.2", .port = near[1 - end].port};
    ftx_peer_found(both.ends[end].peer, FTX_WAY_LAN, &address);
}

static void better_way_replaces_the_session_while_content_flows(void **state)
{
    (void)state;
    for (int end = 0; end < 2; end++) {
        open_far();
        for (int i = 0; i < 2; i++)
            end_send(&both.ends[i], BIG);
        test_loop_await(&both.loop, both.ends[1 - end].n_arrived > 0);
        find_near(end);
        test_loop_await(&both.loop, both.ends[end].path == FTX_PATH_LAN);
        for (int i = 0; i < 2; i++) {
            test_loop_await(&both.loop, end_delivered(&both.ends[i]));
            assert_arrived(&both.ends[i], &both.ends[1 - i]);
            assert_int_equal(both.ends[i].n_begun, 2);
            assert_int_equal(both.ends[i].n_ended, 1);
        }
        assert_true(near[1 - end].n_passed > 0);
        close_far();
    }
}

/* Better, if it worked: it is tried again and again, and the session does not notice. */
static void better_way_that_fails_harms_nothing(void **state)
{
    (void)state;
    for (int frozen = 0; frozen < 2; frozen++) {
        open_far();
        near[R].frozen = frozen;
        if (!frozen)
            near[R].target = 0;
        find_near(S);
        test_loop_await(&both.loop, near[R].n_accepted >= 3);
        assert_works();
        assert_int_equal(both.ends[S].n_begun, 1);

        near[R].frozen = false;
        near[R].target = ftx_node_port(both.ends[R].node);
        test_loop_await(&both.loop, both.ends[S].path == FTX_PATH_LAN && link_connected(&both));
        close_far();
    }
}

static void link_goes_on_over_a_worse_way_when_the_better_dies(void **state)
{
    (void)state;
    open_far();
    find_near(S);
    test_loop_await(&both.loop, both.ends[S].path == FTX_PATH_LAN && link_connected(&both));
    end_send(&both.ends[S], BIG);
    near[R].cut_at = near[R].n_passed + BIG / 2;
    near[R].target = 0;
    uint64_t dialled = both.ways[R].n_accepted + both.ways[S].n_accepted;
    test_loop_await(&both.loop, near[R].cut_at == 0);
    test_loop_await(&both.loop, end_delivered(&both.ends[S]));
    assert_arrived(&both.ends[S], &both.ends[R]);
    assert_true(both.ways[R].n_accepted + both.ways[S].n_accepted > dialled);
    close_far();
}

static void restart_silently(uint64_t age_ms)
{
    for (int end = 0; end < 2; end++) {
        end_stop(&both.ends[end]);
        both.dials[end] = false;
        both.ends[end].kept_age_ms = age_ms;
    }
    for (int end = 0; end < 2; end++)
        link_start(&both, end);
}

/* Nobody says again where the other is: what it told is enough, for a week. */
static void told_addresses_outlive_the_ends(void **state)
{
    (void)state;
    size_t unchanged = 0;
    link_open(&both, CODE, CODE);
    both.ends[R].told[0] =
        (struct ftx_told_address){{[10] = 0xff, 0xff, 127, 0, 0, 1}, both.ways[R].port};
    both.ends[R].n_told = 1;
    link_start(&both, S);
    link_start(&both, R);
    test_loop_await(&both.loop, link_connected(&both) && both.ends[S].n_kept == 1);
    restart_silently(FTX_WAY_TOLD_MS - 1000);
    assert_works();
    restart_silently(FTX_WAY_TOLD_MS);
    test_loop_settle(&both.loop, &unchanged);
    assert_false(link_connected(&both));

    both.ends[R].n_told = 0; /* it says that it is nowhere any more */
    both.dials[S] = true;
    for (int end = 0; end < 2; end++) {
        end_stop(&both.ends[end]);
        link_start(&both, end);
    }
    test_loop_await(&both.loop, link_connected(&both) && both.ends[S].n_kept == 0);
    link_close(&both);
}

/* A session on the better way does not make anybody look for a worse one. */
static void worse_ways_are_left_alone(void **state)
{
    (void)state;
    open_far();
    find_near(S);
    test_loop_await(&both.loop, both.ends[S].path == FTX_PATH_LAN && link_connected(&both));
    uint64_t dialled = both.ways[R].n_accepted;
    find(S, &both.ways[S]);
    assert_false(uv_is_active((uv_handle_t *)&both.ends[S].peer->retry));
    size_t unchanged = 0;
    test_loop_settle(&both.loop, &unchanged);
    assert_int_equal(both.ways[R].n_accepted, dialled);
    assert_works();
    close_far();
}

/* -- what an end tells -- */

static void tell(int end, const uint8_t address[4], uint16_t port)
{
    struct ftx_told_address told = {{[10] = 0xff, 0xff}, port};
    memcpy(told.address + 12, address, 4);
    both.ends[end].told[both.ends[end].n_told++] = told;
}

static void told_address_is_dialled(void **state)
{
    (void)state;
    for (int end = 0; end < 2; end++) {
        link_open(&both, CODE, CODE);
        proxy_open_at(&near[0], &both.loop.uv, "127.0.0.2");
        tell(end, (const uint8_t[]){127, 0, 0, 2}, near[0].port);
        both.dials[end] = false;
        link_start(&both, end);
        near[0].target = ftx_node_port(both.ends[end].node);
        link_start(&both, 1 - end);
        test_loop_await(&both.loop, both.ends[1 - end].path == FTX_PATH_LAN);
        assert_works();
        assert_true(near[0].n_accepted > 0);
        end_stop(&both.ends[S]);
        end_stop(&both.ends[R]);
        proxy_close(&near[0]);
        link_close(&both);
    }
}

static void what_a_peer_may_not_make_us_dial_is_forgotten(void **state)
{
    (void)state;
    link_open(&both, CODE, CODE);
    both.dials[R] = false;
    tell(R, (const uint8_t[]){192, 0, 2, 1}, 1023);
    tell(R, (const uint8_t[]){0, 0, 0, 0}, 15820);
    tell(R, (const uint8_t[]){169, 254, 0, 1}, 15820);
    tell(R, (const uint8_t[]){224, 0, 0, 1}, 15820);
    tell(R, (const uint8_t[]){255, 255, 255, 255}, 15820);
    tell(R, (const uint8_t[]){192, 0, 2, 2}, 15820); /* this one it may */
    tell(S, (const uint8_t[]){192, 0, 2, 3}, 15820);
    tell(R, (const uint8_t[]){192, 0, 2, 3}, 15820); /* that is ourselves */
    link_start(&both, S);
    link_start(&both, R);
    test_loop_await(&both.loop, link_connected(&both));
    assert_works();
    assert_int_equal(both.ends[S].peer->ways.n, 2);
    assert_string_equal(both.ends[S].peer->ways.at[1].address.host, "192.0.2.2");
    link_close(&both);
}

static void assert_told(const struct ftx_node *node, const char *text)
{
    struct ftx_ip ip;
    assert_int_equal(node->n_told, 1);
    assert_true(ftx_ip_parse(text, &ip));
    assert_memory_equal(node->told[0].address, ip.bytes, sizeof ip.bytes);
}

/* The machine was carried from behind one NAT behind another, then to where the router maps its
 * port. */
static void what_a_relay_sees_now_is_told_and_no_longer_what_it_saw(void **state)
{
    (void)state;
    link_open(&both, CODE, CODE);
    link_start(&both, S);
    struct ftx_node *node = both.ends[S].node;
    struct ftx_ip ip;
    node->told_set = false;
    for (int i = 1; i <= 3; i++) {
        const char *const texts[] = {"192.0.2.1", "192.0.2.1", "192.0.2.2"};
        assert_true(ftx_ip_parse(texts[i - 1], &ip));
        ftx_node_seen(node, &ip, 15820);
        ftx_node_look(node);
        assert_told(node, texts[i - 1]);
    }
    node->outside = (struct ftx_told_address){{[10] = 0xff, 0xff, 192, 0, 2, 3}, 15820};
    assert_true(ftx_ip_parse("192.0.2.3", &ip));
    ftx_node_seen(node, &ip, 15820);
    ftx_node_look(node);
    assert_told(node, "192.0.2.3");
    link_close(&both);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(way_that_is_found_is_dialled),
        cmocka_unit_test(silent_ways_hold_up_nobody),
        cmocka_unit_test(crowd_of_silent_ways_hides_nobody),
        cmocka_unit_test(all_ways_at_once_end_in_one_session),
        cmocka_unit_test(better_way_replaces_the_session_while_content_flows),
        cmocka_unit_test(better_way_that_fails_harms_nothing),
        cmocka_unit_test(link_goes_on_over_a_worse_way_when_the_better_dies),
        cmocka_unit_test(told_addresses_outlive_the_ends),
        cmocka_unit_test(worse_ways_are_left_alone),
        cmocka_unit_test(told_address_is_dialled),
        cmocka_unit_test(what_a_peer_may_not_make_us_dial_is_forgotten),
        cmocka_unit_test(what_a_relay_sees_now_is_told_and_no_longer_what_it_saw),
    };
    signal(SIGPIPE, SIG_IGN);
    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
