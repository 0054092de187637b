/* SPDX-License-Identifier: MIT */
/*
 * The database file: made, recognised, its transactions. Entries gather in memory
 * (database_apply.c) and are written in one transaction at the commit: only then it is known
 * whether that must be synced, and SQLite takes this setting between transactions only.
 */
#include "fs/store/database_internal.h"
#include "transport/base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    APPLICATION_ID = 0x66747866, /* "ftxf", in the file's header */
    SCHEMA_VERSION = 5,
};

/* docs/store.md 4 says what the columns mean. */
static const char schema[] = "CREATE TABLE state("
                             "  one INTEGER PRIMARY KEY CHECK(one = 1),"
                             "  journal_last INTEGER NOT NULL,"
                             "  next_item INTEGER NOT NULL);"
                             "INSERT INTO state VALUES(1, 0, 1);"
                             "CREATE TABLE links("
                             "  id INTEGER PRIMARY KEY,"
                             "  role INTEGER NOT NULL,"
                             "  state INTEGER NOT NULL,"
                             "  guesses INTEGER NOT NULL,"
                             "  enrolled INTEGER NOT NULL,"
                             "  session INTEGER NOT NULL,"
                             "  name BLOB NOT NULL,"
                             "  code BLOB NOT NULL,"
                             "  label BLOB NOT NULL,"
                             "  static_secret BLOB NOT NULL,"
                             "  static_public BLOB NOT NULL,"
                             "  peer_public BLOB NOT NULL,"
                             "  link_secret BLOB NOT NULL,"
                             "  op_seen INTEGER NOT NULL,"
                             "  op_acked INTEGER NOT NULL);"
                             "CREATE TABLE items("
                             "  id INTEGER PRIMARY KEY,"
                             "  link INTEGER NOT NULL,"
                             "  parent INTEGER NOT NULL,"
                             "  object INTEGER NOT NULL,"
                             "  remote INTEGER NOT NULL,"
                             "  base INTEGER NOT NULL,"
                             "  size INTEGER NOT NULL,"
                             "  mtime_ns INTEGER NOT NULL,"
                             "  ctime_ns INTEGER NOT NULL,"
                             "  mode INTEGER NOT NULL,"
                             "  version INTEGER NOT NULL,"
                             "  box INTEGER NOT NULL,"
                             "  kind INTEGER NOT NULL,"
                             "  state INTEGER NOT NULL,"
                             "  error INTEGER NOT NULL,"
                             "  name BLOB NOT NULL,"
                             "  target BLOB NOT NULL);"
                             "CREATE TABLE segments("
                             "  item INTEGER NOT NULL,"
                             "  offset INTEGER NOT NULL,"
                             "  length INTEGER NOT NULL,"
                             "  kind INTEGER NOT NULL,"
                             "  hash BLOB,"
                             "  PRIMARY KEY(item, offset)) WITHOUT ROWID;"
                             "CREATE TABLE ops("
                             "  link INTEGER NOT NULL,"
                             "  number INTEGER NOT NULL,"
                             "  bytes BLOB NOT NULL,"
                             "  PRIMARY KEY(link, number)) WITHOUT ROWID;"
                             "CREATE TABLE trash(object INTEGER PRIMARY KEY);";

/* What version 2 has beyond version 1. */
static const char schema_2[] = "CREATE TABLE xattrs("
                               "  item INTEGER NOT NULL,"
                               "  name BLOB NOT NULL,"
                               "  value BLOB NOT NULL,"
                               "  PRIMARY KEY(item, name)) WITHOUT ROWID;";

/* What version 4 has beyond version 3. */
static const char schema_4[] = "CREATE TABLE settings("
                               "  link INTEGER PRIMARY KEY,"
                               "  paused INTEGER NOT NULL,"
                               "  priority INTEGER NOT NULL,"
                               "  accept INTEGER NOT NULL,"
                               "  up INTEGER NOT NULL,"
                               "  down INTEGER NOT NULL,"
                               "  max_size INTEGER NOT NULL,"
                               "  max_files INTEGER NOT NULL);"
                               "CREATE TABLE history("
                               "  first INTEGER PRIMARY KEY,"
                               "  last INTEGER NOT NULL,"
                               "  changes BLOB NOT NULL);";

/* What version 5 has beyond version 4. */
static const char schema_5[] =
    "CREATE TABLE reach("
    "  link INTEGER PRIMARY KEY,"
    "  told_s INTEGER NOT NULL,"
    "  addresses BLOB NOT NULL);"
    "ALTER TABLE items ADD COLUMN named_here INTEGER NOT NULL"
    "  DEFAULT 0;"
    "ALTER TABLE settings ADD COLUMN up_times BLOB NOT NULL DEFAULT x'';"
    "ALTER TABLE settings ADD COLUMN down_times BLOB NOT NULL DEFAULT x'';"
    "ALTER TABLE settings ADD COLUMN allow_ext BLOB NOT NULL DEFAULT x'';"
    "ALTER TABLE settings ADD COLUMN deny_ext BLOB NOT NULL DEFAULT x'';"
    "ALTER TABLE settings ADD COLUMN allow_mime BLOB NOT NULL DEFAULT x'';"
    "ALTER TABLE settings ADD COLUMN deny_mime BLOB NOT NULL DEFAULT x'';"
    "CREATE TABLE members("
    "  grp INTEGER NOT NULL,"
    "  link INTEGER NOT NULL,"
    "  PRIMARY KEY(grp, link)) WITHOUT ROWID;";

/* Integers are bound first, then blobs, both in the order of the columns. */
static const char *const sql[FTX_SQL_COUNT] = {
    [FTX_SQL_PUT_STATE] = "UPDATE state SET journal_last = ?1, next_item = ?2",
    [FTX_SQL_PUT_ITEM] = "REPLACE INTO items VALUES"
                         "(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?17,?18,?16)",
    [FTX_SQL_DROP_ITEM] = "DELETE FROM items WHERE id = ?1",
    [FTX_SQL_LAST_SEGMENT] = "SELECT offset, length, kind FROM segments"
                             " WHERE item = ?1 AND offset < ?2 ORDER BY offset DESC LIMIT 1",
    [FTX_SQL_PUT_SEGMENT] = "REPLACE INTO segments VALUES(?1,?2,?3,?4,?5)",
    [FTX_SQL_TRIM_SEGMENT] = "UPDATE segments SET length = ?3, hash = NULL"
                             " WHERE item = ?1 AND offset = ?2",
    [FTX_SQL_DROP_SEGMENTS] = "DELETE FROM segments"
                              " WHERE item = ?1 AND offset >= ?2 AND offset < ?3",
    [FTX_SQL_DROP_ALL_SEGMENTS] = "DELETE FROM segments WHERE item = ?1",
    /* a link that is gone takes no operations: the journal may still hold some */
    [FTX_SQL_PUT_OP] = "REPLACE INTO ops SELECT ?1, ?2, ?3"
                       " WHERE EXISTS(SELECT 1 FROM links WHERE id = ?1)",
    [FTX_SQL_DROP_OPS] = "DELETE FROM ops WHERE link = ?1 AND number <= ?2",
    [FTX_SQL_PUT_OP_ACKED] = "UPDATE links SET op_acked = max(op_acked, ?2) WHERE id = ?1",
    [FTX_SQL_PUT_OP_SEEN] = "UPDATE links SET op_seen = ?2 WHERE id = ?1",
    [FTX_SQL_PUT_TRASH] = "INSERT OR IGNORE INTO trash VALUES(?1)",
    [FTX_SQL_ITEM_BOX] = "SELECT box FROM items WHERE id = ?1",
    [FTX_SQL_DROP_TRASH] = "DELETE FROM trash WHERE object = ?1",
    [FTX_SQL_PUT_XATTR] = "REPLACE INTO xattrs VALUES(?1,?2,?3)",
    [FTX_SQL_DROP_XATTR] = "DELETE FROM xattrs WHERE item = ?1 AND name = ?2",
    [FTX_SQL_DROP_XATTRS] = "DELETE FROM xattrs WHERE item = ?1",
    [FTX_SQL_MOVE_XATTRS] = "UPDATE OR REPLACE xattrs SET item = ?1 WHERE item = ?2",
    [FTX_SQL_SECRETS_LEAVE] = "SELECT 1 FROM links WHERE id = ?1 AND"
                              " (code <> ?2 OR static_secret <> ?3 OR link_secret <> ?4)",
    [FTX_SQL_PUT_LINK] =
        "INSERT INTO links VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,0,0)"
        " ON CONFLICT(id) DO UPDATE SET role = ?2, state = ?3, guesses = ?4, enrolled = ?5,"
        " session = ?6, name = ?7, code = ?8, label = ?9, static_secret = ?10,"
        " static_public = ?11, peer_public = ?12, link_secret = ?13",
    [FTX_SQL_DROP_LINK] = "DELETE FROM links WHERE id = ?1",
    [FTX_SQL_PUT_MEMBER] = "INSERT OR IGNORE INTO members VALUES(?1,?2)",
    [FTX_SQL_DROP_MEMBER] = "DELETE FROM members WHERE grp = ?1 AND link = ?2",
    [FTX_SQL_DROP_MEMBERS] = "DELETE FROM members WHERE grp = ?1 OR link = ?1",
    [FTX_SQL_PUT_SETTINGS] = "REPLACE INTO settings VALUES"
                             "(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14)",
    [FTX_SQL_DROP_SETTINGS] = "DELETE FROM settings WHERE link = ?1",
    /* a link that was dropped meanwhile keeps none */
    [FTX_SQL_PUT_REACH] = "REPLACE INTO reach SELECT ?1, ?2, ?3"
                          " WHERE EXISTS(SELECT 1 FROM links WHERE id = ?1)",
    [FTX_SQL_DROP_REACH] = "DELETE FROM reach WHERE link = ?1",
    [FTX_SQL_PUT_HISTORY] = "REPLACE INTO history VALUES(?1,?2,?3)",
    [FTX_SQL_DROP_HISTORY] = "DELETE FROM history WHERE first <= ?1 AND last <= ?1 "
                             "RETURNING length(changes)",
    [FTX_SQL_DROP_OLDEST_HISTORY] = "DELETE FROM history WHERE first = "
                                    "(SELECT min(first) FROM history) RETURNING length(changes)",
};

static const char settings[] = "PRAGMA journal_mode = WAL;"
                               "PRAGMA secure_delete = ON;" /* codes and keys that were dropped */
                               "PRAGMA foreign_keys = OFF;"
                               "PRAGMA cell_size_check = ON;"
                               "PRAGMA busy_timeout = 1000;" /* a reader of the history is quick */
                               "PRAGMA cache_size = " FTX_DATABASE_CACHE ";"
                               "PRAGMA wal_autocheckpoint = 4000;" /* 16 MB */
                               "PRAGMA journal_size_limit = 33554432;";

static const char text_damaged[] =
    "the database is damaged; put back a copy of the store, or move the store away to begin anew";
static const char text_foreign[] =
    "this is not a database of ftxfs; move it away, or use another store";
static const char text_newer[] =
    "the database was made by a newer ftxfs; update ftxfs, or use another store";

/* What the operating system said about the last failed call on the write-ahead log or the database.
 */
static int file_err(const struct ftx_database *db)
{
    sqlite3_file *log = NULL;
    int err = 0;
    sqlite3_file_control(db->sqlite, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
    if (log && log->pMethods)
        log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &err);
    if (err <= 0)
        sqlite3_file_control(db->sqlite, "main", SQLITE_FCNTL_LAST_ERRNO, &err);
    return err > 0 ? -err : -EIO;
}

static int open_err(const struct ftx_database *db)
{
    int err = sqlite3_system_errno(db->sqlite);
    return err > 0 ? -err : -EIO;
}

int ftx_database_err(const struct ftx_database *db, int sqlite_rc)
{
    switch (sqlite_rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return 0;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return FTX_ECORRUPT;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_READONLY:
        return -EROFS;
    case SQLITE_PERM:
        return -EACCES;
    case SQLITE_IOERR:
        return sqlite_rc == SQLITE_IOERR_NOMEM ? -ENOMEM : file_err(db);
    case SQLITE_CANTOPEN:
        return open_err(db);
    default:
        return -EIO;
    }
}

int ftx_database_exec(struct ftx_database *db, const char *text)
{
    return ftx_database_err(db, sqlite3_exec(db->sqlite, text, NULL, NULL, NULL));
}

sqlite3_stmt *ftx_database_bind(struct ftx_database *db, enum ftx_sql which, size_t n,
                                const uint64_t *values)
{
    sqlite3_stmt *statement = db->statements[which];
    for (size_t i = 0; i < n; i++)
        sqlite3_bind_int64(statement, (int)i + 1, (sqlite3_int64)values[i]);
    return statement;
}

int ftx_database_run(struct ftx_database *db, sqlite3_stmt *statement)
{
    sqlite3_step(statement);
    int rc = ftx_database_err(db, sqlite3_reset(statement));
    sqlite3_clear_bindings(statement);
    return rc;
}

int ftx_database_sum(struct ftx_database *db, sqlite3_stmt *statement, uint64_t *out_sum)
{
    *out_sum = 0;
    while (sqlite3_step(statement) == SQLITE_ROW)
        *out_sum += (uint64_t)sqlite3_column_int64(statement, 0);
    int rc = ftx_database_err(db, sqlite3_reset(statement));
    sqlite3_clear_bindings(statement);
    return rc;
}

int ftx_database_begin(struct ftx_database *db, bool durable)
{
    return ftx_database_exec(db, durable ? "PRAGMA synchronous = FULL; BEGIN IMMEDIATE"
                                         : "PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE");
}

int ftx_database_end(struct ftx_database *db, int rc)
{
    if (rc == 0)
        rc = ftx_database_exec(db, "COMMIT");
    if (rc < 0 && !sqlite3_get_autocommit(db->sqlite))
        sqlite3_exec(db->sqlite, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

/* Makes the file if it is missing, and closes it and its companions to others; SQLite gives new
 * companions the mode of the file. */
static int secure_files(const char *path)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    char name[PATH_MAX];
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        int n = snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        if (n < 0 || (size_t)n >= sizeof name)
            return -ENAMETOOLONG;
        int create = i == 0 ? O_CREAT : 0;
        int fd = open(name, O_RDWR | O_NOFOLLOW | O_CLOEXEC | create, 0600);
        if (fd < 0 && errno == ENOENT && !create)
            continue;
        int rc = fd < 0 || fchmod(fd, 0600) < 0 ? -errno : 0;
        if (fd >= 0)
            close(fd);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* The first row of a question that is answered by one or two integers. */
static int ask(struct ftx_database *db, const char *question, int64_t out[2])
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db->sqlite, question, -1, &statement, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW)
        for (int i = 0; i < 2; i++)
            out[i] = sqlite3_column_int64(statement, i);
    else if (rc == SQLITE_DONE)
        rc = SQLITE_CORRUPT;
    sqlite3_finalize(statement);
    return ftx_database_err(db, rc);
}

/* Looks, without changing it, whether the file is ours: *out_version is its schema's, 0: new. */
static int recognise(struct ftx_database *db, int64_t *out_version, const char **out_message)
{
    int64_t header[2], tables[2];
    int rc = ask(db,
                 "SELECT (SELECT application_id FROM pragma_application_id),"
                 "(SELECT user_version FROM pragma_user_version)",
                 header);
    if (rc == 0)
        rc = ask(db, "SELECT count(*), 0 FROM sqlite_schema", tables);
    if (rc < 0)
        return rc;
    bool is_new = header[0] == 0 && header[1] == 0 && tables[0] == 0;
    *out_version = header[1];
    if (is_new || (header[0] == APPLICATION_ID && header[1] >= 1 && header[1] <= SCHEMA_VERSION))
        return 0;
    *out_message = header[0] != APPLICATION_ID  ? text_foreign
                   : header[1] > SCHEMA_VERSION ? text_newer
                                                : text_damaged;
    return FTX_ECORRUPT;
}

/* What an older version (0: none) lacks. */
static int make_schema(struct ftx_database *db, int64_t version)
{
    char marks[96];
    snprintf(marks, sizeof marks, "PRAGMA application_id = %d; PRAGMA user_version = %d",
             APPLICATION_ID, SCHEMA_VERSION);
    int rc = ftx_database_begin(db, true);
    if (rc < 0)
        return rc;
    if (version < 1)
        rc = ftx_database_exec(db, schema);
    if (rc == 0 && version < 2)
        rc = ftx_database_exec(db, schema_2);
    if (rc == 0 && version < 4)
        rc = ftx_database_exec(db, schema_4);
    if (rc == 0 && version < 5)
        rc = ftx_database_exec(db, schema_5);
    if (rc == 0)
        rc = ftx_database_exec(db, marks);
    return ftx_database_end(db, rc);
}

/* A schema that does not take our statements is not the one that the header promised. */
static int prepare_all(struct ftx_database *db)
{
    for (size_t i = 0; i < FTX_SQL_COUNT; i++) {
        int rc = sqlite3_prepare_v3(db->sqlite, sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                                    &db->statements[i], NULL);
        if (rc != SQLITE_OK)
            return rc == SQLITE_ERROR ? FTX_ECORRUPT : ftx_database_err(db, rc);
    }
    return 0;
}

/* SQLite need not count what memory it takes: a lock for each piece. */
static void configure(void)
{
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

static int open_file(struct ftx_database *db, const char *path, const char **out_message)
{
    static pthread_once_t configured = PTHREAD_ONCE_INIT;
    int64_t version;
    pthread_once(&configured, configure);
    int rc = secure_files(path);
    if (rc < 0)
        return rc;
    rc = sqlite3_open_v2(path, &db->sqlite, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (!db->sqlite)
        return -ENOMEM;
    if (rc != SQLITE_OK)
        return ftx_database_err(db, rc);
    sqlite3_extended_result_codes(db->sqlite, 1);
    rc = recognise(db, &version, out_message);
    if (rc == 0)
        rc = ftx_database_exec(db, settings);
    if (rc == 0 && version < SCHEMA_VERSION)
        rc = make_schema(db, version);
    return rc < 0 ? rc : prepare_all(db);
}

int ftx_database_open(const char *path, struct ftx_database **out_db, uint64_t *out_journal_last,
                      uint64_t *out_next_item, const char **out_message)
{
    int64_t state[2], history[2];
    const char *message = NULL;
    struct ftx_database *db = calloc(1, sizeof *db);
    int rc = db ? open_file(db, path, &message) : -ENOMEM;
    if (rc == 0)
        rc = ask(db, "SELECT journal_last, next_item FROM state", state);
    if (rc == 0)
        rc = ask(db,
                 "SELECT coalesce((SELECT last FROM history ORDER BY first DESC LIMIT 1), 0), "
                 "coalesce((SELECT sum(length(changes)) FROM history), 0)",
                 history);
    if (rc < 0) {
        *out_message = message ? message : rc == FTX_ECORRUPT ? text_damaged : ftx_err_text(rc);
        ftx_database_close(db);
        return rc;
    }
    db->next_item = (uint64_t)state[1];
    db->history_last = (uint64_t)history[0];
    db->history_bytes = (uint64_t)history[1];
    db->history_max = UINT64_MAX;
    *out_db = db;
    *out_journal_last = (uint64_t)state[0];
    *out_next_item = db->next_item;
    return 0;
}

void ftx_database_close(struct ftx_database *db)
{
    if (!db)
        return;
    for (size_t i = 0; i < FTX_SQL_COUNT; i++)
        sqlite3_finalize(db->statements[i]);
    sqlite3_close(db->sqlite);
    free(db->batch.bytes);
    free(db->batch.images);
    free(db->history.bytes);
    free(db);
}

void ftx_database_rest(struct ftx_database *db)
{
    (void)sqlite3_db_release_memory(db->sqlite);
    free(db->batch.bytes);
    free(db->batch.images);
    db->batch = (struct ftx_batch){0};
    free(db->history.bytes);
    db->history = (struct ftx_history_batch){0};
}

uint64_t ftx_database_next_item(const struct ftx_database *db)
{
    return db->next_item;
}

uint64_t ftx_database_history_last(const struct ftx_database *db)
{
    return db->history_last;
}

void ftx_database_set_history_max(struct ftx_database *db, uint64_t max)
{
    db->history_max = max;
}

int ftx_database_commit(struct ftx_database *db, uint64_t journal_last, bool durable)
{
    uint64_t next_item = db->next_item, history_last = db->history_last;
    uint64_t history_bytes = db->history_bytes;
    int rc = ftx_database_begin(db, durable);
    if (rc == 0) {
        rc = ftx_database_write_batch(db, &next_item);
        if (rc == 0)
            rc = ftx_database_run(db, ftx_database_bind(db, FTX_SQL_PUT_STATE, 2,
                                                        (uint64_t[]){journal_last, next_item}));
        rc = ftx_database_end(db, rc);
    }
    db->batch.size = db->batch.n_images = 0;
    db->batch.contents_lost = false;
    db->history.size = 0;
    if (rc == 0) {
        db->next_item = next_item;
    } else {
        db->history_last = history_last;
        db->history_bytes = history_bytes;
    }
    return rc;
}
