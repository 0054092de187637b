/* SPDX-License-Identifier: MIT */
/* SQLite behind the index: STORE/.ftx/state.db, WAL. One thread at a time: the opener, then the
 * serial worker. */
#ifndef FTX_STORE_DATABASE_H
#define FTX_STORE_DATABASE_H

#include "fs/store/change.h"
#include "fs/store/rules.h"
#include "fs/store/timetable.h"
#include "transport/wire/message.h"

#include <stdbool.h>
#include <stdint.h>

struct ftx_database;

/* A row of links. NUL-ended strings, fixed keys; wiped after use by whoever holds it. */
struct ftx_link_row {
    uint64_t id;
    char name[65];
    char code[65]; /* empty once burned */
    char label[65];
    uint8_t role;  /* 1 S, 2 R, 3 a group */
    uint8_t state; /* enum ftx_link_state of fs/store/links.h */
    uint8_t guesses;
    bool enrolled; /* keys hold */
    uint8_t static_secret[32], static_public[32], peer_public[32], link_secret[32];
    uint64_t session; /* highest session number used or accepted */
    /* Not written by put_link: */
    uint64_t op_seen;  /* the peer's last operation applied here, see FTX_CHANGE_OP_SEEN */
    uint64_t op_acked; /* our last operation that the peer has applied, see FTX_CHANGE_OPS_GONE */
};

enum ftx_accept { FTX_ACCEPT_ALL, FTX_ACCEPT_NONE, FTX_ACCEPT_ASK };

/* How a link is treated; 0: no limit. Those of all links together (limits only) stand under link 0.
 */
struct ftx_link_settings {
    bool paused;
    uint8_t priority;
    uint8_t accept;                /* enum ftx_accept: what the peer offers */
    struct ftx_timetable limit[2]; /* by box: up, down */
    uint64_t max_size;             /* of a file that is taken */
    uint64_t max_files;            /* items in the inbox */
    struct ftx_rules rules;        /* which files are taken */
};

/* Where the peer of a link said that it can be dialled. */
struct ftx_link_reach {
    uint64_t told_s; /* since 1970; 0: never */
    size_t n;
    struct ftx_told_address at[FTX_ADDRESSES_MAX];
};

/* What loading tells; any may be NULL. A negative return ends the load with that error. Order:
 * links, who is a member of which group, their settings and reach, items (parents before children
 * is not promised), segments by offset, operations by number, trash, attributes. */
struct ftx_database_visitor {
    int (*link)(void *ctx, const struct ftx_link_row *row);
    int (*item)(void *ctx, const struct ftx_item_row *row);
    int (*segment)(void *ctx, uint64_t item, const struct ftx_segment *segment);
    int (*op)(void *ctx, uint64_t link, uint64_t number, const uint8_t *bytes, size_t size);
    int (*trash)(void *ctx, uint64_t object);
    int (*xattr)(void *ctx, uint64_t item, const struct ftx_xattr *xattr);
    int (*settings)(void *ctx, uint64_t link, const struct ftx_link_settings *settings);
    int (*reach)(void *ctx, uint64_t link, const struct ftx_link_reach *reach);
    int (*member)(void *ctx, uint64_t group, uint64_t link);
};

/*
 * Opens or makes the database file at `path` (it and its companions 0600). FTX_ECORRUPT when it is
 * damaged, not ours, or from a newer ftxfs; -errno. On any error *out_message is a static text for
 * people: what is wrong and what to do. *out_journal_last: the last journal entry that it contains;
 * *out_next_item: as of the last NEXT_ITEM, 1 at first.
 */
int ftx_database_open(const char *path, struct ftx_database **out_db, uint64_t *out_journal_last,
                      uint64_t *out_next_item, const char **out_message);
/* The same after what was committed since. */
uint64_t ftx_database_next_item(const struct ftx_database *db);
/* What the transfers of the history may take on average, bytes: beyond that the oldest go. */
enum { FTX_HISTORY_BYTES = 640 };
/* The number of the last transfer in the history; 0: none. */
uint64_t ftx_database_history_last(const struct ftx_database *db);
/* From the next commit on no more than so many are kept. */
void ftx_database_set_history_max(struct ftx_database *db, uint64_t max);
int ftx_database_load(struct ftx_database *db, const struct ftx_database_visitor *visitor,
                      void *ctx);

/* Checks one journal entry (a run of encoded changes) and adds a copy of it to the batch, all or
 * nothing. FTX_ECORRUPT, -ENOMEM. */
int ftx_database_apply(struct ftx_database *db, const void *changes, size_t size);

/* The contents that the batch tells of did not reach the disk: the next commit takes inbox segments
 * for missing instead of present. */
void ftx_database_contents_lost(struct ftx_database *db);

/*
 * Writes the batch and `journal_last` in one transaction; `durable`: returns 0 only once this and
 * every earlier commit survive a power cut. On an error nothing of it is written; the batch is
 * empty afterwards in any case. -EIO, -ENOSPC, FTX_ECORRUPT.
 */
int ftx_database_commit(struct ftx_database *db, uint64_t journal_last, bool durable);

/*
 * Links change rarely, are always durable at return and no part of the batch. put_link inserts or
 * replaces the row of row->id; a code or key that leaves the row leaves the files as well.
 * put_settings and put_member likewise; put_reach may be lost to a power cut. drop_link takes the
 * link's settings, reach, memberships and operations with it, also those still in the journal or the
 * batch (its items are dropped by changes).
 */
int ftx_database_put_link(struct ftx_database *db, const struct ftx_link_row *row);
int ftx_database_put_settings(struct ftx_database *db, uint64_t link,
                              const struct ftx_link_settings *settings);
int ftx_database_put_reach(struct ftx_database *db, uint64_t link,
                           const struct ftx_link_reach *reach);
int ftx_database_put_member(struct ftx_database *db, uint64_t group, uint64_t link, bool member);
int ftx_database_drop_link(struct ftx_database *db, uint64_t id);

void ftx_database_close(struct ftx_database *db);

/* Between commits: frees the page cache and buffers, which grow again with the next work. */
void ftx_database_rest(struct ftx_database *db);

#endif
