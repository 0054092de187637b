/* SPDX-License-Identifier: MIT */
/*
 * Two sides talk through a pair of joined pipes. Each side checks all the time what no case should
 * have to repeat: nothing comes inside a call, after the close or while reading is stopped; bytes
 * arrive equal and in order; the end comes once.
 */
#include "tests/net/pipe_suite.h"

#include <string.h>

enum { SEGMENT_MAX = 64 * 1024, N_IN_FLIGHT = 4, BIG_WRITE = 1024 * 1024 };

struct side {
    struct ftx_pipe *pipe;
    bool calling;
    bool reading;
    bool closed;
    uint32_t random;
    size_t alloc_max; /* buffers are 1..alloc_max bytes; 0: no byte is expected */
    size_t n_allocated;
    size_t n_received;
    size_t n_ended;
    int end_err;
    void (*on_received)(struct side *side, size_t size);
    void (*on_ended)(struct side *side);
    uint8_t buffer[SEGMENT_MAX];
};

struct write {
    struct ftx_pipe_write pipe_write;
    struct side *side;
    size_t n_done;
    int err;
    size_t place; /* in the order of `done` */
    void (*on_done)(struct write *write);
};

struct bench {
    struct test_loop loop;
    const struct pipe_kind *kind;
    struct side sides[2];
    size_t n_done;
};

static struct bench *bench; /* of the running case */

/* The byte at an offset of any stream. */
static uint8_t pattern(size_t offset)
{
    return (uint8_t)((offset * 0x9e3779b97f4a7c15u) >> 56);
}

static size_t random_size(struct side *side, size_t max)
{
    side->random ^= side->random << 13;
    side->random ^= side->random >> 17;
    side->random ^= side->random << 5;
    return 1 + side->random % max;
}

static void on_alloc(void *owner, uint8_t **out_bytes, size_t *out_size)
{
    struct side *side = owner;

    assert_false(side->calling || side->closed || !side->reading);
    assert_int_not_equal(side->alloc_max, 0);
    side->n_allocated = random_size(side, side->alloc_max);
    *out_bytes = side->buffer;
    *out_size = side->n_allocated;
}

static void on_received(void *owner, size_t size)
{
    struct side *side = owner;

    assert_false(side->calling || side->closed || !side->reading || side->n_ended);
    assert_in_range(size, 1, side->n_allocated);
    for (size_t i = 0; i < size; i++)
        if (side->buffer[i] != pattern(side->n_received + i))
            fail_msg("byte %zu is wrong", side->n_received + i);
    side->n_received += size;
    if (side->on_received)
        side->on_received(side, size);
}

static void on_ended(void *owner, int err)
{
    struct side *side = owner;

    assert_false(side->calling || side->closed);
    assert_true(err < 0);
    assert_int_equal(side->n_ended, 0);
    side->n_ended = 1;
    side->end_err = err;
    if (side->on_ended)
        side->on_ended(side);
}

static const struct ftx_pipe_events events = {on_alloc, on_received, on_ended};

static void read_start(struct side *side)
{
    side->reading = true;
    side->calling = true;
    ftx_pipe_read_start(side->pipe);
    side->calling = false;
}

static void read_stop(struct side *side)
{
    side->calling = true;
    ftx_pipe_read_stop(side->pipe);
    side->calling = false;
    side->reading = false;
}

static void close_side(struct side *side)
{
    side->calling = true;
    ftx_pipe_close(side->pipe);
    side->calling = false;
    side->closed = true;
}

static void on_done(struct ftx_pipe_write *pipe_write, int err)
{
    struct write *write = ftx_list_of(pipe_write, struct write, pipe_write);

    assert_false(write->side->calling);
    assert_int_equal(write->n_done, 0);
    write->n_done = 1;
    write->err = err;
    write->place = bench->n_done++;
    if (write->on_done)
        write->on_done(write);
}

static void start_write(struct side *side, struct write *write, uint8_t *bytes, size_t size)
{
    write->side = side;
    write->n_done = 0;
    write->pipe_write.done = on_done;
    write->pipe_write.bytes = bytes;
    write->pipe_write.size = size;
    side->calling = true;
    ftx_pipe_write(side->pipe, &write->pipe_write);
    side->calling = false;
}

/* A stream of the pattern in writes of random sizes, some of them in flight together. */
struct stream {
    struct side *side;
    size_t n_left;
    size_t offset;
    size_t n_in_flight;
    size_t n_done_bytes;
    struct stream_write {
        struct write write;
        struct stream *stream;
        uint8_t bytes[SEGMENT_MAX];
    } writes[N_IN_FLIGHT];
};

static void stream_next(struct stream_write *it)
{
    struct stream *stream = it->stream;
    size_t size = random_size(stream->side, SEGMENT_MAX);

    if (size > stream->n_left)
        size = stream->n_left;
    if (size == 0)
        return;
    for (size_t i = 0; i < size; i++)
        it->bytes[i] = pattern(stream->offset + i);
    stream->offset += size;
    stream->n_left -= size;
    stream->n_in_flight++;
    start_write(stream->side, &it->write, it->bytes, size);
}

static void on_stream_done(struct write *write)
{
    struct stream_write *it = ftx_list_of(write, struct stream_write, write);

    assert_int_equal(write->err, 0);
    it->stream->n_in_flight--;
    it->stream->n_done_bytes += write->pipe_write.size;
    stream_next(it);
}

static struct stream *stream_start(struct side *side, size_t n_bytes)
{
    struct stream *stream = test_calloc(1, sizeof(*stream));

    stream->side = side;
    stream->n_left = n_bytes;
    for (size_t i = 0; i < N_IN_FLIGHT; i++) {
        stream->writes[i].stream = stream;
        stream->writes[i].write.on_done = on_stream_done;
        stream_next(&stream->writes[i]);
    }
    return stream;
}

static void carries_a_stream_each_way(void **state)
{
    size_t n_bytes = bench->kind->n_stream_bytes;
    struct side *sides = bench->sides;
    struct stream *there = stream_start(&sides[0], n_bytes);
    struct stream *back = stream_start(&sides[1], n_bytes);

    (void)state;
    read_start(&sides[0]);
    read_start(&sides[1]);
    test_loop_await(&bench->loop, sides[1].n_received == n_bytes && sides[0].n_received == n_bytes);
    test_loop_await(&bench->loop, there->n_in_flight == 0 && back->n_in_flight == 0);
    test_free(there);
    test_free(back);
}

static void fills_one_byte_at_a_time(void **state)
{
    struct stream *stream = stream_start(&bench->sides[0], 100 * 1000);

    (void)state;
    bench->sides[1].alloc_max = 1;
    read_start(&bench->sides[1]);
    test_loop_await(&bench->loop, bench->sides[1].n_received == 100 * 1000);
    test_free(stream);
}

static void stopped_reader_stops_the_writer(void **state)
{
    struct side *reader = &bench->sides[1];
    struct stream *stream = stream_start(&bench->sides[0], SIZE_MAX);

    (void)state;
    read_start(reader);
    test_loop_await(&bench->loop, reader->n_received > 0);
    read_stop(reader);
    test_loop_settle(&bench->loop, &stream->n_done_bytes);
    assert_int_not_equal(stream->n_in_flight, 0);
    assert_true(ftx_pipe_unsent(stream->side->pipe) > 0);
    assert_true(stream->n_done_bytes < reader->n_received + bench->kind->n_buffered_bytes);

    stream->n_left = 0;
    read_start(reader);
    test_loop_await(&bench->loop, reader->n_received == stream->offset);
    test_loop_await(&bench->loop, stream->n_in_flight == 0);
    assert_int_equal(ftx_pipe_unsent(stream->side->pipe), 0);
    test_free(stream);
}

static void stop_on_received(struct side *side, size_t size)
{
    (void)size;
    read_stop(side);
}

static void stops_inside_received(void **state)
{
    struct side *reader = &bench->sides[1];
    struct stream *stream = stream_start(&bench->sides[0], 1000);

    (void)state;
    reader->alloc_max = 1;
    reader->on_received = stop_on_received;
    for (size_t n = 1; n <= 3; n++) {
        read_start(reader);
        test_loop_await(&bench->loop, reader->n_received == n);
        test_loop_settle(&bench->loop, &reader->n_received);
        assert_int_equal(reader->n_received, n);
    }
    test_loop_await(&bench->loop, stream->n_in_flight == 0);
    test_free(stream);
}

static void ends_once_after_all_bytes(void **state)
{
    struct side *reader = &bench->sides[1];
    struct stream *stream = stream_start(&bench->sides[0], 1000);

    (void)state;
    test_loop_await(&bench->loop, stream->n_in_flight == 0);
    close_side(&bench->sides[0]);
    read_start(reader);
    test_loop_await(&bench->loop, reader->n_ended == 1);
    assert_int_equal(reader->end_err, UV_EOF);
    assert_int_equal(reader->n_received, 1000);

    read_start(reader); /* brings no second end: on_ended would fail */
    test_loop_settle(&bench->loop, &reader->n_ended);
    test_free(stream);
}

/* More than any kind buffers while nobody reads. */
static struct write big_writes[128];

enum { N_BIG_WRITES = sizeof(big_writes) / sizeof(big_writes[0]) };

static void start_big_writes(struct side *side)
{
    static uint8_t bytes[BIG_WRITE];

    for (size_t i = 0; i < N_BIG_WRITES; i++)
        start_write(side, &big_writes[i], bytes, sizeof(bytes));
}

/* Some done, the rest cancelled, in the order of the calls. */
static void assert_big_writes_cancelled(void)
{
    bool cancelled = false;

    test_loop_await(&bench->loop, bench->n_done == N_BIG_WRITES);
    for (size_t i = 0; i < N_BIG_WRITES; i++) {
        assert_int_equal(big_writes[i].place, i);
        cancelled |= big_writes[i].err != 0;
        assert_int_equal(big_writes[i].err, cancelled ? UV_ECANCELED : 0);
    }
    assert_true(cancelled);
}

static void close_cancels_each_pending_write_once(void **state)
{
    (void)state;
    start_big_writes(&bench->sides[0]);
    test_loop_settle(&bench->loop, &bench->n_done);
    assert_true(bench->n_done < N_BIG_WRITES);
    close_side(&bench->sides[0]);
    assert_big_writes_cancelled();
}

static void close_on_done(struct write *write)
{
    if (!write->side->closed)
        close_side(write->side);
}

static void closes_inside_done(void **state)
{
    static uint8_t byte;
    struct write first = {.on_done = close_on_done};

    (void)state;
    start_write(&bench->sides[0], &first, &byte, 1);
    start_big_writes(&bench->sides[0]);
    test_loop_await(&bench->loop, bench->n_done == 1 + N_BIG_WRITES);
    assert_int_equal(first.err, 0);
    assert_int_equal(big_writes[N_BIG_WRITES - 1].err, UV_ECANCELED);
    assert_int_equal(big_writes[N_BIG_WRITES - 1].place, N_BIG_WRITES);
}

static void close_on_received(struct side *side, size_t size)
{
    (void)size;
    close_side(side);
}

static void closes_inside_received(void **state)
{
    struct write write = {.err = 0};
    uint8_t byte = pattern(0);

    (void)state;
    bench->sides[1].on_received = close_on_received;
    read_start(&bench->sides[0]);
    read_start(&bench->sides[1]);
    start_write(&bench->sides[0], &write, &byte, 1);
    test_loop_await(&bench->loop, bench->sides[0].n_ended == 1 && write.n_done == 1);
    assert_true(bench->sides[1].closed);
}

static void closes_inside_ended(void **state)
{
    (void)state;
    bench->sides[1].on_ended = close_side;
    read_start(&bench->sides[1]);
    close_side(&bench->sides[0]);
    test_loop_await(&bench->loop, bench->sides[1].closed);
}

struct echo {
    struct write write;
    uint8_t bytes[];
};

static void free_echo(struct write *write)
{
    test_free(ftx_list_of(write, struct echo, write));
}

static void echo_on_received(struct side *side, size_t size)
{
    struct echo *echo = test_calloc(1, sizeof(*echo) + size);

    memcpy(echo->bytes, side->buffer, size);
    echo->write.on_done = free_echo;
    start_write(side, &echo->write, echo->bytes, size);
}

static void writes_inside_received(void **state)
{
    struct stream *stream = stream_start(&bench->sides[0], BIG_WRITE);

    (void)state;
    bench->sides[1].on_received = echo_on_received;
    read_start(&bench->sides[0]);
    read_start(&bench->sides[1]);
    test_loop_await(&bench->loop, bench->sides[0].n_received == BIG_WRITE);
    assert_int_equal(stream->n_in_flight, 0);
    test_free(stream);
}

/* The reader leaves with bytes unread, which TCP answers with a reset. */
static void writes_to_who_left_end_with_the_close(void **state)
{
    static uint8_t bytes[BIG_WRITE];
    struct side *writer = &bench->sides[0];
    struct write writes[6] = {{.err = 0}};

    (void)state;
    for (size_t i = 0; i < 3; i++)
        start_write(writer, &writes[i], bytes, sizeof(bytes));
    test_loop_settle(&bench->loop, &bench->n_done);
    close_side(&bench->sides[1]);
    read_start(writer);
    test_loop_await(&bench->loop, writer->n_ended == 1);
    for (size_t i = 3; i < 6; i++)
        start_write(writer, &writes[i], bytes, sizeof(bytes));
    test_loop_settle(&bench->loop, &bench->n_done);
    close_side(writer);
    test_loop_await(&bench->loop, bench->n_done == 6);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(writes[i].place, i);
    assert_true(writes[5].err < 0);
}

static void closes_without_a_word(void **state)
{
    (void)state;
    close_side(&bench->sides[0]);
    close_side(&bench->sides[1]);
}

static int set_up(void **state)
{
    struct ftx_pipe *ends[2];

    memset(big_writes, 0, sizeof(big_writes));
    bench = test_calloc(1, sizeof(*bench));
    bench->kind = *state;
    test_loop_open(&bench->loop);
    bench->kind->open(&bench->loop, ends);
    for (size_t i = 0; i < 2; i++) {
        struct side *side = &bench->sides[i];

        side->pipe = ends[i];
        side->random = 2463534242u + (uint32_t)i;
        side->alloc_max = SEGMENT_MAX;
        assert_string_not_equal(side->pipe->address, "");
        ftx_pipe_own(side->pipe, &events, side);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++)
        if (!bench->sides[i].closed)
            close_side(&bench->sides[i]);
    test_loop_close(&bench->loop);
    test_free(bench);
    return 0;
}

int pipe_suite_run(const struct pipe_kind *kind)
{
    void *initial = (void *)(uintptr_t)kind;
#define CASE(name)                                                                                 \
    {                                                                                              \
#name, name, set_up, tear_down, initial                                                    \
    }
    const struct CMUnitTest cases[] = {
        CASE(carries_a_stream_each_way),
        CASE(fills_one_byte_at_a_time),
        CASE(stopped_reader_stops_the_writer),
        CASE(stops_inside_received),
        CASE(ends_once_after_all_bytes),
        CASE(close_cancels_each_pending_write_once),
        CASE(closes_inside_received),
        CASE(closes_inside_ended),
        CASE(closes_inside_done),
        CASE(writes_inside_received),
        CASE(writes_to_who_left_end_with_the_close),
        CASE(closes_without_a_word),
    };
#undef CASE

    return cmocka_run_group_tests_name(kind->name, cases, NULL, NULL);
}
