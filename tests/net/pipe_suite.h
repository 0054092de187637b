/* SPDX-License-Identifier: MIT */
/* The contract of pipe.h as cases that every kind of pipe must pass. */
#ifndef FTX_TESTS_NET_PIPE_SUITE_H
#define FTX_TESTS_NET_PIPE_SUITE_H

#include "tests/net/loop.h"
#include "transport/net/pipe.h"

struct pipe_kind {
    const char *name;
    size_t n_stream_bytes;   /* how much the long streams carry */
    size_t n_buffered_bytes; /* a writer whose reader stopped gets rid of less than this */
    void (*open)(struct test_loop *loop, struct ftx_pipe *out_ends[2]);
};

/* Runs every case; returns how many failed. */
int pipe_suite_run(const struct pipe_kind *kind);

#endif
