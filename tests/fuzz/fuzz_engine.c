/* SPDX-License-Identifier: MIT */
/*
 * Fuzz: bytes as the peer's records and as what happens in between. The first byte tells the role
 * and whether START and HAVE_END come for free; then each step is one byte that names it and what
 * it needs.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "transport/base/err.h"
#include "transport/session/engine.h"
#include "transport/wire/cursor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STREAMS = 4, OUT_MAX = 4, SESSION = 7 };

struct app {
    struct ftx_engine engine;
    struct ftx_stream streams[STREAMS];
    unsigned extents[STREAMS], seals[STREAMS];
    unsigned given, received, durable, failed; /* fates of extents */
    unsigned receives, records;
    unsigned haves;
    unsigned fetched, fetches; /* answers, questions */
    unsigned digests;          /* questions of the peer */
    unsigned served;
    uint64_t raw_bytes; /* of the record that is being received, once it is unpacked */
    struct ftx_plan *out[OUT_MAX];
    size_t n_out;
    bool unreadable;
};

static uint8_t room[FTX_RECORD_PLAIN_MAX];

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void on_session(void *ctx, uint64_t session)
{
    (void)ctx;
    check(session > SESSION - 1);
}

static int on_start(void *ctx, uint64_t durable)
{
    (void)ctx;
    return durable > 10 ? FTX_ELOST : 0;
}

static size_t on_op(void *ctx, uint64_t number, const uint8_t **out_bytes)
{
    static const uint8_t op[3];
    (void)ctx;
    *out_bytes = op;
    return number <= 10 ? sizeof op : 0;
}

static void on_extent_seen(void *ctx, const struct ftx_extent *extent)
{
    (void)ctx;
    check(extent->length > 0 && extent->offset + extent->length <= FTX_OFFSET_MAX);
}

static int on_extent(void *ctx, struct ftx_stream *stream, size_t size, uint64_t send,
                     struct ftx_source *out)
{
    struct app *app = ctx;
    size_t i = (size_t)(stream - app->streams);
    (void)send;
    if (app->extents[i] == 0)
        return -EAGAIN;
    memset(out, 0, sizeof *out);
    out->extent.stream = i;
    out->extent.length = app->extents[i]-- % 2 ? 100 : FTX_EXTENT_MAX;
    out->extent.kind = i == 3 ? FTX_EXTENT_HOLE : FTX_EXTENT_DATA;
    if (out->extent.length > size) {
        app->extents[i]++;
        return -EMSGSIZE;
    }
    app->given++;
    return 0;
}

static void on_size(void *ctx, struct ftx_stream *stream, struct ftx_extent *out)
{
    (void)ctx;
    *out = (struct ftx_extent){.stream = stream->id};
}

static bool on_seal(void *ctx, struct ftx_stream *stream, uint64_t send, struct ftx_plan_seal *out)
{
    struct app *app = ctx;
    size_t i = (size_t)(stream - app->streams);
    (void)send;
    out->stream = i;
    return app->seals[i] && app->seals[i]--;
}

static void on_received(void *ctx, const struct ftx_extent *extent, uint64_t send)
{
    struct app *app = ctx;
    (void)extent, (void)send;
    check(++app->received + app->failed <= app->given);
}

static void on_durable(void *ctx, const struct ftx_extent *extent, uint64_t send)
{
    struct app *app = ctx;
    (void)extent, (void)send;
    check(++app->durable <= app->received);
}

static void on_failed(void *ctx, const struct ftx_extent *extent, uint64_t send, int err)
{
    struct app *app = ctx;
    (void)extent, (void)send;
    check(err == FTX_ECHANGED && app->received + ++app->failed <= app->given);
}

static void on_ops_durable(void *ctx, uint64_t number)
{
    (void)ctx;
    check(number <= 10);
}

static void on_stream(void *ctx, uint64_t stream, uint32_t version)
{
    (void)ctx, (void)version;
    check(stream < STREAMS);
}

static void on_missing(void *ctx, uint64_t stream, uint32_t version, const struct ftx_range *range)
{
    (void)ctx, (void)stream, (void)version;
    check(range->length > 0 && range->offset + range->length <= FTX_OFFSET_MAX);
}

static void on_refused(void *ctx, uint64_t stream, enum ftx_refusal reason)
{
    struct app *app = ctx;
    check(reason >= FTX_REFUSED_NAME && reason <= FTX_REFUSED_LAST);
    if (stream < STREAMS)
        ftx_engine_gone(&app->engine, &app->streams[stream]);
}

static void on_wanted(void *ctx, uint64_t stream, const struct ftx_range *range)
{
    struct app *app = ctx;
    check(range->length > 0);
    if (stream < STREAMS)
        ftx_engine_urgent(&app->engine, &app->streams[stream]);
}

/* Data stands in the record as long as it says to be, or shorter and encoded. */
static void on_content(void *ctx, const struct ftx_content *content)
{
    const struct ftx_extent *extent = &content->extent;
    on_extent_seen(ctx, extent);
    check((extent->kind == FTX_EXTENT_DATA) == (content->data != NULL));
    check(content->encoding == FTX_ENCODING_RAW || content->data_size < extent->length);
    check(content->encoding != FTX_ENCODING_RAW || !content->data ||
          content->data_size == extent->length);
    ((struct app *)ctx)->raw_bytes += content->data ? extent->length : 0;
}

static int on_fetched(void *ctx, uint64_t asked, const struct ftx_content *answer)
{
    (void)asked;
    struct app *app = ctx;
    const struct ftx_extent *extent = &answer->extent;
    on_content(ctx, answer);
    check(++app->fetched <= app->fetches && extent->length <= FTX_EXTENT_MAX);
    check(extent->kind >= FTX_EXTENT_DATA && extent->kind <= FTX_EXTENT_GONE);
    return extent->stream == 3 && extent->length == 1 ? FTX_EPROTO : 0;
}

/* What the peer is told depends on where it asks. */
static void on_serve(void *ctx, uint64_t stream, const struct ftx_range *range,
                     struct ftx_source *out)
{
    struct app *app = ctx;
    (void)stream;
    check(range->length > 0 && range->length <= FTX_EXTENT_MAX);
    app->served++;
    out->extent.offset = range->offset;
    out->extent.length = range->offset & 4 ? 1 + range->length / 2 : range->length;
    out->extent.kind = (uint8_t)(FTX_EXTENT_DATA + range->offset % 3);
    if (out->extent.length > range->length)
        out->extent.length = range->length;
}

static void on_digest(void *ctx, uint64_t stream, enum ftx_digest_whose whose)
{
    struct app *app = ctx;
    (void)stream;
    check(whose == FTX_DIGEST_ASKER || whose == FTX_DIGEST_ASKED);
    app->digests++;
}

static void on_digested(void *ctx, const struct ftx_told_digest *told)
{
    const struct app *app = ctx;
    check(told->state >= FTX_DIGEST_HERE && told->state <= FTX_DIGEST_LAST);
    check((app->engine.question.whose != 0) == (told->state == FTX_DIGEST_WORKING));
}

static bool on_have(void *ctx, const struct ftx_extent **out_extents, size_t *out_n)
{
    static const struct ftx_extent held = {.stream = 1, .length = 5, .kind = FTX_EXTENT_DATA};
    *out_extents = &held;
    *out_n = 1;
    return ((struct app *)ctx)->haves++ < 3;
}

static int on_apply(void *ctx, uint64_t number, const uint8_t *op, size_t size)
{
    (void)ctx, (void)number;
    check(size >= 1 && size <= FTX_OP_MAX);
    return op[0] == 0xff ? FTX_EPROTO : 0;
}

static int on_arrived(void *ctx, const struct ftx_content *content)
{
    on_content(ctx, content);
    check(content->data || content->extent.kind == FTX_EXTENT_HOLE);
    return 0;
}

static int on_resized(void *ctx, const struct ftx_extent *size)
{
    (void)ctx;
    check(size->size_now <= FTX_OFFSET_MAX);
    return 0;
}

static int on_sealed(void *ctx, const struct ftx_plan_seal *seal)
{
    (void)ctx;
    check(seal->size <= FTX_OFFSET_MAX && seal->attributes_size <= FTX_SEAL_ATTR_MAX);
    return 0;
}

static void on_record(void *ctx, struct ftx_record_ref record, void *whole)
{
    struct app *app = ctx;
    app->records++;
    if (record.number % 3 == 0)
        ftx_engine_written(&app->engine, record);
    free(whole);
}

static const struct ftx_engine_app calls = {
    .session = on_session,
    .start = on_start,
    .op = on_op,
    .held = on_extent_seen,
    .extent = on_extent,
    .size = on_size,
    .seal = on_seal,
    .received = on_received,
    .durable = on_durable,
    .failed = on_failed,
    .ops_durable = on_ops_durable,
    .delivered = on_stream,
    .unsealed = on_stream,
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

static int read_nothing(void *ctx, struct ftx_source *source, uint8_t *out)
{
    memset(out, 0, source->extent.length);
    return ((struct app *)ctx)->unreadable ? FTX_ECHANGED : 0;
}

static void receive(struct app *app, unsigned connection, const uint8_t *plain, size_t size)
{
    uint8_t *whole = malloc(size + 1);
    check(whole != NULL);
    if (size)
        memcpy(whole, plain, size);
    app->receives++;
    app->raw_bytes = 0;
    int err = ftx_engine_receive(&app->engine, connection, whole, size, whole, 0);
    check(err == 0 || app->engine.state == FTX_ENGINE_ENDED);
    check(app->records == app->receives);
    check(app->raw_bytes <= FTX_RECORD_PLAIN_MAX);
}

static void begin(struct app *app)
{
    struct ftx_message start = {.type = FTX_MSG_START}, end = {.type = FTX_MSG_HAVE_END};
    uint8_t plain[64];
    start.as.start.session = SESSION;
    size_t size = ftx_message_encode(&start, plain, sizeof plain);
    size += ftx_message_encode(&end, plain + size, sizeof plain - size);
    receive(app, 0, plain, size);
}

/* Builds the oldest plan that is out; what it holds must decode. */
static void build(struct app *app)
{
    if (app->n_out == 0)
        return;
    struct ftx_plan *plan = app->out[0];
    memmove(app->out, app->out + 1, --app->n_out * sizeof *app->out);
    size_t size = ftx_plan_build(plan, read_nothing, app, NULL, room);
    check(size >= 1 && size <= sizeof room);
    for (size_t offset = 0; offset < size;) {
        struct ftx_message m;
        check(ftx_message_decode(room, size, &offset, &m) == 0);
    }
    ftx_engine_built(&app->engine, plan, true);
}

static void step(struct app *app, struct ftx_reader *r)
{
    struct ftx_engine *engine = &app->engine;
    uint8_t what = ftx_read_u8(r);
    uint8_t value = ftx_read_u8(r);
    unsigned connection = value % engine->n_connections;
    struct ftx_stream *stream = &app->streams[value % STREAMS];
    struct ftx_record_ref ref = {.number = value / 4, .connection = connection};
    struct ftx_range range = {value, 1};
    switch (what % 17) {
    case 0:
    case 1:
    case 2: {
        size_t size = ftx_read_u16(r);
        if (size > r->left)
            size = r->left;
        receive(app, connection, ftx_read_bytes(r, size), size);
        break;
    }
    case 3: {
        struct ftx_plan *plan =
            app->n_out < OUT_MAX ? ftx_engine_pull(engine, connection, value * 1000u) : NULL;
        if (plan)
            app->out[app->n_out++] = plan;
        break;
    }
    case 4:
        build(app);
        break;
    case 5:
        ftx_engine_written(engine, ref);
        break;
    case 6:
        ftx_engine_durable(engine, ref);
        break;
    case 7:
        app->extents[value % STREAMS] += value / 16;
        app->seals[value % STREAMS]++;
        stream->small = value & 16;
        stream->op = value / 32;
        ftx_engine_due(engine, stream);
        break;
    case 8:
        ftx_engine_gone(engine, stream);
        break;
    case 9:
        ftx_engine_urgent(engine, stream);
        break;
    case 10:
        ftx_engine_join(engine, 0);
        break;
    case 11:
        check(ftx_engine_tick(engine, value * 1000u) > value * 1000u);
        break;
    case 12:
        ftx_engine_want(engine, value, &range);
        ftx_engine_missing(engine, value, 1, &range, 1);
        ftx_engine_refuse(engine, value, FTX_REFUSED_NAME);
        break;
    case 13:
        range.length = 1 + value % 7u * (FTX_EXTENT_MAX / 7u);
        if (ftx_engine_fetch(engine, value % 4, &range) == 0)
            app->fetches++;
        check(engine->fetches.n <= FTX_FETCHES_MAX && engine->asked.n <= FTX_FETCHES_MAX);
        break;
    case 15:
        (void)ftx_engine_ask_digest(engine, value, FTX_DIGEST_ASKER);
        break;
    case 16:
        if (app->engine.peer_question.whose) {
            static const uint8_t sha256[FTX_DIGEST_SIZE] = {1};
            enum ftx_digest_state state = value % 4u + FTX_DIGEST_HERE;
            check(app->digests > 0);
            (void)ftx_engine_tell_digest(engine, state, sha256);
        }
        break;
    default:
        app->unreadable = value & 1;
        if (value == 255)
            ftx_engine_goodbye(engine, FTX_BYE_LEAVING);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ftx_reader r = ftx_reader(data, size);
    uint8_t mode = ftx_read_u8(&r);
    struct app *app = calloc(1, sizeof *app);
    check(app != NULL);
    for (size_t i = 0; i < STREAMS; i++)
        ftx_stream_init(&app->streams[i], i, 0);
    bool s = mode & 1;
    check(ftx_engine_init(&app->engine, &calls, app, s ? FTX_ROLE_S : FTX_ROLE_R,
                          s ? SESSION : SESSION - 1, 0, 0) == 0);
    if (mode & 2)
        begin(app);
    while (r.left && !r.failed)
        step(app, &r);
    while (app->n_out) {
        app->n_out--;
        ftx_engine_built(&app->engine, app->out[app->n_out], false);
    }
    ftx_engine_close(&app->engine);
    for (size_t i = 0; i < STREAMS; i++)
        check(!ftx_list_linked(&app->streams[i].queue));
    free(app);
    return 0;
}
