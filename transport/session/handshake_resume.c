/* SPDX-License-Identifier: MIT */
/* RESUME (docs/protocol.md 3): Noise KKpsk0 with the link's keys, one message each way. */
#include "transport/session/handshake_steps.h"

#include <assert.h>
#include <sodium.h>

enum { NOISE_SIZE = 32 + FTX_TAG_SIZE };

/* Puts the next Noise message, which has no payload. */
static int put_noise(struct ftx_handshake *hs)
{
    size_t size = 0;
    int err =
        ftx_noise_write(&hs->noise, NULL, 0, ftx_handshake_put(hs, NOISE_SIZE), NOISE_SIZE, &size);
    assert(err || size == NOISE_SIZE);
    return err;
}

int ftx_resume_begin(struct ftx_handshake *hs)
{
    bool s = hs->role == FTX_ROLE_S;
    uint8_t prologue[2 * FTX_HELLO_MAX], seed[32];
    size_t prologue_size = ftx_handshake_hellos(hs, prologue);

    ftx_handshake_random(hs, seed, sizeof seed);
    ftx_noise_init(&hs->noise, FTX_NOISE_KKPSK0, s, prologue, prologue_size, hs->keys.link_secret,
                   hs->keys.static_secret, hs->keys.peer_public, seed);
    sodium_memzero(seed, sizeof seed);
    sodium_memzero(&hs->keys, sizeof hs->keys); /* Noise has what it needs */
    ftx_handshake_expect(hs, EXPECT_NOISE);
    return s ? put_noise(hs) : 0;
}

/* S: message 2. R: message 1, which is answered with message 2. */
int ftx_resume_take(struct ftx_handshake *hs)
{
    uint8_t nothing[1];
    size_t size;
    int err = ftx_noise_read(&hs->noise, hs->in, hs->in_size, nothing, 0, &size);
    if (!err && hs->role == FTX_ROLE_R)
        err = put_noise(hs);
    if (err)
        return err;
    bool aes = hs->own_hello.aes && hs->peer_hello.aes; /* proven: Noise has hashed both Hellos */
    hs->cipher = aes ? FTX_CIPHER_AES_256_GCM : FTX_CIPHER_CHACHA20_POLY1305;
    ftx_noise_split(&hs->noise, hs->send_key, hs->receive_key);
    ftx_handshake_complete(hs, FTX_WANT_RECORDS);
    return 0;
}
