/* SPDX-License-Identifier: MIT */
/*
 * A pipe over uv_tcp_t. Bytes go from the socket straight into what the owner's `alloc` gave.
 *
 * libuv (1.44) already completes writes in order and outside the call, and cancels them on close.
 * Two cases remain: after a read error it refuses writes at once, and after a write error it
 * forgets those behind; both then end with the close, as pipe.h allows.
 */
#include "transport/net/tcp_info.h"
#include "transport/net/tcp_pipe.h"

#include <assert.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum {
    KEEPALIVE_S = 60,       /* below the idle limits of common NATs */
    UNSENT_MAX = 256 << 10, /* bytes: 2 ms of 1 Gbit/s, until the next are written */
};

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out_buffer)
{
    struct ftx_tcp_pipe *tcp = handle->data;
    uint8_t *bytes = NULL;
    size_t size = 0;

    (void)suggested;
    tcp->pipe.events->alloc(tcp->pipe.owner, &bytes, &size);
    assert(bytes && size > 0);
    out_buffer->base = (char *)bytes;
    out_buffer->len = size;
}

static void on_read(uv_stream_t *stream, ssize_t n_read, const uv_buf_t *buffer)
{
    struct ftx_tcp_pipe *tcp = stream->data;

    (void)buffer;
    if (n_read > 0) {
        tcp->pipe.events->received(tcp->pipe.owner, (size_t)n_read);
    } else if (n_read < 0) {
        tcp->ended = true;
        uv_read_stop(stream);
        tcp->pipe.events->ended(tcp->pipe.owner, (int)n_read);
    }
}

static void tcp_read_start(struct ftx_pipe *pipe)
{
    struct ftx_tcp_pipe *tcp = (struct ftx_tcp_pipe *)pipe;

    assert(pipe->events && !uv_is_closing((uv_handle_t *)&tcp->tcp));
    if (!tcp->ended)
        uv_read_start((uv_stream_t *)&tcp->tcp, on_alloc, on_read);
}

static void tcp_read_stop(struct ftx_pipe *pipe)
{
    struct ftx_tcp_pipe *tcp = (struct ftx_tcp_pipe *)pipe;

    uv_read_stop((uv_stream_t *)&tcp->tcp);
}

static void on_written(uv_write_t *request, int status)
{
    struct ftx_pipe_write *write = request->data;

    write->done(write, status);
}

static void tcp_write(struct ftx_pipe *pipe, struct ftx_pipe_write *write)
{
    struct ftx_tcp_pipe *tcp = (struct ftx_tcp_pipe *)pipe;
    uv_buf_t buffer = {.base = (char *)write->bytes, .len = write->size};

    assert(!uv_is_closing((uv_handle_t *)&tcp->tcp));
    write->impl.uv.data = write;
    if (uv_write(&write->impl.uv, (uv_stream_t *)&tcp->tcp, &buffer, 1, on_written) < 0)
        ftx_list_append(&tcp->refused, &write->impl.queued);
}

/* libuv has cancelled its own writes before this. */
static void on_closed(uv_handle_t *handle)
{
    struct ftx_tcp_pipe *tcp = handle->data;
    struct ftx_list *node;

    while ((node = ftx_list_pop(&tcp->refused))) {
        struct ftx_pipe_write *write = ftx_list_of(node, struct ftx_pipe_write, impl.queued);
        write->done(write, UV_ECANCELED);
    }
    free(tcp);
}

static void tcp_close(struct ftx_pipe *pipe)
{
    struct ftx_tcp_pipe *tcp = (struct ftx_tcp_pipe *)pipe;

    uv_close((uv_handle_t *)&tcp->tcp, on_closed);
}

static size_t tcp_unsent(const struct ftx_pipe *pipe)
{
    const struct ftx_tcp_pipe *tcp = (const struct ftx_tcp_pipe *)pipe;
    int in_kernel = 0;
    uv_os_fd_t fd;

    if (uv_fileno((const uv_handle_t *)&tcp->tcp, &fd) < 0 ||
        ioctl(fd, SIOCOUTQNSD, &in_kernel) < 0 || in_kernel < 0)
        in_kernel = 0;
    return uv_stream_get_write_queue_size((const uv_stream_t *)&tcp->tcp) + (size_t)in_kernel;
}

static uint32_t tcp_rtt_us(const struct ftx_pipe *pipe)
{
    const struct ftx_tcp_pipe *tcp = (const struct ftx_tcp_pipe *)pipe;
    uv_os_fd_t fd;

    return uv_fileno((const uv_handle_t *)&tcp->tcp, &fd) < 0 ? 0 : ftx_tcp_min_rtt_us(fd);
}

static bool tcp_segments(const struct ftx_pipe *pipe, uint32_t *out_sent, uint32_t *out_again)
{
    const struct ftx_tcp_pipe *tcp = (const struct ftx_tcp_pipe *)pipe;
    uv_os_fd_t fd;

    return uv_fileno((const uv_handle_t *)&tcp->tcp, &fd) == 0 &&
           ftx_tcp_segments(fd, out_sent, out_again);
}

static const struct ftx_pipe_ops tcp_ops = {
    .read_start = tcp_read_start,
    .read_stop = tcp_read_stop,
    .write = tcp_write,
    .close = tcp_close,
    .unsent = tcp_unsent,
    .rtt_us = tcp_rtt_us,
    .segments = tcp_segments,
};

int ftx_tcp_pipe_new(uv_loop_t *loop, struct ftx_tcp_pipe **out_pipe)
{
    struct ftx_tcp_pipe *tcp = calloc(1, sizeof(*tcp));
    int err;

    if (!tcp)
        return UV_ENOMEM;
    err = uv_tcp_init(loop, &tcp->tcp);
    if (err < 0) {
        free(tcp);
        return err;
    }
    tcp->pipe.ops = &tcp_ops;
    tcp->tcp.data = tcp;
    ftx_list_init(&tcp->refused);
    *out_pipe = tcp;
    return 0;
}

static bool is_loopback(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *in4 = (const struct sockaddr_in *)address;
        return ntohl(in4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    }
    return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

/* getnameinfo and not uv_ip6_name: a link-local address says nothing without its interface. */
static void describe(const struct sockaddr_storage *address, int length, char *out, size_t size)
{
    char host[INET6_ADDRSTRLEN + 1 + 16] = "?";
    char port[sizeof("65535")] = "?";
    bool brackets = address->ss_family == AF_INET6;

    (void)getnameinfo((const struct sockaddr *)address, (socklen_t)length, host, sizeof(host), port,
                      sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV);
    (void)snprintf(out, size, brackets ? "[%s]:%s" : "%s:%s", host, port);
}

/* Wishes: a kernel without bbr keeps its default. What is not sent yet waits in the process, where
 * something more urgent can still go before it. */
static void tune(int fd)
{
    static const int unsent = UNSENT_MAX;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "bbr", sizeof("bbr") - 1);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
}

int ftx_tcp_pipe_connected(struct ftx_tcp_pipe *tcp)
{
    struct sockaddr_storage own = {0}, peer = {0};
    int own_length = sizeof(own), length = sizeof(peer);
    uv_os_fd_t fd;
    int err;

    if ((err = uv_tcp_getpeername(&tcp->tcp, (struct sockaddr *)&peer, &length)) < 0 ||
        (err = uv_tcp_getsockname(&tcp->tcp, (struct sockaddr *)&own, &own_length)) < 0 ||
        (err = uv_tcp_nodelay(&tcp->tcp, 1)) < 0 ||
        (err = uv_tcp_keepalive(&tcp->tcp, 1, KEEPALIVE_S)) < 0 ||
        (err = uv_fileno((uv_handle_t *)&tcp->tcp, &fd)) < 0)
        return err;
    if (!is_loopback(&peer))
        tune(fd);
    tcp->pipe.own_port = ntohs(own.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&own)->sin6_port
                                                         : ((struct sockaddr_in *)&own)->sin_port);
    describe(&peer, length, tcp->pipe.address, sizeof(tcp->pipe.address));
    return 0;
}
