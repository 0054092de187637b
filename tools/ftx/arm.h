/* SPDX-License-Identifier: MIT */
/* Codes: made, armed, asked for, shown. */
#ifndef FTX_TOOLS_ARM_H
#define FTX_TOOLS_ARM_H

#include "tools/ftx/command.h"
#include "transport/wire/limits.h"

/* Four digits and three words: 31 bits of secret from the kernel's random source. */
void ftx_arm_code(char out[FTX_CODE_MAX + 1]);

/* Makes a code and arms it for sending. 0 and the code, or an exit status after one line. */
int ftx_arm_new(const char *mount, char out[FTX_CODE_MAX + 1]);

/* Arms a code in `box`. 0; an exit status after one line: also if there is such a link already. */
int ftx_arm(const char *mount, const char *box, const char *code);

/* The code: `word`, or asked for if that is NULL; `begun`: no code ("") is an answer too. 0, or an
 * exit status after one line. */
int ftx_arm_ask(const struct ftx_call *call, const char *word, bool begun,
                char out[FTX_CODE_MAX + 1]);

/* Shows a person the code, what to run at the other end, and on a terminal a QR code. */
void ftx_arm_show(const char *code, const char *command);

#endif
