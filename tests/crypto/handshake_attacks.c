/* SPDX-License-Identifier: MIT */
/* What someone between or beside the ends may try (handshake, guessing): it always fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "tests/crypto/two_ends.h"
#include "transport/base/err.h"
#include "transport/crypto/suite.h"

static const struct run any_run[] = {ANY_RUN};
enum { N_RUNS = sizeof any_run / sizeof *any_run };

static size_t bytes_of(struct run run)
{
    return run.mode == FTX_MODE_PAIR ? PAIR_BYTES : RESUME_BYTES;
}

static void start(struct end ends[2], struct run run)
{
    for (int role = 0; role < 2; role++) {
        end_init(&ends[role], run.mode, role, (uint32_t)role + 1);
        end_start(&ends[role], run.dialler == role);
    }
}

/* Alone against the network: one end, its Hello out if it dials, or its peer's first Hello due. */
static void start_alone(struct end *end, struct run run, int role, uint32_t seed)
{
    end_init(end, run.mode, role, seed);
    end_start(end, run.dialler == role);
}

/* -- a changed byte -- */

static void flipped_bit_never_completes_both_ends(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_RUNS; i++)
        for (int from = 0; from < 2; from++)
            for (size_t at = 0; at < bytes_of(any_run[i]); at++)
                for (int bit = 0; bit < 8; bit++) {
                    struct end ends[2];
                    if (at >= HELLO && bit != (int)(at % 8))
                        continue; /* each bit of the Hello, one of each later byte */
                    ends_run(ends, any_run[i],
                             &(struct wire){.chunk = 4096,
                                            .faulty = from,
                                            .fault_at = at,
                                            .flip = (uint8_t)(1u << bit)});
                    /* The one that was lied to does not complete: it fails, or waits for bytes
                     * that a lying length promised until its deadline. */
                    assert_false(end_done(&ends[1 - from]));
                    assert_true(ends[from].n_sent > at); /* the fault hit */
                    if (at >= HELLO) /* at once, or when the other judges the proof that follows */
                        assert_true(ends[S].err == FTX_EAUTH || ends[R].err == FTX_EAUTH);
                    /* Only a last message completes its sender, only a box makes anybody write. */
                    if (at < HELLO + SHARE + TAG)
                        assert_true(ends[S].written + ends[R].written == 0);
                    assert_int_equal(
                        end_done(&ends[from]),
                        from == R && at >= bytes_of(any_run[i]) -
                                               (any_run[i].mode == FTX_MODE_PAIR ? KEPT : NOISE));
                    ends_close(ends);
                }
}

static void flipped_tag_costs_the_guess_of_who_believed_in_it(void **state)
{
    (void)state;
    const struct {
        int from;
        size_t at;
        int guesses[2];
    } cases[] = {
        {S, HELLO + SHARE, {1, 1}},       /* tag_S went out, and was wrong */
        {R, HELLO + SHARE, {1, 0}},       /* tag_R was wrong, after tag_S was right */
        {S, HELLO + SHARE + TAG, {0, 0}}, /* both were right */
        {R, HELLO + SHARE + TAG, {0, 0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct end ends[2];
        ends_run(ends, any_run[0],
                 &(struct wire){
                     .chunk = 4096, .faulty = cases[i].from, .fault_at = cases[i].at, .flip = 1});
        assert_int_equal(ends[1 - cases[i].from].err, FTX_EAUTH);
        assert_int_equal(ends[S].guesses, cases[i].guesses[S]);
        assert_int_equal(ends[R].guesses, cases[i].guesses[R]);
        ends_close(ends);
    }
}

static void edited_hello_fails(void **state)
{
    (void)state;
    enum { VERSION_MIN = 5, VERSION_MAX = 6, MODE = 7, ROLE = 8, RESERVED = 9 };
    const struct {
        size_t at;
        uint8_t value;
        int err; /* of its reader; 0: noticed only in the key exchange */
    } cases[] = {
        {0, 'f', FTX_EPROTO},      {4, 41, FTX_EPROTO},          {4, 0, FTX_EPROTO},
        {VERSION_MIN, 0, 0},       {VERSION_MIN, 2, FTX_EPROTO}, {VERSION_MAX, 2, 0},
        {VERSION_MAX, 255, 0},     {VERSION_MAX, 0, FTX_EPROTO}, {MODE, 0, FTX_EPROTO},
        {MODE, 3, FTX_EPROTO},     {ROLE, 0, FTX_EPROTO},        {ROLE, 3, FTX_EPROTO},
        {RESERVED, 1, FTX_EPROTO},
    };
    for (size_t i = 0; i < N_RUNS; i++)
        for (int from = 0; from < 2; from++)
            for (size_t j = 0; j < sizeof cases / sizeof *cases; j++) {
                struct end ends[2];
                start(ends, any_run[i]);
                if (from != any_run[i].dialler)
                    end_pass(&ends[1 - from], &ends[from], HELLO);
                assert_true(ends[from].n_sent >= HELLO);
                ends[from].sent[cases[j].at] = cases[j].value;
                ends_connect(ends, &WIRE_WHOLE);
                if (cases[j].err)
                    assert_int_equal(ends[1 - from].err, cases[j].err);
                assert_false(end_done(&ends[1 - from]));
                assert_int_equal(ends[S].written + ends[R].written, 0);
                ends_close(ends);
            }
}

static void inserted_extension_fails(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_RUNS; i++) {
        struct end ends[2];
        start(ends, any_run[i]);
        struct end *dialler = &ends[any_run[i].dialler];
        dialler->sent[4]++;
        dialler->sent[dialler->n_sent++] = 0;
        ends_connect(ends, &WIRE_WHOLE);
        assert_false(end_done(&ends[S]) || end_done(&ends[R]));
        assert_true(ends[S].err == FTX_EAUTH || ends[R].err == FTX_EAUTH);
        assert_int_equal(ends[S].written + ends[R].written, 0);
        ends_close(ends);
    }
}

/* Who strikes out on the way what an end says of AES gets no session with the other cipher. */
static void changed_wish_for_a_cipher_fails(void **state)
{
    (void)state;
    for (int run = 0; run < 4; run++) {
        struct end ends[2];
        int dialler = run & 1, victim = run >> 1;
        for (int role = 0; role < 2; role++) {
            end_init(&ends[role], FTX_MODE_RESUME, role, (uint32_t)role + 1);
            ends[role].link.aes = true;
            end_start(&ends[role], role == dialler);
        }
        if (victim != dialler)
            end_pass(&ends[dialler], &ends[victim], HELLO + 2);
        assert_int_equal(ends[victim].sent[HELLO + 1], 1);
        ends[victim].sent[HELLO + 1] = 0;
        ends_connect(ends, &WIRE_WHOLE);
        assert_false(end_done(&ends[S]) || end_done(&ends[R]));
        assert_true(ends[S].err == FTX_EAUTH || ends[R].err == FTX_EAUTH);
        ends_close(ends);
    }
}

static void versions_without_overlap_are_said_so(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_RUNS; i++) {
        const uint8_t ranges[][2] = {{2, 2}, {2, 9}, {255, 255}, {0, 0}};
        for (size_t j = 0; j < sizeof ranges / sizeof *ranges; j++) {
            struct end ends[2];
            start(ends, any_run[i]);
            uint8_t *hello = ends[any_run[i].dialler].sent;
            memcpy(hello + 5, ranges[j], 2);
            hello[7] = 77; /* another version's field: not judged */
            ends_connect(ends, &WIRE_WHOLE);
            assert_int_equal(ends[1 - any_run[i].dialler].err, FTX_EVERSION);
            assert_int_equal(ends[1 - any_run[i].dialler].n_sent, 0);
            ends_close(ends);
        }
    }
}

/* -- the wrong peer -- */

static void wrong_code_fails_and_counts_at_both_ends(void **state)
{
    (void)state;
    for (int dialler = 0; dialler < 2; dialler++) {
        struct end ends[2];
        for (int role = 0; role < 2; role++) {
            end_init(&ends[role], FTX_MODE_PAIR, role, (uint32_t)role + 1);
            ends[role].link.code = role == S ? "7-guitar-harvest" : "7-guitar-harvesu";
            end_start(&ends[role], role == dialler);
        }
        ends_connect(ends, &WIRE_WHOLE);
        assert_int_equal(ends[R].err, FTX_EAUTH);
        assert_int_equal(ends[R].n_sent, HELLO + SHARE); /* and then not a word */
        assert_false(end_done(&ends[S]) || end_done(&ends[R]));
        assert_int_equal(ends[S].guesses, 1);
        assert_int_equal(ends[R].guesses, 1);
        assert_int_equal(ends[S].written + ends[R].written, 0);
        ends_close(ends);
    }
}

static void wrong_link_secret_or_static_fails(void **state)
{
    (void)state;
    for (int dialler = 0; dialler < 2; dialler++)
        for (int which = 0; which < 2; which++) {
            struct end ends[2];
            struct ftx_link_keys other = *test_keys(0, S);
            if (which)
                memcpy(other.static_secret, test_keys(1, S)->static_secret, 32);
            else
                memcpy(other.link_secret, test_keys(1, S)->link_secret, 32);
            for (int role = 0; role < 2; role++) {
                end_init(&ends[role], FTX_MODE_RESUME, role, (uint32_t)role + 1);
                if (role == S)
                    ends[role].link.keys = &other;
                end_start(&ends[role], role == dialler);
            }
            ends_connect(ends, &WIRE_WHOLE);
            assert_false(end_done(&ends[S]) || end_done(&ends[R]));
            assert_true(ends[S].err == FTX_EAUTH || ends[R].err == FTX_EAUTH);
            if (!which) /* the hint is not recognised: not a byte back */
                assert_int_equal(ends[1 - dialler].n_sent, 0);
            ends_close(ends);
        }
}

static void same_role_is_said_so_at_both_ends(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_RUNS; i++) {
        int role = any_run[i].dialler;
        struct end ends[2];
        for (int end = 0; end < 2; end++) {
            end_init(&ends[end], any_run[i].mode, role, (uint32_t)end + 1);
            end_start(&ends[end], end == 0);
        }
        ends_connect(ends, &WIRE_WHOLE);
        for (int end = 0; end < 2; end++) {
            assert_int_equal(ends[end].err, FTX_EROLE);
            assert_int_equal(ends[end].n_sent, HELLO);
            assert_int_equal(ends[end].guesses, 0);
        }
        ends_close(ends);
    }
}

static void other_mode_fails(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_RUNS; i++) {
        enum ftx_mode other = any_run[i].mode == FTX_MODE_PAIR ? FTX_MODE_RESUME : FTX_MODE_PAIR;
        struct end ends[2], stranger;
        start(ends, any_run[i]);
        struct end *dialler = &ends[any_run[i].dialler], *acceptor = &ends[1 - any_run[i].dialler];
        size_t taken;

        assert_false(ftx_hello_matches(&(struct ftx_hello){.mode = other}, &acceptor->link));
        acceptor->link.mode = other; /* a caller that resolves all the same */
        assert_int_equal(ftx_handshake_receive(&acceptor->hs, dialler->sent, HELLO, &taken), 0);
        assert_int_equal(ftx_handshake_resolved(&acceptor->hs, &acceptor->link), FTX_EPROTO);
        assert_int_equal(acceptor->hs.out_size, 0);

        end_init(&stranger, other, 1 - any_run[i].dialler, 9);
        end_start(&stranger, true);
        end_feed(dialler, stranger.sent, HELLO, 4096);
        assert_int_equal(dialler->err, FTX_EPROTO);
        end_close(&stranger);
        ends_close(ends);
    }
}

static void stranger_gets_no_answer(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_RUNS; i++) {
        struct end ends[2];
        start(ends, any_run[i]);
        struct end *acceptor = &ends[1 - any_run[i].dialler];
        acceptor->link.label = "8";
        acceptor->link.keys = test_keys(1, 1 - any_run[i].dialler);
        ends_connect(ends, &WIRE_WHOLE);
        assert_int_equal(acceptor->n_sent, 0);
        assert_int_equal(acceptor->n_wants, 1);
        ends_close(ends);
    }
}

/* -- bytes from elsewhere -- */

static void replayed_session_fails(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_RUNS; i++)
        for (int role = 0; role < 2; role++) {
            struct end ends[2], victim;
            ends_run(ends, any_run[i], &WIRE_WHOLE);
            assert_true(end_done(&ends[role]));
            start_alone(&victim, any_run[i], role, 99); /* a fresh nonce */
            end_feed(&victim, ends[1 - role].sent, ends[1 - role].n_sent, 4096);
            assert_int_equal(victim.err, FTX_EAUTH);
            assert_int_equal(victim.written, 0);
            assert_int_equal(victim.guesses, any_run[i].mode == FTX_MODE_PAIR);
            end_close(&victim);
            ends_close(ends);
        }
}

static void replayed_first_message_gets_no_noise_back(void **state)
{
    (void)state;
    struct end ends[2], victim;
    ends_run(ends, any_run[2], &WIRE_WHOLE);
    start_alone(&victim, any_run[2], R, 99);
    end_feed(&victim, ends[S].sent, RESUME_BYTES, 4096);
    assert_int_equal(victim.err, FTX_EAUTH);
    assert_int_equal(victim.n_sent, HELLO);
    end_close(&victim);
    ends_close(ends);
}

static void own_bytes_reflected_fail(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_RUNS; i++)
        for (int flip_role = 0; flip_role < 2; flip_role++) {
            struct end end;
            uint8_t hello[HELLO];
            start_alone(&end, any_run[i], any_run[i].dialler, 1);
            memcpy(hello, end.sent, HELLO);
            hello[8] ^= flip_role ? 3 : 0; /* S becomes R */
            end_feed(&end, hello, HELLO, 4096);
            assert_int_equal(end.err, FTX_EAUTH); /* not FTX_EROLE: no second end has spoken */
            assert_int_equal(end.guesses, 0);
            end_close(&end);
        }
}

/* Knows the label, so its Hello is as good as any, and echoes all the rest. */
static void echoed_share_and_tag_fail(void **state)
{
    (void)state;
    struct end s, mirror;
    end_init(&s, FTX_MODE_PAIR, S, 1);
    end_start(&s, false);
    end_init(&mirror, FTX_MODE_PAIR, R, 2);
    end_start(&mirror, true);
    end_pass(&mirror, &s, HELLO);
    end_feed(&s, s.sent + HELLO, SHARE, 4096);
    assert_int_equal(s.err, 0);
    assert_int_equal(s.n_sent, HELLO + SHARE + TAG);
    end_feed(&s, s.sent + HELLO + SHARE, TAG, 4096);
    assert_int_equal(s.err, FTX_EAUTH);
    assert_int_equal(s.guesses, 1);
    end_close(&s);
    end_close(&mirror);
}

/* The messages after the Hellos change places between two connections. */
static void splice(struct end a[2], struct end b[2], struct run run)
{
    int dialler = run.dialler;
    for (int role = 0; role < 2; role++) {
        end_start(&a[role], role == dialler);
        end_start(&b[role], role == dialler);
    }
    end_pass(&a[dialler], &a[1 - dialler], HELLO);
    end_pass(&b[dialler], &b[1 - dialler], HELLO);
    end_pass(&a[1 - dialler], &a[dialler], HELLO);
    end_pass(&b[1 - dialler], &b[dialler], HELLO);

    struct end *links[2] = {a, b};
    for (bool moved = true; moved;) {
        moved = false;
        for (int link = 0; link < 2; link++)
            for (int role = 0; role < 2; role++)
                moved |= end_pass(&links[link][role], &links[1 - link][1 - role], 4096);
    }
    for (int link = 0; link < 2; link++) {
        assert_false(end_done(&links[link][S]) || end_done(&links[link][R]));
        assert_true(links[link][S].err == FTX_EAUTH || links[link][R].err == FTX_EAUTH);
        assert_int_equal(links[link][S].written + links[link][R].written, 0);
        ends_close(links[link]);
    }
}

static void splice_of_two_connections_fails(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_RUNS; i++)
        for (int other_link = 0; other_link < 2; other_link++) {
            struct end a[2], b[2];
            for (int role = 0; role < 2; role++) {
                end_init(&a[role], any_run[i].mode, role, (uint32_t)role + 1);
                end_init(&b[role], any_run[i].mode, role, (uint32_t)role + 11);
                if (other_link) {
                    b[role].link.keys = test_keys(1, role);
                    b[role].link.code = "7-other-code";
                }
            }
            splice(a, b, any_run[i]);
        }
}

/* The Hello of another link in the place of the acceptor's. */
static void hello_of_another_link_fails(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_RUNS; i++) {
        struct end end, other;
        int role = any_run[i].dialler;
        start_alone(&end, any_run[i], role, 1);
        end_init(&other, any_run[i].mode, 1 - role, 2);
        other.link.keys = test_keys(1, 1 - role);
        other.link.label = "8";
        end_start(&other, true);
        end_feed(&end, other.sent, HELLO, 4096);
        assert_int_equal(end.err, FTX_EAUTH);
        end_close(&other);
        end_close(&end);
    }
}

/* -- a peer that computes badly -- */

static void invalid_share_fails_and_costs_nothing(void **state)
{
    (void)state;
    static const uint8_t shares[][SHARE] = {
        {0},
        {1}, /* the neutral element; a negative encoding */
        {0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, /* p: not canonical */
    };
    for (int role = 0; role < 2; role++)
        for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
            struct end ends[2];
            start(ends, (struct run){FTX_MODE_PAIR, 1 - role}); /* the victim accepts */
            end_feed(&ends[role], ends[1 - role].sent, HELLO, 4096);
            size_t sent = ends[role].n_sent;
            end_feed(&ends[role], shares[i], SHARE, 4096);
            assert_int_equal(ends[role].err, FTX_EAUTH);
            assert_int_equal(ends[role].n_wants, 1);
            assert_int_equal(ends[role].n_sent, sent);
            ends_close(ends);
        }
}

/* S, who knows the code, enrols a static key of small order: R keeps what it had. */
static void static_key_of_small_order_is_not_written(void **state)
{
    (void)state;
    struct end ends[2];
    uint8_t isk[64], key[64], plain[64] = {0}, box[BOX];
    ends_run(ends, any_run[0],
             &(struct wire){.chunk = 4096, .faulty = S, .fault_at = HELLO + SHARE + TAG});
    memcpy(isk, ends[S].hs.isk, sizeof isk);
    ftx_derive("FTXP/1 e S", isk, sizeof isk, NULL, 0, key);
    ftx_aead_seal(key, 0, NULL, 0, plain, sizeof plain, box);
    end_feed(&ends[R], box, sizeof box, 4096);
    assert_int_equal(ends[R].err, FTX_EAUTH);
    assert_int_equal(ends[R].written, 0);
    ends_close(ends);
}

static void error_is_for_ever(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_RUNS; i++) {
        struct end ends[2];
        size_t taken;
        start(ends, any_run[i]);
        struct ftx_handshake *hs = &ends[any_run[i].dialler].hs;
        end_feed(&ends[any_run[i].dialler], (const uint8_t *)"HTTP/", 5, 1);
        assert_int_equal(ends[any_run[i].dialler].err, FTX_EPROTO);
        assert_int_equal(ftx_handshake_receive(hs, ends[0].sent, 1, &taken), FTX_EPROTO);
        assert_int_equal(ftx_handshake_written(hs), FTX_EPROTO);
        assert_int_equal(ftx_handshake_resolved(hs, &ends[0].link), FTX_EPROTO);
        assert_int_equal(hs->out_size, 0);
        assert_true(sodium_is_zero((const uint8_t *)hs->code, sizeof hs->code));
        assert_true(sodium_is_zero((const uint8_t *)&hs->keys, sizeof hs->keys));
        ends_close(ends);
    }
}

static int init(void **state)
{
    (void)state;
    return sodium_init() < 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flipped_bit_never_completes_both_ends),
        cmocka_unit_test(flipped_tag_costs_the_guess_of_who_believed_in_it),
        cmocka_unit_test(edited_hello_fails),
        cmocka_unit_test(inserted_extension_fails),
        cmocka_unit_test(changed_wish_for_a_cipher_fails),
        cmocka_unit_test(versions_without_overlap_are_said_so),
        cmocka_unit_test(wrong_code_fails_and_counts_at_both_ends),
        cmocka_unit_test(wrong_link_secret_or_static_fails),
        cmocka_unit_test(same_role_is_said_so_at_both_ends),
        cmocka_unit_test(other_mode_fails),
        cmocka_unit_test(stranger_gets_no_answer),
        cmocka_unit_test(replayed_session_fails),
        cmocka_unit_test(replayed_first_message_gets_no_noise_back),
        cmocka_unit_test(own_bytes_reflected_fail),
        cmocka_unit_test(echoed_share_and_tag_fail),
        cmocka_unit_test(splice_of_two_connections_fails),
        cmocka_unit_test(hello_of_another_link_fails),
        cmocka_unit_test(invalid_share_fails_and_costs_nothing),
        cmocka_unit_test(static_key_of_small_order_is_not_written),
        cmocka_unit_test(error_is_for_ever),
    };
    return cmocka_run_group_tests(tests, init, NULL);
}
