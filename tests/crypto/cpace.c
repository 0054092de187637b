/* SPDX-License-Identifier: MIT */
/* CPace against the draft's vectors: its strings, its group, a whole exchange. */
#include "transport/crypto/cpace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "tests/crypto/vectors.h"
#include "transport/base/err.h"
#include "transport/crypto/cpace_steps.h"

static cJSON *vectors;

static struct ftx_bytes text(const char *string)
{
    return (struct ftx_bytes){string, strlen(string)};
}

static struct ftx_bytes bytes_of(const struct octets *octets)
{
    return (struct ftx_bytes){octets->at, octets->size};
}

/* What was added to `hash` is exactly the string of the vector: the strings are never built. */
static void assert_hashed(crypto_hash_sha512_state *hash, const cJSON *object, const char *name)
{
    struct octets expected = vectors_octets(object, name);
    uint8_t got[64], want[64];
    crypto_hash_sha512_final(hash, got);
    crypto_hash_sha512(want, expected.at, expected.size);
    assert_memory_equal(got, want, sizeof want);
}

static void prepend_len_is_the_drafts(void **state)
{
    (void)state;
    const cJSON *object = vectors_get(vectors, "prepend_len");
    const struct {
        const char *name;
        size_t size;
        const char *text;
    } cases[] = {
        {"prepend_len(b'')", 0, NULL},
        {"prepend_len(b'1234')", 4, "1234"},
        {"prepend_len(bytes(range(127)))", 127, NULL},
        {"prepend_len(bytes(range(128)))", 128, NULL},
    };
    uint8_t range[128];
    for (size_t i = 0; i < sizeof range; i++)
        range[i] = (uint8_t)i;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        crypto_hash_sha512_state hash;
        const void *at = cases[i].text ? (const void *)cases[i].text : range;
        crypto_hash_sha512_init(&hash);
        ftx_cpace_add_lv(&hash, (struct ftx_bytes){at, cases[i].size});
        assert_hashed(&hash, object, cases[i].name);
    }
}

static void lv_cat_is_the_drafts(void **state)
{
    (void)state;
    crypto_hash_sha512_state hash;
    crypto_hash_sha512_init(&hash);
    ftx_cpace_add_lv(&hash, text("1234"));
    ftx_cpace_add_lv(&hash, text("5"));
    ftx_cpace_add_lv(&hash, text(""));
    ftx_cpace_add_lv(&hash, text("678"));
    assert_hashed(&hash, vectors_get(vectors, "lv_cat"), "lv_cat(b'1234',b'5',b'',b'678')");
}

static void transcript_ir_is_the_drafts(void **state)
{
    (void)state;
    const cJSON *object = vectors_get(vectors, "transcript_ir");
    crypto_hash_sha512_state hash;
    crypto_hash_sha512_init(&hash);
    ftx_cpace_add_transcript(&hash, text("123"), text("PartyA"), text("234"), text("PartyB"));
    assert_hashed(&hash, object, "transcript_ir(b'123',b'PartyA',b'234',b'PartyB')");
    crypto_hash_sha512_init(&hash);
    ftx_cpace_add_transcript(&hash, text("3456"), text("PartyA"), text("2345"), text("PartyB"));
    assert_hashed(&hash, object, "transcript_ir(b'3456',b'PartyA',b'2345',b'PartyB')");
}

static void generator_is_the_drafts(void **state)
{
    (void)state;
    const cJSON *object = vectors_get(vectors, "calculate_generator");
    struct octets prs = vectors_octets(object, "PRS"), ci = vectors_octets(object, "CI");
    struct octets sid = vectors_octets(object, "sid"), expected;
    uint8_t hash[64], whole[64], generator[32];

    ftx_cpace_hash_generator(bytes_of(&prs), bytes_of(&ci), bytes_of(&sid), hash);
    expected = vectors_octets(object, "hash result");
    assert_memory_equal(hash, expected.at, sizeof hash);
    expected = vectors_octets(object, "generator_string(G.DSI,PRS,CI,sid,H.s_in_bytes)");
    crypto_hash_sha512(whole, expected.at, expected.size);
    assert_memory_equal(hash, whole, sizeof hash);
    crypto_core_ristretto255_from_hash(generator, hash);
    expected = vectors_octets(object, "encoded generator g");
    assert_memory_equal(generator, expected.at, sizeof generator);
}

/* A code as long as the padding has room for, and longer: both sides of the zero padding's end. */
static void generator_pads_to_one_block(void **state)
{
    (void)state;
    for (size_t size = 100; size < 120; size++) {
        uint8_t prs[128] = {0}, string[256], got[64], want[64];
        size_t n = 0, pad = size < 108 ? 108 - size : 0; /* 128 - 1 - 18 - 1 */
        string[n++] = 17;
        memcpy(string + n, "CPaceRistretto255", 17);
        n += 17;
        string[n++] = (uint8_t)size;
        memset(string + n, 0, size);
        n += size;
        string[n++] = (uint8_t)pad;
        memset(string + n, 0, pad);
        n += pad;
        memcpy(string + n, "\2ci\3sid", 7);
        n += 7;
        ftx_cpace_hash_generator((struct ftx_bytes){prs, size}, text("ci"), text("sid"), got);
        crypto_hash_sha512(want, string, n);
        assert_memory_equal(got, want, sizeof want);
    }
}

static void exchange_is_the_drafts(void **state)
{
    (void)state;
    const cJSON *object = vectors_get(vectors, "G_Coffee25519");
    struct octets prs = vectors_octets(object, "PRS"), ci = vectors_octets(object, "CI");
    struct octets sid = vectors_octets(object, "sid");
    struct octets scalar_a = vectors_octets(object, "ya"), scalar_b = vectors_octets(object, "yb");
    struct octets ya = vectors_octets(object, "Ya"), yb = vectors_octets(object, "Yb");
    struct octets ada = vectors_octets(object, "ADa"), adb = vectors_octets(object, "ADb");
    struct octets expected;
    uint8_t seed[64] = {0}, hash[64], generator[32], k[32], isk[64], sid_output[64];
    struct ftx_cpace a, b;

    /* A scalar below L is its own reduction, so that the seed is the vector's scalar. */
    memcpy(seed, scalar_a.at, 32);
    assert_int_equal(ftx_cpace_init(&a, bytes_of(&prs), bytes_of(&ci), bytes_of(&sid), seed), 0);
    memcpy(seed, scalar_b.at, 32);
    assert_int_equal(ftx_cpace_init(&b, bytes_of(&prs), bytes_of(&ci), bytes_of(&sid), seed), 0);
    assert_memory_equal(a.scalar, scalar_a.at, 32);
    assert_memory_equal(a.share, ya.at, 32);
    assert_memory_equal(b.share, yb.at, 32);

    ftx_cpace_hash_generator(bytes_of(&prs), bytes_of(&ci), bytes_of(&sid), hash);
    crypto_core_ristretto255_from_hash(generator, hash);
    expected = vectors_octets(object, "g");
    assert_memory_equal(generator, expected.at, 32);

    expected = vectors_octets(object, "K");
    assert_int_equal(ftx_cpace_multiply(a.scalar, yb.at, k), 0);
    assert_memory_equal(k, expected.at, 32);
    assert_int_equal(ftx_cpace_multiply(b.scalar, ya.at, k), 0);
    assert_memory_equal(k, expected.at, 32);

    expected = vectors_octets(object, "ISK_IR");
    ftx_cpace_hash_isk(bytes_of(&sid), k, bytes_of(&ya), bytes_of(&ada), bytes_of(&yb),
                       bytes_of(&adb), isk);
    assert_memory_equal(isk, expected.at, 64);

    expected = vectors_octets(object, "sid_output_ir");
    crypto_hash_sha512_state output;
    crypto_hash_sha512_init(&output);
    crypto_hash_sha512_update(&output, (const uint8_t *)"CPaceSidOutput", 14);
    ftx_cpace_add_transcript(&output, bytes_of(&ya), bytes_of(&ada), bytes_of(&yb), bytes_of(&adb));
    crypto_hash_sha512_final(&output, sid_output);
    assert_memory_equal(sid_output, expected.at, 64);

    /* What FTXP/1 does: the same without associated data. */
    uint8_t isk_a[64], isk_b[64];
    ftx_cpace_hash_isk(bytes_of(&sid), k, bytes_of(&ya), text(""), bytes_of(&yb), text(""), isk);
    assert_int_equal(ftx_cpace_finish(&a, true, bytes_of(&sid), b.share, isk_a), 0);
    assert_int_equal(ftx_cpace_finish(&b, false, bytes_of(&sid), a.share, isk_b), 0);
    assert_memory_equal(isk_a, isk, 64);
    assert_memory_equal(isk_b, isk, 64);

    ftx_cpace_close(&a);
    ftx_cpace_close(&b);
    assert_true(sodium_is_zero((const uint8_t *)&a, sizeof a));
}

static void valid_point_multiplies(void **state)
{
    (void)state;
    const cJSON *object = vectors_get(vectors_get(vectors, "G_Coffee25519_points"), "Valid");
    struct octets s = vectors_octets(object, "s"), x = vectors_octets(object, "X"), expected;
    uint8_t out[32];
    assert_int_equal(ftx_cpace_multiply(s.at, x.at, out), 0);
    expected = vectors_octets(object, "G.scalar_mult(s,decode(X))");
    assert_memory_equal(out, expected.at, 32);
    expected = vectors_octets(object, "G.scalar_mult_vfy(s,X)");
    assert_memory_equal(out, expected.at, 32);
}

static void rejects_invalid_points(void **state)
{
    (void)state;
    const cJSON *object = vectors_get(vectors, "G_Coffee25519_points");
    struct octets s = vectors_octets(vectors_get(object, "Valid"), "s");
    const char *const names[] = {"Invalid Y1", "Invalid Y2"};
    for (size_t i = 0; i < 2; i++) {
        struct octets point = vectors_octets(object, names[i]);
        struct ftx_cpace cpace = {{0}, {0}};
        uint8_t out[64];
        memcpy(cpace.scalar, s.at, 32);
        assert_int_equal(ftx_cpace_multiply(s.at, point.at, out), FTX_EAUTH);
        assert_int_equal(ftx_cpace_finish(&cpace, true, text("sid"), point.at, out), FTX_EAUTH);
        assert_int_equal(ftx_cpace_finish(&cpace, false, text("sid"), point.at, out), FTX_EAUTH);
    }
}

static void rejects_scalar_zero(void **state)
{
    (void)state;
    struct ftx_cpace cpace;
    uint8_t seed[64] = {0};
    assert_int_equal(ftx_cpace_init(&cpace, text("code"), text("ci"), text("sid"), seed),
                     FTX_EAUTH);
}

static int load(void **state)
{
    (void)state;
    vectors = vectors_load("cpace.json");
    return sodium_init() < 0;
}

static int unload(void **state)
{
    (void)state;
    cJSON_Delete(vectors);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prepend_len_is_the_drafts),   cmocka_unit_test(lv_cat_is_the_drafts),
        cmocka_unit_test(transcript_ir_is_the_drafts), cmocka_unit_test(generator_is_the_drafts),
        cmocka_unit_test(generator_pads_to_one_block), cmocka_unit_test(exchange_is_the_drafts),
        cmocka_unit_test(valid_point_multiplies),      cmocka_unit_test(rejects_invalid_points),
        cmocka_unit_test(rejects_scalar_zero),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
