/* SPDX-License-Identifier: MIT */
/*
 * A reliable, ordered byte pipe: what a connection stands on. TCP, memory and a WebSocket through a
 * relay implement it; tests/net runs one conformance suite on each. Everything happens on the loop
 * thread. A pipe belongs to whoever got it, until ftx_pipe_close.
 */
#ifndef FTX_NET_PIPE_H
#define FTX_NET_PIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "transport/base/list.h"

struct ftx_pipe;

/*
 * What a pipe tells its owner. None of these is called inside a call that the owner makes on the
 * pipe, nor after ftx_pipe_close.
 */
struct ftx_pipe_events {
    /*
     * Where the next bytes go: *out_size > 0 bytes that stay valid until `received` or `ended`.
     * Only answers, and may be asked again when nothing came.
     */
    void (*alloc)(void *owner, uint8_t **out_bytes, size_t *out_size);
    /* `size` > 0 bytes were put there. */
    void (*received)(void *owner, size_t size);
    /* No more bytes will come: UV_EOF or what broke. At most once; the owner then closes. */
    void (*ended)(void *owner, int err);
};

/*
 * One write; embedded in its owner and untouched until `done`, which comes exactly once, also when
 * the pipe is closed (UV_ECANCELED).
 */
struct ftx_pipe_write {
    void (*done)(struct ftx_pipe_write *write, int err);
    uint8_t *bytes; /* kept until done */
    size_t size;
    union {
        uv_write_t uv;
        struct ftx_list queued;
    } impl;
};

struct ftx_pipe_ops {
    void (*read_start)(struct ftx_pipe *pipe);
    void (*read_stop)(struct ftx_pipe *pipe);
    void (*write)(struct ftx_pipe *pipe, struct ftx_pipe_write *write);
    void (*close)(struct ftx_pipe *pipe);
    size_t (*unsent)(const struct ftx_pipe *pipe);
    uint32_t (*rtt_us)(const struct ftx_pipe *pipe);
    /* May be NULL: nothing is known. */
    bool (*segments)(const struct ftx_pipe *pipe, uint32_t *out_sent, uint32_t *out_again);
};

struct ftx_pipe {
    const struct ftx_pipe_ops *ops;
    const struct ftx_pipe_events *events;
    void *owner;
    /* The other end, for people: "127.0.0.1:40312", "[fe80::1%eth0]:15820", "memory". */
    char address[64];
    uint16_t own_port; /* of TCP: ours; else 0 */
};

/* Sets who is told; call once, before read_start. */
static inline void ftx_pipe_own(struct ftx_pipe *pipe, const struct ftx_pipe_events *events,
                                void *owner)
{
    pipe->events = events;
    pipe->owner = owner;
}

/* Events begin, or go on after a stop. */
static inline void ftx_pipe_read_start(struct ftx_pipe *pipe)
{
    pipe->ops->read_start(pipe);
}

/* No `alloc` or `received` until the next start: back-pressure. `ended` may wait as well. */
static inline void ftx_pipe_read_stop(struct ftx_pipe *pipe)
{
    pipe->ops->read_stop(pipe);
}

/*
 * Queues bytes after those of earlier writes; `done` (with 0) means that the transport has taken
 * them. Once a `done` or `ended` brought an error the pipe is broken: the `done` of writes that are
 * queued then, or come later, may wait for the close.
 */
static inline void ftx_pipe_write(struct ftx_pipe *pipe, struct ftx_pipe_write *write)
{
    pipe->ops->write(pipe, write);
}

/*
 * Ends the pipe at once; queued writes are cancelled (their `done` still comes); frees itself when
 * all that is over.
 */
static inline void ftx_pipe_close(struct ftx_pipe *pipe)
{
    pipe->ops->close(pipe);
}

/* Bytes of what was written that have not left this machine, or memory, for the first time. */
static inline size_t ftx_pipe_unsent(const struct ftx_pipe *pipe)
{
    return pipe->ops->unsent(pipe);
}

/* The round-trip time of the way, without queues, microseconds; 0: not known. */
static inline uint32_t ftx_pipe_rtt_us(const struct ftx_pipe *pipe)
{
    return pipe->ops->rtt_us(pipe);
}

/* How many pieces the transport has sent, ever, and how many of them again, as they were lost;
 * false: not known. */
static inline bool ftx_pipe_segments(const struct ftx_pipe *pipe, uint32_t *out_sent,
                                     uint32_t *out_again)
{
    return pipe->ops->segments && pipe->ops->segments(pipe, out_sent, out_again);
}

#endif
