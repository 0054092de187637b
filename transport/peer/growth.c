/* SPDX-License-Identifier: MIT */
/* Full for a span -> add one -> let it start -> full for a span: was it faster? */
#include "transport/peer/growth.h"

enum {
    SHORT_US = 5000, /* the buffers of one connection hold many times what is under way */
    SPAN_RTTS = 8,   /* of a measurement, */
    START_RTTS = 12, /* and of a handshake and a slow start */
    SPAN_MIN_MS = 500,
    SPAN_MAX_MS = 4000,
    GAIN = 8, /* one eighth more is worth a connection */
};

static uint64_t span_ms(uint32_t rtt_us, unsigned rtts)
{
    uint64_t ms = (uint64_t)rtt_us * rtts / 1000;
    ms = ms < SPAN_MIN_MS ? SPAN_MIN_MS : ms;
    return ms > SPAN_MAX_MS ? SPAN_MAX_MS : ms;
}

bool ftx_growth_look(struct ftx_growth *growth, bool full, uint64_t written, uint32_t rtt_us,
                     uint64_t now_ms)
{
    if (growth->done || now_ms < growth->from_ms)
        return false;
    if (!full || !growth->measuring || rtt_us < SHORT_US) {
        growth->measuring = full && rtt_us >= SHORT_US;
        growth->from_ms = now_ms;
        growth->bytes = written;
        return false;
    }
    uint64_t ms = now_ms - growth->from_ms;
    if (ms < span_ms(rtt_us, SPAN_RTTS))
        return false;
    uint64_t rate = (written - growth->bytes) * 1000 / ms;
    growth->measuring = false;
    if (growth->tried && rate < growth->rate + growth->rate / GAIN) {
        growth->done = true;
        return false;
    }
    growth->tried = true;
    growth->rate = rate;
    growth->from_ms = now_ms + span_ms(rtt_us, START_RTTS);
    return true;
}
