/* SPDX-License-Identifier: MIT */
/*
 * Both ends of a transfer without their loop: one round is what a turn of each loop would do.
 *
 *   sender     commit, plan, read, seal ............ acknowledged
 *   receiver   open, take in, write, note, commit, complete and acknowledge
 */
#include "tests/cost/ends.h"

#include "fs/store/outbox.h"
#include "tests/cost/cost.h"
#include "transport/peer/block.h"

#include <stdlib.h>
#include <string.h>

/* What the one that stands around fs/xfer in ftxfs would do. */

enum ftx_links_policy ftx_xfer_links(const struct ftx_xfer *xfer)
{
    (void)xfer;
    return FTX_LINKS_SAFE;
}

/* Nobody asks for a SHA-256 here. */
struct ftx_digests *ftx_xfer_digests(struct ftx_xfer *xfer)
{
    (void)xfer;
    return NULL;
}

uv_loop_t *ftx_xfer_loop(const struct ftx_xfer *xfer)
{
    return (uv_loop_t *)(uintptr_t)xfer; /* the end, for ftx_work_queue */
}

void ftx_xfer_wake(void *xfer)
{
    (void)xfer;
}

void ftx_xfer_retry_later(struct ftx_xfer *xfer)
{
    (void)xfer;
    cost_must(false, "there is room on the disk");
}

void ftx_xfer_reap(struct ftx_transfer *transfer)
{
    (void)transfer;
}

void ftx_work_queue(uv_loop_t *loop, struct ftx_work *work)
{
    struct cost_end *end = (struct cost_end *)(void *)loop;
    cost_must(end->n_jobs < COST_RECORDS_MAX, "so many records are written at once");
    end->jobs[end->n_jobs++] = work;
}

void ftx_peer_hold(struct ftx_peer *peer, size_t bytes)
{
    (void)peer, (void)bytes;
}

void ftx_peer_release(struct ftx_peer *peer, size_t bytes)
{
    (void)peer, (void)bytes;
}

void ftx_peer_kick(struct ftx_peer *peer)
{
    (void)peer;
}

void ftx_peer_ready(struct ftx_peer *peer, uint64_t op_seen)
{
    (void)peer, (void)op_seen;
}

void ftx_peer_fail(struct ftx_peer *peer, int err)
{
    (void)peer, (void)err;
    cost_must(false, "what comes can be stored");
}

/* -- records between the ends -- */

/* What one end sends in a round. */
struct batch {
    struct ftx_plan *plans[COST_RECORDS_MAX];
    uint8_t *blocks[COST_RECORDS_MAX];
    size_t sizes[COST_RECORDS_MAX]; /* of the plain text, then of the record */
    size_t n;
};

static uint64_t now_ms(void)
{
    return 1; /* sessions here are shorter than any of their timers */
}

static void plan(struct cost_end *end, struct batch *batch)
{
    (void)ftx_transfer_send_due(&end->transfer);
    ftx_transfer_receive_advance(&end->transfer);
    struct ftx_plan *pulled;
    while (batch->n < COST_RECORDS_MAX && (pulled = ftx_engine_pull(&end->engine, 0, now_ms())))
        batch->plans[batch->n++] = pulled;
}

static int read_extent(void *ctx, struct ftx_source *source, uint8_t *out)
{
    return ftx_outgoing_read(ctx, source, out);
}

static void make_room(struct batch *batch)
{
    for (size_t i = 0; i < batch->n; i++) {
        size_t plain = batch->plans[i]->size > FTX_MESSAGE_SMALL_MAX ? batch->plans[i]->size
                                                                     : FTX_MESSAGE_SMALL_MAX;
        batch->blocks[i] = ftx_block_new(FTX_RECORD_HEAD + plain + FTX_TAG_SIZE);
        cost_must(batch->blocks[i], "there is memory");
    }
}

static void build(struct cost_end *end, struct batch *batch)
{
    for (size_t i = 0; i < batch->n; i++)
        batch->sizes[i] = ftx_plan_build(batch->plans[i], read_extent, end->store, NULL,
                                         batch->blocks[i] + FTX_RECORD_HEAD);
}

static void built(struct cost_end *end, struct batch *batch)
{
    for (size_t i = 0; i < batch->n; i++)
        ftx_engine_built(&end->engine, batch->plans[i], true);
}

static void seal(struct cost_end *end, struct batch *batch)
{
    for (size_t i = 0; i < batch->n; i++) {
        struct ftx_record_key key;
        cost_must(ftx_record_key_take(&end->send, &key) == 0 &&
                      ftx_record_seal(&key, batch->blocks[i], batch->sizes[i]) == 0,
                  "it can be sealed");
        ftx_record_key_close(&key);
        batch->sizes[i] += FTX_RECORD_HEAD + FTX_TAG_SIZE;
    }
}

static void unseal(struct cost_end *end, struct batch *batch)
{
    for (size_t i = 0; i < batch->n; i++) {
        struct ftx_record_key key;
        size_t size;
        cost_must(ftx_record_key_take(&end->receive, &key) == 0 &&
                      ftx_record_open(&key, batch->blocks[i], batch->sizes[i], &size) == 0,
                  "it can be opened");
        ftx_record_key_close(&key);
        batch->sizes[i] = size;
    }
}

static void take_in(struct cost_end *end, struct batch *batch)
{
    for (size_t i = 0; i < batch->n; i++)
        cost_must(ftx_engine_receive(&end->engine, 0, batch->blocks[i] + FTX_RECORD_HEAD,
                                     batch->sizes[i], batch->blocks[i], now_ms()) == 0,
                  "the record is right");
}

static void run_jobs(struct cost_end *end)
{
    for (size_t i = 0; i < end->n_jobs; i++)
        end->jobs[i]->run(end->jobs[i]);
}

static void finish_jobs(struct cost_end *end)
{
    size_t n = end->n_jobs;
    struct ftx_work *jobs[COST_RECORDS_MAX];
    memcpy(jobs, end->jobs, sizeof jobs);
    end->n_jobs = 0;
    for (size_t i = 0; i < n; i++)
        jobs[i]->done(jobs[i]);
}

/* -- rounds -- */

static void commit(struct cost_end *end, const char *stage)
{
    cost_begin();
    cost_database_turn(end->store);
    cost_end(stage);
}

/* From the sender to the receiver's disk. False: there was nothing. */
static bool carry(struct cost_end *sender, struct cost_end *receiver)
{
    struct batch batch = {.n = 0};
    commit(sender, "sender commit");
    cost_begin();
    plan(sender, &batch);
    cost_end("sender plan");
    if (batch.n == 0)
        return false;
    make_room(&batch);
    cost_begin();
    build(sender, &batch);
    cost_end("sender read");
    cost_begin();
    seal(sender, &batch);
    cost_end("sender seal");
    cost_begin();
    built(sender, &batch);
    cost_end("sender plan");
    cost_begin();
    unseal(receiver, &batch);
    cost_end("receiver open");
    cost_begin();
    take_in(receiver, &batch);
    cost_end("receiver take-in");
    cost_begin();
    run_jobs(receiver);
    cost_end("receiver write");
    cost_begin();
    finish_jobs(receiver);
    cost_end("receiver note");
    return true;
}

/* From the receiver's disk to what the sender may forget. False: there was nothing. */
static bool acknowledge(struct cost_end *receiver, struct cost_end *sender)
{
    struct batch batch = {.n = 0};
    commit(receiver, "receiver commit");
    cost_begin();
    plan(receiver, &batch);
    make_room(&batch);
    build(receiver, &batch);
    seal(receiver, &batch);
    built(receiver, &batch);
    cost_end("receiver complete");
    cost_begin();
    unseal(sender, &batch);
    take_in(sender, &batch);
    cost_end("sender acknowledged");
    return batch.n > 0;
}

void cost_ends_settle(struct cost_ends *ends)
{
    bool moved;
    do {
        moved = carry(&ends->sender, &ends->receiver);
        moved |= acknowledge(&ends->receiver, &ends->sender);
    } while (moved);
}

/* -- beginning and end -- */

static void on_row(void *ctx, int err)
{
    cost_must(err == 0, "the link's row can be written");
    *(bool *)ctx = true;
}

struct ftx_store *cost_store_open(const char *path, enum ftx_box box, struct ftx_link **out_link)
{
    char room[512];
    struct ftx_store *store;
    cost_must(ftx_store_open(path, room, sizeof room, &store) == 0, "a store can be made here");
    uint64_t folder;
    struct ftx_link_row row;
    cost_must(ftx_link_arm(store, box, "7-cost", 6, &folder) == 0 &&
                  ftx_link_get(store, 1, &row) == 0,
              "a link can be made");
    row.state = FTX_LINK_PAIRED;
    row.enrolled = true;
    bool written = false;
    cost_must(ftx_link_put(store, &row, on_row, &written) == 0, "it can be paired");
    cost_database_turn(store);
    cost_must(written, "the link is written");
    ftx_link_set_health(store, 1, FTX_HEALTH_CONNECTED, "here");
    *out_link = ftx_link_find(store, 1);
    return store;
}

static void open_end(struct cost_end *end, const char *path, enum ftx_role role)
{
    memset(end, 0, sizeof *end);
    end->store = cost_store_open(path, role == FTX_ROLE_S ? FTX_OUTBOX : FTX_INBOX, &end->link);
    struct ftx_transfer *t = &end->transfer;
    ftx_list_init(&t->node);
    ftx_list_init(&t->records);
    t->xfer = (struct ftx_xfer *)(void *)end;
    t->peer = (struct ftx_peer *)(void *)end;
    t->store = end->store;
    t->link = end->link;
    t->engine = &end->engine;
    cost_must(ftx_engine_init(&end->engine, &ftx_transfer_app, t, role, role == FTX_ROLE_S, 0,
                              now_ms()) == 0,
              "an engine can be made");
    ftx_transfer_receive_begin(t);
}

static void open_keys(struct cost_ends *ends)
{
    static const uint8_t there[32] = {1}, back[32] = {2};
    ftx_record_key_init(&ends->sender.send, FTX_CIPHER_AES_256_GCM, there);
    ftx_record_key_init(&ends->receiver.receive, FTX_CIPHER_AES_256_GCM, there);
    ftx_record_key_init(&ends->receiver.send, FTX_CIPHER_AES_256_GCM, back);
    ftx_record_key_init(&ends->sender.receive, FTX_CIPHER_AES_256_GCM, back);
}

void cost_ends_open(struct cost_ends *ends)
{
    open_end(&ends->sender, "sender", FTX_ROLE_S);
    open_end(&ends->receiver, "receiver", FTX_ROLE_R);
    open_keys(ends);
    cost_ends_settle(ends); /* START and HAVE, both ways: not counted yet */
    cost_must(ends->sender.engine.state == FTX_ENGINE_RUNNING && ends->sender.engine.peer_have_done,
              "the session runs");
}

static void close_end(struct cost_end *end)
{
    ftx_engine_close(&end->engine);
    end->transfer.engine = NULL;
    ftx_transfer_receive_end(&end->transfer);
    ftx_transfer_receive_free(&end->transfer);
    ftx_store_close(end->store);
}

void cost_ends_close(struct cost_ends *ends)
{
    close_end(&ends->sender);
    close_end(&ends->receiver);
}
