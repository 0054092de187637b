/* SPDX-License-Identifier: MIT */
/* What the relay answers over HTTP. Pure. */
#ifndef FTX_RELAY_REPLY_H
#define FTX_RELAY_REPLY_H

#include "transport/relay/rooms.h"

enum { FTX_REPLY_MAX = 4096 /* bytes of a body */ };

/* The status of a refusal. */
unsigned ftx_reply_status(enum ftx_refusal refusal);

/* Write a body, ended with NUL; return its length. */
size_t ftx_reply_health(char out[FTX_REPLY_MAX], const struct ftx_rooms *rooms);
size_t ftx_reply_metrics(char out[FTX_REPLY_MAX], const struct ftx_rooms *rooms);

#endif
