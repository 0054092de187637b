/* SPDX-License-Identifier: MIT */
/* Whose bytes go next: streams a reader waits for, then by priority, then fair between files with
 * small ones first (docs/architecture.md). Pure. */
#ifndef FTX_SESSION_SCHEDULER_H
#define FTX_SESSION_SCHEDULER_H

#include "transport/base/list.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FTX_PRIORITY_MAX = 10, FTX_PRIORITY_DEFAULT = 5 };

/* A stream with something to send; embedded in what the application sends. */
struct ftx_stream {
    struct ftx_list queue; /* its place in the scheduler */
    struct ftx_list *in;   /* the queue it stands in, if `queue` is linked */
    struct ftx_list fresh; /* waits for its SIZE */
    uint64_t id;
    uint64_t op;      /* the operation that made it, or a later one that its seal must follow: data
                         connections wait until it is received */
    uint8_t priority; /* 0..FTX_PRIORITY_MAX, higher goes first */
    bool small;       /* little is left: goes before the large ones */
    bool urgent;
    bool announced; /* the peer knows its size in this session (the application clears it when one
                       starts) */
    bool control_only; /* only its seal is left: that goes on the control connection */
};

struct ftx_scheduler {
    struct ftx_list urgent;
    struct ftx_list small[FTX_PRIORITY_MAX + 1];
    struct ftx_list large[FTX_PRIORITY_MAX + 1];
    struct ftx_list control_only;
    struct ftx_list fresh;
    size_t small_run; /* bytes of small streams since the last large extent */
};

void ftx_stream_init(struct ftx_stream *stream, uint64_t id, uint64_t op);

void ftx_scheduler_init(struct ftx_scheduler *scheduler);
/* Puts a stream in, or moves it if its fields (urgent, priority, small, control_only) changed; else
 * it keeps its turn. */
void ftx_scheduler_add(struct ftx_scheduler *scheduler, struct ftx_stream *stream);
void ftx_scheduler_remove(struct ftx_scheduler *scheduler, struct ftx_stream *stream);
/* Who goes next among those whose operation number is <= `op_most`, NULL if none. `control`: those
 * with only a seal too (first). */
struct ftx_stream *ftx_scheduler_next(struct ftx_scheduler *scheduler, bool control,
                                      uint64_t op_most);
/* `bytes` of the stream were taken: a large one goes behind its equals. */
void ftx_scheduler_took(struct ftx_scheduler *scheduler, struct ftx_stream *stream, size_t bytes);
/* Unlinks every stream. */
void ftx_scheduler_clear(struct ftx_scheduler *scheduler);

#endif
