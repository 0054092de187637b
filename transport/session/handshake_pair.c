/* SPDX-License-Identifier: MIT */
/*
 * PAIR (docs/protocol.md 2): CPace over the code, proofs of the key both ways, then enrolment under
 * that key. An end pays with a guess before it reveals or judges a proof, and gets it back for a
 * right one.
 *
 *   S                                          R
 *   begin                       -- Ya -->      share: ISK
 *   share: ISK, GUESS_SPENT     <-- Yb --
 *                             -- tag_S -->     tag: GUESS_SPENT, verify, GUESS_BACK
 *   tag: verify, GUESS_BACK   <-- tag_R --
 *                             -- box_S -->     box: KEYS_WRITTEN
 *   box: KEYS_WRITTEN         <-- box_R --
 *                             -- kept -->      kept
 *   kept: CLOSE               <-- kept --      CLOSE
 */
#include "transport/session/handshake_steps.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "transport/base/err.h"
#include "transport/crypto/suite.h"

enum {
    BOX_PLAIN = 32 + 32, /* static_pub || share */
    BOX_SIZE = BOX_PLAIN + FTX_TAG_SIZE,
    COUNTER_BOX = 0, /* nonces of e_S and of e_R */
    COUNTER_KEPT = 1,
};

/* What the labels of docs/protocol.md 2 are for each role. */
static const struct {
    const char *tag_key, *tag, *box_key;
} labels[] = {
    [FTX_ROLE_S] = {"FTXP/1 k S", "FTXP/1 confirm S", "FTXP/1 e S"},
    [FTX_ROLE_R] = {"FTXP/1 k R", "FTXP/1 confirm R", "FTXP/1 e R"},
};

static enum ftx_role peer_role(const struct ftx_handshake *hs)
{
    return hs->role == FTX_ROLE_S ? FTX_ROLE_R : FTX_ROLE_S;
}

/* sid = nonce_S || nonce_R */
static struct ftx_bytes make_sid(const struct ftx_handshake *hs, uint8_t out[2 * FTX_NONCE_SIZE])
{
    bool s = hs->role == FTX_ROLE_S;
    memcpy(out, s ? hs->own_hello.nonce : hs->peer_hello.nonce, FTX_NONCE_SIZE);
    memcpy(out + FTX_NONCE_SIZE, s ? hs->peer_hello.nonce : hs->own_hello.nonce, FTX_NONCE_SIZE);
    return (struct ftx_bytes){out, 2 * FTX_NONCE_SIZE};
}

/* The proof that `role` knows the code. */
static void make_tag(const struct ftx_handshake *hs, enum ftx_role role,
                     uint8_t out_tag[FTX_SHA512_SIZE])
{
    uint8_t key[FTX_SHA512_SIZE];
    ftx_derive(labels[role].tag_key, hs->isk, sizeof hs->isk, NULL, 0, key);
    ftx_hmac(key, sizeof key, labels[role].tag, strlen(labels[role].tag), out_tag);
    sodium_memzero(key, sizeof key);
}

static void put_tag(struct ftx_handshake *hs)
{
    make_tag(hs, hs->role, ftx_handshake_put(hs, FTX_SHA512_SIZE));
}

static int check_tag(const struct ftx_handshake *hs)
{
    uint8_t tag[FTX_SHA512_SIZE];
    make_tag(hs, peer_role(hs), tag);
    int differs = sodium_memcmp(tag, hs->in, sizeof tag);
    sodium_memzero(tag, sizeof tag);
    return differs ? FTX_EAUTH : 0;
}

/* Seals to `out` under the own key of enrolment. */
static void put_sealed(struct ftx_handshake *hs, uint64_t counter, const uint8_t *plain,
                       size_t size)
{
    uint8_t key[FTX_SHA512_SIZE];
    ftx_derive(labels[hs->role].box_key, hs->isk, sizeof hs->isk, NULL, 0, key);
    ftx_aead_seal(key, counter, NULL, 0, plain, size, ftx_handshake_put(hs, size + FTX_TAG_SIZE));
    sodium_memzero(key, sizeof key);
}

/* Opens the message in `in` with the peer's key of enrolment. */
static int open_sealed(const struct ftx_handshake *hs, uint64_t counter, uint8_t *out_plain)
{
    uint8_t key[FTX_SHA512_SIZE];
    ftx_derive(labels[peer_role(hs)].box_key, hs->isk, sizeof hs->isk, NULL, 0, key);
    int err = ftx_aead_open(key, counter, NULL, 0, hs->in, hs->in_size, out_plain);
    sodium_memzero(key, sizeof key);
    return err;
}

/* The own half of the new link. */
static void make_keys(struct ftx_handshake *hs)
{
    ftx_handshake_random(hs, hs->keys.static_secret, sizeof hs->keys.static_secret);
    ftx_handshake_random(hs, hs->own_share, sizeof hs->own_share);
    crypto_scalarmult_base(hs->keys.static_public, hs->keys.static_secret);
}

static void put_box(struct ftx_handshake *hs)
{
    uint8_t plain[BOX_PLAIN];
    memcpy(plain, hs->keys.static_public, 32);
    memcpy(plain + 32, hs->own_share, 32);
    put_sealed(hs, COUNTER_BOX, plain, sizeof plain);
    sodium_memzero(plain, sizeof plain);
}

/* The peer's half: its static key, and the link secret of both shares. */
static int join_keys(struct ftx_handshake *hs, const uint8_t peer_public[32],
                     const uint8_t peer_share[32])
{
    bool s = hs->role == FTX_ROLE_S;
    uint8_t shares[2 * 32], secret[FTX_SHA512_SIZE], shared[32];

    /* A public key that would fail every RESUME must not replace what was there. */
    int err = crypto_scalarmult(shared, hs->keys.static_secret, peer_public) ? FTX_EAUTH : 0;
    sodium_memzero(shared, sizeof shared);
    if (err)
        return err;
    memcpy(hs->keys.peer_public, peer_public, 32);
    memcpy(shares, s ? hs->own_share : peer_share, 32);
    memcpy(shares + 32, s ? peer_share : hs->own_share, 32);
    ftx_derive("FTXP/1 link", hs->isk, sizeof hs->isk, shares, sizeof shares, secret);
    memcpy(hs->keys.link_secret, secret, sizeof hs->keys.link_secret);
    sodium_memzero(shares, sizeof shares);
    sodium_memzero(secret, sizeof secret);
    return 0;
}

int ftx_pair_begin(struct ftx_handshake *hs)
{
    uint8_t hellos[2 * FTX_HELLO_MAX], sid[2 * FTX_NONCE_SIZE], seed[64];
    const struct ftx_bytes prs = {hs->code, strlen(hs->code)};
    const struct ftx_bytes ci = {hellos, ftx_handshake_hellos(hs, hellos)};

    ftx_handshake_random(hs, seed, sizeof seed);
    int err = ftx_cpace_init(&hs->cpace, prs, ci, make_sid(hs, sid), seed);
    sodium_memzero(seed, sizeof seed);
    if (err)
        return err;
    if (hs->role == FTX_ROLE_S)
        memcpy(ftx_handshake_put(hs, FTX_CPACE_SHARE_SIZE), hs->cpace.share, FTX_CPACE_SHARE_SIZE);
    ftx_handshake_expect(hs, EXPECT_SHARE);
    return 0;
}

int ftx_pair_take_share(struct ftx_handshake *hs)
{
    bool s = hs->role == FTX_ROLE_S;
    uint8_t sid[2 * FTX_NONCE_SIZE];

    int err = ftx_cpace_finish(&hs->cpace, s, make_sid(hs, sid), hs->in, hs->isk);
    if (err)
        return err;
    if (s)
        hs->want = FTX_WANT_GUESS_SPENT;
    else
        memcpy(ftx_handshake_put(hs, FTX_CPACE_SHARE_SIZE), hs->cpace.share, FTX_CPACE_SHARE_SIZE);
    ftx_cpace_close(&hs->cpace);
    ftx_handshake_expect(hs, EXPECT_TAG);
    return 0;
}

int ftx_pair_take_tag(struct ftx_handshake *hs)
{
    if (hs->role == FTX_ROLE_R) {
        hs->want = FTX_WANT_GUESS_SPENT; /* the tag waits in `in` */
        return 0;
    }
    int err = check_tag(hs);
    if (!err)
        hs->want = FTX_WANT_GUESS_BACK;
    return err;
}

int ftx_pair_take_box(struct ftx_handshake *hs)
{
    uint8_t plain[BOX_PLAIN];
    int err = open_sealed(hs, COUNTER_BOX, plain);
    if (err)
        return err;
    if (hs->role == FTX_ROLE_R)
        make_keys(hs);
    err = join_keys(hs, plain, plain + 32);
    sodium_memzero(plain, sizeof plain);
    if (!err)
        hs->want = FTX_WANT_KEYS_WRITTEN;
    return err;
}

int ftx_pair_take_kept(struct ftx_handshake *hs)
{
    uint8_t nothing[1];
    int err = open_sealed(hs, COUNTER_KEPT, nothing);
    if (err)
        return err;
    if (hs->role == FTX_ROLE_R)
        put_sealed(hs, COUNTER_KEPT, NULL, 0);
    ftx_handshake_complete(hs, FTX_WANT_CLOSE);
    return 0;
}

static int guess_is_spent(struct ftx_handshake *hs)
{
    if (hs->role == FTX_ROLE_S) {
        put_tag(hs);
        return 0;
    }
    int err = check_tag(hs);
    if (!err)
        hs->want = FTX_WANT_GUESS_BACK;
    return err;
}

static void guess_is_back(struct ftx_handshake *hs)
{
    if (hs->role == FTX_ROLE_S) {
        make_keys(hs);
        put_box(hs);
    } else {
        put_tag(hs);
    }
    ftx_handshake_expect(hs, EXPECT_BOX);
}

/* R sends its box only now: S never holds keys that R could have lost. */
static void keys_are_written(struct ftx_handshake *hs)
{
    if (hs->role == FTX_ROLE_S)
        put_sealed(hs, COUNTER_KEPT, NULL, 0);
    else
        put_box(hs);
    ftx_handshake_expect(hs, EXPECT_KEPT);
}

int ftx_pair_written(struct ftx_handshake *hs, enum ftx_handshake_want want)
{
    if (want == FTX_WANT_GUESS_SPENT)
        return guess_is_spent(hs);
    if (want == FTX_WANT_GUESS_BACK)
        guess_is_back(hs);
    else
        keys_are_written(hs);
    return 0;
}
