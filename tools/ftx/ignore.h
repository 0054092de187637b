/* SPDX-License-Identifier: MIT */
/* Patterns of what is not sent: .ftxignore, in the syntax of gitignore(5). No I/O. */
#ifndef FTX_TOOLS_IGNORE_H
#define FTX_TOOLS_IGNORE_H

#include <stdbool.h>
#include <stddef.h>

struct ftx_ignore_rule;

/* The patterns of one folder, in the order of their lines. */
struct ftx_ignore {
    struct ftx_ignore_rule *rules; /* owned */
    size_t n;
};

enum ftx_ignored { FTX_IGNORE_UNSAID, FTX_IGNORE_KEEP, FTX_IGNORE_SKIP };

/* Adds one line (`size` bytes, without its end); comments and blank lines add nothing. -ENOMEM; a
 * pattern that is too long or has no end of a bracket matches nothing. */
int ftx_ignore_add(struct ftx_ignore *ignore, const char *line, size_t size);

/* Adds each line of a text. */
int ftx_ignore_add_text(struct ftx_ignore *ignore, const char *text, size_t size);

/* What the last pattern that matches says of a path relative to the folder. The time it takes is
 * bounded by the product of the two lengths. */
enum ftx_ignored ftx_ignore_match(const struct ftx_ignore *ignore, const char *path,
                                  bool is_folder);

void ftx_ignore_close(struct ftx_ignore *ignore);

#endif
