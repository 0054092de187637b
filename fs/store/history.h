/* SPDX-License-Identifier: MIT */
/* Transfers that ended, read from the database page by page. A reader has a connection of its own:
 * it holds nobody up, and does not see what is not committed yet. */
#ifndef FTX_STORE_HISTORY_H
#define FTX_STORE_HISTORY_H

#include "fs/store/store.h"

#include <stddef.h>
#include <stdint.h>

enum { FTX_HISTORY_MAX = 100000 /* that are kept if nothing is said */ };
enum { FTX_HISTORY_PAGE = 64 << 10 /* bytes of text at which a page ends */ };

struct ftx_history;

/* How many are kept; before the store is used. */
void ftx_history_configure(struct ftx_store *store, uint64_t max);

/* Waits until what has ended so far can be read. -ENOMEM, -EIO. */
int ftx_history_open(struct ftx_store *store, struct ftx_history **out_history);
void ftx_history_close(struct ftx_history *history);

/*
 * The lines of transfers from number *in_out_id on (or from the oldest that is kept), whole, at
 * least one if there is any: *out_text is valid until the next call, *out_size 0: there are no more.
 * *in_out_id becomes the number behind the last. One thread at a time. -ENOMEM, -EIO, FTX_ECORRUPT.
 */
int ftx_history_page(struct ftx_history *history, uint64_t *in_out_id, const char **out_text,
                     size_t *out_size);

#endif
