/* SPDX-License-Identifier: MIT */
/* The bare application: gives what it was set up to give, counts the rest. */
#include "tests/sim/bare.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void on_session(void *ctx, uint64_t session)
{
    ((struct bare *)ctx)->session = session;
}

static int on_start(void *ctx, uint64_t durable)
{
    struct bare *app = ctx;
    app->started_at = durable;
    return app->start_answer;
}

static size_t on_op(void *ctx, uint64_t number, const uint8_t **out_bytes)
{
    struct bare *app = ctx;
    *out_bytes = app->op;
    return number <= app->ops ? app->op_size : 0;
}

static void on_held(void *ctx, const struct ftx_extent *extent)
{
    (void)extent;
    ((struct bare *)ctx)->held++;
}

static int on_extent(void *ctx, struct ftx_stream *stream, size_t room, uint64_t send,
                     struct ftx_source *out)
{
    struct bare *app = ctx;
    size_t i = (size_t)(stream - app->streams);
    (void)send;
    if (app->extents[i] == 0)
        return -EAGAIN;
    if (!app->hole && app->length > room)
        return -EMSGSIZE;
    app->extents[i]--;
    memset(out, 0, sizeof *out);
    out->extent.stream = stream->id;
    out->extent.version = 1;
    out->extent.offset = app->next_offset[i];
    out->extent.length = app->length;
    out->extent.kind = app->hole ? FTX_EXTENT_HOLE : FTX_EXTENT_DATA;
    app->next_offset[i] += app->length;
    return 0;
}

static void on_size(void *ctx, struct ftx_stream *stream, struct ftx_extent *out)
{
    (void)ctx;
    *out = (struct ftx_extent){.stream = stream->id, .version = 1, .size_now = 7};
}

static bool on_seal(void *ctx, struct ftx_stream *stream, uint64_t send, struct ftx_plan_seal *out)
{
    struct bare *app = ctx;
    size_t i = (size_t)(stream - app->streams);
    (void)send;
    out->stream = stream->id;
    out->version = 1;
    out->size = app->next_offset[i];
    bool seal = app->seal[i];
    app->seal[i] = false;
    return seal;
}

static void on_received(void *ctx, const struct ftx_extent *extent, uint64_t send)
{
    (void)extent, (void)send;
    ((struct bare *)ctx)->received++;
}

static void on_durable(void *ctx, const struct ftx_extent *extent, uint64_t send)
{
    (void)extent, (void)send;
    ((struct bare *)ctx)->durable++;
}

static void on_failed(void *ctx, const struct ftx_extent *extent, uint64_t send, int err)
{
    (void)extent, (void)send;
    assert_int_equal(err, ((struct bare *)ctx)->read_answer);
    ((struct bare *)ctx)->failed++;
}

static void on_ops_durable(void *ctx, uint64_t number)
{
    ((struct bare *)ctx)->ops_durable = number;
}

static void on_delivered(void *ctx, uint64_t stream, uint32_t version)
{
    (void)stream, (void)version;
    ((struct bare *)ctx)->delivered++;
}

static void on_unsealed(void *ctx, uint64_t stream, uint32_t version)
{
    (void)stream, (void)version;
    ((struct bare *)ctx)->unsealed++;
}

static void on_missing(void *ctx, uint64_t stream, uint32_t version, const struct ftx_range *range)
{
    (void)stream, (void)version, (void)range;
    ((struct bare *)ctx)->missing++;
}

static void on_refused(void *ctx, uint64_t stream, enum ftx_refusal reason)
{
    (void)stream, (void)reason;
    ((struct bare *)ctx)->refused++;
}

static void on_wanted(void *ctx, uint64_t stream, const struct ftx_range *range)
{
    (void)stream, (void)range;
    ((struct bare *)ctx)->wanted++;
}

static int on_fetched(void *ctx, uint64_t asked, const struct ftx_content *answer)
{
    (void)asked;
    struct bare *app = ctx;
    const struct ftx_extent *extent = &answer->extent;
    const uint8_t *data = answer->data;
    assert_int_equal(answer->encoding, FTX_ENCODING_RAW);
    app->fetched++;
    app->last_fetched = *extent;
    app->fetched_data = data != NULL;
    for (size_t i = 0; data && i < extent->length; i++)
        assert_int_equal(data[i], BARE_BYTE);
    if (app->rest.length) {
        app->rest.offset += extent->length;
        app->rest.length -= extent->length;
        if (app->rest.length)
            assert_int_equal(ftx_engine_fetch(&app->engine, extent->stream, &app->rest), 0);
    }
    return app->fetched_answer;
}

static void on_serve(void *ctx, uint64_t stream, const struct ftx_range *range,
                     struct ftx_source *out)
{
    struct bare *app = ctx;
    bool cut = app->serve_most && app->serve_most < range->length;
    app->served++;
    app->serve_asked = *range;
    out->object = stream + 1000;
    out->extent.offset = range->offset;
    out->extent.length = cut ? app->serve_most : range->length;
    out->extent.kind = app->serve_kind;
    memset(out->extent.hash, 0xcd, FTX_HASH_SIZE); /* only that of data counts */
}

static bool on_have(void *ctx, const struct ftx_extent **out_extents, size_t *out_n)
{
    (void)ctx, (void)out_extents, (void)out_n;
    return false;
}

static int on_apply(void *ctx, uint64_t number, const uint8_t *op, size_t size)
{
    (void)number, (void)op, (void)size;
    ((struct bare *)ctx)->applied++;
    return 0;
}

static int on_arrived(void *ctx, const struct ftx_content *content)
{
    struct bare *app = ctx;
    if (app->arrived++ == 0)
        app->first_arrived = content->extent.stream;
    return 0;
}

static int on_resized(void *ctx, const struct ftx_extent *size)
{
    (void)size;
    ((struct bare *)ctx)->resized++;
    return 0;
}

static int on_sealed(void *ctx, const struct ftx_plan_seal *seal)
{
    (void)seal;
    ((struct bare *)ctx)->sealed++;
    return 0;
}

static void on_record(void *ctx, struct ftx_record_ref record, void *whole)
{
    struct bare *app = ctx;
    (void)whole;
    app->records++;
    app->last = record;
    if (!app->hold)
        ftx_engine_durable(&app->engine, record);
}

static void on_digest(void *ctx, uint64_t stream, enum ftx_digest_whose whose)
{
    struct bare *app = ctx;
    app->digests++;
    app->last_digest = (struct ftx_told_digest){.stream = stream, .whose = (uint8_t)whose};
}

static void on_digested(void *ctx, const struct ftx_told_digest *told)
{
    struct bare *app = ctx;
    app->digested++;
    app->last_digested = *told;
}

static const struct ftx_engine_app bare_app = {
    .session = on_session,
    .start = on_start,
    .op = on_op,
    .held = on_held,
    .extent = on_extent,
    .size = on_size,
    .seal = on_seal,
    .received = on_received,
    .durable = on_durable,
    .failed = on_failed,
    .ops_durable = on_ops_durable,
    .delivered = on_delivered,
    .unsealed = on_unsealed,
    .missing = on_missing,
    .refused = on_refused,
    .wanted = on_wanted,
    .fetched = on_fetched,
    .digest = on_digest,
    .digested = on_digested,
    .have = on_have,
    .apply = on_apply,
    .arrived = on_arrived,
    .resized = on_resized,
    .sealed = on_sealed,
    .serve = on_serve,
    .record = on_record,
};

uint8_t bare_room[FTX_RECORD_PLAIN_MAX];

static int read_answer(struct bare *app, struct ftx_source *source, uint8_t *out)
{
    app->read_answers++;
    assert_int_equal(source->object, source->extent.stream + 1000);
    memset(out, BARE_BYTE, source->extent.length);
    memset(source->extent.hash, 0xab, FTX_HASH_SIZE);
    return app->answer_err;
}

static int read_zeros(void *ctx, struct ftx_source *source, uint8_t *out)
{
    if (source->answer)
        return read_answer(ctx, source, out);
    memset(out, 0, source->extent.length);
    return ((struct bare *)ctx)->read_answer;
}

size_t bare_take(struct bare *app, unsigned connection, uint64_t now_ms)
{
    struct ftx_plan *plan = ftx_engine_pull(&app->engine, connection, now_ms);
    if (!plan)
        return 0;
    size_t size = ftx_plan_build(plan, read_zeros, app, NULL, bare_room);
    ftx_engine_built(&app->engine, plan, true);
    return size;
}

int bare_give(struct bare *app, unsigned connection, size_t size, uint64_t now_ms)
{
    return ftx_engine_receive(&app->engine, connection, bare_room, size, NULL, now_ms);
}

bool bare_carry(struct bare *from, struct bare *to, unsigned connection, uint64_t now_ms)
{
    size_t size = bare_take(from, connection, now_ms);
    if (size == 0)
        return false;
    assert_int_equal(bare_give(to, connection, size, now_ms), 0);
    return true;
}

void bare_carry_all(struct pair *p, uint64_t now_ms)
{
    for (bool moved = true; moved;) {
        moved = false;
        for (unsigned i = 0; i < p->s.engine.n_connections; i++)
            moved |= bare_carry(&p->s, &p->r, i, now_ms);
        for (unsigned i = 0; i < p->r.engine.n_connections; i++)
            moved |= bare_carry(&p->r, &p->s, i, now_ms);
    }
}

void bare_init(struct bare *app, enum ftx_role role, uint64_t session)
{
    memset(app, 0, sizeof *app);
    app->length = 1000;
    app->op_size = 400;
    app->serve_kind = FTX_EXTENT_DATA;
    for (size_t i = 0; i < STREAMS; i++)
        ftx_stream_init(&app->streams[i], i + 1, 0);
    assert_int_equal(ftx_engine_init(&app->engine, &bare_app, app, role, session, 0, 0), 0);
}

int bare_set_up(void **state)
{
    struct pair *p = malloc(sizeof *p);
    assert_non_null(p);
    bare_init(&p->s, FTX_ROLE_S, 5);
    bare_init(&p->r, FTX_ROLE_R, 4);
    *state = p;
    return 0;
}

int bare_set_up_running(void **state)
{
    bare_set_up(state);
    bare_carry_all(*state, 0);
    return 0;
}

int bare_tear_down(void **state)
{
    struct pair *p = *state;
    ftx_engine_close(&p->s.engine);
    ftx_engine_close(&p->r.engine);
    free(p);
    return 0;
}
