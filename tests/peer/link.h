/* SPDX-License-Identifier: MIT */
/* Two ends on one loop, each behind a proxy: what nearly every case begins with. */
#ifndef FTX_TESTS_PEER_LINK_H
#define FTX_TESTS_PEER_LINK_H

#include "tests/peer/end.h"

#define CODE "7-guitar-harvest"

enum { S, R };

struct link {
    struct test_loop loop;
    struct proxy ways[2]; /* ways[S]: to S */
    struct end ends[2];
    bool dials[2]; /* who dials, kept over restarts */
};

static inline void link_open(struct link *link, const char *code_s, const char *code_r)
{
    test_loop_open(&link->loop);
    for (int i = 0; i < 2; i++)
        proxy_open(&link->ways[i], &link->loop.uv);
    end_init(&link->ends[S], &link->loop, &link->ways[S], FTX_ROLE_S, code_s);
    end_init(&link->ends[R], &link->loop, &link->ways[R], FTX_ROLE_R, code_r);
    link->dials[S] = link->dials[R] = true;
}

static inline void link_start(struct link *link, int end)
{
    end_start(&link->ends[end], link->dials[end] ? &link->ways[1 - end] : NULL);
}

static inline void link_close(struct link *link)
{
    for (int i = 0; i < 2; i++)
        if (link->ends[i].node)
            end_stop(&link->ends[i]);
    for (int i = 0; i < 2; i++) {
        proxy_close(&link->ways[i]);
        end_free(&link->ends[i]);
    }
    test_loop_close(&link->loop);
}

/* Both ends run the same session. */
static inline bool link_connected(const struct link *link)
{
    const struct end *s = &link->ends[S], *r = &link->ends[R];
    return end_connected(s) && end_connected(r) && s->engine->session == r->engine->session;
}

#endif
