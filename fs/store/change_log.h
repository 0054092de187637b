/* SPDX-License-Identifier: MIT */
/*
 * How a change is made: begin (lock), change the index and note each row it touched, commit
 * (journal, unlock, tell). Private to fs/store.
 */
#ifndef FTX_STORE_CHANGE_LOG_H
#define FTX_STORE_CHANGE_LOG_H

#include "fs/store/change.h"
#include "fs/store/ops.h"
#include "fs/store/store.h"

#include <stdbool.h>
#include <time.h>

struct ftx_link;

/* A change being made; on the stack of who makes it. */
struct ftx_log {
    struct ftx_store *store;
    size_t size;  /* of store->entry */
    bool wake;    /* tell the loop */
    bool arrived; /* tell waiting readers */
    bool news;    /* tell who watches */
};

/* Takes the lock with room for one entry in the journal. Error (lock not held): the database cannot
 * be written and the journal is full. */
int ftx_log_begin(struct ftx_log *log, struct ftx_store *store);

/* Waits for room again, where the lock was let go in the middle of a change (whose notes so far
 * were flushed). An error is that of ftx_log_begin, but the lock is held: nothing more may be
 * noted. */
int ftx_log_room(struct ftx_log *log);

/* The same without waiting: false (lock not held) if the journal has no room. For the database
 * thread, which makes room. */
bool ftx_log_try(struct ftx_log *log, struct ftx_store *store);

/* The same for what touches no row: takes the lock, whatever the journal's state; nothing may be
 * noted. */
void ftx_log_lock(struct ftx_log *log, struct ftx_store *store);

/* Appends what was noted, if anything, releases the lock, tells the loop. Returns the journal's
 * number of the last entry. */
uint64_t ftx_log_commit(struct ftx_log *log);

/* Note rows. An entry takes at most FTX_JOURNAL_ENTRY_MAX bytes: whoever notes more than a few rows
 * calls ftx_log_flush between steps that may stand apart. */
void ftx_log_item(struct ftx_log *log, const struct ftx_item *item);
void ftx_log_item_gone(struct ftx_log *log, uint64_t id);
void ftx_log_segment(struct ftx_log *log, uint64_t item, const struct ftx_segment *segment);
void ftx_log_cut(struct ftx_log *log, uint64_t item, uint64_t offset, uint64_t length);
void ftx_log_op_seen(struct ftx_log *log, const struct ftx_link *link, uint64_t number);
void ftx_log_ops_gone(struct ftx_log *log, const struct ftx_link *link, uint64_t number);
/* The object is removed from the disk after the commit. */
void ftx_log_trash(struct ftx_log *log, uint64_t object);
/* ... and the object that nothing refers to any more; `spool`: it was the outbox's. */
void ftx_trash_add(struct ftx_store *store, struct ftx_item *item);
void ftx_log_trash_gone(struct ftx_log *log, uint64_t object);
/* A transfer has ended. */
void ftx_log_history(struct ftx_log *log, const struct ftx_history_row *row);
void ftx_log_flush(struct ftx_log *log);

/*
 * What was noted last must survive a power cut before the peer hears of it: returns the entry it
 * will be in, to be compared with store->durable_at. While the peer is there, the next commit makes
 * it so.
 */
uint64_t ftx_log_promise(struct ftx_log *log, const struct ftx_link *link);

/* Adds an operation to the link's log: number, memory, journal. A group has none: those of its
 * members tell of the mirrors. -ENOMEM, FTX_ELIMIT. */
int ftx_log_op(struct ftx_log *log, struct ftx_link *link, const struct ftx_op *op);

/*
 * Sets (or removes: no value) an attribute of an item, in memory and in the journal; `tell`: and
 * adds the operation that says so to the link's log. -ENOSPC: over the limits of the item or of its
 * link's box. -ENOMEM.
 */
int ftx_log_xattr(struct ftx_log *log, struct ftx_item *item, const struct ftx_xattr *xattr,
                  bool tell);
/* Only the operation, for one that the item has. -ENOMEM. */
int ftx_log_xattr_op(struct ftx_log *log, struct ftx_item *item, const struct ftx_xattr *xattr);
/* All attributes of an item go. */
void ftx_log_xattrs_gone(struct ftx_log *log, struct ftx_item *item);
/* The attributes of `from` become those of `to`, which has none. */
void ftx_log_xattrs_moved(struct ftx_log *log, struct ftx_item *from, struct ftx_item *to);

/* A new item number. */
uint64_t ftx_log_next_item(struct ftx_log *log);

/* The object was written and must be durable with the entry. Under the lock. */
void ftx_log_written(struct ftx_log *log, uint64_t object);

/* The item is in no folder any more: kept while the kernel or a program knows it, then freed with
 * its object. */
void ftx_log_orphan(struct ftx_log *log, struct ftx_item *item);
/* Frees an orphan that nobody knows any more; harmless else. */
void ftx_item_reap(struct ftx_log *log, struct ftx_item *item);

/* Wall clock for mtime, ns; monotonic for timers, ms. */
int64_t ftx_now_ns(void);
int64_t ftx_time_ns(const struct timespec *time);
int64_t ftx_now_ms(void);
/* The last 32 bits of that, never 0: what lasts less than 49 days can be told by two of them. */
uint32_t ftx_since_ms(void);
/* 64 random bits, never 0. */
uint64_t ftx_random_id(void);

#endif
