/* SPDX-License-Identifier: MIT */
/*
 * Heads of WebSocket frames.
 *
 *   byte 0   FIN, three reserved bits, kind (4)
 *   byte 1   MASK, length (7): up to 125, or 126: u16 follows, or 127: u64 follows (big-endian)
 *   then     4 bytes of mask, if MASK
 */
#include "transport/net/frame.h"

#include <string.h>

#include "transport/base/err.h"

enum { FIN = 0x80, RESERVED = 0x70, KIND = 0x0f, MASK = 0x80, LENGTH = 0x7f };

static uint64_t big_endian(const uint8_t *bytes, size_t size)
{
    uint64_t value = 0;

    for (size_t i = 0; i < size; i++)
        value = value << 8 | bytes[i];
    return value;
}

static bool is_known(unsigned kind)
{
    return kind <= FTX_FRAME_BINARY || (kind >= FTX_FRAME_CLOSE && kind <= FTX_FRAME_PONG);
}

int ftx_frame_read(const uint8_t *bytes, size_t size, struct ftx_frame *out)
{
    size_t n_length;
    uint64_t length;

    if (size < 2)
        return 0;
    if (bytes[0] & RESERVED || !is_known(bytes[0] & KIND) || bytes[1] & MASK)
        return FTX_EPROTO;
    length = bytes[1] & LENGTH;
    if (bytes[0] & FTX_FRAME_CLOSE && (!(bytes[0] & FIN) || length > FTX_FRAME_CONTROL_MAX))
        return FTX_EPROTO;
    n_length = length == 126 ? 2 : length == 127 ? 8 : 0;
    if (size < 2 + n_length)
        return 0;
    if (n_length > 0) {
        length = big_endian(bytes + 2, n_length);
        if (length <= (n_length == 2 ? 125u : UINT16_MAX) || length > INT64_MAX)
            return FTX_EPROTO;
    }
    out->kind = bytes[0] & KIND;
    out->last = bytes[0] & FIN;
    out->size = length;
    return (int)(2 + n_length);
}

size_t ftx_frame_write(uint8_t out[FTX_FRAME_HEAD_MAX], enum ftx_frame_kind kind, uint64_t size,
                       const uint8_t mask[4])
{
    size_t n_length = size <= 125 ? 0 : size <= UINT16_MAX ? 2 : 8;
    size_t at = 2;

    out[0] = (uint8_t)(FIN | kind);
    out[1] = (uint8_t)(MASK | (n_length == 0 ? size : n_length == 2 ? 126 : 127));
    for (size_t i = n_length; i > 0; i--)
        out[at++] = (uint8_t)(size >> 8 * (i - 1));
    for (size_t i = 0; i < 4; i++)
        out[at++] = mask[i];
    return at;
}

void ftx_frame_mask(uint8_t *to, const uint8_t *from, size_t size, const uint8_t mask[4],
                    size_t offset)
{
    uint8_t turned[8]; /* as it stands for the byte at `offset` and those behind it */
    size_t at = 0;

    for (size_t i = 0; i < sizeof(turned); i++)
        turned[i] = mask[(offset + i) % 4];
    for (; size - at >= sizeof(turned); at += sizeof(turned)) {
        uint64_t word, masks;

        memcpy(&word, from + at, sizeof(word));
        memcpy(&masks, turned, sizeof(masks));
        word ^= masks;
        memcpy(to + at, &word, sizeof(word));
    }
    for (; at < size; at++)
        to[at] = from[at] ^ turned[at % 4];
}
