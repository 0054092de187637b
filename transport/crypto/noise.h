/* SPDX-License-Identifier: MIT */
/* Noise (rev 34) with 25519, ChaChaPoly, SHA512. FTXP/1 uses KKpsk0; all have known answers. */
#ifndef FTX_CRYPTO_NOISE_H
#define FTX_CRYPTO_NOISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ftx_noise_pattern {
    FTX_NOISE_KKPSK0,
    FTX_NOISE_KKPSK2,
    FTX_NOISE_KK,
    FTX_NOISE_NNPSK0,
    FTX_NOISE_XXPSK3,
};

struct ftx_noise {
    enum ftx_noise_pattern pattern;
    bool initiator;
    uint8_t message; /* number of the next message, from 0 */
    bool has_key;
    uint64_t nonce;
    uint8_t ck[64], h[64], k[32]; /* h after the last message: the handshake hash */
    uint8_t psk[32];
    uint8_t s[32], s_pub[32], e[32], e_pub[32], rs[32], re[32];
};

/*
 * Starts a handshake. `prologue` is hashed in; `psk`, `s` (own static secret) and `rs` (peer's
 * static public) are copied, NULL where the pattern has none or does not know it yet; `e_seed` is
 * the ephemeral secret: 32 random bytes. A bad key is found where it is used. Wipe with _close.
 */
void ftx_noise_init(struct ftx_noise *noise, enum ftx_noise_pattern pattern, bool initiator,
                    const void *prologue, size_t prologue_size, const uint8_t psk[32],
                    const uint8_t s[32], const uint8_t rs[32], const uint8_t e_seed[32]);

/*
 * Writes the next message, which must be this end's, with `size` bytes of payload: at most
 * `capacity` bytes, which must suffice. FTX_EAUTH for a key of the peer that gives a zero secret;
 * then the handshake must not go on.
 */
int ftx_noise_write(struct ftx_noise *noise, const void *payload, size_t size, uint8_t *out,
                    size_t capacity, size_t *out_size);

/*
 * Reads the peer's message. FTX_EPROTO if it is too short or its payload exceeds `capacity`,
 * FTX_EAUTH if anything in it does not verify; then the handshake must not go on.
 */
int ftx_noise_read(struct ftx_noise *noise, const uint8_t *message, size_t size,
                   uint8_t *out_payload, size_t capacity, size_t *out_size);

/* After all messages: keys for what this end sends and receives. */
void ftx_noise_split(struct ftx_noise *noise, uint8_t out_send[32], uint8_t out_receive[32]);

/* Wipes. */
void ftx_noise_close(struct ftx_noise *noise);

#endif
