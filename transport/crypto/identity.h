/* SPDX-License-Identifier: MIT */
/* What a link knows about itself: codes, labels, hints, keys, the verifier. */
#ifndef FTX_CRYPTO_IDENTITY_H
#define FTX_CRYPTO_IDENTITY_H

#include "transport/wire/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ftx_role { FTX_ROLE_S = 1, FTX_ROLE_R = 2 };

enum { FTX_LABEL_MAX = FTX_CODE_MAX, FTX_VERIFIER_WORDS = 6 };

/* The keys of an enrolled link. Wipe with sodium_memzero. */
struct ftx_link_keys {
    uint8_t static_secret[32];
    uint8_t static_public[32];
    uint8_t peer_public[32];
    uint8_t link_secret[32];
};

/* True for 4..64 characters of [a-z0-9-]. */
bool ftx_code_valid(const char *code, size_t size);

/*
 * The public label of a valid code (docs/protocol.md 1.2), as a string; without a `-` this runs
 * Argon2id (tenths of a second, 64 MiB). -ENOMEM. Any thread.
 */
int ftx_code_label(const char *code, char out_label[FTX_LABEL_MAX + 1]);

/* The hints of the two modes (docs/protocol.md 1.2), for the Hello with this nonce and role. */
void ftx_hint_pair(const char *label, const uint8_t nonce[FTX_NONCE_SIZE],
                   uint8_t out_hint[FTX_HINT_SIZE]);
void ftx_hint_resume(const uint8_t link_secret[32], enum ftx_role role,
                     const uint8_t nonce[FTX_NONCE_SIZE], uint8_t out_hint[FTX_HINT_SIZE]);

/* The tags of the two modes (docs/protocol.md 10), in the announcement with this nonce by the end with
 * this role. */
void ftx_lan_tag_pair(const char *label, enum ftx_role role, const uint8_t nonce[FTX_NONCE_SIZE],
                      uint8_t out_tag[FTX_LAN_TAG_SIZE]);
void ftx_lan_tag_resume(const uint8_t link_secret[32], enum ftx_role role,
                        const uint8_t nonce[FTX_NONCE_SIZE], uint8_t out_tag[FTX_LAN_TAG_SIZE]);

/* The room where both ends of the link wait at a relay on this day, counted from 1970
 * (docs/protocol.md 9): 32 hexadecimal digits. */
enum { FTX_ROOM_SIZE = 32 };
void ftx_room_of_day(const uint8_t link_secret[32], uint32_t day, char out_room[FTX_ROOM_SIZE + 1]);

/* Six numbers of 10 bits: the words that people compare (docs/protocol.md 3). */
void ftx_verifier(const uint8_t link_secret[32], uint16_t out_words[FTX_VERIFIER_WORDS]);

#endif
