/* SPDX-License-Identifier: MIT */
/*
 * One store: the index in memory, the journal and the database behind it, the objects. Opened once,
 * then used by FUSE threads and the loop; every function takes the one short lock itself.
 * docs/store.md describes what is on disk.
 *
 *   a change: lock, index, journal entry, unlock, answer
 *   database thread: journal -> SQLite, a round every 20 ms
 */
#ifndef FTX_STORE_STORE_H
#define FTX_STORE_STORE_H

#include "fs/store/database.h"
#include "fs/store/drop_behind.h"
#include "fs/store/feed.h"
#include "fs/store/index.h"
#include "fs/store/journal.h"
#include "fs/store/objects.h"
#include "fs/store/prints.h"
#include "transport/base/list.h"
#include "transport/wire/message.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Inode numbers that no item has. */
enum { FTX_ID_ROOT = 1, FTX_ID_OUTBOX = 2, FTX_ID_INBOX = 3, FTX_ID_FIRST = 1024 };

/* What the store tells; called without the lock, from any thread; must be short. */
struct ftx_store_events {
    void (*wake)(void *ctx);      /* the loop has something to do */
    void (*committed)(void *ctx); /* ftx_store_committed advanced (database thread) */
    void (*arrived)(void *ctx);   /* an inbox file got bytes, its end, or went away */
    void (*news)(void *ctx);      /* there are news to take; NULL: nobody takes any */
    void (*happened)(void *ctx);  /* the feed has an event more; with the lock: may only signal */
};

enum { FTX_BOOT_ID_SIZE = 64 };

enum {
    FTX_SYNC_SINGLE_MAX = 16
}; /* up to this many objects are synced one by one, more together */

struct ftx_trash {
    struct ftx_list node;
    uint64_t object;
    uint64_t link; /* of which its room is counted, in the box's sum; 0: it is not */
    uint64_t room; /* once it is removed */
    uint8_t box;
};

/* A range of an object to give back. */
struct ftx_punch {
    struct ftx_list node;
    uint64_t item, object;
    struct ftx_range range;
};

/* The outbox's room: spool.h, release.h. */
struct ftx_spool {
    struct ftx_spool_entry {
        uint64_t item;
        int64_t since_ms;         /* monotonic */
    } * entries;                  /* ring of files that may be released, the first to be first */
    size_t first, n, capacity;    /* capacity: a power of two, or 0 */
    struct ftx_printing printing; /* database thread */
    struct ftx_list punches;      /* struct ftx_punch: noted, not committed yet */
    size_t n_going;               /* objects, and ranges of them, that are about to go */
    uint64_t max;                 /* that objects may take; 0: as much as the disk allows */
    uint64_t used;                /* that they take; only counted if there is a max */
    int64_t release_after_ms;
    int64_t progress_ms; /* when room was gained or something acknowledged, monotonic */
    size_t in_vain;      /* files looked at since something was released */
    uint64_t range_min;  /* of a file in use, less is not released: it is not worth a row */
    bool keep_all;
    bool written;  /* since the last sync in the background began ... */
    bool unsynced; /* ... or since the last one that ended well did */
    bool pressed;  /* room is short */
    bool more;     /* ... and there may be something to release */
};

struct ftx_store {
    pthread_mutex_t lock;
    pthread_cond_t work;    /* the database thread has something to do */
    pthread_cond_t left;    /* a handle past the page cache was released, or a file was taken */
    pthread_cond_t drained; /* a half of the journal is free again; a commit or a job is done */
    struct ftx_index index;
    struct ftx_item *boxes[2];
    struct ftx_list links;
    struct ftx_list tails;   /* ftx_sending.tail */
    struct ftx_list remains; /* ftx_opened.remains */
    struct ftx_list news;    /* struct ftx_news, the oldest first */
    size_t n_news;
    uint64_t news_lost;
    struct ftx_feed feed;
    struct {
        uint64_t folder; /* 0: none */
        uint32_t n_lookup;
        bool open; /* not answered yet */
    } asked;       /* ftx_news_ask */
    struct ftx_objects objects;
    struct ftx_drop_behind drop_behind;
    struct ftx_journal *journal;
    struct ftx_database *db;
    struct ftx_store_events events;
    void *events_ctx;
    int state_fd, lock_fd; /* STORE/.ftx, and its lock file */
    char boot_id[FTX_BOOT_ID_SIZE];
    atomic_bool borrows; /* files of the outbox stand elsewhere: borrow.h */
    bool distrusts; /* ... and what the outbox's objects hold may not be what was written to them */
    bool takes;     /* the last run was killed while something left: take.h */
    bool power_cut; /* the last run was in another boot: what was not durable may be gone */
    int64_t opened_ms; /* monotonic */
    uint64_t next_item, reserved_item;
    uint64_t next_history;
    uint64_t history_max; /* transfers that are remembered */
    char *path;           /* of the folder */
    uint64_t next_link;
    uint64_t n_sessions;   /* of all links */
    uint64_t link_changes; /* counts links that came and went, and changes of their settings */
    struct ftx_link_settings settings; /* of all links together */
    uint64_t committed;   /* last journal entry that is in the database, durably where it must be */
    uint64_t appended;    /* last journal entry */
    struct ftx_list jobs; /* link rows to write, for the database thread */
    struct ftx_list trash; /* struct ftx_trash: objects to remove */
    struct ftx_spool spool;
    uint64_t inbox_max; /* what the inbox of a link may take; 0: no limit of its own */
    uint64_t written[FTX_SYNC_SINGLE_MAX]; /* objects written since the last commit that must be
                                              durable with it */
    size_t n_written;
    bool sync_all;       /* too many: syncfs */
    bool durable;        /* the next commit must survive a power cut */
    bool hurry;          /* somebody waits for it */
    uint64_t durable_at; /* entries up to this one survive a power cut */
    uint64_t losses;     /* counts syncs of contents that failed: what came last is missing again */
    bool doubted;        /* ... and of the outbox's, which the loop is to note */
    bool flushing;       /* a change of many entries waits for the journal */
    bool stopping;
    bool regrouping; /* somebody changes who is a member of what: group.c */
    int failed;      /* what the database thread's last commit met; 0 when it goes well */
    pthread_t thread;
    uint8_t *entry; /* FTX_JOURNAL_ENTRY_MAX bytes: the change being collected, under the lock */
};

struct ftx_statfs {
    uint64_t total_bytes, free_bytes;
    uint64_t items;
};

/*
 * Opens or makes the store in folder `path` (0700, ours), takes its lock, replays, loads, starts
 * the database thread. On failure *out_message is a sentence for people (static or in
 * `message_room`). Waits for one that leaves. -EBUSY: another daemon has it. FTX_ECORRUPT, -errno.
 */
int ftx_store_open(const char *path, char *message_room, size_t room, struct ftx_store **out_store);

/* Sets who is told; before anything else uses the store. */
void ftx_store_set_events(struct ftx_store *store, const struct ftx_store_events *events,
                          void *ctx);

/* It is going to be closed: who opens it meanwhile waits for that instead of failing. */
void ftx_store_leave(struct ftx_store *store);

/* Writes everything to the database and frees. Nobody may use the store any more. */
void ftx_store_close(struct ftx_store *store);

/* Nobody knows what the outbox's objects hold: the next start is to know that. Under the lock. */
void ftx_store_distrust(struct ftx_store *store);

/* The last journal entry that is committed. *out_losses changes when contents that it may tell of
 * could not be synced: what is not acknowledged by then must not be. */
uint64_t ftx_store_committed(struct ftx_store *store, uint64_t *out_losses);

/* Waits until everything appended so far survives a power cut. -EIO and the like. */
int ftx_store_sync(struct ftx_store *store);

/*
 * Bytes of the disk that this box may still take; is there room for so many more? A part of the
 * disk always stays free, 5 % before the outbox and 2 % before a peer: it is what the database needs
 * to note that something was removed. Any thread.
 */
uint64_t ftx_store_room(const struct ftx_store *store, enum ftx_box box, uint64_t *out_margin);
bool ftx_store_has_room(const struct ftx_store *store, enum ftx_box box, uint64_t bytes);

void ftx_store_statfs(struct ftx_store *store, struct ftx_statfs *out);

#endif
