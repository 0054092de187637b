/* SPDX-License-Identifier: MIT */
/* CPace-ristretto255-SHA512, draft-irtf-cfrg-cpace-21: a shared key from a shared code. */
#ifndef FTX_CRYPTO_CPACE_H
#define FTX_CRYPTO_CPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FTX_CPACE_SHARE_SIZE = 32, FTX_CPACE_ISK_SIZE = 64 };

/* Borrowed bytes: the draft's octet strings. */
struct ftx_bytes {
    const void *at;
    size_t size;
};

struct ftx_cpace {
    uint8_t scalar[32];                  /* y, secret */
    uint8_t share[FTX_CPACE_SHARE_SIZE]; /* Y = y * G, public */
};

/*
 * Computes the generator from `prs` (the code), `ci` and `sid`, and the own share from `seed` (64
 * random bytes, reduced mod L). FTX_EAUTH, with nothing left to wipe, for a scalar that is zero.
 * Wipe with ftx_cpace_close. Any thread.
 */
int ftx_cpace_init(struct ftx_cpace *cpace, struct ftx_bytes prs, struct ftx_bytes ci,
                   struct ftx_bytes sid, const uint8_t seed[64]);

/*
 * Computes ISK = H(lv_cat(DSI_ISK, sid, K) || transcript_ir(Ya, "", Yb, "")) (section 6.2 of the
 * draft; empty ADs). `initiator`: the own share is Ya. FTX_EAUTH for a peer's share that is no
 * valid encoding or gives the neutral element.
 */
int ftx_cpace_finish(const struct ftx_cpace *cpace, bool initiator, struct ftx_bytes sid,
                     const uint8_t peer_share[FTX_CPACE_SHARE_SIZE],
                     uint8_t out_isk[FTX_CPACE_ISK_SIZE]);

/* Wipes. */
void ftx_cpace_close(struct ftx_cpace *cpace);

#endif
