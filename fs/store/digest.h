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

bool ftx_digest_key_same(const struct ftx_digest_key *a, const struct ftx_digest_key *b);

/* -ENODATA: it has none, it is not complete, or its bytes are not here; -EAGAIN: somebody has it
 * open for writing. -ENOENT. Any thread, at once. */
int ftx_digest_key(struct ftx_store *store, uint64_t id, struct ftx_digest_key *out);

/* The same for what a peer asks about: a stream of its own numbering, or (`ours`) of ours, which is
 * known to be there as it is. -ENODATA: there is none, or its bytes are not here; -EAGAIN: it is not
 * finished. */
struct ftx_link;
int ftx_digest_key_of(struct ftx_store *store, const struct ftx_link *link, uint64_t stream,
                      bool ours, struct ftx_digest_key *out);

/* A file that is read in steps: begin, go on until `at` is the key's size, end. Any thread, one at a
 * time. */
struct ftx_digesting {
    struct ftx_digest_key key;
    struct ftx_sha256 *sha256;
    char *block;
    uint64_t at;
    int fd; /* -1: it has no object, it is a hole */
};
int ftx_digesting_begin(struct ftx_store *store, const struct ftx_digest_key *key,
                        struct ftx_digesting *out);
/* A MiB more. */
int ftx_digesting_go_on(struct ftx_digesting *digesting);
/* Frees it; `out` NULL: without a result. */
void ftx_digesting_end(struct ftx_digesting *digesting, uint8_t out[FTX_SHA256_SIZE]);

/* Reads all of it, and asks `stop` every MiB: -EINTR. -EAGAIN: it changed meanwhile. -EIO. */
int ftx_digest_compute(struct ftx_store *store, const struct ftx_digest_key *key,
                       bool (*stop)(void *ctx), void *ctx, uint8_t out[FTX_SHA256_SIZE]);

#endif
