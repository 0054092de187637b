/* SPDX-License-Identifier: MIT */
/* ftx-relay: options, the loop, signals. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <uv.h>

#include "tools/ftx-relay/server.h"
#include "transport/base/err.h"
#include "transport/base/log.h"
#include "transport/base/streams.h"

static void on_signal(uv_signal_t *signal, int number)
{
    (void)number;
    ftx_relay_drain(signal->data);
}

static void watch(uv_loop_t *loop, uv_signal_t *handle, int number, struct ftx_relay *relay)
{
    handle->data = relay;
    uv_signal_init(loop, handle);
    uv_signal_start(handle, on_signal, number);
    uv_unref((uv_handle_t *)handle);
}

static int serve(const struct ftx_relay_options *options)
{
    bool brackets = strchr(options->listen.host, ':');
    uv_signal_t terminated, interrupted;
    struct ftx_relay *relay;
    uv_loop_t loop;
    int err;

    uv_loop_init(&loop);
    err = ftx_relay_start(&loop, options, &relay);
    if (err < 0) {
        ftx_log_tell("ftx-relay", "cannot serve on %s port %u: %s", options->listen.host,
                     options->listen.port, ftx_err_text(err));
        return 1;
    }
    watch(&loop, &terminated, SIGTERM, relay);
    watch(&loop, &interrupted, SIGINT, relay);
    printf(brackets ? "listening on [%s]:%u\n" : "listening on %s:%u\n", options->listen.host,
           ftx_relay_port(relay));
    (void)fflush(stdout);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&terminated, NULL);
    uv_close((uv_handle_t *)&interrupted, NULL);
    ftx_relay_free(relay);
    return uv_loop_close(&loop) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct ftx_relay_options options;
    int status;

    ftx_streams_reserve();
    (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}); /* no tokens in core files */
    (void)prctl(PR_SET_DUMPABLE, 0);
    (void)signal(SIGPIPE, SIG_IGN);
    ftx_log_open("ftx-relay", false, FTX_LOG_INFO);
    if (ftx_relay_options_parse(argc, argv, &options) < 0)
        return 2;
    if (options.help) {
        ftx_relay_options_help();
        status = 0;
    } else if (options.version) {
        printf("ftx-relay %s\n", FTX_VERSION_TEXT);
        status = 0;
    } else {
        status = serve(&options);
    }
    ftx_relay_options_close(&options);
    return status;
}
