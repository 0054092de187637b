/* SPDX-License-Identifier: MIT */
/* How ftxfs is to run: its command line, and what stands in the configuration file. */
#ifndef FTX_TOOLS_OPTIONS_H
#define FTX_TOOLS_OPTIONS_H

#include "fs/store/inbox.h"
#include "fs/store/spool.h"
#include "tools/common/network_options.h"
#include "transport/session/compress.h"

#include <stdbool.h>

struct ftx_options {
    const char *mount_point;
    const char *source; /* what the mount table shall show; NULL: nothing was said */
    char *store;        /* owned; NULL: the default */
    struct ftx_network_options network;
    char *hooks;        /* owned; absolute, or none; NULL: the default */
    char *fuse_options; /* owned; comma list, or NULL */
    unsigned read_timeout_s;
    struct ftx_spool_config spool;
    uint64_t inbox_max; /* bytes that the inbox of a link may take; 0: no limit */
    uint64_t history_max;
    bool close_delivered;
    enum ftx_links_policy links;
    enum ftx_compress_mode compress;
    bool foreground, debug, help, version;
    char *config; /* the configuration file, or "none"; owned; NULL: the user's */

    /* while they are read */
    const char *where; /* what messages begin with; NULL: nothing */
    bool from_file;
    uint32_t given; /* bits, by place in the table: the command line said it, the file does not */
};

/* What holds where nothing is said. */
void ftx_options_init(struct ftx_options *out);

/* The command line, then the configuration file. 0, or -EINVAL after one line about it on stderr. */
int ftx_options_parse(int argc, char **argv, struct ftx_options *out);
void ftx_options_free(struct ftx_options *options);

void ftx_options_help(void);

#endif
