/* SPDX-License-Identifier: MIT */
/* Where the peers of links were last: kept, so that two ends that both restart find each other. */
#include "fs/store/link_job.h"
#include "fs/store/links.h"
#include "transport/base/err.h"
#include "transport/base/log.h"

#include <pthread.h>

void ftx_link_reach(struct ftx_store *store, const struct ftx_link *link,
                    struct ftx_link_reach *out)
{
    pthread_mutex_lock(&store->lock);
    *out = link->reach;
    pthread_mutex_unlock(&store->lock);
}

void ftx_link_set_reach(struct ftx_store *store, struct ftx_link *link,
                        const struct ftx_link_reach *reach)
{
    int err = 0;
    pthread_mutex_lock(&store->lock);
    link->reach = *reach;
    if (!link->removed)
        err = ftx_link_job_reach(store, link->row.id, reach);
    pthread_mutex_unlock(&store->lock);
    if (err)
        ftx_log(FTX_LOG_WARNING, "where a peer is will not be remembered: %s", ftx_err_text(err));
}
