/* SPDX-License-Identifier: MIT */
/*
 * CPace: both ends map the code to a generator, exchange multiples of it and hash what they share.
 * The draft's strings are never built: each goes into SHA-512 piece by piece.
 */
#include "transport/crypto/cpace.h"

#include <string.h>

#include "transport/base/err.h"
#include "transport/crypto/cpace_steps.h"

enum { SHA512_BLOCK = 128 /* H.s_in_bytes */ };

static const char dsi[] = "CPaceRistretto255";
static const char dsi_isk[] = "CPaceRistretto255_ISK";

/* Writes the LEB128 code of `length`, at most 10 bytes, and returns its size. */
static size_t encode_length(size_t length, uint8_t out[10])
{
    size_t size = 0;
    for (; length >= 0x80; length >>= 7)
        out[size++] = (uint8_t)(length | 0x80);
    out[size++] = (uint8_t)length;
    return size;
}

static size_t lv_size(size_t length)
{
    uint8_t prefix[10];
    return encode_length(length, prefix) + length;
}

void ftx_cpace_add_lv(crypto_hash_sha512_state *hash, struct ftx_bytes part)
{
    uint8_t prefix[10];
    crypto_hash_sha512_update(hash, prefix, encode_length(part.size, prefix));
    crypto_hash_sha512_update(hash, part.at, part.size);
}

void ftx_cpace_add_transcript(crypto_hash_sha512_state *hash, struct ftx_bytes ya,
                              struct ftx_bytes ada, struct ftx_bytes yb, struct ftx_bytes adb)
{
    ftx_cpace_add_lv(hash, ya);
    ftx_cpace_add_lv(hash, ada);
    ftx_cpace_add_lv(hash, yb);
    ftx_cpace_add_lv(hash, adb);
}

void ftx_cpace_hash_generator(struct ftx_bytes prs, struct ftx_bytes ci, struct ftx_bytes sid,
                              uint8_t out[64])
{
    /* Zeros fill the hash's first block (but for their own length byte), so that the code is
     * hashed alone. */
    static const uint8_t zeros[SHA512_BLOCK];
    size_t before = 1 + lv_size(prs.size) + lv_size(strlen(dsi));
    size_t pad = before < SHA512_BLOCK ? SHA512_BLOCK - before : 0;
    crypto_hash_sha512_state hash;

    crypto_hash_sha512_init(&hash);
    ftx_cpace_add_lv(&hash, (struct ftx_bytes){dsi, strlen(dsi)});
    ftx_cpace_add_lv(&hash, prs);
    ftx_cpace_add_lv(&hash, (struct ftx_bytes){zeros, pad});
    ftx_cpace_add_lv(&hash, ci);
    ftx_cpace_add_lv(&hash, sid);
    crypto_hash_sha512_final(&hash, out);
}

int ftx_cpace_multiply(const uint8_t scalar[32], const uint8_t point[32], uint8_t out[32])
{
    /* libsodium refuses what does not decode, and a neutral result. */
    return crypto_scalarmult_ristretto255(out, scalar, point) ? FTX_EAUTH : 0;
}

void ftx_cpace_hash_isk(struct ftx_bytes sid, const uint8_t k[32], struct ftx_bytes ya,
                        struct ftx_bytes ada, struct ftx_bytes yb, struct ftx_bytes adb,
                        uint8_t out_isk[FTX_CPACE_ISK_SIZE])
{
    crypto_hash_sha512_state hash;

    crypto_hash_sha512_init(&hash);
    ftx_cpace_add_lv(&hash, (struct ftx_bytes){dsi_isk, strlen(dsi_isk)});
    ftx_cpace_add_lv(&hash, sid);
    ftx_cpace_add_lv(&hash, (struct ftx_bytes){k, 32});
    ftx_cpace_add_transcript(&hash, ya, ada, yb, adb);
    crypto_hash_sha512_final(&hash, out_isk);
}

int ftx_cpace_init(struct ftx_cpace *cpace, struct ftx_bytes prs, struct ftx_bytes ci,
                   struct ftx_bytes sid, const uint8_t seed[64])
{
    uint8_t hash[64], generator[32];

    ftx_cpace_hash_generator(prs, ci, sid, hash);
    crypto_core_ristretto255_from_hash(generator, hash);
    crypto_core_ristretto255_scalar_reduce(cpace->scalar, seed);
    int err = ftx_cpace_multiply(cpace->scalar, generator, cpace->share);

    sodium_memzero(hash, sizeof hash);
    sodium_memzero(generator, sizeof generator);
    if (err)
        ftx_cpace_close(cpace);
    return err;
}

int ftx_cpace_finish(const struct ftx_cpace *cpace, bool initiator, struct ftx_bytes sid,
                     const uint8_t peer_share[FTX_CPACE_SHARE_SIZE],
                     uint8_t out_isk[FTX_CPACE_ISK_SIZE])
{
    const struct ftx_bytes own = {cpace->share, FTX_CPACE_SHARE_SIZE};
    const struct ftx_bytes peer = {peer_share, FTX_CPACE_SHARE_SIZE};
    const struct ftx_bytes none = {NULL, 0};
    uint8_t k[32];

    int err = ftx_cpace_multiply(cpace->scalar, peer_share, k);
    if (!err)
        ftx_cpace_hash_isk(sid, k, initiator ? own : peer, none, initiator ? peer : own, none,
                           out_isk);
    sodium_memzero(k, sizeof k);
    return err;
}

void ftx_cpace_close(struct ftx_cpace *cpace)
{
    sodium_memzero(cpace, sizeof *cpace);
}
