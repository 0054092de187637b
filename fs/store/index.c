/* SPDX-License-Identifier: MIT */
/* Three hash tables with chains through the items, and the folders' arrays of children. */
#include "fs/store/index.h"

#include "fs/store/released.h"

#include "fs/store/links.h"
#include "transport/wire/limits.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUCKETS_FIRST = 1024, GONE_MIN = 32 };

/* Names and numbers come from peers: without the key nobody can make them share one chain. */
static uint8_t hash_key[crypto_shorthash_KEYBYTES];

static void make_hash_key(void)
{
    crypto_shorthash_keygen(hash_key);
}

static uint64_t hash(const void *bytes, size_t size)
{
    uint64_t out;
    static_assert(sizeof out == crypto_shorthash_BYTES, "SipHash gives 64 bits");
    crypto_shorthash((uint8_t *)&out, bytes, size, hash_key);
    return out;
}

static uint64_t hash_id(uint64_t id)
{
    return id * UINT64_C(0x9e3779b97f4a7c15) >> 20; /* our own numbers */
}

static uint64_t hash_name(const struct ftx_item *parent, const char *name, size_t size)
{
    uint8_t bytes[sizeof parent->id + FTX_NAME_MAX];
    memcpy(bytes, &parent->id, sizeof parent->id);
    if (size > FTX_NAME_MAX)
        size = FTX_NAME_MAX; /* nothing has such a name */
    memcpy(bytes + sizeof parent->id, name, size);
    return hash(bytes, sizeof parent->id + size);
}

static uint64_t hash_remote(const struct ftx_link *link, uint64_t remote)
{
    uint64_t pair[] = {(uint64_t)(uintptr_t)link, remote};
    return hash(pair, sizeof pair);
}

static struct ftx_item *at(const struct ftx_index *index, uint32_t place)
{
    return ftx_item_pool_at(&index->items, place);
}

/* Which of an item's chains belongs to which table, and its hash there. */
enum chain { CHAIN_ID, CHAIN_NAME, CHAIN_REMOTE };

static uint32_t *chain_of(struct ftx_item *item, enum chain chain)
{
    switch (chain) {
    case CHAIN_ID:
        return &item->next_id;
    case CHAIN_NAME:
        return &item->next_name;
    default:
        return &item->next_remote;
    }
}

static uint64_t hash_of(const struct ftx_item *item, enum chain chain)
{
    switch (chain) {
    case CHAIN_ID:
        return hash_id(item->id);
    case CHAIN_NAME:
        return hash_name(item->parent, item->name, item->name_size);
    default:
        /* our own numbers are those of the store, a peer's those of its link */
        return hash_remote(item->box == FTX_OUTBOX ? NULL : item->link, item->remote);
    }
}

static uint32_t *bucket(const struct ftx_table *table, uint64_t hash)
{
    return &table->buckets[hash & (table->n_buckets - 1)];
}

static void chain_push(uint32_t *head, struct ftx_item *item, enum chain chain)
{
    *chain_of(item, chain) = *head;
    *head = item->place;
}

/* Doubles a table of two items a bucket; without memory it just stays slower. */
static void table_grow(const struct ftx_index *index, struct ftx_table *table, enum chain chain)
{
    struct ftx_table grown = {.n_buckets = 2 * table->n_buckets, .count = table->count};
    grown.buckets = calloc(grown.n_buckets, sizeof *grown.buckets);
    if (!grown.buckets)
        return;
    for (size_t i = 0; i < table->n_buckets; i++) {
        /* keep the order within a chain: find_remote wants the newest first */
        uint32_t reversed = 0;
        for (struct ftx_item *item = at(index, table->buckets[i]), *next; item; item = next) {
            next = at(index, *chain_of(item, chain));
            chain_push(&reversed, item, chain);
        }
        for (struct ftx_item *item = at(index, reversed), *next; item; item = next) {
            next = at(index, *chain_of(item, chain));
            chain_push(bucket(&grown, hash_of(item, chain)), item, chain);
        }
    }
    free(table->buckets);
    *table = grown;
}

static void table_add(const struct ftx_index *index, struct ftx_table *table, struct ftx_item *item,
                      enum chain chain)
{
    if (table->count >= 2 * table->n_buckets)
        table_grow(index, table, chain);
    chain_push(bucket(table, hash_of(item, chain)), item, chain);
    table->count++;
}

static void table_remove(const struct ftx_index *index, struct ftx_table *table,
                         struct ftx_item *item, enum chain chain)
{
    uint32_t *place = bucket(table, hash_of(item, chain));
    while (*place != item->place) {
        assert(*place); /* it stands in its table */
        place = chain_of(at(index, *place), chain);
    }
    *place = *chain_of(item, chain);
    *chain_of(item, chain) = 0;
    table->count--;
}

static int table_init(struct ftx_table *table)
{
    table->n_buckets = BUCKETS_FIRST;
    table->count = 0;
    table->buckets = calloc(table->n_buckets, sizeof *table->buckets);
    return table->buckets ? 0 : -ENOMEM;
}

int ftx_index_init(struct ftx_index *index)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_hash_key);
    memset(index, 0, sizeof *index);
    ftx_item_pool_init(&index->items);
    if (table_init(&index->by_id) || table_init(&index->by_name) || table_init(&index->by_remote)) {
        ftx_index_close(index);
        return -ENOMEM;
    }
    return 0;
}

void ftx_sending_free(struct ftx_sending *sending)
{
    if (!sending)
        return;
    ftx_segments_close(&sending->pending);
    ftx_segments_close(&sending->flying);
    XXH3_freeState(sending->tail_hash);
    free(sending);
}

/* Frees what the item owns. */
static void item_destroy(struct ftx_item *item)
{
    if (item->kind == FTX_FOLDER && item->as.folder) {
        free(item->as.folder->entries);
        free(item->as.folder->n_high);
        free(item->as.folder);
    } else if (item->kind == FTX_SYMLINK) {
        free(item->as.target);
    } else if (item->kind == FTX_FILE && item->box == FTX_OUTBOX) {
        ftx_sending_free(item->as.sending);
        ftx_released_free(item);
        free(item->prints);
    } else if (item->kind == FTX_FILE) {
        ftx_arriving_free(item->as.arriving);
    }
    free(item->xattrs);
    if (item->opened) { /* the store is closed under a program's handle */
        if (item->opened->fd >= 0)
            close(item->opened->fd);
        free(item->opened->prints);
        free(item->opened);
    }
    free(item->name);
}

void ftx_index_close(struct ftx_index *index)
{
    for (struct ftx_item *item = NULL; (item = ftx_item_next(index, item));)
        item_destroy(item);
    ftx_item_pool_close(&index->items);
    free(index->by_id.buckets);
    free(index->by_name.buckets);
    free(index->by_remote.buckets);
    memset(index, 0, sizeof *index);
}

struct ftx_item *ftx_item_new(struct ftx_index *index, uint64_t id, enum ftx_kind kind,
                              enum ftx_box box, struct ftx_link *link)
{
    struct ftx_item *item = ftx_item_pool_get(&index->items);
    if (!item)
        return NULL;
    item->id = id;
    item->kind = kind & 3;
    item->box = box & 1;
    item->link = link;
    if (kind == FTX_FOLDER) {
        item->as.folder = calloc(1, sizeof *item->as.folder);
        if (!item->as.folder) {
            ftx_item_pool_put(&index->items, item);
            return NULL;
        }
    }
    table_add(index, &index->by_id, item, CHAIN_ID);
    if (link)
        link->n_items[box]++;
    return item;
}

void ftx_item_free(struct ftx_index *index, struct ftx_item *item)
{
    assert(!item->linked);
    ftx_item_clear_remote(index, item);
    table_remove(index, &index->by_id, item, CHAIN_ID);
    if (item->link)
        item->link->n_items[item->box]--;
    item_destroy(item);
    ftx_item_pool_put(&index->items, item);
}

struct ftx_item *ftx_item_find(const struct ftx_index *index, uint64_t id)
{
    struct ftx_item *item = at(index, *bucket(&index->by_id, hash_id(id)));
    while (item && item->id != id)
        item = at(index, item->next_id);
    return item;
}

struct ftx_item *ftx_item_next(const struct ftx_index *index, const struct ftx_item *item)
{
    return ftx_item_after(index, item ? item->place : 0);
}

struct ftx_item *ftx_item_after(const struct ftx_index *index, uint32_t place)
{
    return ftx_item_pool_after(&index->items, place);
}

struct ftx_item *ftx_item_lookup(const struct ftx_index *index, const struct ftx_item *parent,
                                 const char *name, size_t size)
{
    struct ftx_item *item = at(index, *bucket(&index->by_name, hash_name(parent, name, size)));
    while (item && (item->parent != parent || item->name_size != size ||
                    memcmp(item->name, name, size) != 0))
        item = at(index, item->next_name);
    return item;
}

/* Drops the entries that are gone once they are the larger half. */
static void folder_compact(struct ftx_folder *folder)
{
    if (folder->n_gone < GONE_MIN || folder->n_gone < folder->n / 2)
        return;
    size_t kept = 0;
    for (size_t i = 0; i < folder->n; i++)
        if (folder->entries[i].item)
            folder->entries[kept++] = folder->entries[i];
    folder->n = kept;
    folder->n_gone = 0;
}

static int folder_reserve(struct ftx_folder *folder)
{
    if (folder->n < folder->capacity)
        return 0;
    size_t capacity = folder->capacity ? folder->capacity + folder->capacity / 2 + 4 : 4;
    struct ftx_folder_entry *grown = realloc(folder->entries, capacity * sizeof *grown);
    if (!grown)
        return -ENOMEM;
    folder->entries = grown;
    folder->capacity = capacity;
    return 0;
}

/* Index of the first entry with a cookie greater than `cookie`. */
static size_t folder_search(const struct ftx_folder *folder, uint64_t cookie)
{
    size_t low = 0, high = folder->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (folder->entries[middle].cookie <= cookie)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int heights_reserve(struct ftx_folder *folder)
{
    if (!folder->n_high)
        folder->n_high = calloc(FTX_DEPTH_MAX + 1, sizeof *folder->n_high);
    return folder->n_high ? 0 : -ENOMEM;
}

/* Room for what will be counted in the folders above, and in `parent` itself if `item` is high. */
static int reserve(struct ftx_item *parent, const struct ftx_item *item)
{
    int err = folder_reserve(parent->as.folder);
    if (!err && item && item->kind == FTX_FOLDER && item->as.folder->height)
        err = heights_reserve(parent->as.folder);
    for (struct ftx_item *up = parent->parent; up && !err; up = up->parent)
        err = heights_reserve(up->as.folder);
    return err;
}

/* A child folder of this one had height `old` (0: nothing to count) and has `now`. */
static void count_height(struct ftx_folder *folder, unsigned old, unsigned now)
{
    if (old)
        folder->n_high[old]--;
    if (now)
        folder->n_high[now]++;
}

static uint8_t height_of(const struct ftx_folder *folder)
{
    for (unsigned high = folder->n_high ? FTX_DEPTH_MAX : 0; high > 0; high--)
        if (folder->n_high[high])
            return high < FTX_DEPTH_MAX ? (uint8_t)(high + 1) : FTX_DEPTH_MAX;
    return folder->n > folder->n_gone;
}

/* The children of the folder changed: its height, and those above. */
static void update_heights(struct ftx_item *item)
{
    while (item) {
        struct ftx_folder *folder = item->as.folder;
        unsigned old = folder->height, now = height_of(folder);
        if (now == old)
            return;
        folder->height = (uint8_t)now;
        item = item->parent;
        if (item)
            count_height(item->as.folder, old, now);
    }
}

int ftx_item_prepare(struct ftx_item *parent, const struct ftx_item *item, const char *name,
                     size_t size, char **out_name)
{
    char *copy = malloc(size + 1);
    if (!copy || reserve(parent, item)) {
        free(copy);
        return -ENOMEM;
    }
    memcpy(copy, name, size);
    copy[size] = '\0';
    *out_name = copy;
    return 0;
}

void ftx_item_place(struct ftx_index *index, struct ftx_item *item, struct ftx_item *parent,
                    char *name, size_t size)
{
    assert(!item->linked && parent->kind == FTX_FOLDER);
    struct ftx_folder *folder = parent->as.folder;
    assert(folder->n < folder->capacity);
    free(item->name);
    item->name = name;
    item->name_size = (uint8_t)size;
    item->parent = parent;
    item->cookie = ++folder->next_cookie;
    item->linked = true;
    folder->entries[folder->n++] = (struct ftx_folder_entry){item->cookie, item};
    folder->n_folders += item->kind == FTX_FOLDER;
    table_add(index, &index->by_name, item, CHAIN_NAME);
    if (item->kind == FTX_FOLDER)
        count_height(folder, 0, item->as.folder->height);
    update_heights(parent);
}

int ftx_item_link(struct ftx_index *index, struct ftx_item *item, struct ftx_item *parent,
                  const char *name, size_t size)
{
    char *copy;
    int err = ftx_item_prepare(parent, item, name, size, &copy);
    if (!err)
        ftx_item_place(index, item, parent, copy, size);
    return err;
}

int ftx_item_link_named(struct ftx_index *index, struct ftx_item *item, struct ftx_item *parent)
{
    if (reserve(parent, item))
        return -ENOMEM;
    char *name = item->name;
    item->name = NULL; /* what place would free */
    ftx_item_place(index, item, parent, name, item->name_size);
    return 0;
}

void ftx_item_unlink(struct ftx_index *index, struct ftx_item *item)
{
    assert(item->linked);
    struct ftx_folder *folder = item->parent->as.folder;
    table_remove(index, &index->by_name, item, CHAIN_NAME);
    folder->entries[folder_search(folder, item->cookie - 1)].item = NULL;
    folder->n_gone++;
    folder->n_folders -= item->kind == FTX_FOLDER;
    if (item->kind == FTX_FOLDER)
        count_height(folder, item->as.folder->height, 0);
    folder_compact(folder);
    update_heights(item->parent);
    item->parent = NULL;
    item->linked = false;
}

void ftx_item_set_remote(struct ftx_index *index, struct ftx_item *item, uint64_t remote)
{
    ftx_item_clear_remote(index, item);
    item->remote = remote;
    if (remote)
        table_add(index, &index->by_remote, item, CHAIN_REMOTE);
}

void ftx_item_clear_remote(struct ftx_index *index, struct ftx_item *item)
{
    if (item->remote)
        table_remove(index, &index->by_remote, item, CHAIN_REMOTE);
    item->remote = 0;
}

struct ftx_item *ftx_item_find_remote(const struct ftx_index *index, const struct ftx_link *link,
                                      uint64_t remote)
{
    struct ftx_item *item = at(index, *bucket(&index->by_remote, hash_remote(link, remote)));
    while (item && (item->remote != remote || item->link != link || item->box != FTX_INBOX))
        item = at(index, item->next_remote);
    return item;
}

uint64_t ftx_item_wire(const struct ftx_item *item)
{
    return item->remote ? item->remote : item->id;
}

struct ftx_item *ftx_item_find_wire(const struct ftx_index *index, uint64_t wire)
{
    struct ftx_item *item = at(index, *bucket(&index->by_remote, hash_remote(NULL, wire)));
    while (item && (item->remote != wire || item->box != FTX_OUTBOX))
        item = at(index, item->next_remote);
    if (!item)
        item = ftx_item_find(index, wire);
    bool travels = item && item->link && item->box == FTX_OUTBOX && ftx_item_wire(item) == wire &&
                   !ftx_item_stays(item);
    return travels ? item : NULL;
}

struct ftx_item *ftx_folder_after(const struct ftx_item *item, uint64_t cookie)
{
    if (item->kind != FTX_FOLDER)
        return NULL;
    const struct ftx_folder *folder = item->as.folder;
    for (size_t i = folder_search(folder, cookie); i < folder->n; i++)
        if (folder->entries[i].item)
            return folder->entries[i].item;
    return NULL;
}

size_t ftx_folder_count(const struct ftx_item *folder)
{
    return folder->as.folder->n - folder->as.folder->n_gone;
}

bool ftx_item_is_root(const struct ftx_item *item)
{
    return !item->link || (item->parent && !item->parent->link);
}

const struct ftx_item *ftx_item_top(const struct ftx_item *item)
{
    while (item->parent && !ftx_item_is_root(item->parent))
        item = item->parent;
    return item;
}

bool ftx_item_is_top(const struct ftx_item *item)
{
    return item->linked && !ftx_item_is_root(item) && ftx_item_is_root(item->parent);
}

const char *ftx_item_path(const struct ftx_item *item, char *out, size_t size, size_t *out_size)
{
    if (size == 0)
        return NULL;
    size_t at = size - 1;
    out[at] = '\0';
    for (; item->link; item = item->parent) {
        if (!item->linked || at <= item->name_size)
            return NULL;
        at -= item->name_size;
        memcpy(out + at, item->name, item->name_size);
        out[--at] = '/';
    }
    const char *box = item->box == FTX_OUTBOX ? "outbox" : "inbox";
    size_t n = strlen(box);
    if (n > at)
        return NULL;
    at -= n;
    memcpy(out + at, box, n);
    *out_size = size - 1 - at;
    return out + at;
}

unsigned ftx_item_depth(const struct ftx_item *item)
{
    unsigned depth = 0;
    for (; item && !ftx_item_is_root(item); item = item->parent)
        depth++;
    return depth;
}

unsigned ftx_item_height(const struct ftx_item *item)
{
    return item->kind == FTX_FOLDER ? item->as.folder->height : 0;
}

bool ftx_item_below(const struct ftx_item *item, const struct ftx_item *folder)
{
    while (item && item != folder)
        item = item->parent;
    return item == folder;
}
