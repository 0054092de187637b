/* SPDX-License-Identifier: MIT */
/* Two ends with one code always end up paired, whoever dials and whenever one of them dies; others
 * never do. */
#include "tests/peer/link.h"

#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static struct link both; /* of the running case */

static void assert_paired(void)
{
    for (int i = 0; i < 2; i++) {
        test_loop_await(&both.loop, both.ends[i].n_waiting == 0);
        assert_int_equal(both.ends[i].disk.stage, FTX_PEER_PAIRED);
        assert_string_equal(both.ends[i].disk.code, "");
        assert_int_equal(both.ends[i].disk.guesses, 0);
        assert_int_equal(both.ends[i].disk.session, both.ends[i].engine->session);
    }
    assert_memory_equal(both.ends[S].disk.keys.link_secret, both.ends[R].disk.keys.link_secret, 32);
    assert_memory_equal(both.ends[S].disk.keys.static_public, both.ends[R].disk.keys.peer_public,
                        32);
}

static void pairs_whoever_dials_and_starts_first(void **state)
{
    (void)state;
    for (int dials = 1; dials <= 3; dials++) {
        for (int first = 0; first < 2; first++) {
            link_open(&both, CODE, CODE);
            both.dials[S] = dials & 1;
            both.dials[R] = dials & 2;
            link_start(&both, first);
            link_start(&both, 1 - first);
            test_loop_await(&both.loop, link_connected(&both));
            assert_paired();
            assert_int_equal(both.ends[S].n_guesses_failed + both.ends[R].n_guesses_failed, 0);
            link_close(&both);
        }
    }
}

static void pairs_with_who_comes_later(void **state)
{
    (void)state;
    for (int first = 0; first < 2; first++) {
        link_open(&both, CODE, CODE);
        link_start(&both, first);
        test_loop_await(&both.loop, both.ways[1 - first].n_accepted >= 3);
        link_start(&both, 1 - first);
        test_loop_await(&both.loop, link_connected(&both));
        assert_paired();
        link_close(&both);
    }
}

static void resumes_after_each_end_is_made_anew(void **state)
{
    (void)state;
    link_open(&both, CODE, CODE);
    link_start(&both, S);
    link_start(&both, R);
    test_loop_await(&both.loop, link_connected(&both));
    assert_paired();
    uint64_t session = both.ends[S].engine->session;
    for (int i = 0; i < 6; i++) {
        int which = i % 3 == 2 ? S : i % 3;
        end_stop(&both.ends[which]);
        if (i % 3 == 2)
            end_stop(&both.ends[R]);
        link_start(&both, which);
        if (i % 3 == 2)
            link_start(&both, R);
        test_loop_await(&both.loop,
                        link_connected(&both) && both.ends[S].engine->session > session);
        session = both.ends[S].engine->session;
        assert_paired();
    }
    link_close(&both);
}

/* One end dies at each of its saves in turn, with the disk before or after it; then it comes back.
 */
static void killed_at_any_save_pairs_in_the_end(void **state)
{
    (void)state;
    for (int dials = 1; dials <= 3; dials++)
        for (int which = 0; which < 2; which++)
            for (int written = 0; written < 2; written++)
                for (size_t at = 1;; at++) {
                    struct end *end = &both.ends[which];
                    link_open(&both, CODE, CODE);
                    both.dials[S] = dials & 1;
                    both.dials[R] = dials & 2;
                    end->kill_at = at;
                    end->kill_written = written;
                    link_start(&both, S);
                    link_start(&both, R);
                    test_loop_await(&both.loop, end->dead || (link_connected(&both) &&
                                                              both.ends[R].n_waiting == 0));
                    bool killed = end->dead;
                    if (killed) {
                        end_stop(end);
                        link_start(&both, which);
                    }
                    test_loop_await(&both.loop, link_connected(&both));
                    assert_paired();
                    link_close(&both);
                    if (!killed) {
                        assert_true(at > 4);
                        break;
                    }
                }
}

/* Whatever the number of bytes that passed when everything was cut. */
static void cut_at_any_byte_pairs_in_the_end(void **state)
{
    (void)state;
    for (uint64_t at = 1; at < 900; at += 37) {
        link_open(&both, CODE, CODE);
        both.ways[S].cut_at = at;
        both.ways[R].cut_at = at;
        link_start(&both, S);
        link_start(&both, R);
        test_loop_await(&both.loop, link_connected(&both));
        assert_paired();
        link_close(&both);
    }
}

static void wrong_code_counts_at_both_ends_and_ten_lock(void **state)
{
    (void)state;
    link_open(&both, CODE, "7-guitar-piano");
    link_start(&both, S);
    link_start(&both, R);
    test_loop_await(&both.loop, both.ends[S].disk.guesses == FTX_GUESSES_MAX &&
                                    both.ends[R].disk.guesses == FTX_GUESSES_MAX);
    assert_true(both.ends[S].was_pairing && both.ends[R].was_pairing);
    for (int i = 0; i < 2; i++)
        test_loop_await(&both.loop, both.ends[i].n_guesses_failed == FTX_GUESSES_MAX);
    uint64_t dialled = both.ways[S].n_accepted + both.ways[R].n_accepted;
    size_t saves = both.ends[S].n_saves + both.ends[R].n_saves;

    /* Also after a start: nobody dials, and nobody answers. */
    for (int i = 0; i < 2; i++) {
        end_stop(&both.ends[i]);
        link_start(&both, i);
        ftx_peer_kick(both.ends[i].peer);
    }
    size_t unchanged = 0;
    test_loop_settle(&both.loop, &unchanged);
    assert_int_equal(both.ways[S].n_accepted + both.ways[R].n_accepted, dialled);
    assert_int_equal(both.ends[S].n_saves + both.ends[R].n_saves, saves);
    assert_int_equal(both.ends[S].disk.stage, FTX_PEER_ARMED);
    assert_int_equal(both.ends[R].n_begun, 0);
    link_close(&both);
}

static void same_role_is_told_at_both_ends(void **state)
{
    (void)state;
    for (int role = FTX_ROLE_S; role <= FTX_ROLE_R; role++) {
        link_open(&both, CODE, CODE);
        both.ends[S].disk.role = both.ends[R].disk.role = (enum ftx_role)role;
        link_start(&both, S);
        link_start(&both, R);
        test_loop_await(&both.loop, both.ends[S].was_same_role && both.ends[R].was_same_role);
        assert_int_equal(both.ends[S].n_saves + both.ends[R].n_saves, 0);
        link_close(&both);
    }
}

/* R has dialled and met nobody; a link that dials its own node says nothing of roles. */
static void own_node_is_not_the_peer(void **state)
{
    (void)state;
    for (int role = FTX_ROLE_S; role <= FTX_ROLE_R; role++) {
        link_open(&both, CODE, CODE);
        both.ends[S].disk.role = (enum ftx_role)role;
        end_start(&both.ends[S], &both.ways[S]);
        test_loop_await(&both.loop, both.ways[S].n_accepted >= 4);
        assert_false(both.ends[S].was_same_role);
        assert_int_equal(both.ends[S].n_saves, 0);
        link_close(&both);
    }
}

/* S has lost its keys (an old backup): armed anew, it finds an R that is enrolled. */
static void enrolled_end_pairs_again_with_one_that_forgot(void **state)
{
    (void)state;
    for (int which = 0; which < 2; which++) {
        link_open(&both, CODE, CODE);
        struct ftx_peer_identity *id = &both.ends[which].disk;
        id->stage = FTX_PEER_ENROLLED;
        randombytes_buf(&id->keys, sizeof id->keys);
        link_start(&both, S);
        link_start(&both, R);
        test_loop_await(&both.loop, link_connected(&both));
        assert_paired();
        link_close(&both);
    }
}

/* Two codes with one label at one node: the Hello does not tell which is meant. */
static void links_of_one_node_find_their_peers(void **state)
{
    (void)state;
    struct proxy way;
    struct end *more = calloc(2, sizeof *more);
    assert_non_null(more);
    link_open(&both, CODE, CODE);
    both.dials[R] = false;
    proxy_open(&way, &both.loop.uv);
    end_init(&more[S], &both.loop, &way, FTX_ROLE_S, "7-piano-forest");
    end_init(&more[R], &both.loop, NULL, FTX_ROLE_R, "7-piano-forest");
    link_start(&both, R);
    end_start_beside(&more[R], &both.ends[R]);
    end_start(&more[S], &both.ways[R]);
    link_start(&both, S);
    test_loop_await(&both.loop,
                    link_connected(&both) && end_connected(&more[S]) && end_connected(&more[R]));
    assert_paired();
    assert_memory_equal(more[S].disk.keys.link_secret, more[R].disk.keys.link_secret, 32);
    assert_memory_not_equal(more[S].disk.keys.link_secret, both.ends[S].disk.keys.link_secret, 32);
    end_stop(&more[S]);
    end_stop(&both.ends[R]);
    assert_true(more[R].gone);
    proxy_close(&way);
    for (int i = 0; i < 2; i++)
        end_free(&more[i]);
    link_close(&both);
    free(more);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_whoever_dials_and_starts_first),
        cmocka_unit_test(pairs_with_who_comes_later),
        cmocka_unit_test(resumes_after_each_end_is_made_anew),
        cmocka_unit_test(killed_at_any_save_pairs_in_the_end),
        cmocka_unit_test(cut_at_any_byte_pairs_in_the_end),
        cmocka_unit_test(wrong_code_counts_at_both_ends_and_ten_lock),
        cmocka_unit_test(same_role_is_told_at_both_ends),
        cmocka_unit_test(own_node_is_not_the_peer),
        cmocka_unit_test(links_of_one_node_find_their_peers),
        cmocka_unit_test(enrolled_end_pairs_again_with_one_that_forgot),
    };
    signal(SIGPIPE, SIG_IGN);
    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
