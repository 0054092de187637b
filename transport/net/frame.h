/* SPDX-License-Identifier: MIT */
/* The frames of WebSocket (RFC 6455 5.2) as a client sees them: it masks, the server does not. Pure. */
#ifndef FTX_NET_FRAME_H
#define FTX_NET_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FTX_FRAME_HEAD_MAX = 14,    /* bytes: 2, the longest length, the mask */
    FTX_FRAME_CONTROL_MAX = 125 /* bytes in a CLOSE, PING or PONG */
};

enum ftx_frame_kind {
    FTX_FRAME_MORE = 0, /* goes on with the message before it */
    FTX_FRAME_TEXT = 1,
    FTX_FRAME_BINARY = 2,
    FTX_FRAME_CLOSE = 8,
    FTX_FRAME_PING = 9,
    FTX_FRAME_PONG = 10,
};

struct ftx_frame {
    enum ftx_frame_kind kind;
    bool last; /* of its message */
    uint64_t size;
};

/*
 * The head of a frame from a server: how many bytes it takes, 0 if there are too few yet. FTX_EPROTO:
 * masked, a reserved bit or kind, a control frame that is long or in parts, a length that is not the
 * shortest or has the top bit.
 */
int ftx_frame_read(const uint8_t *bytes, size_t size, struct ftx_frame *out);

/* The head of a whole message from a client; returns how many bytes it takes. */
size_t ftx_frame_write(uint8_t out[FTX_FRAME_HEAD_MAX], enum ftx_frame_kind kind, uint64_t size,
                       const uint8_t mask[4]);

/* Copies `size` bytes that stand at `offset` of a message, masked. */
void ftx_frame_mask(uint8_t *to, const uint8_t *from, size_t size, const uint8_t mask[4],
                    size_t offset);

#endif
