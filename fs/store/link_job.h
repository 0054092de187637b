/* SPDX-License-Identifier: MIT */
/* Writing of link rows by the database thread; private to fs/store, under the lock. */
#ifndef FTX_STORE_LINK_JOB_H
#define FTX_STORE_LINK_JOB_H

#include "fs/store/links.h"

enum ftx_link_job_kind {
    FTX_LINK_JOB_PUT,
    FTX_LINK_JOB_DROP,
    FTX_LINK_JOB_SETTINGS,
    FTX_LINK_JOB_REACH,
    FTX_LINK_JOB_JOIN,
    FTX_LINK_JOB_LEAVE,
};

/* Queues a durable write of the row (copied); `done` comes on the database thread, without the
 * lock. -ENOMEM. */
int ftx_link_job_queue(struct ftx_store *store, const struct ftx_link_row *row,
                       ftx_link_written_fn done, void *ctx);

/* The same and waits for it; lets go of the lock meanwhile. */
int ftx_link_job_wait(struct ftx_store *store, enum ftx_link_job_kind kind,
                      const struct ftx_link_row *row);

/* The same for the settings of a link (0: of all together). */
int ftx_link_job_settings(struct ftx_store *store, uint64_t link,
                          const struct ftx_link_settings *settings);

/* Queues a write of where the peer is; nobody waits for it. -ENOMEM. */
int ftx_link_job_reach(struct ftx_store *store, uint64_t link, const struct ftx_link_reach *reach);
/* As settings, for a link that becomes a member of a group, or ceases to be one. */
int ftx_link_job_member(struct ftx_store *store, uint64_t group, uint64_t link, bool member);

/* Database thread, without the lock: does all queued jobs. */
void ftx_link_jobs_run(struct ftx_store *store);

#endif
