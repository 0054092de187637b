/* SPDX-License-Identifier: MIT */
/*
 * A connection's life and its handshake. While the handshake wants something of the owner nothing
 * is read: what came too early waits in `early`. Once it wants RECORDS, connection_read.c and
 * connection_write.c take over.
 */
#include "transport/peer/connection.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "transport/base/err.h"
#include "transport/peer/block.h"
#include "transport/peer/peer.h"

enum {
    FINISH_MS = 500,
    OPENING_MAX = 4 << 20, /* bytes of records that are being opened */
};

static void random_bytes(void *ctx, void *out, size_t size)
{
    (void)ctx;
    randombytes_buf(out, size);
}

static void connection_free(struct ftx_connection *c)
{
    ftx_connection_read_free(c);
    ftx_connection_write_free(c);
    assert(c->outbound_bytes == 0 && c->outbound_memory == 0);
    ftx_block_free(c->first.whole);
    sodium_free(c->secret); /* wipes */
    free(c);
}

static void maybe_gone(struct ftx_connection *c)
{
    if (c->deadline.data || c->n_jobs > 0)
        return;
    c->events->gone(c->owner, c);
    connection_free(c);
}

void ftx_connection_job_back(struct ftx_connection *c)
{
    assert(c->n_jobs > 0);
    c->n_jobs--;
    if (c->phase == FTX_CONNECTION_CLOSED)
        maybe_gone(c);
}

static void on_deadline_closed(uv_handle_t *handle)
{
    struct ftx_connection *c = handle->data;
    handle->data = NULL;
    maybe_gone(c);
}

void ftx_connection_close(struct ftx_connection *c)
{
    if (c->phase == FTX_CONNECTION_CLOSED)
        return;
    ftx_connection_settle(c);
    c->phase = FTX_CONNECTION_CLOSED;
    uv_close((uv_handle_t *)&c->deadline, on_deadline_closed);
    ftx_pipe_close(c->pipe);
    c->pipe = NULL;
}

void ftx_connection_fail(struct ftx_connection *c, int err)
{
    if (c->phase == FTX_CONNECTION_CLOSED || c->told)
        return;
    c->told = true;
    ftx_connection_flow(c);
    if (c->phase == FTX_CONNECTION_FINISHING)
        ftx_connection_close(c);
    else
        c->events->ended(c->owner, c, err);
}

static void on_deadline(uv_timer_t *timer)
{
    struct ftx_connection *c = timer->data;
    if (c->phase == FTX_CONNECTION_FINISHING)
        ftx_connection_close(c);
    else
        ftx_connection_fail(c, c->late_err ? c->late_err : -ETIMEDOUT);
}

void ftx_connection_finish(struct ftx_connection *c)
{
    if (c->phase == FTX_CONNECTION_CLOSED || c->phase == FTX_CONNECTION_FINISHING)
        return;
    if (ftx_list_empty(&c->outbound)) {
        ftx_connection_close(c);
        return;
    }
    ftx_connection_settle(c);
    c->phase = FTX_CONNECTION_FINISHING;
    c->told = false; /* from here on a failure closes */
    ftx_connection_flow(c);
    uv_timer_start(&c->deadline, on_deadline, FINISH_MS, 0);
}

void ftx_connection_settle(struct ftx_connection *c)
{
    if (c->pending)
        --*c->pending;
    c->pending = NULL;
    uv_timer_stop(&c->deadline);
}

/* -- the handshake -- */

void ftx_connection_flow(struct ftx_connection *c)
{
    bool reading = !c->told && !c->ended;
    if (c->phase == FTX_CONNECTION_HANDSHAKE)
        reading = reading && c->secret->handshake.want == FTX_WANT_BYTES;
    else if (c->phase == FTX_CONNECTION_RECORDS)
        reading = reading && !c->paused && c->inbound_bytes < OPENING_MAX;
    if (!c->pipe || reading == c->reading)
        return;
    c->reading = reading;
    if (reading)
        ftx_pipe_read_start(c->pipe);
    else
        ftx_pipe_read_stop(c->pipe);
}

static int put_output(struct ftx_connection *c)
{
    struct ftx_handshake *hs = &c->secret->handshake;
    int err = 0;
    if (hs->out_size > 0)
        err = ftx_connection_write_bytes(c, hs->out, hs->out_size);
    hs->out_size = 0;
    return err;
}

static void begin_records(struct ftx_connection *c)
{
    struct ftx_handshake *hs = &c->secret->handshake;
    ftx_record_key_init(&c->secret->send, hs->cipher, hs->send_key);
    ftx_record_key_init(&c->secret->receive, hs->cipher, hs->receive_key);
    ftx_handshake_close(hs);
    c->phase = FTX_CONNECTION_RECORDS;
    c->events->wants(c->owner, c, FTX_WANT_RECORDS);
    while (c->phase == FTX_CONNECTION_RECORDS && c->early_at < c->early_end) {
        uint8_t *at;
        size_t room, n = c->early_end - c->early_at;
        ftx_connection_read_room(c, &at, &room);
        n = n < room ? n : room;
        memcpy(at, c->early + c->early_at, n);
        c->early_at += n;
        ftx_connection_read_took(c, n);
    }
    ftx_connection_flow(c);
}

/* The handshake moved, or failed with `err`: sends what it says, feeds it what came, asks the
 * owner. */
static void go_on(struct ftx_connection *c, int err)
{
    struct ftx_handshake *hs = &c->secret->handshake;
    for (;;) {
        int write_err = put_output(c); /* also after FTX_EROLE: the Hello that tells */
        if (!err)
            err = write_err;
        if (err) {
            ftx_connection_fail(c, err);
            return;
        }
        if (hs->want != FTX_WANT_BYTES || c->early_at == c->early_end)
            break;
        size_t taken = 0;
        err = ftx_handshake_receive(hs, c->early + c->early_at, c->early_end - c->early_at, &taken);
        c->early_at += taken;
    }
    if (hs->want == FTX_WANT_BYTES)
        c->early_at = c->early_end = 0;
    ftx_connection_flow(c);
    if (hs->want == FTX_WANT_RECORDS)
        begin_records(c);
    else if (hs->want != FTX_WANT_BYTES)
        c->events->wants(c->owner, c, hs->want);
}

void ftx_connection_resolved(struct ftx_connection *c, const struct ftx_handshake_link *link)
{
    go_on(c, ftx_handshake_resolved(&c->secret->handshake, link));
}

void ftx_connection_written(struct ftx_connection *c)
{
    go_on(c, ftx_handshake_written(&c->secret->handshake));
}

/* -- the pipe -- */

static void on_alloc(void *owner, uint8_t **out_bytes, size_t *out_size)
{
    struct ftx_connection *c = owner;
    if (c->phase == FTX_CONNECTION_RECORDS) {
        ftx_connection_read_room(c, out_bytes, out_size);
        return;
    }
    if (c->phase == FTX_CONNECTION_FINISHING)
        c->early_end = 0; /* nobody wants it */
    *out_bytes = c->early + c->early_end;
    *out_size = sizeof c->early - c->early_end;
}

static void on_received(void *owner, size_t size)
{
    struct ftx_connection *c = owner;
    if (c->phase == FTX_CONNECTION_HANDSHAKE) {
        c->early_end += size;
        go_on(c, 0);
    } else if (c->phase == FTX_CONNECTION_RECORDS) {
        c->events->heard(c->owner, c);
        ftx_connection_read_took(c, size);
    }
}

static void on_ended(void *owner, int err)
{
    struct ftx_connection *c = owner;
    c->ended = true;
    c->end_err = err;
    ftx_connection_flow(c);
    if (c->phase == FTX_CONNECTION_RECORDS)
        ftx_connection_deliver(c);
    else
        ftx_connection_fail(c, err);
}

static const struct ftx_pipe_events pipe_events = {
    .alloc = on_alloc,
    .received = on_received,
    .ended = on_ended,
};

void ftx_connection_own(struct ftx_connection *c, const struct ftx_connection_events *events,
                        void *owner)
{
    c->events = events;
    c->owner = owner;
}

int ftx_connection_new(uv_loop_t *loop, struct ftx_pipe *pipe,
                       const struct ftx_connection_events *events, void *owner,
                       const struct ftx_handshake_link *link, struct ftx_connection **out)
{
    int err = -ENOMEM;
    struct ftx_connection *c = calloc(1, sizeof *c);
    if (!c)
        goto fail_pipe;
    c->secret = sodium_malloc(sizeof *c->secret);
    if (!c->secret)
        goto fail_connection;
    memset(c->secret, 0, sizeof *c->secret);
    if (link)
        err = ftx_handshake_dial(&c->secret->handshake, link, random_bytes, NULL);
    else
        ftx_handshake_accept(&c->secret->handshake, random_bytes, NULL);
    if (link && err)
        goto fail_secret;

    ftx_list_init(&c->node);
    ftx_list_init(&c->inbound);
    ftx_list_init(&c->outbound);
    c->loop = loop;
    c->pipe = pipe;
    c->dialled = link != NULL;
    snprintf(c->address, sizeof c->address, "%s", pipe->address);
    ftx_connection_own(c, events, owner);
    ftx_pipe_own(pipe, &pipe_events, c);
    uv_timer_init(loop, &c->deadline);
    c->deadline.data = c;
    c->late_err = put_output(c);
    uv_timer_start(&c->deadline, on_deadline, c->late_err ? 0 : FTX_HANDSHAKE_MS, 0);
    ftx_connection_flow(c);
    *out = c;
    return 0;

fail_secret:
    sodium_free(c->secret);
fail_connection:
    free(c);
fail_pipe:
    ftx_pipe_close(pipe);
    return err;
}

/* -- back-pressure -- */

void ftx_connection_pause(struct ftx_connection *c)
{
    c->paused = true;
    ftx_connection_flow(c);
}

void ftx_connection_resume(struct ftx_connection *c)
{
    if (!c->paused)
        return;
    c->paused = false;
    ftx_connection_deliver(c);
    ftx_connection_flow(c);
}
