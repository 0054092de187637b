/* SPDX-License-Identifier: MIT */
/*
 * Noise as the specification writes it: a pattern is a table of tokens; writing and reading a
 * message walk the same row. Section numbers are those of the Noise Protocol Framework, rev 34.
 */
#include "transport/crypto/noise.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "transport/base/err.h"
#include "transport/crypto/suite.h"

enum { HASH = FTX_SHA512_SIZE, KEY = FTX_KEY_SIZE, TAG = FTX_TAG_SIZE };

enum token { END, E, S, EE, ES, SE, SS, PSK };

#define NAME(pattern) "Noise_" pattern "_25519_ChaChaPoly_SHA512"

static const struct pattern {
    char name[HASH];    /* zero-padded to the hash's size, this is the first h (5.2) */
    bool statics_known; /* pre-messages "-> s, <- s" */
    bool psk;           /* makes each e token mix a key too (9.2) */
    uint8_t n_messages;
    uint8_t tokens[3][5];
} patterns[] = {
    [FTX_NOISE_KKPSK0] = {NAME("KKpsk0"), true, true, 2, {{PSK, E, ES, SS}, {E, EE, SE}}},
    [FTX_NOISE_KKPSK2] = {NAME("KKpsk2"), true, true, 2, {{E, ES, SS}, {E, EE, SE, PSK}}},
    [FTX_NOISE_KK] = {NAME("KK"), true, false, 2, {{E, ES, SS}, {E, EE, SE}}},
    [FTX_NOISE_NNPSK0] = {NAME("NNpsk0"), false, true, 2, {{PSK, E}, {E, EE}}},
    [FTX_NOISE_XXPSK3] = {NAME("XXpsk3"), false, true, 3, {{E}, {E, EE, S, ES}, {S, SE, PSK}}},
};

/* -- 5.2: the symmetric state -- */

static void mix_hash(struct ftx_noise *noise, const void *data, size_t size)
{
    crypto_hash_sha512_state hash;
    crypto_hash_sha512_init(&hash);
    crypto_hash_sha512_update(&hash, noise->h, HASH);
    crypto_hash_sha512_update(&hash, data, size);
    crypto_hash_sha512_final(&hash, noise->h);
}

/* HKDF (4.3) of the chaining key: `n` outputs of 64 bytes. */
static void expand(const struct ftx_noise *noise, const void *material, size_t size, size_t n,
                   uint8_t out[][HASH])
{
    uint8_t temp[HASH], message[HASH + 1];
    ftx_hmac(noise->ck, HASH, material, size, temp);
    for (size_t i = 0; i < n; i++) {
        size_t previous = i ? HASH : 0;
        if (i)
            memcpy(message, out[i - 1], HASH);
        message[previous] = (uint8_t)(i + 1);
        ftx_hmac(temp, HASH, message, previous + 1, out[i]);
    }
    sodium_memzero(temp, sizeof temp);
    sodium_memzero(message, sizeof message);
}

static void set_key(struct ftx_noise *noise, const uint8_t key[KEY])
{
    memcpy(noise->k, key, KEY);
    noise->has_key = true;
    noise->nonce = 0;
}

static void mix_key(struct ftx_noise *noise, const uint8_t material[KEY])
{
    uint8_t out[2][HASH];
    expand(noise, material, KEY, 2, out);
    memcpy(noise->ck, out[0], HASH);
    set_key(noise, out[1]);
    sodium_memzero(out, sizeof out);
}

static void mix_key_and_hash(struct ftx_noise *noise, const uint8_t material[KEY])
{
    uint8_t out[3][HASH];
    expand(noise, material, KEY, 3, out);
    memcpy(noise->ck, out[0], HASH);
    mix_hash(noise, out[1], HASH);
    set_key(noise, out[2]);
    sodium_memzero(out, sizeof out);
}

static size_t encrypt_and_hash(struct ftx_noise *noise, const void *plain, size_t size,
                               uint8_t *out)
{
    size_t box_size = size;
    if (noise->has_key) {
        ftx_aead_seal(noise->k, noise->nonce++, noise->h, HASH, plain, size, out);
        box_size += TAG;
    } else if (size) {
        memcpy(out, plain, size);
    }
    mix_hash(noise, out, box_size);
    return box_size;
}

static int decrypt_and_hash(struct ftx_noise *noise, const uint8_t *box, size_t box_size,
                            uint8_t *out)
{
    uint8_t h[HASH];
    memcpy(h, noise->h, HASH);
    mix_hash(noise, box, box_size); /* first: `out` may be `box` */
    if (noise->has_key)
        return ftx_aead_open(noise->k, noise->nonce++, h, HASH, box, box_size, out);
    if (box_size)
        memcpy(out, box, box_size);
    return 0;
}

/* -- 5.3: the handshake state -- */

static int mix_dh(struct ftx_noise *noise, const uint8_t secret[KEY], const uint8_t public[KEY])
{
    uint8_t shared[KEY];
    int err = crypto_scalarmult(shared, secret, public) ? FTX_EAUTH : 0;
    if (!err)
        mix_key(noise, shared);
    sodium_memzero(shared, sizeof shared);
    return err;
}

/* Every token that puts nothing on the wire. */
static int mix_token(struct ftx_noise *noise, enum token token)
{
    bool initiator = noise->initiator;
    switch (token) {
    case EE:
        return mix_dh(noise, noise->e, noise->re);
    case ES:
        return initiator ? mix_dh(noise, noise->e, noise->rs) : mix_dh(noise, noise->s, noise->re);
    case SE:
        return initiator ? mix_dh(noise, noise->s, noise->re) : mix_dh(noise, noise->e, noise->rs);
    case SS:
        return mix_dh(noise, noise->s, noise->rs);
    case PSK:
        mix_key_and_hash(noise, noise->psk);
        return 0;
    case END:
    case E:
    case S:
        break;
    }
    assert(false); /* these have bytes of their own */
    return FTX_EPROTO;
}

static void mix_ephemeral(struct ftx_noise *noise, const uint8_t public[KEY])
{
    mix_hash(noise, public, KEY);
    if (patterns[noise->pattern].psk)
        mix_key(noise, public);
}

/* What the next message has besides its payload, in bytes. */
static size_t overhead(const struct ftx_noise *noise)
{
    const struct pattern *pattern = &patterns[noise->pattern];
    bool has_key = noise->has_key;
    size_t size = 0;
    for (const uint8_t *token = pattern->tokens[noise->message]; *token; token++) {
        if (*token == E)
            size += KEY;
        else if (*token == S)
            size += has_key ? KEY + TAG : KEY;
        has_key |= *token == E ? pattern->psk : *token != S;
    }
    return has_key ? size + TAG : size;
}

static void assert_turn(const struct ftx_noise *noise, bool writes)
{
    assert(noise->message < patterns[noise->pattern].n_messages);
    assert((noise->message % 2 == 0) == (noise->initiator == writes));
    (void)noise;
    (void)writes;
}

void ftx_noise_init(struct ftx_noise *noise, enum ftx_noise_pattern pattern, bool initiator,
                    const void *prologue, size_t prologue_size, const uint8_t psk[32],
                    const uint8_t s[32], const uint8_t rs[32], const uint8_t e_seed[32])
{
    const struct pattern *p = &patterns[pattern];
    *noise = (struct ftx_noise){.pattern = pattern, .initiator = initiator};
    memcpy(noise->e, e_seed, KEY);
    crypto_scalarmult_base(noise->e_pub, noise->e);
    if (psk)
        memcpy(noise->psk, psk, KEY);
    if (s) {
        memcpy(noise->s, s, KEY);
        crypto_scalarmult_base(noise->s_pub, noise->s);
    }
    if (rs)
        memcpy(noise->rs, rs, KEY);

    memcpy(noise->h, p->name, HASH);
    memcpy(noise->ck, noise->h, HASH);
    mix_hash(noise, prologue, prologue_size);
    if (p->statics_known) {
        mix_hash(noise, initiator ? noise->s_pub : noise->rs, KEY);
        mix_hash(noise, initiator ? noise->rs : noise->s_pub, KEY);
    }
}

int ftx_noise_write(struct ftx_noise *noise, const void *payload, size_t size, uint8_t *out,
                    size_t capacity, size_t *out_size)
{
    assert_turn(noise, true);
    assert(overhead(noise) <= capacity && size <= capacity - overhead(noise));
    (void)capacity;

    uint8_t *at = out;
    for (const uint8_t *token = patterns[noise->pattern].tokens[noise->message]; *token; token++) {
        int err = 0;
        if (*token == E) {
            memcpy(at, noise->e_pub, KEY);
            mix_ephemeral(noise, at);
            at += KEY;
        } else if (*token == S) {
            at += encrypt_and_hash(noise, noise->s_pub, KEY, at);
        } else {
            err = mix_token(noise, *token);
        }
        if (err)
            return err;
    }
    at += encrypt_and_hash(noise, payload, size, at);
    noise->message++;
    *out_size = (size_t)(at - out);
    return 0;
}

int ftx_noise_read(struct ftx_noise *noise, const uint8_t *message, size_t size,
                   uint8_t *out_payload, size_t capacity, size_t *out_size)
{
    assert_turn(noise, false);
    if (size < overhead(noise) || size - overhead(noise) > capacity)
        return FTX_EPROTO;
    size_t payload_size = size - overhead(noise);

    const uint8_t *at = message;
    for (const uint8_t *token = patterns[noise->pattern].tokens[noise->message]; *token; token++) {
        int err = 0;
        if (*token == E) {
            memcpy(noise->re, at, KEY);
            mix_ephemeral(noise, noise->re);
            at += KEY;
        } else if (*token == S) {
            size_t box_size = noise->has_key ? KEY + TAG : KEY;
            err = decrypt_and_hash(noise, at, box_size, noise->rs);
            at += box_size;
        } else {
            err = mix_token(noise, *token);
        }
        if (err)
            return err;
    }
    int err = decrypt_and_hash(noise, at, size - (size_t)(at - message), out_payload);
    if (err)
        return err;
    noise->message++;
    *out_size = payload_size;
    return 0;
}

void ftx_noise_split(struct ftx_noise *noise, uint8_t out_send[32], uint8_t out_receive[32])
{
    assert(noise->message == patterns[noise->pattern].n_messages);
    uint8_t out[2][HASH];
    expand(noise, NULL, 0, 2, out);
    memcpy(out_send, out[noise->initiator ? 0 : 1], KEY);
    memcpy(out_receive, out[noise->initiator ? 1 : 0], KEY);
    sodium_memzero(out, sizeof out);
}

void ftx_noise_close(struct ftx_noise *noise)
{
    sodium_memzero(noise, sizeof *noise);
}
