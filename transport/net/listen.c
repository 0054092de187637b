/* SPDX-License-Identifier: MIT */
/*
 * Incoming connections: sockets that are ours, watched with uv_poll_t, one accept for each turn.
 *
 * Not uv_listen: when descriptors run out it accepts and closes what waits, or calls back in a busy
 * loop until there are some again (libuv 1.44 src/unix/stream.c uv__emfile_trick, uv__server_io).
 * Here connections wait in the backlog while accepting pauses.
 */
#include "transport/net/tcp.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport/base/err.h"
#include "transport/base/log.h"
#include "transport/net/local.h"
#include "transport/net/tcp_pipe.h"

enum {
    PAUSE_MS = 1000,
    BACKLOG = 512,
    PORT_TRIES = 16 /* the port that one family got may be taken in the other */
};

struct listening {
    uv_poll_t poll;
    int fd;
    struct sockaddr_storage address; /* 0.0.0.0 or ::: all of the family */
};

struct ftx_listener {
    ftx_accepted_fn accepted; /* or */
    ftx_taken_fn taken;
    void *owner;
    struct ftx_access *access; /* NULL: whoever calls */
    uint16_t port;
    bool logged; /* an accept error: the first is told, a flood of them is not */
    uv_timer_t pause;
    size_t n_handles; /* not closed yet: `pause` and one for each socket */
    size_t n_sockets;
    struct listening sockets[];
};

static void watch(struct ftx_listener *listener);

static void on_pause_over(uv_timer_t *timer)
{
    watch(timer->data);
}

static void on_access_ready(void *owner)
{
    watch(owner);
}

/* Nobody is accepted until `watch`. */
static void unwatch(struct ftx_listener *listener)
{
    for (size_t i = 0; i < listener->n_sockets; i++)
        uv_poll_stop(&listener->sockets[i].poll);
}

static void on_failed(struct ftx_listener *listener, int err)
{
    bool exhausted = err == UV_EMFILE || err == UV_ENFILE || err == UV_ENOMEM || err == UV_ENOBUFS;

    if (err == UV_EAGAIN || err == UV_EINTR || err == UV_ECONNABORTED || err == UV_ENOTCONN)
        return; /* who called has left */
    if (!listener->logged)
        ftx_log(FTX_LOG_WARNING, "listening on port %u: cannot accept: %s%s", listener->port,
                ftx_err_text(err), exhausted ? "; trying again every second" : "");
    listener->logged = true;
    if (!exhausted)
        return;
    unwatch(listener);
    uv_timer_start(&listener->pause, on_pause_over, PAUSE_MS, 0);
}

/* Takes `fd`, also when it fails. */
static int make_pipe(uv_loop_t *loop, int fd, struct ftx_tcp_pipe **out_tcp)
{
    struct ftx_tcp_pipe *tcp;
    int err = ftx_tcp_pipe_new(loop, &tcp);

    if (err < 0)
        goto fail_fd;
    err = uv_tcp_open(&tcp->tcp, fd);
    if (err < 0)
        goto fail_tcp;
    fd = -1; /* closed with the pipe from here on */
    err = ftx_tcp_pipe_connected(tcp);
    if (err < 0)
        goto fail_tcp;
    *out_tcp = tcp;
    return 0;

fail_tcp:
    ftx_pipe_close(&tcp->pipe);
fail_fd:
    if (fd >= 0)
        close(fd);
    return err;
}

/* Level-triggered: who else waits comes with the next turn. An error shows again in accept. */
static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct ftx_listener *listener = poll->data;
    struct sockaddr_storage peer = {0};
    socklen_t length = sizeof(peer);
    struct ftx_tcp_pipe *tcp = NULL;
    uv_os_fd_t socket_fd;
    int fd, err;

    (void)status;
    (void)events;
    if (listener->access && !ftx_access_ready(listener->access, on_access_ready, listener)) {
        unwatch(listener);
        return;
    }
    err = uv_fileno((uv_handle_t *)poll, &socket_fd);
    assert(err == 0);
    fd = accept4(socket_fd, (struct sockaddr *)&peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0 && listener->access &&
        !ftx_access_allows(listener->access, (struct sockaddr *)&peer)) {
        close(fd);
        return;
    }
    err = fd < 0 ? -errno : listener->taken ? 0 : make_pipe(poll->loop, fd, &tcp);
    if (err < 0)
        on_failed(listener, err);
    else if (listener->taken)
        listener->taken(listener->owner, fd);
    else
        listener->accepted(listener->owner, &tcp->pipe);
}

static void watch(struct ftx_listener *listener)
{
    for (size_t i = 0; i < listener->n_sockets; i++)
        uv_poll_start(&listener->sockets[i].poll, UV_READABLE, on_readable);
}

static in_port_t *port_of(struct sockaddr_storage *address)
{
    return address->ss_family == AF_INET6 ? &((struct sockaddr_in6 *)address)->sin6_port
                                          : &((struct sockaddr_in *)address)->sin_port;
}

/* `port` 0 becomes the one that was picked. */
static int open_socket(const struct sockaddr_storage *address, uint16_t *port, int *out_fd)
{
    struct sockaddr_storage bound = *address;
    bool v6 = address->ss_family == AF_INET6;
    socklen_t length = v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    const int on = 1;
    int err;
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    *port_of(&bound) = htons(*port);
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        (v6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0) ||
        bind(fd, (struct sockaddr *)&bound, length) < 0 || listen(fd, BACKLOG) < 0 ||
        /* after bind: what we dial from may share the port, another listener may not */
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0 ||
        getsockname(fd, (struct sockaddr *)&bound, &length) < 0) {
        err = -errno;
        close(fd);
        return err;
    }
    *port = ntohs(*port_of(&bound));
    *out_fd = fd;
    return 0;
}

/* Closes those without a handle. */
static void close_sockets_from(struct ftx_listener *listener, size_t first)
{
    while (listener->n_sockets > first)
        close(listener->sockets[--listener->n_sockets].fd);
}

/* All of `addresses` on one port, or none. */
static int open_sockets(struct ftx_listener *listener, const struct sockaddr_storage *addresses,
                        size_t n_addresses, uint16_t port)
{
    int absent = UV_EADDRNOTAVAIL;
    int err;

    for (size_t i = 0; i < n_addresses; i++) {
        struct listening *socket = &listener->sockets[listener->n_sockets];

        socket->address = addresses[i];
        err = open_socket(&addresses[i], &port, &socket->fd);
        if (err == 0) {
            listener->n_sockets++;
        } else if (addresses[i].ss_family == AF_INET6 &&
                   (err == UV_EAFNOSUPPORT || err == UV_EADDRNOTAVAIL)) {
            absent = err;
        } else {
            close_sockets_from(listener, 0);
            return err;
        }
    }
    listener->port = port;
    return listener->n_sockets > 0 ? 0 : absent;
}

/* Whatever it does with who calls, `as` says. */
static int start(uv_loop_t *loop, const struct ftx_address *address, const struct ftx_listener *as,
                 struct ftx_listener **out_listener)
{
    struct sockaddr_storage *addresses;
    struct ftx_listener *listener;
    size_t n_addresses;
    int err = ftx_local_addresses(loop, address->host, &addresses, &n_addresses);

    if (err < 0)
        return err;
    listener = calloc(1, sizeof(*listener) + n_addresses * sizeof(listener->sockets[0]));
    if (!listener) {
        err = UV_ENOMEM;
        goto fail_addresses;
    }
    for (int tries = 0; tries < PORT_TRIES; tries++) {
        err = open_sockets(listener, addresses, n_addresses, address->port);
        if (err != UV_EADDRINUSE || address->port != 0)
            break;
    }
    if (err < 0)
        goto fail_listener;
    free(addresses);

    listener->accepted = as->accepted;
    listener->taken = as->taken;
    listener->owner = as->owner;
    listener->n_handles = 1;
    listener->pause.data = listener;
    uv_timer_init(loop, &listener->pause);
    for (size_t i = 0; i < listener->n_sockets; i++) {
        listener->sockets[i].poll.data = listener;
        err = uv_poll_init(loop, &listener->sockets[i].poll, listener->sockets[i].fd);
        if (err < 0) {
            close_sockets_from(listener, i);
            ftx_listener_stop(listener);
            return err;
        }
        listener->n_handles++;
    }
    watch(listener);
    *out_listener = listener;
    return 0;

fail_listener:
    free(listener);
fail_addresses:
    free(addresses);
    return err;
}

int ftx_tcp_listen(uv_loop_t *loop, const struct ftx_address *address, ftx_accepted_fn accepted,
                   void *owner, struct ftx_listener **out_listener)
{
    const struct ftx_listener as = {.accepted = accepted, .owner = owner};

    return start(loop, address, &as, out_listener);
}

int ftx_socket_listen(uv_loop_t *loop, const struct ftx_address *address, ftx_taken_fn taken,
                      void *owner, struct ftx_listener **out_listener)
{
    const struct ftx_listener as = {.taken = taken, .owner = owner};

    return start(loop, address, &as, out_listener);
}

void ftx_listener_restrict(struct ftx_listener *listener, struct ftx_access *access)
{
    listener->access = access;
}

uint16_t ftx_listener_port(const struct ftx_listener *listener)
{
    return listener->port;
}

bool ftx_listener_is_any(const struct ftx_listener *listener, sa_family_t family)
{
    struct ftx_ip ip;

    for (size_t i = 0; i < listener->n_sockets; i++)
        if (listener->sockets[i].address.ss_family == family &&
            ftx_ip_of((const struct sockaddr *)&listener->sockets[i].address, &ip) &&
            ftx_ip_is_any(&ip))
            return true;
    return false;
}

size_t ftx_listener_ips(const struct ftx_listener *listener, struct ftx_ip *out, size_t capacity)
{
    size_t n = 0;

    for (size_t i = 0; i < listener->n_sockets && n < capacity; i++) {
        struct ftx_ip ip;

        if (ftx_ip_of((const struct sockaddr *)&listener->sockets[i].address, &ip))
            n += ftx_ip_own(&ip, out + n, capacity - n);
    }
    return n;
}

bool ftx_listener_is_loopback(const struct ftx_listener *listener)
{
    for (size_t i = 0; i < listener->n_sockets; i++) {
        struct ftx_ip ip;

        if (!ftx_ip_of((const struct sockaddr *)&listener->sockets[i].address, &ip) ||
            !ftx_ip_is_loopback(&ip))
            return false;
    }
    return true;
}

bool ftx_listener_covers(const struct ftx_listener *listener, const struct sockaddr *own)
{
    struct ftx_ip ip, bound;

    for (size_t i = 0; i < listener->n_sockets; i++)
        if (listener->sockets[i].address.ss_family == own->sa_family && ftx_ip_of(own, &ip) &&
            ftx_ip_of((const struct sockaddr *)&listener->sockets[i].address, &bound) &&
            (ftx_ip_is_any(&bound) || memcmp(&bound, &ip, sizeof(ip)) == 0))
            return true;
    return false;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct ftx_listener *listener = handle->data;

    if (--listener->n_handles == 0)
        free(listener);
}

void ftx_listener_stop(struct ftx_listener *listener)
{
    if (listener->access)
        ftx_access_ready(listener->access, NULL, NULL);
    for (size_t i = 0; i < listener->n_sockets; i++) {
        uv_close((uv_handle_t *)&listener->sockets[i].poll, on_handle_closed);
        close(listener->sockets[i].fd);
    }
    uv_close((uv_handle_t *)&listener->pause, on_handle_closed);
}
