/* SPDX-License-Identifier: MIT */
/*
 * The relay on its loop: sockets come from our own listener, so that what is bound is exactly what
 * was asked for; libwebsockets has them from there, on the same loop. A tick ends who is overdue and
 * looks whether a drain is over.
 */
#include "tools/ftx-relay/server.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "tools/ftx-relay/connection.h"
#include "transport/base/err.h"
#include "transport/base/log.h"

enum {
    TICK_MS = 250,
    HEADERS_MAX = 4096, /* bytes of a request's */
    DESCRIPTORS = 64,   /* besides those of connections */
};

static void on_taken(void *owner, int fd)
{
    ftx_connection_open(owner, fd);
}

static void end_overdue(struct ftx_relay *relay)
{
    struct ftx_seat *seat;
    enum ftx_refusal why;

    while ((seat = ftx_rooms_overdue(relay->rooms, uv_now(relay->tick.loop), &why))) {
        (void)ftx_rooms_refuse(relay->rooms, why);
        ftx_connection_close(ftx_list_of(seat, struct ftx_connection, seat),
                             LWS_CLOSE_STATUS_GOINGAWAY);
    }
}

/* Pairs, and those that still get what their partner sent. */
static bool has_pairs(const struct ftx_relay *relay)
{
    for (struct ftx_list *it = relay->connections.next; it != &relay->connections; it = it->next) {
        const struct ftx_connection *connection = ftx_list_of(it, struct ftx_connection, link);
        if (connection->seat.state >= FTX_SEAT_PAIRED || connection->closing)
            return true;
    }
    return false;
}

static void on_tick(uv_timer_t *timer)
{
    struct ftx_relay *relay = timer->data;

    end_overdue(relay);
    if (ftx_rooms_is_draining(relay->rooms) &&
        (!has_pairs(relay) || uv_now(timer->loop) >= relay->drained_at_ms))
        uv_stop(timer->loop);
}

static void on_ping(uv_timer_t *timer)
{
    struct ftx_relay *relay = timer->data;

    for (struct ftx_list *it = relay->connections.next; it != &relay->connections; it = it->next)
        ftx_connection_ping(ftx_list_of(it, struct ftx_connection, link));
}

void ftx_relay_drain(struct ftx_relay *relay)
{
    struct ftx_seat *seat;

    if (ftx_rooms_is_draining(relay->rooms)) {
        uv_stop(relay->tick.loop);
        return;
    }
    ftx_log(FTX_LOG_INFO, "draining: %zu pairs", ftx_rooms_count(relay->rooms)->n_pairs);
    relay->drained_at_ms = uv_now(relay->tick.loop) + relay->options->drain_ms;
    ftx_rooms_drain(relay->rooms);
    while ((seat = ftx_rooms_first_waiting(relay->rooms)))
        ftx_connection_close(ftx_list_of(seat, struct ftx_connection, seat),
                             LWS_CLOSE_STATUS_GOINGAWAY);
}

static void log_lws(int level, const char *line)
{
    ftx_log(level & LLL_ERR ? FTX_LOG_ERROR : FTX_LOG_DEBUG, "libwebsockets: %.*s",
            (int)strcspn(line, "\n"), line);
}

/* libwebsockets has tables as large as the limit: no larger than needed, and no smaller. */
static void set_descriptors(const struct ftx_rooms_limits *limits)
{
    size_t n = 2 * limits->n_pairs + limits->n_waiting + 2 * limits->n_handshakes + DESCRIPTORS;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    if (n > limit.rlim_max) {
        ftx_log(FTX_LOG_WARNING, "%zu descriptors would be needed, %zu are allowed (ulimit -n)", n,
                (size_t)limit.rlim_max);
        n = limit.rlim_max;
    }
    limit.rlim_cur = n;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static const struct lws_protocols protocols[] = {
    {.name = "ftx-relay",
     .callback = ftx_connection_callback,
     .rx_buffer_size = FTX_QUEUE_PIECE,
     .tx_packet_size = FTX_QUEUE_PIECE},
    {.name = NULL},
};

/* Without it, each connection has a timer for pings, in a sorted list: joins take the longer, the
 * more there are. We ping only who waits. */
static const lws_retry_bo_t no_liveness = {.secs_since_valid_hangup = 0};

static int start_lws(struct ftx_relay *relay, uv_loop_t *loop)
{
    const struct ftx_relay_options *options = relay->options;
    void *loops[] = {loop};
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .protocols = protocols,
        .options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
        .foreign_loops = loops,
        .pt_serv_buf_size = FTX_QUEUE_PIECE,
        .max_http_header_data2 = HEADERS_MAX,
        .max_http_header_pool2 = (unsigned)(2 * options->limits.n_handshakes),
        .timeout_secs = options->limits.handshake_ms / 1000 + 1,
        .keepalive_timeout = 1,
        .retry_and_idle_policy = &no_liveness,
        .user = relay,
        .server_string = "ftx-relay",
        .alpn = "http/1.1",
        .gid = -1,
        .uid = -1,
    };

    if (options->cert) {
        info.options |= LWS_SERVER_OPTION_ALLOW_NON_SSL_ON_SSL_PORT |
                        LWS_SERVER_OPTION_ALLOW_HTTP_ON_HTTPS_LISTENER;
        info.ssl_cert_filepath = options->cert;
        info.ssl_private_key_filepath = options->key;
    }
    lws_set_log_level(LLL_ERR, log_lws);
    relay->lws = lws_create_context(&info);
    if (!relay->lws)
        return -ENOMEM;
    relay->vhost = lws_create_vhost(relay->lws, &info);
    lws_set_log_level(0, NULL); /* from here on strangers would write the log */
    return relay->vhost ? 0 : FTX_EAUTH;
}

/* What libwebsockets has on the loop closes only while that runs. */
static void close_lws(struct ftx_relay *relay, uv_loop_t *loop)
{
    if (!relay->lws)
        return;
    lws_context_destroy(relay->lws);
    uv_run(loop, UV_RUN_DEFAULT);
    lws_context_destroy(relay->lws);
}

int ftx_relay_start(uv_loop_t *loop, const struct ftx_relay_options *options,
                    struct ftx_relay **out_relay)
{
    struct ftx_relay *relay = calloc(1, sizeof(*relay));
    uint64_t seed;
    int err = -ENOMEM;

    if (!relay)
        return -ENOMEM;
    relay->options = options;
    ftx_list_init(&relay->connections);
    relay->tick.data = relay;
    uv_timer_init(loop, &relay->tick);
    relay->ping.data = relay;
    uv_timer_init(loop, &relay->ping);
    if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed) ||
        !(relay->rooms = ftx_rooms_new(&options->limits, seed)))
        goto fail;
    set_descriptors(&options->limits);
    err = ftx_masks_start(loop, ftx_connection_unmasked, &relay->masks);
    if (err < 0)
        goto fail;
    err = start_lws(relay, loop);
    if (err < 0)
        goto fail;
    err = ftx_socket_listen(loop, &options->listen, on_taken, relay, &relay->listener);
    if (err < 0)
        goto fail;
    uv_timer_start(&relay->tick, on_tick, TICK_MS, TICK_MS);
    uv_timer_start(&relay->ping, on_ping, options->ping_ms, options->ping_ms);
    *out_relay = relay;
    return 0;

fail:
    ftx_relay_free(relay);
    return err;
}

uint16_t ftx_relay_port(const struct ftx_relay *relay)
{
    return ftx_listener_port(relay->listener);
}

void ftx_relay_free(struct ftx_relay *relay)
{
    uv_loop_t *loop = relay->tick.loop;

    uv_close((uv_handle_t *)&relay->tick, NULL);
    uv_close((uv_handle_t *)&relay->ping, NULL);
    if (relay->listener)
        ftx_listener_stop(relay->listener);
    close_lws(relay, loop);
    if (relay->masks)
        ftx_masks_stop(relay->masks);
    uv_run(loop, UV_RUN_DEFAULT);
    assert(ftx_list_empty(&relay->connections));
    ftx_rooms_free(relay->rooms);
    free(relay);
}
