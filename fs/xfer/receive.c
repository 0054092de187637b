/* SPDX-License-Identifier: MIT */
/*
 * The receiving half of a transfer. A record that came is one job: operations change the index as
 * they are read; its extents are written by a worker; its seals are judged after that. It is
 * durable when the journal entries it made are committed and its seals are done.
 */
#include "fs/xfer/inbound.h"

#include "fs/store/ops.h"
#include "transport/base/err.h"
#include "transport/base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct ftx_inbound_record *taking_in(struct ftx_transfer *t)
{
    if (t->record)
        return t->record;
    t->record = calloc(1, sizeof *t->record);
    if (t->record) {
        t->record->transfer = t;
        t->record->generation = t->generation;
        ftx_list_init(&t->record->node);
    }
    return t->record;
}

void ftx_inbound_free(struct ftx_inbound_record *r)
{
    ftx_list_remove(&r->node);
    if (r->transfer->peer)
        ftx_peer_release(r->transfer->peer, r->held);
    if (r->whole)
        ftx_block_free(r->whole);
    free(r->pieces);
    free(r->seals);
    free(r->check);
    free(r->rules);
    free(r);
}

void ftx_inbound_need(struct ftx_inbound_record *r, uint64_t entry)
{
    if (entry > r->need)
        r->need = entry;
}

void *ftx_inbound_grow(void *array, size_t n, size_t *capacity, size_t size)
{
    if (n < *capacity)
        return array;
    size_t bigger = *capacity ? 2 * *capacity : 4;
    void *grown = realloc(array, bigger * size);
    if (grown)
        *capacity = bigger;
    return grown;
}

/* -- what the engine tells -- */

enum { REFUSED_KEPT = 4096 };

int ftx_inbound_refuse(struct ftx_transfer *t, uint64_t item, uint8_t reason)
{
    if (!t->refused)
        t->refused = calloc(REFUSED_KEPT, sizeof *t->refused);
    if (!t->refused)
        return -ENOMEM;
    t->refused[t->n_refused++ % REFUSED_KEPT] =
        (struct ftx_refused){.item = item, .reason = reason};
    return ftx_engine_refuse(t->engine, item, reason);
}

/* It was taken after all: made again, or moved. Other operations take nothing, nor does a MOVE of what
 * is not here. */
static void forget_refused(struct ftx_transfer *t, uint64_t item, uint8_t kind)
{
    if (!t->n_refused || (kind != FTX_OP_MAKE && kind != FTX_OP_MOVE) ||
        !ftx_inbox_has(t->store, t->link, item))
        return;
    size_t n = t->n_refused < REFUSED_KEPT ? t->n_refused : REFUSED_KEPT;
    for (size_t i = 0; i < n; i++)
        if (t->refused[i].item == item)
            t->refused[i].item = 0;
}

int ftx_inbound_deny(struct ftx_transfer *t, uint64_t item, uint64_t stream)
{
    ftx_inbox_deny(t->store, item);
    return ftx_inbound_refuse(t, stream, FTX_REFUSED_TYPE);
}

int ftx_inbound_rules(struct ftx_inbound_record *r)
{
    struct ftx_rules rules;
    if (r->rules || !ftx_link_looks(r->transfer->store, r->transfer->link, &rules))
        return 0;
    r->rules = malloc(sizeof *r->rules);
    if (!r->rules)
        return -ENOMEM;
    *r->rules = rules;
    return 0;
}

static void refuse_again(struct ftx_transfer *t)
{
    size_t n = t->n_refused < REFUSED_KEPT ? t->n_refused : REFUSED_KEPT;
    for (size_t i = 0; i < n; i++)
        if (t->refused[i].item)
            (void)ftx_engine_refuse(t->engine, t->refused[i].item, t->refused[i].reason);
}

bool ftx_receive_hold(void *ctx, uint64_t *out_item)
{
    struct ftx_transfer *t = ctx;
    return ftx_offers_next(t->store, t->link, out_item);
}

bool ftx_transfer_answer(struct ftx_transfer *t)
{
    struct ftx_answer answer;
    bool any = false;
    while (t->engine && ftx_answer_next(t->store, t->link, &answer)) {
        int err = answer.refused ? ftx_inbound_refuse(t, answer.remote, answer.refused)
                                 : ftx_engine_take(t->engine, answer.remote);
        if (err)
            break; /* too many wait: at the next turn */
        ftx_answer_told(t->store, t->link);
        any = true;
    }
    return any;
}

int ftx_receive_apply(void *ctx, uint64_t number, const uint8_t *op, size_t size)
{
    struct ftx_transfer *t = ctx;
    struct ftx_inbound_record *r = taking_in(t);
    if (!r)
        return -ENOMEM;
    uint64_t entry, item;
    uint8_t refused;
    int err = ftx_inbox_apply(t->store, t->link, number, op, size, ftx_xfer_links(t->xfer), &entry,
                              &item, &refused);
    if (err)
        return err;
    r->effect = true;
    ftx_inbound_need(r, entry);
    if (!refused) {
        forget_refused(t, item, op[0]);
        return 0;
    }
    if (refused == FTX_REFUSED_FOLDER) /* who hears first that it is gone does not make it again */
        (void)ftx_transfer_tell_removed(t);
    return ftx_inbound_refuse(t, item, refused);
}

/* One more piece in the record being taken in; NULL without memory. */
static struct ftx_inbound_piece *next_piece(struct ftx_transfer *t,
                                            const struct ftx_content *content)
{
    struct ftx_inbound_record *r = taking_in(t);
    struct ftx_inbound_piece *pieces =
        r ? ftx_inbound_grow(r->pieces, r->n_pieces, &r->pieces_capacity, sizeof *r->pieces) : NULL;
    if (!pieces)
        return NULL;
    r->pieces = pieces;
    pieces[r->n_pieces] = (struct ftx_inbound_piece){.content = *content};
    return &pieces[r->n_pieces];
}

int ftx_receive_arrived(void *ctx, const struct ftx_content *content)
{
    struct ftx_transfer *t = ctx;
    const struct ftx_extent *extent = &content->extent;
    struct ftx_inbound_piece *piece = next_piece(t, content);
    if (!piece)
        return -ENOMEM;
    t->record->effect = true;
    int err = ftx_inbox_begin(t->store, t->link, extent, &piece->item, &piece->object);
    if (err == -EALREADY)
        return 0;
    if (err == -ENOENT)
        return ftx_engine_refuse(t->engine, extent->stream, FTX_REFUSED_DELETED);
    if (err == -EPERM)
        return ftx_engine_refuse(t->engine, extent->stream, FTX_REFUSED_FOLDER);
    if (err == -EDQUOT)
        return ftx_inbound_refuse(t, extent->stream, FTX_REFUSED_POLICY);
    if (err == -EFBIG)
        return ftx_inbound_refuse(t, extent->stream, FTX_REFUSED_SIZE);
    if (!err)
        t->record->n_pieces++;
    return err;
}

int ftx_receive_fetched(void *ctx, uint64_t asked, const struct ftx_content *answer)
{
    struct ftx_transfer *t = ctx;
    const struct ftx_extent *extent = &answer->extent;
    ftx_fetch_answered(t->store, t->link, asked, extent);
    ftx_xfer_wake(t->xfer); /* more may be asked for */
    if (extent->kind == FTX_EXTENT_GONE) {
        ftx_fetch_gone(t->store, t->link, extent);
        return 0;
    }
    struct ftx_inbound_piece *piece = next_piece(t, answer);
    if (!piece)
        return -ENOMEM;
    piece->fetched = true;
    int err = ftx_fetch_begin(t->store, t->link, extent, &piece->item, &piece->object);
    if (!err)
        t->record->n_pieces++;
    return err == -EALREADY ? 0 : err;
}

int ftx_receive_resized(void *ctx, const struct ftx_extent *size)
{
    struct ftx_transfer *t = ctx;
    int err = ftx_inbox_resize(t->store, t->link, size);
    return err == -EFBIG ? ftx_inbound_refuse(t, size->stream, FTX_REFUSED_SIZE) : err;
}

int ftx_receive_sealed(void *ctx, const struct ftx_plan_seal *seal)
{
    struct ftx_transfer *t = ctx;
    struct ftx_inbound_record *r = taking_in(t);
    struct ftx_inbound_seal *seals =
        r ? ftx_inbound_grow(r->seals, r->n_seals, &r->seals_capacity, sizeof *r->seals) : NULL;
    if (!seals)
        return -ENOMEM;
    r->seals = seals;
    r->effect = true;
    int err = ftx_inbox_seal_comes(t->store, t->link, seal);
    if (err)
        return err;
    struct ftx_inbound_seal *added = &r->seals[r->n_seals++];
    memset(added, 0, sizeof *added);
    added->seal = *seal;
    added->open = true;
    r->n_open++;
    return 0;
}

bool ftx_inbound_current(const struct ftx_inbound_record *r)
{
    return r->transfer->engine && r->generation == r->transfer->generation;
}

void ftx_inbound_end_session(struct ftx_transfer *t, int err)
{
    if (err != FTX_EPROTO) /* of that the session's end tells enough */
        ftx_log(FTX_LOG_WARNING, "link %s: what came cannot be stored: %s", t->link->row.name,
                ftx_err_text(err));
    ftx_peer_fail(t->peer, err);
}

static void hold(struct ftx_inbound_record *r, size_t bytes)
{
    r->held += bytes;
    ftx_peer_hold(r->transfer->peer, bytes);
}

void ftx_receive_record(void *ctx, struct ftx_record_ref ref, void *whole)
{
    struct ftx_transfer *t = ctx;
    struct ftx_inbound_record *r = t->record;
    t->record = NULL;
    if (!t->may_fetch && ftx_engine_may_fetch(t->engine)) {
        t->may_fetch = true;
        ftx_xfer_wake(t->xfer); /* ranges may wait to be asked for */
    }
    if (!r || (!r->effect && !r->n_pieces)) {
        if (r)
            ftx_inbound_free(r);
        ftx_block_free(whole);
        return;
    }
    r->ref = ref;
    ftx_list_append(&t->records, &r->node);
    hold(r, r->n_seals * sizeof *r->seals);
    if (r->n_pieces) {
        r->whole = whole;
        hold(r, ftx_block_size(whole));
        ftx_inbound_write(r);
        return;
    }
    ftx_block_free(whole);
    r->written = true;
    ftx_engine_written(t->engine, ref);
    ftx_inbound_judge(r);
    if (!r->n_open && !r->need) /* all of it was here: no commit will come to tell that it is */
        ftx_xfer_wake(t->xfer);
}

/* -- acknowledging -- */

static void answer_prepare(struct ftx_transfer *t)
{
    if (!t->preparing || t->n_working || !t->peer)
        return;
    pthread_mutex_lock(&t->store->lock);
    if (!t->prepare_entry) /* nothing more of the last session comes after this one */
        t->prepare_entry = t->store->appended;
    bool settled = t->store->committed >= t->prepare_entry;
    uint64_t op_seen = t->link->row.op_seen;
    pthread_mutex_unlock(&t->store->lock);
    if (!settled)
        return;
    t->preparing = false;
    t->prepare_entry = 0;
    ftx_peer_ready(t->peer, op_seen);
}

void ftx_transfer_receive_advance(struct ftx_transfer *t)
{
    uint64_t losses, committed = ftx_store_committed(t->store, &losses);
    if (losses != t->losses && t->engine)
        t->failed = -EIO; /* what was about to be acknowledged may be gone from the disk */
    t->losses = losses;
    if (t->failed && t->engine) {
        ftx_inbound_end_session(t, t->failed);
        t->failed = 0;
        committed = 0;
    }
    for (struct ftx_list *node = t->records.next, *next; node != &t->records; node = next) {
        next = node->next;
        struct ftx_inbound_record *r = ftx_list_of(node, struct ftx_inbound_record, node);
        if (!r->written || !ftx_inbound_current(r))
            continue;
        int err = ftx_inbound_complete(r, committed);
        if (err) {
            ftx_inbound_end_session(t, err);
            break;
        }
        if (r->n_open || r->copying || r->need > committed)
            continue;
        ftx_engine_durable(t->engine, r->ref);
        ftx_inbound_free(r);
    }
    if (t->peer && t->engine)
        ftx_peer_kick(t->peer);
    answer_prepare(t);
    ftx_xfer_reap(t);
}

/* -- the session's ends -- */

void ftx_transfer_receive_begin(struct ftx_transfer *t)
{
    t->n_unfinished = ftx_inbox_unfinished(t->store, t->link, &t->unfinished);
    t->at_unfinished = 0;
    t->held_offset = 0;
    uint64_t folder; /* of those that were removed while nobody could be told, nobody is told */
    while (ftx_inbox_removed_folder(t->store, t->link, &folder))
        ;
    refuse_again(t);
    ftx_offers_restart(t->store, t->link);
}

static void stop_telling(struct ftx_transfer *t)
{
    free(t->unfinished);
    free(t->held);
    t->unfinished = NULL;
    t->held = NULL;
    t->n_unfinished = 0;
}

bool ftx_receive_have(void *ctx, const struct ftx_extent **out_extents, size_t *out_n)
{
    struct ftx_transfer *t = ctx;
    if (!t->held && t->n_unfinished)
        t->held = malloc(FTX_HAVE_MAX * sizeof *t->held);
    while (t->held && t->at_unfinished < t->n_unfinished) {
        *out_n = ftx_inbox_held(t->store, t->unfinished[t->at_unfinished], &t->held_offset, t->held,
                                FTX_HAVE_MAX);
        if (*out_n) {
            *out_extents = t->held;
            return true;
        }
        t->at_unfinished++;
        t->held_offset = 0;
    }
    stop_telling(t);
    return false;
}

/* What waits for a worker or for room is let go of; what is at a worker ends there. */
void ftx_transfer_receive_end(struct ftx_transfer *t)
{
    t->generation++;
    t->failed = 0;
    t->may_fetch = false;
    stop_telling(t);
    if (t->record) {
        ftx_inbound_abandon(t->record);
        ftx_inbound_free(t->record);
        t->record = NULL;
    }
    for (struct ftx_list *node = t->records.next, *next; node != &t->records; node = next) {
        next = node->next;
        struct ftx_inbound_record *r = ftx_list_of(node, struct ftx_inbound_record, node);
        if (r->working)
            continue;
        ftx_inbound_abandon(r);
        ftx_inbound_free(r);
    }
}

void ftx_inbound_no_room(struct ftx_transfer *t)
{
    if (!t->no_room_told)
        ftx_log(FTX_LOG_WARNING,
                "link %s: no room on the disk: receiving waits until there is some",
                t->link->row.name);
    t->no_room = t->no_room_told = true;
    ftx_link_set_no_room(t->store, t->link, true);
    ftx_xfer_retry_later(t->xfer);
}

void ftx_inbound_room(struct ftx_transfer *t)
{
    if (!t->no_room_told)
        return;
    for (struct ftx_list *node = t->records.next; node != &t->records; node = node->next)
        if (ftx_list_of(node, struct ftx_inbound_record, node)->delayed)
            return;
    ftx_log(FTX_LOG_INFO, "link %s: there is room again", t->link->row.name);
    t->no_room_told = false;
    ftx_link_set_no_room(t->store, t->link, false);
}

void ftx_transfer_receive_retry(struct ftx_transfer *t)
{
    bool waited = t->no_room;
    t->no_room = false;
    for (struct ftx_list *node = t->records.next; waited && node != &t->records;
         node = node->next) {
        struct ftx_inbound_record *r = ftx_list_of(node, struct ftx_inbound_record, node);
        if (!r->delayed)
            continue;
        if (r->copying)
            ftx_inbound_copy(r);
        else
            ftx_inbound_write(r);
    }
}

void ftx_transfer_receive_free(struct ftx_transfer *t)
{
    free(t->refused);
    t->refused = NULL;
    t->n_refused = 0;
}
