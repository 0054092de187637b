/* SPDX-License-Identifier: MIT */
/* Idle codecs, kept for the next worker that packs or unpacks: making one costs more than using it.
 * Any thread. */
#ifndef FTX_PEER_CODECS_H
#define FTX_PEER_CODECS_H

#include "transport/session/codec.h"

/* One for the caller alone, until it gives it back; NULL without memory. */
struct ftx_codec *ftx_codecs_take(void);
/* NULL: nothing. */
void ftx_codecs_give(struct ftx_codec *codec);
/* Frees those that are idle. */
void ftx_codecs_trim(void);

#endif
