/* SPDX-License-Identifier: MIT */
/* What another program prints, within bounds of time and size; no shell in between. */
#ifndef FTX_NET_PROGRAM_H
#define FTX_NET_PROGRAM_H

#include <stddef.h>

/*
 * Runs argv[0], looked for in PATH, and takes what it writes to stdout; it has no stdin and no
 * stderr. *out_text is the caller's to free, and ends with a NUL that *out_size does not count.
 * Blocks, `timeout_ms` at most: then, or beyond `most` bytes, the program and what it started are
 * killed. -ENOENT: there is none; -ETIMEDOUT; FTX_ELIMIT; -EIO: it failed; -ENOMEM and the like.
 * Any thread but the loop's.
 */
int ftx_program_read(char *const argv[], size_t most, unsigned timeout_ms, char **out_text,
                     size_t *out_size);

#endif
