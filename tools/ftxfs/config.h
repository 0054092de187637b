/* SPDX-License-Identifier: MIT */
/* The configuration file: options as on the command line, one a line, for whoever mounts. */
#ifndef FTX_TOOLS_CONFIG_H
#define FTX_TOOLS_CONFIG_H

#include "tools/ftxfs/options.h"

/* Reads the file that options->config names, or the user's if there is one. What the command line
 * gave stays as it is. 0, -ENOMEM, or -EINVAL after one line about it. */
int ftx_config_load(struct ftx_options *options);

/* The same with the file's text; `path` is for messages. Lines are `name`, `name = value`, or empty;
 * # begins a comment at the beginning of a line or behind a blank. */
int ftx_config_read(struct ftx_options *options, const char *path, const char *text, size_t size);

#endif
