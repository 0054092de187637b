/* SPDX-License-Identifier: MIT */
/* Slabs of items: a bit of each place says whether an item stands there. */
#include "fs/store/item_pool.h"

#include <assert.h>
#include <sanitizer/asan_interface.h>
#include <stdlib.h>
#include <string.h>

enum { SLAB_ITEMS = 256, WORD_ITEMS = 64, SLAB_WORDS = SLAB_ITEMS / WORD_ITEMS };

struct ftx_item_slab {
    struct ftx_list node; /* pool->open, if it has a free place */
    uint64_t used[SLAB_WORDS];
    uint32_t number, n_used;
    struct ftx_item items[SLAB_ITEMS];
};

void ftx_item_pool_init(struct ftx_item_pool *pool)
{
    *pool = (struct ftx_item_pool){.slabs = NULL};
    ftx_list_init(&pool->open);
}

void ftx_item_pool_close(struct ftx_item_pool *pool)
{
    for (uint32_t i = 0; i < pool->n_slabs; i++)
        free(pool->slabs[i]);
    free(pool->slabs);
    ftx_item_pool_init(pool);
}

/* The lowest number without a slab. False: no memory. */
static bool number_get(struct ftx_item_pool *pool, uint32_t *out_number)
{
    uint32_t number = 0;
    while (number < pool->n_slabs && pool->slabs[number])
        number++;
    if (number == UINT32_MAX / SLAB_ITEMS)
        return false;
    if (number == pool->n_slabs) {
        struct ftx_item_slab **grown = realloc(pool->slabs, (number + 1) * sizeof *grown);
        if (!grown)
            return false;
        pool->slabs = grown;
        pool->slabs[pool->n_slabs++] = NULL;
    }
    *out_number = number;
    return true;
}

static struct ftx_item_slab *slab_new(struct ftx_item_pool *pool)
{
    uint32_t number;
    if (!number_get(pool, &number))
        return NULL;
    struct ftx_item_slab *slab = malloc(sizeof *slab);
    if (!slab)
        return NULL;
    memset(slab, 0, offsetof(struct ftx_item_slab, items));
    ASAN_POISON_MEMORY_REGION(slab->items, sizeof slab->items);
    slab->number = number;
    ftx_list_init(&slab->node);
    ftx_list_append(&pool->open, &slab->node);
    pool->slabs[number] = slab;
    return slab;
}

struct ftx_item *ftx_item_pool_get(struct ftx_item_pool *pool)
{
    struct ftx_item_slab *slab = ftx_list_empty(&pool->open)
                                     ? slab_new(pool)
                                     : ftx_list_of(pool->open.next, struct ftx_item_slab, node);
    if (!slab)
        return NULL;
    uint32_t word = 0;
    while (~slab->used[word] == 0)
        word++;
    uint32_t i = word * WORD_ITEMS + (uint32_t)__builtin_ctzll(~slab->used[word]);
    slab->used[word] |= UINT64_C(1) << i % WORD_ITEMS;
    if (++slab->n_used == SLAB_ITEMS)
        ftx_list_remove(&slab->node);
    struct ftx_item *item = &slab->items[i];
    ASAN_UNPOISON_MEMORY_REGION(item, sizeof *item);
    *item = (struct ftx_item){.place = slab->number * SLAB_ITEMS + i + 1};
    return item;
}

void ftx_item_pool_put(struct ftx_item_pool *pool, struct ftx_item *item)
{
    uint32_t i = (item->place - 1) % SLAB_ITEMS;
    struct ftx_item_slab *slab = pool->slabs[(item->place - 1) / SLAB_ITEMS];
    assert(item == &slab->items[i]);
    ASAN_POISON_MEMORY_REGION(item, sizeof *item);
    slab->used[i / WORD_ITEMS] &= ~(UINT64_C(1) << i % WORD_ITEMS);
    if (slab->n_used-- == SLAB_ITEMS)
        ftx_list_append(&pool->open, &slab->node);
    if (slab->n_used == 0) {
        ftx_list_remove(&slab->node);
        pool->slabs[slab->number] = NULL;
        free(slab);
    }
}

struct ftx_item *ftx_item_pool_at(const struct ftx_item_pool *pool, uint32_t place)
{
    return place ? &pool->slabs[(place - 1) / SLAB_ITEMS]->items[(place - 1) % SLAB_ITEMS] : NULL;
}

struct ftx_item *ftx_item_pool_after(const struct ftx_item_pool *pool, uint32_t place)
{
    for (uint32_t at = place; at / SLAB_ITEMS < pool->n_slabs;) {
        struct ftx_item_slab *slab = pool->slabs[at / SLAB_ITEMS];
        uint32_t i = at % SLAB_ITEMS;
        uint64_t left = slab ? slab->used[i / WORD_ITEMS] >> i % WORD_ITEMS : 0;
        if (left)
            return &slab->items[i + (uint32_t)__builtin_ctzll(left)];
        at += slab ? WORD_ITEMS - i % WORD_ITEMS : SLAB_ITEMS - i;
    }
    return NULL;
}
