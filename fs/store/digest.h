/* SPDX-License-Identifier: MIT */
/* The SHA-256 of a file, computed when somebody asks (user.ftx.sha256). */
#ifndef FTX_STORE_DIGEST_H
#define FTX_STORE_DIGEST_H

#include "fs/store/store.h"
#include "transport/crypto/digest.h"

#include <stdbool.h>
#include <stdint.h>

/* As long as these are the same, so is the content. */
struct ftx_digest_key {
    uint64_t id, object, size;
    int64_t ctime_ns;
    uint32_t version;
};

/* -ENODATA: it has none, or it is not complete; -EAGAIN: its bytes are not here, or somebody has it
 * open for writing. -ENOENT. Any thread, at once. */
int ftx_digest_key(struct ftx_store *store, uint64_t id, struct ftx_digest_key *out);

/* Reads all of it, and asks `stop` every MiB: -EINTR. -EAGAIN: it changed meanwhile. -EIO. */
int ftx_digest_compute(struct ftx_store *store, const struct ftx_digest_key *key,
                       bool (*stop)(void *ctx), void *ctx, uint8_t out[FTX_SHA256_SIZE]);

#endif
