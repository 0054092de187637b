/* SPDX-License-Identifier: MIT */
/*
 * The outbox's contents could not be synced: the disk may have lost any that no earlier sync put
 * there. What has a hash is compared when it is sent. What was overwritten or cut has none until
 * then, and would go out as whatever the disk gives back: it gets one that no bytes have, so its
 * file turns failed.
 *
 * Marked before a commit lets a seal leave, and noted with that, or a kill would take it: as far as
 * the journal has room. What is left notes the loop, which may wait for it.
 */
#include "fs/store/outbox.h"

#include "fs/store/change_log.h"
#include "fs/store/links.h"
#include "fs/store/mirror.h"

#include <string.h>

static const uint8_t no_hash[sizeof((struct ftx_segment *)0)->hash];

/* Was it written since the last sync that it waited for? */
static bool is_unsynced(const struct ftx_store *store, const struct ftx_sending *sending)
{
    return sending->item->state == FTX_ITEM_WRITING ||
           (sending->item->state == FTX_ITEM_CLOSED && sending->closed > store->durable_at);
}

static void doubt(struct ftx_sending *sending)
{
    for (struct ftx_segment *segment = ftx_segments_at(&sending->pending, 0); segment;
         segment = ftx_segments_at(&sending->pending, segment->offset + segment->length)) {
        if (segment->kind != FTX_SEGMENT_DATA || segment->hashed)
            continue;
        memcpy(segment->hash, no_hash, sizeof segment->hash);
        segment->hashed = true;
        segment->tag = 0;
        if (segment->state == FTX_PENDING_OPEN) /* being written: this stands if that fails */
            continue;
        segment->state = FTX_PENDING_DUE; /* what was read of it may be what the disk lost */
        sending->scan = 0;
    }
}

static bool has_contents(const struct ftx_item *item)
{
    return item->link && item->box == FTX_OUTBOX && item->kind == FTX_FILE && item->object;
}

void ftx_outbox_distrust(struct ftx_store *store, uint64_t id)
{
    for (struct ftx_item *item = NULL; (item = ftx_item_next(&store->index, item));)
        item->unsure |= (id == 0 || item->id == id) && has_contents(item);
}

bool ftx_outbox_distrusted(const struct ftx_store *store)
{
    for (struct ftx_item *item = NULL; (item = ftx_item_next(&store->index, item));)
        if (item->unsure)
            return true;
    return false;
}

static void doubt_all(struct ftx_store *store, uint64_t id)
{
    ftx_outbox_distrust(store, id);
    ftx_store_distrust(store);
    for (struct ftx_list *l = store->links.next; l != &store->links; l = l->next) {
        struct ftx_list *sendings = &ftx_list_of(l, struct ftx_link, node)->sendings;
        for (struct ftx_list *node = sendings->next; node != sendings; node = node->next) {
            struct ftx_sending *sending = ftx_list_of(node, struct ftx_sending, all);
            const struct ftx_item *contents = ftx_mirror_contents(store, sending->item);
            if ((id == 0 || contents->id == id) && is_unsynced(store, sending))
                doubt(sending);
        }
    }
    store->doubted = true;
}

static bool is_doubted(const struct ftx_segment *segment)
{
    return segment->kind == FTX_SEGMENT_DATA && segment->hashed &&
           memcmp(segment->hash, no_hash, sizeof no_hash) == 0;
}

/* False: the journal's entry is full, and this must not `wait` for another. */
static bool note(struct ftx_log *log, struct ftx_sending *sending, bool wait)
{
    const struct ftx_segment *segment;
    bool any = false;
    for (uint64_t at = 0; (segment = ftx_segments_at(&sending->pending, at)) != NULL;) {
        if (!wait && log->size + FTX_CHANGE_MAX > FTX_JOURNAL_ENTRY_MAX)
            return false;
        struct ftx_segment copy = *segment; /* the journal may give the lock away */
        at = copy.offset + copy.length;
        if (!is_doubted(&copy))
            continue;
        ftx_log_segment(log, sending->item->id, &copy);
        any = true;
    }
    if (any)
        ftx_sending_due(log, sending);
    return true;
}

static void note_all(struct ftx_log *log, bool wait)
{
    struct ftx_store *store = log->store;
    for (struct ftx_list *l = store->links.next; store->doubted && l != &store->links;
         l = l->next) {
        struct ftx_list *sendings = &ftx_list_of(l, struct ftx_link, node)->sendings;
        for (struct ftx_list *node = sendings->next; node != sendings; node = node->next)
            if (!note(log, ftx_list_of(node, struct ftx_sending, all), wait))
                return;
    }
    store->doubted = false;
}

void ftx_outbox_note_doubts(struct ftx_log *log)
{
    note_all(log, true);
}

void ftx_outbox_doubt(struct ftx_store *store, uint64_t id)
{
    struct ftx_log log;
    bool room = ftx_log_try(&log, store);
    if (!room)
        ftx_log_lock(&log, store);
    doubt_all(store, id);
    if (room)
        note_all(&log, false);
    log.wake = true;
    ftx_log_commit(&log);
}

void ftx_outbox_synced(struct ftx_store *store)
{
    pthread_mutex_lock(&store->lock);
    store->spool.unsynced = store->spool.written;
    pthread_mutex_unlock(&store->lock);
}
