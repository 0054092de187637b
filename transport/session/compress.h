/* SPDX-License-Identifier: MIT */
/*
 * Whether, and how hard, the extents of a connection are compressed. Numbers in, decision out: no
 * clock, no I/O. Automatic compression has to be free: it is done while the socket has something
 * unsent nearly all the time, and sends it much slower than one core compresses; the level rises
 * while that stays so, and falls when the socket runs dry. Loop thread, but for the build.
 *
 *   ftx_compress_look    what the socket has sent: now and then, but before a record is planned and
 *                        before one is given
 *   ftx_compress_plan    before the record is built
 *   ftx_plan_build       compresses, on a worker
 *   ftx_compress_built   what came of it
 */
#ifndef FTX_SESSION_COMPRESS_H
#define FTX_SESSION_COMPRESS_H

#include "transport/session/codec.h"
#include "transport/session/plan.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ftx_compress_mode {
    FTX_COMPRESS_OFF,
    FTX_COMPRESS_AUTO,
    FTX_COMPRESS_ON, /* always, at level 3 */
};

enum { FTX_COMPRESS_STREAMS = 64 };

/* How far a stream is from being sampled again; of the streams of a slot the one seen last. */
struct ftx_compress_stream {
    uint64_t key;
    uint8_t distance; /* extents left alone after the last sample that did not shrink */
    uint8_t left;     /* of them, still to come */
};

struct ftx_compress {
    enum ftx_compress_mode mode;
    int level;            /* AUTO: of the records to come; 0: none */
    unsigned connections; /* that the session's content is spread over */
    uint64_t looked_us;   /* the last look; 0: none yet */
    uint64_t sent;        /* bytes, as of then */
    /* bytes that left while there was something unsent, and how long that was; both decay */
    uint64_t rate_bytes, rate_us;
    /* how long something was unsent, and nothing, since the level changed; both decay */
    uint64_t busy_us, idle_us;
    /* what packing cost, by level, and what it left of the bytes; all decay */
    struct {
        uint64_t bytes, ns;
    } cost[FTX_PACK_LEVEL_MAX + 1];
    uint64_t before, after;
    struct ftx_compress_stream streams[FTX_COMPRESS_STREAMS];
};

void ftx_compress_init(struct ftx_compress *compress, enum ftx_compress_mode mode);
/* For one more connection of the same session: begins with what another one knows. */
void ftx_compress_follow(struct ftx_compress *compress, const struct ftx_compress *other);

/* Of all `given` bytes that the socket ever got, so many are still `unsent`. */
void ftx_compress_look(struct ftx_compress *compress, uint64_t given, uint64_t unsent,
                       uint64_t now_us);
/* How fast the socket sends while it has something unsent, in bytes per ms; 0: not known. */
uint64_t ftx_compress_rate(const struct ftx_compress *compress);

/* Decides for the plan's extents. */
void ftx_compress_plan(struct ftx_compress *compress, struct ftx_plan *plan);
/* The plan was built: what its packing cost and saved. */
void ftx_compress_built(struct ftx_compress *compress, const struct ftx_plan *plan);

#endif
