/* SPDX-License-Identifier: MIT */
/* A list of pieces; what comes goes behind the last while it has room. */
#include "tools/ftx-relay/queue.h"

#include <libwebsockets.h>
#include <stdlib.h>
#include <string.h>

struct ftx_queue_piece {
    struct ftx_queue_piece *next;
    size_t size;
    uint8_t head[LWS_PRE]; /* where libwebsockets puts the frame's */
    uint8_t bytes[FTX_QUEUE_PIECE];
};

static struct ftx_queue_piece *add_piece(struct ftx_queue *queue)
{
    struct ftx_queue_piece *piece = malloc(sizeof(*piece));

    if (!piece)
        return NULL;
    piece->next = NULL;
    piece->size = 0;
    if (queue->last)
        queue->last->next = piece;
    else
        queue->first = piece;
    queue->last = piece;
    return piece;
}

bool ftx_queue_put(struct ftx_queue *queue, const void *bytes, size_t size)
{
    const uint8_t *from = bytes;

    if (size > FTX_QUEUE_MAX - queue->n_bytes)
        return false;
    while (size > 0) {
        struct ftx_queue_piece *piece = queue->last;
        size_t part;

        if ((!piece || piece->size == FTX_QUEUE_PIECE) && !(piece = add_piece(queue)))
            return false;
        part = FTX_QUEUE_PIECE - piece->size < size ? FTX_QUEUE_PIECE - piece->size : size;
        memcpy(piece->bytes + piece->size, from, part);
        piece->size += part;
        queue->n_bytes += part;
        from += part;
        size -= part;
    }
    return true;
}

uint8_t *ftx_queue_first(const struct ftx_queue *queue, size_t *out_size)
{
    if (!queue->first)
        return NULL;
    *out_size = queue->first->size;
    return queue->first->bytes;
}

void ftx_queue_pop(struct ftx_queue *queue)
{
    struct ftx_queue_piece *piece = queue->first;

    queue->first = piece->next;
    if (!queue->first)
        queue->last = NULL;
    queue->n_bytes -= piece->size;
    free(piece);
}

void ftx_queue_clear(struct ftx_queue *queue)
{
    while (queue->first)
        ftx_queue_pop(queue);
}
