/* SPDX-License-Identifier: MIT */
/* Statuses, /health as JSON, /metrics as Prometheus reads it. */
#include "tools/ftx-relay/reply.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

unsigned ftx_reply_status(enum ftx_refusal refusal)
{
    switch (refusal) {
    case FTX_REFUSED_REQUEST:
        return 404;
    case FTX_REFUSED_TOKEN:
        return 401;
    case FTX_REFUSED_TAKEN:
        return 409;
    case FTX_REFUSED_SOURCE_RATE:
    case FTX_REFUSED_ROOM_RATE:
        return 429;
    default:
        return 503;
    }
}

size_t ftx_reply_health(char out[FTX_REPLY_MAX], const struct ftx_rooms *rooms)
{
    const struct ftx_rooms_counts *counts = ftx_rooms_count(rooms);
    int size = snprintf(out, FTX_REPLY_MAX,
                        "{\"status\": \"%s\", \"version\": \"%s\", \"waiting\": %zu, \"pairs\": "
                        "%zu, \"handshakes\": %zu}\n",
                        ftx_rooms_is_draining(rooms) ? "draining" : "ok", FTX_VERSION_TEXT,
                        counts->n_waiting, counts->n_pairs, counts->n_handshakes);

    assert(size < FTX_REPLY_MAX);
    return (size_t)size;
}

struct text {
    char *out;
    size_t size;
};

static void add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct text *text, const char *format, ...)
{
    va_list args;
    int size;

    va_start(args, format);
    size = vsnprintf(text->out + text->size, FTX_REPLY_MAX - text->size, format, args);
    va_end(args);
    text->size += (size_t)size;
    assert(text->size < FTX_REPLY_MAX);
}

static void add_metric(struct text *text, const char *name, const char *kind, const char *help,
                       uint64_t value)
{
    add(text, "# HELP ftx_relay_%s %s\n# TYPE ftx_relay_%s %s\nftx_relay_%s %" PRIu64 "\n", name,
        help, name, kind, name, value);
}

size_t ftx_reply_metrics(char out[FTX_REPLY_MAX], const struct ftx_rooms *rooms)
{
    const struct ftx_rooms_counts *counts = ftx_rooms_count(rooms);
    struct text text = {.out = out};

    add_metric(&text, "rooms", "gauge", "Rooms, with one or two in them.",
               counts->n_waiting + counts->n_pairs);
    add_metric(&text, "waiting", "gauge", "Rooms with one in them.", counts->n_waiting);
    add_metric(&text, "pairs", "gauge", "Rooms with two in them.", counts->n_pairs);
    add_metric(&text, "handshakes", "gauge", "Connections that have not asked for a room.",
               counts->n_handshakes);
    add_metric(&text, "joins_total", "counter", "Joins that were admitted.", counts->n_joins);
    add_metric(&text, "paired_total", "counter", "Pairs that came together.", counts->n_paired);
    add_metric(&text, "bytes_total", "counter", "Bytes taken from clients for their peers.",
               counts->n_bytes);
    add(&text, "# HELP ftx_relay_refused_total Refusals, by reason.\n"
               "# TYPE ftx_relay_refused_total counter\n");
    for (enum ftx_refusal why = FTX_ADMITTED + 1; why < FTX_N_REFUSALS; why++)
        add(&text, "ftx_relay_refused_total{reason=\"%s\"} %" PRIu64 "\n", ftx_refusal_name(why),
            counts->n_refused[why]);
    return text.size;
}
