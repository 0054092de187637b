/* SPDX-License-Identifier: MIT */
/*
 * The simulator with real stores: network.c moves the records, fs/xfer's send.c and receive.c stand
 * between the engines and two stores on the disk, a user works in each outbox and knows what must
 * be there. A daemon that is killed is a copy of its folder at that moment, opened anew.
 */
#ifndef FTX_TESTS_SIM_STORE_SIM_H
#define FTX_TESTS_SIM_STORE_SIM_H

#include "fs/store/group.h"
#include "fs/store/inbox.h"
#include "fs/store/links.h"
#include "fs/store/mirror.h"
#include "fs/store/outbox.h"
#include "fs/store/tree.h"
#include "fs/xfer/transfer.h"
#include "tests/sim/sim.h"

#include <limits.h>

enum {
    USER_ITEMS_MAX = 28,
    USER_HANDLES_MAX = 8,
    READERS_MAX = 4,
    OWNED_MAX = 64,
    USER_XATTRS = 3
};

/* What a program was answered about an item of its outbox. */
struct user_item {
    uint64_t id, parent; /* 0: the link's folder */
    char name[16], target[32];
    char xattrs[USER_XATTRS][24]; /* values of "a", "b", "c"; empty: none */
    enum ftx_kind kind;
    uint16_t mode;
    int64_t mtime_ns;
    uint8_t *bytes;
    uint64_t size;
    size_t capacity;
    uint8_t *old; /* what it held before it was last cut; NULL: nothing */
    uint64_t old_size;
    unsigned n_handles, n_writers;
    bool linked, unsealed, interrupted;
    bool refused; /* by the receiver; a kill there may take the message with it */
};

struct user_handle {
    struct user_item *item; /* NULL: free */
    bool writer;
};

/* What was asked and not yet answered when a kill came: of writes and truncates. */
struct user_deed {
    struct user_item *item; /* NULL: none */
    uint64_t offset, size, new_size;
    const uint8_t *bytes;
};

struct reader {
    uint64_t id; /* 0: free */
    uint8_t *bytes;
    uint64_t size;
};

struct store_end {
    struct sim_end *end;
    char path[PATH_MAX];
    struct ftx_store *store;
    struct ftx_link *link;
    struct ftx_link *group; /* in whose folder its user works; NULL: in the link's own */
    struct ftx_transfer transfer;
    struct ftx_work *jobs[64];
    size_t n_jobs;
    struct user_item **items;
    size_t n_items, items_capacity;
    struct user_handle handles[USER_HANDLES_MAX];
    struct user_deed deed;
    struct reader readers[READERS_MAX];
    struct sim_history sealed;
    uint32_t n_sealed;
    uint64_t owned[OWNED_MAX]; /* at the last look at its inbox: see check_owned */
    size_t n_owned;
    bool pressed;     /* its outbox has no room */
    bool owner_acted; /* in its inbox */
    bool waiting;     /* its database thread: for work */
    bool refused;     /* something of its outbox was, ever */
    bool kept;        /* something of its outbox stayed here, ever: the times of folders differ */
};

struct store_counts {
    unsigned kills, kills_inside, interrupted, refused, writes, complete_seen, reopened, xattrs,
        offered, withdrawn, pressed, released_seen, fetched, same, owned_seen;
};

struct store_sim {
    struct sim sim; /* first: a struct sim is one of these */
    struct store_end ends[2];
    struct store_counts counts;
    unsigned serial; /* of folders */
    int64_t clock_ns;
    /* a kill at one of the next points inside of an operation of this end */
    struct store_end *victim;
    unsigned points_left;
    bool struck;
    char struck_path[PATH_MAX];
};

extern struct store_sim *store_world;

static inline struct store_end *store_end_of(struct sim_end *end)
{
    return &((struct store_sim *)end->sim)->ends[end->index];
}

/* A kill struck inside of what this end just did: it was not answered. */
static inline bool store_struck(const struct store_end *e)
{
    return store_world->struck && store_world->victim == e;
}

/* store_end.c: stores, workers, commits, kills */
void store_template_make(void);
void store_template_remove(void);
void store_end_open(struct store_end *e);
void store_end_close(struct store_end *e);
void store_path_remove(struct store_end *e);
/* Closes in order and opens again. */
void store_end_reopen(struct store_end *e);
bool store_work(struct store_end *e, size_t i);
/* Moves all that was answered into the database. */
void store_commit(struct store_end *e);
/* What the loop does when it is woken. */
void store_turn(struct store_end *e);
/* Arms a kill at a point inside one of the end's next operations. */
void store_strike(struct store_end *e, unsigned points);

/* store.c: both ends and the network go on until nothing moves. */
void store_settle(struct sim *sim);

/* store_release.c */
/* A store was opened. */
void release_begin(struct store_end *e);
/* Room runs short, or does no more. */
void release_press(struct store_end *e);
/* Nobody is busy with a range of the file. */
void release_quiet(struct store_end *e, const struct user_item *item);
/* The peer need not have what of it was released. */
bool release_excused(const struct store_end *e, const struct user_item *item);
/* The file's bytes: from the object, and what was released from the peer's store. */
uint8_t *read_outbox(struct store_end *e, const struct user_item *item);
/* Reads all files as programs do. */
void release_read_back(struct store_end *e);

/* store_user.c */
void user_act(struct store_end *e);
/* The daemon was killed: handles are gone; what was open is interrupted. */
void user_killed(struct store_end *e);
/* Closes every handle; with `again`, writes what was interrupted again. */
void user_close_all(struct store_end *e, bool again);
void user_free(struct store_end *e);
struct user_item *user_find(const struct store_end *e, uint64_t id);
uint64_t user_folder(const struct store_end *e, uint64_t parent);
/* What the peer is told of as this item. */
struct ftx_item *told_as(const struct store_end *e, struct ftx_item *item);
/* Its name, or that of a folder above it, keeps it here. */
bool user_keeps(const struct store_end *e, const struct user_item *item);

/* store_check.c */
/* An item in memory has these attributes and no other. */
bool has_xattrs(const struct ftx_item *stored, const struct user_item *item);
/* The outbox is what its user was told. */
void check_outbox(struct store_end *e);
/* What is complete in the inbox was sealed by its sender. */
void check_inbox(struct store_end *e);
/* Nothing moves any more: both ends show the same. */
void check_delivered(struct store_end *e);
/* Every object on the disk belongs to an item. */
void check_objects(struct store_end *e);
uint8_t *read_object(struct store_end *e, uint64_t object, uint64_t size);

#endif
