/* SPDX-License-Identifier: MIT */
/* The relay itself, on one loop. */
#ifndef FTX_RELAY_SERVER_H
#define FTX_RELAY_SERVER_H

#include "tools/ftx-relay/options.h"

#include <uv.h>

struct ftx_relay;

/*
 * Listens and serves; `options` is kept. What the network says, -ENOMEM, or FTX_EAUTH: certificate
 * and key are not what TLS wants.
 */
int ftx_relay_start(uv_loop_t *loop, const struct ftx_relay_options *options,
                    struct ftx_relay **out_relay);
uint16_t ftx_relay_port(const struct ftx_relay *relay);

/*
 * No joins any more, who waits is sent away; the loop ends once the last pair has gone or drain_ms
 * are over. Called again: at once.
 */
void ftx_relay_drain(struct ftx_relay *relay);

/* After the loop has ended. */
void ftx_relay_free(struct ftx_relay *relay);

#endif
