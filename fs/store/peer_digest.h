/* SPDX-License-Identifier: MIT */
/*
 * What the peer says of a file's content (user.ftx.peer_sha256): somebody asks, the loop asks the
 * peer, one file of a link after the other, and who asked looks again.
 */
#ifndef FTX_STORE_PEER_DIGEST_H
#define FTX_STORE_PEER_DIGEST_H

#include "fs/store/links.h"
#include "transport/crypto/digest.h"

/* -- who asks; any thread -- */

/*
 * Begins to wait for the answer about a file; ftx_peer_digest_leave follows. -ENODATA: no peer has
 * it; -EBUSY: it is not delivered, or has not arrived. -ENOENT, -ENOMEM, -ENOBUFS: too many wait.
 */
int ftx_peer_digest_ask(struct ftx_store *store, uint64_t item);
/* -EAGAIN: there is no answer yet. -ENODATA: the peer does not have it (any more); -EBUSY: it is not
 * finished there. */
int ftx_peer_digest_look(struct ftx_store *store, uint64_t item, uint8_t out[FTX_SHA256_SIZE]);
/* When the peer last said something about it, ftx_now_ms; 0: never. */
int64_t ftx_peer_digest_progress_ms(struct ftx_store *store, uint64_t item);
void ftx_peer_digest_leave(struct ftx_store *store, uint64_t item);

/* -- for the peer's side; loop thread -- */

/* The next file to ask the link's peer about; false: none. */
bool ftx_peer_digest_next(struct ftx_store *store, struct ftx_link *link, uint64_t *out_stream,
                          enum ftx_digest_whose *out_whose);
void ftx_peer_digest_answered(struct ftx_store *store, struct ftx_link *link,
                              const struct ftx_told_digest *told);
/* A session begins: what was not answered is to be asked again. */
void ftx_peer_digest_restart(struct ftx_store *store, struct ftx_link *link);

/* Private to fs/store, under the lock: the link goes. */
void ftx_peer_digest_forget(struct ftx_link *link);

#endif
