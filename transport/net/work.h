/* SPDX-License-Identifier: MIT */
/* Work that may block or takes long, off the loop: libuv's worker pool behind two callbacks. */
#ifndef FTX_NET_WORK_H
#define FTX_NET_WORK_H

#include <uv.h>

/* One job; embedded in its owner and untouched by the loop thread from the call until `done`. */
struct ftx_work {
    void (*run)(struct ftx_work *work);  /* on a worker: touches only what belongs to this job */
    void (*done)(struct ftx_work *work); /* on the loop thread, exactly once; may queue again */
    uv_work_t uv;
};

/*
 * Runs `run` on a worker, then `done` on the thread of `loop`, never inside this call. Jobs run in
 * no certain order. Cannot fail. Loop thread.
 */
void ftx_work_queue(uv_loop_t *loop, struct ftx_work *work);

#endif
