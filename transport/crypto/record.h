/* SPDX-License-Identifier: MIT */
/* Sealing and opening of records (docs/protocol.md 4), in place, with libcrypto's ciphers. */
#ifndef FTX_CRYPTO_RECORD_H
#define FTX_CRYPTO_RECORD_H

#include "transport/wire/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ftx_cipher { FTX_CIPHER_CHACHA20_POLY1305, FTX_CIPHER_AES_256_GCM };

/*
 * Does this processor, as far as libsodium knows, have instructions for AES and GCM, so that
 * AES-256-GCM is the quicker of the two and takes the same time for every key? After sodium_init.
 */
bool ftx_aes_is_quick(void);

/* One direction's key for record `number`. Advanced in order; copies work in parallel. */
struct ftx_record_key {
    enum ftx_cipher cipher;
    uint8_t key[32];
    uint64_t number; /* of the next record */
};

/* Copies a key; `number` starts at 0. Wipe with ftx_record_key_close. */
void ftx_record_key_init(struct ftx_record_key *key, enum ftx_cipher cipher,
                         const uint8_t bytes[32]);

/*
 * Takes the key for one record: copies the current state to *out_taken and moves on, rekeying after
 * each 1024 records. The loop thread takes in wire order; workers then seal or open with what was
 * taken, in any order, and wipe it with ftx_record_key_close. -ENOMEM: nothing was taken.
 */
int ftx_record_key_take(struct ftx_record_key *key, struct ftx_record_key *out_taken);

void ftx_record_key_close(struct ftx_record_key *key);

/*
 * Seals in place: `record` holds FTX_RECORD_HEAD free bytes, then `plain_size`
 * (1..FTX_RECORD_PLAIN_MAX) bytes, then room for FTX_TAG_SIZE. Afterwards all of it is the record,
 * FTX_RECORD_HEAD + plain_size + FTX_TAG_SIZE bytes. -ENOMEM: `record` is not to be sent. Any
 * thread.
 */
int ftx_record_seal(const struct ftx_record_key *taken, uint8_t *record, size_t plain_size);

/* The whole size of a record on the wire, from its first four bytes; 0 if they are out of range. */
size_t ftx_record_size(const uint8_t head[FTX_RECORD_HEAD]);

/*
 * Opens in place a whole record of `record_size` bytes: the plain text stands at record +
 * FTX_RECORD_HEAD, *out_plain_size of it. FTX_EAUTH, FTX_EPROTO, -ENOMEM; nothing of the plain text
 * is left then. Any thread.
 */
int ftx_record_open(const struct ftx_record_key *taken, uint8_t *record, size_t record_size,
                    size_t *out_plain_size);

#endif
