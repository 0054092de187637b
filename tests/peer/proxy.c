/* SPDX-License-Identifier: MIT */
/* Each accepted connection gets one to the target; a direction reads again once what it read is
 * written. */
#include "tests/peer/proxy.h"

#include "tests/net/loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pair;

struct way {
    struct pair *pair;
    struct ftx_pipe *from, *to;
    struct ftx_pipe_write write;
    bool writing;
    uint8_t bytes[64 << 10];
};

struct pair {
    struct ftx_list node;
    struct proxy *proxy;
    struct ftx_pipe *caller, *target;
    struct ftx_dial *dial;
    struct way ways[2];
    bool closed;
};

static void maybe_free(struct pair *pair)
{
    if (pair->closed && !pair->dial && !pair->ways[0].writing && !pair->ways[1].writing)
        free(pair);
}

static void pair_close(struct pair *pair)
{
    if (pair->closed)
        return;
    pair->closed = true;
    ftx_list_remove(&pair->node);
    if (pair->dial)
        ftx_dial_cancel(pair->dial);
    ftx_pipe_close(pair->caller);
    if (pair->target)
        ftx_pipe_close(pair->target);
    maybe_free(pair);
}

static void on_alloc(void *owner, uint8_t **out_bytes, size_t *out_size)
{
    struct way *way = owner;
    *out_bytes = way->bytes;
    *out_size = sizeof way->bytes;
}

static void on_written(struct ftx_pipe_write *write, int err)
{
    struct way *way = ftx_list_of(write, struct way, write);
    struct pair *pair = way->pair;
    way->writing = false;
    if (pair->closed)
        maybe_free(pair);
    else if (err && !pair->proxy->frozen)
        pair_close(pair);
    else if (!err)
        ftx_pipe_read_start(way->from);
}

static void on_received(void *owner, size_t size)
{
    struct way *way = owner;
    struct proxy *proxy = way->pair->proxy;
    uint64_t before = proxy->n_passed;
    if (proxy->frozen || (proxy->deaf && way->to == way->pair->target))
        return; /* lost */
    proxy->n_passed += size;
    if (proxy->flip_at > before && proxy->flip_at <= proxy->n_passed) {
        way->bytes[proxy->flip_at - before - 1] ^= 0x10;
        proxy->flip_at = 0;
    }
    if (proxy->cut_at && proxy->n_passed >= proxy->cut_at) {
        proxy->cut_at = 0;
        proxy_cut(proxy);
        return;
    }
    ftx_pipe_read_stop(way->from);
    way->writing = true;
    way->write = (struct ftx_pipe_write){.done = on_written, .bytes = way->bytes, .size = size};
    ftx_pipe_write(way->to, &way->write);
}

static void on_ended(void *owner, int err)
{
    struct way *way = owner;
    (void)err;
    if (!way->pair->proxy->frozen)
        pair_close(way->pair);
}

static const struct ftx_pipe_events way_events = {
    .alloc = on_alloc,
    .received = on_received,
    .ended = on_ended,
};

static void on_dialled(void *owner, int err, struct ftx_pipe *pipe)
{
    struct pair *pair = owner;
    pair->dial = NULL;
    if (pair->closed) {
        maybe_free(pair);
        return;
    }
    if (err) {
        pair_close(pair);
        return;
    }
    pair->target = pipe;
    for (int i = 0; i < 2; i++) {
        struct way *way = &pair->ways[i];
        way->pair = pair;
        way->from = i ? pair->target : pair->caller;
        way->to = i ? pair->caller : pair->target;
        ftx_pipe_own(way->from, &way_events, way);
    }
    ftx_pipe_read_start(pair->caller);
    ftx_pipe_read_start(pair->target);
}

static void on_accepted(void *owner, struct ftx_pipe *pipe)
{
    struct proxy *proxy = owner;
    struct ftx_address address = {.host = "127.0.0.1", .port = proxy->target};
    proxy->n_accepted++;
    if (!proxy->target) {
        ftx_pipe_close(pipe);
        return;
    }
    struct pair *pair = calloc(1, sizeof *pair);
    assert_non_null(pair);
    pair->proxy = proxy;
    pair->caller = pipe;
    ftx_list_append(&proxy->pairs, &pair->node);
    assert_int_equal(ftx_tcp_dial(proxy->loop, &address, on_dialled, pair, &pair->dial), 0);
}

void proxy_open(struct proxy *proxy, uv_loop_t *loop)
{
    proxy_open_at(proxy, loop, "127.0.0.1");
}

void proxy_open_at(struct proxy *proxy, uv_loop_t *loop, const char *host)
{
    struct ftx_address address = {0};
    snprintf(address.host, sizeof address.host, "%s", host);
    memset(proxy, 0, sizeof *proxy);
    proxy->loop = loop;
    ftx_list_init(&proxy->pairs);
    assert_int_equal(ftx_tcp_listen(loop, &address, on_accepted, proxy, &proxy->listener), 0);
    proxy->port = ftx_listener_port(proxy->listener);
}

void proxy_cut(struct proxy *proxy)
{
    while (!ftx_list_empty(&proxy->pairs))
        pair_close(ftx_list_of(proxy->pairs.next, struct pair, node));
}

void proxy_close(struct proxy *proxy)
{
    proxy_cut(proxy);
    ftx_listener_stop(proxy->listener);
}
