/* SPDX-License-Identifier: MIT */
/* Bytes on their way to one client, in pieces that libwebsockets can send where they stand. */
#ifndef FTX_RELAY_QUEUE_H
#define FTX_RELAY_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FTX_QUEUE_PIECE = 64 << 10,  /* bytes of the largest message we send */
    FTX_QUEUE_MAX = 256 << 10,   /* of a direction; a sender stops one read before it */
    FTX_QUEUE_RESUME = 64 << 10, /* it goes on when no more than this are left */
};

struct ftx_queue_piece;

struct ftx_queue { /* zeroed: empty */
    struct ftx_queue_piece *first, *last;
    size_t n_bytes;
};

/* False: out of memory, or more than FTX_QUEUE_MAX: the stream is broken then. */
bool ftx_queue_put(struct ftx_queue *queue, const void *bytes, size_t size);

/*
 * The first piece (LWS_PRE bytes before it are free to write); pop takes it away. NULL: empty.
 */
uint8_t *ftx_queue_first(const struct ftx_queue *queue, size_t *out_size);
void ftx_queue_pop(struct ftx_queue *queue);

void ftx_queue_clear(struct ftx_queue *queue);

#endif
