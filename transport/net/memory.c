/* SPDX-License-Identifier: MIT */
/*
 * Two pipes joined in one process. Each end has a ring of bytes that it has not read yet; a write
 * is done once all of it stands in the other end's ring. Everything happens in `step`, an idle
 * handle that runs while the end may have something to do: so nothing is delivered inside a call.
 */
#include "transport/net/memory.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct end {
    struct ftx_pipe pipe;
    struct end *peer; /* NULL once that is closed */
    uv_idle_t step;
    struct ftx_list writes;
    size_t n_moved; /* bytes of the first write that the peer's ring has taken */
    bool reading;
    bool ended;
    size_t segment;
    size_t capacity;
    size_t start;
    size_t used;
    uint8_t ring[];
};

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static bool is_closing(const struct end *end)
{
    return uv_is_closing((const uv_handle_t *)&end->step);
}

/* Returns how many bytes fitted. */
static size_t ring_put(struct end *end, const uint8_t *bytes, size_t size)
{
    size_t n_put = 0;

    while (n_put < size && end->used < end->capacity) {
        size_t at = (end->start + end->used) % end->capacity;
        size_t run = min_size(end->capacity - at, end->capacity - end->used);

        run = min_size(run, size - n_put);
        memcpy(end->ring + at, bytes + n_put, run);
        end->used += run;
        n_put += run;
    }
    return n_put;
}

/* Takes at most `size` bytes that stand in one run; returns how many. */
static size_t ring_take(struct end *end, uint8_t *bytes, size_t size)
{
    size_t run = min_size(end->capacity - end->start, end->used);

    run = min_size(run, size);
    memcpy(bytes, end->ring + end->start, run);
    end->start = (end->start + run) % end->capacity;
    end->used -= run;
    return run;
}

static void on_step(uv_idle_t *idle);

static void wake(struct end *end)
{
    if (end && !is_closing(end))
        uv_idle_start(&end->step, on_step);
}

static struct ftx_pipe_write *first_write(struct end *end)
{
    return ftx_list_of(end->writes.next, struct ftx_pipe_write, impl.queued);
}

static void finish_first(struct end *end, int err)
{
    struct ftx_pipe_write *write = first_write(end);

    ftx_list_remove(&write->impl.queued);
    end->n_moved = 0;
    write->done(write, err);
}

static void move_writes(struct end *end)
{
    while (!is_closing(end) && !ftx_list_empty(&end->writes)) {
        struct ftx_pipe_write *write = first_write(end);

        if (!end->peer) {
            finish_first(end, UV_EPIPE);
            continue;
        }
        end->n_moved +=
            ring_put(end->peer, write->bytes + end->n_moved, write->size - end->n_moved);
        wake(end->peer);
        if (end->n_moved < write->size)
            return; /* the peer wakes us when it has room */
        finish_first(end, 0);
    }
}

static void deliver(struct end *end)
{
    const struct ftx_pipe_events *events = end->pipe.events;

    while (!is_closing(end) && end->reading && end->used > 0) {
        uint8_t *bytes = NULL;
        size_t size = 0;

        events->alloc(end->pipe.owner, &bytes, &size);
        assert(bytes && size > 0);
        size = ring_take(end, bytes, end->segment ? min_size(size, end->segment) : size);
        wake(end->peer);
        events->received(end->pipe.owner, size);
    }
    if (!is_closing(end) && end->reading && end->used == 0 && !end->peer && !end->ended) {
        end->ended = true;
        events->ended(end->pipe.owner, UV_EOF);
    }
}

static void on_step(uv_idle_t *idle)
{
    struct end *end = idle->data;

    uv_idle_stop(idle); /* until woken again */
    move_writes(end);
    deliver(end);
}

static void memory_read_start(struct ftx_pipe *pipe)
{
    struct end *end = (struct end *)pipe;

    assert(pipe->events && !is_closing(end));
    end->reading = true;
    wake(end);
}

static void memory_read_stop(struct ftx_pipe *pipe)
{
    ((struct end *)pipe)->reading = false;
}

static void memory_write(struct ftx_pipe *pipe, struct ftx_pipe_write *write)
{
    struct end *end = (struct end *)pipe;

    assert(!is_closing(end));
    ftx_list_append(&end->writes, &write->impl.queued);
    wake(end);
}

static void on_closed(uv_handle_t *handle)
{
    struct end *end = handle->data;

    while (!ftx_list_empty(&end->writes))
        finish_first(end, UV_ECANCELED);
    free(end);
}

static void memory_close(struct ftx_pipe *pipe)
{
    struct end *end = (struct end *)pipe;

    uv_close((uv_handle_t *)&end->step, on_closed);
    if (!end->peer)
        return;
    end->peer->peer = NULL;
    wake(end->peer);
    end->peer = NULL;
}

static size_t memory_unsent(const struct ftx_pipe *pipe)
{
    const struct end *end = (const struct end *)pipe;
    size_t size = 0;

    for (struct ftx_list *node = end->writes.next; node != &end->writes; node = node->next)
        size += ftx_list_of(node, struct ftx_pipe_write, impl.queued)->size;
    return size - end->n_moved;
}

static uint32_t memory_rtt_us(const struct ftx_pipe *pipe)
{
    (void)pipe;
    return 0;
}

static const struct ftx_pipe_ops memory_ops = {
    .read_start = memory_read_start,
    .read_stop = memory_read_stop,
    .write = memory_write,
    .close = memory_close,
    .unsent = memory_unsent,
    .rtt_us = memory_rtt_us,
};

int ftx_memory_pipe(uv_loop_t *loop, size_t capacity, size_t segment, struct ftx_pipe *out_ends[2])
{
    struct end *ends[2];

    assert(capacity > 0);
    ends[0] = calloc(1, sizeof(*ends[0]) + capacity);
    ends[1] = calloc(1, sizeof(*ends[1]) + capacity);
    if (!ends[0] || !ends[1]) {
        free(ends[0]);
        free(ends[1]);
        return UV_ENOMEM;
    }
    for (int i = 0; i < 2; i++) {
        ends[i]->pipe.ops = &memory_ops;
        strcpy(ends[i]->pipe.address, "memory");
        ends[i]->peer = ends[1 - i];
        ends[i]->segment = segment;
        ends[i]->capacity = capacity;
        ftx_list_init(&ends[i]->writes);
        ends[i]->step.data = ends[i];
        uv_idle_init(loop, &ends[i]->step);
        out_ends[i] = &ends[i]->pipe;
    }
    return 0;
}
