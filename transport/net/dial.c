/* SPDX-License-Identifier: MIT */
/*
 * One outgoing connection: resolve, then race the addresses (RFC 8305): they are begun one after the
 * other, IPv6 and IPv4 by turns, 250 ms apart or as soon as one failed. The first that connects wins.
 *
 *   resolve --on_resolved--> begin_next --on_connected--> finish --on_timer_closed--> dialled
 *                               ^  250 ms, or one failed    |
 *                               +---------------------------+
 *
 * Who insists calls again when all have refused, up to sixty times. A refusal closes what the call
 * has opened in the own NAT; so two calls have to pass each other on their way, which happens soon
 * unless that is much shorter than the rest between two.
 *
 * Every way ends in finish(): the first closes the timer, and the timer's close callback reports. A
 * later finish (a cancel) only changes what will be reported. A resolver that is still at work then
 * keeps the memory, and nothing else, until it returns.
 */
#include "transport/net/tcp.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport/net/tcp_pipe.h"

enum {
    DIAL_MS = 10 * 1000,
    INSIST_MS = 60 * 1000,
    APART_MS = 250, /* RFC 8305 8: Connection Attempt Delay */
    RACERS_MAX = 8, /* at once; one more takes the place of the first */
    AGAIN_MAX = 60,
    AGAIN_MS = 4, /* at most, before the next call: less than most ways take */
};

struct ftx_dial {
    ftx_dialled_fn dialled; /* NULL once called */
    void *owner;
    int err; /* what to report; before that, why the last address failed */
    bool resolving;
    uv_getaddrinfo_t resolve;
    struct addrinfo *addresses;
    struct addrinfo *next[2]; /* the next to begin, of IPv4 and of IPv6 */
    bool v6_turn;             /* IPv6 is */
    struct ftx_tcp_pipe *racers[RACERS_MAX];
    size_t n_racers;
    struct ftx_tcp_pipe *won;
    unsigned n_again;                /* calls that are left, of who insists */
    uint64_t begun_ns;               /* the last one */
    struct sockaddr_storage from[2]; /* of IPv4, IPv6: bound to before; AF_UNSPEC: nothing is */
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
    struct ftx_pipe *pipe = dial->won ? &dial->won->pipe : NULL;

    dial->dialled = NULL;
    maybe_free(dial);
    dialled(owner, err, pipe);
}

/* Whether it is connected or not. */
static void give_up(struct ftx_tcp_pipe *tcp)
{
    tcp->connect.data = NULL;
    ftx_pipe_close(&tcp->pipe);
}

static void leave_race(struct ftx_dial *dial, const struct ftx_tcp_pipe *tcp)
{
    size_t i = 0;

    while (dial->racers[i] != tcp)
        i++;
    memmove(&dial->racers[i], &dial->racers[i + 1],
            (--dial->n_racers - i) * sizeof(dial->racers[0]));
}

static void finish(struct ftx_dial *dial, int err)
{
    dial->err = err;
    while (dial->n_racers > 0)
        give_up(dial->racers[--dial->n_racers]);
    if (err < 0 && dial->won) {
        give_up(dial->won);
        dial->won = NULL;
    }
    if (dial->resolving)
        (void)uv_cancel((uv_req_t *)&dial->resolve);
    if (!uv_is_closing((uv_handle_t *)&dial->timer))
        uv_close((uv_handle_t *)&dial->timer, on_timer_closed);
}

static void begin_next(struct ftx_dial *dial);

static void on_connected(uv_connect_t *request, int status)
{
    struct ftx_tcp_pipe *tcp = ftx_list_of(request, struct ftx_tcp_pipe, connect);
    struct ftx_dial *dial = request->data;

    if (!dial)
        return;
    leave_race(dial, tcp);
    if (status == 0)
        status = ftx_tcp_pipe_connected(tcp);
    if (status == 0) {
        dial->won = tcp;
        finish(dial, 0);
        return;
    }
    give_up(tcp);
    dial->err = status;
    begin_next(dial);
}

static void on_time(uv_timer_t *timer)
{
    struct ftx_dial *dial = timer->data;
    bool waits = !dial->resolving && (dial->next[0] || dial->next[1]);

    if (waits && uv_now(timer->loop) < dial->ends_at_ms)
        begin_next(dial);
    else
        finish(dial, UV_ETIMEDOUT);
}

/* Beside the listener, whose socket allows it (listen.c). */
static int bind_to(uv_tcp_t *tcp, const struct sockaddr_storage *from)
{
    bool v6 = from->ss_family == AF_INET6;
    socklen_t length = v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    const int on = 1;
    int fd = socket(from->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int err;

    if (fd < 0)
        return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0 ||
        (v6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0) ||
        bind(fd, (const struct sockaddr *)from, length) < 0)
        err = -errno;
    else
        err = uv_tcp_open(tcp, fd);
    if (err < 0)
        close(fd);
    return err;
}

static int begin_from(struct ftx_dial *dial, const struct addrinfo *address,
                      const struct sockaddr_storage *from)
{
    struct ftx_tcp_pipe *tcp;
    int err = ftx_tcp_pipe_new(dial->timer.loop, &tcp);

    if (err < 0)
        return err;
    if (from)
        err = bind_to(&tcp->tcp, from);
    tcp->connect.data = dial;
    if (err == 0)
        err = uv_tcp_connect(&tcp->connect, &tcp->tcp, address->ai_addr, on_connected);
    if (err < 0) {
        give_up(tcp);
        return err;
    }
    if (dial->n_racers == RACERS_MAX) {
        struct ftx_tcp_pipe *first = dial->racers[0];
        leave_race(dial, first);
        give_up(first);
    }
    dial->racers[dial->n_racers++] = tcp;
    return 0;
}

static int begin(struct ftx_dial *dial, const struct addrinfo *address)
{
    const struct sockaddr_storage *from = &dial->from[address->ai_family == AF_INET6];

    if (from->ss_family != AF_UNSPEC && begin_from(dial, address, from) == 0)
        return 0;
    return begin_from(dial, address, NULL);
}

/* The first of this family from here on. */
static struct addrinfo *of_family(struct addrinfo *address, bool v6)
{
    while (address && (address->ai_family == AF_INET6) != v6)
        address = address->ai_next;
    return address;
}

static const struct addrinfo *take_next(struct ftx_dial *dial)
{
    bool v6 = dial->next[dial->v6_turn] ? dial->v6_turn : !dial->v6_turn;
    const struct addrinfo *address = dial->next[v6];

    if (address)
        dial->next[v6] = of_family(address->ai_next, v6);
    dial->v6_turn = !v6;
    return address;
}

static void rewind_race(struct ftx_dial *dial)
{
    dial->next[0] = of_family(dial->addresses, false);
    dial->next[1] = of_family(dial->addresses, true);
}

/* All have failed: again, a little later, if that may help. */
static bool goes_on(struct ftx_dial *dial)
{
    uint64_t rest_ms = 1 + uv_hrtime() / 1000 % AGAIN_MS; /* by chance: the ends are not in step */

    if (dial->err != UV_ECONNREFUSED || dial->n_again == 0)
        return false;
    dial->n_again--;
    rewind_race(dial);
    uv_timer_start(&dial->timer, on_time, rest_ms, 0);
    return true;
}

static void begin_next(struct ftx_dial *dial)
{
    uint64_t now_ms = uv_now(dial->timer.loop);
    const struct addrinfo *address;
    int err = UV_EADDRNOTAVAIL;

    while (err < 0 && (address = take_next(dial)))
        dial->err = err = begin(dial, address);
    if (dial->n_racers == 0) {
        if (!goes_on(dial))
            finish(dial, dial->err);
    } else if (dial->next[0] || dial->next[1])
        uv_timer_start(&dial->timer, on_time, APART_MS, 0);
    else
        uv_timer_start(&dial->timer, on_time,
                       now_ms < dial->ends_at_ms ? dial->ends_at_ms - now_ms : 0, 0);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *addresses)
{
    struct ftx_dial *dial = request->data;

    dial->resolving = false;
    dial->addresses = addresses;
    rewind_race(dial);
    dial->v6_turn = addresses && addresses->ai_family == AF_INET6; /* the resolver's best first */
    if (!dial->dialled)
        maybe_free(dial);
    else if (uv_is_closing((uv_handle_t *)&dial->timer))
        return;
    else if (status < 0)
        finish(dial, status);
    else
        begin_next(dial);
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
    uv_timer_start(&dial->timer, on_time, DIAL_MS, 0);
    *out_dial = dial;
    return 0;
}

void ftx_dial_cancel(struct ftx_dial *dial)
{
    finish(dial, UV_ECANCELED);
}

void ftx_dial_from(struct ftx_dial *dial, const struct ftx_listener *listener)
{
    in_port_t port = htons(ftx_listener_port(listener));

    if (ftx_listener_is_any(listener, AF_INET))
        *(struct sockaddr_in *)&dial->from[0] =
            (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port};
    if (ftx_listener_is_any(listener, AF_INET6))
        *(struct sockaddr_in6 *)&dial->from[1] =
            (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = port};
}

void ftx_dial_insist(struct ftx_dial *dial, bool again)
{
    dial->ends_at_ms = uv_now(dial->timer.loop) + INSIST_MS;
    dial->n_again = again ? AGAIN_MAX : 0;
}
