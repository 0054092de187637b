/* SPDX-License-Identifier: MIT */
/* Which of the ways that somebody named lead nowhere: the loop notes it, whoever waits asks. */
#include "fs/headless/internal.h"

#include <stdio.h>
#include <string.h>

void ftx_headless_way_text(const struct ftx_address *address, char out[FTX_HEADLESS_PLACE_MAX])
{
    bool v6 = address->port && strchr(address->host, ':');
    if (address->port)
        snprintf(out, FTX_HEADLESS_PLACE_MAX, "%s%s%s:%u", v6 ? "[" : "", address->host,
                 v6 ? "]" : "", address->port);
    else
        snprintf(out, FTX_HEADLESS_PLACE_MAX, "%s", address->host);
}

void ftx_headless_failed(void *ctx, const struct ftx_address *address, int err)
{
    struct ftx_headless_ways *ways = &((struct ftx_headless *)ctx)->ways;
    struct ftx_headless_failure failure = {.err = err};
    size_t i = 0;
    ftx_headless_way_text(address, failure.place);
    pthread_mutex_lock(&ways->lock);
    while (i < ways->n && strcmp(ways->failures[i].place, failure.place) != 0)
        i++;
    bool known = i < ways->n && ways->failures[i].err == err;
    if (!known && i < FTX_HEADLESS_WAYS_MAX)
        ways->failures[i] = failure;
    if (i == ways->n && i < FTX_HEADLESS_WAYS_MAX)
        ways->n++;
    pthread_mutex_unlock(&ways->lock);
}

bool ftx_headless_failure(struct ftx_headless *h, struct ftx_headless_failure *out)
{
    bool found = false;
    pthread_mutex_lock(&h->ways.lock);
    for (size_t i = 0; i < h->ways.n && !found; i++) {
        found = !h->ways.failures[i].told;
        if (found)
            *out = h->ways.failures[i];
        h->ways.failures[i].told = true;
    }
    pthread_mutex_unlock(&h->ways.lock);
    return found;
}
