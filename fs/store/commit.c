/* SPDX-License-Identifier: MIT */
/*
 * The serial worker behind the journal. One round, in this order and no other: swap the journal's
 * halves, sync the objects that these entries tell of, apply and commit, say "committed", remove
 * the objects that nothing refers to any more.
 */
#include "fs/store/commit.h"

#include "fs/store/change_log.h"
#include "fs/store/inbox.h"
#include "fs/store/inbox_room.h"
#include "fs/store/link_job.h"
#include "fs/store/outbox.h"
#include "fs/store/release.h"
#include "fs/store/spool.h"
#include "transport/base/err.h"
#include "transport/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    GATHER_MS = 20,  /* from one round to the next: changes of that time share a commit */
    RETRY_MS = 1000, /* after a failed commit */
    TRASH_AT_ONCE = 256,
    REST_MS = 2000, /* without work: memory that only work needs goes back */
};

/* What one round commits. */
struct round {
    struct ftx_journal_batch batch;
    uint64_t written[FTX_SYNC_SINGLE_MAX];
    size_t n_written;
    bool sync_all, durable, has_batch;
    bool lost; /* contents that the batch tells of could not be synced */
    struct ftx_list trash, punches;
};

static struct timespec after_ms(int64_t ms)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += ms / 1000;
    at.tv_nsec += ms % 1000 * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_nsec -= 1000000000;
        at.tv_sec++;
    }
    return at;
}

static bool idle(const struct ftx_store *store)
{
    return store->appended == store->committed && ftx_list_empty(&store->jobs) &&
           ftx_list_empty(&store->trash) && ftx_list_empty(&store->spool.punches) &&
           !(store->durable && store->durable_at < store->appended);
}

/* Lets changes gather, unless somebody waits for the commit or the journal runs full. The first
 * after a pause does not wait. */
static void gather(struct ftx_store *store, const struct timespec *until)
{
    while (!store->stopping && !store->hurry && ftx_list_empty(&store->jobs) &&
           ftx_journal_room(store->journal) > FTX_JOURNAL_ENTRY_MAX)
        if (pthread_cond_timedwait(&store->work, &store->lock, until) == ETIMEDOUT)
            return;
}

static void take_round(struct ftx_store *store, struct round *round)
{
    round->has_batch = ftx_journal_swap(store->journal, &round->batch);
    memcpy(round->written, store->written, sizeof round->written);
    round->n_written = store->n_written;
    round->sync_all = store->sync_all;
    ftx_database_set_history_max(store->db, store->history_max);
    /* an object is removed, or a part of it, only when no power cut can bring its row back */
    round->durable =
        store->durable || !ftx_list_empty(&store->trash) || !ftx_list_empty(&store->spool.punches);
    ftx_list_init(&round->trash);
    ftx_list_init(&round->punches);
    ftx_list_splice(&round->punches, &store->spool.punches);
    for (int i = 0; i < TRASH_AT_ONCE && !ftx_list_empty(&store->trash); i++)
        ftx_list_append(&round->trash, ftx_list_pop(&store->trash));
    store->n_written = 0;
    store->sync_all = false;
    store->durable = false;
    store->hurry = false;
}

static int sync_object(struct ftx_store *store, uint64_t object)
{
    int fd = ftx_object_open(&store->objects, object, O_RDONLY);
    if (fd == -ENOENT)
        return 0; /* removed meanwhile */
    if (fd < 0)
        return fd;
    int err = fdatasync(fd) < 0 ? -errno : 0;
    close(fd);
    return err;
}

static int sync_objects(struct ftx_store *store, const struct round *round)
{
    if (round->sync_all)
        return ftx_objects_sync(&store->objects);
    for (size_t i = 0; i < round->n_written; i++) {
        int err = sync_object(store, round->written[i]);
        if (err)
            return err;
    }
    return 0;
}

static int apply_entry(void *ctx, uint64_t number, const void *body, size_t size)
{
    struct ftx_store *store = ctx;
    (void)number;
    return ftx_database_apply(store->db, body, size);
}

/* Takes what an entry says has come for missing. */
static int forget_contents(void *ctx, uint64_t number, const void *body, size_t size)
{
    struct ftx_store *store = ctx;
    struct ftx_change change;
    (void)number;
    for (size_t offset = 0; offset < size;) {
        int err = ftx_change_decode(body, size, &offset, &change);
        if (err)
            return err;
        struct ftx_item *item =
            change.kind == FTX_CHANGE_SEGMENT ? ftx_item_find(&store->index, change.id) : NULL;
        if (item && item->box == FTX_INBOX && item->kind == FTX_FILE && item->as.arriving)
            (void)ftx_arriving_cut(item->as.arriving, change.as.segment.offset,
                                   change.as.segment.length);
    }
    return 0;
}

/*
 * Syncs the contents that the round tells of, once: a failed sync must not be tried again, as the
 * kernel may have dropped the pages that it could not write. What may be lost is missing again, and
 * whoever counts on it learns that from store->losses.
 */
static void sync_contents(struct ftx_store *store, struct round *round)
{
    int err = sync_objects(store, round);
    if (!err)
        return;
    ftx_log(FTX_LOG_ERROR,
            "file contents cannot be synced to the disk: %s; what came last is asked "
            "for again",
            ftx_err_text(err));
    round->lost = true;
    pthread_mutex_lock(&store->lock);
    if (round->has_batch)
        (void)ftx_journal_each(&round->batch, forget_contents, store);
    store->losses++;
    pthread_mutex_unlock(&store->lock);
    ftx_outbox_doubt(store, 0);
}

static int commit_round(struct ftx_store *store, struct round *round)
{
    int err = 0;
    if (round->has_batch)
        err = ftx_journal_each(&round->batch, apply_entry, store);
    if (!err && round->lost)
        ftx_database_contents_lost(store->db);
    if (!err && (round->has_batch || round->durable))
        err = ftx_database_commit(
            store->db, round->has_batch ? round->batch.last : store->committed, round->durable);
    return err;
}

/* Objects that may not be removed yet wait on. */
static void put_back(struct ftx_store *store, struct round *round)
{
    pthread_mutex_lock(&store->lock);
    ftx_list_splice(&store->trash, &round->trash);
    ftx_list_splice(&store->spool.punches, &round->punches);
    pthread_mutex_unlock(&store->lock);
}

static void remove_object(struct ftx_store *store, struct ftx_trash *trash)
{
    bool counted =
        trash->link && (trash->box == FTX_OUTBOX ? store->spool.max : store->inbox_max) > 0;
    trash->room = counted ? ftx_object_room(&store->objects, trash->object) : 0;
    (void)ftx_object_remove(&store->objects, trash->object);
}

static void gained(struct ftx_store *store, const struct ftx_trash *trash)
{
    if (trash->box == FTX_OUTBOX)
        ftx_spool_gained(store, trash->room);
    else
        ftx_inbox_gained(store, trash->link, trash->room);
}

/* Removes objects whose rows are gone (as committed), then forgets them. */
static void empty_trash(struct ftx_store *store, struct round *round)
{
    struct ftx_list *trash = &round->trash;
    if (ftx_list_empty(trash))
        return;
    for (struct ftx_list *node = trash->next; node != trash; node = node->next)
        remove_object(store, ftx_list_of(node, struct ftx_trash, node));
    struct ftx_log log;
    if (!ftx_log_try(&log, store)) {
        put_back(store, round);
        return;
    }
    log.arrived = true; /* writers may wait for room */
    for (struct ftx_list *node; (node = ftx_list_pop(trash));) {
        struct ftx_trash *gone = ftx_list_of(node, struct ftx_trash, node);
        ftx_log_trash_gone(&log, gone->object);
        store->spool.n_going -= gone->link && gone->box == FTX_OUTBOX;
        gained(store, gone);
        free(gone);
    }
    ftx_log_commit(&log);
}

/* False: the store closes, and the journal keeps what the database could not take. */
static bool run_round(struct ftx_store *store, struct round *round)
{
    int err;
    sync_contents(store, round);
    while ((err = commit_round(store, round)) != 0) {
        pthread_mutex_lock(&store->lock);
        if (store->failed != err)
            ftx_log(FTX_LOG_ERROR, "the store cannot be written: %s; trying again",
                    ftx_err_text(err));
        store->failed = err;
        pthread_cond_broadcast(&store->drained);
        struct timespec until = after_ms(RETRY_MS);
        while (!store->stopping &&
               pthread_cond_timedwait(&store->work, &store->lock, &until) != ETIMEDOUT)
            ;
        bool stop = store->stopping;
        pthread_mutex_unlock(&store->lock);
        if (stop)
            return false;
        ftx_link_jobs_run(store); /* their callers wait */
    }
    pthread_mutex_lock(&store->lock);
    store->failed = 0;
    if (round->has_batch) {
        ftx_journal_release(store->journal);
        store->committed = round->batch.last;
    }
    if (round->durable)
        store->durable_at = store->committed;
    pthread_cond_broadcast(&store->drained);
    pthread_mutex_unlock(&store->lock);
    store->events.committed(store->events_ctx);
    return true;
}

/* Gives back what was only needed for work: the database's cache, and pages of the heap that the
 * items and operations of a large transfer left empty. */
static void rest(struct ftx_store *store)
{
    pthread_mutex_unlock(&store->lock);
    ftx_database_rest(store->db);
    malloc_trim(0);
    pthread_mutex_lock(&store->lock);
}

/* Under the lock, which is given away meanwhile. */
static void wait_for_work(struct ftx_store *store)
{
    int64_t rest_ms = ftx_now_ms() + REST_MS;
    while (idle(store) && !store->stopping) {
        int64_t now_ms = ftx_now_ms(), wait_ms = ftx_release_due_ms(store);
        if (wait_ms == 0)
            return;
        if (rest_ms != INT64_MAX && rest_ms - now_ms < wait_ms)
            wait_ms = rest_ms > now_ms ? rest_ms - now_ms : 0;
        if (wait_ms == 0) {
            rest(store);
            rest_ms = INT64_MAX;
        } else if (wait_ms == INT64_MAX) {
            pthread_cond_wait(&store->work, &store->lock);
        } else {
            struct timespec until = after_ms(wait_ms);
            pthread_cond_timedwait(&store->work, &store->lock, &until);
        }
    }
}

static void *run(void *arg)
{
    struct ftx_store *store = arg;
    struct timespec next = after_ms(0);
    for (;;) {
        pthread_mutex_lock(&store->lock);
        wait_for_work(store);
        bool last = store->stopping && (idle(store) || store->failed);
        bool due = !store->stopping && ftx_release_due_ms(store) == 0;
        struct round round = {0};
        if (!last) {
            gather(store, &next);
            next = after_ms(GATHER_MS);
            take_round(store, &round);
        }
        pthread_mutex_unlock(&store->lock);
        if (last)
            break;
        bool done = !(round.has_batch || round.durable) || run_round(store, &round);
        ftx_link_jobs_run(store);
        if (!done) {
            put_back(store, &round);
            continue;
        }
        ftx_release_punch(store, &round.punches);
        empty_trash(store, &round);
        if (due)
            ftx_release_some(store);
    }
    ftx_link_jobs_run(store);
    return NULL;
}

int ftx_commit_start(struct ftx_store *store)
{
    return -pthread_create(&store->thread, NULL, run, store);
}

void ftx_commit_stop(struct ftx_store *store)
{
    pthread_mutex_lock(&store->lock);
    store->stopping = true;
    pthread_cond_broadcast(&store->work);
    pthread_cond_broadcast(&store->drained);
    pthread_mutex_unlock(&store->lock);
    pthread_join(store->thread, NULL);
}
