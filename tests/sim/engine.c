/* SPDX-License-Identifier: MIT */
/* The engine's rules one by one. */
#include "transport/session/engine.h"

#include "tests/sim/bare.h"
#include "transport/base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static size_t put(size_t at, const struct ftx_message *m)
{
    size_t size = ftx_message_encode(m, bare_room + at, sizeof bare_room - at);
    assert_true(size > 0);
    return at + size;
}

static size_t put_plain(enum ftx_message_type type, uint64_t a, uint64_t b)
{
    struct ftx_message m = {.type = type};
    m.as.start.session = a; /* ACK, OP, PING and PONG have their numbers at the same places */
    m.as.start.op_durable = b;
    return put(0, &m);
}

static size_t put_content(enum ftx_message_type type)
{
    struct ftx_message m = {.type = type};
    m.as.content.extent.stream = 1;
    m.as.content.extent.length = 10;
    if (type == FTX_MSG_SEAL)
        memset(&m.as, 0, sizeof m.as);
    return put(0, &m);
}

static void both_run_after_start_and_have(void **state)
{
    struct pair *p = *state;
    assert_int_equal(p->s.engine.state, FTX_ENGINE_RUNNING);
    assert_int_equal(p->r.engine.state, FTX_ENGINE_RUNNING);
    assert_int_equal(p->r.session, 5);
    assert_true(p->s.engine.peer_have_done && p->r.engine.peer_have_done);
}

static void r_says_nothing_before_start(void **state)
{
    struct pair *p = *state;
    struct ftx_range range = {0, 1};
    assert_int_equal(ftx_engine_want(&p->r.engine, 1, &range), 0);
    assert_int_equal(bare_take(&p->r, 0, FTX_ALIVE_MS), 0);
    assert_int_equal(ftx_engine_want(&p->s.engine, 1, &range), 0);
    bare_carry_all(p, 0);
    assert_int_equal(p->s.wanted, 1);
    assert_int_equal(p->r.wanted, 1);
}

static void an_old_session_is_answered_replaced(void **state)
{
    struct pair *p = *state;
    p->r.engine.session = 5;
    size_t size = bare_take(&p->s, 0, 0);
    assert_int_equal(bare_give(&p->r, 0, size, 0), FTX_EREPLACED);
    assert_int_equal(p->r.engine.end_reason, FTX_EREPLACED);
    assert_int_equal(p->r.records, 1);
    size = bare_take(&p->r, 0, 0);
    assert_int_equal(size, FTX_MESSAGE_HEAD + 1);
    bare_give(&p->s, 0, size, 0);
    assert_int_equal(p->s.engine.state, FTX_ENGINE_ENDED);
    assert_int_equal(p->s.engine.end_reason, FTX_EREPLACED);
    assert_int_equal(bare_take(&p->r, 0, 0), 0);
}

static void lost_state_is_told(void **state)
{
    struct pair *p = *state;
    p->r.start_answer = FTX_ELOST;
    size_t size = bare_take(&p->s, 0, 0);
    assert_int_equal(bare_give(&p->r, 0, size, 0), FTX_ELOST);
    size = bare_take(&p->r, 0, 0);
    bare_give(&p->s, 0, size, 0);
    assert_int_equal(p->s.engine.end_reason, FTX_ELOST);
    assert_int_equal(p->r.engine.end_reason, FTX_ELOST);
}

static void goodbye_is_the_last_message(void **state)
{
    struct pair *p = *state;
    struct ftx_range range = {0, 1};
    ftx_engine_want(&p->s.engine, 1, &range);
    ftx_engine_goodbye(&p->s.engine, FTX_BYE_LEAVING);
    size_t size = bare_take(&p->s, 0, 0);
    assert_int_equal(size, FTX_MESSAGE_HEAD + 1);
    assert_int_equal(bare_take(&p->s, 0, 0), 0);
    assert_int_equal(bare_give(&p->r, 0, size, 0), 0);
    assert_int_equal(p->r.engine.state, FTX_ENGINE_ENDED);
    assert_int_equal(p->r.engine.end_reason, 0);
}

static void refuses_what_may_not_stand_there(void **state)
{
    struct pair *p = *state;
    static const enum ftx_message_type before[] = {FTX_MSG_OP,      FTX_MSG_HOLE, FTX_MSG_SIZE,
                                                   FTX_MSG_SEAL,    FTX_MSG_WANT, FTX_MSG_HAVE_END,
                                                   FTX_MSG_REFUSED, FTX_MSG_JOIN};
    for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
        ftx_engine_close(&p->r.engine);
        bare_init(&p->r, FTX_ROLE_R, 4);
        struct ftx_message m = {.type = before[i]};
        if (before[i] == FTX_MSG_OP) {
            m.as.op.bytes = p->r.op;
            m.as.op.size = 1;
        } else if (before[i] == FTX_MSG_REFUSED) {
            m.as.refused.reason = 1;
        } else if (before[i] == FTX_MSG_WANT) {
            m.as.want.range.length = 1;
        } else if (before[i] == FTX_MSG_HOLE) {
            m.as.content.extent.length = 1;
        }
        assert_int_equal(bare_give(&p->r, 0, put(0, &m), 0), FTX_EPROTO);
        assert_int_equal(p->r.engine.end_reason, FTX_EPROTO);
        assert_int_equal(p->r.records, 1);
    }
}

static void refuses_start_and_have_end_twice(void **state)
{
    struct pair *p = *state;
    assert_int_equal(bare_give(&p->r, 0, put_plain(FTX_MSG_HAVE_END, 0, 0), 0), FTX_EPROTO);
    assert_int_equal(bare_give(&p->s, 0, put_plain(FTX_MSG_START, 5, 0), 0), FTX_EPROTO);
}

/* An EXTENT in the place of `raw` bytes, of which 20 travel. */
static size_t put_packed(size_t at, uint64_t raw)
{
    struct ftx_message m = {.type = FTX_MSG_EXTENT};
    m.as.content.extent.stream = 1;
    m.as.content.extent.length = raw;
    m.as.content.encoding = FTX_ENCODING_ZSTD;
    m.as.content.data_size = 20;
    at = put(at, &m);
    memset(bare_room + at, 0, 20);
    return at + 20;
}

static void refuses_a_record_that_would_be_too_long_unpacked(void **state)
{
    struct pair *p = *state;
    size_t size = put_packed(put_packed(0, FTX_EXTENT_MAX / 2), FTX_EXTENT_MAX / 2);
    assert_int_equal(bare_give(&p->r, 0, size, 0), 0);
    assert_int_equal(p->r.arrived, 2);
    uint64_t rest = FTX_RECORD_PLAIN_MAX - (FTX_EXTENT_MAX + 2 * FTX_EXTENT_HEAD);
    size = put_packed(put_packed(0, FTX_EXTENT_MAX), rest);
    assert_int_equal(bare_give(&p->r, 0, size, 0), 0);
    assert_int_equal(p->r.arrived, 4);
    size = put_packed(put_packed(0, FTX_EXTENT_MAX), rest + 1);
    assert_int_equal(bare_give(&p->r, 0, size, 0), FTX_EPROTO);
    assert_int_equal(p->r.arrived, 5); /* the first one was not too much */
}

static void refuses_content_before_its_have_end(void **state)
{
    struct pair *p = *state;
    assert_int_equal(bare_give(&p->r, 0, bare_take(&p->s, 0, 0), 0),
                     0); /* R has START, HAVE_END is due */
    assert_int_equal(bare_give(&p->r, 0, put_content(FTX_MSG_SEAL), 0), FTX_EPROTO);
}

static void refuses_seal_on_a_data_connection(void **state)
{
    struct pair *p = *state;
    assert_int_equal(ftx_engine_join(&p->s.engine, 0), 1);
    assert_int_equal(ftx_engine_join(&p->r.engine, 0), 1);
    bare_carry_all(p, 0);
    assert_int_equal(bare_give(&p->r, 1, put_content(FTX_MSG_HOLE), 0), 0);
    assert_int_equal(bare_give(&p->r, 1, put_content(FTX_MSG_SEAL), 0), FTX_EPROTO);
}

static void join_waits_for_start_and_content_for_join(void **state)
{
    struct pair *p = *state;
    assert_int_equal(ftx_engine_join(&p->s.engine, 0), 1);
    p->s.extents[0] = 1;
    ftx_engine_due(&p->s.engine, &p->s.streams[0]);
    assert_int_equal(bare_take(&p->s, 1, FTX_ALIVE_MS), 0);
    for (int i = 0; i < 4; i++) { /* START and HAVE both ways, then content, on control alone */
        bare_carry(&p->s, &p->r, 0, 0);
        bare_carry(&p->r, &p->s, 0, 0);
    }
    assert_int_equal(p->r.arrived, 1);
    p->s.extents[0] = 1;
    ftx_engine_due(&p->s.engine, &p->s.streams[0]);
    assert_int_equal(ftx_engine_join(&p->r.engine, 0), 1);
    assert_true(bare_carry(&p->s, &p->r, 1, 0)); /* JOIN alone */
    assert_int_equal(p->r.arrived, 1);
    assert_false(bare_carry(&p->s, &p->r, 1, 0));
    assert_true(bare_carry(&p->r, &p->s, 1, 0));
    assert_true(bare_carry(&p->s, &p->r, 1, 0));
    assert_int_equal(p->r.arrived, 2);
}

static void takes_at_most_eight_data_connections(void **state)
{
    struct pair *p = *state;
    for (int i = 1; i <= FTX_DATA_CONNECTIONS_MAX; i++)
        assert_int_equal(ftx_engine_join(&p->s.engine, 0), i);
    assert_int_equal(ftx_engine_join(&p->s.engine, 0), FTX_ELIMIT);
}

static void operations_come_in_order(void **state)
{
    struct pair *p = *state;
    p->s.ops = 3;
    bare_carry_all(p, 0);
    assert_int_equal(p->r.applied, 3);
    assert_int_equal(p->s.ops_durable, 3);
    struct ftx_message m = {.type = FTX_MSG_OP};
    m.as.op.number = 5;
    m.as.op.bytes = p->r.op;
    m.as.op.size = 1;
    assert_int_equal(bare_give(&p->r, 0, put(0, &m), 0), FTX_EPROTO);
    assert_int_equal(p->r.applied, 3);
}

static void operations_have_a_window(void **state)
{
    struct pair *p = *state;
    p->r.hold = true;
    p->s.ops = 10000;
    while (bare_carry(&p->s, &p->r, 0, 0))
        ;
    assert_in_range(p->s.engine.op_bytes_out, FTX_WINDOW_OPS_BYTES,
                    FTX_WINDOW_OPS_BYTES + FTX_OP_MAX);
    for (uint64_t i = 0; i <= p->r.last.number; i++)
        ftx_engine_durable(&p->r.engine, (struct ftx_record_ref){.number = i});
    p->r.hold = false;
    bare_carry_all(p, 0);
    assert_int_equal(p->r.applied, 10000);
    assert_int_equal(p->s.engine.op_bytes_out, 0);
}

static void a_data_connection_waits_for_the_operation(void **state)
{
    struct pair *p = *state;
    ftx_engine_join(&p->s.engine, 0);
    ftx_engine_join(&p->r.engine, 0);
    bare_carry_all(p, 0);
    p->r.hold = true;
    p->s.ops = 1;
    p->s.length = FTX_EXTENT_MAX;
    p->s.extents[0] = 3;
    p->s.streams[0].op = 1;
    ftx_engine_due(&p->s.engine, &p->s.streams[0]);
    assert_false(bare_carry(&p->s, &p->r, 1, 0));
    assert_true(bare_carry(&p->s, &p->r, 0, 0)); /* the operation and the first extent */
    assert_int_equal(p->r.arrived, 1);
    assert_false(bare_carry(&p->s, &p->r, 1, 0));
    ftx_engine_written(&p->r.engine, p->r.last);
    assert_true(bare_carry(&p->r, &p->s, 0, 0));
    assert_true(bare_carry(&p->s, &p->r, 1, 0));
    assert_int_equal(p->r.arrived, 2);
}

static void content_has_a_window(void **state)
{
    struct pair *p = *state;
    p->r.hold = true;
    p->s.length = FTX_EXTENT_MAX;
    p->s.extents[0] = 200;
    ftx_engine_due(&p->s.engine, &p->s.streams[0]);
    while (bare_carry(&p->s, &p->r, 0, 0))
        ;
    assert_int_equal(p->r.arrived, 64);
    assert_in_range(p->s.engine.window, FTX_WINDOW_BYTES, FTX_WINDOW_BYTES + FTX_RECORD_PLAIN_MAX);
    ftx_engine_written(&p->r.engine, p->r.last); /* not the first: nothing opens */
    bare_carry(&p->r, &p->s, 0, 0);
    assert_int_equal(p->s.received, 0);
    assert_false(bare_carry(&p->s, &p->r, 0, 0));
    for (uint64_t i = 0; i + 1 < p->r.last.number; i++)
        ftx_engine_written(&p->r.engine, (struct ftx_record_ref){.number = i});
    assert_true(bare_carry(&p->r, &p->s, 0, 0));
    assert_int_equal(p->s.received, 62);
    assert_int_equal(p->s.durable, 0);
    while (bare_carry(&p->s, &p->r, 0, 0))
        ;
    assert_int_equal(p->r.arrived, 64 + 62);
}

static void holes_and_tiny_extents_fill_the_window_too(void **state)
{
    struct pair *p = *state;
    p->r.hold = true;
    p->s.hole = true;
    p->s.extents[0] = 4000000;
    ftx_engine_due(&p->s.engine, &p->s.streams[0]);
    while (bare_carry(&p->s, &p->r, 0, 0))
        ;
    assert_in_range(p->r.arrived, 1000000, 2000000);
}

static void what_is_left_out_opens_the_window(void **state)
{
    struct pair *p = *state;
    p->s.read_answer = FTX_ECHANGED;
    p->s.extents[0] = 2;
    p->s.seal[0] = true;
    ftx_engine_due(&p->s.engine, &p->s.streams[0]);
    assert_true(bare_carry(&p->s, &p->r, 0, 0)); /* an unasked PONG */
    assert_int_equal(p->s.failed, 2);
    assert_int_equal(p->s.unsealed, 1);
    assert_int_equal(p->s.engine.window, 0);
    assert_false(bare_carry(&p->r, &p->s, 0, 0));
    assert_int_equal(p->r.arrived + p->r.sealed, 0);
    p->s.read_answer = 0;
    p->s.extents[0] = 1;
    p->s.seal[0] = true;
    ftx_engine_due(&p->s.engine, &p->s.streams[0]);
    bare_carry_all(p, 0);
    assert_int_equal(p->s.received, 1);
    assert_int_equal(p->s.durable, 1);
    assert_int_equal(p->s.delivered, 1);
}

static void refuses_acknowledgements_of_what_was_not_sent(void **state)
{
    struct pair *p = *state;
    uint64_t sent = 2; /* START; HAVE_END */
    assert_int_equal(bare_give(&p->s, 0, put_plain(FTX_MSG_ACK, sent, sent), 0), 0);
    assert_int_equal(bare_give(&p->s, 0, put_plain(FTX_MSG_ACK, sent + 1, 0), 0), FTX_EPROTO);
}

static void refuses_acknowledgements_that_shrink(void **state)
{
    struct pair *p = *state;
    assert_int_equal(bare_give(&p->s, 0, put_plain(FTX_MSG_ACK, 2, 1), 0), 0);
    assert_int_equal(bare_give(&p->s, 0, put_plain(FTX_MSG_ACK, 2, 0), 0), FTX_EPROTO);
    assert_int_equal(bare_give(&p->r, 0, put_plain(FTX_MSG_ACK, 1, 0), 0), 0);
    assert_int_equal(bare_give(&p->r, 0, put_plain(FTX_MSG_ACK, 0, 0), 0), FTX_EPROTO);
}

static void refuses_acknowledgements_of_an_unbuilt_record(void **state)
{
    struct pair *p = *state;
    p->s.extents[0] = 1;
    ftx_engine_due(&p->s.engine, &p->s.streams[0]);
    struct ftx_plan *plan = ftx_engine_pull(&p->s.engine, 0, 0);
    assert_non_null(plan);
    assert_int_equal(bare_give(&p->s, 0, put_plain(FTX_MSG_ACK, 3, 0), 0), FTX_EPROTO);
    assert_int_equal(p->s.received, 0);
    ftx_engine_built(&p->s.engine, plan, false);
}

static void acknowledges_from_the_front_only(void **state)
{
    struct pair *p = *state;
    p->r.hold = true;
    p->s.length = FTX_EXTENT_MAX;
    p->s.extents[0] = 3;
    ftx_engine_due(&p->s.engine, &p->s.streams[0]);
    while (bare_carry(&p->s, &p->r, 0, 0))
        ;
    uint64_t last = p->r.last.number;
    ftx_engine_durable(&p->r.engine, (struct ftx_record_ref){.number = last});
    bare_carry(&p->r, &p->s, 0, 0);
    assert_int_equal(p->s.received, 0);
    ftx_engine_written(&p->r.engine, (struct ftx_record_ref){.number = last - 2});
    assert_true(bare_carry(&p->r, &p->s, 0, 0));
    assert_int_equal(p->s.received, 1);
    ftx_engine_durable(&p->r.engine, (struct ftx_record_ref){.number = last - 1});
    assert_true(bare_carry(&p->r, &p->s, 0, 0));
    assert_int_equal(p->s.received, 3);
    assert_int_equal(p->s.durable, 0);
    ftx_engine_durable(&p->r.engine, (struct ftx_record_ref){.number = last - 2});
    assert_true(bare_carry(&p->r, &p->s, 0, 0));
    assert_int_equal(p->s.durable, 3);
}

static void gives_a_sign_of_life_once_in_a_while(void **state)
{
    struct pair *p = *state;
    ftx_engine_join(&p->s.engine, 0);
    ftx_engine_join(&p->r.engine, 0);
    bare_carry_all(p, 0);
    assert_int_equal(ftx_engine_tick(&p->s.engine, 0), FTX_ALIVE_MS);
    assert_int_equal(ftx_engine_tick(&p->s.engine, 1), FTX_ALIVE_MS);
    assert_int_equal(bare_take(&p->s, 1, FTX_ALIVE_MS - 1), 0);
    for (uint64_t ms = FTX_ALIVE_MS; ms < 10 * FTX_ALIVE_MS; ms += FTX_ALIVE_MS) {
        assert_int_equal(bare_take(&p->s, 1, ms), FTX_MESSAGE_HEAD + 8);
        assert_int_equal(bare_room[0], FTX_MSG_PONG);
        assert_int_equal(bare_take(&p->s, 1, ms), 0);
        assert_int_equal(bare_take(&p->s, 1, ms + FTX_ALIVE_MS - 1), 0);
        ftx_engine_heard(&p->s.engine, 0, ms);
        ftx_engine_heard(&p->s.engine, 1, ms);
        assert_int_equal(ftx_engine_tick(&p->s.engine, ms), ms + FTX_ALIVE_MS);
    }
}

static void answers_a_ping_on_the_same_connection(void **state)
{
    struct pair *p = *state;
    ftx_engine_join(&p->s.engine, 0);
    ftx_engine_join(&p->r.engine, 0);
    bare_carry_all(p, 0);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(bare_give(&p->r, 1, put_plain(FTX_MSG_PING, 77, 0), FTX_ALIVE_MS), 0);
    assert_int_equal(bare_take(&p->r, 0, 0), 0);
    size_t size = bare_take(&p->r, 1, FTX_ALIVE_MS);
    assert_int_equal(size, FTX_MESSAGE_HEAD + 8);
    assert_int_equal(bare_room[0], FTX_MSG_PONG);
    assert_int_equal(bare_room[FTX_MESSAGE_HEAD], 77);
    assert_int_equal(bare_take(&p->r, 1, FTX_ALIVE_MS), 0);
}

static void ends_after_silence(void **state)
{
    struct pair *p = *state;
    ftx_engine_heard(&p->s.engine, 0, 100);
    ftx_engine_tick(&p->s.engine, FTX_DEAD_MS + 99);
    assert_int_equal(p->s.engine.state, FTX_ENGINE_RUNNING);
    ftx_engine_tick(&p->s.engine, FTX_DEAD_MS + 100);
    assert_int_equal(p->s.engine.state, FTX_ENGINE_ENDED);
    assert_int_equal(p->s.engine.end_reason, -ETIMEDOUT);
}

static void waiting_messages_are_bounded(void **state)
{
    struct pair *p = *state;
    struct ftx_range ranges[100];
    for (size_t i = 0; i < 100; i++)
        ranges[i] = (struct ftx_range){i, 1};
    unsigned said = 0;
    int err;
    while ((err = ftx_engine_missing(&p->r.engine, 1, 1, ranges, 100)) == 0)
        said++;
    assert_int_equal(err, -ENOBUFS);
    bare_carry_all(p, 0);
    assert_int_equal(p->s.missing, 100 * said);
    assert_int_equal(ftx_engine_refuse(&p->r.engine, 1, FTX_REFUSED_NAME), 0);
    bare_carry_all(p, 0);
    assert_int_equal(p->s.refused, 1);
    assert_int_equal(ftx_engine_missing(&p->r.engine, 1, 1, ranges, 0), -EINVAL);
}

static void sizes_go_ahead_of_content_that_waits(void **state)
{
    struct pair *p = *state;
    p->s.length = FTX_EXTENT_MAX;
    for (size_t i = 0; i < STREAMS; i++) {
        p->s.extents[i] = 2;
        ftx_engine_due(&p->s.engine, &p->s.streams[i]);
    }
    assert_true(bare_carry(&p->s, &p->r, 0, 0));
    assert_int_equal(p->r.resized, 0);
    assert_true(bare_carry(&p->s, &p->r, 0, 0));
    assert_int_equal(p->r.resized, STREAMS - 1);
    bare_carry_all(p, 0);
    assert_int_equal(p->r.resized, STREAMS - 1);
    assert_int_equal(p->r.arrived, 2 * STREAMS);
}

static void an_urgent_stream_goes_first(void **state)
{
    struct pair *p = *state;
    for (size_t i = 0; i < STREAMS; i++) {
        p->s.extents[i] = 1;
        ftx_engine_due(&p->s.engine, &p->s.streams[i]);
    }
    ftx_engine_urgent(&p->s.engine, &p->s.streams[2]);
    ftx_engine_gone(&p->s.engine, &p->s.streams[0]);
    bare_carry_all(p, 0);
    assert_int_equal(p->r.first_arrived, 3);
    assert_int_equal(p->r.arrived, STREAMS - 1);
}

static void a_seal_left_by_a_data_connection_goes_on_control(void **state)
{
    struct pair *p = *state;
    ftx_engine_join(&p->s.engine, 0);
    ftx_engine_join(&p->r.engine, 0);
    bare_carry_all(p, 0);
    p->s.seal[1] = true;
    ftx_engine_due(&p->s.engine, &p->s.streams[1]);
    assert_false(bare_carry(&p->s, &p->r, 1, 0));
    assert_true(bare_carry(&p->s, &p->r, 0, 0));
    assert_int_equal(p->r.sealed, 1);
}

#define RUNNING(test) cmocka_unit_test_setup_teardown(test, bare_set_up_running, bare_tear_down)
#define FRESH(test)   cmocka_unit_test_setup_teardown(test, bare_set_up, bare_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RUNNING(both_run_after_start_and_have),
        FRESH(r_says_nothing_before_start),
        FRESH(an_old_session_is_answered_replaced),
        FRESH(lost_state_is_told),
        RUNNING(goodbye_is_the_last_message),
        FRESH(refuses_what_may_not_stand_there),
        RUNNING(refuses_start_and_have_end_twice),
        FRESH(refuses_content_before_its_have_end),
        RUNNING(refuses_seal_on_a_data_connection),
        FRESH(join_waits_for_start_and_content_for_join),
        RUNNING(takes_at_most_eight_data_connections),
        RUNNING(operations_come_in_order),
        RUNNING(operations_have_a_window),
        RUNNING(a_data_connection_waits_for_the_operation),
        RUNNING(content_has_a_window),
        RUNNING(holes_and_tiny_extents_fill_the_window_too),
        RUNNING(what_is_left_out_opens_the_window),
        RUNNING(refuses_acknowledgements_of_what_was_not_sent),
        RUNNING(refuses_a_record_that_would_be_too_long_unpacked),
        RUNNING(refuses_acknowledgements_that_shrink),
        RUNNING(refuses_acknowledgements_of_an_unbuilt_record),
        RUNNING(acknowledges_from_the_front_only),
        RUNNING(gives_a_sign_of_life_once_in_a_while),
        RUNNING(answers_a_ping_on_the_same_connection),
        RUNNING(ends_after_silence),
        RUNNING(waiting_messages_are_bounded),
        RUNNING(sizes_go_ahead_of_content_that_waits),
        RUNNING(an_urgent_stream_goes_first),
        RUNNING(a_seal_left_by_a_data_connection_goes_on_control),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
