/* SPDX-License-Identifier: MIT */
/* Names of the inbox that are needed for something else. */
#include "fs/store/inbox_aside.h"

#include "fs/store/change_log.h"
#include "fs/store/inbox.h"
#include "fs/store/news.h"
#include "transport/wire/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ftx_inbox_rename_to(struct ftx_log *log, struct ftx_item *item, struct ftx_item *parent,
                         char *name, size_t size)
{
    struct ftx_store *store = log->store;
    struct ftx_item *from = item->linked ? item->parent : NULL;
    char *old_name = NULL;
    if (from) {
        ftx_item_unlink(&store->index, item);
        old_name = item->name;
        item->name = NULL;
    }
    ftx_item_place(&store->index, item, parent, name, size);
    log->news |= from ? ftx_news_moved(store, item, from, old_name) : ftx_news_made(store, item);
    free(old_name);
}

/* What is kept in folder `from` goes into folder `to`, which takes its place; what `to` has itself
 * wins. `from` is empty then. -ENOMEM: some of it has gone. */
static int merge(struct ftx_log *log, struct ftx_item *from, struct ftx_item *to)
{
    struct ftx_store *store = log->store;
    uint64_t cookie = 0;
    for (struct ftx_item *child; (child = ftx_folder_after(from, cookie));) {
        cookie = child->cookie;
        struct ftx_item *there = ftx_item_lookup(&store->index, to, child->name, child->name_size);
        char *name;
        if (there && there->kind == FTX_FOLDER && child->kind == FTX_FOLDER) {
            int err = merge(log, child, there);
            if (err)
                return err;
        }
        if (there) {
            log->news |= ftx_news_gone(store, child);
            ftx_inbox_drop(log, child);
            continue;
        }
        int err = ftx_item_prepare(to, child, child->name, child->name_size, &name);
        if (err)
            return err;
        ftx_inbox_rename_to(log, child, to, name, child->name_size);
        ftx_log_item(log, child);
    }
    return 0;
}

/* The n-th name for a folder that steps aside: NAME.kept, NAME.kept2 ... Returns its size. */
static size_t kept_name(const struct ftx_item *folder, uint64_t n, char out[FTX_NAME_MAX + 1])
{
    char mark[32];
    int mark_size = snprintf(mark, sizeof mark, n == 1 ? ".kept" : ".kept%" PRIu64, n);
    size_t most = FTX_NAME_MAX - (size_t)mark_size;
    size_t own = folder->name_size < most ? folder->name_size : most;
    memcpy(out, folder->name, own);
    memcpy(out + own, mark, (size_t)mark_size);
    return own + (size_t)mark_size;
}

static bool kept_taken(const struct ftx_store *store, const struct ftx_item *folder, uint64_t n)
{
    char name[FTX_NAME_MAX + 1];
    size_t size = kept_name(folder, n, name);
    return ftx_item_lookup(&store->index, folder->parent, name, size) != NULL;
}

/* The number of a name that is free while the one before it is taken. A peer can make any number
 * of them, so they are not tried one after the other. */
static uint64_t kept_number(const struct ftx_store *store, const struct ftx_item *folder)
{
    uint64_t taken = 0, free_one = 1;
    while (kept_taken(store, folder, free_one)) {
        taken = free_one;
        free_one *= 2;
    }
    while (free_one - taken > 1) {
        uint64_t middle = taken + (free_one - taken) / 2;
        if (kept_taken(store, folder, middle))
            taken = middle;
        else
            free_one = middle;
    }
    return free_one;
}

/* Gives a folder with kept files another name: its own is needed. */
static int move_aside(struct ftx_log *log, struct ftx_item *folder)
{
    struct ftx_store *store = log->store;
    struct ftx_item *parent = folder->parent;
    char name[FTX_NAME_MAX + 1], *copy;
    size_t size = kept_name(folder, kept_number(store, folder), name);
    int err = ftx_item_prepare(parent, folder, name, size, &copy);
    if (err)
        return err;
    ftx_inbox_rename_to(log, folder, parent, copy, size);
    ftx_item_clear_remote(&store->index, folder);
    ftx_log_item(log, folder);
    return 0;
}

/* May something take the place of what stands under its name? What was delivered is not lost for a
 * name. */
static bool may_replace(const struct ftx_item *there)
{
    return !there || there->kind != FTX_FOLDER || ftx_folder_count(there) == 0;
}

int ftx_inbox_make_way(struct ftx_log *log, struct ftx_item *there, struct ftx_item *comes)
{
    if (may_replace(there))
        return 0;
    bool merges = comes && comes->kind == FTX_FOLDER && !ftx_item_below(comes, there);
    return merges ? merge(log, there, comes) : move_aside(log, there);
}
