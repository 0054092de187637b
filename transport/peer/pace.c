/* SPDX-License-Identifier: MIT */
/* Rates are measured over spans in which the pipe always had something to take. */
#include "transport/peer/pace.h"

enum {
    SPAN_MS = 100,
    BURST_MIN = 2 << 20, /* taken sooner than in a span, so much says something: not only buffers */
    QUEUE_MS = 100,
    QUEUE_MIN = 64 << 10,
    QUEUE_MAX = 4 << 20,
};

static void begin(struct ftx_pace *pace, uint64_t now_ms)
{
    pace->since_ms = now_ms;
    pace->bytes = 0;
}

void ftx_pace_queued(struct ftx_pace *pace, uint64_t now_ms)
{
    if (!pace->busy)
        begin(pace, now_ms);
    pace->busy = true;
}

void ftx_pace_taken(struct ftx_pace *pace, size_t size, bool empty, uint64_t now_ms)
{
    pace->bytes += size;
    uint64_t ms = now_ms - pace->since_ms;
    uint64_t rate = pace->bytes * 1000 / (ms ? ms : 1);
    bool faster = pace->bytes >= BURST_MIN && rate > pace->rate;
    if (ms >= SPAN_MS)
        pace->rate = pace->rate ? (3 * pace->rate + rate) / 4 : rate;
    else if (empty && faster)
        pace->rate = rate;
    if (ms >= SPAN_MS || empty)
        begin(pace, now_ms);
    pace->busy = !empty;
}

size_t ftx_pace_queue(const struct ftx_pace *pace)
{
    uint64_t bytes = pace->rate * QUEUE_MS / 1000;
    if (pace->rate == 0 || bytes > QUEUE_MAX)
        return QUEUE_MAX;
    return bytes < QUEUE_MIN ? QUEUE_MIN : (size_t)bytes;
}
