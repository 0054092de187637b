/* SPDX-License-Identifier: MIT */
/*
 * Bytes fetched back from the peer that has them (docs/protocol.md 6.12), both sides of it:
 *
 *   asking      ftx_engine_fetch -> fetches -> FETCH ... FETCHED -> app->fetched
 *   answering   FETCH -> asked -> app->serve -> record built -> forgotten
 *               (not built: asked again, in its old place; the second time: gone)
 *
 * An end counts what it is asked until the answer's record is built, the other one until it has
 * come: who keeps to FTX_FETCHES_MAX there cannot be beyond it here.
 */
#include "transport/session/engine.h"

#include "transport/base/err.h"
#include "transport/session/engine_connection.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum { FAILURES_MAX = 2 }; /* the first may be an object that a newer one replaced meanwhile */

static void add(struct ftx_fetches *fetches, uint64_t stream, const struct ftx_range *range)
{
    fetches->at[fetches->n++] = (struct ftx_fetch){.stream = stream, .range = *range};
}

static void forget(struct ftx_fetches *fetches, struct ftx_fetch *fetch)
{
    size_t behind = (size_t)(fetches->at + fetches->n - (fetch + 1));
    memmove(fetch, fetch + 1, behind * sizeof *fetch);
    fetches->n--;
}

/* -- asking -- */

bool ftx_engine_may_fetch(const struct ftx_engine *engine)
{
    return engine->state == FTX_ENGINE_RUNNING && engine->peer_have_done &&
           engine->fetches.n < FTX_FETCHES_MAX;
}

int ftx_engine_fetch(struct ftx_engine *engine, uint64_t stream, const struct ftx_range *range)
{
    if (range->length < 1 || range->length > FTX_EXTENT_MAX ||
        range->offset > FTX_OFFSET_MAX - range->length)
        return -EINVAL;
    if (!ftx_engine_may_fetch(engine))
        return -ENOBUFS;
    add(&engine->fetches, stream, range);
    return 0;
}

int ftx_engine_add_fetches(struct ftx_engine *engine, struct ftx_plan *plan)
{
    for (size_t i = 0; i < engine->fetches.n; i++) {
        struct ftx_fetch *fetch = &engine->fetches.at[i];
        if (fetch->send)
            continue;
        struct ftx_message m = {.type = FTX_MSG_FETCH};
        m.as.want.stream = fetch->stream;
        m.as.want.range = fetch->range;
        int err = ftx_plan_add_message(plan, &m);
        if (err)
            return err == -EMSGSIZE ? 0 : err;
        fetch->send = plan->send;
    }
    return 0;
}

/* The FETCH that was answered: of several of one offset the shortest that the answer fits, so that
 * answers that overtake each other find one each. NULL: nobody asked. */
static struct ftx_fetch *find_fetch(struct ftx_fetches *fetches, const struct ftx_extent *answer)
{
    struct ftx_fetch *found = NULL;
    for (size_t i = 0; i < fetches->n; i++) {
        struct ftx_fetch *fetch = &fetches->at[i];
        if (fetch->send && fetch->stream == answer->stream &&
            fetch->range.offset == answer->offset && fetch->range.length >= answer->length &&
            (!found || fetch->range.length < found->range.length))
            found = fetch;
    }
    return found;
}

int ftx_engine_fetched(struct ftx_engine *engine, const struct ftx_message *fetched)
{
    const struct ftx_extent *extent = &fetched->as.content.extent;
    struct ftx_fetch *fetch = find_fetch(&engine->fetches, extent);
    if (!fetch)
        return FTX_EPROTO;
    uint64_t asked = fetch->range.length;
    forget(&engine->fetches, fetch);
    return engine->app->fetched(engine->ctx, asked, &fetched->as.content);
}

/* -- answering -- */

int ftx_engine_asked(struct ftx_engine *engine, const struct ftx_message *fetch)
{
    if (engine->asked.n == FTX_FETCHES_MAX)
        return FTX_EPROTO;
    add(&engine->asked, fetch->as.want.stream, &fetch->as.want.range);
    return 0;
}

/* What the application has of the front of the range. */
static struct ftx_source serve(struct ftx_engine *engine, const struct ftx_fetch *fetch,
                               const struct ftx_range *range)
{
    struct ftx_source source = {.answer = true};
    if (fetch->failures == FAILURES_MAX) {
        source.extent.offset = range->offset;
        source.extent.length = range->length;
        source.extent.kind = FTX_EXTENT_GONE;
    } else {
        engine->app->serve(engine->ctx, fetch->stream, range, &source);
    }
    assert(source.extent.offset == range->offset && source.extent.length >= 1 &&
           source.extent.length <= range->length);
    assert(source.extent.kind >= FTX_EXTENT_DATA && source.extent.kind <= FTX_EXTENT_GONE);
    source.answer = true;
    source.extent.stream = fetch->stream;
    if (source.extent.kind != FTX_EXTENT_DATA)
        memset(source.extent.hash, 0, sizeof source.extent.hash);
    return source;
}

int ftx_engine_add_answers(struct ftx_engine *engine, struct ftx_plan *plan)
{
    bool first = true;
    for (size_t i = 0; i < engine->asked.n; i++) {
        struct ftx_fetch *fetch = &engine->asked.at[i];
        if (fetch->send)
            continue;
        size_t room = ftx_plan_room(plan);
        if (room < FTX_CONTENT_ROOM)
            return 0;
        struct ftx_range range = fetch->range;
        if (range.length > room - FTX_FETCHED_HEAD) {
            if (!first) /* whole in the next record, rather than its rest one round trip later */
                return 0;
            range.length = room - FTX_FETCHED_HEAD;
        }
        struct ftx_source source = serve(engine, fetch, &range);
        int err = ftx_plan_add_answer(plan, &source);
        assert(err != -EMSGSIZE); /* the range was cut to the room */
        if (err)
            return err;
        fetch->send = plan->send;
        first = false;
    }
    return 0;
}

void ftx_engine_answer_built(struct ftx_engine *engine, uint64_t send, int err)
{
    size_t i = 0;
    while (i < engine->asked.n && engine->asked.at[i].send != send)
        i++; /* the plan's answers stand here in the same order */
    assert(i < engine->asked.n);
    struct ftx_fetch *fetch = &engine->asked.at[i];
    if (!err) {
        forget(&engine->asked, fetch);
        return;
    }
    fetch->send = 0;
    fetch->failures++;
}
