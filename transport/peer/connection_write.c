/* SPDX-License-Identifier: MIT */
/*
 * Records that go: a plan is built and sealed on a worker (several at a time, each into its own
 * block), then written in order. A plan that reads nothing and is small is built here: that costs
 * less than the way to a worker.
 */
#include "transport/peer/connection.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "transport/base/err.h"
#include "transport/peer/block.h"
#include "transport/peer/codecs.h"
#include "transport/peer/peer.h"

enum {
    HERE_MAX = 8 << 10,
    MEMORY_MAX = 4 << 20, /* four full records, however little compression leaves of them */
};

/* A record from its plan until it is written. */
struct outbound {
    struct ftx_work work;
    struct ftx_pipe_write write;
    struct ftx_list node;
    struct ftx_connection *connection;
    struct ftx_plan *plan; /* NULL: given back, or never any */
    ftx_plan_read_fn read;
    void *read_ctx;
    struct ftx_record_key key;
    uint8_t *block;
    size_t size;    /* planned, then of the record */
    size_t charged; /* to the connection's bytes: the size, on the loop thread */
    size_t memory;
    bool built, writing;
    int err;
};

static void outbound_free(struct outbound *out)
{
    out->connection->outbound_bytes -= out->charged;
    out->connection->outbound_memory -= out->memory;
    ftx_list_remove(&out->node);
    ftx_record_key_close(&out->key);
    ftx_block_free(out->block);
    free(out);
}

/* Room for `size` bytes at the end of the queue; NULL without memory. */
static struct outbound *outbound_new(struct ftx_connection *c, size_t size)
{
    struct outbound *out = calloc(1, sizeof *out);
    uint8_t *block = out ? ftx_block_new(size) : NULL;
    if (!block) {
        free(out);
        return NULL;
    }
    out->connection = c;
    out->block = block;
    out->size = size;
    out->charged = size;
    out->memory = ftx_block_size(block);
    c->outbound_bytes += out->charged;
    c->outbound_memory += out->memory;
    ftx_list_append(&c->outbound, &out->node);
    return out;
}

/* The pipe has a record to take: they go in order. */
static bool writes(const struct ftx_connection *c)
{
    return !ftx_list_empty(&c->outbound) &&
           ftx_list_of(c->outbound.next, struct outbound, node)->writing;
}

/* For compression: what has left, as something of this size is planned, given or taken. */
static void look_at_pipe(struct ftx_connection *c, size_t size)
{
    if (c->compress.mode != FTX_COMPRESS_AUTO || size < HERE_MAX || !c->pipe)
        return;
    ftx_compress_look(&c->compress, c->given_bytes, ftx_pipe_unsent(c->pipe), uv_hrtime() / 1000);
}

static void on_written(struct ftx_pipe_write *write, int err)
{
    struct outbound *out = ftx_list_of(write, struct outbound, write);
    struct ftx_connection *c = out->connection;
    size_t size = out->size;
    outbound_free(out);
    look_at_pipe(c, size);
    ftx_pace_taken(&c->pace, size, !writes(c), uv_now(c->loop));
    if (c->phase == FTX_CONNECTION_CLOSED)
        ;
    else if (err)
        ftx_connection_fail(c, err);
    else if (c->phase == FTX_CONNECTION_RECORDS && !c->told)
        c->events->written(c->owner, c, size);
    else if (c->phase == FTX_CONNECTION_FINISHING && c->ended && ftx_list_empty(&c->outbound))
        ftx_connection_close(c); /* the peer has left before */
    ftx_connection_job_back(c);
}

/* Hands to the pipe what is built, up to the first that is not. */
static void write_built(struct ftx_connection *c)
{
    for (struct ftx_list *node = c->outbound.next; c->pipe && node != &c->outbound;
         node = node->next) {
        struct outbound *out = ftx_list_of(node, struct outbound, node);
        if (!out->built)
            return;
        if (out->writing)
            continue;
        out->writing = true;
        look_at_pipe(c, out->size);
        c->given_bytes += out->size;
        out->write =
            (struct ftx_pipe_write){.done = on_written, .bytes = out->block, .size = out->size};
        c->n_jobs++;
        ftx_pace_queued(&c->pace, uv_now(c->loop));
        ftx_pipe_write(c->pipe, &out->write);
    }
}

static uint64_t thread_ns(void)
{
    struct timespec used;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
}

static void run_build(struct ftx_work *work)
{
    struct outbound *out = ftx_list_of(work, struct outbound, work);
    struct ftx_packer packer = {.cpu_ns = thread_ns};
    if (ftx_plan_packs(out->plan))
        packer.codec = ftx_codecs_take(); /* without memory nothing is packed */
    size_t size =
        ftx_plan_build(out->plan, out->read, out->read_ctx, &packer, out->block + FTX_RECORD_HEAD);
    ftx_codecs_give(packer.codec);
    assert(FTX_RECORD_HEAD + size + FTX_TAG_SIZE <= out->size);
    out->err = ftx_record_seal(&out->key, out->block, size);
    out->size = FTX_RECORD_HEAD + size + FTX_TAG_SIZE;
}

/* What was compressed leaves room for more: else the pipe would run dry while that is built. */
static void charge(struct outbound *out)
{
    out->connection->outbound_bytes -= out->charged - out->size;
    out->charged = out->size;
}

static void finish_build(struct outbound *out)
{
    struct ftx_connection *c = out->connection;
    struct ftx_plan *plan = out->plan;
    bool sent = c->phase != FTX_CONNECTION_CLOSED && !out->err;
    out->plan = NULL;
    if (!out->err)
        out->built = true;
    charge(out);
    ftx_record_key_close(&out->key);
    ftx_compress_built(&c->compress, plan);
    c->events->built(c->owner, c, plan, sent);
    if (out->err)
        ftx_connection_fail(c, out->err);
    else
        write_built(c);
}

static void on_built(struct ftx_work *work)
{
    struct outbound *out = ftx_list_of(work, struct outbound, work);
    struct ftx_connection *c = out->connection;
    finish_build(out);
    ftx_connection_job_back(c);
}

bool ftx_connection_has_room(const struct ftx_connection *c)
{
    return c->phase == FTX_CONNECTION_RECORDS && !c->told &&
           c->outbound_bytes < ftx_pace_queue(&c->pace) && c->outbound_memory < MEMORY_MAX;
}

void ftx_connection_send(struct ftx_connection *c, struct ftx_plan *plan, ftx_plan_read_fn read,
                         void *read_ctx)
{
    size_t plain = plan->size > FTX_MESSAGE_SMALL_MAX ? plan->size : FTX_MESSAGE_SMALL_MAX;
    struct outbound *out = NULL;
    if (c->phase == FTX_CONNECTION_RECORDS)
        out = outbound_new(c, FTX_RECORD_HEAD + plain + FTX_TAG_SIZE);
    if (out && ftx_record_key_take(&c->secret->send, &out->key) != 0) {
        outbound_free(out);
        out = NULL;
    }
    if (!out) {
        c->events->built(c->owner, c, plan, false);
        ftx_connection_fail(c, -ENOMEM);
        return;
    }
    out->plan = plan;
    out->read = read;
    out->read_ctx = read_ctx;
    out->work = (struct ftx_work){.run = run_build, .done = on_built};
    look_at_pipe(c, plan->size);
    ftx_compress_plan(&c->compress, plan);
    if (plan->reads || plan->size > HERE_MAX) {
        c->n_jobs++;
        ftx_work_queue(c->loop, &out->work);
    } else {
        run_build(&out->work);
        finish_build(out);
    }
}

int ftx_connection_write_bytes(struct ftx_connection *c, const uint8_t *bytes, size_t size)
{
    struct outbound *out = outbound_new(c, size);
    if (!out)
        return -ENOMEM;
    memcpy(out->block, bytes, size);
    out->built = true;
    write_built(c);
    return 0;
}

void ftx_connection_write_free(struct ftx_connection *c)
{
    while (!ftx_list_empty(&c->outbound))
        outbound_free(ftx_list_of(c->outbound.next, struct outbound, node));
}
