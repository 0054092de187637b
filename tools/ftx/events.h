/* SPDX-License-Identifier: MIT */
/* Reading .ftx/events from where it was left. The mount is in use only meanwhile. */
#ifndef FTX_TOOLS_EVENTS_H
#define FTX_TOOLS_EVENTS_H

#include <cjson/cJSON.h>
#include <stdint.h>

/* Where the next event will stand. */
int64_t ftx_events_end(const char *mount);

/* Gives each event from *in_out_offset on to `take`; the first that is still kept if ftxfs was started
 * anew. */
void ftx_events_read(const char *mount, int64_t *in_out_offset,
                     void (*take)(void *ctx, const cJSON *event), void *ctx);

#endif
