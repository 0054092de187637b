/* SPDX-License-Identifier: MIT */
/* Whether a relay would let us in. */
#ifndef FTX_TOOLS_RELAY_H
#define FTX_TOOLS_RELAY_H

#include <stdbool.h>

enum ftx_relay_health {
    FTX_RELAY_GOOD,
    FTX_RELAY_BUSY, /* not now */
    FTX_RELAY_BAD,
};

enum { FTX_RELAY_MESSAGE = 512 };

/* Joins a room of its own there, and leaves it: all that a link needs on its way there is tried.
 * `token_file`, `ca_file` as of --relay_token and --relay_ca, or NULL. `message` says what was found,
 * and what to do. Takes as long as the relay, 20 s at most. */
enum ftx_relay_health ftx_relay_look(const char *url, const char *token_file, const char *ca_file,
                                     char message[FTX_RELAY_MESSAGE]);

/* What an error of the way there means, and what to do; `token`: one was shown there. */
enum ftx_relay_health ftx_relay_explain(int err, bool token, char message[FTX_RELAY_MESSAGE]);

#endif
