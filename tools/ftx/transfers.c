/* SPDX-License-Identifier: MIT */
/* queued and arriving begin a transfer; what ends one takes it out again. */
#include "tools/ftx/transfers.h"

#include "tools/ftx/events.h"
#include "tools/ftx/look.h"
#include "tools/ftx/place.h"
#include "tools/ftx/value.h"

#include <stdlib.h>
#include <string.h>

static struct ftx_transfer *find(struct ftx_transfers *t, const char *path)
{
    for (size_t i = 0; i < t->n; i++)
        if (strcmp(t->items[i].path, path) == 0)
            return &t->items[i];
    return NULL;
}

static void begin(struct ftx_transfers *t, const char *path)
{
    if (t->n == FTX_TRANSFERS_MAX || find(t, path))
        return;
    char *copy = strdup(path);
    if (copy)
        t->items[t->n++] = (struct ftx_transfer){.path = copy};
}

static void end(struct ftx_transfers *t, struct ftx_transfer *item)
{
    free(item->path);
    size_t rest = t->n - (size_t)(item - t->items) - 1;
    memmove(item, item + 1, rest * sizeof *item);
    t->n--;
}

static void take_event(void *ctx, const cJSON *event)
{
    struct ftx_transfers *t = ctx;
    static const char *const ends[] = {"complete", "delivered", "interrupted",
                                       "refused",  "failed",    "cancelled"};
    const char *kind = ftx_value_text(event, "event"), *path = ftx_value_text(event, "path");
    if (strcmp(kind, "queued") == 0 || strcmp(kind, "arriving") == 0)
        begin(t, path);
    struct ftx_transfer *item = find(t, path);
    for (size_t i = 0; item && i < sizeof ends / sizeof *ends; i++)
        if (strcmp(kind, ends[i]) == 0) {
            end(t, item);
            return;
        }
}

/* How far it is; false: it is not there any more, or needs nothing. */
static bool measure(struct ftx_transfer *item, const char *mount)
{
    char *path = ftx_place_join(mount, item->path, "");
    bool first = item->from == 0, there = ftx_look_progress(path, &item->bytes, &item->total);
    free(path);
    if (first) {
        item->from = ftx_look_clock();
        item->from_bytes = item->bytes;
    }
    return there;
}

void ftx_transfers_update(struct ftx_transfers *transfers, const char *mount)
{
    ftx_events_read(mount, &transfers->offset, take_event, transfers);
    for (size_t i = 0; i < transfers->n;)
        if (measure(&transfers->items[i], mount))
            i++;
        else
            end(transfers, &transfers->items[i]);
}

void ftx_transfers_close(struct ftx_transfers *transfers)
{
    while (transfers->n)
        end(transfers, &transfers->items[transfers->n - 1]);
}
