/* SPDX-License-Identifier: MIT */
/* A file that is read to its end without the lock: what it is, is looked at before and after. */
#include "fs/store/digest.h"

#include "fs/store/borrow.h"
#include "fs/store/inbox.h"
#include "fs/store/links.h"
#include "fs/store/mirror.h"
#include "fs/store/outbox_internal.h"
#include "fs/store/released.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = 1 << 20 };

static int check(const struct ftx_item *item)
{
    if (item->box == FTX_INBOX)
        return item->state == FTX_ITEM_COMPLETE ? 0 : -ENODATA;
    if (item->opened && item->opened->n_writers)
        return -EAGAIN;
    return ftx_released_any(item, 0, item->size) ? -ENODATA : 0;
}

bool ftx_digest_key_same(const struct ftx_digest_key *a, const struct ftx_digest_key *b)
{
    return a->id == b->id && a->object == b->object && a->size == b->size &&
           a->ctime_ns == b->ctime_ns && a->version == b->version;
}

static void fill_key(const struct ftx_item *item, struct ftx_digest_key *out)
{
    *out = (struct ftx_digest_key){.id = item->id,
                                   .object = item->object,
                                   .size = item->size,
                                   .ctime_ns = item->ctime_ns,
                                   .version = item->version};
}

int ftx_digest_key(struct ftx_store *store, uint64_t id, struct ftx_digest_key *out)
{
    pthread_mutex_lock(&store->lock);
    struct ftx_item *item = ftx_item_find(&store->index, id);
    if (item)
        item = ftx_mirror_contents(store, item);
    int err = !item ? -ENOENT : item->kind != FTX_FILE ? -ENODATA : check(item);
    if (!err)
        fill_key(item, out);
    pthread_mutex_unlock(&store->lock);
    return err;
}

static int check_ours(const struct ftx_store *store, struct ftx_item *item)
{
    const struct ftx_item *contents = item ? ftx_mirror_contents(store, item) : NULL;
    if (!item || item->state == FTX_ITEM_FAILED || ftx_borrowed(item) ||
        ftx_released_any(contents, 0, contents->size))
        return -ENODATA;
    bool open = contents->opened && contents->opened->n_writers;
    return item->state == FTX_ITEM_DELIVERED && !open ? 0 : -EAGAIN;
}

static int check_theirs(const struct ftx_item *item)
{
    if (!item || item->kind != FTX_FILE || item->state == FTX_ITEM_FAILED ||
        item->state == FTX_ITEM_TAKEN)
        return -ENODATA;
    return item->state == FTX_ITEM_COMPLETE ? 0 : -EAGAIN;
}

int ftx_digest_key_of(struct ftx_store *store, const struct ftx_link *link, uint64_t stream,
                      bool ours, struct ftx_digest_key *out)
{
    pthread_mutex_lock(&store->lock);
    struct ftx_item *item = ours ? ftx_outgoing_item(store, link, stream)
                                 : ftx_item_find_remote(&store->index, link, stream);
    int err = ours ? check_ours(store, item) : check_theirs(item);
    if (!err)
        fill_key(ftx_mirror_contents(store, item), out);
    pthread_mutex_unlock(&store->lock);
    return err;
}

static bool unchanged(struct ftx_store *store, const struct ftx_digest_key *key)
{
    struct ftx_digest_key now;
    return ftx_digest_key(store, key->id, &now) == 0 && ftx_digest_key_same(&now, key);
}

int ftx_digesting_begin(struct ftx_store *store, const struct ftx_digest_key *key,
                        struct ftx_digesting *out)
{
    int fd = key->object ? ftx_object_open(&store->objects, key->object, O_RDONLY) : -1;
    if (key->object && fd < 0)
        return fd == -ENOENT ? -EAGAIN : fd;
    *out = (struct ftx_digesting){
        .key = *key, .sha256 = ftx_sha256_new(), .block = malloc(BLOCK), .fd = fd};
    if (out->sha256 && out->block)
        return 0;
    ftx_digesting_end(out, NULL);
    return -ENOMEM;
}

int ftx_digesting_go_on(struct ftx_digesting *d)
{
    uint64_t left = d->key.size - d->at;
    size_t n = left < BLOCK ? (size_t)left : BLOCK;
    int err = ftx_object_read_padded(d->fd, d->block, n, d->at);
    if (!err)
        ftx_sha256_add(d->sha256, d->block, n);
    d->at += err ? 0 : n;
    return err;
}

void ftx_digesting_end(struct ftx_digesting *d, uint8_t out[FTX_SHA256_SIZE])
{
    if (d->sha256)
        ftx_sha256_end(d->sha256, out);
    free(d->block);
    if (d->fd >= 0)
        close(d->fd);
    *d = (struct ftx_digesting){.fd = -1};
}

int ftx_digest_compute(struct ftx_store *store, const struct ftx_digest_key *key,
                       bool (*stop)(void *ctx), void *ctx, uint8_t out[FTX_SHA256_SIZE])
{
    struct ftx_digesting digesting;
    uint8_t digest[FTX_SHA256_SIZE];
    int err = ftx_digesting_begin(store, key, &digesting);
    if (err)
        return err;
    while (!err && digesting.at < key->size)
        err = stop(ctx) ? -EINTR : ftx_digesting_go_on(&digesting);
    ftx_digesting_end(&digesting, digest);
    if (!err && !unchanged(store, key))
        err = -EAGAIN;
    if (!err)
        memcpy(out, digest, sizeof digest);
    return err;
}
