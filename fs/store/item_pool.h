/* SPDX-License-Identifier: MIT */
/* Where items stand: in slabs that never move, each at a place with a number. So what is made and
 * freed beside them leaves no holes between them, and a place is half as long as a pointer. */
#ifndef FTX_STORE_ITEM_POOL_H
#define FTX_STORE_ITEM_POOL_H

#include "fs/store/item.h"

struct ftx_item_pool {
    struct ftx_item_slab **slabs; /* by number; NULL: given back */
    uint32_t n_slabs;
    struct ftx_list open; /* slabs with a free place */
};

void ftx_item_pool_init(struct ftx_item_pool *pool);
/* Gives the memory back; what its items own is the caller's affair. */
void ftx_item_pool_close(struct ftx_item_pool *pool);

/* An item of zeros but for its place. NULL: no memory. */
struct ftx_item *ftx_item_pool_get(struct ftx_item_pool *pool);
void ftx_item_pool_put(struct ftx_item_pool *pool, struct ftx_item *item);

/* The item at a place; of 0: NULL. */
struct ftx_item *ftx_item_pool_at(const struct ftx_item_pool *pool, uint32_t place);
/* The first one at a higher place, or NULL. */
struct ftx_item *ftx_item_pool_after(const struct ftx_item_pool *pool, uint32_t place);

#endif
