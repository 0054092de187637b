/* SPDX-License-Identifier: MIT */
/* Bytes fetched back: what is asked, how it is answered, and what ends the connection. */
#include "transport/session/engine.h"

#include "tests/sim/bare.h"
#include "transport/base/err.h"
#include "transport/session/engine_connection.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void add_data_connection(struct pair *p)
{
    assert_int_equal(ftx_engine_join(&p->s.engine, 0), 1);
    assert_int_equal(ftx_engine_join(&p->r.engine, 0), 1);
    bare_carry_all(p, 0);
}

static int fetch(struct bare *app, uint64_t stream, uint64_t offset, uint64_t length)
{
    struct ftx_range range = {offset, length};
    return ftx_engine_fetch(&app->engine, stream, &range);
}

static size_t put_fetch(uint64_t stream, uint64_t offset, uint64_t length)
{
    struct ftx_message m = {.type = FTX_MSG_FETCH};
    m.as.want.stream = stream;
    m.as.want.range = (struct ftx_range){offset, length};
    return ftx_message_encode(&m, bare_room, sizeof bare_room);
}

static size_t put_hole(uint64_t stream, uint64_t offset, uint64_t length)
{
    struct ftx_message m = {.type = FTX_MSG_FETCHED};
    m.as.content.extent.stream = stream;
    m.as.content.extent.offset = offset;
    m.as.content.extent.length = length;
    m.as.content.extent.kind = FTX_EXTENT_HOLE;
    return ftx_message_encode(&m, bare_room, sizeof bare_room);
}

/* The messages of what stands in bare_room; the first `capacity` into `out`. */
static size_t decode(size_t size, struct ftx_message *out, size_t capacity)
{
    size_t n = 0;
    for (size_t offset = 0; offset < size; n++) {
        struct ftx_message m;
        assert_int_equal(ftx_message_decode(bare_room, size, &offset, &m), 0);
        if (n < capacity)
            out[n] = m;
    }
    return n;
}

static void check_nothing_left(struct pair *p)
{
    assert_int_equal(p->s.engine.fetches.n + p->s.engine.asked.n, 0);
    assert_int_equal(p->r.engine.fetches.n + p->r.engine.asked.n, 0);
    assert_false(bare_carry(&p->s, &p->r, 0, 0));
    assert_false(bare_carry(&p->r, &p->s, 0, 0));
}

static void answers_are_data_holes_or_gone(void **state)
{
    struct pair *p = *state;
    for (uint8_t kind = FTX_EXTENT_DATA; kind <= FTX_EXTENT_GONE; kind++) {
        p->r.serve_kind = kind;
        assert_int_equal(fetch(&p->s, 7, 4096, 5000), 0);
        bare_carry_all(p, 0);
        assert_int_equal(p->r.serve_asked.offset, 4096);
        assert_int_equal(p->r.serve_asked.length, 5000);
        const struct ftx_extent *got = &p->s.last_fetched;
        assert_int_equal(p->s.fetched, kind);
        assert_int_equal(got->stream, 7);
        assert_int_equal(got->offset, 4096);
        assert_int_equal(got->length, 5000);
        assert_int_equal(got->kind, kind);
        assert_int_equal(got->hash[3], kind == FTX_EXTENT_DATA ? 0xab : 0);
        assert_int_equal(p->s.fetched_data, kind == FTX_EXTENT_DATA);
        check_nothing_left(p);
    }
    assert_int_equal(p->r.read_answers, 1);
}

static void both_ends_may_ask(void **state)
{
    struct pair *p = *state;
    assert_int_equal(fetch(&p->s, 1, 0, 10), 0);
    assert_int_equal(fetch(&p->r, 1, 0, 20), 0);
    bare_carry_all(p, 0);
    assert_int_equal(p->s.last_fetched.length, 10);
    assert_int_equal(p->r.last_fetched.length, 20);
    check_nothing_left(p);
}

static void an_answer_may_be_a_prefix(void **state)
{
    struct pair *p = *state;
    p->r.serve_most = 300;
    p->s.rest = (struct ftx_range){100, 1000};
    assert_int_equal(fetch(&p->s, 3, 100, 1000), 0);
    bare_carry_all(p, 0);
    assert_int_equal(p->s.fetched, 4);
    assert_int_equal(p->s.last_fetched.offset, 1000);
    assert_int_equal(p->s.last_fetched.length, 100);
    check_nothing_left(p);
}

static void the_rest_is_asked_for_from_inside_the_answer(void **state)
{
    struct pair *p = *state;
    p->r.serve_most = 5;
    p->s.rest = (struct ftx_range){0, 10};
    for (uint64_t i = 0; i < FTX_FETCHES_MAX; i++) /* the answered one makes room */
        assert_int_equal(fetch(&p->s, 1, 10 * i, 10), 0);
    bare_carry_all(p, 0);
    assert_int_equal(p->s.fetched, FTX_FETCHES_MAX + 1);
    check_nothing_left(p);
}

static void asks_for_ranges_that_a_message_can_say(void **state)
{
    struct pair *p = *state;
    assert_int_equal(fetch(&p->s, 1, 0, 0), -EINVAL);
    assert_int_equal(fetch(&p->s, 1, 0, FTX_EXTENT_MAX + 1), -EINVAL);
    assert_int_equal(fetch(&p->s, 1, INT64_MAX - 9, 10), -EINVAL);
    assert_int_equal(fetch(&p->s, 1, UINT64_MAX, 1), -EINVAL);
    assert_false(bare_carry(&p->s, &p->r, 0, 0));
    assert_int_equal(fetch(&p->s, 1, INT64_MAX - 9, 9), 0);
    assert_int_equal(fetch(&p->s, 1, 0, FTX_EXTENT_MAX), 0);
    bare_carry_all(p, 0);
    assert_int_equal(p->s.fetched, 2);
}

static void nothing_is_asked_before_the_peers_have_end(void **state)
{
    struct pair *p = *state;
    assert_int_equal(fetch(&p->s, 1, 0, 1), -ENOBUFS);
    assert_true(bare_carry(&p->s, &p->r, 0, 0)); /* R runs, S has not said what it has */
    assert_int_equal(fetch(&p->r, 1, 0, 1), -ENOBUFS);
    bare_carry_all(p, 0);
    assert_int_equal(fetch(&p->s, 1, 0, 1), 0);
    assert_int_equal(fetch(&p->r, 1, 0, 1), 0);
    ftx_engine_goodbye(&p->s.engine, FTX_BYE_LEAVING);
    assert_int_equal(fetch(&p->s, 1, 0, 1), -ENOBUFS);
}

static void refuses_a_fetch_before_its_have_end(void **state)
{
    struct pair *p = *state;
    size_t size = bare_take(&p->s, 0, 0);
    assert_int_equal(bare_give(&p->r, 0, size, 0), 0); /* R has START, HAVE_END is due */
    assert_int_equal(bare_give(&p->r, 0, put_fetch(1, 0, 1), 0), FTX_EPROTO);
}

static void refuses_a_fetch_on_a_data_connection(void **state)
{
    struct pair *p = *state;
    add_data_connection(p);
    assert_int_equal(bare_give(&p->r, 1, put_fetch(1, 0, 1), 0), FTX_EPROTO);
    assert_int_equal(p->r.engine.end_reason, FTX_EPROTO);
}

static void refuses_both_before_start(void **state)
{
    struct pair *p = *state;
    assert_int_equal(bare_give(&p->r, 0, put_fetch(1, 0, 1), 0), FTX_EPROTO);
    assert_int_equal(bare_give(&p->s, 0, put_hole(1, 0, 1), 0), FTX_EPROTO);
}

static void at_most_64_are_unanswered(void **state)
{
    struct pair *p = *state;
    p->r.serve_kind = FTX_EXTENT_HOLE;
    for (uint64_t i = 0; i < FTX_FETCHES_MAX; i++)
        assert_int_equal(fetch(&p->s, 1, i, 10), 0);
    assert_int_equal(fetch(&p->s, 1, 64, 10), -ENOBUFS);
    assert_true(bare_carry(&p->s, &p->r, 0, 0));
    assert_int_equal(fetch(&p->s, 1, 64, 10), -ENOBUFS);
    assert_true(bare_carry(&p->r, &p->s, 0, 0));
    assert_int_equal(p->s.fetched, FTX_FETCHES_MAX);
    assert_int_equal(fetch(&p->s, 1, 64, 10), 0);
    bare_carry_all(p, 0);
    check_nothing_left(p);
}

static void one_fetch_too_many_ends_the_session(void **state)
{
    struct pair *p = *state;
    for (uint64_t i = 0; i < FTX_FETCHES_MAX; i++)
        assert_int_equal(bare_give(&p->r, 0, put_fetch(1, i, 1), 0), 0);
    assert_int_equal(bare_give(&p->r, 0, put_fetch(1, 64, 1), 0), FTX_EPROTO);
    assert_int_equal(p->r.engine.end_reason, FTX_EPROTO);
    assert_int_equal(p->r.engine.asked.n, FTX_FETCHES_MAX);
}

static void a_fetch_counts_until_its_answer_is_built(void **state)
{
    struct pair *p = *state;
    for (uint64_t i = 0; i < FTX_FETCHES_MAX; i++)
        assert_int_equal(bare_give(&p->r, 0, put_fetch(1, i, 1), 0), 0);
    struct ftx_plan *plan = ftx_engine_pull(&p->r.engine, 0, 0);
    assert_non_null(plan);
    assert_int_equal(p->r.served, FTX_FETCHES_MAX);
    assert_int_equal(bare_give(&p->r, 0, put_fetch(1, 64, 1), 0), FTX_EPROTO);
    ftx_engine_built(&p->r.engine, plan, false);

    ftx_engine_close(&p->r.engine);
    ftx_engine_close(&p->s.engine);
    bare_init(&p->s, FTX_ROLE_S, 6);
    bare_init(&p->r, FTX_ROLE_R, 5);
    bare_carry_all(p, 0);
    for (uint64_t i = 0; i < 3 * FTX_FETCHES_MAX; i++) {
        assert_int_equal(bare_give(&p->r, 0, put_fetch(1, i, 1), 0), 0);
        assert_true(bare_take(&p->r, 0, 0) > 0);
    }
    assert_int_equal(p->r.engine.asked.n, 0);
}

/* S has asked for 10 bytes at 100 of stream 2; this comes. */
static void refuses_answer(uint64_t stream, uint64_t offset, uint64_t length, int expected)
{
    struct pair *p;
    bare_set_up_running((void **)&p);
    assert_int_equal(fetch(&p->s, 2, 100, 10), 0);
    assert_true(bare_carry(&p->s, &p->r, 0, 0));
    assert_int_equal(bare_give(&p->s, 0, put_hole(stream, offset, length), 0), expected);
    assert_int_equal(p->s.fetched, expected ? 0 : 1);
    assert_int_equal(p->s.engine.fetches.n, expected ? 1 : 0);
    bare_tear_down((void **)&p);
}

static void an_answer_is_to_what_was_asked(void **state)
{
    (void)state;
    refuses_answer(2, 100, 10, 0);
    refuses_answer(2, 100, 1, 0);
    refuses_answer(2, 100, 11, FTX_EPROTO);
    refuses_answer(2, 99, 10, FTX_EPROTO);
    refuses_answer(2, 101, 9, FTX_EPROTO);
    refuses_answer(3, 100, 10, FTX_EPROTO);
}

static void refuses_an_answer_that_nobody_asked_for(void **state)
{
    struct pair *p = *state;
    assert_int_equal(bare_give(&p->s, 0, put_hole(1, 0, 1), 0), FTX_EPROTO);
    assert_int_equal(p->s.fetched, 0);
}

static void refuses_an_answer_before_the_question_left(void **state)
{
    struct pair *p = *state;
    assert_int_equal(fetch(&p->s, 1, 0, 1), 0);
    assert_int_equal(bare_give(&p->s, 0, put_hole(1, 0, 1), 0), FTX_EPROTO);
}

static void refuses_a_second_answer(void **state)
{
    struct pair *p = *state;
    assert_int_equal(fetch(&p->s, 1, 0, 10), 0);
    bare_carry(&p->s, &p->r, 0, 0);
    assert_int_equal(bare_give(&p->s, 0, put_hole(1, 0, 5), 0), 0);
    assert_int_equal(bare_give(&p->s, 0, put_hole(1, 0, 5), 0), FTX_EPROTO);
    assert_int_equal(p->s.fetched, 1);
}

static void answers_of_one_offset_may_overtake_each_other(void **state)
{
    struct pair *p = *state;
    assert_int_equal(fetch(&p->s, 1, 0, 100), 0);
    assert_int_equal(fetch(&p->s, 1, 0, 10), 0);
    bare_carry(&p->s, &p->r, 0, 0);
    assert_int_equal(bare_give(&p->s, 0, put_hole(1, 0, 10), 0), 0);
    assert_int_equal(bare_give(&p->s, 0, put_hole(1, 0, 60), 0), 0);
    assert_int_equal(p->s.fetched, 2);
    assert_int_equal(p->s.engine.fetches.n, 0);
}

static void the_application_may_end_the_session_over_an_answer(void **state)
{
    struct pair *p = *state;
    p->s.fetched_answer = -EIO;
    assert_int_equal(fetch(&p->s, 1, 0, 10), 0);
    bare_carry(&p->s, &p->r, 0, 0);
    size_t size = bare_take(&p->r, 0, 0);
    assert_int_equal(bare_give(&p->s, 0, size, 0), -EIO);
    assert_int_equal(p->s.engine.end_reason, -EIO);
}

static void what_cannot_be_read_is_asked_for_once_more(void **state)
{
    struct pair *p = *state;
    assert_int_equal(fetch(&p->s, 1, 0, 10), 0);
    assert_int_equal(fetch(&p->s, 2, 0, 10), 0);
    bare_carry(&p->s, &p->r, 0, 0);
    struct ftx_plan *plan = ftx_engine_pull(&p->r.engine, 0, 0);
    assert_int_equal(bare_give(&p->r, 0, put_fetch(3, 0, 1), 0), 0);
    assert_int_equal(plan->n_entries, 2);
    plan->entries[0].err = FTX_ECHANGED;
    plan->entries[1].err = -EIO;
    ftx_engine_built(&p->r.engine, plan, true);
    assert_int_equal(p->r.engine.asked.n, 3);
    struct ftx_message m[3];
    assert_int_equal(decode(bare_take(&p->r, 0, 0), m, 3), 3);
    for (size_t i = 0; i < 3; i++) { /* in their old places */
        assert_int_equal(m[i].as.content.extent.stream, i + 1);
        assert_int_equal(m[i].as.content.extent.kind, FTX_EXTENT_DATA);
    }
    assert_int_equal(p->r.served, 5);
    assert_int_equal(p->r.engine.asked.n, 0);
}

static void what_cannot_be_read_twice_is_gone(void **state)
{
    struct pair *p = *state;
    p->r.answer_err = -EIO;
    assert_int_equal(fetch(&p->s, 1, 50, 10), 0);
    bare_carry(&p->s, &p->r, 0, 0);
    assert_true(bare_carry(&p->r, &p->s, 0, 0));
    assert_true(bare_carry(&p->r, &p->s, 0, 0));
    assert_int_equal(p->s.fetched, 0);
    assert_true(bare_carry(&p->r, &p->s, 0, 0));
    assert_int_equal(p->r.served, 2);
    assert_int_equal(p->r.read_answers, 2);
    assert_int_equal(p->s.fetched, 1);
    assert_int_equal(p->s.last_fetched.kind, FTX_EXTENT_GONE);
    assert_int_equal(p->s.last_fetched.offset, 50);
    assert_int_equal(p->s.last_fetched.length, 10);
    check_nothing_left(p);
}

/* Plans of two connections, built in the other order, one of them in vain. */
static void answers_of_several_plans_are_told_apart(void **state)
{
    struct pair *p = *state;
    add_data_connection(p);
    assert_int_equal(bare_give(&p->r, 0, put_fetch(1, 0, FTX_EXTENT_MAX), 0), 0);
    assert_int_equal(bare_give(&p->r, 0, put_fetch(2, 0, FTX_EXTENT_MAX), 0), 0);
    struct ftx_plan *first = ftx_engine_pull(&p->r.engine, 0, 0);
    struct ftx_plan *second = ftx_engine_pull(&p->r.engine, 1, 0);
    assert_true(first && second);
    assert_int_equal(p->r.served, 2);
    assert_null(ftx_engine_pull(&p->r.engine, 0, 0));
    ftx_engine_built(&p->r.engine, second, true);
    assert_int_equal(p->r.engine.asked.n, 1);
    assert_int_equal(p->r.engine.asked.at[0].stream, 1);
    assert_null(ftx_engine_pull(&p->r.engine, 0, 0)); /* it stands in `first` */
    first->entries[0].err = FTX_ECHANGED;
    ftx_engine_built(&p->r.engine, first, true);
    struct ftx_message m;
    assert_int_equal(decode(bare_take(&p->r, 1, 0), &m, 1), 1);
    assert_int_equal(m.as.content.extent.stream, 1);
    assert_int_equal(p->r.engine.asked.n, 0);
}

static void small_answers_share_a_record_and_large_ones_stay_whole(void **state)
{
    struct pair *p = *state;
    for (uint64_t i = 0; i < 16; i++)
        assert_int_equal(fetch(&p->s, 1, i << 17, 1 << 17), 0);
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(fetch(&p->s, 2, i << 20, FTX_EXTENT_MAX), 0);
    assert_true(bare_carry(&p->s, &p->r, 0, 0));
    static const unsigned fetched[] = {8, 16, 17, 18, 19};
    for (size_t i = 0; i < sizeof fetched / sizeof *fetched; i++) {
        assert_true(bare_carry(&p->r, &p->s, 0, 0));
        assert_int_equal(p->s.fetched, fetched[i]);
    }
    assert_int_equal(p->s.last_fetched.length, FTX_EXTENT_MAX);
    check_nothing_left(p);
}

static void the_first_answer_is_cut_to_the_room(void **state)
{
    struct pair *p = *state;
    p->r.ops = 1000;
    assert_int_equal(bare_give(&p->r, 0, put_fetch(1, 5, FTX_EXTENT_MAX), 0), 0);
    assert_int_equal(bare_take(&p->r, 0, 0), FTX_RECORD_PLAIN_MAX);
    size_t room = FTX_RECORD_PLAIN_MAX - 1000 * (FTX_MESSAGE_HEAD + 8 + 400);
    assert_int_equal(p->r.serve_asked.offset, 5);
    assert_int_equal(p->r.serve_asked.length, room - FTX_FETCHED_HEAD);
    assert_int_equal(p->r.engine.asked.n, 0);
}

static void a_full_record_takes_no_answer(void **state)
{
    struct pair *p = *state;
    p->r.ops = 17;
    p->r.op_size = 61880; /* 17 of them leave 508 bytes */
    assert_int_equal(bare_give(&p->r, 0, put_fetch(1, 0, 10), 0), 0);
    assert_int_equal(bare_take(&p->r, 0, 0), FTX_RECORD_PLAIN_MAX - 508);
    assert_int_equal(p->r.served, 0);
    assert_int_equal(bare_take(&p->r, 0, 0), FTX_FETCHED_HEAD + 10);
}

static void answers_go_before_content(void **state)
{
    struct pair *p = *state;
    p->r.extents[0] = 1;
    ftx_engine_due(&p->r.engine, &p->r.streams[0]);
    assert_int_equal(bare_give(&p->r, 0, put_fetch(1, 0, 10), 0), 0);
    struct ftx_message m[2];
    assert_int_equal(decode(bare_take(&p->r, 0, 0), m, 2), 2);
    assert_int_equal(m[0].type, FTX_MSG_FETCHED);
    assert_int_equal(m[1].type, FTX_MSG_EXTENT);
}

static void answers_need_no_window(void **state)
{
    struct pair *p = *state;
    p->s.hold = true;
    p->r.length = FTX_EXTENT_MAX;
    p->r.extents[0] = 200;
    ftx_engine_due(&p->r.engine, &p->r.streams[0]);
    while (bare_carry(&p->r, &p->s, 0, 0))
        ;
    uint64_t window = p->r.engine.window;
    assert_true(window >= FTX_WINDOW_BYTES);
    assert_int_equal(fetch(&p->s, 1, 0, FTX_EXTENT_MAX), 0);
    assert_true(bare_carry(&p->s, &p->r, 0, 0));
    assert_true(bare_carry(&p->r, &p->s, 0, 0));
    assert_int_equal(p->s.fetched, 1);
    assert_int_equal(p->r.engine.window, window);
}

static void answers_take_data_connections_too(void **state)
{
    struct pair *p = *state;
    assert_int_equal(ftx_engine_join(&p->s.engine, 0), 1);
    assert_int_equal(fetch(&p->s, 1, 0, FTX_EXTENT_MAX), 0);
    assert_int_equal(fetch(&p->s, 2, 0, FTX_EXTENT_MAX), 0);
    assert_true(bare_carry(&p->s, &p->r, 0, 0));
    assert_int_equal(ftx_engine_join(&p->r.engine, 0), 1);
    assert_int_equal(bare_take(&p->r, 1, 0), 0); /* not joined */
    assert_true(bare_carry(&p->s, &p->r, 1, 0)); /* JOIN alone: FETCH is not for here */
    struct ftx_message m[2];
    size_t size = bare_take(&p->r, 1, 0);
    assert_int_equal(decode(size, m, 2), 2);
    assert_int_equal(m[0].type, FTX_MSG_JOIN);
    assert_int_equal(m[1].type, FTX_MSG_FETCHED);
    assert_int_equal(bare_give(&p->s, 1, size, 0), 0);
    assert_int_equal(p->s.last_fetched.stream, 1);
    assert_int_equal(p->s.last_fetched.length, FTX_EXTENT_MAX); /* a JOIN is small */
    assert_true(bare_carry(&p->r, &p->s, 0, 0));
    assert_int_equal(p->s.last_fetched.stream, 2);
    check_nothing_left(p);
}

static void refuses_an_answer_before_join(void **state)
{
    struct pair *p = *state;
    assert_int_equal(ftx_engine_join(&p->s.engine, 0), 1);
    assert_int_equal(fetch(&p->s, 1, 0, 1), 0);
    bare_carry(&p->s, &p->r, 0, 0);
    assert_int_equal(bare_give(&p->s, 1, put_hole(1, 0, 1), 0), FTX_EPROTO);
}

/* The record of an answer is written and durable like any other, and nobody hears of it; the next
 * one with an effect is acknowledged with it. */
static void an_answer_is_not_acknowledged(void **state)
{
    struct pair *p = *state;
    p->s.hold = true;
    assert_int_equal(fetch(&p->s, 1, 0, 100), 0);
    assert_true(bare_carry(&p->s, &p->r, 0, 0));
    assert_true(bare_carry(&p->r, &p->s, 0, 0));
    struct ftx_record_ref answer = p->s.last;
    assert_int_equal(p->s.engine.connections[0]->inbound_n, 0);
    assert_true(ftx_list_empty(&p->r.engine.connections[0]->sent));
    ftx_engine_written(&p->s.engine, answer);
    ftx_engine_durable(&p->s.engine, answer);
    assert_int_equal(bare_take(&p->s, 0, 0), 0);
    p->r.extents[0] = 1;
    ftx_engine_due(&p->r.engine, &p->r.streams[0]);
    assert_true(bare_carry(&p->r, &p->s, 0, 0));
    ftx_engine_durable(&p->s.engine, answer);
    ftx_engine_written(&p->s.engine, answer);
    assert_int_equal(bare_take(&p->s, 0, 0), 0);
    assert_int_equal(p->r.received, 0);
    ftx_engine_durable(&p->s.engine, p->s.last);
    assert_true(bare_carry(&p->s, &p->r, 0, 0));
    assert_int_equal(p->r.durable, 1);
}

static void a_record_without_data_to_read_is_known(void **state)
{
    struct pair *p = *state;
    for (uint8_t kind = FTX_EXTENT_DATA; kind <= FTX_EXTENT_GONE; kind++) {
        p->r.serve_kind = kind;
        assert_int_equal(bare_give(&p->r, 0, put_fetch(1, 0, 10), 0), 0);
        struct ftx_plan *plan = ftx_engine_pull(&p->r.engine, 0, 0);
        assert_non_null(plan);
        assert_int_equal(plan->reads, kind == FTX_EXTENT_DATA);
        assert_false(plan->ackable);
        ftx_engine_built(&p->r.engine, plan, true);
    }
}

/* The connection ends while FETCHes wait, are under way, and stand in a plan. */
static void a_cut_ends_what_is_unanswered(void **state)
{
    struct pair *p = *state;
    p->r.serve_kind = FTX_EXTENT_HOLE;
    for (uint64_t i = 0; i < 40; i++)
        assert_int_equal(fetch(&p->s, 1, i, 10), 0);
    bare_carry(&p->s, &p->r, 0, 0);
    struct ftx_plan *plan = ftx_engine_pull(&p->r.engine, 0, 0);
    assert_int_equal(p->r.served, 40);
    for (uint64_t i = 0; i < 24; i++)
        assert_int_equal(fetch(&p->s, 2, i, 10), 0);
    bare_carry(&p->s, &p->r, 0, 0);
    assert_int_equal(p->r.engine.asked.n, 64);
    ftx_engine_built(&p->r.engine, plan, false);
    ftx_engine_close(&p->s.engine);
    ftx_engine_close(&p->r.engine);
    bare_init(&p->s, FTX_ROLE_S, 6);
    bare_init(&p->r, FTX_ROLE_R, 5);
    bare_carry_all(p, 0);
    p->r.serve_kind = FTX_EXTENT_HOLE;
    for (uint64_t i = 0; i < FTX_FETCHES_MAX; i++)
        assert_int_equal(fetch(&p->s, 1, i, 10), 0);
    bare_carry_all(p, 0);
    assert_int_equal(p->s.fetched, FTX_FETCHES_MAX);
    check_nothing_left(p);
}

#define RUNNING(test) cmocka_unit_test_setup_teardown(test, bare_set_up_running, bare_tear_down)
#define FRESH(test)   cmocka_unit_test_setup_teardown(test, bare_set_up, bare_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RUNNING(answers_are_data_holes_or_gone),
        RUNNING(both_ends_may_ask),
        RUNNING(an_answer_may_be_a_prefix),
        RUNNING(the_rest_is_asked_for_from_inside_the_answer),
        RUNNING(asks_for_ranges_that_a_message_can_say),
        FRESH(nothing_is_asked_before_the_peers_have_end),
        FRESH(refuses_a_fetch_before_its_have_end),
        RUNNING(refuses_a_fetch_on_a_data_connection),
        FRESH(refuses_both_before_start),
        RUNNING(at_most_64_are_unanswered),
        RUNNING(one_fetch_too_many_ends_the_session),
        RUNNING(a_fetch_counts_until_its_answer_is_built),
        cmocka_unit_test(an_answer_is_to_what_was_asked),
        RUNNING(refuses_an_answer_that_nobody_asked_for),
        RUNNING(refuses_an_answer_before_the_question_left),
        RUNNING(refuses_a_second_answer),
        RUNNING(answers_of_one_offset_may_overtake_each_other),
        RUNNING(the_application_may_end_the_session_over_an_answer),
        RUNNING(what_cannot_be_read_is_asked_for_once_more),
        RUNNING(what_cannot_be_read_twice_is_gone),
        RUNNING(answers_of_several_plans_are_told_apart),
        RUNNING(small_answers_share_a_record_and_large_ones_stay_whole),
        RUNNING(the_first_answer_is_cut_to_the_room),
        RUNNING(a_full_record_takes_no_answer),
        RUNNING(answers_go_before_content),
        RUNNING(answers_need_no_window),
        RUNNING(answers_take_data_connections_too),
        RUNNING(refuses_an_answer_before_join),
        RUNNING(an_answer_is_not_acknowledged),
        RUNNING(a_record_without_data_to_read_is_known),
        RUNNING(a_cut_ends_what_is_unanswered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
