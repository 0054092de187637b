/* SPDX-License-Identifier: MIT */
/* One syncfs at a time, on a worker, some seconds after the first write that it is for. */
#include "fs/xfer/sync.h"

#include "fs/store/outbox.h"
#include "fs/store/spool.h"
#include "transport/base/err.h"
#include "transport/base/list.h"
#include "transport/base/log.h"

enum { SYNC_MS = 5000 };

static void run(struct ftx_work *work)
{
    struct ftx_sync *sync = ftx_list_of(work, struct ftx_sync, work);
    sync->err = ftx_objects_sync(&sync->store->objects);
}

static void on_done(struct ftx_work *work)
{
    struct ftx_sync *sync = ftx_list_of(work, struct ftx_sync, work);
    sync->working = false;
    if (sync->err) {
        ftx_log(FTX_LOG_WARNING, "the outbox cannot be synced to the disk: %s",
                ftx_err_text(sync->err));
        ftx_outbox_doubt(sync->store, 0);
    } else {
        ftx_outbox_synced(sync->store);
    }
    ftx_sync_look(sync);
}

static void on_timer(uv_timer_t *timer)
{
    struct ftx_sync *sync = timer->data;
    if (!ftx_spool_take_written(sync->store))
        return;
    sync->working = true;
    sync->work.run = run;
    sync->work.done = on_done;
    ftx_work_queue(timer->loop, &sync->work);
}

void ftx_sync_init(struct ftx_sync *sync, uv_loop_t *loop, struct ftx_store *store)
{
    *sync = (struct ftx_sync){.store = store};
    uv_timer_init(loop, &sync->timer);
    sync->timer.data = sync;
}

void ftx_sync_look(struct ftx_sync *sync)
{
    bool busy = sync->working || sync->closed || uv_is_active((uv_handle_t *)&sync->timer);
    if (!busy && ftx_spool_written(sync->store))
        uv_timer_start(&sync->timer, on_timer, SYNC_MS, 0);
}

void ftx_sync_close(struct ftx_sync *sync)
{
    sync->closed = true;
    uv_close((uv_handle_t *)&sync->timer, NULL);
}
