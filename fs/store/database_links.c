/* SPDX-License-Identifier: MIT */
/* The rows of links: written at once and durably, because codes and keys hang on them; what leaves
 * a row leaves the files too. */
#include "fs/store/database_internal.h"

#include <string.h>

static void bind_text(sqlite3_stmt *statement, int column, const char *text)
{
    sqlite3_bind_blob64(statement, column, text, strlen(text), SQLITE_STATIC);
}

static void bind_key(sqlite3_stmt *statement, int column, const uint8_t key[32])
{
    sqlite3_bind_blob64(statement, column, key, 32, SQLITE_STATIC);
}

/* True if the row that stands in the table holds a secret that `row` has no more. */
static int secrets_leave(struct ftx_database *db, const struct ftx_link_row *row, bool *out_leave)
{
    sqlite3_stmt *statement =
        ftx_database_bind(db, FTX_SQL_SECRETS_LEAVE, 1, (uint64_t[]){row->id});
    bind_text(statement, 2, row->code);
    bind_key(statement, 3, row->static_secret);
    bind_key(statement, 4, row->link_secret);
    *out_leave = sqlite3_step(statement) == SQLITE_ROW;
    int rc = ftx_database_err(db, sqlite3_reset(statement));
    sqlite3_clear_bindings(statement);
    return rc;
}

static int write_link(struct ftx_database *db, const struct ftx_link_row *row)
{
    sqlite3_stmt *statement = ftx_database_bind(
        db, FTX_SQL_PUT_LINK, 6,
        (uint64_t[]){row->id, row->role, row->state, row->guesses, row->enrolled, row->session});
    bind_text(statement, 7, row->name);
    bind_text(statement, 8, row->code);
    bind_text(statement, 9, row->label);
    bind_key(statement, 10, row->static_secret);
    bind_key(statement, 11, row->static_public);
    bind_key(statement, 12, row->peer_public);
    bind_key(statement, 13, row->link_secret);
    return ftx_database_run(db, statement);
}

/*
 * secure_delete clears the database's pages; their earlier images stand in the write-ahead log
 * until it is moved and cut off. The change is durable already: a full disk only puts this off to
 * the next checkpoint.
 */
static void forget_log(struct ftx_database *db)
{
    (void)ftx_database_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)");
}

int ftx_database_put_link(struct ftx_database *db, const struct ftx_link_row *row)
{
    bool leave = false;
    int rc = ftx_database_begin(db, true);
    if (rc < 0)
        return rc;
    rc = secrets_leave(db, row, &leave);
    if (rc == 0)
        rc = write_link(db, row);
    rc = ftx_database_end(db, rc);
    if (rc == 0 && leave)
        forget_log(db);
    return rc;
}

int ftx_database_drop_link(struct ftx_database *db, uint64_t id)
{
    int rc = ftx_database_begin(db, true);
    if (rc < 0)
        return rc;
    rc = ftx_database_run(db, ftx_database_bind(db, FTX_SQL_DROP_LINK, 1, &id));
    if (rc == 0)
        rc = ftx_database_run(
            db, ftx_database_bind(db, FTX_SQL_DROP_OPS, 2, (uint64_t[]){id, INT64_MAX}));
    if (rc == 0)
        rc = ftx_database_run(db, ftx_database_bind(db, FTX_SQL_DROP_SETTINGS, 1, &id));
    if (rc == 0)
        rc = ftx_database_run(db, ftx_database_bind(db, FTX_SQL_DROP_REACH, 1, &id));
    if (rc == 0)
        rc = ftx_database_run(db, ftx_database_bind(db, FTX_SQL_DROP_MEMBERS, 1, &id));
    rc = ftx_database_end(db, rc);
    if (rc == 0)
        forget_log(db);
    return rc;
}

int ftx_database_put_member(struct ftx_database *db, uint64_t group, uint64_t link, bool member)
{
    int rc = ftx_database_begin(db, true);
    if (rc < 0)
        return rc;
    rc = ftx_database_run(db,
                          ftx_database_bind(db, member ? FTX_SQL_PUT_MEMBER : FTX_SQL_DROP_MEMBER,
                                            2, (uint64_t[]){group, link}));
    return ftx_database_end(db, rc);
}

int ftx_database_put_settings(struct ftx_database *db, uint64_t link,
                              const struct ftx_link_settings *settings)
{
    const uint64_t values[] = {link,
                               settings->paused,
                               settings->priority,
                               settings->accept,
                               settings->limit[0].rest,
                               settings->limit[1].rest,
                               settings->max_size,
                               settings->max_files};
    enum { N = sizeof values / sizeof *values };
    char times[2][FTX_TIMETABLE_TEXT] = {"", ""};
    int rc = ftx_database_begin(db, true);
    if (rc < 0)
        return rc;
    sqlite3_stmt *statement = ftx_database_bind(db, FTX_SQL_PUT_SETTINGS, N, values);
    for (int box = 0; box < 2; box++) {
        if (settings->limit[box].n)
            ftx_timetable_text(&settings->limit[box], times[box]);
        bind_text(statement, N + 1 + box, times[box]);
    }
    for (int rule = 0; rule < FTX_RULES; rule++)
        bind_text(statement, N + 3 + rule, settings->rules.text[rule]);
    return ftx_database_end(db, ftx_database_run(db, statement));
}

int ftx_database_put_reach(struct ftx_database *db, uint64_t link,
                           const struct ftx_link_reach *reach)
{
    uint8_t bytes[FTX_ADDRESSES_MAX * FTX_ADDRESS_ENTRY];
    for (size_t i = 0; i < reach->n; i++)
        ftx_address_encode(&reach->at[i], bytes + i * FTX_ADDRESS_ENTRY);
    int rc = ftx_database_begin(db, false);
    if (rc < 0)
        return rc;
    sqlite3_stmt *statement =
        ftx_database_bind(db, FTX_SQL_PUT_REACH, 2, (uint64_t[]){link, reach->told_s});
    sqlite3_bind_blob64(statement, 3, bytes, reach->n * FTX_ADDRESS_ENTRY, SQLITE_STATIC);
    return ftx_database_end(db, ftx_database_run(db, statement));
}
