/* SPDX-License-Identifier: MIT */
/*
 * Room for the outbox: how much its objects take, how much they may, and what happens when that
 * comes to an end. Bytes that the peer has durably are released (release.c); a writer waits for that
 * while the link drains.
 *
 * Without a limit of its own the disk is the limit, and nothing is counted.
 */
#ifndef FTX_STORE_SPOOL_H
#define FTX_STORE_SPOOL_H

#include "fs/store/change_log.h"

enum {
    FTX_RELEASE_AFTER_MS = 600 * 1000,
    FTX_RELEASE_RANGE_MIN = 64 << 10,
    FTX_SPOOL_MIN = 8 << 20, /* a limit must leave room for a few writes */
};

struct ftx_spool_config {
    uint64_t max;              /* bytes that the outbox may take; 0: as many as the disk allows */
    uint64_t release_after_ms; /* how long a delivered file stays after its last use */
    bool keep_all;             /* nothing is released */
};

/* Before the store is used by anybody. With `max` it looks at every object of the outbox. */
void ftx_spool_configure(struct ftx_store *store, const struct ftx_spool_config *config);

/* When room was last gained or something was acknowledged, monotonic ms: while this goes on, it is
 * worth waiting for room. Any thread. */
int64_t ftx_spool_progress(struct ftx_store *store);

/* Was something written since it was last taken; take it. Any thread. */
bool ftx_spool_written(struct ftx_store *store);
bool ftx_spool_take_written(struct ftx_store *store);

/* -- private to fs/store, under the lock -- */

/* More than the outbox can ever take. Looks at the disk. */
uint64_t ftx_spool_size(const struct ftx_store *store);

/*
 * A file is to grow by so many bytes. -EAGAIN: there is no room now, and there may be once more is
 * delivered; -ENOSPC: there is none. Has bytes released in time when room becomes short.
 */
int ftx_spool_claim(struct ftx_store *store, uint64_t bytes);

/* The object of a file was opened: what it takes was counted before. */
void ftx_spool_begin(struct ftx_store *store, struct ftx_item *item);
/* The object of an open file may take more or less than when it was last looked at. */
void ftx_spool_measure(struct ftx_store *store, struct ftx_item *item);
/* So many bytes less are taken. */
void ftx_spool_gained(struct ftx_store *store, uint64_t bytes);
/* Released bytes of the open file came back; they do not wait for room, but make some. */
void ftx_spool_filled(struct ftx_store *store, struct ftx_item *item);
/* The peer has more of something durably: it may be released. */
void ftx_spool_drains(struct ftx_store *store, struct ftx_item *item);
/* Room is so short that bytes are to be released, in all this many. 0: it is not. */
uint64_t ftx_spool_shortage(const struct ftx_store *store);

#endif
