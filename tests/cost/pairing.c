/* SPDX-License-Identifier: MIT */
/* Both ends of a handshake: the one that pairs, and the one that each connection begins with. */
#include "tests/cost/cost.h"
#include "tests/crypto/two_ends.h"

static void handshake(enum ftx_mode mode, const char *stage)
{
    struct end ends[2];
    (void)test_keys(0, S); /* made once */
    cost_begin();
    ends_run(ends, (struct run){mode, S}, &WIRE_WHOLE);
    bool done = end_done(&ends[S]) && end_done(&ends[R]);
    ends_close(ends);
    cost_end(stage);
    cost_must(done, "both ends agree");
}

void cost_pairing(void)
{
    cost_ready();
    handshake(FTX_MODE_PAIR, "pair");
    handshake(FTX_MODE_RESUME, "resume");
}
