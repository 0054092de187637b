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

/* The n-th name for an item that steps aside: NAME.kept, NAME.kept2 ... Returns its size. */
static size_t kept_name(const struct ftx_item *item, uint64_t n, char out[FTX_NAME_MAX + 1])
{
    char mark[32];
    int mark_size = snprintf(mark, sizeof mark, n == 1 ? ".kept" : ".kept%" PRIu64, n);
    size_t most = FTX_NAME_MAX - (size_t)mark_size;
    size_t own = item->name_size < most ? item->name_size : most;
    memcpy(out, item->name, own);
    memcpy(out + own, mark, (size_t)mark_size);
    return own + (size_t)mark_size;
}

static bool kept_taken(const struct ftx_store *store, const struct ftx_item *item,
                       const struct ftx_item *parent, uint64_t n)
{
    char name[FTX_NAME_MAX + 1];
    size_t size = kept_name(item, n, name);
    return ftx_item_lookup(&store->index, parent, name, size) != NULL;
}

/* The number of a name that is free while the one before it is taken. A peer can make any number
 * of them, so they are not tried one after the other. */
static uint64_t kept_number(const struct ftx_store *store, const struct ftx_item *item,
                            const struct ftx_item *parent)
{
    uint64_t taken = 0, free_one = 1;
    while (kept_taken(store, item, parent, free_one)) {
        taken = free_one;
        free_one *= 2;
    }
    while (free_one - taken > 1) {
        uint64_t middle = taken + (free_one - taken) / 2;
        if (kept_taken(store, item, parent, middle))
            taken = middle;
        else
            free_one = middle;
    }
    return free_one;
}

/*
 * Puts an item into a folder under a name that is free there: the one that it had is needed. What
 * had its name from the sender is its receiver's own from then on; what was named here is not where
 * the sender has it anyway, and goes on arriving.
 */
static int step_aside(struct ftx_log *log, struct ftx_item *item, struct ftx_item *parent)
{
    struct ftx_store *store = log->store;
    char name[FTX_NAME_MAX + 1], *copy;
    size_t size = kept_name(item, kept_number(store, item, parent), name);
    int err = ftx_item_prepare(parent, item, name, size, &copy);
    if (err)
        return err;
    if (!item->named_here)
        ftx_item_clear_remote(&store->index, item);
    item->named_here = true;
    ftx_inbox_rename_to(log, item, parent, copy, size);
    ftx_log_item(log, item);
    return 0;
}

/* What is kept in folder `from` goes into folder `to`, which takes its place; of two that have the
 * same name from the sender the one in `to` wins. `from` is empty then. -ENOMEM: some of it has
 * gone. */
static int merge(struct ftx_log *log, struct ftx_item *from, struct ftx_item *to)
{
    struct ftx_store *store = log->store;
    uint64_t cookie = 0;
    for (struct ftx_item *child; (child = ftx_folder_after(from, cookie));) {
        cookie = child->cookie;
        struct ftx_item *there = ftx_item_lookup(&store->index, to, child->name, child->name_size);
        char *name;
        int err = 0;
        if (there && (there->named_here || child->named_here)) {
            err = step_aside(log, child, to);
        } else if (there) {
            if (there->kind == FTX_FOLDER && child->kind == FTX_FOLDER)
                err = merge(log, child, there);
            if (!err) {
                log->news |= ftx_news_gone(store, child);
                ftx_inbox_drop(log, child);
            }
        } else {
            err = ftx_item_prepare(to, child, child->name, child->name_size, &name);
            if (!err) {
                ftx_inbox_rename_to(log, child, to, name, child->name_size);
                ftx_log_item(log, child);
            }
        }
        if (err)
            return err;
    }
    return 0;
}

/* May something take the place of what stands under its name? What was delivered is not lost for a
 * name, nor is what got that name here: its sender meant another. */
static bool may_replace(const struct ftx_item *there)
{
    return !there ||
           (!there->named_here && (there->kind != FTX_FOLDER || ftx_folder_count(there) == 0));
}

int ftx_inbox_make_way(struct ftx_log *log, struct ftx_item *there, struct ftx_item *comes)
{
    if (may_replace(there))
        return 0;
    bool merges =
        !there->named_here && comes && comes->kind == FTX_FOLDER && !ftx_item_below(comes, there);
    return merges ? merge(log, there, comes) : step_aside(log, there, there->parent);
}
