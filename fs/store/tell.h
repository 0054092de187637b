/* SPDX-License-Identifier: MIT */
/* What is told of links and items: to the feed, and to the history when a transfer has ended.
 * Private to fs/store, under the lock. */
#ifndef FTX_STORE_TELL_H
#define FTX_STORE_TELL_H

#include "fs/store/change_log.h"
#include "fs/store/feed.h"

struct ftx_item;
struct ftx_link;

/* An item's event: its path and size as they are now. DELIVERED, COMPLETE, REFUSED (item->error
 * says why), CANCELLED and FAILED of a file, and REFUSED of anything, end a transfer. */
void ftx_tell_item(struct ftx_log *log, enum ftx_event event, const struct ftx_item *item);

/* Something that a peer offers is refused: it is no item, but a name in a folder of the inbox. */
void ftx_tell_refused(struct ftx_log *log, const struct ftx_item *folder, const char *name,
                      size_t size, uint8_t reason);

/* A link's event with up to two texts (NULL: none) and a number, as feed_line.c has them. */
void ftx_tell_link(struct ftx_store *store, enum ftx_event event, const struct ftx_link *link,
                   const char *text, const char *more, int64_t number);

#endif
