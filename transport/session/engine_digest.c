/* SPDX-License-Identifier: MIT */
/* SHA-256 of a file, asked of the other end (docs/protocol.md 6.15): one question of each end at a
 * time. */
#include "transport/session/engine.h"

#include "transport/base/err.h"
#include "transport/session/engine_connection.h"

#include <errno.h>
#include <string.h>

bool ftx_engine_may_ask_digest(const struct ftx_engine *engine)
{
    return engine->state == FTX_ENGINE_RUNNING && engine->peer_have_done && !engine->question.whose;
}

int ftx_engine_ask_digest(struct ftx_engine *engine, uint64_t stream, enum ftx_digest_whose whose)
{
    if (!ftx_engine_may_ask_digest(engine))
        return -ENOBUFS;
    struct ftx_message m = {.type = FTX_MSG_DIGEST};
    m.as.digest.stream = stream;
    m.as.digest.whose = (uint8_t)whose;
    int err = ftx_engine_say(engine, &m);
    if (!err)
        engine->question = m.as.digest;
    return err;
}

int ftx_engine_digested(struct ftx_engine *engine, const struct ftx_message *digested)
{
    const struct ftx_told_digest *told = &digested->as.digest;
    if (told->whose != engine->question.whose || told->stream != engine->question.stream)
        return FTX_EPROTO; /* nobody asked */
    if (told->state != FTX_DIGEST_WORKING)
        engine->question.whose = 0;
    engine->app->digested(engine->ctx, told);
    return 0;
}

int ftx_engine_asked_digest(struct ftx_engine *engine, const struct ftx_message *digest)
{
    if (engine->peer_question.whose)
        return FTX_EPROTO; /* one at a time */
    engine->peer_question = digest->as.digest;
    engine->app->digest(engine->ctx, digest->as.digest.stream,
                        (enum ftx_digest_whose)digest->as.digest.whose);
    return 0;
}

int ftx_engine_tell_digest(struct ftx_engine *engine, enum ftx_digest_state state,
                           const uint8_t sha256[FTX_DIGEST_SIZE])
{
    struct ftx_message m = {.type = FTX_MSG_DIGESTED};
    m.as.digest = engine->peer_question;
    m.as.digest.state = (uint8_t)state;
    if (state == FTX_DIGEST_HERE)
        memcpy(m.as.digest.sha256, sha256, FTX_DIGEST_SIZE);
    int err = ftx_engine_say(engine, &m);
    if (!err && state != FTX_DIGEST_WORKING)
        engine->peer_question.whose = 0;
    return err;
}
