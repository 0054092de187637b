/* SPDX-License-Identifier: MIT */
/* What the files of fs/headless share. */
#ifndef FTX_HEADLESS_INTERNAL_H
#define FTX_HEADLESS_INTERNAL_H

#include "fs/headless/headless.h"
#include "fs/store/tree.h"
#include "transport/wire/limits.h"

#include <pthread.h>
#include <stdatomic.h>

/* The attribute that says how much is sent, without `user.`: FILES BYTES. */
#define FTX_HEADLESS_OFFER "ftx-send"

struct ftx_headless {
    struct ftx_store *store;
    _Atomic(struct ftx_network *) network; /* NULL: not connected; the store's thread runs before */
    enum ftx_box box;
    char name[FTX_CODE_MAX + 1];
    atomic_bool news; /* something came */
    struct ftx_headless_ways {
        pthread_mutex_t lock;
        struct ftx_headless_failure failures[FTX_HEADLESS_WAYS_MAX];
        size_t n;
    } ways;
};

/* ftx_xfer_config.failed, of a struct ftx_headless. */
void ftx_headless_failed(void *ctx, const struct ftx_address *address, int err);

/* The link's folder in the box, and what is below it: -ENOENT. */
int ftx_headless_id(struct ftx_headless *h, const char *name, uint64_t *out_id);

/* A folder's children as they are now: a copy, to be freed with ftx_children_free. */
struct ftx_child {
    struct ftx_attr attr;
    char *name;
};
struct ftx_children {
    struct ftx_child *at;
    size_t n;
};
int ftx_children_list(struct ftx_headless *h, uint64_t folder, struct ftx_children *out);
void ftx_children_free(struct ftx_children *children);

#endif
