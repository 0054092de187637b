/* SPDX-License-Identifier: MIT */
/* The functions that the CPace draft names, for cpace.c and for its test vectors only. */
#ifndef FTX_CRYPTO_CPACE_STEPS_H
#define FTX_CRYPTO_CPACE_STEPS_H

#include "transport/crypto/cpace.h"

#include <sodium.h>

/* Adds prepend_len(part); lv_cat is one call after the other. */
void ftx_cpace_add_lv(crypto_hash_sha512_state *hash, struct ftx_bytes part);

/* Adds transcript_ir(Ya, ADa, Yb, ADb). */
void ftx_cpace_add_transcript(crypto_hash_sha512_state *hash, struct ftx_bytes ya,
                              struct ftx_bytes ada, struct ftx_bytes yb, struct ftx_bytes adb);

/* H(generator_string(DSI, PRS, CI, sid, H.s_in_bytes)). */
void ftx_cpace_hash_generator(struct ftx_bytes prs, struct ftx_bytes ci, struct ftx_bytes sid,
                              uint8_t out[64]);

/* G.scalar_mult_vfy: FTX_EAUTH where the draft gives the neutral element. */
int ftx_cpace_multiply(const uint8_t scalar[32], const uint8_t point[32], uint8_t out[32]);

/* H(lv_cat(DSI || "_ISK", sid, K) || transcript_ir(Ya, ADa, Yb, ADb)). */
void ftx_cpace_hash_isk(struct ftx_bytes sid, const uint8_t k[32], struct ftx_bytes ya,
                        struct ftx_bytes ada, struct ftx_bytes yb, struct ftx_bytes adb,
                        uint8_t out_isk[FTX_CPACE_ISK_SIZE]);

#endif
