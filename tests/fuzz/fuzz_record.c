/* SPDX-License-Identifier: MIT */
/* Fuzz: bytes as a record never open; bytes as plain text come back, unless changed. */
#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "transport/base/err.h"
#include "transport/crypto/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int holds)
{
    if (!holds)
        abort();
}

/* What a connection does: a head, then as many bytes as it says. */
static void open_as_it_came(const struct ftx_record_key *key, const uint8_t *data, size_t size)
{
    if (size < FTX_RECORD_HEAD)
        return;
    size_t whole = ftx_record_size(data), plain_size;
    uint8_t *record = malloc(size);
    check(record != NULL);
    memcpy(record, data, size);
    int err = ftx_record_open(key, record, size, &plain_size);
    check(err == (whole == size ? FTX_EAUTH : FTX_EPROTO));
    free(record);
}

static void seal_and_open(const struct ftx_record_key *key, const uint8_t *data, size_t size)
{
    if (size < 1 || size > FTX_RECORD_PLAIN_MAX)
        return;
    size_t whole = FTX_RECORD_HEAD + size + FTX_TAG_SIZE, plain_size = 0;
    uint8_t *record = malloc(whole);
    check(record != NULL);

    memcpy(record + FTX_RECORD_HEAD, data, size);
    check(ftx_record_seal(key, record, size) == 0);
    check(ftx_record_size(record) == whole);
    check(ftx_record_open(key, record, whole, &plain_size) == 0 && plain_size == size);
    check(memcmp(record + FTX_RECORD_HEAD, data, size) == 0);

    check(ftx_record_seal(key, record, size) == 0);
    record[data[0] % whole] ^= (uint8_t)(1u << data[size - 1] % 8);
    check(ftx_record_open(key, record, whole, &plain_size) != 0);
    free(record);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t secret[32] = {1};
    for (enum ftx_cipher c = FTX_CIPHER_CHACHA20_POLY1305; c <= FTX_CIPHER_AES_256_GCM; c++) {
        struct ftx_record_key key;
        ftx_record_key_init(&key, c, secret);
        open_as_it_came(&key, data, size);
        seal_and_open(&key, data, size);
    }
    return 0;
}
