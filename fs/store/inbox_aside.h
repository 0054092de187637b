/* SPDX-License-Identifier: MIT */
/* What happens to an inbox item whose name the sender has for something else: it goes, gives what
 * it holds to a folder that comes, or steps aside. Private to fs/store, under the lock. */
#ifndef FTX_STORE_INBOX_ASIDE_H
#define FTX_STORE_INBOX_ASIDE_H

#include <stddef.h>

struct ftx_item;
struct ftx_log;

/*
 * Something is about to take the place of `there` (NULL: nothing is there): `comes`, or something
 * new that is no folder (NULL). What may not be lost is taken out of the way. What still stands
 * there then may be dropped. -ENOMEM: some of it has gone.
 */
int ftx_inbox_make_way(struct ftx_log *log, struct ftx_item *there, struct ftx_item *comes);

/* Puts an item under a free name, whose memory it takes; told to those who watch. */
void ftx_inbox_rename_to(struct ftx_log *log, struct ftx_item *item, struct ftx_item *parent,
                         char *name, size_t size);

#endif
