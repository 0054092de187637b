/* SPDX-License-Identifier: MIT */
/*
 * A client from its socket to its end:
 *
 *   open (address, handshakes) -> HTTP request -> judge (room, token, rates) -> WebSocket
 *     -> "waiting" -> "paired" -> bytes to the partner's queue, from there out -> gone
 *
 * What a client sends before "paired", or as text, ends it. When its partner is gone a client still
 * gets what was sent, then a Close.
 */
#include "tools/ftx-relay/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/ftx-relay/reply.h"
#include "transport/net/ip.h"

enum {
    CLOSE_S = 5,  /* for a client to answer a Close */
    FLUSH_S = 60, /* for what is left to a client whose partner is gone */
};

static uint64_t now_ms(const struct ftx_connection *it)
{
    return uv_now(it->relay->tick.loop);
}

static struct ftx_connection *connection_of(struct ftx_seat *seat)
{
    return ftx_list_of(seat, struct ftx_connection, seat);
}

static bool is_in(const struct ftx_cidrs *cidrs, const struct sockaddr *address)
{
    for (size_t i = 0; i < cidrs->n_cidrs; i++)
        if (ftx_cidr_contains(&cidrs->cidrs[i], address))
            return true;
    return false;
}

static void read_source(struct ftx_connection *it, const struct sockaddr_storage *address)
{
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
    const struct sockaddr_in *in4 = (const struct sockaddr_in *)address;

    it->source = (struct ftx_source){.bytes = {[10] = 0xff, [11] = 0xff}};
    if (address->ss_family == AF_INET)
        memcpy(it->source.bytes + 12, &in4->sin_addr, 4);
    else
        memcpy(it->source.bytes, &in6->sin6_addr, 16);
    if (!it->from_proxy)
        it->source_port = ntohs(address->ss_family == AF_INET ? in4->sin_port : in6->sin6_port);
}

/* Pairs ping each other; the kernel finds those whose both ends vanished. */
static void tune(int fd)
{
    static const int on = 1, idle_s = 60, between_s = 15, n_probes = 4;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &between_s, sizeof(between_s));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &n_probes, sizeof(n_probes));
}

static struct ftx_connection *admit(struct ftx_relay *relay, int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof(address);
    struct ftx_connection *it;

    if (getpeername(fd, (struct sockaddr *)&address, &length) < 0)
        return NULL;
    if (relay->options->allow.n_cidrs > 0 &&
        !is_in(&relay->options->allow, (struct sockaddr *)&address)) {
        (void)ftx_rooms_refuse(relay->rooms, FTX_REFUSED_ADDRESS);
        return NULL;
    }
    it = calloc(1, sizeof(*it));
    if (!it)
        return NULL;
    it->relay = relay;
    it->from_proxy = is_in(&relay->options->proxies, (struct sockaddr *)&address);
    read_source(it, &address);
    if (ftx_rooms_arrive(relay->rooms, &it->seat, &it->source, it->from_proxy, now_ms(it)) !=
        FTX_ADMITTED) {
        free(it);
        return NULL;
    }
    ftx_list_append(&relay->connections, &it->link);
    return it;
}

static void leave(struct ftx_connection *it);

static void destroy(struct ftx_connection *it)
{
    leave(it);
    ftx_list_remove(&it->link);
    ftx_queue_clear(&it->out);
    free(it);
}

void ftx_connection_open(struct ftx_relay *relay, int fd)
{
    struct ftx_connection *it = admit(relay, fd);
    lws_adopt_desc_t socket = {
        .vh = relay->vhost,
        .type = LWS_ADOPT_SOCKET | LWS_ADOPT_HTTP | LWS_ADOPT_ALLOW_SSL,
        .fd.sockfd = fd,
        .opaque = it,
    };

    if (!it) {
        close(fd);
        return;
    }
    tune(fd);
    relay->opening = it;
    if (!lws_adopt_descriptor_vhost_via_info(&socket) && relay->opening && !it->wsi)
        destroy(it); /* else WSI_DESTROY does, or has done, that */
    relay->opening = NULL;
}

/* The partner learns it once it has all that was sent. */
static void leave(struct ftx_connection *it)
{
    struct ftx_seat *partner = it->seat.partner;

    ftx_rooms_leave(it->relay->rooms, &it->seat);
    if (partner)
        ftx_connection_close(connection_of(partner), LWS_CLOSE_STATUS_NORMAL);
}

void ftx_connection_close(struct ftx_connection *it, enum lws_close_status status)
{
    if (it->closing)
        return;
    it->closing = true;
    it->close_status = status;
    if (it->seat.state != FTX_SEAT_ALONE)
        leave(it);
    lws_cancel_service(it->relay->lws); /* which else sees timeouts set from outside only later */
    if (!it->established) {
        lws_set_timeout(it->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
        return;
    }
    ftx_mask_pass(&it->mask);
    if (it->stopped)
        lws_rx_flow_control(it->wsi, 1); /* what comes is dropped, until its own end comes */
    lws_set_timeout(it->wsi, PENDING_TIMEOUT_USER_OK, FLUSH_S);
    lws_callback_on_writable(it->wsi);
}

/* HTTP. */

static int answer(struct ftx_connection *it, unsigned status, const char *type, const char *body,
                  size_t size)
{
    unsigned char buffer[LWS_PRE + 1024 + FTX_REPLY_MAX];
    unsigned char *start = buffer + LWS_PRE, *at = start, *end = start + 1024;

    if (lws_add_http_header_status(it->wsi, status, &at, end) ||
        lws_add_http_header_by_token(it->wsi, WSI_TOKEN_HTTP_CONTENT_TYPE,
                                     (const unsigned char *)type, (int)strlen(type), &at, end) ||
        lws_add_http_header_by_token(it->wsi, WSI_TOKEN_CONNECTION, (const unsigned char *)"close",
                                     5, &at, end) ||
        lws_add_http_header_content_length(it->wsi, size, &at, end) ||
        lws_finalize_http_header(it->wsi, &at, end))
        return -1;
    memcpy(at, body, size);
    at += size;
    (void)lws_write(it->wsi, start, (size_t)(at - start), LWS_WRITE_HTTP_HEADERS);
    return -1; /* one request for each connection */
}

static int serve(struct ftx_connection *it, const char *path)
{
    char body[FTX_REPLY_MAX];
    size_t size;

    if (strcmp(path, "/health") == 0) {
        bool draining = ftx_rooms_is_draining(it->relay->rooms);
        size = ftx_reply_health(body, it->relay->rooms);
        return answer(it, draining ? 503 : 200, "application/json", body, size);
    }
    if (strcmp(path, "/metrics") == 0) {
        size = ftx_reply_metrics(body, it->relay->rooms);
        return answer(it, 200, "text/plain; version=0.0.4", body, size);
    }
    (void)ftx_rooms_refuse(it->relay->rooms, FTX_REFUSED_REQUEST);
    return answer(it, 404, "text/plain", "request\n", 8);
}

/* A header's value, "" if there is none; false if it does not fit. */
static bool read_header(struct lws *wsi, enum lws_token_indexes token, char *out, size_t size)
{
    int length = lws_hdr_total_length(wsi, token);

    out[0] = '\0';
    return length <= 0 || ((size_t)length < size && lws_hdr_copy(wsi, out, (int)size, token) >= 0);
}

static enum ftx_refusal judge(struct ftx_connection *it)
{
    const struct ftx_relay_options *options = it->relay->options;
    struct ftx_relay_request request;
    char path[128], query[32], header[512];
    bool known;

    if (!read_header(it->wsi, WSI_TOKEN_GET_URI, path, sizeof(path)) ||
        !read_header(it->wsi, WSI_TOKEN_HTTP_URI_ARGS, query, sizeof(query)) ||
        ftx_relay_request_parse(path, query, &request) < 0)
        return ftx_rooms_refuse(it->relay->rooms, FTX_REFUSED_REQUEST);
    if (options->tokens.n_tokens > 0) {
        known = read_header(it->wsi, WSI_TOKEN_HTTP_AUTHORIZATION, header, sizeof(header)) &&
                ftx_tokens_match(&options->tokens, header);
        explicit_bzero(header, sizeof(header));
        if (!known)
            return ftx_rooms_refuse(it->relay->rooms, FTX_REFUSED_TOKEN);
    }
    if (it->from_proxy && read_header(it->wsi, WSI_TOKEN_X_FORWARDED_FOR, header, sizeof(header)) &&
        header[0])
        (void)ftx_forwarded_parse(header, &it->source, &it->source_port);
    return ftx_rooms_join(it->relay->rooms, &it->seat, request.room, request.role, &it->source,
                          now_ms(it));
}

/* 0: upgrade; else answered. */
static int on_upgrade(struct ftx_connection *it)
{
    enum ftx_refusal why = judge(it);
    const char *name = ftx_refusal_name(why);
    char body[32];

    if (why == FTX_ADMITTED)
        return 0;
    (void)lws_snprintf(body, sizeof(body), "%s\n", name);
    return answer(it, ftx_reply_status(why), "text/plain", body, strlen(body));
}

/* WebSocket. */

void ftx_connection_ping(struct ftx_connection *it)
{
    if (it->seat.state != FTX_SEAT_WAITING || !it->established)
        return;
    if (it->pinged) {
        ftx_connection_close(it, LWS_CLOSE_STATUS_GOINGAWAY);
        return;
    }
    it->pinged = it->ping_due = true;
    lws_callback_on_writable(it->wsi);
}

static void note_paired(struct ftx_connection *it)
{
    it->waiting_due = false;
    it->paired_due = true;
    if (it->established)
        lws_callback_on_writable(it->wsi);
}

/* Tells it where it seems to be: behind a NAT, what others may have to dial. */
static int add_address(struct ftx_connection *it, struct lws_process_html_args *args)
{
    char text[FTX_IP_TEXT + sizeof("[]:65535")], literal[FTX_IP_TEXT];
    struct ftx_ip ip;

    if (!it->source_port)
        return 0;
    memcpy(ip.bytes, it->source.bytes, sizeof(ip.bytes));
    ftx_ip_text(&ip, literal);
    (void)snprintf(text, sizeof(text), ftx_ip_is_v4(&ip) ? "%s:%u" : "[%s]:%u", literal,
                   it->source_port);
    return lws_add_http_header_by_name(
        it->wsi, (const unsigned char *)"Ftx-Address:", (const unsigned char *)text,
        (int)strlen(text), (unsigned char **)&args->p, (unsigned char *)args->p + args->max_len);
}

static int on_established(struct ftx_connection *it)
{
    it->established = true;
    if (it->closing)
        lws_set_timeout(it->wsi, PENDING_TIMEOUT_USER_OK, FLUSH_S);
    else if (it->seat.state == FTX_SEAT_WAITING)
        it->waiting_due = true;
    if (it->seat.state == FTX_SEAT_PAIRED) {
        note_paired(it);
        if (!connection_of(it->seat.partner)->told)
            note_paired(connection_of(it->seat.partner));
    }
    lws_callback_on_writable(it->wsi);
    return 0;
}

static void refuse_frame(struct ftx_connection *it, enum ftx_refusal why,
                         enum lws_close_status status)
{
    (void)ftx_rooms_refuse(it->relay->rooms, why);
    ftx_queue_clear(&it->out);
    ftx_connection_close(it, status);
}

void ftx_connection_unmasked(struct ftx_mask *mask)
{
    refuse_frame(ftx_list_of(mask, struct ftx_connection, mask), FTX_REFUSED_FRAME,
                 LWS_CLOSE_STATUS_PROTOCOL_ERR);
}

static enum ftx_refusal pass_on(struct ftx_connection *it, const void *bytes, size_t size)
{
    struct ftx_connection *partner;

    if (it->seat.state != FTX_SEAT_PAIRED || !it->told || !lws_frame_is_binary(it->wsi))
        return FTX_REFUSED_FRAME;
    if (!ftx_rooms_move(it->relay->rooms, &it->seat, size))
        return FTX_REFUSED_QUOTA;
    partner = connection_of(it->seat.partner);
    if (!ftx_queue_put(&partner->out, bytes, size))
        return FTX_REFUSED_MEMORY;
    if (partner->established)
        lws_callback_on_writable(partner->wsi);
    if (partner->out.n_bytes > FTX_QUEUE_MAX - FTX_QUEUE_PIECE && !it->stopped) {
        it->stopped = true;
        lws_rx_flow_control(it->wsi, 0);
    }
    return FTX_ADMITTED;
}

static int on_receive(struct ftx_connection *it, const void *bytes, size_t size)
{
    enum ftx_refusal why;

    if (it->closing)
        return 0;
    why = pass_on(it, bytes, size);
    if (why != FTX_ADMITTED)
        refuse_frame(it, why, LWS_CLOSE_STATUS_POLICY_VIOLATION);
    return 0;
}

static void resume_partner(struct ftx_connection *it)
{
    struct ftx_connection *partner;

    if (it->seat.state != FTX_SEAT_PAIRED || it->out.n_bytes > FTX_QUEUE_RESUME)
        return;
    partner = connection_of(it->seat.partner);
    if (!partner->stopped)
        return;
    partner->stopped = false;
    lws_rx_flow_control(partner->wsi, 1);
}

static int say(struct ftx_connection *it, const char *word)
{
    unsigned char buffer[LWS_PRE + 16];
    size_t size = strlen(word);

    memcpy(buffer + LWS_PRE, word, size);
    return lws_write(it->wsi, buffer + LWS_PRE, size, LWS_WRITE_TEXT) < 0 ? -1 : 0;
}

static int send_ping(struct ftx_connection *it)
{
    unsigned char buffer[LWS_PRE + 1] = {0}; /* we are not told of a PONG without payload */

    return lws_write(it->wsi, buffer + LWS_PRE, 1, LWS_WRITE_PING) < 0 ? -1 : 0;
}

static int send_piece(struct ftx_connection *it)
{
    size_t size;
    uint8_t *bytes = ftx_queue_first(&it->out, &size);
    bool failed = lws_write(it->wsi, bytes, size, LWS_WRITE_BINARY) < 0;

    ftx_queue_pop(&it->out);
    resume_partner(it);
    return failed ? -1 : 0;
}

/*
 * A Close of our own: on libuv the one of libwebsockets (4.1.6) never leaves, for service.c closes
 * twice to see whether it can. Then its end is awaited: closing first could lose what is under way.
 */
static int send_close(struct ftx_connection *it)
{
    unsigned char buffer[LWS_PRE + 4] = {[LWS_PRE] = 0x88, 2, 0, 0};

    buffer[LWS_PRE + 2] = (unsigned char)(it->close_status >> 8);
    buffer[LWS_PRE + 3] = (unsigned char)it->close_status;
    it->close_sent = true;
    lws_set_timeout(it->wsi, PENDING_TIMEOUT_USER_OK, CLOSE_S);
    return lws_write(it->wsi, buffer + LWS_PRE, 4, LWS_WRITE_RAW) < 0 ? -1 : 0;
}

static int on_writable(struct ftx_connection *it)
{
    int err = it->closing ? 0 : ftx_mask_watch(&it->mask, it->relay->masks, it->wsi);

    if (err < 0)
        return -1;
    if (it->waiting_due) {
        it->waiting_due = false;
        err = say(it, "waiting");
    } else if (it->ping_due) {
        it->ping_due = false;
        err = send_ping(it);
    } else if (it->paired_due) {
        it->paired_due = false;
        it->told = true;
        err = say(it, "paired");
    } else if (it->out.first) {
        err = send_piece(it);
    } else if (it->closing && !it->close_sent) {
        err = send_close(it);
    }
    if (it->waiting_due || it->ping_due || it->paired_due || it->out.first ||
        (it->closing && !it->close_sent))
        lws_callback_on_writable(it->wsi);
    return err;
}

/* It is called for before it is told whose it is. */
static void note_wsi(struct ftx_relay *relay, struct lws *wsi)
{
    if (relay->opening)
        relay->opening->wsi = wsi;
}

int ftx_connection_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                            size_t len)
{
    struct ftx_connection *it = wsi ? lws_get_opaque_user_data(wsi) : NULL;

    (void)user;
    if (reason == LWS_CALLBACK_WSI_CREATE)
        note_wsi(lws_context_user(lws_get_context(wsi)), wsi);
    if (!it)
        return 0;
    switch (reason) {
    case LWS_CALLBACK_HTTP:
        return serve(it, in);
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        return strcasecmp(in, "websocket") == 0 ? on_upgrade(it) : -1;
    case LWS_CALLBACK_ADD_HEADERS:
        return add_address(it, in);
    case LWS_CALLBACK_ESTABLISHED:
        return on_established(it);
    case LWS_CALLBACK_RECEIVE_PONG:
        it->pinged = false;
        return 0;
    case LWS_CALLBACK_RECEIVE:
        return on_receive(it, in, len);
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return on_writable(it);
    case LWS_CALLBACK_CLOSED:
        ftx_mask_forget(&it->mask);
        leave(it);
        return 0;
    case LWS_CALLBACK_WSI_DESTROY:
        lws_set_opaque_user_data(wsi, NULL);
        if (it->relay->opening == it)
            it->relay->opening = NULL;
        destroy(it);
        return 0;
    default:
        return 0;
    }
}
