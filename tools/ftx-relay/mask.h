/* SPDX-License-Identifier: MIT */
/*
 * Whether a client masks what it sends (RFC 6455 5.1): libwebsockets (4.1.6) does not ask, so we
 * look at the first frame where it lies, in the socket or in TLS, before that reads it.
 */
#ifndef FTX_RELAY_MASK_H
#define FTX_RELAY_MASK_H

#include <libwebsockets.h>
#include <stdbool.h>
#include <uv.h>

struct ftx_masks;

struct ftx_mask { /* of one connection; zeroed: new */
    struct ftx_masks *masks;
    struct lws *wsi;
    bool watched; /* libwebsockets reads nothing */
    bool halved;  /* but the first byte of the frame */
};

/* The first frame is not masked: ftx_mask_pass, to be rid of it. */
typedef void (*ftx_mask_bad_cb)(struct ftx_mask *mask);

int ftx_masks_start(uv_loop_t *loop, ftx_mask_bad_cb on_bad, struct ftx_masks **out_masks);
/* When nobody is watched any more; the loop runs once more. */
void ftx_masks_stop(struct ftx_masks *masks);

/* Of `wsi`, inside a callback of it; only the first time. 0 or -errno. */
int ftx_mask_watch(struct ftx_mask *mask, struct ftx_masks *masks, struct lws *wsi);

/* The frame does not matter any more: libwebsockets reads. */
void ftx_mask_pass(struct ftx_mask *mask);

/* The connection is going. */
void ftx_mask_forget(struct ftx_mask *mask);

#endif
