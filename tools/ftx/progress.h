/* SPDX-License-Identifier: MIT */
/* The one line that shows how far a send or receive is. */
#ifndef FTX_TOOLS_PROGRESS_H
#define FTX_TOOLS_PROGRESS_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

struct ftx_progress {
    bool json;
    const char *word; /* what goes on: "copying", "sending" */
    uint64_t done, total;
    double begun, shown; /* ftx_look_clock */
    uint64_t begun_bytes;
    bool drawn;
};

/* Begins another activity; 0 done. */
void ftx_progress_begin(struct ftx_progress *progress, const char *word, uint64_t total);

/* So much is done: draws it five times a second at most; as JSON, a line each second. */
void ftx_progress_set(struct ftx_progress *progress, uint64_t done);

/* A sentence in place of the line, which comes back with the next ftx_progress_set. */
void ftx_progress_say(struct ftx_progress *progress, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The same with more to say as JSON: `line`, which is taken over (NULL: nothing more). */
void ftx_progress_tell(struct ftx_progress *progress, cJSON *line, const char *text);

/* Takes the line away. */
void ftx_progress_end(struct ftx_progress *progress);

#endif
