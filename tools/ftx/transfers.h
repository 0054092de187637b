/* SPDX-License-Identifier: MIT */
/* The transfers that are under way, told from .ftx/events. */
#ifndef FTX_TOOLS_TRANSFERS_H
#define FTX_TOOLS_TRANSFERS_H

#include <stdint.h>
#include <stddef.h>

enum { FTX_TRANSFERS_MAX = 4096 }; /* more are not followed: nobody reads them */

struct ftx_transfer {
    char *path;  /* as in events: outbox/CODE/... */
    double from; /* when it was first seen, and what was there then: for its average */
    uint64_t from_bytes;
    uint64_t bytes, total;
};

struct ftx_transfers {
    struct ftx_transfer items[FTX_TRANSFERS_MAX];
    size_t n;
    int64_t offset; /* in the events: read up to here */
};

/* Reads what happened since the last time and how far each is. The mount is in use only meanwhile. */
void ftx_transfers_update(struct ftx_transfers *transfers, const char *mount);
void ftx_transfers_close(struct ftx_transfers *transfers);

#endif
