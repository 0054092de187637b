/* SPDX-License-Identifier: MIT */
/* Reading what a mount says about itself: .ftx/status and the user.ftx attributes. */
#ifndef FTX_TOOLS_LOOK_H
#define FTX_TOOLS_LOOK_H

#include "tools/ftx/command.h"

#include <cjson/cJSON.h>
#include <stdint.h>

/* .ftx/status of the mount, to be deleted. 0, or an exit status after one line about it. */
int ftx_look_status(const char *mount, cJSON **out_status);

/* The link of that name in a status; NULL: there is none. */
const cJSON *ftx_look_link(const cJSON *status, const char *name);
/* The same of a group. */
const cJSON *ftx_look_group(const cJSON *status, const char *name);
bool ftx_look_paired(const cJSON *link);

/* What a subcommand about one link needs; close it also after a failure. */
struct ftx_look {
    char *mount;
    cJSON *status;
    const cJSON *link; /* in `status` */
};

/* The mount, its status, and the link `code` in it. 0, or an exit status after one line. */
int ftx_look_open(const struct ftx_call *call, const char *code, struct ftx_look *out);
void ftx_look_close(struct ftx_look *look);

/* The text of user.ftx.`name`, to be freed; NULL: there is none. */
char *ftx_look_xattr(const char *path, const char *name);

/* True: user.ftx.state of the path is `state`. */
bool ftx_look_is(const char *path, const char *state);

/* user.ftx.progress; false: there is none. */
bool ftx_look_progress(const char *path, uint64_t *out_bytes, uint64_t *out_total);

/* Reads a whole file, with a NUL behind it; to be freed. NULL, with errno. */
char *ftx_look_file(const char *path, size_t *out_size);

double ftx_look_clock(void); /* seconds of a clock that only goes on */
/* Sleeps 0.1 s, or as long as it took since `begun`: looking at many names costs half of a core at
 * most. */
void ftx_look_rest(double begun);

#endif
