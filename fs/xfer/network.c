/* SPDX-License-Identifier: MIT */
/* A loop, its thread, and what ends them. */
#include "fs/xfer/network.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <uv.h>

struct ftx_network {
    struct ftx_access *access; /* NULL: everybody may connect */
    struct ftx_xfer *xfer;
    uv_loop_t loop;
    uv_async_t stop;
    pthread_t thread;
    bool started;
};

static void on_stop(uv_async_t *async)
{
    struct ftx_network *network = async->data;
    uv_close((uv_handle_t *)async, NULL);
    if (network->xfer)
        ftx_xfer_stop(network->xfer);
}

static void *run(void *arg)
{
    struct ftx_network *network = arg;
    uv_run(&network->loop, UV_RUN_DEFAULT);
    return NULL;
}

int ftx_network_open(struct ftx_store *store, const struct ftx_network_config *config,
                     struct ftx_network **out_network)
{
    struct ftx_xfer_config xfer = config->xfer;
    struct ftx_network *network = calloc(1, sizeof *network);
    if (!network)
        return -ENOMEM;
    int err = uv_loop_init(&network->loop);
    if (err) {
        free(network);
        return err;
    }
    network->stop.data = network;
    err = uv_async_init(&network->loop, &network->stop, on_stop);
    if (!err && (config->n_allow || config->allow_tailnet))
        err = ftx_access_new(&network->loop, config->allow, config->n_allow, config->allow_tailnet,
                             &network->access);
    xfer.access = network->access;
    if (!err)
        err = ftx_xfer_start(&network->loop, store, &xfer, &network->xfer);
    if (err) {
        ftx_network_close(network);
        ftx_network_free(network);
        return err;
    }
    *out_network = network;
    return 0;
}

uint16_t ftx_network_port(const struct ftx_network *network)
{
    return ftx_xfer_port(network->xfer);
}

int ftx_network_start(struct ftx_network *network)
{
    int err = -pthread_create(&network->thread, NULL, run, network);
    network->started = !err;
    return err;
}

void ftx_network_wake(void *ctx)
{
    struct ftx_network *network = ctx;
    ftx_xfer_wake(network->xfer);
}

void ftx_network_close(struct ftx_network *network)
{
    if (network->started) {
        uv_async_send(&network->stop);
        pthread_join(network->thread, NULL);
    } else if (network->stop.type == UV_ASYNC) {
        on_stop(&network->stop);
    }
    while (uv_run(&network->loop, UV_RUN_DEFAULT) || uv_loop_close(&network->loop) == UV_EBUSY)
        ;
    ftx_access_free(network->access);
    network->access = NULL;
}

void ftx_network_free(struct ftx_network *network)
{
    if (network && network->xfer)
        ftx_xfer_free(network->xfer);
    free(network);
}
