/* SPDX-License-Identifier: MIT */
/* The options one by one, wherever they stand: as --name VALUE, as name=value in -o, as a line of
 * the configuration file. */
#ifndef FTX_TOOLS_OPTION_TABLE_H
#define FTX_TOOLS_OPTION_TABLE_H

#include "tools/ftxfs/options.h"

struct ftx_option {
    const char *name;
    const char *value; /* what it is, for the help; NULL: a flag, which stands alone */
    const char *help;
};

/* One after the other, up to one without a name; 32 at most (ftx_options.given). */
struct ftx_option ftx_option_at(size_t index);

/* Each sets one option (`value` NULL: none stands there). 0, -ENOMEM, or -EINVAL after one line
 * about it. By its name also what is FUSE's: -ENOENT, without a word: it is nobody's. */
int ftx_option_take(struct ftx_options *o, size_t index, const char *value);
int ftx_option_take_named(struct ftx_options *o, const char *name, size_t size, const char *value);

/* Says one line on stderr, behind o->where. -EINVAL. */
int ftx_option_bad(const struct ftx_options *o, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* True if the option is in the list (up to NULL), where what ends with '=' stands for any value. */
bool ftx_option_is_among(const char *option, const char *const *list);

#endif
