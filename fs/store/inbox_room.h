/* SPDX-License-Identifier: MIT */
/*
 * What the inbox of a link takes on the disk, and what it may: holes cost nothing, and a file that
 * was removed counts until nobody has it open. A file whose bytes do not fit any more is refused,
 * and goes with what of it had come; nothing else of the link is held up.
 *
 * Without a limit nothing is counted.
 */
#ifndef FTX_STORE_INBOX_ROOM_H
#define FTX_STORE_INBOX_ROOM_H

#include "fs/store/links.h"

/* Before the store is used by anybody; looks at every object of the inbox. `max`: bytes of each
 * link, 0: as many as the disk allows. */
void ftx_inbox_limit(struct ftx_store *store, uint64_t max);

/* -- private to fs/store, under the lock -- */

/* So many bytes are about to be written for the link; false: there is no room for them. What was
 * claimed is given back when it is written, or was not. */
bool ftx_inbox_claim(const struct ftx_store *store, struct ftx_link *link, uint64_t bytes);
void ftx_inbox_unclaim(const struct ftx_store *store, struct ftx_link *link, uint64_t bytes);
/* So many claimed bytes of an arriving file were written, or were not. */
void ftx_inbox_took(const struct ftx_store *store, struct ftx_item *item, uint64_t bytes);
/* The object of an arriving file may take more or less than when it was last looked at. */
void ftx_inbox_measure(const struct ftx_store *store, struct ftx_item *item);
/* An object of the link is gone from the disk, and took so many bytes. */
void ftx_inbox_gained(struct ftx_store *store, uint64_t link, uint64_t bytes);

#endif
