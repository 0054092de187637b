/* SPDX-License-Identifier: MIT */
/* The command line of ftxfs. */
#ifndef FTX_TOOLS_OPTIONS_H
#define FTX_TOOLS_OPTIONS_H

#include "fs/store/inbox.h"
#include "fs/store/spool.h"
#include "transport/net/tcp.h"
#include "transport/peer/peer.h"
#include "transport/session/compress.h"

#include <stdbool.h>

enum { FTX_DIAL_MAX = 16, FTX_ALLOW_MAX = 64 };

struct ftx_options {
    const char *mount_point;
    const char *source; /* what the mount table shall show; NULL: nothing was said */
    char *store;        /* owned; NULL: the default */
    bool listen_none;
    unsigned connections;
    struct ftx_address listen;
    struct ftx_cidr allow[FTX_ALLOW_MAX]; /* who may connect: everybody, if nothing was said */
    size_t n_allow;
    bool allow_tailnet;
    struct ftx_address dial[FTX_DIAL_MAX];
    size_t n_dial;
    char *relays[FTX_RELAYS_MAX]; /* URLs; owned */
    size_t n_relays;
    char *relay_token, *relay_ca; /* owned; NULL: none */
    bool no_lan, no_portmap;
    char *fuse_options; /* owned; comma list, or NULL */
    unsigned read_timeout_s;
    struct ftx_spool_config spool;
    uint64_t inbox_max; /* bytes that the inbox of a link may take; 0: no limit */
    uint64_t history_max;
    bool close_delivered;
    enum ftx_links_policy links;
    enum ftx_compress_mode compress;
    bool foreground, debug, help, version;
};

/* 0, or -EINVAL after one line about it on stderr. */
int ftx_options_parse(int argc, char **argv, struct ftx_options *out);
void ftx_options_free(struct ftx_options *options);

void ftx_options_help(void);

#endif
