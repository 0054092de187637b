/* SPDX-License-Identifier: MIT */
/* The little of HTTP/1.1 that a WebSocket client needs: URLs, answers to CONNECT and Upgrade. Pure. */
#ifndef FTX_NET_HTTP_H
#define FTX_NET_HTTP_H

#include "transport/net/tcp.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FTX_HTTP_HEAD_MAX = 8 << 10 /* bytes of an answer before its body */ };

/* ws://HOST[:PORT][/PREFIX] or wss://...; ports 80 and 443 when absent. */
struct ftx_url {
    bool tls;
    struct ftx_address address;
    char authority[256]; /* HOST[:PORT] as it was given */
    char prefix[128];    /* "" or "/...", without the last "/" */
};

/* -EINVAL: not of that form, or longer than the fields. */
int ftx_url_parse(const char *text, struct ftx_url *out);

struct ftx_proxy {
    struct ftx_address address;
    char credentials[256]; /* "user:password" or "" */
};

/* [http://][USER:PASSWORD@]HOST[:PORT][/]; port 80 when absent. -EINVAL. */
int ftx_proxy_parse(const char *text, struct ftx_proxy *out);

/* True if `no_proxy` (a comma list of hosts and domains, or "*"; may be NULL) has this host. */
bool ftx_proxy_is_excepted(const char *no_proxy, const char *host);

struct ftx_http_answer {
    int status;      /* 100..599 */
    bool websocket;  /* Upgrade: websocket, and Connection has Upgrade */
    char accept[32]; /* Sec-WebSocket-Accept, or "" */
    char caller[64]; /* Ftx-Address, or "" */
};

/*
 * The head of an answer: how many bytes it takes, 0 if its end is not there yet (and size is below
 * FTX_HTTP_HEAD_MAX). FTX_EPROTO: not HTTP/1, or too long.
 */
int ftx_http_read(const uint8_t *bytes, size_t size, struct ftx_http_answer *out);

#endif
