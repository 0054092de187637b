/* SPDX-License-Identifier: MIT */
/* What clients and operators write to a relay: paths, tokens. Pure. */
#ifndef FTX_RELAY_REQUEST_H
#define FTX_RELAY_REQUEST_H

#include "transport/relay/rooms.h"

enum { FTX_TOKEN_MAX = 256 /* bytes, visible ASCII */ };

struct ftx_relay_request {
    char room[FTX_ROOM_NAME_MAX + 1];
    char role; /* 's' or 'r' */
};

/* path "/v1/room/ROOM", query "role=s" or "role=r". -EINVAL. */
int ftx_relay_request_parse(const char *path, const char *query, struct ftx_relay_request *out);

struct ftx_tokens {
    size_t n_tokens;
    char (*tokens)[FTX_TOKEN_MAX + 1]; /* owned */
};

/*
 * One token a line; blanks around it, empty lines and what starts with # do not count. -EINVAL: a
 * line is no token, or there is none; -ENOMEM.
 */
int ftx_tokens_parse(const char *text, size_t size, struct ftx_tokens *out);
void ftx_tokens_close(struct ftx_tokens *tokens);

/* True for "Bearer TOKEN" with one of these; takes as long for every token of the same length. */
bool ftx_tokens_match(const struct ftx_tokens *tokens, const char *authorization);

/*
 * The last address of an X-Forwarded-For, the one that a trusted balancer added, as ADDRESS,
 * ADDRESS:PORT (IPv4) or [ADDRESS]:PORT; *out_port 0: without one. -EINVAL.
 */
int ftx_forwarded_parse(const char *value, struct ftx_source *out, uint16_t *out_port);

#endif
