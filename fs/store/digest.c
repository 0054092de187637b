/* SPDX-License-Identifier: MIT */
/* A file that is read to its end without the lock: what it is, is looked at before and after. */
#include "fs/store/digest.h"

#include "fs/store/inbox.h"
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
    return ftx_released_any(item, 0, item->size) ? -EAGAIN : 0;
}

int ftx_digest_key(struct ftx_store *store, uint64_t id, struct ftx_digest_key *out)
{
    pthread_mutex_lock(&store->lock);
    const struct ftx_item *item = ftx_item_find(&store->index, id);
    int err = !item ? -ENOENT : item->kind != FTX_FILE ? -ENODATA : check(item);
    if (!err)
        *out = (struct ftx_digest_key){.id = id,
                                       .object = item->object,
                                       .size = item->size,
                                       .ctime_ns = item->ctime_ns,
                                       .version = item->version};
    pthread_mutex_unlock(&store->lock);
    return err;
}

static bool unchanged(struct ftx_store *store, const struct ftx_digest_key *key)
{
    struct ftx_digest_key now;
    return ftx_digest_key(store, key->id, &now) == 0 && now.object == key->object &&
           now.size == key->size && now.ctime_ns == key->ctime_ns && now.version == key->version;
}

static int add_all(int fd, const struct ftx_digest_key *key, bool (*stop)(void *ctx), void *ctx,
                   char *block, struct ftx_sha256 *sha256)
{
    int err = 0;
    for (uint64_t at = 0; at < key->size && !err; at += BLOCK) {
        size_t n = key->size - at < BLOCK ? (size_t)(key->size - at) : BLOCK;
        if (stop(ctx))
            return -EINTR;
        err = ftx_object_read_padded(fd, block, n, at);
        if (!err)
            ftx_sha256_add(sha256, block, n);
    }
    return err;
}

int ftx_digest_compute(struct ftx_store *store, const struct ftx_digest_key *key,
                       bool (*stop)(void *ctx), void *ctx, uint8_t out[FTX_SHA256_SIZE])
{
    int fd = -1, err = 0;
    if (key->object) {
        fd = ftx_object_open(&store->objects, key->object, O_RDONLY);
        if (fd < 0)
            return fd == -ENOENT ? -EAGAIN : fd;
    }
    char *block = malloc(BLOCK);
    struct ftx_sha256 *sha256 = ftx_sha256_new();
    uint8_t digest[FTX_SHA256_SIZE];
    err = block && sha256 ? add_all(fd, key, stop, ctx, block, sha256) : -ENOMEM;
    if (sha256)
        ftx_sha256_end(sha256, digest);
    free(block);
    if (fd >= 0)
        close(fd);
    if (!err && !unchanged(store, key))
        err = -EAGAIN;
    if (!err)
        memcpy(out, digest, sizeof digest);
    return err;
}
