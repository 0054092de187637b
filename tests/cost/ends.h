/* SPDX-License-Identifier: MIT */
/* Two stores with a session between them, and no network: what was pulled from one engine is
 * sealed, opened and given to the other, all of it at once, stage by stage. */
#ifndef FTX_TESTS_COST_ENDS_H
#define FTX_TESTS_COST_ENDS_H

#include "fs/store/links.h"
#include "fs/xfer/transfer.h"
#include "transport/crypto/record.h"
#include "transport/net/work.h"

enum { COST_RECORDS_MAX = 128 };

struct cost_end {
    struct ftx_store *store;
    struct ftx_link *link;
    struct ftx_transfer transfer;
    struct ftx_engine engine;
    struct ftx_record_key send, receive;
    struct ftx_work *jobs[COST_RECORDS_MAX];
    size_t n_jobs;
};

struct cost_ends {
    struct cost_end sender, receiver;
};

/* Makes both stores in the current folder, and the session; the outbox's folder is
 * sender.link->folders[FTX_OUTBOX]. */
void cost_ends_open(struct cost_ends *ends);
/* What the sender has goes to the receiver, until nothing moves. Counted, but for the socket. */
void cost_ends_settle(struct cost_ends *ends);
void cost_ends_close(struct cost_ends *ends);

/* One store with a paired link, in a folder that it makes. */
struct ftx_store *cost_store_open(const char *path, enum ftx_box box, struct ftx_link **out_link);

#endif
