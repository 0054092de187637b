/* SPDX-License-Identifier: MIT */
/* Token buckets in a fixed table: the one that was used longest ago makes place for a new source.
 */
#include "transport/peer/gate.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

struct rate {
    uint64_t burst, per_second;
};

static const struct rate strangers = {20, 5};
static const struct rate loopback = {2000, 500}; /* many programs and tunnels share it */

/* The prefix that counts as one source; what is no address counts as ::. */
static void source_of(const char *address, uint8_t out[FTX_GATE_SOURCE])
{
    char host[64];
    uint8_t bytes[16] = {0};
    bool v6 = address[0] == '[';
    snprintf(host, sizeof host, "%s", address + v6);
    char *end = v6 ? strpbrk(host, "%]") : strrchr(host, ':');
    if (end)
        *end = '\0';
    memset(out, 0, FTX_GATE_SOURCE);
    if (uv_inet_pton(v6 ? AF_INET6 : AF_INET, host, bytes) != 0)
        return;
    if (v6)
        memcpy(out, bytes, FTX_GATE_SOURCE);
    else
        memcpy(out + 4, bytes, 4);
}

static bool is_loopback(const uint8_t source[FTX_GATE_SOURCE])
{
    static const uint8_t v6[FTX_GATE_SOURCE], v4[] = {0, 0, 0, 0, 127};
    return memcmp(source, v6, sizeof v6) == 0 || memcmp(source, v4, sizeof v4) == 0;
}

/* The bucket of the source, full if it is new. */
static struct ftx_gate_bucket *bucket_of(struct ftx_gate *gate, const uint8_t *source,
                                         uint64_t most, uint64_t now_ms)
{
    struct ftx_gate_bucket *oldest = &gate->buckets[0];
    for (size_t i = 0; i < FTX_GATE_SOURCES; i++) {
        struct ftx_gate_bucket *bucket = &gate->buckets[i];
        if (bucket->used && memcmp(bucket->source, source, FTX_GATE_SOURCE) == 0)
            return bucket;
        if (oldest->used && (!bucket->used || bucket->at_ms < oldest->at_ms))
            oldest = bucket;
    }
    *oldest = (struct ftx_gate_bucket){.used = true, .thousandths = most, .at_ms = now_ms};
    memcpy(oldest->source, source, FTX_GATE_SOURCE);
    return oldest;
}

bool ftx_gate_admit(struct ftx_gate *gate, const char *address, uint64_t now_ms)
{
    uint8_t source[FTX_GATE_SOURCE];
    source_of(address, source);
    const struct rate *rate = is_loopback(source) ? &loopback : &strangers;
    uint64_t most = rate->burst * 1000;
    struct ftx_gate_bucket *bucket = bucket_of(gate, source, most, now_ms);

    bucket->thousandths += (now_ms - bucket->at_ms) * rate->per_second;
    bucket->at_ms = now_ms;
    if (bucket->thousandths > most)
        bucket->thousandths = most;
    if (bucket->thousandths < 1000)
        return false;
    bucket->thousandths -= 1000;
    return true;
}
