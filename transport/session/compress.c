/* SPDX-License-Identifier: MIT */
/* The policy of compression; constants say why. */
#include "transport/session/compress.h"

#include <string.h>

enum {
    ON_LEVEL = 3,
    SAMPLE_MIN = 64 << 10,     /* raw bytes: less is tried as a whole */
    DISTANCE_MAX = 32,         /* extents between two samples of what does not shrink */
    MARGIN = 3,                /* times faster than the socket: what compression must be at least */
    RATE_KNOWN_US = 10 * 1000, /* waiting for the socket that tells its rate, ... */
    RATE_MEMORY_US = 256 * 1000, /* ... which is that of about this span: one pause of the other
                                    end's process is no slow network */
    LOOK_US = 100 * 1000,        /* between two changes of the level */
    LOOK_MEMORY_US = 500 * 1000,
    PAUSE_US = 250 * 1000,  /* with nothing to send: what was known of the network is old */
    COST_KNOWN = 256 << 10, /* bytes that tell what a level costs */
    COST_MEMORY = 16 << 20,
};

/* ns for a byte of text, on a core of today, until it has been measured; their proportions hold. */
static const double usual_ns[FTX_PACK_LEVEL_MAX + 1] = {0,   2.0, 2.2, 2.8, 2.9,
                                                        5.0, 6.8, 7.8, 9.9, 10.2};

static const double FULL = 0.75; /* of the time something is unsent: the network is waited for */
static const double DRY = 0.5;   /* ... or, less than that, it waits for us */
static const double CORE_MOST = 0.75; /* of a core for a higher level: others want some too */

void ftx_compress_init(struct ftx_compress *compress, enum ftx_compress_mode mode)
{
    memset(compress, 0, sizeof *compress);
    compress->mode = mode;
    compress->connections = 1;
}

/* -- what the socket does -- */

static void count_busy(struct ftx_compress *compress, uint64_t bytes, uint64_t us)
{
    compress->busy_us += us;
    compress->rate_us += us;
    compress->rate_bytes += bytes;
    while (compress->rate_us > RATE_MEMORY_US) {
        compress->rate_us /= 2;
        compress->rate_bytes /= 2;
    }
}

static void count_idle(struct ftx_compress *compress, uint64_t us)
{
    compress->idle_us += us;
    if (us < PAUSE_US)
        return;
    compress->level = 0;
    compress->busy_us = compress->idle_us = 0;
}

/* Who has something unsent at both ends of a span had all the time; else it may have run dry at
 * once: that counts as idle, for what was unsent then is no reason to compress. */
void ftx_compress_look(struct ftx_compress *compress, uint64_t given, uint64_t unsent,
                       uint64_t now_us)
{
    uint64_t us = compress->looked_us ? now_us - compress->looked_us : 0;
    uint64_t sent = given - unsent;
    if (unsent > 0)
        count_busy(compress, sent - compress->sent, us);
    else
        count_idle(compress, us);
    while (compress->busy_us + compress->idle_us > LOOK_MEMORY_US) {
        compress->busy_us /= 2;
        compress->idle_us /= 2;
    }
    compress->looked_us = now_us;
    compress->sent = sent;
}

uint64_t ftx_compress_rate(const struct ftx_compress *compress)
{
    if (compress->rate_us < RATE_KNOWN_US)
        return 0;
    return compress->rate_bytes * 1000 / compress->rate_us;
}

/* -- what compression costs and saves -- */

/* ns of processor time for a raw byte; what is not known follows from the nearest level below that
 * is. */
static double cost_ns(const struct ftx_compress *compress, int level)
{
    for (int known = level; known > 0; known--)
        if (compress->cost[known].bytes >= COST_KNOWN)
            return (double)compress->cost[known].ns / (double)compress->cost[known].bytes *
                   usual_ns[level] / usual_ns[known];
    return usual_ns[level];
}

/* Seconds of one core in a second, to compress at this level what all sockets take raw. */
static double load_raw(const struct ftx_compress *compress, int level)
{
    return (double)ftx_compress_rate(compress) * 1000 * compress->connections *
           cost_ns(compress, level) / 1e9;
}

/* What compression leaves of a byte. */
static double left_of(const struct ftx_compress *compress)
{
    return compress->after ? (double)compress->after / (double)compress->before : 1;
}

/* The same for what they take compressed. */
static double load_packed(const struct ftx_compress *compress, int level)
{
    return load_raw(compress, level) / left_of(compress);
}

/* The network is so slow that compression costs next to nothing. */
static bool network_slow(const struct ftx_compress *compress)
{
    return ftx_compress_rate(compress) > 0 && load_raw(compress, 1) * MARGIN < 1;
}

/* -- decisions -- */

/* Another level, if it could be better. */
static int other_level(const struct ftx_compress *compress)
{
    int level = compress->level;
    double busy = (double)compress->busy_us / (double)(compress->busy_us + compress->idle_us);
    if (level == 0 || (level == 1 && busy < FULL))
        return busy >= FULL * (level ? left_of(compress) : 1); /* the share of raw bytes would be */
    if (busy < DRY)
        return level - 1;
    bool higher =
        busy >= FULL && level < FTX_PACK_LEVEL_MAX && load_packed(compress, level + 1) < CORE_MOST;
    return higher ? level + 1 : level;
}

static int level_now(struct ftx_compress *compress)
{
    if (compress->mode != FTX_COMPRESS_AUTO)
        return ON_LEVEL;
    int level = compress->level;
    if (!network_slow(compress))
        level = 0;
    else if (compress->busy_us + compress->idle_us >= LOOK_US)
        level = other_level(compress);
    if (level != compress->level)
        compress->busy_us = compress->idle_us = 0;
    compress->level = level;
    return level;
}

void ftx_compress_follow(struct ftx_compress *compress, const struct ftx_compress *other)
{
    unsigned connections = compress->connections;
    *compress = *other;
    (void)level_now(compress);
    compress->connections = connections;
    compress->looked_us = compress->sent = 0;
    compress->busy_us = compress->idle_us = 0;
}

/* Streams of both ends have numbers of their own. */
static struct ftx_compress_stream *stream_of(struct ftx_compress *compress,
                                             const struct ftx_source *source)
{
    uint64_t key = 2 * source->extent.stream + source->answer;
    struct ftx_compress_stream *stream = &compress->streams[key % FTX_COMPRESS_STREAMS];
    if (stream->key != key)
        *stream = (struct ftx_compress_stream){.key = key};
    return stream;
}

static struct ftx_source *data_of(struct ftx_plan_entry *entry)
{
    bool source = entry->kind == FTX_PLAN_EXTENT || entry->kind == FTX_PLAN_ANSWER;
    bool data = source && entry->as.source.extent.kind == FTX_EXTENT_DATA;
    return data ? &entry->as.source : NULL;
}

void ftx_compress_plan(struct ftx_compress *compress, struct ftx_plan *plan)
{
    if (compress->mode == FTX_COMPRESS_OFF || !plan->reads)
        return;
    int level = level_now(compress);
    for (size_t i = 0; level > 0 && i < plan->n_entries; i++) {
        const struct ftx_source *source = data_of(&plan->entries[i]);
        if (!source || source->extent.length < FTX_PACK_MIN)
            continue;
        struct ftx_compress_stream *stream = stream_of(compress, source);
        if (stream->left > 0) {
            stream->left--;
            continue;
        }
        plan->entries[i].packing.level = (uint8_t)level;
        plan->entries[i].packing.sample = source->extent.length >= SAMPLE_MIN;
    }
}

static void decay(uint64_t *bytes, uint64_t *with)
{
    if (*bytes <= COST_MEMORY)
        return;
    *bytes /= 2;
    *with /= 2;
}

static void learn(struct ftx_compress *compress, const struct ftx_packing *packing, uint64_t length)
{
    if (packing->ns > 0) {
        compress->cost[packing->level].bytes += length;
        compress->cost[packing->level].ns += packing->ns;
        decay(&compress->cost[packing->level].bytes, &compress->cost[packing->level].ns);
    }
    compress->before += length;
    compress->after += packing->after ? packing->after : length;
    decay(&compress->before, &compress->after);
}

void ftx_compress_built(struct ftx_compress *compress, const struct ftx_plan *plan)
{
    for (size_t i = 0; i < plan->n_entries; i++) {
        struct ftx_plan_entry *entry = &plan->entries[i];
        if (entry->packing.level == 0 || entry->err)
            continue;
        const struct ftx_source *source = data_of(entry);
        struct ftx_compress_stream *stream = stream_of(compress, source);
        if (entry->packing.tried)
            learn(compress, &entry->packing, source->extent.length);
        if (entry->packing.after)
            stream->distance = 0;
        else if (entry->packing.sample) {
            unsigned distance = stream->distance ? 2u * stream->distance : 1;
            stream->distance = (uint8_t)(distance < DISTANCE_MAX ? distance : DISTANCE_MAX);
            stream->left = stream->distance;
        }
    }
}
