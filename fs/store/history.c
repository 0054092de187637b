/* SPDX-License-Identifier: MIT */
/* Rows of the history into lines (docs/interface.md .ftx/history). */
#include "fs/store/history.h"

#include "fs/store/change.h"
#include "fs/store/json.h"
#include "transport/base/err.h"

#include <errno.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ftx_history {
    uint64_t max;
    sqlite3 *sqlite;
    sqlite3_stmt *last, *rows;
    char *text;
    size_t size, capacity;
};

static const char last_sql[] = "SELECT last FROM history ORDER BY first DESC LIMIT 1";
static const char rows_sql[] =
    "SELECT changes FROM history WHERE first >= coalesce("
    "(SELECT first FROM history WHERE first <= ?1 ORDER BY first DESC LIMIT 1), 0) ORDER BY first";

void ftx_history_configure(struct ftx_store *store, uint64_t max)
{
    pthread_mutex_lock(&store->lock);
    store->history_max = max;
    pthread_mutex_unlock(&store->lock);
}

static int open_connection(struct ftx_history *history, const char *store)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/.ftx/state.db", store) >= (int)sizeof path)
        return -ENAMETOOLONG;
    int rc =
        sqlite3_open_v2(path, &history->sqlite, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(history->sqlite, "PRAGMA busy_timeout = 1000; PRAGMA cache_size = -256",
                          NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(history->sqlite, last_sql, -1, &history->last, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(history->sqlite, rows_sql, -1, &history->rows, NULL);
    return rc == SQLITE_OK ? 0 : rc == SQLITE_NOMEM ? -ENOMEM : -EIO;
}

/* Until what was answered so far is in the database, or cannot be brought there. */
static void settle(struct ftx_store *store)
{
    pthread_mutex_lock(&store->lock);
    uint64_t want = store->appended;
    while (store->committed < want && !store->failed && !store->stopping) {
        store->hurry = true;
        pthread_cond_signal(&store->work);
        pthread_cond_wait(&store->drained, &store->lock);
    }
    pthread_mutex_unlock(&store->lock);
}

int ftx_history_open(struct ftx_store *store, struct ftx_history **out_history)
{
    struct ftx_history *history = calloc(1, sizeof *history);
    if (!history)
        return -ENOMEM;
    settle(store);
    history->max = store->history_max;
    int err = open_connection(history, store->path);
    if (err) {
        ftx_history_close(history);
        return err;
    }
    *out_history = history;
    return 0;
}

void ftx_history_close(struct ftx_history *history)
{
    if (!history)
        return;
    sqlite3_finalize(history->last);
    sqlite3_finalize(history->rows);
    sqlite3_close(history->sqlite);
    free(history->text);
    free(history);
}

static void put_text(struct ftx_json *json, const char *key, const char *text, size_t size)
{
    ftx_json_key(json, key);
    ftx_json_string(json, text, size);
}

static void put_word(struct ftx_json *json, const char *key, const char *word)
{
    put_text(json, key, word, word ? strlen(word) : 0);
}

static void write_line(const struct ftx_history_row *row, struct ftx_json *json)
{
    static const char *const results[] = {[FTX_HISTORY_DELIVERED] = "delivered",
                                          [FTX_HISTORY_COMPLETE] = "complete",
                                          [FTX_HISTORY_REFUSED] = "refused",
                                          [FTX_HISTORY_CANCELLED] = "cancelled",
                                          [FTX_HISTORY_FAILED] = "failed"};
    char seconds[32];
    int n = snprintf(seconds, sizeof seconds, "%llu.%03u", (unsigned long long)(row->ms / 1000),
                     (unsigned)(row->ms % 1000));
    ftx_json_key(json, "format");
    ftx_json_number(json, 1);
    ftx_json_key(json, "id");
    ftx_json_number(json, row->id);
    ftx_json_key(json, "time");
    ftx_json_time(json, row->time_ns);
    put_word(json, "result", results[row->result]);
    put_word(json, "direction", row->box == FTX_OUTBOX ? "out" : "in");
    put_text(json, "link", row->link, row->link_size);
    put_text(json, "path", row->path, row->path_size);
    ftx_json_key(json, "size");
    ftx_json_number(json, row->size);
    ftx_json_key(json, "seconds");
    if (row->ms == FTX_HISTORY_UNKNOWN)
        ftx_json_null(json);
    else
        ftx_json_raw(json, seconds, (size_t)n);
    put_word(json, "reason",
             row->result == FTX_HISTORY_REFUSED ? ftx_refusal_word(row->reason) : NULL);
    ftx_json_end(json);
}

static int add_line(struct ftx_history *history, const struct ftx_history_row *row)
{
    for (;;) {
        struct ftx_json json = {.out = history->text ? history->text + history->size : NULL,
                                .room = history->capacity - history->size};
        write_line(row, &json);
        if (json.out && json.size <= json.room) {
            history->size += json.size;
            return 0;
        }
        size_t capacity = 2 * (history->capacity + json.size);
        char *bigger = realloc(history->text, capacity);
        if (!bigger)
            return -ENOMEM;
        history->text = bigger;
        history->capacity = capacity;
    }
}

/* The lines of one row from number *in_out_id on, as long as the page is not full. */
static int add_row(struct ftx_history *history, const uint8_t *changes, size_t size,
                   uint64_t *in_out_id)
{
    struct ftx_change change;
    int err = 0;
    for (size_t at = 0; !err && at < size && history->size < FTX_HISTORY_PAGE;) {
        err = ftx_change_decode(changes, size, &at, &change);
        if (!err && change.kind != FTX_CHANGE_HISTORY)
            err = FTX_ECORRUPT;
        if (err || change.id < *in_out_id)
            continue;
        err = add_line(history, &change.as.history);
        if (!err)
            *in_out_id = change.id + 1;
    }
    return err;
}

int ftx_history_page(struct ftx_history *history, uint64_t *in_out_id, const char **out_text,
                     size_t *out_size)
{
    int err = 0, rc = sqlite3_step(history->last);
    uint64_t last = rc == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(history->last, 0) : 0;
    sqlite3_reset(history->last);
    history->size = 0;
    if (last > history->max && *in_out_id <= last - history->max)
        *in_out_id = last - history->max + 1;
    sqlite3_bind_int64(history->rows, 1, (sqlite3_int64)*in_out_id);
    while (!err && history->size < FTX_HISTORY_PAGE &&
           (rc = sqlite3_step(history->rows)) == SQLITE_ROW)
        err = add_row(history, sqlite3_column_blob(history->rows, 0),
                      (size_t)sqlite3_column_bytes(history->rows, 0), in_out_id);
    if (!err && rc != SQLITE_ROW && rc != SQLITE_DONE)
        err = rc == SQLITE_NOMEM ? -ENOMEM : -EIO;
    sqlite3_reset(history->rows);
    *out_text = history->text;
    *out_size = history->size;
    return err;
}
