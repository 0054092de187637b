/* SPDX-License-Identifier: MIT */
/* How good the way of a session is, in a word for people. Pure. */
#ifndef FTX_PEER_QUALITY_H
#define FTX_PEER_QUALITY_H

#include <stdint.h>

/* What of a way was measured; zeroed when it is another one. */
struct ftx_quality {
    uint32_t sent, again;      /* segments, as of the last look that told something */
    uint32_t loss_thousandths; /* of those between the last two such looks */
};

/* Takes the counts of now, a look a second or less. */
void ftx_quality_look(struct ftx_quality *quality, uint32_t sent, uint32_t again);

/*
 * The worse of what the round-trip time and the losses say:
 *
 *   excellent  up to  30 ms and 0.5 %
 *   good       up to 100 ms and 2 %
 *   fair       up to 300 ms and 5 %
 *   poor       all else
 */
const char *ftx_quality_text(const struct ftx_quality *quality, uint32_t rtt_us);

#endif
