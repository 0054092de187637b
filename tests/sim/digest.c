/* SPDX-License-Identifier: MIT */
/* SHA-256 asked of the other end: one question of each end at a time, and an answer for each. */
#include "tests/sim/bare.h"
#include "transport/base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t sha256[FTX_DIGEST_SIZE] = {1, 2, 3, [31] = 4};

static size_t put(enum ftx_message_type type, uint64_t stream, uint8_t whose, uint8_t digest_state)
{
    struct ftx_message m = {.type = type};
    m.as.digest.stream = stream;
    m.as.digest.whose = whose;
    m.as.digest.state = digest_state;
    return ftx_message_encode(&m, bare_room, sizeof bare_room);
}

static void a_question_has_one_answer(void **state)
{
    struct pair *p = *state;
    struct ftx_engine *s = &p->s.engine, *r = &p->r.engine;
    assert_int_equal(ftx_engine_ask_digest(s, 7, FTX_DIGEST_ASKED), 0);
    assert_false(ftx_engine_may_ask_digest(s));
    assert_int_equal(ftx_engine_ask_digest(s, 8, FTX_DIGEST_ASKER), -ENOBUFS);
    bare_carry_all(p, 0);
    assert_int_equal(p->r.digests, 1);
    assert_int_equal(p->r.last_digest.stream, 7);
    assert_int_equal(p->r.last_digest.whose, FTX_DIGEST_ASKED);
    for (unsigned i = 1; i <= 2; i++) {
        assert_int_equal(ftx_engine_tell_digest(r, FTX_DIGEST_WORKING, NULL), 0);
        bare_carry_all(p, 0);
        assert_int_equal(p->s.digested, i);
        assert_int_equal(p->s.last_digested.state, FTX_DIGEST_WORKING);
        assert_false(ftx_engine_may_ask_digest(s));
    }
    assert_int_equal(ftx_engine_tell_digest(r, FTX_DIGEST_HERE, sha256), 0);
    bare_carry_all(p, 0);
    assert_int_equal(p->s.last_digested.state, FTX_DIGEST_HERE);
    assert_int_equal(p->s.last_digested.stream, 7);
    assert_memory_equal(p->s.last_digested.sha256, sha256, sizeof sha256);
    assert_int_equal(ftx_engine_ask_digest(s, 8, FTX_DIGEST_ASKER), 0);
}

static void both_ends_may_ask(void **state)
{
    struct pair *p = *state;
    assert_int_equal(ftx_engine_ask_digest(&p->s.engine, 1, FTX_DIGEST_ASKER), 0);
    assert_int_equal(ftx_engine_ask_digest(&p->r.engine, 2, FTX_DIGEST_ASKER), 0);
    bare_carry_all(p, 0);
    assert_int_equal(ftx_engine_tell_digest(&p->s.engine, FTX_DIGEST_GONE, NULL), 0);
    assert_int_equal(ftx_engine_tell_digest(&p->r.engine, FTX_DIGEST_UNFINISHED, NULL), 0);
    bare_carry_all(p, 0);
    assert_int_equal(p->s.last_digested.state, FTX_DIGEST_UNFINISHED);
    assert_int_equal(p->r.last_digested.state, FTX_DIGEST_GONE);
    assert_int_equal(p->r.last_digested.stream, 2);
}

static void nothing_is_asked_before_have_end(void **state)
{
    struct pair *p = *state;
    assert_int_equal(ftx_engine_ask_digest(&p->s.engine, 1, FTX_DIGEST_ASKER), -ENOBUFS);
    size_t size = bare_take(&p->s, 0, 0);
    assert_int_equal(bare_give(&p->r, 0, size, 0), 0); /* R has START, HAVE_END is due */
    assert_int_equal(bare_give(&p->r, 0, put(FTX_MSG_DIGEST, 1, 1, 0), 0), FTX_EPROTO);
}

static void a_second_question_ends_the_session(void **state)
{
    struct pair *p = *state;
    assert_int_equal(bare_give(&p->r, 0, put(FTX_MSG_DIGEST, 1, 1, 0), 0), 0);
    assert_int_equal(bare_give(&p->r, 0, put(FTX_MSG_DIGEST, 1, 1, 0), 0), FTX_EPROTO);
    assert_int_equal(p->r.digests, 1);
}

static void an_answer_to_another_question_ends_the_session(void **state)
{
    struct pair *p = *state;
    assert_int_equal(bare_give(&p->r, 0, put(FTX_MSG_DIGESTED, 1, 1, FTX_DIGEST_GONE), 0),
                     FTX_EPROTO);
    assert_int_equal(ftx_engine_ask_digest(&p->s.engine, 7, FTX_DIGEST_ASKER), 0);
    assert_int_equal(bare_give(&p->s, 0, put(FTX_MSG_DIGESTED, 7, 2, FTX_DIGEST_GONE), 0),
                     FTX_EPROTO);
    assert_int_equal(p->s.digested + p->r.digested, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_question_has_one_answer, bare_set_up_running,
                                        bare_tear_down),
        cmocka_unit_test_setup_teardown(both_ends_may_ask, bare_set_up_running, bare_tear_down),
        cmocka_unit_test_setup_teardown(nothing_is_asked_before_have_end, bare_set_up,
                                        bare_tear_down),
        cmocka_unit_test_setup_teardown(a_second_question_ends_the_session, bare_set_up_running,
                                        bare_tear_down),
        cmocka_unit_test_setup_teardown(an_answer_to_another_question_ends_the_session,
                                        bare_set_up_running, bare_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
