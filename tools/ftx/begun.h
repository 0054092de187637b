/* SPDX-License-Identifier: MIT */
/* What a send has begun is found again by the next one of the same paths. */
#ifndef FTX_TOOLS_BEGUN_H
#define FTX_TOOLS_BEGUN_H

#include "tools/ftx/command.h"
#include "transport/wire/limits.h"

/* Where it keeps that, for these paths (as many as the call has operands), its --to, and the mount that
 * it uses (NULL: none). The folders above are made. To be freed; NULL: there is no home. */
char *ftx_begun_path(const struct ftx_call *call, char *const *paths, const char *mount);

/* -- with a mount, which has all else -- */

/* The code that was made for it. */
bool ftx_begun_read(const char *path, char out[FTX_CODE_MAX + 1]);
/* Keeps it, for nobody else to read. Where that cannot be, the next send makes another one. */
void ftx_begun_write(const char *path, const char *code);

#endif
