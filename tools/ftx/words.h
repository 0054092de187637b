/* SPDX-License-Identifier: MIT */
/* What a person has to know about the link that he waits for. */
#ifndef FTX_TOOLS_WORDS_H
#define FTX_TOOLS_WORDS_H

#include <stdbool.h>

/* A sentence for the state of a link (docs/interface.md); NULL: nothing has to be said. *out_end:
 * nothing can come of it. */
const char *ftx_words_state(const char *state, bool sender, bool mount, bool *out_end);

#endif
