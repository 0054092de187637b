/* SPDX-License-Identifier: MIT */
/* One change at a time: collected in store->entry under the lock, appended to the journal whole. */
#include "fs/store/change_log.h"

#include "fs/store/links.h"
#include "transport/base/err.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <time.h>

enum { ITEM_BLOCK = 4096 }; /* item numbers reserved at once */

int64_t ftx_time_ns(const struct timespec *time)
{
    return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

int64_t ftx_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return ftx_time_ns(&now);
}

int64_t ftx_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

uint32_t ftx_since_ms(void)
{
    return (uint32_t)ftx_now_ms() | 1;
}

uint64_t ftx_random_id(void)
{
    uint64_t id;
    do
        randombytes_buf(&id, sizeof id);
    while (id == 0);
    return id;
}

/* Waits under the lock until an entry has room. */
static int wait_for_room(struct ftx_store *store)
{
    while (store->flushing || ftx_journal_room(store->journal) < FTX_JOURNAL_ENTRY_MAX) {
        if (store->failed && !store->flushing)
            return store->failed;
        pthread_cond_signal(&store->work);
        pthread_cond_wait(&store->drained, &store->lock);
    }
    return 0;
}

int ftx_log_begin(struct ftx_log *log, struct ftx_store *store)
{
    ftx_log_lock(log, store);
    int err = wait_for_room(store);
    if (err)
        pthread_mutex_unlock(&store->lock);
    return err;
}

void ftx_log_lock(struct ftx_log *log, struct ftx_store *store)
{
    *log = (struct ftx_log){.store = store};
    pthread_mutex_lock(&store->lock);
}

bool ftx_log_try(struct ftx_log *log, struct ftx_store *store)
{
    *log = (struct ftx_log){.store = store};
    pthread_mutex_lock(&store->lock);
    if (!store->flushing && ftx_journal_room(store->journal) >= FTX_JOURNAL_ENTRY_MAX)
        return true;
    pthread_mutex_unlock(&store->lock);
    return false;
}

int ftx_log_room(struct ftx_log *log)
{
    return wait_for_room(log->store);
}

static void note(struct ftx_log *log, const struct ftx_change *change)
{
    struct ftx_store *store = log->store;
    size_t size = ftx_change_encode(change, store->entry, log->size, FTX_JOURNAL_ENTRY_MAX);
    if (size == 0) {
        ftx_log_flush(log);
        size = ftx_change_encode(change, store->entry, 0, FTX_JOURNAL_ENTRY_MAX);
        assert(size);
    }
    log->size = size;
}

void ftx_log_flush(struct ftx_log *log)
{
    struct ftx_store *store = log->store;
    if (log->size == 0)
        return;
    bool idle = store->appended == store->committed;
    while (ftx_journal_append(store->journal, store->entry, log->size, &store->appended)) {
        /* only a change of many entries gets here; nobody else may use store->entry meanwhile */
        store->flushing = true;
        pthread_cond_signal(&store->work);
        pthread_cond_wait(&store->drained, &store->lock);
    }
    if (store->flushing) {
        store->flushing = false;
        pthread_cond_broadcast(&store->drained);
    }
    log->size = 0;
    if (idle)
        pthread_cond_signal(&store->work);
}

uint64_t ftx_log_commit(struct ftx_log *log)
{
    struct ftx_store *store = log->store;
    ftx_log_flush(log);
    uint64_t number = store->appended;
    pthread_mutex_unlock(&store->lock);
    if (log->wake)
        store->events.wake(store->events_ctx);
    if (log->arrived)
        store->events.arrived(store->events_ctx);
    if (log->news)
        store->events.news(store->events_ctx);
    return number;
}

/* The link's box holds the item's set from now on in place of the one it had. */
static void replace_xattrs(struct ftx_item *item, struct ftx_xattrs *set)
{
    uint64_t *bytes = &item->link->xattr_bytes[item->box];
    *bytes += ftx_xattrs_bytes(set);
    *bytes -= ftx_xattrs_bytes(item->xattrs);
    free(item->xattrs);
    item->xattrs = set;
}

static void note_xattr(struct ftx_log *log, const struct ftx_item *item,
                       const struct ftx_xattr *xattr, uint64_t op)
{
    note(log, &(struct ftx_change){.kind = FTX_CHANGE_XATTR,
                                   .id = item->id,
                                   .number = op,
                                   .as.xattr = {item->link->row.id, ftx_item_wire(item), *xattr}});
    if (op)
        ftx_link_op(item->link, op)->entry = ftx_log_promise(log, item->link);
}

/* The operation in memory only: it goes into the journal with the attribute. */
static int push_xattr(struct ftx_log *log, const struct ftx_item *item,
                      const struct ftx_xattr *xattr, uint64_t *out_op)
{
    uint8_t bytes[FTX_OP_ENCODED_MAX];
    if (ftx_link_is_group(item->link))
        return 0;
    size_t size = ftx_op_encode_xattr(ftx_item_wire(item), xattr, bytes);
    uint64_t op = item->link->op_next;
    int err = ftx_link_push_op(item->link, bytes, size);
    if (err)
        return err;
    *out_op = op;
    log->wake = true;
    return 0;
}

int ftx_log_xattr_op(struct ftx_log *log, struct ftx_item *item, const struct ftx_xattr *xattr)
{
    uint64_t op = 0;
    int err = push_xattr(log, item, xattr, &op);
    if (!err)
        note_xattr(log, item, xattr, op);
    return err;
}

int ftx_log_xattr(struct ftx_log *log, struct ftx_item *item, const struct ftx_xattr *xattr,
                  bool tell)
{
    struct ftx_xattrs *set;
    int err = ftx_xattrs_with(item->xattrs, xattr, &set);
    if (err)
        return err;
    uint64_t op = 0;
    uint64_t others = item->link->xattr_bytes[item->box] - ftx_xattrs_bytes(item->xattrs);
    if (xattr->value && others + ftx_xattrs_bytes(set) > FTX_XATTRS_LINK_BYTES)
        err = -ENOSPC;
    if (!err && tell)
        err = push_xattr(log, item, xattr, &op);
    if (err) {
        free(set);
        return err;
    }
    if (item->linked || item->box == FTX_INBOX) /* else no row speaks of it any more */
        note_xattr(log, item, xattr, op);
    replace_xattrs(item, set);
    return 0;
}

void ftx_log_xattrs_gone(struct ftx_log *log, struct ftx_item *item)
{
    if (!item->xattrs)
        return;
    replace_xattrs(item, NULL);
    note(log, &(struct ftx_change){.kind = FTX_CHANGE_XATTRS_GONE, .id = item->id});
}

void ftx_log_xattrs_moved(struct ftx_log *log, struct ftx_item *from, struct ftx_item *to)
{
    if (!from->xattrs)
        return;
    to->xattrs = from->xattrs;
    from->xattrs = NULL;
    note(log,
         &(struct ftx_change){.kind = FTX_CHANGE_XATTRS_MOVED, .id = to->id, .number = from->id});
}

/* The item that a shadow will replace, as the row says it. */
static uint64_t base_of(const struct ftx_item *item)
{
    if (item->box == FTX_INBOX && item->kind == FTX_FILE && item->as.arriving &&
        item->as.arriving->base)
        return item->as.arriving->base->id;
    return 0;
}

void ftx_log_item(struct ftx_log *log, const struct ftx_item *item)
{
    if (ftx_item_is_root(item))
        return;
    struct ftx_change change = {.kind = FTX_CHANGE_ITEM, .id = item->id};
    struct ftx_item_row *row = &change.as.item;
    row->id = item->id;
    row->link = item->link->row.id;
    row->parent = item->parent && !ftx_item_is_root(item->parent) ? item->parent->id : 0;
    row->object = item->object;
    row->remote = item->remote;
    row->base = base_of(item);
    row->size = item->size;
    row->mtime_ns = item->mtime_ns;
    row->ctime_ns = item->ctime_ns;
    row->mode = item->mode;
    row->version = item->version;
    row->box = item->box;
    row->kind = item->kind;
    row->state = item->state;
    row->error = item->error;
    row->named_here = item->named_here;
    row->name = item->name;
    row->name_size = item->name_size;
    if (item->kind == FTX_SYMLINK) {
        row->target = item->as.target;
        row->target_size = item->size;
    }
    note(log, &change);
}

void ftx_log_item_gone(struct ftx_log *log, uint64_t id)
{
    note(log, &(struct ftx_change){.kind = FTX_CHANGE_ITEM_GONE, .id = id});
}

void ftx_log_segment(struct ftx_log *log, uint64_t item, const struct ftx_segment *segment)
{
    note(log, &(struct ftx_change){.kind = FTX_CHANGE_SEGMENT, .id = item, .as.segment = *segment});
}

void ftx_log_cut(struct ftx_log *log, uint64_t item, uint64_t offset, uint64_t length)
{
    note(log, &(struct ftx_change){
                  .kind = FTX_CHANGE_SEGMENT_CUT, .id = item, .as.range = {offset, length}});
}

void ftx_log_op_seen(struct ftx_log *log, const struct ftx_link *link, uint64_t number)
{
    note(log,
         &(struct ftx_change){.kind = FTX_CHANGE_OP_SEEN, .id = link->row.id, .number = number});
}

void ftx_log_ops_gone(struct ftx_log *log, const struct ftx_link *link, uint64_t number)
{
    note(log,
         &(struct ftx_change){.kind = FTX_CHANGE_OPS_GONE, .id = link->row.id, .number = number});
}

void ftx_log_trash(struct ftx_log *log, uint64_t object)
{
    if (!object)
        return;
    note(log, &(struct ftx_change){.kind = FTX_CHANGE_TRASH, .id = object});
}

void ftx_log_trash_gone(struct ftx_log *log, uint64_t object)
{
    note(log, &(struct ftx_change){.kind = FTX_CHANGE_TRASH_GONE, .id = object});
}

void ftx_log_history(struct ftx_log *log, const struct ftx_history_row *row)
{
    note(log, &(struct ftx_change){.kind = FTX_CHANGE_HISTORY, .as.history = *row});
}

uint64_t ftx_log_promise(struct ftx_log *log, const struct ftx_link *link)
{
    log->store->durable |= link->health == FTX_HEALTH_CONNECTED;
    return log->store->appended + 1;
}

int ftx_log_op(struct ftx_log *log, struct ftx_link *link, const struct ftx_op *op)
{
    uint8_t bytes[FTX_OP_ENCODED_MAX];
    if (ftx_link_is_group(link))
        return 0;
    size_t size = ftx_op_encode(op, bytes);
    uint64_t number = link->op_next;
    int err = ftx_link_push_op(link, bytes, size);
    if (err)
        return err;
    note(log, &(struct ftx_change){.kind = FTX_CHANGE_OP,
                                   .id = link->row.id,
                                   .number = number,
                                   .as.bytes = {bytes, size}});
    ftx_link_op(link, number)->entry = ftx_log_promise(log, link);
    log->wake = true;
    return 0;
}

uint64_t ftx_log_next_item(struct ftx_log *log)
{
    struct ftx_store *store = log->store;
    uint64_t id = store->next_item++;
    if (id >= store->reserved_item) {
        store->reserved_item = id + ITEM_BLOCK;
        note(log,
             &(struct ftx_change){.kind = FTX_CHANGE_NEXT_ITEM, .number = store->reserved_item});
    }
    return id;
}

void ftx_log_written(struct ftx_log *log, uint64_t object)
{
    struct ftx_store *store = log->store;
    store->durable = true;
    if (store->sync_all)
        return;
    for (size_t i = 0; i < store->n_written; i++)
        if (store->written[i] == object)
            return;
    if (store->n_written == FTX_SYNC_SINGLE_MAX)
        store->sync_all = true;
    else
        store->written[store->n_written++] = object;
}

void ftx_log_orphan(struct ftx_log *log, struct ftx_item *item)
{
    ftx_log_item_gone(log, item->id);
    ftx_log_trash(log, item->object);
    ftx_item_clear_remote(&log->store->index, item);
    ftx_item_reap(log, item);
}

/* The room of an outbox file is about to be gained. */
static void set_going(struct ftx_store *store, struct ftx_item *item, bool going)
{
    if (item->box != FTX_OUTBOX || !item->object)
        return;
    store->spool.n_going += going;
    store->spool.n_going -= item->going;
    item->going = going;
}

void ftx_trash_add(struct ftx_store *store, struct ftx_item *item)
{
    struct ftx_trash *trash = malloc(sizeof *trash);
    set_going(store, item, trash != NULL);
    item->going = false; /* its object is */
    if (!trash)
        return; /* the next start removes it */
    *trash =
        (struct ftx_trash){.object = item->object, .link = item->link->row.id, .box = item->box};
    ftx_list_init(&trash->node);
    ftx_list_append(&store->trash, &trash->node);
    pthread_cond_signal(&store->work);
}

void ftx_item_reap(struct ftx_log *log, struct ftx_item *item)
{
    struct ftx_store *store = log->store;
    if (item->linked || item->opened || !item->link || ftx_item_is_root(item))
        return;
    set_going(store, item, true);
    if (item->n_lookup)
        return;
    if (item->kind == FTX_FILE && item->as.sending && item->box == FTX_OUTBOX)
        return; /* the loop still has it: it comes here again */
    if (item->kind == FTX_FILE && item->as.arriving && item->box == FTX_INBOX)
        return;
    if (item->object)
        ftx_trash_add(store, item);
    replace_xattrs(item, NULL);
    ftx_item_free(&store->index, item);
}
