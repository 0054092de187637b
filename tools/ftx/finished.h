/* SPDX-License-Identifier: MIT */
/* The lines of .ftx/history that a person asked for. */
#ifndef FTX_TOOLS_FINISHED_H
#define FTX_TOOLS_FINISHED_H

#include "tools/ftx/command.h"

#include <cjson/cJSON.h>

/*
 * Calls `take` for each finished transfer that --link, --state, --since, --until and --limit leave,
 * oldest first. 0, or an exit status after one line about it.
 */
int ftx_finished(const struct ftx_call *call, void (*take)(void *ctx, const cJSON *line),
                 void *ctx);

#endif
