/* SPDX-License-Identifier: MIT */
/*
 * A WebSocket as a pipe. Bytes go up from `below` through TLS into `in` and from there, without the
 * heads of frames, to the owner; down from the owner's writes, as one masked message at a time,
 * through TLS to `below`. Where messages end means nothing.
 *
 * Not libwebsockets, whose client (4.1.6) blocks in getaddrinfo, takes a proxy from one variable and
 * its answer from one read, and on a loop that is not its own cannot say when its last handle is
 * gone: no pipe could be freed in time (docs/rationale.md).
 */
#include "transport/net/websocket_pipe.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "transport/base/err.h"

bool ftx_websocket_is_closing(const struct ftx_websocket *ws)
{
    return uv_is_closing((const uv_handle_t *)&ws->timer);
}

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static struct ftx_pipe_write *first_write(struct ftx_websocket *ws)
{
    return ftx_list_of(ws->writes.next, struct ftx_pipe_write, impl.queued);
}

static void finish_first(struct ftx_websocket *ws, int err)
{
    struct ftx_pipe_write *write = first_write(ws);

    ftx_list_remove(&write->impl.queued);
    write->done(write, err);
}

/* Down. */

static void on_sent(struct ftx_pipe_write *below_write, int err);

static void put_below(struct ftx_websocket *ws, uint8_t *bytes, size_t size)
{
    ws->sending = true;
    ws->below_write.done = on_sent;
    ws->below_write.bytes = bytes;
    ws->below_write.size = size;
    ftx_pipe_write(ws->below, &ws->below_write);
}

/* TLS stands, or is being made. */
static bool is_ciphered(const struct ftx_websocket *ws)
{
    return ws->tls && ws->state >= FTX_WEBSOCKET_SHAKE_HANDS;
}

/* Bytes that TLS wants to send go first: true if there were some. */
static bool send_cipher(struct ftx_websocket *ws)
{
    size_t size;

    if (!is_ciphered(ws))
        return false;
    size = ftx_tls_take(ws->tls, ws->cipher->out, sizeof(ws->cipher->out));
    if (size > 0)
        put_below(ws, ws->cipher->out, size);
    return size > 0;
}

static void send_plain(struct ftx_websocket *ws, size_t size)
{
    if (!is_ciphered(ws)) {
        put_below(ws, ws->out, size);
        return;
    }
    ws->broken |= ftx_tls_write(ws->tls, ws->out, size) < 0;
    (void)send_cipher(ws);
}

void ftx_websocket_send_text(struct ftx_websocket *ws, const char *text)
{
    size_t size = strlen(text);

    assert(!ws->sending && size <= sizeof(ws->out));
    memcpy(ws->out, text, size);
    send_plain(ws, size);
}

static size_t queued(const struct ftx_websocket *ws)
{
    size_t size = 0;

    for (struct ftx_list *node = ws->writes.next; node != &ws->writes; node = node->next)
        size += ftx_list_of(node, struct ftx_pipe_write, impl.queued)->size;
    return size - ws->n_moved;
}

/* Puts one message of what is queued into `out`; returns its size. */
static size_t frame_writes(struct ftx_websocket *ws, const uint8_t mask[4])
{
    size_t size = min_size(queued(ws), FTX_WEBSOCKET_OUT);
    uint8_t *payload = ws->out + ftx_frame_write(ws->out, FTX_FRAME_BINARY, size, mask);
    size_t skip = ws->n_moved;
    size_t at = 0;

    for (struct ftx_list *node = ws->writes.next; at < size; node = node->next) {
        const struct ftx_pipe_write *write = ftx_list_of(node, struct ftx_pipe_write, impl.queued);
        size_t part = min_size(write->size - skip, size - at);

        ftx_frame_mask(payload + at, write->bytes + skip, part, mask, at);
        at += part;
        skip = 0;
    }
    ws->n_moving = size;
    return (size_t)(payload - ws->out) + size;
}

static size_t frame_pong(struct ftx_websocket *ws, const uint8_t mask[4])
{
    size_t head = ftx_frame_write(ws->out, FTX_FRAME_PONG, ws->n_pong, mask);

    ftx_frame_mask(ws->out + head, ws->pong, ws->n_pong, mask, 0);
    ws->pong_due = false;
    return head + ws->n_pong;
}

void ftx_websocket_send(struct ftx_websocket *ws)
{
    uint8_t mask[4]; /* new for each message: RFC 6455 10.3 */

    if (ftx_websocket_is_closing(ws) || ws->sending || ws->broken || send_cipher(ws))
        return;
    if (ws->state < FTX_WEBSOCKET_EXPECT_PEER || (!ws->pong_due && ftx_list_empty(&ws->writes)))
        return;
    if (getrandom(mask, sizeof(mask), 0) != sizeof(mask))
        abort(); /* does not happen to so few bytes */
    send_plain(ws, ws->pong_due ? frame_pong(ws, mask) : frame_writes(ws, mask));
}

static void finish_moved(struct ftx_websocket *ws)
{
    ws->n_moved += ws->n_moving;
    ws->n_moving = 0;
    while (!ftx_websocket_is_closing(ws) && !ftx_list_empty(&ws->writes) &&
           ws->n_moved >= first_write(ws)->size) {
        ws->n_moved -= first_write(ws)->size;
        finish_first(ws, 0);
    }
}

/* What the owner does inside `done` waits until all of them are told: `sending` stays until then. */
static void on_sent(struct ftx_pipe_write *below_write, int err)
{
    struct ftx_websocket *ws = ftx_list_of(below_write, struct ftx_websocket, below_write);

    if (!ftx_websocket_is_closing(ws) && err == 0) {
        if (send_cipher(ws))
            return;
        finish_moved(ws);
    } else if (!ftx_websocket_is_closing(ws)) {
        ws->broken = true;
        ws->n_moved = 0;
        if (!ftx_list_empty(&ws->writes))
            finish_first(ws, err);
    }
    ws->sending = false;
    if (ftx_websocket_is_closing(ws))
        ftx_websocket_maybe_free(ws);
    else if (ws->state == FTX_WEBSOCKET_SHAKE_HANDS)
        ftx_websocket_advance(ws);
    else
        ftx_websocket_send(ws);
}

/* Up. */

int ftx_websocket_refill(struct ftx_websocket *ws)
{
    int n;

    if (ws->in_start > 0) {
        memmove(ws->in, ws->in + ws->in_start, ws->in_end - ws->in_start);
        ws->in_end -= ws->in_start;
        ws->in_start = 0;
    }
    if (!is_ciphered(ws))
        return ws->end_err;
    n = ftx_tls_read(ws->tls, ws->in + ws->in_end, sizeof(ws->in) - ws->in_end);
    if (n > 0)
        ws->in_end += (size_t)n;
    return n == UV_EAGAIN ? ws->end_err : n;
}

int ftx_websocket_take_frame(struct ftx_websocket *ws, struct ftx_frame *out,
                             const uint8_t **out_payload)
{
    size_t size = ws->in_end - ws->in_start;
    int head = ftx_frame_read(ws->in + ws->in_start, size, out);
    bool data = out->kind == FTX_FRAME_BINARY || out->kind == FTX_FRAME_MORE;

    if (head <= 0)
        return head;
    if (!data && out->size > FTX_FRAME_CONTROL_MAX)
        return FTX_EPROTO;
    if (!data && out->size > size - (size_t)head)
        return 0;
    *out_payload = ws->in + ws->in_start + head;
    ws->in_start += (size_t)head + (data ? 0 : (size_t)out->size);
    return 1;
}

void ftx_websocket_note_ping(struct ftx_websocket *ws, const struct ftx_frame *frame,
                             const uint8_t *payload)
{
    ws->pong_due = true;
    ws->n_pong = (size_t)frame->size;
    memcpy(ws->pong, payload, ws->n_pong);
}

/* 1: one frame further; 0: needs more bytes; or how the stream ends. */
static int next_frame(struct ftx_websocket *ws)
{
    struct ftx_frame frame = {.size = 0};
    const uint8_t *payload;
    int took = ftx_websocket_take_frame(ws, &frame, &payload);

    if (took <= 0)
        return took;
    switch (frame.kind) {
    case FTX_FRAME_BINARY:
    case FTX_FRAME_MORE:
        if (ws->in_message != (frame.kind == FTX_FRAME_MORE))
            return FTX_EPROTO;
        ws->in_message = !frame.last;
        ws->n_payload = frame.size;
        return 1;
    case FTX_FRAME_PING:
        ftx_websocket_note_ping(ws, &frame, payload);
        ftx_websocket_send(ws);
        return 1;
    case FTX_FRAME_PONG:
        return 1;
    case FTX_FRAME_CLOSE:
        return UV_EOF;
    default:
        return FTX_EPROTO;
    }
}

static void hand_over(struct ftx_websocket *ws)
{
    uint8_t *bytes = NULL;
    size_t size = 0;

    ws->pipe.events->alloc(ws->pipe.owner, &bytes, &size);
    assert(bytes && size > 0);
    size = min_size(size, ws->in_end - ws->in_start);
    if (size > ws->n_payload)
        size = (size_t)ws->n_payload;
    memcpy(bytes, ws->in + ws->in_start, size);
    ws->in_start += size;
    ws->n_payload -= size;
    ws->pipe.events->received(ws->pipe.owner, size);
}

static void deliver(struct ftx_websocket *ws)
{
    while (!ftx_websocket_is_closing(ws) && ws->reading && !ws->ended) {
        int took = 1;

        if (ws->n_payload > 0 && ws->in_start < ws->in_end)
            hand_over(ws);
        else if (ws->n_payload > 0 || (took = next_frame(ws)) == 0)
            took = ftx_websocket_refill(ws);
        if (took == 0)
            return;
        if (took < 0) {
            ws->ended = true;
            ws->broken = true; /* who has said Close takes nothing more */
            ftx_pipe_read_stop(ws->below);
            ws->pipe.events->ended(ws->pipe.owner, took);
        }
    }
}

/* Bytes have come from below, or its end; or the owner reads again. */
static void receive(struct ftx_websocket *ws)
{
    if (ws->state < FTX_WEBSOCKET_OPEN)
        ftx_websocket_advance(ws);
    else
        deliver(ws);
    if (ftx_websocket_is_closing(ws))
        return;
    if (ws->state < FTX_WEBSOCKET_OPEN || (ws->reading && !ws->ended))
        ftx_pipe_read_start(ws->below);
    else
        ftx_pipe_read_stop(ws->below);
}

static void below_alloc(void *owner, uint8_t **out_bytes, size_t *out_size)
{
    struct ftx_websocket *ws = owner;

    *out_bytes = is_ciphered(ws) ? ws->cipher->in : ws->in + ws->in_end;
    *out_size = is_ciphered(ws) ? sizeof(ws->cipher->in) : sizeof(ws->in) - ws->in_end;
}

static void below_received(void *owner, size_t size)
{
    struct ftx_websocket *ws = owner;

    if (!is_ciphered(ws))
        ws->in_end += size;
    else if (ftx_tls_feed(ws->tls, ws->cipher->in, size) < 0)
        ws->end_err = UV_ENOMEM;
    receive(ws);
}

static void below_ended(void *owner, int err)
{
    struct ftx_websocket *ws = owner;

    ws->end_err = err;
    receive(ws);
}

const struct ftx_pipe_events ftx_websocket_below = {below_alloc, below_received, below_ended};

/* The pipe. */

static void on_step(uv_timer_t *timer)
{
    receive(timer->data);
}

static void websocket_read_start(struct ftx_pipe *pipe)
{
    struct ftx_websocket *ws = (struct ftx_websocket *)pipe;

    assert(pipe->events && !ftx_websocket_is_closing(ws));
    ws->reading = true;
    if (!ws->ended)
        uv_timer_start(&ws->timer, on_step, 0, 0);
}

static void websocket_read_stop(struct ftx_pipe *pipe)
{
    struct ftx_websocket *ws = (struct ftx_websocket *)pipe;

    ws->reading = false;
    ftx_pipe_read_stop(ws->below);
}

static void websocket_write(struct ftx_pipe *pipe, struct ftx_pipe_write *write)
{
    struct ftx_websocket *ws = (struct ftx_websocket *)pipe;

    assert(!ftx_websocket_is_closing(ws));
    ftx_list_append(&ws->writes, &write->impl.queued);
    ftx_websocket_send(ws);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct ftx_websocket *ws = handle->data;

    ws->timer_closed = true;
    ftx_websocket_maybe_free(ws);
}

void ftx_websocket_start_close(struct ftx_websocket *ws)
{
    if (ws->tcp_dial)
        ftx_dial_cancel(ws->tcp_dial);
    if (ws->below)
        ftx_pipe_close(ws->below);
    uv_close((uv_handle_t *)&ws->timer, on_timer_closed);
}

void ftx_websocket_free(struct ftx_websocket *ws)
{
    ftx_tls_free(ws->tls);
    free(ws->cipher);
    free(ws->connect_request);
    free(ws->upgrade_request);
    free(ws);
}

void ftx_websocket_maybe_free(struct ftx_websocket *ws)
{
    bool failed = ws->state == FTX_WEBSOCKET_OVER;
    ftx_dialled_fn dialled = ws->told->dialled;
    void *owner = ws->told_owner;
    int err = ws->err;

    if (!ws->timer_closed || ws->sending || ws->tcp_dial)
        return;
    while (!ftx_list_empty(&ws->writes))
        finish_first(ws, UV_ECANCELED);
    ftx_websocket_free(ws);
    if (failed)
        dialled(owner, err, NULL);
}

/* No Close frame: to the relay the end of TCP says the same, and it needs no room in the socket. */
static void websocket_close(struct ftx_pipe *pipe)
{
    ftx_websocket_start_close((struct ftx_websocket *)pipe);
}

static size_t websocket_unsent(const struct ftx_pipe *pipe)
{
    const struct ftx_websocket *ws = (const struct ftx_websocket *)pipe;

    return queued(ws) + ftx_pipe_unsent(ws->below);
}

/* That of the way to the relay would mislead: the peer is further. */
static uint32_t websocket_rtt_us(const struct ftx_pipe *pipe)
{
    (void)pipe;
    return 0;
}

const struct ftx_pipe_ops ftx_websocket_ops = {
    .read_start = websocket_read_start,
    .read_stop = websocket_read_stop,
    .write = websocket_write,
    .close = websocket_close,
    .unsent = websocket_unsent,
    .rtt_us = websocket_rtt_us,
};
