/* SPDX-License-Identifier: MIT */
/*
 * How fast a pipe takes bytes while it has some, and how many may therefore stand before it: so
 * many that it does not run dry while the next record is made, and so few that what becomes urgent
 * does not wait behind megabytes. Pure: times come from the caller. Loop thread.
 */
#ifndef FTX_PEER_PACE_H
#define FTX_PEER_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ftx_pace {
    uint64_t rate;     /* bytes per second, smoothed; 0: not known */
    uint64_t since_ms; /* of the span that is being measured */
    uint64_t bytes;    /* taken since then */
    bool busy;         /* the pipe has bytes to take */
};

/* The pipe has bytes to take (again). */
void ftx_pace_queued(struct ftx_pace *pace, uint64_t now_ms);
/* It took `size` of them; `empty`: these were all. */
void ftx_pace_taken(struct ftx_pace *pace, size_t size, bool empty, uint64_t now_ms);

/* Bytes that may stand before the pipe. */
size_t ftx_pace_queue(const struct ftx_pace *pace);

#endif
