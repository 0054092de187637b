/* SPDX-License-Identifier: MIT */
/* stdin, stdout and stderr, which whoever starts a program may have closed. */
#ifndef FTX_BASE_STREAMS_H
#define FTX_BASE_STREAMS_H

/* What is opened from now on is none of the three. One that was closed still fails with EBADF when
 * it is used. First of all in a program. */
void ftx_streams_reserve(void);

#endif
