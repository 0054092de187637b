/* SPDX-License-Identifier: MIT */
/* The command line of ftx-relay. */
#ifndef FTX_RELAY_OPTIONS_H
#define FTX_RELAY_OPTIONS_H

#include "transport/net/cidr.h"
#include "transport/net/tcp.h"
#include "transport/relay/request.h"
#include "transport/relay/rooms.h"

enum { FTX_RELAY_PORT = 15821, FTX_CIDR_MAX = 64 };

struct ftx_cidrs {
    size_t n_cidrs;
    struct ftx_cidr cidrs[FTX_CIDR_MAX];
};

struct ftx_relay_options {
    struct ftx_address listen;
    const char *cert, *key;   /* PEM; NULL: ws:// only */
    struct ftx_tokens tokens; /* none: everybody */
    struct ftx_cidrs allow;   /* none: everybody */
    struct ftx_cidrs proxies; /* whose X-Forwarded-For counts */
    struct ftx_rooms_limits limits;
    uint32_t ping_ms; /* between signs of life of who waits */
    uint32_t drain_ms;
    bool help, version;
};

/* 0, or -EINVAL after one line about it on stderr. */
int ftx_relay_options_parse(int argc, char **argv, struct ftx_relay_options *out);
void ftx_relay_options_close(struct ftx_relay_options *options);

void ftx_relay_options_help(void);

#endif
