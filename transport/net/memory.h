/* SPDX-License-Identifier: MIT */
/* Two ends of a pipe in one process, for tests: same contract as TCP, bounded buffer. */
#ifndef FTX_NET_MEMORY_H
#define FTX_NET_MEMORY_H

#include "transport/net/pipe.h"

/*
 * Makes a pair joined on `loop`; each direction buffers at most `capacity` bytes, then writes wait.
 * `segment`: most bytes delivered at once (0: no limit). -ENOMEM.
 */
int ftx_memory_pipe(uv_loop_t *loop, size_t capacity, size_t segment, struct ftx_pipe *out_ends[2]);

#endif
