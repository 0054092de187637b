/* SPDX-License-Identifier: MIT */
/* The handshake between honest ends: what they agree on, step by step as docs/protocol.md says. */
#include "transport/session/handshake.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "tests/crypto/two_ends.h"
#include "transport/base/err.h"

static const struct run any_run[] = {ANY_RUN};
enum { N_RUNS = sizeof any_run / sizeof *any_run };

/* Every want of a complete run, in order, and after which byte of the peer it comes. */
struct milestone {
    size_t after;
    enum ftx_handshake_want want;
};

static const struct milestone pair_milestones[2][6] = {
    [S] = {{HELLO, FTX_WANT_LINK},
           {HELLO + SHARE, FTX_WANT_GUESS_SPENT},
           {HELLO + SHARE + TAG, FTX_WANT_GUESS_BACK},
           {HELLO + SHARE + TAG + BOX, FTX_WANT_KEYS_WRITTEN},
           {PAIR_BYTES, FTX_WANT_CLOSE}},
    [R] = {{HELLO, FTX_WANT_LINK},
           {HELLO + SHARE + TAG, FTX_WANT_GUESS_SPENT},
           {HELLO + SHARE + TAG, FTX_WANT_GUESS_BACK},
           {HELLO + SHARE + TAG + BOX, FTX_WANT_KEYS_WRITTEN},
           {PAIR_BYTES, FTX_WANT_CLOSE}},
};
static const struct milestone resume_milestones[] = {
    {HELLO, FTX_WANT_LINK}, {RESUME_BYTES, FTX_WANT_RECORDS}, {0, FTX_WANT_BYTES}};

/* An end that received `received` honest bytes did exactly what these bytes call for. */
static void assert_progress(const struct end *end, struct run run, int role, size_t received)
{
    const struct milestone *m =
        run.mode == FTX_MODE_PAIR ? pair_milestones[role] : resume_milestones;
    size_t n = 0;
    int guesses = 0, written = 0;
    for (; m->want != FTX_WANT_BYTES && m->after <= received; m++) {
        if (m->want == FTX_WANT_LINK && run.dialler == role)
            continue;
        assert_true(n < end->n_wants);
        assert_int_equal(end->wants[n++], m->want);
        guesses += m->want == FTX_WANT_GUESS_SPENT;
        guesses -= m->want == FTX_WANT_GUESS_BACK;
        written += m->want == FTX_WANT_KEYS_WRITTEN;
    }
    assert_int_equal(end->n_wants, n);
    assert_int_equal(end->guesses, guesses);
    assert_int_equal(end->written, written);
    assert_int_equal(end->err, 0);
    assert_int_equal(end->n_received, received);
}

static void assert_agreed(const struct end ends[2], enum ftx_mode mode)
{
    const struct ftx_handshake *s = &ends[S].hs, *r = &ends[R].hs;
    assert_true(end_done(&ends[S]) && end_done(&ends[R]));
    if (mode == FTX_MODE_PAIR) {
        assert_memory_equal(s->keys.static_public, r->keys.peer_public, 32);
        assert_memory_equal(r->keys.static_public, s->keys.peer_public, 32);
        assert_memory_not_equal(s->keys.static_public, r->keys.static_public, 32);
        assert_memory_equal(s->keys.link_secret, r->keys.link_secret, 32);
        assert_false(sodium_is_zero(s->keys.link_secret, 32));
    } else {
        assert_memory_equal(s->send_key, r->receive_key, 32);
        assert_memory_equal(r->send_key, s->receive_key, 32);
        assert_memory_not_equal(s->send_key, s->receive_key, 32);
    }
}

static void both_ends_agree_whoever_dials(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_RUNS; i++) {
        struct end ends[2];
        size_t bytes = any_run[i].mode == FTX_MODE_PAIR ? PAIR_BYTES : RESUME_BYTES;
        ends_run(ends, any_run[i], &WIRE_WHOLE);
        assert_agreed(ends, any_run[i].mode);
        for (int role = 0; role < 2; role++) {
            assert_int_equal(ends[role].n_sent, bytes);
            assert_progress(&ends[role], any_run[i], role, bytes);
        }
        ends_close(ends);
    }
}

/* A TCP connection that both ends have dialled is one that each of them says Hello on at once. */
static void both_ends_may_have_dialled(void **state)
{
    (void)state;
    for (enum ftx_mode mode = FTX_MODE_PAIR; mode <= FTX_MODE_RESUME; mode++) {
        struct end ends[2];
        for (int role = 0; role < 2; role++) {
            end_init(&ends[role], mode, role, (uint32_t)role + 1);
            end_start(&ends[role], true);
        }
        ends_connect(ends, &WIRE_WHOLE);
        assert_agreed(ends, mode);
        ends_close(ends);
    }
}

static void pieces_of_any_size_give_the_same_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_RUNS; i++)
        for (size_t chunk = 1; chunk < 100; chunk += chunk < 8 ? 1 : 23) {
            struct end whole[2], pieces[2];
            ends_run(whole, any_run[i], &WIRE_WHOLE);
            ends_run(pieces, any_run[i], &(struct wire){.chunk = chunk, .faulty = -1});
            assert_agreed(pieces, any_run[i].mode);
            for (int role = 0; role < 2; role++) {
                assert_int_equal(whole[role].n_sent, pieces[role].n_sent);
                assert_memory_equal(whole[role].sent, pieces[role].sent, whole[role].n_sent);
            }
            ends_close(whole);
            ends_close(pieces);
        }
}

static void new_pairing_gives_new_keys(void **state)
{
    (void)state;
    struct end first[2], second[2];
    ends_run(first, any_run[0], &WIRE_WHOLE);
    for (int role = 0; role < 2; role++) {
        end_init(&second[role], FTX_MODE_PAIR, role, (uint32_t)role + 10);
        end_start(&second[role], role == S);
    }
    ends_connect(second, &WIRE_WHOLE);
    assert_agreed(second, FTX_MODE_PAIR);
    assert_memory_not_equal(first[S].hs.keys.link_secret, second[S].hs.keys.link_secret, 32);
    ends_close(first);
    ends_close(second);
}

static void paired_keys_resume(void **state)
{
    (void)state;
    struct end paired[2], resumed[2];
    ends_run(paired, any_run[0], &WIRE_WHOLE);
    for (int role = 0; role < 2; role++) {
        end_init(&resumed[role], FTX_MODE_RESUME, role, (uint32_t)role + 20);
        resumed[role].link.keys = &paired[role].hs.keys;
        end_start(&resumed[role], role == R);
    }
    ends_connect(resumed, &WIRE_WHOLE);
    assert_agreed(resumed, FTX_MODE_RESUME);
    ends_close(paired);
    ends_close(resumed);
}

/* A cut does what the bytes before it call for, no more: the guess is spent if a tag was sent. */
static void cut_after_each_byte_changes_nothing_else(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_RUNS; i++)
        for (int from = 0; from < 2; from++) {
            size_t bytes = any_run[i].mode == FTX_MODE_PAIR ? PAIR_BYTES : RESUME_BYTES;
            for (size_t at = 0; at < bytes; at++) {
                struct end ends[2];
                ends_run(ends, any_run[i],
                         &(struct wire){.chunk = 4096, .faulty = from, .fault_at = at});
                for (int role = 0; role < 2; role++)
                    assert_progress(&ends[role], any_run[i], role, ends[role].n_received);
                assert_false(end_done(&ends[1 - from]));
                assert_int_equal(ends[1 - from].n_received, at);
                bool tag_s_sent = ends[S].n_sent >= HELLO + SHARE + TAG;
                bool tag_r_came = ends[S].n_received >= HELLO + SHARE + TAG;
                if (any_run[i].mode == FTX_MODE_PAIR)
                    assert_int_equal(ends[S].guesses, tag_s_sent && !tag_r_came);
                ends_close(ends);
            }
        }
}

static void bytes_after_the_end_are_left(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_RUNS; i++)
        for (int role = 0; role < 2; role++) {
            struct end ends[2], again;
            uint8_t stream[1024];
            ends_run(ends, any_run[i], &WIRE_WHOLE);
            size_t size = ends[1 - role].n_sent;
            memcpy(stream, ends[1 - role].sent, size);
            memset(stream + size, 0xee, 100);
            /* The same randomness again, so that the recorded peer is the right one. */
            end_init(&again, any_run[i].mode, role, (uint32_t)role + 1);
            end_start(&again, any_run[i].dialler == role);
            end_feed(&again, stream, size + 100, 4096);
            assert_true(end_done(&again));
            assert_int_equal(again.n_received, size);
            end_close(&again);
            ends_close(ends);
        }
}

static void hello_for_a_data_connection_says_so(void **state)
{
    (void)state;
    for (int dialler = 0; dialler < 2; dialler++) {
        struct end ends[2];
        for (int role = 0; role < 2; role++) {
            end_init(&ends[role], FTX_MODE_RESUME, role, (uint32_t)role + 1);
            ends[role].link.data = role == dialler;
            end_start(&ends[role], role == dialler);
        }
        assert_int_equal(ends[dialler].sent[4], HELLO + 1);
        assert_int_equal(ends[dialler].sent[HELLO], 1);
        ends_connect(ends, &WIRE_WHOLE);
        assert_agreed(ends, FTX_MODE_RESUME);
        assert_true(ends[1 - dialler].hs.peer_hello.data);
        assert_false(ends[dialler].hs.peer_hello.data);
        ends_close(ends);
    }
}

/* Both must wish it, whoever dials, and a data connection's Hello has both words. */
static void aes_is_taken_if_both_ends_are_quick_at_it(void **state)
{
    (void)state;
    for (int wish = 0; wish < 16; wish++) {
        struct end ends[2];
        int dialler = wish >> 2 & 1;
        for (int role = 0; role < 2; role++) {
            end_init(&ends[role], FTX_MODE_RESUME, role, (uint32_t)role + 1);
            ends[role].link.aes = wish >> role & 1;
            ends[role].link.data = role == dialler && wish >> 3;
            end_start(&ends[role], role == dialler);
        }
        ends_connect(ends, &WIRE_WHOLE);
        assert_agreed(ends, FTX_MODE_RESUME);
        for (int role = 0; role < 2; role++) {
            bool aes = ends[role].link.aes;
            assert_int_equal(ends[role].sent[4], HELLO + (aes ? 2 : ends[role].link.data));
            if (aes)
                assert_int_equal(ends[role].sent[HELLO + 1], 1);
            assert_int_equal(ends[1 - role].hs.peer_hello.aes, aes);
            assert_int_equal(ends[1 - role].hs.peer_hello.data, ends[role].link.data);
            assert_int_equal(ends[role].hs.cipher, (wish & 3) == 3 ? FTX_CIPHER_AES_256_GCM
                                                                   : FTX_CIPHER_CHACHA20_POLY1305);
        }
        ends_close(ends);
    }
}

static void extension_of_a_hello_is_ignored_but_counts(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_RUNS; i++) {
        const size_t sizes[] = {HELLO + 1, FTX_HELLO_MAX, FTX_HELLO_MAX};
        for (size_t j = 0; j < 3; j++) {
            bool aes = j == 2; /* beside bits that a later version may give a meaning */
            struct end ends[2];
            struct end *dialler = &ends[any_run[i].dialler];
            for (int role = 0; role < 2; role++) {
                end_init(&ends[role], any_run[i].mode, role, (uint32_t)role + 1);
                end_start(&ends[role], &ends[role] == dialler);
            }
            /* A later version's Hello: longer, and with a wider range of versions. */
            struct ftx_hello *hello = &dialler->hs.own_hello;
            hello->raw[4] = (uint8_t)sizes[j];
            hello->raw[6] = 9;
            memset(hello->raw + HELLO, aes ? 0xcd : 0xcc, sizes[j] - HELLO);
            hello->aes = aes;
            hello->size = dialler->n_sent = sizes[j];
            memcpy(dialler->sent, hello->raw, sizes[j]);
            ends_connect(ends, &WIRE_WHOLE);
            assert_agreed(ends, any_run[i].mode);
            const struct ftx_hello *seen = &ends[1 - any_run[i].dialler].hs.peer_hello;
            assert_int_equal(seen->aes, aes);
            assert_false(seen->data);
            ends_close(ends);
        }
    }
}

/* -- the specification, spelled out once more with libsodium alone -- */

static void hash3(const char *label, const void *a, size_t a_size, const void *b, size_t b_size,
                  uint8_t out[64])
{
    crypto_hash_sha512_state hash;
    crypto_hash_sha512_init(&hash);
    crypto_hash_sha512_update(&hash, (const uint8_t *)label, strlen(label));
    crypto_hash_sha512_update(&hash, a, a_size);
    crypto_hash_sha512_update(&hash, b, b_size);
    crypto_hash_sha512_final(&hash, out);
}

static void assert_hello(const struct end *end, enum ftx_mode mode, int role)
{
    const uint8_t fixed[] = {'F', 'T', 'X', 'P', 42, 1, 1, (uint8_t)mode, (uint8_t)(role + 1), 0};
    uint8_t hash[64], message[13 + 16 + 1] = "FTXP/1 resume";
    const uint8_t *nonce = end->sent + sizeof fixed;
    assert_memory_equal(end->sent, fixed, sizeof fixed);
    if (mode == FTX_MODE_PAIR) {
        hash3("FTXP/1 pair", nonce, 16, "7", 1, hash);
    } else {
        crypto_auth_hmacsha512_state hmac;
        memcpy(message + 13, nonce, 16);
        message[13 + 16] = (uint8_t)(role + 1);
        crypto_auth_hmacsha512_init(&hmac, test_keys(0, role)->link_secret, 32);
        crypto_auth_hmacsha512_update(&hmac, message, sizeof message);
        crypto_auth_hmacsha512_final(&hmac, hash);
    }
    assert_memory_equal(nonce + 16, hash, 16);
}

static void assert_tag(const uint8_t *tag, const char *key_label, const uint8_t isk[64],
                       const char *message)
{
    uint8_t key[64], expected[64];
    crypto_auth_hmacsha512_state hmac;
    hash3(key_label, isk, 64, NULL, 0, key);
    crypto_auth_hmacsha512_init(&hmac, key, sizeof key);
    crypto_auth_hmacsha512_update(&hmac, (const uint8_t *)message, strlen(message));
    crypto_auth_hmacsha512_final(&hmac, expected);
    assert_memory_equal(tag, expected, sizeof expected);
}

/* Opens box and last message of an end; gives static_pub || share. */
static void open_boxes(const uint8_t *at, const char *key_label, const uint8_t isk[64],
                       uint8_t plain[64])
{
    uint8_t key[64], nonce[12] = {0}, nothing[1];
    hash3(key_label, isk, 64, NULL, 0, key);
    assert_int_equal(
        crypto_aead_chacha20poly1305_ietf_decrypt(plain, NULL, NULL, at, BOX, NULL, 0, nonce, key),
        0);
    nonce[4] = 1;
    assert_int_equal(crypto_aead_chacha20poly1305_ietf_decrypt(nothing, NULL, NULL, at + BOX, KEPT,
                                                               NULL, 0, nonce, key),
                     0);
}

static void check_pair(struct run run)
{
    struct end ends[2];
    ends_run(ends, run, &WIRE_WHOLE);
    const uint8_t *s = ends[S].sent, *r = ends[R].sent;
    assert_hello(&ends[S], FTX_MODE_PAIR, S);
    assert_hello(&ends[R], FTX_MODE_PAIR, R);

    uint8_t ci[2 * HELLO], sid[32], random[64], isk[64], plain[2][64], secret[64];
    memcpy(ci, s, HELLO);
    memcpy(ci + HELLO, r, HELLO);
    memcpy(sid, s + 10, 16);
    memcpy(sid + 16, r + 10, 16);
    /* S draws its nonce, its scalar, its static key, its share. */
    uint32_t seed[8] = {1, 2};
    struct ftx_cpace cpace;
    randombytes_buf_deterministic(random, 64, (const uint8_t *)seed);
    assert_int_equal(ftx_cpace_init(&cpace, (struct ftx_bytes){CODE, strlen(CODE)},
                                    (struct ftx_bytes){ci, sizeof ci},
                                    (struct ftx_bytes){sid, sizeof sid}, random),
                     0);
    assert_memory_equal(s + HELLO, cpace.share, SHARE);
    assert_int_equal(
        ftx_cpace_finish(&cpace, true, (struct ftx_bytes){sid, sizeof sid}, r + HELLO, isk), 0);

    assert_tag(s + HELLO + SHARE, "FTXP/1 k S", isk, "FTXP/1 confirm S");
    assert_tag(r + HELLO + SHARE, "FTXP/1 k R", isk, "FTXP/1 confirm R");
    open_boxes(s + HELLO + SHARE + TAG, "FTXP/1 e S", isk, plain[S]);
    open_boxes(r + HELLO + SHARE + TAG, "FTXP/1 e R", isk, plain[R]);
    assert_memory_equal(ends[S].hs.keys.static_public, plain[S], 32);
    assert_memory_equal(ends[S].hs.keys.peer_public, plain[R], 32);

    uint8_t shares[64];
    memcpy(shares, plain[S] + 32, 32);
    memcpy(shares + 32, plain[R] + 32, 32);
    hash3("FTXP/1 link", isk, 64, shares, 64, secret);
    assert_memory_equal(ends[S].hs.keys.link_secret, secret, 32);
    ends_close(ends);
}

static void pair_is_as_specified(void **state)
{
    (void)state;
    for (int dialler = 0; dialler < 2; dialler++)
        check_pair((struct run){FTX_MODE_PAIR, dialler});
}

static void check_resume(struct run run)
{
    struct end ends[2];
    ends_run(ends, run, &WIRE_WHOLE);
    const struct ftx_link_keys *keys = test_keys(0, S);
    const uint8_t *s = ends[S].sent, *r = ends[R].sent;
    uint8_t prologue[2 * HELLO], e[32], message[NOISE], nothing[1], send[32], receive[32];
    uint32_t seed[8] = {1, 2};
    struct ftx_noise noise;
    size_t size;

    assert_hello(&ends[S], FTX_MODE_RESUME, S);
    assert_hello(&ends[R], FTX_MODE_RESUME, R);
    memcpy(prologue, s, HELLO);
    memcpy(prologue + HELLO, r, HELLO);
    randombytes_buf_deterministic(e, 32, (const uint8_t *)seed);
    ftx_noise_init(&noise, FTX_NOISE_KKPSK0, true, prologue, sizeof prologue, keys->link_secret,
                   keys->static_secret, keys->peer_public, e);
    assert_int_equal(ftx_noise_write(&noise, NULL, 0, message, sizeof message, &size), 0);
    assert_memory_equal(s + HELLO, message, NOISE);
    assert_int_equal(ftx_noise_read(&noise, r + HELLO, NOISE, nothing, 0, &size), 0);
    ftx_noise_split(&noise, send, receive);
    assert_memory_equal(ends[S].hs.send_key, send, 32);
    assert_memory_equal(ends[S].hs.receive_key, receive, 32);
    ends_close(ends);
}

static void resume_is_as_specified(void **state)
{
    (void)state;
    for (int dialler = 0; dialler < 2; dialler++)
        check_resume((struct run){FTX_MODE_RESUME, dialler});
}

static void completion_keeps_only_the_result(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_RUNS; i++) {
        struct end ends[2];
        ends_run(ends, any_run[i], &WIRE_WHOLE);
        for (int role = 0; role < 2; role++) {
            const struct ftx_handshake *hs = &ends[role].hs;
            assert_true(sodium_is_zero(hs->isk, sizeof hs->isk));
            assert_true(sodium_is_zero(hs->own_share, sizeof hs->own_share));
            assert_true(sodium_is_zero((const uint8_t *)hs->code, sizeof hs->code));
            assert_true(sodium_is_zero((const uint8_t *)&hs->cpace, sizeof hs->cpace));
            assert_true(sodium_is_zero((const uint8_t *)&hs->noise, sizeof hs->noise));
            if (any_run[i].mode == FTX_MODE_RESUME)
                assert_true(sodium_is_zero((const uint8_t *)&hs->keys, sizeof hs->keys));
        }
        ends_close(ends);
    }
}

static void dial_refuses_what_is_no_code(void **state)
{
    (void)state;
    const char *const codes[] = {"", "abc", "Upper", "sp ace"};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        struct end end;
        end_init(&end, FTX_MODE_PAIR, S, 1);
        end.link.code = codes[i];
        end_start(&end, true);
        assert_int_equal(end.err, -EINVAL);
        assert_int_equal(end.n_sent, 0);
        end_close(&end);
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
        cmocka_unit_test(both_ends_agree_whoever_dials),
        cmocka_unit_test(both_ends_may_have_dialled),
        cmocka_unit_test(pieces_of_any_size_give_the_same_bytes),
        cmocka_unit_test(new_pairing_gives_new_keys),
        cmocka_unit_test(paired_keys_resume),
        cmocka_unit_test(cut_after_each_byte_changes_nothing_else),
        cmocka_unit_test(bytes_after_the_end_are_left),
        cmocka_unit_test(hello_for_a_data_connection_says_so),
        cmocka_unit_test(aes_is_taken_if_both_ends_are_quick_at_it),
        cmocka_unit_test(extension_of_a_hello_is_ignored_but_counts),
        cmocka_unit_test(pair_is_as_specified),
        cmocka_unit_test(resume_is_as_specified),
        cmocka_unit_test(completion_keeps_only_the_result),
        cmocka_unit_test(dial_refuses_what_is_no_code),
    };
    return cmocka_run_group_tests(tests, init, NULL);
}
