/* SPDX-License-Identifier: MIT */
/* Looking at the mount's tree: both boxes, the same questions. Any thread; never waits. */
#ifndef FTX_STORE_TREE_H
#define FTX_STORE_TREE_H

#include "fs/store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where an inode stands: what may be done with it. */
enum ftx_place {
    FTX_PLACE_NOWHERE,
    FTX_PLACE_BOX,  /* outbox or inbox itself: its children are links */
    FTX_PLACE_LINK, /* a link's folder */
    FTX_PLACE_ITEM, /* below that */
};

struct ftx_attr {
    uint64_t id;
    uint64_t size;
    uint64_t bytes_here; /* what of it is in the store, as far as the index knows */
    uint64_t object;     /* where the bytes are; 0: none */
    int64_t mtime_ns, ctime_ns;
    uint32_t n_links;
    uint16_t mode;            /* nine permission bits */
    uint8_t kind, box, state; /* state: enum ftx_item_state */
    enum ftx_place place;
    bool elsewhere; /* bytes of it are still, or only, at the peer */
    bool settled;   /* its bytes do not change but through this mount */
};

/* -ENOENT. lookup counts one more kernel reference to the found item. `look`: for a program, which
 * may watch it from here on (news.h). */
int ftx_tree_lookup(struct ftx_store *store, uint64_t parent, const char *name, size_t size,
                    bool look, struct ftx_attr *out);
int ftx_tree_attr(struct ftx_store *store, uint64_t id, struct ftx_attr *out);
/* The folder it stands in; its own number where it stands in none. */
uint64_t ftx_tree_parent(struct ftx_store *store, uint64_t id);
/* Counts a reference; false: there is no such item. */
bool ftx_tree_ref(struct ftx_store *store, uint64_t id, bool look);
void ftx_tree_forget(struct ftx_store *store, uint64_t id, uint64_t n);

/* Calls `entry` for children after `cookie` until it returns false; under the lock, so it only
 * copies. */
typedef bool (*ftx_tree_entry_fn)(void *ctx, const char *name, uint64_t cookie,
                                  const struct ftx_attr *attr);
int ftx_tree_list(struct ftx_store *store, uint64_t folder, uint64_t cookie,
                  ftx_tree_entry_fn entry, void *ctx);

/* NUL-ended target; `size` at least FTX_TARGET_MAX + 1. -EPERM: it points out of the link (now) and
 * that is not allowed. */
int ftx_tree_readlink(struct ftx_store *store, uint64_t id, bool any_target, char *out,
                      size_t size);

/*
 * A user.ftx.* attribute (`name` without that prefix) as text, not NUL-ended: returns its length,
 * or -ENODATA if the item has none of that name, -ERANGE if it does not fit. state, progress, error
 * on items; state, peer, error on a link's folder.
 */
int ftx_tree_xattr(struct ftx_store *store, uint64_t id, const char *name, char *out, size_t size);

/*
 * Any other user.* attribute (`name` without that prefix): its value in a block that is to be
 * free()d, *out_size bytes. -ENODATA, -ENOMEM.
 */
int ftx_tree_get_xattr(struct ftx_store *store, uint64_t id, const char *name, size_t size,
                       void **out_value, size_t *out_size);

/* The names of these, each with `user.` before and NUL behind it; likewise. */
int ftx_tree_list_xattrs(struct ftx_store *store, uint64_t id, char **out_names, size_t *out_size);

#endif
