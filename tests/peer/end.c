/* SPDX-License-Identifier: MIT */
/* The host of the tests: the disk, what is told, and clocks that hurry. */
#include "tests/peer/end.h"

#include <stdlib.h>
#include <string.h>

#include "tests/peer/app.h"

int __real_uv_timer_start(uv_timer_t *timer, uv_timer_cb on_timer, uint64_t timeout_ms,
                          uint64_t repeat_ms);
int __wrap_uv_timer_start(uv_timer_t *timer, uv_timer_cb on_timer, uint64_t timeout_ms,
                          uint64_t repeat_ms);

/* See tests.cmake. What waits for work to be done, and the limit of the tests' own loop, are left
 * alone. */
int __wrap_uv_timer_start(uv_timer_t *timer, uv_timer_cb on_timer, uint64_t timeout_ms,
                          uint64_t repeat_ms)
{
    if (timeout_ms > 500 && timeout_ms <= 72 * 1000)
        timeout_ms /= HURRY;
    return __real_uv_timer_start(timer, on_timer, timeout_ms, repeat_ms);
}

uint64_t clock_ahead_ms;

uint64_t __real_uv_now(const uv_loop_t *loop);
uint64_t __wrap_uv_now(const uv_loop_t *loop);

uint64_t __wrap_uv_now(const uv_loop_t *loop)
{
    return __real_uv_now(loop) + clock_ahead_ms;
}

/* -- the disk -- */

static void on_answers(uv_timer_t *timer)
{
    struct end *end = timer->data;
    size_t n = end->n_waiting;
    end->answering = false;
    if (end->dead || !end->peer)
        return;
    for (size_t i = 0; i < n; i++) {
        uint64_t token = end->saves[i].token;
        end->disk = end->saves[i].identity;
        if (end->peer)
            ftx_peer_saved(end->peer, token, 0);
    }
    memmove(end->saves, end->saves + n, (end->n_waiting - n) * sizeof *end->saves);
    end->n_waiting -= n;
    if (end->ready_waits && end->peer) {
        end->ready_waits = false;
        ftx_peer_ready(end->peer, end->ops_seen);
    }
}

static void answer_later(struct end *end)
{
    if (!end->answering)
        uv_timer_start(&end->answers, on_answers, 0, 0);
    end->answering = true;
}

static void save(void *ctx, const struct ftx_peer_identity *identity, uint64_t token)
{
    struct end *end = ctx;
    if (end->dead)
        return;
    if (++end->n_saves == end->kill_at) {
        if (end->kill_written)
            end->disk = *identity;
        end->dead = true;
        return;
    }
    assert_true(end->n_waiting < sizeof end->saves / sizeof *end->saves);
    end->saves[end->n_waiting].identity = *identity;
    end->saves[end->n_waiting++].token = token;
    answer_later(end);
}

static void prepare(void *ctx)
{
    struct end *end = ctx;
    assert_null(end->engine);
    assert_int_equal(end->n_held, 0);
    if (end->disk.role == FTX_ROLE_S) {
        ftx_peer_ready(end->peer, end->ops_seen);
        return;
    }
    end->ready_waits = true;
    answer_later(end);
}

/* -- what is told -- */

static void begin(void *ctx, struct ftx_engine *engine)
{
    struct end *end = ctx;
    assert_null(end->engine);
    end->engine = engine;
    end->n_begun++;
    for (size_t i = 0; i < N_STREAMS; i++)
        end->in[i].told = false;
}

static bool busy(void *ctx)
{
    const struct end *end = ctx;
    return end->busy;
}

static void ended(void *ctx, int reason)
{
    struct end *end = ctx;
    assert_non_null(end->engine);
    end->engine = NULL;
    end->end_reason = reason;
    end->n_ended++;
    end_write(end);
}

static void health(void *ctx, enum ftx_peer_health now, const char *address)
{
    struct end *end = ctx;
    struct ftx_peer_way way = {.path = FTX_PATH_NONE};
    end->health = now;
    assert_int_equal(ftx_peer_look(end->peer, &way), now == FTX_PEER_CONNECTED);
    end->path = way.path;
    end->was_pairing |= now == FTX_PEER_PAIRING;
    end->was_same_role |= now == FTX_PEER_SAME_ROLE;
    assert_int_equal(address[0] != '\0', now == FTX_PEER_CONNECTED);
}

static void told(void *ctx, const struct ftx_told_address *told, size_t n)
{
    struct end *end = ctx;
    memcpy(end->kept, told, n * sizeof *told);
    end->n_kept = n;
}

static void packed(void *ctx, uint64_t before, uint64_t after)
{
    struct end *end = ctx;
    assert_true(after < before);
    end->packed_before += before;
    end->packed_after += after;
}

static void gone(void *ctx)
{
    struct end *end = ctx;
    assert_null(end->engine);
    assert_false(end->gone);
    end->gone = true;
    end->peer = NULL;
}

static void guess_failed(void *ctx)
{
    struct end *end = ctx;
    end->n_guesses_failed++;
}

static const struct ftx_peer_host host = {
    .app = &test_app,
    .read = test_read,
    .save = save,
    .prepare = prepare,
    .begin = begin,
    .busy = busy,
    .end = ended,
    .health = health,
    .guess_failed = guess_failed,
    .told = told,
    .packed = packed,
    .gone = gone,
};

/* -- life -- */

void end_init(struct end *end, struct test_loop *loop, struct proxy *way_in, enum ftx_role role,
              const char *code)
{
    memset(end, 0, sizeof *end);
    end->thread = pthread_self();
    end->loop = loop;
    end->way_in = way_in;
    end->disk.role = role;
    end->disk.stage = FTX_PEER_ARMED;
    strcpy(end->disk.code, code);
    assert_int_equal(ftx_code_label(code, end->disk.label), 0);
    uv_timer_init(&loop->uv, &end->answers);
    end->answers.data = end;
}

static void reset(struct end *end)
{
    end->dead = end->gone = end->stopped = end->ready_waits = false;
    end->n_waiting = 0;
    end->health = FTX_PEER_OFFLINE;
    end->path = FTX_PATH_NONE;
}

void end_start_beside(struct end *end, const struct end *other)
{
    reset(end);
    assert_int_equal(ftx_peer_new(other->node, &end->disk, &host, end, &end->peer), 0);
}

void end_start(struct end *end, const struct proxy *way_out)
{
    struct ftx_address listen = {.host = "127.0.0.1"}, dial = {.host = "127.0.0.1"};
    if (way_out)
        dial.port = way_out->port;
    reset(end);
    assert_int_equal(ftx_node_new(&end->loop->uv, end->deaf ? NULL : &listen, &dial,
                                  way_out ? 1 : 0, &end->node),
                     0);
    if (end->lan_port)
        assert_int_equal(ftx_node_search_lan(end->node, end->lan_port, true), 0);
    ftx_node_set_compress(end->node, end->compress);
    if (end->relay)
        assert_int_equal(ftx_node_add_relay(end->node, end->relay), 0);
    ftx_node_set_told(end->node, end->told, end->n_told);
    end->way_in->target = ftx_node_port(end->node);
    assert_int_equal(ftx_peer_new(end->node, &end->disk, &host, end, &end->peer), 0);
    ftx_peer_recall(end->peer, end->kept, end->n_kept, end->kept_age_ms);
}

static void on_stopped(void *ctx)
{
    struct end *end = ctx;
    assert_true(end->gone);
    end->stopped = true;
}

void end_stop(struct end *end)
{
    end->way_in->target = 0;
    ftx_node_stop(end->node, on_stopped, end);
    test_loop_await(end->loop, end->stopped);
    end->node = NULL;
}

void end_free(struct end *end)
{
    uv_close((uv_handle_t *)&end->answers, NULL);
    for (size_t i = 0; i < N_STREAMS; i++) {
        free(end->out[i].bytes);
        free(end->in[i].bytes);
    }
    ftx_codec_free(end->codec);
}

bool end_connected(const struct end *end)
{
    return end->health == FTX_PEER_CONNECTED && end->engine;
}
