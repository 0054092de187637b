/* SPDX-License-Identifier: MIT */
/* The items in memory and how they are found: by number, by folder and name, by link and sender's
 * number. Not thread-safe: under the store's lock. */
#ifndef FTX_STORE_INDEX_H
#define FTX_STORE_INDEX_H

#include "fs/store/item_pool.h"

struct ftx_table {
    uint32_t *buckets; /* places */
    size_t n_buckets;  /* a power of two */
    size_t count;
};

struct ftx_index {
    struct ftx_item_pool items;
    struct ftx_table by_id, by_name, by_remote;
};

/* -ENOMEM. close frees every item that is still in it. */
int ftx_index_init(struct ftx_index *index);
void ftx_index_close(struct ftx_index *index);

/* Makes an item (kind and link set, all else zero, a folder's children empty) that is found by its
 * number. NULL: no memory. */
struct ftx_item *ftx_item_new(struct ftx_index *index, uint64_t id, enum ftx_kind kind,
                              enum ftx_box box, struct ftx_link *link);
/* Takes it out of the tables and frees it with what it owns; it must not be linked. */
void ftx_item_free(struct ftx_index *index, struct ftx_item *item);
struct ftx_item *ftx_item_find(const struct ftx_index *index, uint64_t id);
/* All items, one after the other: NULL begins and ends. What is freed or made meanwhile is another
 * than the one at hand. */
struct ftx_item *ftx_item_next(const struct ftx_index *index, const struct ftx_item *item);
/* The same from a place on, behind which the search may go on later. */
struct ftx_item *ftx_item_after(const struct ftx_index *index, uint32_t place);

/* Frees what an item owned; it stands in no list. NULL is fine. */
void ftx_sending_free(struct ftx_sending *sending);
void ftx_arriving_free(struct ftx_arriving *arriving);

/* Child of a folder, or NULL. */
struct ftx_item *ftx_item_lookup(const struct ftx_index *index, const struct ftx_item *parent,
                                 const char *name, size_t size);
/* Puts an unlinked item into a folder, under a name that is free there. -ENOMEM: unchanged. */
int ftx_item_link(struct ftx_index *index, struct ftx_item *item, struct ftx_item *parent,
                  const char *name, size_t size);
/* The same under the name that it has already. */
int ftx_item_link_named(struct ftx_index *index, struct ftx_item *item, struct ftx_item *parent);
/* The two halves of that, where nothing may fail between: prepare has all the memory (*out_name,
 * free() it if not used; `item` NULL: a new one), place cannot fail and takes the name. */
int ftx_item_prepare(struct ftx_item *parent, const struct ftx_item *item, const char *name,
                     size_t size, char **out_name);
void ftx_item_place(struct ftx_index *index, struct ftx_item *item, struct ftx_item *parent,
                    char *name, size_t size);
/* Takes it out of its folder. The name stays in item->name. */
void ftx_item_unlink(struct ftx_index *index, struct ftx_item *item);

/* Sets the number that goes over the wire for an item and makes it found by that; the last one
 * added is found first. */
void ftx_item_set_remote(struct ftx_index *index, struct ftx_item *item, uint64_t remote);
void ftx_item_clear_remote(struct ftx_index *index, struct ftx_item *item);
struct ftx_item *ftx_item_find_remote(const struct ftx_index *index, const struct ftx_link *link,
                                      uint64_t remote);
/* What an item of the outbox is to the peer, and back: NULL if none is or it is LOCAL. */
uint64_t ftx_item_wire(const struct ftx_item *item);
struct ftx_item *ftx_item_find_wire(const struct ftx_index *index, uint64_t wire);

/* The first child whose cookie is greater, or NULL; what is no folder has none. */
struct ftx_item *ftx_folder_after(const struct ftx_item *item, uint64_t cookie);
size_t ftx_folder_count(const struct ftx_item *folder);

/* How many names its path in the link has: 0 for the link's folder itself. */
unsigned ftx_item_depth(const struct ftx_item *item);
/* How many names the longest path below it has: 0 for anything without children. */
unsigned ftx_item_height(const struct ftx_item *item);
/* Its path from the mount's root, "inbox/code/a", written to the end of `out` with a NUL: returns
 * where it begins, *out_size its length without the NUL. NULL: it stands nowhere, or the room is too
 * small. */
const char *ftx_item_path(const struct ftx_item *item, char *out, size_t size, size_t *out_size);
/* True if `item` is `folder` or lies below it. */
bool ftx_item_below(const struct ftx_item *item, const struct ftx_item *folder);
/* True for a box or the folder of a link: not something that travels. */
bool ftx_item_is_root(const struct ftx_item *item);
/* What of a link's own folder the item is, or stands in. */
const struct ftx_item *ftx_item_top(const struct ftx_item *item);
/* Is it that itself, and not removed? */
bool ftx_item_is_top(const struct ftx_item *item);

#endif
