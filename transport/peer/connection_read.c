/* SPDX-License-Identifier: MIT */
/*
 * Records that come: four bytes of length, the box straight into a block, opened on a worker
 * (several at a time), delivered in order. A small one is opened here: that costs less than the way
 * to a worker.
 */
#include "transport/peer/connection.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "transport/base/err.h"
#include "transport/peer/block.h"
#include "transport/peer/peer.h"

enum { HERE_MAX = 8 << 10 };

/* A record until it is delivered. */
struct inbound {
    struct ftx_work work;
    struct ftx_list node;
    struct ftx_connection *connection;
    struct ftx_record_key key;
    uint8_t *block;
    size_t size, plain_size;
    bool opened; /* or not, with `err` */
    int err;
};

static void inbound_free(struct inbound *in)
{
    ftx_record_key_close(&in->key);
    ftx_block_free(in->block);
    free(in);
}

static void run_open(struct ftx_work *work)
{
    struct inbound *in = ftx_list_of(work, struct inbound, work);
    in->err = ftx_record_open(&in->key, in->block, in->size, &in->plain_size);
}

static void on_opened(struct ftx_work *work)
{
    struct inbound *in = ftx_list_of(work, struct inbound, work);
    struct ftx_connection *c = in->connection;
    in->opened = true;
    ftx_connection_deliver(c);
    ftx_connection_flow(c);
    ftx_connection_job_back(c);
}

static void open_record(struct ftx_connection *c)
{
    struct inbound *in = calloc(1, sizeof *in);
    if (!in || ftx_record_key_take(&c->secret->receive, &in->key) != 0) {
        free(in);
        ftx_connection_fail(c, -ENOMEM);
        return;
    }
    in->connection = c;
    in->block = c->block;
    in->size = c->block_need;
    c->block = NULL;
    c->inbound_bytes += in->size;
    ftx_list_append(&c->inbound, &in->node);
    in->work = (struct ftx_work){.run = run_open, .done = on_opened};
    if (in->size > HERE_MAX) {
        c->n_jobs++;
        ftx_work_queue(c->loop, &in->work);
    } else {
        run_open(&in->work);
        in->opened = true;
        ftx_connection_deliver(c);
    }
    ftx_connection_flow(c);
}

/* The head is complete: makes the block. */
static void begin_record(struct ftx_connection *c)
{
    c->block_need = ftx_record_size(c->head);
    c->head_size = 0;
    if (c->block_need == 0) {
        ftx_connection_fail(c, FTX_EPROTO);
        return;
    }
    c->block = ftx_block_new(c->block_need);
    if (!c->block) {
        ftx_connection_fail(c, -ENOMEM);
        return;
    }
    memcpy(c->block, c->head, FTX_RECORD_HEAD);
    c->block_size = FTX_RECORD_HEAD;
}

void ftx_connection_read_room(struct ftx_connection *c, uint8_t **out_bytes, size_t *out_size)
{
    if (c->block) {
        *out_bytes = c->block + c->block_size;
        *out_size = c->block_need - c->block_size;
    } else {
        *out_bytes = c->head + c->head_size;
        *out_size = FTX_RECORD_HEAD - c->head_size;
    }
}

void ftx_connection_read_took(struct ftx_connection *c, size_t size)
{
    if (c->block) {
        c->block_size += size;
        if (c->block_size == c->block_need)
            open_record(c);
    } else {
        c->head_size += size;
        if (c->head_size == FTX_RECORD_HEAD)
            begin_record(c);
    }
}

void ftx_connection_deliver(struct ftx_connection *c)
{
    while (c->phase == FTX_CONNECTION_RECORDS && !c->paused && !ftx_list_empty(&c->inbound)) {
        struct inbound *in = ftx_list_of(c->inbound.next, struct inbound, node);
        if (!in->opened)
            return;
        ftx_list_remove(&in->node);
        c->inbound_bytes -= in->size;
        int err = in->err;
        if (!err && !c->told) {
            uint8_t *whole = in->block;
            in->block = NULL;
            c->events->record(c->owner, c, whole + FTX_RECORD_HEAD, in->plain_size, whole);
        }
        inbound_free(in);
        if (err)
            ftx_connection_fail(c, err);
    }
    if (c->phase == FTX_CONNECTION_RECORDS && !c->paused && c->ended)
        ftx_connection_fail(c, c->end_err);
}

void ftx_connection_read_free(struct ftx_connection *c)
{
    for (struct ftx_list *node; (node = ftx_list_pop(&c->inbound));)
        inbound_free(ftx_list_of(node, struct inbound, node));
    ftx_block_free(c->block);
}
