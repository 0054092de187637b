/* SPDX-License-Identifier: MIT */
/* What the files of the database share: the connection, its prepared statements, the batch in
 * memory. */
#ifndef FTX_STORE_DATABASE_INTERNAL_H
#define FTX_STORE_DATABASE_INTERNAL_H

#include "fs/store/database.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

/* One prepared statement each; the SQL is the table in database.c. */
enum ftx_sql {
    FTX_SQL_PUT_STATE,
    FTX_SQL_PUT_ITEM,
    FTX_SQL_DROP_ITEM,
    FTX_SQL_LAST_SEGMENT,
    FTX_SQL_PUT_SEGMENT,
    FTX_SQL_TRIM_SEGMENT,
    FTX_SQL_DROP_SEGMENTS,
    FTX_SQL_DROP_ALL_SEGMENTS,
    FTX_SQL_PUT_OP,
    FTX_SQL_DROP_OPS,
    FTX_SQL_PUT_OP_ACKED,
    FTX_SQL_PUT_OP_SEEN,
    FTX_SQL_PUT_TRASH,
    FTX_SQL_DROP_TRASH,
    FTX_SQL_ITEM_BOX,
    FTX_SQL_PUT_XATTR,
    FTX_SQL_DROP_XATTR,
    FTX_SQL_DROP_XATTRS,
    FTX_SQL_MOVE_XATTRS,
    FTX_SQL_SECRETS_LEAVE,
    FTX_SQL_PUT_LINK,
    FTX_SQL_DROP_LINK,
    FTX_SQL_PUT_MEMBER,
    FTX_SQL_DROP_MEMBER,
    FTX_SQL_DROP_MEMBERS,
    FTX_SQL_PUT_SETTINGS,
    FTX_SQL_DROP_SETTINGS,
    FTX_SQL_PUT_REACH,
    FTX_SQL_DROP_REACH,
    FTX_SQL_PUT_HISTORY,
    FTX_SQL_DROP_HISTORY,
    FTX_SQL_DROP_OLDEST_HISTORY,
    FTX_SQL_COUNT
};

/* Encoded changes that wait for the commit. */
struct ftx_batch {
    uint8_t *bytes;
    size_t size;
    size_t capacity;
    struct ftx_batch_image {
        uint64_t item;
        bool overtaken; /* by a later one */
    } * images;         /* one for each ITEM change, in their order */
    size_t n_images, images_capacity;
    bool contents_lost; /* its inbox segments are cut instead of put */
};

/* Transfers of a batch that ended, encoded as changes, on their way into one row. */
struct ftx_history_batch {
    uint8_t *bytes;
    size_t size, capacity;
    uint64_t first, last; /* their numbers */
};

struct ftx_database {
    sqlite3 *sqlite;
    sqlite3_stmt *statements[FTX_SQL_COUNT];
    struct ftx_batch batch;
    struct ftx_history_batch history;
    uint64_t next_item;
    uint64_t history_last, history_max;
    uint64_t history_bytes; /* of all rows, with those of the running transaction */
};

/* The error of the table for what SQLite returned; 0 for SQLITE_OK, SQLITE_ROW and SQLITE_DONE. */
int ftx_database_err(const struct ftx_database *db, int sqlite_rc);

int ftx_database_exec(struct ftx_database *db, const char *sql);

/* What a `PRAGMA cache_size` takes: 8 MB; 256 KiB while every row is read. */
#define FTX_DATABASE_CACHE         "-8000"
#define FTX_DATABASE_CACHE_LOADING "-256"

/* A statement with its integers bound: the first `n` parameters; more may be bound before it runs.
 * u64 are kept as the i64 of the same bits. */
sqlite3_stmt *ftx_database_bind(struct ftx_database *db, enum ftx_sql which, size_t n,
                                const uint64_t *values);

/* Runs a statement that answers some numbers: their sum. Likewise. */
int ftx_database_sum(struct ftx_database *db, sqlite3_stmt *statement, uint64_t *out_sum);

/* Runs a statement that answers nothing, and forgets what was bound to it. */
int ftx_database_run(struct ftx_database *db, sqlite3_stmt *statement);

/* Begins a transaction; with `durable`, its commit syncs the write-ahead log. */
int ftx_database_begin(struct ftx_database *db, bool durable);

/* Ends it: commits if `rc` is 0, else rolls back and returns `rc`. */
int ftx_database_end(struct ftx_database *db, int rc);

/* Adds the encoded change of a transfer that ended; flush writes the row, and drops the oldest rows
 * of which nothing is to be kept, or that are beyond FTX_HISTORY_BYTES for each transfer that may be
 * remembered. database_history.c */
int ftx_database_add_history(struct ftx_database *db, uint64_t id, const void *bytes, size_t size);
int ftx_database_flush_history(struct ftx_database *db);

/* Writes the batch inside the transaction. */
int ftx_database_write_batch(struct ftx_database *db, uint64_t *in_out_next_item);

#endif
