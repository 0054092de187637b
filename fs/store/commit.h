/* SPDX-License-Identifier: MIT */
/* The database thread: syncs what must be durable, moves the journal into SQLite, then removes dead
 * objects. Private to fs/store. */
#ifndef FTX_STORE_COMMIT_H
#define FTX_STORE_COMMIT_H

#include "fs/store/store.h"

/* Starts the thread. -errno. */
int ftx_commit_start(struct ftx_store *store);

/* Commits everything, ends the thread. */
void ftx_commit_stop(struct ftx_store *store);

#endif
