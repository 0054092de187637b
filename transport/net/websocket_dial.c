/* SPDX-License-Identifier: MIT */
/*
 * The way of a WebSocket to its peer:
 *
 *   CONNECT -> [EXPECT_PROXY] -> [SHAKE_HANDS] -> EXPECT_UPGRADE -> EXPECT_PEER -> OPEN
 *
 * Up to EXPECT_PEER one deadline stands; there, each word of the relay sets it anew. Every failure
 * ends in finish(), which closes all there is; the last that is gone reports.
 */
#include "transport/net/websocket_pipe.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "transport/base/err.h"

enum {
    DIAL_MS = 20 * 1000,
    SILENCE_MS = 90 * 1000, /* the relay pings every 30 s who waits */
    KEY_SIZE = 16,          /* RFC 6455 4.1 */
};

static void finish(struct ftx_websocket *ws, int err)
{
    bool first = ws->state != FTX_WEBSOCKET_OVER;

    ws->state = FTX_WEBSOCKET_OVER;
    ws->err = err;
    if (first)
        ftx_websocket_start_close(ws);
}

void ftx_websocket_cancel(struct ftx_websocket *ws)
{
    finish(ws, UV_ECANCELED);
}

static void on_time_over(uv_timer_t *timer)
{
    finish(timer->data, UV_ETIMEDOUT);
}

static void base64(char *out, const uint8_t *bytes, size_t size)
{
    (void)EVP_EncodeBlock((unsigned char *)out, bytes, (int)size);
}

/* Sec-WebSocket-Key, and what the relay makes of it: RFC 6455 4.2.2. */
static int make_key(char key[32], char accept[32])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char joined[32 + sizeof(guid)];
    uint8_t random[KEY_SIZE], digest[EVP_MAX_MD_SIZE];
    unsigned n_digest;

    if (getrandom(random, sizeof(random), 0) != sizeof(random))
        return -EIO;
    base64(key, random, sizeof(random));
    (void)snprintf(joined, sizeof(joined), "%s%s", key, guid);
    if (!EVP_Digest(joined, strlen(joined), digest, &n_digest, EVP_sha1(), NULL))
        return -ENOMEM;
    base64(accept, digest, n_digest);
    return 0;
}

static int make_upgrade(struct ftx_websocket *ws, const struct ftx_url *url,
                        const struct ftx_websocket_target *target)
{
    char key[32];
    int err = make_key(key, ws->accept);

    if (err < 0)
        return err;
    if (asprintf(&ws->upgrade_request,
                 "GET %s/v1/room/%s?role=%c HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\n"
                 "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n"
                 "Sec-WebSocket-Protocol: ftx-relay\r\n%s%s%s\r\n",
                 url->prefix, target->room, target->role, url->authority, key,
                 target->token ? "Authorization: Bearer " : "", target->token ? target->token : "",
                 target->token ? "\r\n" : "") < 0) {
        ws->upgrade_request = NULL;
        return -ENOMEM;
    }
    return 0;
}

static int make_connect(struct ftx_websocket *ws, const struct ftx_url *url,
                        const struct ftx_proxy *proxy)
{
    bool brackets = strchr(url->address.host, ':');
    char credentials[sizeof(proxy->credentials) * 4 / 3 + 5] = "";
    bool known = proxy->credentials[0];
    char host[sizeof(url->address.host) + sizeof("[]:65535")];

    (void)snprintf(host, sizeof(host), brackets ? "[%s]:%u" : "%s:%u", url->address.host,
                   url->address.port);
    base64(credentials, (const uint8_t *)proxy->credentials, strlen(proxy->credentials));
    if (asprintf(&ws->connect_request, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s%s%s\r\n", host, host,
                 known ? "Proxy-Authorization: Basic " : "", credentials,
                 known ? "\r\n" : "") < 0) {
        ws->connect_request = NULL;
        return -ENOMEM;
    }
    return 0;
}

static void send_upgrade(struct ftx_websocket *ws)
{
    ws->state = FTX_WEBSOCKET_EXPECT_UPGRADE;
    ftx_websocket_send_text(ws, ws->upgrade_request);
    explicit_bzero(ws->upgrade_request, strlen(ws->upgrade_request)); /* the token */
}

/* The way to the relay itself stands. */
static void start_relay(struct ftx_websocket *ws)
{
    if (ws->tls)
        ws->state = FTX_WEBSOCKET_SHAKE_HANDS;
    else
        send_upgrade(ws);
}

/* Each step: 1: done, go on; 0: needs more bytes; or why it failed. */

static int expect_proxy(struct ftx_websocket *ws)
{
    struct ftx_http_answer answer;
    int size = ftx_http_read(ws->in + ws->in_start, ws->in_end - ws->in_start, &answer);

    if (size <= 0)
        return size;
    if (answer.status == 407)
        return UV_EACCES;
    if (answer.status / 100 != 2)
        return UV_ECONNREFUSED;
    ws->in_start += (size_t)size;
    if (ws->in_start != ws->in_end || ws->sending)
        return FTX_EPROTO; /* the client speaks first, before it and after it */
    start_relay(ws);
    return 1;
}

static int shake_hands(struct ftx_websocket *ws)
{
    int err = ftx_tls_shake_hands(ws->tls);

    ftx_websocket_send(ws);
    if (err == UV_EAGAIN)
        return ws->end_err;
    if (err < 0)
        return err;
    if (ws->sending)
        return 0; /* our last words are still on their way: on_sent comes back here */
    send_upgrade(ws);
    return 1;
}

static int refused(int status)
{
    switch (status) {
    case 401:
    case 403:
        return UV_EACCES;
    case 409:
        return UV_EBUSY;
    case 429:
    case 502: /* a balancer without a relay */
    case 503:
    case 504:
        return UV_EAGAIN;
    default:
        return FTX_EPROTO;
    }
}

static bool ip_of(const char *text, struct ftx_address *out, struct ftx_ip *out_ip)
{
    return ftx_address_parse(text, out) == 0 && ftx_ip_parse(out->host, out_ip);
}

/* Others will dial what the relay says here. */
static void note_caller(struct ftx_websocket *ws, const char *text)
{
    struct ftx_address caller, relay;
    struct ftx_ip caller_ip, relay_ip;

    if (!ws->told->seen || !ws->from_port || ws->below->own_port != ws->from_port ||
        !ip_of(text, &caller, &caller_ip) || !ip_of(ws->below->address, &relay, &relay_ip))
        return;
    if (!ftx_ip_is_private(&caller_ip) || ftx_ip_is_private(&relay_ip))
        ws->told->seen(ws->told_owner, &caller_ip, caller.port);
}

static int expect_upgrade(struct ftx_websocket *ws)
{
    struct ftx_http_answer answer;
    int size = ftx_http_read(ws->in + ws->in_start, ws->in_end - ws->in_start, &answer);

    if (size <= 0)
        return size;
    if (answer.status != 101)
        return refused(answer.status);
    if (!answer.websocket || strcmp(answer.accept, ws->accept) != 0)
        return FTX_EPROTO;
    ws->in_start += (size_t)size;
    ws->state = FTX_WEBSOCKET_EXPECT_PEER;
    note_caller(ws, answer.caller);
    return 1;
}

static bool says(const struct ftx_frame *frame, const uint8_t *payload, const char *word)
{
    return frame->size == strlen(word) && memcmp(payload, word, (size_t)frame->size) == 0;
}

static int take_word(struct ftx_websocket *ws, const struct ftx_frame *frame,
                     const uint8_t *payload)
{
    if (!frame->last)
        return FTX_EPROTO;
    if (says(frame, payload, "waiting")) {
        if (ws->told_waiting)
            return FTX_EPROTO;
        ws->told_waiting = true;
        if (ws->told->waiting)
            ws->told->waiting(ws->told_owner);
        return 1;
    }
    if (!says(frame, payload, "paired"))
        return FTX_EPROTO;
    uv_timer_stop(&ws->timer);
    ws->state = FTX_WEBSOCKET_OPEN;
    ws->told->dialled(ws->told_owner, 0, &ws->pipe);
    return 1;
}

static int expect_peer(struct ftx_websocket *ws)
{
    struct ftx_frame frame = {.size = 0};
    const uint8_t *payload;
    int took = ftx_websocket_take_frame(ws, &frame, &payload);

    if (took <= 0)
        return took;
    uv_timer_start(&ws->timer, on_time_over, SILENCE_MS, 0);
    switch (frame.kind) {
    case FTX_FRAME_TEXT:
        return take_word(ws, &frame, payload);
    case FTX_FRAME_PING:
        ftx_websocket_note_ping(ws, &frame, payload);
        ftx_websocket_send(ws);
        return 1;
    case FTX_FRAME_PONG:
        return 1;
    case FTX_FRAME_CLOSE:
        return UV_EAGAIN;
    default:
        return FTX_EPROTO;
    }
}

static int step(struct ftx_websocket *ws)
{
    switch (ws->state) {
    case FTX_WEBSOCKET_EXPECT_PROXY:
        return expect_proxy(ws);
    case FTX_WEBSOCKET_SHAKE_HANDS:
        return shake_hands(ws);
    case FTX_WEBSOCKET_EXPECT_UPGRADE:
        return expect_upgrade(ws);
    default:
        return expect_peer(ws);
    }
}

void ftx_websocket_advance(struct ftx_websocket *ws)
{
    while (ws->state < FTX_WEBSOCKET_OPEN) {
        int took = step(ws);

        if (took == 0 && ws->state != FTX_WEBSOCKET_SHAKE_HANDS)
            took = ftx_websocket_refill(ws);
        if (took == 0)
            return;
        if (took < 0)
            finish(ws, took);
    }
}

static void on_tcp_dialled(void *owner, int err, struct ftx_pipe *pipe)
{
    struct ftx_websocket *ws = owner;

    ws->tcp_dial = NULL;
    if (ws->state == FTX_WEBSOCKET_OVER) {
        ftx_websocket_maybe_free(ws);
        return;
    }
    if (err < 0) {
        finish(ws, err);
        return;
    }
    ws->below = pipe;
    ftx_pipe_own(pipe, &ftx_websocket_below, ws);
    ftx_pipe_read_start(pipe);
    if (ws->connect_request) {
        ws->state = FTX_WEBSOCKET_EXPECT_PROXY;
        ftx_websocket_send_text(ws, ws->connect_request);
    } else {
        start_relay(ws);
        ftx_websocket_advance(ws); /* TLS: the client speaks first */
    }
}

int ftx_websocket_check_url(const char *url)
{
    struct ftx_url parsed;

    return ftx_url_parse(url, &parsed);
}

/* Whom to call: the proxy of the environment, else the relay itself. */
static int choose_way(struct ftx_websocket *ws, const struct ftx_url *url,
                      struct ftx_address *out_address)
{
    const char *text = getenv(url->tls ? "https_proxy" : "http_proxy");
    const char *no_proxy = getenv("no_proxy");
    struct ftx_proxy proxy;
    int err;

    *out_address = url->address;
    if (!text || !*text || ftx_proxy_is_excepted(no_proxy, url->address.host))
        return 0;
    err = ftx_proxy_parse(text, &proxy);
    if (err < 0)
        return err;
    *out_address = proxy.address;
    return make_connect(ws, url, &proxy);
}

static int check_target(const struct ftx_websocket_target *target)
{
    size_t n_room = strspn(target->room, "abcdefghijklmnopqrstuvwxyz0123456789-");

    if (target->room[n_room] || n_room < 1 || n_room > 64 ||
        (target->role != 's' && target->role != 'r'))
        return -EINVAL;
    for (const char *it = target->token; it && *it; it++)
        if (*it <= ' ' || *it > '~')
            return -EINVAL;
    return 0;
}

int ftx_websocket_dial(uv_loop_t *loop, const struct ftx_websocket_target *target,
                       const struct ftx_websocket_events *events, void *owner,
                       struct ftx_websocket **out_dial)
{
    struct ftx_address address;
    struct ftx_websocket *ws;
    struct ftx_url url;
    int err;

    if ((err = check_target(target)) < 0 || (err = ftx_url_parse(target->url, &url)) < 0)
        return err;
    ws = calloc(1, sizeof(*ws));
    if (!ws)
        return -ENOMEM;
    if ((err = make_upgrade(ws, &url, target)) < 0 || (err = choose_way(ws, &url, &address)) < 0)
        goto fail;
    if (url.tls) {
        err = ftx_tls_new(url.address.host, target->ca_file, &ws->tls);
        if (err < 0)
            goto fail;
        err = -ENOMEM;
        if (!(ws->cipher = malloc(sizeof(*ws->cipher))))
            goto fail;
    }
    err = ftx_tcp_dial(loop, &address, on_tcp_dialled, ws, &ws->tcp_dial);
    if (err < 0)
        goto fail;
    if (target->from && !ws->connect_request) {
        ftx_dial_from(ws->tcp_dial, target->from);
        ws->from_port = ftx_listener_port(target->from);
    }
    ws->pipe.ops = &ftx_websocket_ops;
    (void)snprintf(ws->pipe.address, sizeof(ws->pipe.address), "%.63s", url.authority);
    ws->told = events;
    ws->told_owner = owner;
    ftx_list_init(&ws->writes);
    ws->timer.data = ws;
    uv_timer_init(loop, &ws->timer);
    uv_timer_start(&ws->timer, on_time_over, DIAL_MS, 0);
    *out_dial = ws;
    return 0;

fail:
    ftx_websocket_free(ws);
    return err;
}
