/* SPDX-License-Identifier: MIT */
/* The options of the network, which every program that moves bytes takes. */
#ifndef FTX_TOOLS_NETWORK_OPTIONS_H
#define FTX_TOOLS_NETWORK_OPTIONS_H

#include "fs/xfer/network.h"
#include "transport/net/tcp.h"
#include "transport/peer/peer.h"

#include <stdbool.h>
#include <stddef.h>

enum { FTX_DIAL_MAX = 16, FTX_ALLOW_MAX = 64 };

struct ftx_network_options {
    bool listen_given, listen_none;
    struct ftx_address listen;
    struct ftx_cidr allow[FTX_ALLOW_MAX]; /* who may connect: everybody, if nothing was said */
    size_t n_allow;
    bool allow_tailnet;
    struct ftx_address dial[FTX_DIAL_MAX];
    size_t n_dial;
    char *relays[FTX_RELAYS_MAX]; /* URLs; owned */
    size_t n_relays;
    char *relay_token;                 /* owned; NULL: none */
    char *relay_token_file, *relay_ca; /* likewise; absolute */
    bool no_lan, no_portmap;
    unsigned connections;
};

enum { FTX_OPTION_MESSAGE = 4608 }; /* a path and a sentence */

/* Without `value` it is a flag, which stands alone: `set` gets NULL. 0, -ENOMEM, or -EINVAL with a
 * sentence in `message` (FTX_OPTION_MESSAGE bytes), to stand behind the option's name. */
struct ftx_network_option {
    const char *name, *value, *help;
    int (*set)(struct ftx_network_options *options, const char *value, char *message);
};

enum { FTX_NETWORK_OPTIONS = 9 };
extern const struct ftx_network_option ftx_network_option[FTX_NETWORK_OPTIONS];

/* What holds if nothing is said. */
void ftx_network_options_init(struct ftx_network_options *options);
void ftx_network_options_free(struct ftx_network_options *options);

/* As ftx_network_open wants it; borrows from `options`. Symlinks and compression are as they are
 * without a word. */
struct ftx_network_config ftx_network_options_config(const struct ftx_network_options *options);

/* What --relay_token wants of a file: its first line, a token of 1 to FTX_RELAY_TOKEN_MAX bytes, to be
 * wiped and freed. NULL: it holds none, or there is no memory. */
char *ftx_network_options_token(const char *path);

/* The sentence for what ftx_network_open answered: --listen names nothing to listen on. */
void ftx_network_options_explain(const struct ftx_network_options *options, int err, char *message);

#endif
