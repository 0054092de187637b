/* SPDX-License-Identifier: MIT */
/* Sessions between two paired ends: content arrives, whatever the network does to them. */
#include "tests/net/sockets.h"
#include "tests/peer/link.h"

#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "transport/base/err.h"
#include "transport/peer/peer_internal.h"

enum { BIG = 8 << 20 };

static struct link both; /* of the running case */

/* The same session with the same connections at both ends. */
static bool runs_with_data(unsigned n_data)
{
    return link_connected(&both) && both.ends[S].engine->n_connections == 1 + n_data &&
           both.ends[R].engine->n_connections == 1 + n_data;
}

static void open_paired_with_data(unsigned n_data)
{
    link_open(&both, CODE, CODE);
    link_start(&both, S);
    link_start(&both, R);
    ftx_node_set_data_connections(both.ends[S].node, n_data, n_data);
    test_loop_await(&both.loop, runs_with_data(n_data));
}

static void open_paired(void)
{
    open_paired_with_data(0);
}

/* What can happen now has happened. */
static void settle(void)
{
    size_t unchanged = 0;
    test_loop_settle(&both.loop, &unchanged);
}

static void await_delivered(int from)
{
    test_loop_await(&both.loop, end_delivered(&both.ends[from]));
    assert_arrived(&both.ends[from], &both.ends[1 - from]);
}

static void content_arrives_both_ways(void **state)
{
    (void)state;
    open_paired();
    for (int i = 0; i < 2; i++) {
        end_send(&both.ends[i], BIG);
        end_send(&both.ends[i], 0);
        end_send(&both.ends[i], 1);
        end_send(&both.ends[i], PIECE + 1);
    }
    await_delivered(S);
    await_delivered(R);
    assert_int_equal(both.ends[S].n_begun, 1);
    link_close(&both);
}

static void content_armed_before_pairing_arrives(void **state)
{
    (void)state;
    link_open(&both, CODE, CODE);
    end_send(&both.ends[S], PIECE);
    end_send(&both.ends[R], PIECE);
    link_start(&both, S);
    link_start(&both, R);
    await_delivered(S);
    await_delivered(R);
    link_close(&both);
}

static void data_connections_carry_content(void **state)
{
    (void)state;
    open_paired_with_data(2);
    end_send(&both.ends[S], BIG);
    end_send(&both.ends[R], BIG);
    await_delivered(S);
    await_delivered(R);
    assert_int_equal(both.ends[S].n_begun, 1);

    proxy_cut(&both.ways[R]); /* all three are one session */
    test_loop_await(&both.loop, both.ends[S].n_begun == 2 && runs_with_data(2));
    link_close(&both);
}

/* Whoever has much to send, and whoever can dial. */
static void either_end_adds_data_connections(void **state)
{
    (void)state;
    for (int adds = 0; adds < 2; adds++) {
        for (int dials = 0; dials < 2; dials++) {
            link_open(&both, CODE, CODE);
            both.dials[1 - dials] = false;
            link_start(&both, S);
            link_start(&both, R);
            test_loop_await(&both.loop, link_connected(&both));
            struct ftx_address way = {.host = "127.0.0.1", .port = both.ways[1 - adds].port};
            ftx_peer_found(both.ends[adds].peer, FTX_WAY_LAN, &way);
            ftx_node_set_data_connections(both.ends[adds].node, 2, 2);
            end_send(&both.ends[adds], BIG);
            test_loop_await(&both.loop, runs_with_data(2));
            await_delivered(adds);
            assert_int_equal(both.ends[S].n_begun, 1);
            assert_true(both.ways[1 - adds].n_accepted >= 2);
            link_close(&both);
        }
    }
}

static void cut_while_content_flows_resumes(void **state)
{
    (void)state;
    for (unsigned n_data = 0; n_data <= 2; n_data += 2) {
        link_open(&both, CODE, CODE);
        both.dials[R] = false;
        link_start(&both, S);
        link_start(&both, R);
        ftx_node_set_data_connections(both.ends[S].node, n_data, n_data);
        test_loop_await(&both.loop, link_connected(&both));
        for (size_t i = 1; i <= 3; i++) {
            end_send(&both.ends[S], BIG);
            end_send(&both.ends[R], BIG);
            both.ways[R].cut_at = both.ways[R].n_passed + i * (BIG / 3);
        }
        await_delivered(S);
        await_delivered(R);
        assert_true(both.ends[S].n_begun > 1);
        assert_int_equal(both.ways[R].cut_at, 0);
        link_close(&both);
    }
}

static void flipped_bit_ends_the_session_and_content_arrives(void **state)
{
    (void)state;
    for (uint64_t at = 1; at < 3 << 20; at = at * 5 + 3) {
        link_open(&both, CODE, CODE);
        both.dials[R] = false;
        link_start(&both, S);
        link_start(&both, R);
        test_loop_await(&both.loop, link_connected(&both));
        end_send(&both.ends[S], BIG);
        both.ways[R].flip_at = both.ways[R].n_passed + at;
        await_delivered(S);
        assert_int_equal(both.ways[R].flip_at, 0);
        assert_true(both.ends[S].n_ended >= 1 && both.ends[R].n_ended >= 1);
        link_close(&both);
    }
}

/* One end dies without a word: the other holds a session that is dead, until a new one replaces it.
 */
static void silent_death_is_replaced(void **state)
{
    (void)state;
    for (int which = 0; which < 2; which++) {
        open_paired();
        struct end *other = &both.ends[1 - which];
        both.ways[S].frozen = both.ways[R].frozen = true;
        end_stop(&both.ends[which]);
        assert_non_null(other->engine);
        uint64_t session = other->engine->session;
        struct proxy fresh[2];
        for (int i = 0; i < 2; i++) {
            proxy_open(&fresh[i], &both.loop.uv);
            fresh[i].target = ftx_node_port(other->node);
        }
        struct proxy *old = both.ends[which].way_in;
        both.ends[which].way_in = &fresh[1];
        end_start(&both.ends[which], &fresh[0]);
        end_send(&both.ends[which], PIECE);
        test_loop_await(&both.loop, link_connected(&both));
        assert_true(other->engine->session > session);
        assert_int_equal(other->n_ended, 1);
        assert_int_equal(other->end_reason, FTX_EREPLACED);
        await_delivered(which);
        both.ways[S].frozen = both.ways[R].frozen = false;
        end_stop(&both.ends[which]);
        both.ends[which].way_in = old;
        for (int i = 0; i < 2; i++)
            proxy_close(&fresh[i]);
        link_close(&both);
    }
}

static void pass_seconds(unsigned seconds)
{
    for (unsigned i = 0; i < seconds; i += 5) {
        clock_ahead_ms += 5000;
        for (int end = 0; end < 2; end++)
            if (both.ends[end].engine)
                ftx_peer_on_tick(&both.ends[end].peer->tick);
        settle();
    }
}

/* Silence, both ways or one: each end notices by itself, and they meet again when it is over. */
static void silence_is_noticed_and_healed(void **state)
{
    (void)state;
    for (int both_ways = 0; both_ways < 2; both_ways++) {
        open_paired();
        pass_seconds(60); /* idle is not silent */
        assert_true(link_connected(&both));
        for (int i = 0; i < 2; i++) {
            both.ways[i].frozen = both_ways;
            both.ways[i].deaf = true;
        }
        end_send(&both.ends[S], PIECE);
        pass_seconds((FTX_DEAD_MS - FTX_ALIVE_MS) / 1000 -
                     5); /* the last sign was up to that old */
        assert_true(both.ends[S].n_ended == 0 && both.ends[R].n_ended == 0);
        pass_seconds(FTX_ALIVE_MS / 1000 + 10);
        test_loop_await(&both.loop, both.ends[S].n_ended == 1 && both.ends[R].n_ended == 1);
        assert_true(both.ends[S].end_reason == -ETIMEDOUT || both.ends[R].end_reason == -ETIMEDOUT);
        for (int i = 0; i < 2; i++)
            both.ways[i].frozen = both.ways[i].deaf = false;
        test_loop_await(&both.loop, link_connected(&both));
        await_delivered(S);
        link_close(&both);
    }
}

/* Who has another network now does not wait as long to find out. */
static void network_change_finds_out_what_is_dead(void **state)
{
    (void)state;
    open_paired();
    ftx_node_network_changed(both.ends[S].node);
    settle();
    pass_seconds(FTX_PROBE_MS / 1000 + 5);
    assert_true(link_connected(&both)); /* it was not */

    both.ways[S].frozen = both.ways[R].frozen = true;
    ftx_node_network_changed(both.ends[S].node);
    pass_seconds(FTX_PROBE_MS / 1000);
    test_loop_await(&both.loop, both.ends[S].n_ended == 1);
    assert_int_equal(both.ends[S].end_reason, -ETIMEDOUT);
    assert_int_equal(both.ends[R].n_ended, 0);
    both.ways[S].frozen = both.ways[R].frozen = false;
    test_loop_await(&both.loop, link_connected(&both));
    end_send(&both.ends[S], PIECE);
    await_delivered(S);
    link_close(&both);
}

/* An application that takes its time is not a dead connection. */
static void paused_reading_is_not_silence(void **state)
{
    (void)state;
    open_paired();
    both.ends[R].hold = true;
    for (int i = 0; i < 3; i++)
        end_send(&both.ends[S], (uint64_t)N_PIECES * PIECE);
    test_loop_await(&both.loop, both.ends[R].held_bytes >= FTX_PEER_HELD_MAX);
    pass_seconds(120);
    both.ends[R].hold = false;
    end_write(&both.ends[R]);
    await_delivered(S);
    assert_int_equal(both.ends[R].n_begun, 1);
    link_close(&both);
}

/* Both ends lose everything that was under way at once and dial each other at the same time. */
/* Neither reaches the other; only one of them has work. */
static void link_with_work_rests_for_seconds_only(void **state)
{
    (void)state;
    link_open(&both, CODE, CODE);
    both.ends[S].busy = true;
    link_start(&both, S);
    link_start(&both, R);
    both.ways[S].target = both.ways[R].target = 0;
    test_loop_await(&both.loop, both.ways[S].n_accepted >= 6); /* R's, after about 31 s */
    assert_true(both.ways[R].n_accepted >= 7);                 /* S's: at least every 4.8 s */
    link_close(&both);
}

/* By the clock, which the timers outrun: how long the rest still is. */
static uint64_t rest_ms(const struct ftx_peer *peer)
{
    uint64_t now_ms = uv_now(peer->node->loop);
    return peer->rest_until_ms > now_ms ? peer->rest_until_ms - now_ms : 0;
}

static void new_work_and_its_owner_end_a_rest(void **state)
{
    (void)state;
    for (int which = 0; which < 2; which++) {
        link_open(&both, CODE, CODE);
        both.dials[R] = false;
        link_start(&both, S);
        link_start(&both, R);
        struct ftx_peer *peer = both.ends[S].peer;
        both.ways[R].target = 0;
        test_loop_await(&both.loop, rest_ms(peer) > 10 * 1000);
        both.ways[R].target = ftx_node_port(both.ends[R].node);
        if (which == 0)
            ftx_peer_kick(peer);
        else
            ftx_peer_dial_now(peer);
        assert_true(rest_ms(peer) <= (which == 0 ? 1000 : 0));
        test_loop_await(&both.loop, link_connected(&both));
        link_close(&both);
    }
}

/* Who does not answer now may have been asked before he was there. */
static void owner_begins_anew_what_is_being_connected(void **state)
{
    (void)state;
    link_open(&both, CODE, CODE);
    struct ftx_address silent = {.host = "127.0.0.1"};
    int fds[2];
    socket_silent(fds, &silent.port);
    link_start(&both, S);
    struct ftx_peer *peer = both.ends[S].peer;
    ftx_peer_found(peer, FTX_WAY_LAN, &silent);
    test_loop_await(&both.loop, peer->n_dials > 0);
    ftx_peer_dial_now(peer);
    assert_true(ftx_list_empty(&peer->tries) && rest_ms(peer) == 0);
    link_close(&both);
    close(fds[0]);
    close(fds[1]);
}

static void simultaneous_dials_end_in_one_session(void **state)
{
    (void)state;
    open_paired();
    for (size_t i = 2; i < 12; i++) {
        proxy_cut(&both.ways[S]);
        proxy_cut(&both.ways[R]);
        test_loop_await(&both.loop, !both.ends[S].engine && !both.ends[R].engine);
        ftx_peer_kick(both.ends[S].peer);
        ftx_peer_kick(both.ends[R].peer);
        test_loop_await(&both.loop, link_connected(&both));
    }
    end_send(&both.ends[S], PIECE);
    await_delivered(S);
    link_close(&both);
}

/* S comes back from a backup: its numbers are long used. */
static void old_session_numbers_are_leapt_over(void **state)
{
    (void)state;
    open_paired();
    end_stop(&both.ends[S]);
    end_stop(&both.ends[R]);
    both.ends[R].disk.session = 3000000;
    link_start(&both, S);
    link_start(&both, R);
    test_loop_await(&both.loop, link_connected(&both));
    assert_true(both.ends[R].engine->session > 3000000);
    link_close(&both);
}

/* The link's end says GOODBYE: the other does not have to find out. */
static void removed_link_takes_leave(void **state)
{
    (void)state;
    for (unsigned n_data = 0; n_data <= 2; n_data += 2) {
        open_paired_with_data(n_data);
        end_send(&both.ends[S], BIG);
        test_loop_await(&both.loop, both.ends[R].n_arrived > 0);
        ftx_peer_remove(both.ends[S].peer);
        test_loop_await(&both.loop, both.ends[S].gone);
        assert_int_equal(both.ends[S].n_ended, 1);
        test_loop_await(&both.loop, both.ends[R].n_ended == 1);
        assert_int_equal(both.ends[R].end_reason, 0);
        link_close(&both);
    }
}

/* Two links of one pair of nodes: what the one moves does not keep the other waiting. */
static void bulk_of_one_link_leaves_room_for_another(void **state)
{
    (void)state;
    struct proxy way;
    struct end *more = calloc(2, sizeof *more);
    assert_non_null(more);
    open_paired();
    proxy_open(&way, &both.loop.uv);
    for (int i = 0; i < 2; i++) {
        end_init(&more[i], &both.loop, &way, i == S ? FTX_ROLE_S : FTX_ROLE_R, "8-piano-forest");
        end_start_beside(&more[i], &both.ends[i]);
    }
    test_loop_await(&both.loop, end_connected(&more[S]) && end_connected(&more[R]));
    for (int i = 0; i < N_STREAMS; i++)
        end_send(&both.ends[S], (uint64_t)N_PIECES * PIECE);
    for (size_t arrived = 0; arrived < 8; arrived += 2) { /* before one in hundreds of the bulk */
        test_loop_await(&both.loop, both.ends[R].n_arrived > arrived);
        end_send(&more[S], PIECE);
        test_loop_await(&both.loop, end_delivered(&more[S]));
        assert_false(end_delivered(&both.ends[S]));
    }
    await_delivered(S);
    end_stop(&both.ends[S]);
    end_stop(&both.ends[R]);
    assert_true(more[S].gone && more[R].gone);
    proxy_close(&way);
    for (int i = 0; i < 2; i++)
        end_free(&more[i]);
    link_close(&both);
    free(more);
}

/* R's disk is full, or so: the session ends, the link tries again. */
static void failed_application_ends_the_session(void **state)
{
    (void)state;
    open_paired();
    ftx_peer_fail(both.ends[R].peer, -ENOSPC);
    test_loop_await(&both.loop, both.ends[R].n_ended == 1 && both.ends[S].n_ended == 1);
    assert_int_equal(both.ends[R].end_reason, -ENOSPC);
    test_loop_await(&both.loop, link_connected(&both));
    end_send(&both.ends[S], PIECE);
    await_delivered(S);
    link_close(&both);
}

/* R keeps what comes in memory: reading stops at the limit, and goes on when it is written. */
static void slow_receiver_bounds_memory(void **state)
{
    (void)state;
    open_paired();
    both.ends[R].hold = true;
    for (int i = 0; i < 4; i++)
        end_send(&both.ends[S], (uint64_t)N_PIECES * PIECE);
    test_loop_await(&both.loop, both.ends[R].held_bytes >= FTX_PEER_HELD_MAX);
    size_t arrived = both.ends[R].n_arrived;
    uint64_t passed = 0;
    while (passed != both.ways[R].n_passed + both.ways[S].n_passed) { /* all buffers are full */
        passed = both.ways[R].n_passed + both.ways[S].n_passed;
        settle();
    }
    assert_int_equal(both.ends[R].n_arrived, arrived);
    assert_true(both.ends[R].most_held < FTX_PEER_HELD_MAX + (2 << 20));
    while (!end_delivered(&both.ends[S])) {
        if (both.ends[R].n_held > 0)
            end_write(&both.ends[R]);
        test_loop_turn(&both.loop, "the rest");
    }
    await_delivered(S);
    assert_true(both.ends[R].most_held < FTX_PEER_HELD_MAX + (2 << 20));
    assert_int_equal(both.ends[S].n_begun, 1);
    link_close(&both);
}

static void what_was_sent_is_fetched_back(void **state)
{
    (void)state;
    for (unsigned n_data = 0; n_data <= 2; n_data += 2) {
        open_paired_with_data(n_data);
        end_send(&both.ends[S], BIG);
        end_send(&both.ends[R], BIG);
        await_delivered(S);
        await_delivered(R);
        both.ends[R].unreadable = 1; /* it is tried again */
        end_fetch(&both.ends[S], 1, 0, BIG);
        end_fetch(&both.ends[R], 1, 5, BIG - 5);
        test_loop_await(&both.loop, both.ends[S].fetched_bytes == BIG);
        test_loop_await(&both.loop, both.ends[R].fetched_bytes == BIG - 5);
        assert_int_equal(both.ends[S].n_fetched, 2 * BIG / FTX_EXTENT_MAX);
        assert_int_equal(both.ends[S].n_gone + both.ends[R].n_gone, 0);
        assert_int_equal(both.ends[R].unreadable, 0);
        assert_int_equal(both.ends[S].n_begun, 1);
        link_close(&both);
    }
}

/* However small an answer is: the disk is read on a worker. */
static void a_small_answer_that_cannot_be_read_is_gone(void **state)
{
    (void)state;
    open_paired();
    end_send(&both.ends[S], PIECE);
    await_delivered(S);
    both.ends[R].unreadable = 2;
    end_fetch(&both.ends[S], 1, 100, 10);
    test_loop_await(&both.loop, both.ends[S].n_fetched == 1);
    assert_int_equal(both.ends[S].n_gone, 1);
    end_fetch(&both.ends[S], 1, 100, 10);
    test_loop_await(&both.loop, both.ends[S].n_fetched == 2);
    assert_int_equal(both.ends[S].fetched_bytes, 10);
    end_fetch(&both.ends[S], 9, 0, 10); /* R has no such stream */
    test_loop_await(&both.loop, both.ends[S].n_fetched == 3);
    assert_int_equal(both.ends[S].n_gone, 2);
    assert_false(both.ends[R].read_here);
    link_close(&both);
}

static void content_travels_compressed(void **state)
{
    (void)state;
    link_open(&both, CODE, CODE);
    both.ends[S].compress = FTX_COMPRESS_ON; /* each end decides for what it sends */
    link_start(&both, S);
    link_start(&both, R);
    for (int i = 0; i < 2; i++) {
        end_send(&both.ends[i], BIG);
        end_send(&both.ends[i], 100); /* too little to be compressed */
        end_send(&both.ends[i], PIECE + 1);
    }
    await_delivered(S);
    await_delivered(R);
    const struct end *s = &both.ends[S], *r = &both.ends[R];
    assert_int_equal(s->packed_before, BIG + PIECE);
    assert_int_equal(s->packed_before, r->unpacked_before);
    assert_int_equal(s->packed_after, r->unpacked_after);
    assert_true(r->unpacked_after < r->unpacked_before / 2);
    assert_int_equal(r->packed_before + s->unpacked_before, 0);

    end_fetch(&both.ends[R], 1, 0, BIG); /* S answers */
    test_loop_await(&both.loop, r->fetched_bytes == BIG);
    assert_int_equal(s->packed_before, 2 * BIG + PIECE);
    assert_int_equal(s->packed_after, r->unpacked_after);
    link_close(&both);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(content_arrives_both_ways),
        cmocka_unit_test(content_armed_before_pairing_arrives),
        cmocka_unit_test(data_connections_carry_content),
        cmocka_unit_test(either_end_adds_data_connections),
        cmocka_unit_test(cut_while_content_flows_resumes),
        cmocka_unit_test(flipped_bit_ends_the_session_and_content_arrives),
        cmocka_unit_test(silent_death_is_replaced),
        cmocka_unit_test(silence_is_noticed_and_healed),
        cmocka_unit_test(network_change_finds_out_what_is_dead),
        cmocka_unit_test(paused_reading_is_not_silence),
        cmocka_unit_test(link_with_work_rests_for_seconds_only),
        cmocka_unit_test(new_work_and_its_owner_end_a_rest),
        cmocka_unit_test(owner_begins_anew_what_is_being_connected),
        cmocka_unit_test(simultaneous_dials_end_in_one_session),
        cmocka_unit_test(old_session_numbers_are_leapt_over),
        cmocka_unit_test(removed_link_takes_leave),
        cmocka_unit_test(bulk_of_one_link_leaves_room_for_another),
        cmocka_unit_test(failed_application_ends_the_session),
        cmocka_unit_test(slow_receiver_bounds_memory),
        cmocka_unit_test(what_was_sent_is_fetched_back),
        cmocka_unit_test(a_small_answer_that_cannot_be_read_is_gone),
        cmocka_unit_test(content_travels_compressed),
    };
    signal(SIGPIPE, SIG_IGN);
    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
