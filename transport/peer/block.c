/* SPDX-License-Identifier: MIT */
/*
 * Record buffers. A full record is 1 MiB: malloc would map and unmap it each time, and every page
 * of it would fault anew. So large blocks all have one size, and a few idle ones are kept for the
 * next record. Small ones come from malloc.
 */
#include "transport/peer/block.h"

#include <assert.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

#include "transport/peer/peer.h"

enum {
    SMALL_MAX = 64 << 10,
    IDLE_MAX = 12, /* of about 1 MiB: what a busy link has under way at once */
};

/* Stands before the bytes. */
struct block {
    size_t size;
    struct block *next; /* while idle */
    max_align_t bytes[];
};

static struct {
    pthread_mutex_t lock;
    struct block *first;
    unsigned n;
} idle = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct block *block_of(const void *whole)
{
    return (struct block *)((char *)whole - offsetof(struct block, bytes));
}

static struct block *take_idle(void)
{
    pthread_mutex_lock(&idle.lock);
    struct block *block = idle.first;
    if (block) {
        idle.first = block->next;
        idle.n--;
    }
    pthread_mutex_unlock(&idle.lock);
    return block;
}

/* False: enough are idle. */
static bool keep_idle(struct block *block)
{
    pthread_mutex_lock(&idle.lock);
    bool kept = idle.n < IDLE_MAX;
    if (kept) {
        block->next = idle.first;
        idle.first = block;
        idle.n++;
    }
    pthread_mutex_unlock(&idle.lock);
    return kept;
}

uint8_t *ftx_block_new(size_t size)
{
    assert(size <= FTX_RECORD_MAX);
    struct block *block = NULL;
    if (size > SMALL_MAX) {
        size = FTX_RECORD_MAX;
        block = take_idle();
    }
    if (!block)
        block = malloc(sizeof *block + size);
    if (!block)
        return NULL;
    block->size = size;
    return (uint8_t *)block->bytes;
}

void ftx_block_free(void *whole)
{
    if (!whole)
        return;
    struct block *block = block_of(whole);
    if (block->size <= SMALL_MAX || !keep_idle(block))
        free(block);
}

size_t ftx_block_size(const void *whole)
{
    return block_of(whole)->size;
}
