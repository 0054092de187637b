/* SPDX-License-Identifier: MIT */
/*
 * How many data connections a session uses: one connection is enough where the way is short; on a
 * long or lossy one another is added while all are full, and again as long as that added
 * throughput. Pure: times and rates come from the caller. Loop thread.
 */
#ifndef FTX_PEER_GROWTH_H
#define FTX_PEER_GROWTH_H

#include <stdbool.h>
#include <stdint.h>

struct ftx_growth {
    bool measuring, tried, done;
    uint64_t from_ms; /* measured from here on: what was added has come up to speed */
    uint64_t bytes;   /* `written` then */
    uint64_t rate;    /* bytes per second, before one was added */
};

/*
 * Looks at a session that has just been given all there is: `full`, none of its connections takes
 * more; `written`, bytes that they took so far, all together; `rtt_us`, of the way without queues,
 * 0: not known. True: add one.
 */
bool ftx_growth_look(struct ftx_growth *growth, bool full, uint64_t written, uint32_t rtt_us,
                     uint64_t now_ms);

#endif
