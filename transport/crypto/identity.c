/* SPDX-License-Identifier: MIT */
/* Codes, labels, hints and the verifier (docs/protocol.md 1.2 and 3). */
#include "transport/crypto/identity.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "transport/crypto/suite.h"
#include "transport/wire/cursor.h"

enum { ARGON2_PASSES = 3, ARGON2_MEMORY = 64 << 20, VERIFIER_BITS = 10 };

bool ftx_code_valid(const char *code, size_t size)
{
    if (size < FTX_CODE_MIN || size > FTX_CODE_MAX)
        return false;
    for (size_t i = 0; i < size; i++) {
        char c = code[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
            return false;
    }
    return true;
}

int ftx_code_label(const char *code, char out_label[FTX_LABEL_MAX + 1])
{
    uint8_t salt[FTX_SHA512_SIZE], hash[32];
    size_t size = strlen(code);
    assert(ftx_code_valid(code, size));

    const char *dash = strchr(code, '-');
    if (dash) {
        snprintf(out_label, FTX_LABEL_MAX + 1, "%.*s", (int)(dash - code), code);
        return 0;
    }
    ftx_derive("FTXP/1 label", NULL, 0, NULL, 0, salt);
    if (crypto_pwhash(hash, sizeof hash, code, size, salt, ARGON2_PASSES, ARGON2_MEMORY,
                      crypto_pwhash_ALG_ARGON2ID13))
        return -ENOMEM;
    snprintf(out_label, FTX_LABEL_MAX + 1, "%02x%02x", hash[0], hash[1]);
    sodium_memzero(hash, sizeof hash);
    return 0;
}

void ftx_hint_pair(const char *label, const uint8_t nonce[FTX_NONCE_SIZE],
                   uint8_t out_hint[FTX_HINT_SIZE])
{
    uint8_t hash[FTX_SHA512_SIZE];
    ftx_derive("FTXP/1 pair", nonce, FTX_NONCE_SIZE, label, strlen(label), hash);
    memcpy(out_hint, hash, FTX_HINT_SIZE);
}

/* HMAC-SHA-512(link_secret, words || nonce || role)[0..size] */
static void resume_mac(const char *words, const uint8_t link_secret[32], enum ftx_role role,
                       const uint8_t nonce[FTX_NONCE_SIZE], uint8_t *out, size_t size)
{
    uint8_t message[32 + FTX_NONCE_SIZE + 1], mac[FTX_SHA512_SIZE];
    struct ftx_writer w = ftx_writer(message, sizeof message);
    ftx_write_bytes(&w, words, strlen(words));
    ftx_write_bytes(&w, nonce, FTX_NONCE_SIZE);
    ftx_write_u8(&w, (uint8_t)role);
    assert(!w.failed);
    ftx_hmac(link_secret, 32, message, w.size, mac);
    memcpy(out, mac, size);
    sodium_memzero(mac, sizeof mac);
}

void ftx_hint_resume(const uint8_t link_secret[32], enum ftx_role role,
                     const uint8_t nonce[FTX_NONCE_SIZE], uint8_t out_hint[FTX_HINT_SIZE])
{
    resume_mac("FTXP/1 resume", link_secret, role, nonce, out_hint, FTX_HINT_SIZE);
}

void ftx_lan_tag_pair(const char *label, enum ftx_role role, const uint8_t nonce[FTX_NONCE_SIZE],
                      uint8_t out_tag[FTX_LAN_TAG_SIZE])
{
    uint8_t salt[FTX_NONCE_SIZE + 1], hash[FTX_SHA512_SIZE];
    memcpy(salt, nonce, FTX_NONCE_SIZE);
    salt[FTX_NONCE_SIZE] = (uint8_t)role;
    ftx_derive("FTXP/1 lan pair", salt, sizeof salt, label, strlen(label), hash);
    memcpy(out_tag, hash, FTX_LAN_TAG_SIZE);
}

void ftx_lan_tag_resume(const uint8_t link_secret[32], enum ftx_role role,
                        const uint8_t nonce[FTX_NONCE_SIZE], uint8_t out_tag[FTX_LAN_TAG_SIZE])
{
    resume_mac("FTXP/1 lan resume", link_secret, role, nonce, out_tag, FTX_LAN_TAG_SIZE);
}

void ftx_room_of_day(const uint8_t link_secret[32], uint32_t day, char out_room[FTX_ROOM_SIZE + 1])
{
    static const char words[] = "FTXP/1 room";
    uint8_t message[sizeof words - 1 + 4], mac[FTX_SHA512_SIZE];
    struct ftx_writer w = ftx_writer(message, sizeof message);
    ftx_write_bytes(&w, words, strlen(words));
    ftx_write_u32(&w, day);
    ftx_hmac(link_secret, 32, message, w.size, mac);
    sodium_bin2hex(out_room, FTX_ROOM_SIZE + 1, mac, FTX_ROOM_SIZE / 2);
    sodium_memzero(mac, sizeof mac);
}

void ftx_verifier(const uint8_t link_secret[32], uint16_t out_words[FTX_VERIFIER_WORDS])
{
    uint8_t hash[FTX_SHA512_SIZE];
    uint32_t bits = 0; /* the unused low `n_bits` bits of what was read */
    unsigned n_bits = 0;
    const uint8_t *at = hash;

    ftx_derive("FTXP/1 verifier", link_secret, 32, NULL, 0, hash);
    for (size_t i = 0; i < FTX_VERIFIER_WORDS; i++) {
        for (; n_bits < VERIFIER_BITS; n_bits += 8)
            bits = bits << 8 | *at++;
        n_bits -= VERIFIER_BITS;
        out_words[i] = bits >> n_bits & ((1u << VERIFIER_BITS) - 1);
    }
    sodium_memzero(hash, sizeof hash);
}
