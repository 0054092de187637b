/* SPDX-License-Identifier: MIT */
/* The history's rows: what ended within one commit shares one, as the changes that told of it. */
#include "fs/store/database_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROW_BYTES = 64 << 10, /* a row is full: whoever reads it takes all of it */
    BYTES_MIN = 1 << 20,  /* more than a row and the next */
};

int ftx_database_add_history(struct ftx_database *db, uint64_t id, const void *bytes, size_t size)
{
    struct ftx_history_batch *history = &db->history;
    if (id <= db->history_last)
        return 0; /* it is there already */
    if (history->size + size > history->capacity) {
        size_t capacity = history->capacity ? history->capacity : 4096;
        while (capacity < history->size + size)
            capacity *= 2;
        uint8_t *bigger = realloc(history->bytes, capacity);
        if (!bigger)
            return -ENOMEM;
        history->bytes = bigger;
        history->capacity = capacity;
    }
    if (history->size == 0)
        history->first = id;
    memcpy(history->bytes + history->size, bytes, size);
    history->size += size;
    history->last = db->history_last = id;
    return history->size < ROW_BYTES ? 0 : ftx_database_flush_history(db);
}

static int drop(struct ftx_database *db, sqlite3_stmt *statement)
{
    uint64_t bytes;
    int rc = ftx_database_sum(db, statement, &bytes);
    db->history_bytes -= bytes;
    return rc;
}

/* A peer chooses the names: what is remembered takes no more than so many of usual length. */
static uint64_t bytes_max(const struct ftx_database *db)
{
    if (db->history_max > UINT64_MAX / FTX_HISTORY_BYTES)
        return UINT64_MAX;
    uint64_t most = db->history_max * FTX_HISTORY_BYTES;
    return most > BYTES_MIN ? most : BYTES_MIN;
}

int ftx_database_flush_history(struct ftx_database *db)
{
    struct ftx_history_batch *history = &db->history;
    if (history->size == 0)
        return 0;
    sqlite3_stmt *statement =
        ftx_database_bind(db, FTX_SQL_PUT_HISTORY, 2, (uint64_t[]){history->first, history->last});
    sqlite3_bind_blob64(statement, 3, history->bytes, history->size, SQLITE_STATIC);
    int rc = ftx_database_run(db, statement);
    db->history_bytes += history->size;
    history->size = 0;
    uint64_t gone = db->history_last > db->history_max ? db->history_last - db->history_max : 0;
    if (rc == 0 && gone > 0)
        rc = drop(db, ftx_database_bind(db, FTX_SQL_DROP_HISTORY, 1, &gone));
    while (rc == 0 && db->history_bytes > bytes_max(db))
        rc = drop(db, ftx_database_bind(db, FTX_SQL_DROP_OLDEST_HISTORY, 0, NULL));
    return rc;
}
