/* SPDX-License-Identifier: MIT */
/* The history's rows: what ended within one commit shares one, as the changes that told of it. */
#include "fs/store/database_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { ROW_BYTES = 64 << 10 /* a row is full: whoever reads it takes all of it */ };

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

int ftx_database_flush_history(struct ftx_database *db)
{
    struct ftx_history_batch *history = &db->history;
    if (history->size == 0)
        return 0;
    sqlite3_stmt *statement =
        ftx_database_bind(db, FTX_SQL_PUT_HISTORY, 2, (uint64_t[]){history->first, history->last});
    sqlite3_bind_blob64(statement, 3, history->bytes, history->size, SQLITE_STATIC);
    int rc = ftx_database_run(db, statement);
    history->size = 0;
    if (rc < 0 || db->history_last <= db->history_max)
        return rc;
    uint64_t gone = db->history_last - db->history_max;
    return ftx_database_run(db, ftx_database_bind(db, FTX_SQL_DROP_HISTORY, 1, &gone));
}
