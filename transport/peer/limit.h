/* SPDX-License-Identifier: MIT */
/* How many bytes may go a second: a bucket that fills at this rate, and may be overdrawn by what
 * cannot be divided. Pure; the caller has the clock. */
#ifndef FTX_PEER_LIMIT_H
#define FTX_PEER_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ftx_limit {
    uint64_t rate; /* bytes per second; 0: no limit */
    int64_t left;  /* below 0: overdrawn */
    uint64_t at_ms;
};

void ftx_limit_set(struct ftx_limit *limit, uint64_t rate, uint64_t now_ms);
/* 0: something may go; else for how long nothing may, ms. */
uint64_t ftx_limit_wait_ms(struct ftx_limit *limit, uint64_t now_ms);
void ftx_limit_take(struct ftx_limit *limit, uint64_t bytes);

#endif
