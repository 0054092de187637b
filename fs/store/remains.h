/* SPDX-License-Identifier: MIT */
/*
 * What an outbox file was cut by, while a program has it open: who copies a file again cuts it to
 * nothing first. The object keeps these bytes, and the peer has them, so what is written there
 * again as it was need not be sent. Their room is that of the file before; it is given back when
 * the version is closed, and at once when room is short. Private to fs/store; under the lock.
 */
#ifndef FTX_STORE_REMAINS_H
#define FTX_STORE_REMAINS_H

#include "fs/store/change_log.h"

/* What the object has of the file is what the peer has, but for what is pending or released. */
bool ftx_remains_trusted(const struct ftx_item *item);

bool ftx_remains_any(const struct ftx_item *item);
/* Up to which offset the object holds bytes: the file's size or, behind it, what remains. */
uint64_t ftx_remains_end(const struct ftx_item *item);
/* ... and the peer has the same, if they are trusted. */
uint64_t ftx_remains_known_end(const struct ftx_item *item);

/* The file is about to become shorter: may the object keep the rest? Nothing of it is pending. */
bool ftx_remains_may(const struct ftx_item *item);
/* It became shorter: the object keeps what it has up to `end`. */
void ftx_remains_keep(struct ftx_store *store, struct ftx_item *item, uint64_t end);

/*
 * The file is about to get zeros from its end up to `end`. If that is what remains there, it goes
 * on to remain (ftx_remains_end is `end` at least), and the peer has them; else nothing remains.
 * Waits and fails as drop does.
 */
int ftx_remains_gap(struct ftx_log *log, struct ftx_item *item, uint64_t end);

/*
 * Nothing remains: the object ends where the file does. Waits for writes behind the file's end that
 * are under way, without the lock, so what was noted is flushed first. -errno: the object could not
 * be cut, or ftx_log_room's.
 */
int ftx_remains_drop(struct ftx_log *log, struct ftx_item *item);
/* The same for all files at once, but those that would have to wait. Room is short. */
void ftx_remains_drop_all(struct ftx_store *store);
/* The object was cut, or goes. */
void ftx_remains_forget(struct ftx_item *item);

/* The file, of which something was released, was cut to nothing: `prints` (taken; may be NULL) say
 * what it held up to `end`. They are forgotten with what remains. */
void ftx_remains_printed(struct ftx_item *item, struct ftx_prints *prints, uint64_t end);
/* May bytes that are written behind the file's end be compared with prints? */
const struct ftx_prints *ftx_remains_prints(const struct ftx_item *item);

#endif
