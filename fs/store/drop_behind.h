/* SPDX-License-Identifier: MIT */
/*
 * Page cache that the outbox does not need: what was read to be sent is hardly read again here, so
 * its pages are written out and given back behind the reader, as many as came later. The next
 * bytes then find memory that is warm, and the programs of this machine keep theirs. Any thread.
 */
#ifndef FTX_STORE_DROP_BEHIND_H
#define FTX_STORE_DROP_BEHIND_H

#include "fs/store/objects.h"

#include <pthread.h>

enum {
    FTX_DROP_CHUNK = 8 << 20,
    FTX_DROP_CHUNKS = 16 /* written out, not given back yet: 128 MiB, time for a disk to follow */
};

struct ftx_drop_behind {
    pthread_mutex_t lock;
    struct ftx_drop_chunk {
        uint64_t object, offset; /* object 0: none */
    } chunks[FTX_DROP_CHUNKS];   /* a ring */
    unsigned next;
};

void ftx_drop_behind_init(struct ftx_drop_behind *behind);
void ftx_drop_behind_close(struct ftx_drop_behind *behind);

/* The object's bytes up to `end` were read to be sent, through `fd`; only with whole chunks
 * anything is done. */
void ftx_drop_behind(struct ftx_drop_behind *behind, const struct ftx_objects *objects,
                     uint64_t object, int fd, uint64_t end);

#endif
