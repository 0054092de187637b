/* SPDX-License-Identifier: MIT */
/* What is left is kept in thousandths of a byte, so that low rates lose nothing to rounding. */
#include "transport/peer/limit.h"

enum {
    BURST_MS = 100,     /* what an idle bucket may hold */
    RATE_MAX = 1 << 30, /* with 2^30 bytes a second and more there is no limit */
};

void ftx_limit_set(struct ftx_limit *limit, uint64_t rate, uint64_t now_ms)
{
    if (limit->rate == rate)
        return;
    limit->rate = rate < RATE_MAX ? rate : 0;
    limit->left = 0;
    limit->at_ms = now_ms;
}

uint64_t ftx_limit_wait_ms(struct ftx_limit *limit, uint64_t now_ms)
{
    if (!limit->rate)
        return 0;
    int64_t rate = (int64_t)limit->rate, most = rate * BURST_MS;
    int64_t gone_ms = (int64_t)(now_ms - limit->at_ms);
    limit->at_ms = now_ms;
    if (gone_ms > (most - limit->left) / rate)
        limit->left = most;
    else
        limit->left += rate * gone_ms;
    return limit->left >= 0 ? 0 : (uint64_t)(-limit->left / rate + 1);
}

void ftx_limit_take(struct ftx_limit *limit, uint64_t bytes)
{
    if (limit->rate)
        limit->left -= (int64_t)bytes * 1000;
}
