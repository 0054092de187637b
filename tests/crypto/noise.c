/* SPDX-License-Identifier: MIT */
/* Noise against cacophony's vectors: messages, handshake hash, the transport that follows. */
#include "transport/crypto/noise.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "tests/crypto/vectors.h"
#include "transport/base/err.h"
#include "transport/crypto/suite.h"

static const struct {
    const char *name;
    enum ftx_noise_pattern pattern;
    int n_messages;
} patterns[] = {
    {"Noise_KK_25519_ChaChaPoly_SHA512", FTX_NOISE_KK, 2},
    {"Noise_NNpsk0_25519_ChaChaPoly_SHA512", FTX_NOISE_NNPSK0, 2},
    {"Noise_XXpsk3_25519_ChaChaPoly_SHA512", FTX_NOISE_XXPSK3, 3},
    {"Noise_KKpsk0_25519_ChaChaPoly_SHA512", FTX_NOISE_KKPSK0, 2},
    {"Noise_KKpsk2_25519_ChaChaPoly_SHA512", FTX_NOISE_KKPSK2, 2},
};

static size_t pattern_of(const cJSON *vector)
{
    const char *name = cJSON_GetStringValue(vectors_get(vector, "protocol_name"));
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        if (strcmp(patterns[i].name, name) == 0)
            return i;
    fail_msg("unknown pattern %s", name);
    return 0;
}

/* The 32 bytes of a member, NULL if there is none. */
static const uint8_t *key_of(const cJSON *vector, const char *name, struct octets *room)
{
    if (!cJSON_GetObjectItemCaseSensitive(vector, name))
        return NULL;
    *room = vectors_octets(vector, name);
    assert_int_equal(room->size, 32);
    return room->at;
}

static void start(struct ftx_noise *noise, const cJSON *vector, bool initiator)
{
    struct octets s_room, rs_room, psk;
    struct octets prologue = vectors_octets(vector, initiator ? "init_prologue" : "resp_prologue");
    struct octets e = vectors_octets(vector, initiator ? "init_ephemeral" : "resp_ephemeral");
    const cJSON *psks =
        cJSON_GetObjectItemCaseSensitive(vector, initiator ? "init_psks" : "resp_psks");
    if (psks) {
        const char *hex = cJSON_GetStringValue(cJSON_GetArrayItem(psks, 0));
        assert_int_equal(cJSON_GetArraySize(psks), 1);
        assert_int_equal(
            sodium_hex2bin(psk.at, sizeof psk.at, hex, strlen(hex), NULL, &psk.size, NULL), 0);
        assert_int_equal(psk.size, 32);
    }
    ftx_noise_init(
        noise, patterns[pattern_of(vector)].pattern, initiator, prologue.at, prologue.size,
        psks ? psk.at : NULL, key_of(vector, initiator ? "init_static" : "resp_static", &s_room),
        key_of(vector, initiator ? "init_remote_static" : "resp_remote_static", &rs_room), e.at);
}

static void check_vector(const cJSON *vector)
{
    struct ftx_noise ends[2]; /* 0 is the initiator */
    uint8_t send[2][32], receive[2][32];
    int n_messages = patterns[pattern_of(vector)].n_messages, i = 0;
    start(&ends[0], vector, true);
    start(&ends[1], vector, false);

    const cJSON *message;
    cJSON_ArrayForEach(message, vectors_get(vector, "messages"))
    {
        struct octets payload = vectors_octets(message, "payload");
        struct octets expected = vectors_octets(message, "ciphertext");
        uint8_t box[256], plain[256];
        size_t size;
        int from = i % 2, to = 1 - from;

        if (i == n_messages) {
            struct octets hash = vectors_octets(vector, "handshake_hash");
            for (int end = 0; end < 2; end++) {
                assert_memory_equal(ends[end].h, hash.at, 64);
                ftx_noise_split(&ends[end], send[end], receive[end]);
            }
        }
        if (i < n_messages) {
            assert_int_equal(
                ftx_noise_write(&ends[from], payload.at, payload.size, box, expected.size, &size),
                0);
            assert_int_equal(size, expected.size);
            assert_memory_equal(box, expected.at, size);
            assert_int_equal(ftx_noise_read(&ends[to], box, size, plain, payload.size, &size), 0);
            assert_int_equal(size, payload.size);
        } else {
            /* Each direction has a counter of its own; the turns alternate. */
            uint64_t counter = (uint64_t)(i - n_messages) / 2;
            ftx_aead_seal(send[from], counter, NULL, 0, payload.at, payload.size, box);
            assert_memory_equal(box, expected.at, expected.size);
            assert_int_equal(
                ftx_aead_open(receive[to], counter, NULL, 0, box, expected.size, plain), 0);
        }
        assert_memory_equal(plain, payload.at, payload.size);
        i++;
    }
    assert_true(i > n_messages);
    ftx_noise_close(&ends[0]);
    ftx_noise_close(&ends[1]);
    assert_true(sodium_is_zero((const uint8_t *)ends, sizeof ends));
}

static void all_vectors_match(void **state)
{
    (void)state;
    cJSON *json = vectors_load("noise.json");
    const cJSON *vector;
    size_t n = 0;
    cJSON_ArrayForEach(vector, vectors_get(json, "vectors"))
    {
        check_vector(vector);
        n++;
    }
    assert_int_equal(n, sizeof patterns / sizeof *patterns);
    cJSON_Delete(json);
}

/* KKpsk0 as RESUME uses it; `zero_rs` gives the responder a public key of order one. */
static void start_resume(struct ftx_noise ends[2], const char *prologue, bool zero_rs)
{
    static const uint8_t psk[32] = {1}, s[2][32] = {{2}, {3}}, e[2][32] = {{4}, {5}}, zero[32];
    uint8_t public[2][32];
    for (int i = 0; i < 2; i++)
        crypto_scalarmult_base(public[i], s[i]);
    for (int i = 0; i < 2; i++)
        ftx_noise_init(&ends[i], FTX_NOISE_KKPSK0, i == 0, i == 0 ? "p" : prologue, 1, psk, s[i],
                       i == 1 && zero_rs ? zero : public[1 - i], e[i]);
}

static void flipped_bit_fails(void **state)
{
    (void)state;
    for (size_t message = 0; message < 2; message++)
        for (size_t at = 0; at < 48; at++) {
            struct ftx_noise ends[2];
            uint8_t bytes[48], nothing[1];
            size_t size;
            start_resume(ends, "p", false);
            assert_int_equal(ftx_noise_write(&ends[0], NULL, 0, bytes, 48, &size), 0);
            if (message == 1) {
                assert_int_equal(ftx_noise_read(&ends[1], bytes, 48, nothing, 0, &size), 0);
                assert_int_equal(ftx_noise_write(&ends[1], NULL, 0, bytes, 48, &size), 0);
            }
            /* X25519 ignores the top bit of a point; the transcript does not. */
            bytes[at] ^= at == 31 ? 0x80 : 1;
            assert_int_equal(ftx_noise_read(&ends[1 - message], bytes, 48, nothing, 0, &size),
                             FTX_EAUTH);
        }
}

static void other_prologue_fails(void **state)
{
    (void)state;
    struct ftx_noise ends[2];
    uint8_t bytes[48], nothing[1];
    size_t size;
    start_resume(ends, "q", false);
    assert_int_equal(ftx_noise_write(&ends[0], NULL, 0, bytes, 48, &size), 0);
    assert_int_equal(ftx_noise_read(&ends[1], bytes, 48, nothing, 0, &size), FTX_EAUTH);
}

static void rejects_keys_of_small_order(void **state)
{
    (void)state;
    struct ftx_noise ends[2];
    uint8_t bytes[48] = {0}, nothing[1];
    size_t size;
    start_resume(ends, "p", false); /* an ephemeral of zeros */
    assert_int_equal(ftx_noise_read(&ends[1], bytes, 48, nothing, 0, &size), FTX_EAUTH);
    start_resume(ends, "p", true);
    assert_int_equal(ftx_noise_write(&ends[0], NULL, 0, bytes, 48, &size), 0);
    assert_int_equal(ftx_noise_read(&ends[1], bytes, 48, nothing, 0, &size), FTX_EAUTH);
}

static void rejects_sizes_that_do_not_fit(void **state)
{
    (void)state;
    struct ftx_noise ends[2];
    uint8_t bytes[64], plain[8];
    size_t size;
    start_resume(ends, "p", false);
    assert_int_equal(ftx_noise_write(&ends[0], "payload", 7, bytes, sizeof bytes, &size), 0);
    assert_int_equal(size, 48 + 7);
    assert_int_equal(ftx_noise_read(&ends[1], bytes, 47, plain, 8, &size), FTX_EPROTO);
    assert_int_equal(ftx_noise_read(&ends[1], bytes, 0, plain, 8, &size), FTX_EPROTO);
    assert_int_equal(ftx_noise_read(&ends[1], bytes, 48 + 7, plain, 6, &size), FTX_EPROTO);
    assert_int_equal(ftx_noise_read(&ends[1], bytes, 48 + 7, plain, 7, &size), 0);
    assert_memory_equal(plain, "payload", 7);
}

static int init(void **state)
{
    (void)state;
    return sodium_init() < 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_vectors_match),
        cmocka_unit_test(flipped_bit_fails),
        cmocka_unit_test(other_prologue_fails),
        cmocka_unit_test(rejects_keys_of_small_order),
        cmocka_unit_test(rejects_sizes_that_do_not_fit),
    };
    return cmocka_run_group_tests(tests, init, NULL);
}
