/* SPDX-License-Identifier: MIT */
/*
 * One outgoing connection: resolve, then connect to each address in turn; each may use an equal
 * part of the time that is left.
 *
 *   resolve --on_resolved--> try_next --on_connected--> finish --on_timer_closed--> dialled
 *                               ^  refused, or its time is over  |
 *                               +--------------------------------+
 *
 * Every way ends in finish(): the first closes the timer, and the timer's close callback reports. A
 * later finish (a cancel) only changes what will be reported. A resolver that is still at work then
 * keeps the memory, and nothing else, until it returns.
 */
#include "transport/net/tcp.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "transport/net/tcp_pipe.h"

enum { DIAL_MS = 10 * 1000 };

struct ftx_dial {
    ftx_dialled_fn dialled; /* NULL once called */
    void *owner;
    int err; /* what to report; before that, why the last address failed */
    bool resolving;
    uv_getaddrinfo_t resolve;
    struct addrinfo *addresses;
    struct addrinfo *next;    /* address to try */
    struct ftx_tcp_pipe *tcp; /* attempt under way, then the result */
    uint64_t ends_at_ms;
    uv_timer_t timer;
};

static void maybe_free(struct ftx_dial *dial)
{
    if (dial->dialled || dial->resolving)
        return;
    uv_freeaddrinfo(dial->addresses);
    free(dial);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct ftx_dial *dial = handle->data;
    ftx_dialled_fn dialled = dial->dialled;
    void *owner = dial->owner;
    int err = dial->err;
    struct ftx_pipe *pipe = dial->tcp ? &dial->tcp->pipe : NULL;

    dial->dialled = NULL;
    maybe_free(dial);
    dialled(owner, err, pipe);
}

static void give_up_attempt(struct ftx_dial *dial)
{
    if (!dial->tcp)
        return;
    dial->tcp->connect.data = NULL;
    ftx_pipe_close(&dial->tcp->pipe);
    dial->tcp = NULL;
}

static void finish(struct ftx_dial *dial, int err)
{
    dial->err = err;
    if (err < 0)
        give_up_attempt(dial);
    if (dial->resolving)
        (void)uv_cancel((uv_req_t *)&dial->resolve);
    if (!uv_is_closing((uv_handle_t *)&dial->timer))
        uv_close((uv_handle_t *)&dial->timer, on_timer_closed);
}

static void try_next(struct ftx_dial *dial);

static void on_connected(uv_connect_t *request, int status)
{
    struct ftx_dial *dial = request->data;

    if (!dial)
        return;
    if (status == 0)
        status = ftx_tcp_pipe_connected(dial->tcp);
    if (status == 0) {
        finish(dial, 0);
        return;
    }
    give_up_attempt(dial);
    dial->err = status;
    try_next(dial);
}

static void on_time_over(uv_timer_t *timer)
{
    struct ftx_dial *dial = timer->data;

    if (dial->resolving) {
        finish(dial, UV_ETIMEDOUT);
        return;
    }
    give_up_attempt(dial);
    dial->err = UV_ETIMEDOUT;
    try_next(dial);
}

static int start_attempt(struct ftx_dial *dial, const struct addrinfo *address)
{
    int err = ftx_tcp_pipe_new(dial->timer.loop, &dial->tcp);

    if (err < 0)
        return err;
    dial->tcp->connect.data = dial;
    err = uv_tcp_connect(&dial->tcp->connect, &dial->tcp->tcp, address->ai_addr, on_connected);
    if (err < 0)
        give_up_attempt(dial);
    return err;
}

/* An address that never answers must leave time for those after it. */
static uint64_t share_ms(const struct ftx_dial *dial)
{
    uint64_t now_ms = uv_now(dial->timer.loop);
    uint64_t n_sharing = 1;

    for (const struct addrinfo *later = dial->next; later; later = later->ai_next)
        n_sharing++;
    return now_ms < dial->ends_at_ms ? (dial->ends_at_ms - now_ms) / n_sharing : 0;
}

static void try_next(struct ftx_dial *dial)
{
    while (dial->next) {
        const struct addrinfo *address = dial->next;

        dial->next = address->ai_next;
        dial->err = start_attempt(dial, address);
        if (dial->err == 0) {
            uv_timer_start(&dial->timer, on_time_over, share_ms(dial), 0);
            return;
        }
    }
    finish(dial, dial->err);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *addresses)
{
    struct ftx_dial *dial = request->data;

    dial->resolving = false;
    dial->addresses = addresses;
    dial->next = addresses;
    if (!dial->dialled)
        maybe_free(dial);
    else if (uv_is_closing((uv_handle_t *)&dial->timer))
        return;
    else if (status < 0)
        finish(dial, status);
    else
        try_next(dial);
}

int ftx_tcp_dial(uv_loop_t *loop, const struct ftx_address *address, ftx_dialled_fn dialled,
                 void *owner, struct ftx_dial **out_dial)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct ftx_dial *dial = calloc(1, sizeof(*dial));
    char port[sizeof("65535")];
    int err;

    if (!dial)
        return UV_ENOMEM;
    dial->dialled = dialled;
    dial->owner = owner;
    dial->resolving = true;
    dial->resolve.data = dial;
    (void)snprintf(port, sizeof(port), "%u", address->port);
    err = uv_getaddrinfo(loop, &dial->resolve, on_resolved, address->host[0] ? address->host : NULL,
                         port, &hints);
    if (err < 0) {
        free(dial);
        return err;
    }
    dial->ends_at_ms = uv_now(loop) + DIAL_MS;
    dial->timer.data = dial;
    uv_timer_init(loop, &dial->timer);
    uv_timer_start(&dial->timer, on_time_over, DIAL_MS, 0);
    *out_dial = dial;
    return 0;
}

void ftx_dial_cancel(struct ftx_dial *dial)
{
    finish(dial, UV_ECANCELED);
}
