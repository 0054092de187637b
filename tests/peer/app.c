/* SPDX-License-Identifier: MIT */
/* The application of the tests: streams of fixed pieces, sent from memory and received into memory.
 */
#include "tests/peer/app.h"

#include "transport/base/err.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static void hash_of(const uint8_t *bytes, size_t size, uint8_t out[FTX_HASH_SIZE])
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes, size));
    memcpy(out, canonical.digest, FTX_HASH_SIZE);
}

static size_t n_pieces(uint64_t size)
{
    return (size_t)((size + PIECE - 1) / PIECE);
}

static uint64_t piece_length(uint64_t size, size_t i)
{
    uint64_t left = size - (uint64_t)i * PIECE;
    return left < PIECE ? left : PIECE;
}

/* -- sending -- */

static struct out_stream *out_of(struct end *end, uint64_t id)
{
    assert_true(id >= 1 && id <= end->n_out);
    return &end->out[id - 1];
}

static void session(void *ctx, uint64_t number)
{
    struct end *end = ctx;
    assert_true(number > end->disk.session);
}

static int start(void *ctx, uint64_t durable)
{
    struct end *end = ctx;
    if (durable < end->ops_durable || durable > end->n_out)
        return FTX_ELOST;
    for (size_t i = 0; i < end->n_out; i++) {
        struct out_stream *out = &end->out[i];
        out->stream.announced = false;
        out->seal_out = false;
        for (size_t p = 0; p < n_pieces(out->size); p++)
            if (out->pieces[p].state != PIECE_DURABLE)
                out->pieces[p].state = PIECE_DUE;
        if (!out->delivered)
            ftx_engine_due(end->engine, &out->stream);
    }
    return 0;
}

static size_t op(void *ctx, uint64_t number, const uint8_t **out_bytes)
{
    struct end *end = ctx;
    if (number > end->n_out)
        return 0;
    *out_bytes = (const uint8_t *)&end->out[number - 1].size;
    return sizeof end->out[0].size;
}

static void held(void *ctx, const struct ftx_extent *extent)
{
    struct out_stream *out = out_of(ctx, extent->stream);
    uint8_t hash[FTX_HASH_SIZE];
    hash_of(out->bytes + extent->offset, (size_t)extent->length, hash);
    assert_memory_equal(hash, extent->hash, sizeof hash);
    out->pieces[extent->offset / PIECE].state = PIECE_DURABLE;
}

static int extent(void *ctx, struct ftx_stream *stream, size_t room, uint64_t send,
                  struct ftx_source *out_source)
{
    struct out_stream *out = out_of(ctx, stream->id);
    for (size_t i = 0; i < n_pieces(out->size); i++) {
        if (out->pieces[i].state != PIECE_DUE)
            continue;
        uint64_t length = piece_length(out->size, i);
        if (length > room)
            return -EMSGSIZE;
        out->pieces[i].state = PIECE_FLIGHT;
        out->pieces[i].send = send;
        memset(out_source, 0, sizeof *out_source);
        out_source->object = stream->id;
        out_source->extent.stream = stream->id;
        out_source->extent.version = 1;
        out_source->extent.kind = FTX_EXTENT_DATA;
        out_source->extent.offset = (uint64_t)i * PIECE;
        out_source->extent.length = length;
        out_source->extent.size_now = out->size;
        return 0;
    }
    return -EAGAIN;
}

static int read_answer(struct end *end, struct ftx_source *source, uint8_t *out);

int test_read(void *ctx, struct ftx_source *source, uint8_t *out)
{
    struct end *end = ctx;
    if (source->answer)
        return read_answer(end, source, out);
    memcpy(out, end->out[source->object - 1].bytes + source->extent.offset,
           (size_t)source->extent.length);
    hash_of(out, (size_t)source->extent.length, source->extent.hash);
    return 0;
}

static void size(void *ctx, struct ftx_stream *stream, struct ftx_extent *out_size)
{
    out_size->stream = stream->id;
    out_size->version = 1;
    out_size->size_now = out_of(ctx, stream->id)->size;
}

static bool seal(void *ctx, struct ftx_stream *stream, uint64_t send,
                 struct ftx_plan_seal *out_seal)
{
    struct out_stream *out = out_of(ctx, stream->id);
    for (size_t i = 0; i < n_pieces(out->size); i++)
        if (out->pieces[i].state < PIECE_RECEIVED &&
            !(out->pieces[i].state == PIECE_FLIGHT && out->pieces[i].send == send))
            return false;
    if (out->seal_out || out->delivered)
        return false;
    out->seal_out = true;
    out_seal->stream = stream->id;
    out_seal->version = 1;
    out_seal->size = out->size;
    return true;
}

static void received(void *ctx, const struct ftx_extent *piece, uint64_t send)
{
    struct end *end = ctx;
    struct out_stream *out = out_of(end, piece->stream);
    (void)send;
    out->pieces[piece->offset / PIECE].state = PIECE_RECEIVED;
    ftx_engine_due(end->engine, &out->stream);
}

static void durable(void *ctx, const struct ftx_extent *piece, uint64_t send)
{
    (void)send;
    out_of(ctx, piece->stream)->pieces[piece->offset / PIECE].state = PIECE_DURABLE;
}

static void failed(void *ctx, const struct ftx_extent *piece, uint64_t send, int err)
{
    (void)ctx, (void)piece, (void)send, (void)err;
    fail_msg("memory can always be read");
}

static void ops_durable(void *ctx, uint64_t number)
{
    struct end *end = ctx;
    end->ops_durable = number;
}

static void delivered(void *ctx, uint64_t stream, uint32_t version)
{
    (void)version;
    out_of(ctx, stream)->delivered = true;
}

static void unsealed(void *ctx, uint64_t stream, uint32_t version)
{
    (void)ctx, (void)stream, (void)version;
}

static void missing(void *ctx, uint64_t stream, uint32_t version, const struct ftx_range *range)
{
    (void)ctx, (void)stream, (void)version, (void)range;
    fail_msg("nothing is missing");
}

static void refused(void *ctx, uint64_t stream, enum ftx_refusal reason)
{
    (void)ctx, (void)stream, (void)reason;
    fail_msg("nothing is refused");
}

static void wanted(void *ctx, uint64_t stream, const struct ftx_range *range)
{
    (void)ctx, (void)stream, (void)range;
}

/* -- receiving -- */

static bool have(void *ctx, const struct ftx_extent **out_extents, size_t *out_n)
{
    static struct ftx_extent extents[N_PIECES];
    struct end *end = ctx;
    for (size_t s = 0; s < end->ops_seen; s++) {
        struct in_stream *in = &end->in[s];
        if (in->told || in->sealed)
            continue;
        in->told = true;
        size_t n = 0;
        for (size_t i = 0; i < n_pieces(in->size); i++) {
            if (!in->here[i])
                continue;
            struct ftx_extent *piece = &extents[n++];
            memset(piece, 0, sizeof *piece);
            piece->stream = s + 1;
            piece->version = 1;
            piece->kind = FTX_EXTENT_DATA;
            piece->offset = (uint64_t)i * PIECE;
            piece->length = piece_length(in->size, i);
            piece->size_now = in->size;
            hash_of(in->bytes + piece->offset, (size_t)piece->length, piece->hash);
        }
        if (n == 0)
            continue;
        *out_extents = extents;
        *out_n = n;
        return true;
    }
    return false;
}

static int apply(void *ctx, uint64_t number, const uint8_t *bytes, size_t n)
{
    struct end *end = ctx;
    struct in_stream *in = &end->in[number - 1];
    assert_int_equal(number, end->ops_seen + 1);
    assert_int_equal(n, sizeof in->size);
    memcpy(&in->size, bytes, sizeof in->size);
    in->bytes = calloc(1, (size_t)in->size + 1);
    if (!in->bytes)
        return -ENOMEM;
    end->ops_seen = number;
    return 0;
}

/* The bytes of what came; what was compressed is unpacked, until the next call. */
static const uint8_t *raw_of(struct end *end, const struct ftx_content *content)
{
    const uint8_t *bytes = content->data;
    if (content->encoding == FTX_ENCODING_RAW)
        return bytes;
    if (!end->codec)
        end->codec = ftx_codec_new();
    assert_non_null(end->codec);
    assert_int_equal(ftx_codec_unpack(end->codec, bytes, content->data_size,
                                      (size_t)content->extent.length, &bytes),
                     0);
    end->unpacked_before += content->extent.length;
    end->unpacked_after += content->data_size;
    return bytes;
}

static int arrived(void *ctx, const struct ftx_content *content)
{
    struct end *end = ctx;
    const struct ftx_extent *piece = &content->extent;
    const uint8_t *data = raw_of(end, content);
    struct in_stream *in = &end->in[piece->stream - 1];
    uint8_t hash[FTX_HASH_SIZE];
    assert_true(piece->stream <= end->ops_seen);
    assert_true(piece->offset + piece->length <= in->size);
    hash_of(data, (size_t)piece->length, hash);
    assert_memory_equal(hash, piece->hash, sizeof hash);
    memcpy(in->bytes + piece->offset, data, (size_t)piece->length);
    in->here[piece->offset / PIECE] = true;
    end->n_arrived++;
    return 0;
}

static int resized(void *ctx, const struct ftx_extent *now)
{
    (void)ctx, (void)now;
    return 0;
}

static int sealed(void *ctx, const struct ftx_plan_seal *what)
{
    struct end *end = ctx;
    struct in_stream *in = &end->in[what->stream - 1];
    assert_int_equal(what->size, in->size);
    for (size_t i = 0; i < n_pieces(in->size); i++)
        assert_true(in->here[i]);
    in->sealed = true;
    return 0;
}

static void record(void *ctx, struct ftx_record_ref ref, void *whole)
{
    struct end *end = ctx;
    if (end->hold && end->engine->state == FTX_ENGINE_RUNNING) {
        assert_true(end->n_held < sizeof end->held / sizeof *end->held);
        end->held[end->n_held++] = (struct held_record){ref, whole};
        end->held_bytes += ftx_block_size(whole);
        if (end->held_bytes > end->most_held)
            end->most_held = end->held_bytes;
        ftx_peer_hold(end->peer, ftx_block_size(whole));
        return;
    }
    ftx_engine_written(end->engine, ref);
    ftx_engine_durable(end->engine, ref);
    ftx_block_free(whole);
}

void end_write(struct end *end)
{
    for (size_t i = 0; i < end->n_held; i++) {
        struct held_record *it = &end->held[i];
        size_t bytes = ftx_block_size(it->whole);
        if (end->engine) {
            ftx_engine_written(end->engine, it->ref);
            ftx_engine_durable(end->engine, it->ref);
        }
        ftx_block_free(it->whole);
        end->held_bytes -= bytes;
        ftx_peer_release(end->peer, bytes);
    }
    end->n_held = 0;
    ftx_peer_kick(end->peer);
}

/* -- fetching back -- */

static void serve(void *ctx, uint64_t stream, const struct ftx_range *range,
                  struct ftx_source *out_source)
{
    struct end *end = ctx;
    bool sent = stream >= 1 && stream <= end->ops_seen;
    uint64_t size = sent ? end->in[stream - 1].size : 0;
    uint64_t left = range->offset < size ? size - range->offset : 0;
    out_source->extent.offset = range->offset;
    out_source->extent.length = range->length < left ? range->length : left;
    out_source->extent.kind = FTX_EXTENT_DATA;
    if (out_source->extent.length > 3 * PIECE)
        out_source->extent.length = 3 * PIECE; /* a prefix */
    if (left == 0) {
        out_source->extent.length = range->length;
        out_source->extent.kind = FTX_EXTENT_GONE;
    }
}

static int read_answer(struct end *end, struct ftx_source *source, uint8_t *out)
{
    if (pthread_equal(pthread_self(), end->thread))
        end->read_here = true;
    if (end->unreadable) {
        end->unreadable--;
        return FTX_ECHANGED;
    }
    const struct in_stream *in = &end->in[source->extent.stream - 1];
    memcpy(out, in->bytes + source->extent.offset, (size_t)source->extent.length);
    hash_of(out, (size_t)source->extent.length, source->extent.hash);
    return 0;
}

void end_fetch(struct end *end, uint64_t stream, uint64_t offset, uint64_t length)
{
    while (length > 0) {
        uint64_t piece = FTX_EXTENT_MAX - offset % FTX_EXTENT_MAX;
        struct ftx_range range = {offset, piece < length ? piece : length};
        assert_int_equal(ftx_engine_fetch(end->engine, stream, &range), 0);
        offset += range.length;
        length -= range.length;
    }
    ftx_peer_kick(end->peer);
}

static int fetched(void *ctx, uint64_t asked, const struct ftx_content *content)
{
    (void)asked;
    struct end *end = ctx;
    const struct ftx_extent *answer = &content->extent;
    const uint8_t *data = raw_of(end, content);
    end->n_fetched++;
    end->n_gone += answer->kind == FTX_EXTENT_GONE;
    if (!data)
        return 0;
    const struct out_stream *out = out_of(end, answer->stream);
    uint64_t last = answer->offset + answer->length;
    uint8_t hash[FTX_HASH_SIZE];
    assert_true(last <= out->size);
    assert_memory_equal(data, out->bytes + answer->offset, (size_t)answer->length);
    hash_of(data, (size_t)answer->length, hash);
    assert_memory_equal(hash, answer->hash, sizeof hash);
    end->fetched_bytes += answer->length;
    if (answer->length == 3 * PIECE && last % FTX_EXTENT_MAX && last < out->size)
        end_fetch(end, answer->stream, last, FTX_EXTENT_MAX - last % FTX_EXTENT_MAX);
    return 0;
}

const struct ftx_engine_app test_app = {
    .session = session,
    .start = start,
    .op = op,
    .held = held,
    .extent = extent,
    .size = size,
    .seal = seal,
    .received = received,
    .durable = durable,
    .failed = failed,
    .ops_durable = ops_durable,
    .delivered = delivered,
    .unsealed = unsealed,
    .missing = missing,
    .refused = refused,
    .wanted = wanted,
    .fetched = fetched,
    .have = have,
    .apply = apply,
    .arrived = arrived,
    .resized = resized,
    .sealed = sealed,
    .serve = serve,
    .record = record,
};

/* -- what the cases ask -- */

uint64_t end_send(struct end *end, uint64_t bytes)
{
    assert_true(end->n_out < N_STREAMS && bytes <= (uint64_t)N_PIECES * PIECE);
    struct out_stream *out = &end->out[end->n_out++];
    ftx_stream_init(&out->stream, end->n_out, end->n_out);
    out->size = bytes;
    out->bytes = malloc((size_t)bytes + 1);
    assert_non_null(out->bytes);
    for (uint64_t i = 0; i < bytes; i++)
        out->bytes[i] =
            (uint8_t)(((i + end->n_out) * 0x9e3779b97f4a7c15u) >> (end->compress ? 62 : 56));
    if (end->engine && end->engine->state == FTX_ENGINE_RUNNING)
        ftx_engine_due(end->engine, &out->stream);
    if (end->peer)
        ftx_peer_kick(end->peer);
    return end->n_out;
}

bool end_delivered(const struct end *from)
{
    for (size_t i = 0; i < from->n_out; i++)
        if (!from->out[i].delivered)
            return false;
    return from->n_out > 0;
}

void assert_arrived(const struct end *from, const struct end *to)
{
    assert_int_equal(to->ops_seen, from->n_out);
    for (size_t i = 0; i < from->n_out; i++) {
        assert_true(to->in[i].sealed);
        assert_int_equal(to->in[i].size, from->out[i].size);
        assert_memory_equal(to->in[i].bytes, from->out[i].bytes, (size_t)from->out[i].size);
    }
}
