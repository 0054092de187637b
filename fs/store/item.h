/* SPDX-License-Identifier: MIT */
/*
 * What stands in memory for each file, folder and symlink of the mount: the index answers every
 * question of FUSE from these, the database is written behind them. All fields belong to the
 * store's lock, but for what says otherwise.
 */
#ifndef FTX_STORE_ITEM_H
#define FTX_STORE_ITEM_H

#include "fs/store/segments.h"
#include "fs/store/xattrs.h"
#include "transport/session/scheduler.h"
#include "transport/base/hash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ftx_link;
struct ftx_news;
struct ftx_prints;

enum ftx_box { FTX_OUTBOX = 0, FTX_INBOX = 1 };

enum ftx_kind { FTX_FILE = 1, FTX_FOLDER, FTX_SYMLINK };

/* On disk: values are never reused. */
enum ftx_item_state {
    FTX_ITEM_WRITING = 1, /* outbox: written since the last close */
    FTX_ITEM_CLOSED = 2,  /* outbox: sealed here, not yet delivered (shown as queued or sending) */
    FTX_ITEM_DELIVERED = 3,
    FTX_ITEM_ARRIVING = 4,
    FTX_ITEM_COMPLETE = 5,
    FTX_ITEM_INTERRUPTED = 6, /* outbox: was open when the daemon was killed */
    FTX_ITEM_REFUSED = 7, /* outbox: the peer does not take it; `error` is the wire's reason; inbox,
                             in the root: the same of ours, until the peer has heard of it */
    FTX_ITEM_FAILED = 8,  /* its bytes cannot be read or written here */
    FTX_ITEM_LOCAL = 9, /* outbox, every kind: stays here, as its name or a folder above it says */
    /* outbox, no folder: stays here until it is retried, as its owner says */
    FTX_ITEM_CANCELLED = 10,
    /* inbox, every kind: it was complete, and stands elsewhere since: take.h */
    FTX_ITEM_TAKEN = 11,
    FTX_ITEM_OFFERED = 12, /* inbox, in the root, every kind: its owner has not accepted it yet */
};

/* Whether the handles of an outbox file go through the kernel's page cache: all do or none does. */
enum ftx_caching { FTX_CACHING_UNDECIDED, FTX_CACHING_CACHED, FTX_CACHING_DIRECT };

/* State of a pending segment of an outbox file. */
enum ftx_pending_state {
    FTX_PENDING_OPEN = 1, /* the writer may still be adding to it */
    FTX_PENDING_DUE,
    FTX_PENDING_FLYING,   /* in record `tag` */
    FTX_PENDING_RECEIVED, /* the peer has it, not yet durably */
};

/* When something happened to an outbox, by what came next there. */
struct ftx_moment {
    uint64_t op, item; /* numbers of an operation and of an item */
};

/* Children of a folder in the order they came: a cookie is never reused, so readdir is stable while
 * entries come and go. */
struct ftx_folder {
    struct ftx_folder_entry {
        uint64_t cookie;
        struct ftx_item *item; /* NULL: gone */
    } * entries;
    size_t n, capacity, n_gone;
    uint64_t next_cookie;
    uint32_t n_folders;
    uint8_t height;   /* levels below it; 0: empty */
    uint32_t *n_high; /* how many child folders have each height above 0; NULL: none has */
    /* outbox: outbox_refused.c */
    struct ftx_moment gone_at, made_at; /* that the peer said so; that it was made there again */
    uint64_t made_in;                   /* link->session of that; 0: never */
    uint64_t placed_op;                 /* the last MAKE or MOVE of it; 0: before the start */
    bool gone;                          /* its receiver removed it */
};

/* An outbox file that the peer does not have entirely. Exists while the item is WRITING or has
 * pending bytes; of one that is CLOSED, while it does not rest. */
struct ftx_sending {
    struct ftx_stream stream; /* loop thread */
    struct ftx_list all;      /* link->sendings */
    struct ftx_list due;      /* link->due: the loop must look at it */
    struct ftx_list
        tail; /* store->tails: an OPEN segment, or a seal that waits for the writer to go */
    struct ftx_item *item;
    struct ftx_segments pending; /* not known durable at the peer; what is not in it, is */
    struct ftx_segments flying;  /* in flight: nothing that overlaps may be sent */
    uint64_t scan;               /* no due segment ends at or before this offset */
    uint64_t want_at, want_end;  /* a reader at the peer waits for this range; empty: none */
    uint64_t began, closed;      /* journal entries that began the version and closed it: extents,
                                    and the seal, leave when these are durable */
    uint64_t missing_end;        /* of what the peer said it lacks of the last SEAL */
    uint64_t open_at;            /* offset of the OPEN segment, if has_open */
    int64_t touched_ms;          /* last write or flush, monotonic */
    XXH3_state_t *tail_hash;     /* of the OPEN segment */
    uint32_t since_ms;           /* when its version was begun, monotonic; 0: before the start */
    bool has_open : 1;
    bool patched : 1;   /* overwritten or cut since the last close: hashes are missing */
    bool updates : 1;   /* the peer had the file when it was written to again */
    bool seal_left : 1; /* a SEAL of the item's version left, in whatever session */
    bool sealed : 1;    /* the SEAL of the item's version was sent in this session */
    bool sent : 1;      /* something of it left in this session */
    bool blocked : 1;   /* a due segment waits for one in flight */
    bool dropped : 1;   /* the item is gone: the loop frees this */
};

/* State of a range in ftx_released.ranges. */
enum ftx_released_state {
    FTX_RELEASED_AWAY = 0,
    FTX_RELEASED_ASKED, /* the peer was asked for it in session `tag` of the link */
    FTX_RELEASED_LOST,  /* it cannot be had: `tag` is the errno that says why */
};

/* What of an outbox file is at the peer only, if that is not all of it. */
struct ftx_released {
    struct ftx_segments ranges;
    struct ftx_segments busy; /* being filled or punched: nobody writes there meanwhile */
    uint64_t next, window;    /* where the reader goes on, and how much is asked for ahead of it */
    int64_t filled_ms;        /* when bytes last came back, monotonic */
    bool lost;                /* some range is LOST */
};

/* What has come of an inbox file, or is about to. */
struct ftx_landing {
    struct ftx_segments have; /* written to the object */
    uint64_t settled;         /* journal entry of the last change of `have` */
    uint64_t whole_to;  /* all before it is here, or a hole of the base, as a seal has found */
    uint32_t n_writing; /* extents, or a copy, on their way to the disk */
    bool copying;       /* ranges of the base are being copied: no extent may be written */
};

/* An inbox file that is not complete, or the next version of one that is. */
struct ftx_arriving {
    struct ftx_landing *landing; /* to be changed after ftx_landing_get: many wait with nothing */
    struct ftx_list node;        /* link->arriving */
    struct ftx_item *item;
    struct ftx_item *base; /* the complete version that this one will replace; NULL: none */
    int64_t progress_ms;   /* when bytes last came, monotonic */
    uint64_t room;         /* what the object takes, as counted in link->inbox_used */
    uint32_t since_ms;     /* when it was announced, monotonic; 0: before the start */
    bool told;             /* that it is offered: its size is known */
    bool sealed;           /* the final size is known: it grows no more in this version */
    struct ftx_news *made; /* news of its making that nobody took yet; NULL: none */
};

/* Descriptor and counts of an item that programs have open. */
struct ftx_opened {
    struct ftx_item *item;
    struct ftx_list remains;   /* store->remains: the object is longer than the file ... */
    uint64_t remains_end;      /* ... up to here; 0: it is not */
    uint64_t remains_wire;     /* the number under which the peer has the same */
    struct ftx_prints *prints; /* of what the file was cut to nothing by; NULL: not known ... */
    uint64_t prints_end;       /* ... and how much that was */
    int fd;                    /* of the object; -1 until it exists */
    uint32_t n_handles, n_writers;
    uint32_t n_direct;  /* writers past the page cache */
    uint32_t n_closing; /* writers whose close waits for the delivery */
    uint32_t releases;  /* counts ranges that were released meanwhile */
    uint64_t room;      /* what the object takes, as counted in store->spool.used */
    bool measured;      /* `room` holds */
    bool again;         /* the peer had refused it before it was opened for writing */
    uint8_t caching;    /* enum ftx_caching of all its handles */
    bool stale;         /* CACHED, and the kernel may still hold pages from before a DIRECT time */
};

struct ftx_item {
    uint64_t id;     /* inode number */
    uint64_t remote; /* inbox: the sender's number; outbox: the peer's for it, 0: `id` */
    uint64_t size;
    uint64_t object; /* 0: no bytes yet */
    uint64_t cookie; /* in its folder */
    int64_t mtime_ns, ctime_ns;
    union {
        uint64_t op; /* outbox: the operation that told of it last; symlink: that made it */
        struct ftx_item *shadow; /* inbox: what will replace this file once it is complete */
    };
    struct ftx_item *
        parent; /* NULL: a box, or orphaned (removed, but still known to the kernel), or a shadow */
    uint32_t place;                           /* its own: item_pool.h */
    uint32_t next_id, next_name, next_remote; /* places: hash chains */
    struct ftx_link *link;                    /* NULL: a box */
    char *name;                               /* NUL-ended, name_size bytes */
    struct ftx_opened *opened;                /* NULL: nobody has it open */
    struct ftx_xattrs *xattrs;                /* NULL: it has none */
    struct ftx_released *released;            /* outbox file; NULL: see `away` */
    struct ftx_prints *prints; /* outbox file: of what was delivered; NULL: not known */
    union {
        struct ftx_folder *folder;
        char *target; /* NUL-ended */
        struct ftx_sending *sending;
        struct ftx_arriving *arriving;
    } as;
    uint32_t n_lookup; /* the kernel's references */
    uint32_t version;
    uint16_t mode; /* nine permission bits */
    uint8_t name_size;
    uint8_t state, error;
    uint8_t box : 1;
    uint8_t kind : 2;
    bool named_here : 1; /* inbox: its name was given here, not by its sender */
    bool moved_here : 1; /* ... and by its owner, who took it to another folder; until a restart */
    bool linked : 1;     /* stands in its parent */
    bool looked_at : 1;  /* looked up by a program, and the kernel still knows it: news.h */
    bool away : 1;       /* outbox file without object: all of it is at the peer only */
    bool queued : 1;     /* outbox file: stands in store->spool, to be released */
    bool used : 1;       /* ... and was used since */
    bool going : 1;      /* outbox file that is orphaned: counted in store->spool.n_going;
                            inbox: its bytes are about to leave the store, no version begins */
    bool unsure : 1;     /* outbox file: a power cut may have taken what the object had */
    bool proving : 1;    /* a mirror: its peer is asked whether it still has the bytes ... */
    bool proven : 1;     /* ... and has shown some of them: mirror_bytes.c */
    bool rests : 1;      /* outbox file: CLOSED, and without a sending: outgoing_rest.c */
    bool held : 1;       /* outbox, in the root: the peer has not accepted it yet (offer.h) */
    bool stale : 1; /* outbox: was written past the page cache since it was last opened through it;
                       inbox: was opened before it was complete, and not since; a mirror: bytes of it
                       that its peer had said to have were gone there */
};

/* Outbox: the peer is told nothing of it. */
static inline bool ftx_item_stays(const struct ftx_item *item)
{
    return item->state == FTX_ITEM_LOCAL || item->state == FTX_ITEM_CANCELLED;
}

/* There may be a million: docs/performance.md has what each of them costs in all. */
_Static_assert(sizeof(struct ftx_item) <= 160, "an item and its name no longer fit in 300 bytes");
_Static_assert(sizeof(struct ftx_sending) <= 248,
               "more than a block of 256 for each with contents");
_Static_assert(sizeof(struct ftx_arriving) <= 72, "more than a block of 80 for each that waits");

#endif
