/* SPDX-License-Identifier: MIT */
/* Losses are those of the last thousand segments or so: a way may get better. */
#include "transport/peer/quality.h"

#include <stddef.h>

enum { SEGMENTS_MIN = 200 /* fewer say nothing of losses of half a percent */ };

void ftx_quality_look(struct ftx_quality *quality, uint32_t sent, uint32_t again)
{
    uint32_t n = sent - quality->sent, lost = again - quality->again;
    if (n < SEGMENTS_MIN)
        return;
    quality->loss_thousandths = (uint32_t)((uint64_t)lost * 1000 / n);
    quality->sent = sent;
    quality->again = again;
}

const char *ftx_quality_text(const struct ftx_quality *quality, uint32_t rtt_us)
{
    static const struct {
        const char *text;
        uint32_t rtt_us, loss_thousandths;
    } words[] = {{"excellent", 30000, 5}, {"good", 100000, 20}, {"fair", 300000, 50}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (rtt_us <= words[i].rtt_us && quality->loss_thousandths <= words[i].loss_thousandths)
            return words[i].text;
    return "poor";
}
