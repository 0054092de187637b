/* SPDX-License-Identifier: MIT */
/* A line of .ftx/ctl (docs/interface.md): words into a command. Pure, fuzzed. */
#ifndef FTX_FUSE_COMMAND_H
#define FTX_FUSE_COMMAND_H

#include "fs/store/group.h"
#include "fs/store/steer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ftx_command_kind {
    FTX_COMMAND_NOTHING, /* an empty line, or a comment */
    FTX_COMMAND_PAUSE,
    FTX_COMMAND_RESUME,
    FTX_COMMAND_UNPAIR,
    FTX_COMMAND_REARM,
    FTX_COMMAND_RETRY,
    FTX_COMMAND_CANCEL,
    FTX_COMMAND_ACCEPT,
    FTX_COMMAND_REJECT,
    FTX_COMMAND_PRIORITY,
    FTX_COMMAND_SET, /* limit and config */
    FTX_COMMAND_GROUP,
    FTX_COMMAND_UNGROUP,
};

struct ftx_command {
    enum ftx_command_kind kind;
    const char *name; /* of a link, or a path; in the line. NULL: all links */
    size_t size;
    bool path;    /* PRIORITY, ACCEPT, REJECT: it is a path */
    bool force;   /* UNPAIR, UNGROUP */
    int priority; /* or FTX_PRIORITY_INHERIT */
    struct ftx_command_setting {
        enum ftx_setting setting;
        struct ftx_setting_value value;
    } settings[2];
    size_t n_settings;
    enum ftx_group_how how;
    struct ftx_word members[FTX_GROUP_MEMBERS_MAX];
    size_t n_members;
};

/* `line` has no end mark. -EINVAL with a sentence in *out_message (static). */
int ftx_command_parse(const char *line, size_t size, struct ftx_command *out,
                      const char **out_message);

#endif
