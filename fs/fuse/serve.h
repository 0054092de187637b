/* SPDX-License-Identifier: MIT */
/*
 * The threads that take requests from the kernel and run the operations. One of them leads: it
 * alone reads, looking again for a moment before it sleeps, for a program's next call mostly comes
 * within microseconds and waking a thread costs more than most operations. It runs what is quick
 * itself, and the READs of a program that reads alone; it hands the lead on before what may take
 * long. What takes long unexpectedly loses the lead to the next thread.
 */
#ifndef FTX_FUSE_SERVE_H
#define FTX_FUSE_SERVE_H

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

struct ftx_serve;

/* For a session that is mounted. NULL: no memory, or no descriptor. */
struct ftx_serve *ftx_serve_new(struct fuse_session *session);

/* Serves until the session is unmounted or ftx_serve_end is called, and what was begun is done. */
void ftx_serve_run(struct ftx_serve *serve);

/* Nothing more is taken. Any thread, any number of times. */
void ftx_serve_end(struct ftx_serve *serve);

void ftx_serve_free(struct ftx_serve *serve);

#endif
