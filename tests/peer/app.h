/* SPDX-License-Identifier: MIT */
/* What app.c gives to end.c. */
#ifndef FTX_TESTS_PEER_APP_H
#define FTX_TESTS_PEER_APP_H

#include "tests/peer/end.h"

extern const struct ftx_engine_app test_app;
int test_read(void *ctx, struct ftx_source *source, uint8_t *out);

#endif
