/* SPDX-License-Identifier: MIT */
/* Rows to the visitor at the start. A value that no row of ours can hold is damage that SQLite did
 * not see: FTX_ECORRUPT. */
#include "fs/store/database_internal.h"
#include "transport/base/err.h"
#include "transport/wire/cursor.h"
#include "transport/session/scheduler.h"

#include <string.h>

typedef int (*row_fn)(sqlite3_stmt *row, const struct ftx_database_visitor *visitor, void *ctx);

/* Reads columns from left to right. */
struct columns {
    sqlite3_stmt *row;
    int next;
    bool bad;
};

static uint64_t get_int(struct columns *columns, uint64_t most)
{
    int column = columns->next++;
    uint64_t value = (uint64_t)sqlite3_column_int64(columns->row, column);
    if (sqlite3_column_type(columns->row, column) != SQLITE_INTEGER || value > most)
        columns->bad = true;
    return value;
}

/* Never NULL; it lives until the next row. */
static const void *get_blob(struct columns *columns, size_t *out_size)
{
    int column = columns->next++;
    const void *bytes = sqlite3_column_blob(columns->row, column);
    if (sqlite3_column_type(columns->row, column) != SQLITE_BLOB)
        columns->bad = true;
    *out_size = (size_t)sqlite3_column_bytes(columns->row, column);
    return bytes ? bytes : "";
}

static void get_text(struct columns *columns, char *out, size_t size)
{
    size_t length;
    const void *text = get_blob(columns, &length);
    if (length >= size)
        columns->bad = true;
    else
        memcpy(out, text, length); /* `out` was cleared */
}

static void get_key(struct columns *columns, uint8_t out[32])
{
    size_t size;
    const void *key = get_blob(columns, &size);
    if (size != 32)
        columns->bad = true;
    else
        memcpy(out, key, 32);
}

static int load_link(sqlite3_stmt *row, const struct ftx_database_visitor *visitor, void *ctx)
{
    struct columns columns = {.row = row};
    struct ftx_link_row link = {0};
    link.id = get_int(&columns, UINT64_MAX);
    link.role = (uint8_t)get_int(&columns, UINT8_MAX);
    link.state = (uint8_t)get_int(&columns, UINT8_MAX);
    link.guesses = (uint8_t)get_int(&columns, UINT8_MAX);
    link.enrolled = get_int(&columns, 1) != 0;
    link.session = get_int(&columns, UINT64_MAX);
    get_text(&columns, link.name, sizeof link.name);
    get_text(&columns, link.code, sizeof link.code);
    get_text(&columns, link.label, sizeof link.label);
    get_key(&columns, link.static_secret);
    get_key(&columns, link.static_public);
    get_key(&columns, link.peer_public);
    get_key(&columns, link.link_secret);
    link.op_seen = get_int(&columns, UINT64_MAX);
    link.op_acked = get_int(&columns, UINT64_MAX);
    int rc = columns.bad ? FTX_ECORRUPT : visitor->link(ctx, &link);
    explicit_bzero(&link, sizeof link);
    return rc;
}

static int load_member(sqlite3_stmt *row, const struct ftx_database_visitor *visitor, void *ctx)
{
    struct columns columns = {.row = row};
    uint64_t group = get_int(&columns, UINT64_MAX);
    uint64_t link = get_int(&columns, UINT64_MAX);
    return columns.bad ? FTX_ECORRUPT : visitor->member(ctx, group, link);
}

static int load_settings(sqlite3_stmt *row, const struct ftx_database_visitor *visitor, void *ctx)
{
    struct columns columns = {.row = row};
    struct ftx_link_settings settings = {0};
    uint64_t link = get_int(&columns, UINT64_MAX);
    settings.paused = get_int(&columns, 1) != 0;
    settings.priority = (uint8_t)get_int(&columns, FTX_PRIORITY_MAX);
    settings.accept = (uint8_t)get_int(&columns, FTX_ACCEPT_ASK);
    for (int box = 0; box < 2; box++)
        settings.limit[box].rest = get_int(&columns, INT64_MAX);
    settings.max_size = get_int(&columns, INT64_MAX);
    settings.max_files = get_int(&columns, INT64_MAX);
    for (int box = 0; box < 2; box++) {
        char times[FTX_TIMETABLE_TEXT] = "";
        get_text(&columns, times, sizeof times);
        columns.bad |= times[0] && ftx_timetable_parse(times, strlen(times), &settings.limit[box]);
    }
    for (int rule = 0; rule < FTX_RULES; rule++)
        get_text(&columns, settings.rules.text[rule], FTX_RULE_MAX);
    return columns.bad ? FTX_ECORRUPT : visitor->settings(ctx, link, &settings);
}

static int load_reach(sqlite3_stmt *row, const struct ftx_database_visitor *visitor, void *ctx)
{
    struct columns columns = {.row = row};
    struct ftx_link_reach reach = {0};
    size_t size;
    uint64_t link = get_int(&columns, UINT64_MAX);
    reach.told_s = get_int(&columns, INT64_MAX);
    const void *bytes = get_blob(&columns, &size);
    if (columns.bad || size % FTX_ADDRESS_ENTRY || size / FTX_ADDRESS_ENTRY > FTX_ADDRESSES_MAX)
        return FTX_ECORRUPT;
    reach.n = size / FTX_ADDRESS_ENTRY;
    struct ftx_reader r = ftx_reader(bytes, size);
    for (size_t i = 0; i < reach.n; i++) {
        memcpy(reach.at[i].address, ftx_read_bytes(&r, sizeof reach.at[i].address),
               sizeof reach.at[i].address);
        reach.at[i].port = ftx_read_u16(&r);
    }
    return visitor->reach(ctx, link, &reach);
}

static int load_item(sqlite3_stmt *row, const struct ftx_database_visitor *visitor, void *ctx)
{
    struct columns columns = {.row = row};
    struct ftx_item_row item;
    item.id = get_int(&columns, UINT64_MAX);
    item.link = get_int(&columns, UINT64_MAX);
    item.parent = get_int(&columns, UINT64_MAX);
    item.object = get_int(&columns, UINT64_MAX);
    item.remote = get_int(&columns, UINT64_MAX);
    item.base = get_int(&columns, UINT64_MAX);
    item.size = get_int(&columns, UINT64_MAX);
    item.mtime_ns = (int64_t)get_int(&columns, UINT64_MAX);
    item.ctime_ns = (int64_t)get_int(&columns, UINT64_MAX);
    item.mode = (uint32_t)get_int(&columns, 0777);
    item.version = (uint32_t)get_int(&columns, UINT32_MAX);
    item.box = (uint8_t)get_int(&columns, 1);
    item.kind = (uint8_t)get_int(&columns, 3);
    item.state = (uint8_t)get_int(&columns, UINT8_MAX);
    item.error = (uint8_t)get_int(&columns, UINT8_MAX);
    item.name = get_blob(&columns, &item.name_size);
    item.target = get_blob(&columns, &item.target_size);
    item.named_here = get_int(&columns, item.box) != 0; /* only in an inbox */
    return columns.bad || item.kind == 0 ? FTX_ECORRUPT : visitor->item(ctx, &item);
}

static int load_segment(sqlite3_stmt *row, const struct ftx_database_visitor *visitor, void *ctx)
{
    struct columns columns = {.row = row};
    struct ftx_segment segment = {0};
    uint64_t item = get_int(&columns, UINT64_MAX);
    segment.offset = get_int(&columns, INT64_MAX);
    segment.length = get_int(&columns, INT64_MAX - segment.offset);
    segment.kind = (uint8_t)get_int(&columns, FTX_SEGMENT_RELEASED);
    if (sqlite3_column_type(row, columns.next) != SQLITE_NULL) {
        size_t size;
        const void *hash = get_blob(&columns, &size);
        segment.hashed = size == sizeof segment.hash;
        if (segment.hashed)
            memcpy(segment.hash, hash, sizeof segment.hash);
        else
            columns.bad = true;
    }
    if (columns.bad || segment.length == 0 || segment.kind < FTX_SEGMENT_DATA)
        return FTX_ECORRUPT;
    return visitor->segment(ctx, item, &segment);
}

static int load_op(sqlite3_stmt *row, const struct ftx_database_visitor *visitor, void *ctx)
{
    struct columns columns = {.row = row};
    size_t size;
    uint64_t link = get_int(&columns, UINT64_MAX);
    uint64_t number = get_int(&columns, UINT64_MAX);
    const void *bytes = get_blob(&columns, &size);
    return columns.bad ? FTX_ECORRUPT : visitor->op(ctx, link, number, bytes, size);
}

static int load_trash(sqlite3_stmt *row, const struct ftx_database_visitor *visitor, void *ctx)
{
    return visitor->trash(ctx, (uint64_t)sqlite3_column_int64(row, 0));
}

static int load_xattr(sqlite3_stmt *row, const struct ftx_database_visitor *visitor, void *ctx)
{
    struct columns columns = {.row = row};
    struct ftx_xattr xattr;
    uint64_t item = get_int(&columns, UINT64_MAX);
    xattr.name = get_blob(&columns, &xattr.name_size);
    xattr.value = get_blob(&columns, &xattr.value_size);
    if (xattr.name_size == 0 || xattr.name_size > FTX_XATTR_NAME_MAX)
        columns.bad = true;
    return columns.bad ? FTX_ECORRUPT : visitor->xattr(ctx, item, &xattr);
}

static int load_table(struct ftx_database *db, const char *query, row_fn load,
                      const struct ftx_database_visitor *visitor, void *ctx)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db->sqlite, query, -1, &statement, NULL);
    int visited = 0;
    while (rc == SQLITE_OK && visited >= 0) {
        rc = sqlite3_step(statement);
        if (rc == SQLITE_ROW) {
            visited = load(statement, visitor, ctx);
            rc = SQLITE_OK;
        }
    }
    sqlite3_finalize(statement);
    return visited < 0 ? visited : ftx_database_err(db, rc);
}

int ftx_database_load(struct ftx_database *db, const struct ftx_database_visitor *visitor,
                      void *ctx)
{
    const struct {
        const char *query;
        row_fn load;
        bool wanted;
    } tables[] = {
        {"SELECT * FROM links ORDER BY id", load_link, visitor->link != NULL},
        {"SELECT * FROM members", load_member, visitor->member != NULL},
        {"SELECT * FROM settings", load_settings, visitor->settings != NULL},
        {"SELECT * FROM reach", load_reach, visitor->reach != NULL},
        {"SELECT * FROM items", load_item, visitor->item != NULL},
        {"SELECT * FROM segments ORDER BY item, offset", load_segment, visitor->segment != NULL},
        {"SELECT * FROM ops ORDER BY link, number", load_op, visitor->op != NULL},
        {"SELECT * FROM trash", load_trash, visitor->trash != NULL},
        {"SELECT * FROM xattrs", load_xattr, visitor->xattr != NULL},
    };
    /* each row is read once, and pages of the cache would leave holes between what it becomes */
    int rc = ftx_database_exec(db, "PRAGMA cache_size = " FTX_DATABASE_CACHE_LOADING);
    for (size_t i = 0; i < sizeof tables / sizeof *tables && rc == 0; i++)
        if (tables[i].wanted)
            rc = load_table(db, tables[i].query, tables[i].load, visitor, ctx);
    return rc ? rc : ftx_database_exec(db, "PRAGMA cache_size = " FTX_DATABASE_CACHE);
}
