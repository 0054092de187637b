/* SPDX-License-Identifier: MIT */
/*
 * Outbox files whose bytes stay where they are: nothing of them is in the store, and nothing but
 * reading is ever done where they stand. The folder or file that is offered, which stands in the
 * folder of a link, knows its path on this machine (attribute `ftx.source`); what is below it stands
 * at the same place below that. Such a file's `object` is the inode's number, which names no object;
 * it, size, mtime and ctime must be what they were when the file was offered: then it was not changed.
 * What is read is hashed then, and the hash is kept.
 */
#ifndef FTX_STORE_BORROW_H
#define FTX_STORE_BORROW_H

#include "fs/store/store.h"

#include <stdbool.h>
#include <sys/stat.h>

/* The item, in the folder of a link, is what stands at the absolute path. -ENOENT, -ENOSPC. */
int ftx_borrow_root(struct ftx_store *store, uint64_t id, const char *path);

/*
 * A file that was just made, and nothing was written to, is what is open as `fd` and has these
 * attributes: it is closed, and all of it is to be sent. -ENOENT, -ENOMEM.
 */
int ftx_borrow_file(struct ftx_store *store, uint64_t id, int fd, const struct stat *st);

/* Is the file that was offered still this one, unchanged? Any thread. */
bool ftx_borrow_same(struct ftx_store *store, uint64_t id, const struct stat *st);

/* -- private to fs/store -- */

#define FTX_BORROW_SOURCE "ftx.source" /* the attribute */

struct ftx_source;

/* It is a file whose bytes stand elsewhere. Under the lock. */
bool ftx_borrowed(const struct ftx_item *item);

/* ftx_outgoing_read for such a file. -ESTALE: it is not what was offered (any more), or it cannot be
 * read. Worker thread. */
int ftx_borrow_read(struct ftx_store *store, struct ftx_source *source, uint8_t *out);

#endif
