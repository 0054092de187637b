/* SPDX-License-Identifier: MIT */
/* The terminal: its size, questions, and a code that is typed without being seen. */
#ifndef FTX_TOOLS_TERMINAL_H
#define FTX_TOOLS_TERMINAL_H

#include "transport/wire/limits.h"

#include <stdbool.h>

int ftx_terminal_columns(void); /* 80 where nobody knows */
int ftx_terminal_rows(void);    /* 24 likewise */

/* Is there somebody who could answer? */
bool ftx_terminal_asks(void);

/* A question that y or n answers; Enter, and the end of the input, mean `otherwise`. */
bool ftx_terminal_ask(const char *question, bool otherwise);

/*
 * Reads a line into `out`. On a terminal nothing of it is shown, Tab completes words of codes, a
 * blank is a dash; else it is the first line of stdin. 0; -EMSGSIZE: it is too long for a code;
 * -EINTR: ended with ^C or ^D; -errno. Wipe `out` after use.
 */
int ftx_terminal_read_code(const char *prompt, char out[FTX_CODE_MAX + 1]);

#endif
