/* SPDX-License-Identifier: MIT */
/*
 * Clients whose first frame has not come:
 *
 *   watch (libwebsockets stops reading) -> two bytes are there -> masked: it reads on
 *                                                              -> not masked: on_bad
 *
 * They are in an epoll of their own, for libuv has a socket once only. It tells edges, so one byte
 * that lies there is not told again and again.
 */
#include "tools/ftx-relay/mask.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    MASKED = 0x80, /* in the second byte of a frame */
};

struct ftx_masks {
    uv_poll_t readable;
    int fd; /* the epoll */
    ftx_mask_bad_cb on_bad;
};

static void unwatch(struct ftx_mask *mask)
{
    (void)epoll_ctl(mask->masks->fd, EPOLL_CTL_DEL, lws_get_socket_fd(mask->wsi), NULL);
    mask->watched = false;
}

int ftx_mask_watch(struct ftx_mask *mask, struct ftx_masks *masks, struct lws *wsi)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = mask};

    if (mask->masks)
        return 0;
    if (epoll_ctl(masks->fd, EPOLL_CTL_ADD, lws_get_socket_fd(wsi), &event) < 0)
        return -errno;
    *mask = (struct ftx_mask){.masks = masks, .wsi = wsi, .watched = true};
    lws_rx_flow_control(wsi, 0);
    return 0;
}

void ftx_mask_pass(struct ftx_mask *mask)
{
    if (!mask->watched)
        return;
    unwatch(mask);
    lws_rx_flow_control(mask->wsi, 1);
}

void ftx_mask_forget(struct ftx_mask *mask)
{
    if (mask->watched)
        unwatch(mask);
}

/* As libwebsockets' own callback does: no socket tells what TLS holds already. False: it is gone. */
static bool serve(struct lws *wsi)
{
    struct lws_context *context = lws_get_context(wsi);
    struct lws_pollfd readable = {
        .fd = lws_get_socket_fd(wsi), .events = LWS_POLLIN, .revents = LWS_POLLIN};
    bool lives = lws_service_fd(context, &readable) == 0;

    lws_cancel_service(context); /* it puts things off until the loop calls it */
    return lives;
}

/* How many of the next bytes are there, of TLS those of one record; 0: the end; or -EAGAIN. */
static int peek(struct lws *wsi, uint8_t *out, size_t size)
{
    SSL *tls = lws_get_ssl(wsi);
    ssize_t n;

    if (!tls) {
        n = recv(lws_get_socket_fd(wsi), out, size, MSG_PEEK | MSG_DONTWAIT);
        return n < 0 ? (errno == EAGAIN ? -EAGAIN : 0) : (int)n;
    }
    ERR_clear_error();
    n = SSL_peek(tls, out, (int)size);
    if (n > 0)
        return (int)n;
    switch (SSL_get_error(tls, (int)n)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return -EAGAIN;
    default:
        return 0;
    }
}

/* A record of one byte hides the next one: libwebsockets takes it, and no more. */
static bool take_half(struct ftx_mask *mask)
{
    mask->halved = true;
    lws_rx_flow_control(mask->wsi, 1);
    if (!serve(mask->wsi) || !mask->watched)
        return false;
    lws_rx_flow_control(mask->wsi, 0);
    return true;
}

static void look(struct ftx_mask *mask, bool hung_up)
{
    struct lws *wsi = mask->wsi;
    uint8_t head[2];
    int wanted = mask->halved ? 1 : 2, n = peek(wsi, head, (size_t)wanted);

    if (n == 1 && wanted == 2 && lws_get_ssl(wsi)) {
        if (take_half(mask))
            look(mask, hung_up);
    } else if (n == wanted && !(head[n - 1] & MASKED)) {
        mask->masks->on_bad(mask);
    } else if (n == wanted || n == 0 || hung_up) {
        ftx_mask_pass(mask);
        (void)serve(wsi);
    }
}

static void on_readable(uv_poll_t *readable, int status, int events)
{
    struct ftx_masks *masks = readable->data;
    struct epoll_event event;

    (void)status;
    (void)events;
    while (epoll_wait(masks->fd, &event, 1, 0) == 1) /* one: who is looked at may end another */
        look(event.data.ptr, event.events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
}

int ftx_masks_start(uv_loop_t *loop, ftx_mask_bad_cb on_bad, struct ftx_masks **out_masks)
{
    struct ftx_masks *masks = calloc(1, sizeof(*masks));
    int err;

    if (!masks)
        return -ENOMEM;
    masks->on_bad = on_bad;
    masks->readable.data = masks;
    masks->fd = epoll_create1(EPOLL_CLOEXEC);
    if (masks->fd < 0) {
        err = -errno;
        goto fail_masks;
    }
    err = uv_poll_init(loop, &masks->readable, masks->fd);
    if (err < 0)
        goto fail_fd;
    uv_poll_start(&masks->readable, UV_READABLE, on_readable);
    uv_unref((uv_handle_t *)&masks->readable);
    *out_masks = masks;
    return 0;

fail_fd:
    close(masks->fd);
fail_masks:
    free(masks);
    return err;
}

static void on_closed(uv_handle_t *readable)
{
    struct ftx_masks *masks = readable->data;

    close(masks->fd);
    free(masks);
}

void ftx_masks_stop(struct ftx_masks *masks)
{
    uv_close((uv_handle_t *)&masks->readable, on_closed);
}
