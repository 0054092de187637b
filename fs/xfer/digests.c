/* SPDX-License-Identifier: MIT */
/* A question goes round: to a worker for a MiB, back to the end of the list, until all is read. */
#include "fs/xfer/digests.h"

#include "fs/xfer/transfer.h"

#include <errno.h>
#include <stdlib.h>

enum {
    TELL_MS = 5000,
    REST_BUSY = 9, /* times what the work took, while the link has other things to do */
};

struct ftx_digest_question {
    struct ftx_list node;
    struct ftx_digests *digests;
    struct ftx_transfer *transfer; /* NULL: its session is over */
    uint64_t stream;
    enum ftx_digest_whose whose;
    struct ftx_digest_key key;
    struct ftx_digesting digesting;
    bool begun;
    int err;
    uint64_t took_ns;
};

static struct ftx_digest_question *question_of(struct ftx_list *node)
{
    return ftx_list_of(node, struct ftx_digest_question, node);
}

static int find_key(struct ftx_digest_question *question, struct ftx_digest_key *out)
{
    return ftx_digest_key_of(question->digests->store, question->transfer->link, question->stream,
                             question->whose == FTX_DIGEST_ASKED, out);
}

static void question_free(struct ftx_digest_question *question)
{
    if (question->begun)
        ftx_digesting_end(&question->digesting, NULL);
    free(question);
}

/* The answer, unless the file has become another one meanwhile. */
static void answer(struct ftx_digest_question *question, int err)
{
    struct ftx_transfer *t = question->transfer;
    struct ftx_digest_key now;
    uint8_t sha256[FTX_SHA256_SIZE];
    if (!err) {
        ftx_digesting_end(&question->digesting, sha256);
        question->begun = false;
        err = find_key(question, &now);
        if (!err && !ftx_digest_key_same(&now, &question->key))
            err = -EAGAIN;
    }
    enum ftx_digest_state state = !err             ? FTX_DIGEST_HERE
                                  : err == -EAGAIN ? FTX_DIGEST_UNFINISHED
                                                   : FTX_DIGEST_GONE;
    err = ftx_engine_tell_digest(t->engine, state, sha256);
    question_free(question);
    if (err)
        ftx_peer_fail(t->peer, err);
    else
        ftx_peer_kick(t->peer);
}

/* -- the worker's part -- */

static void run(struct ftx_work *work)
{
    struct ftx_digests *digests = ftx_list_of(work, struct ftx_digests, work);
    struct ftx_digest_question *question = digests->working;
    uint64_t since_ns = uv_hrtime();
    question->err = 0;
    if (!question->begun)
        question->err = ftx_digesting_begin(digests->store, &question->key, &question->digesting);
    question->begun |= !question->err;
    if (!question->err && question->digesting.at < question->key.size)
        question->err = ftx_digesting_go_on(&question->digesting);
    question->took_ns = uv_hrtime() - since_ns;
}

static void on_rested(uv_timer_t *timer);

static void on_done(struct ftx_work *work)
{
    struct ftx_digests *digests = ftx_list_of(work, struct ftx_digests, work);
    struct ftx_digest_question *question = digests->working;
    uint64_t rest_ns = question->took_ns;
    digests->working = NULL;
    if (!question->transfer) {
        question_free(question);
    } else {
        if (ftx_link_busy(digests->store, question->transfer->link))
            rest_ns *= REST_BUSY;
        if (question->err || question->digesting.at == question->key.size)
            answer(question, question->err);
        else
            ftx_list_append(&digests->questions, &question->node);
    }
    if (!digests->closed)
        uv_timer_start(&digests->rest, on_rested, rest_ns / 1000000, 0);
}

/* -- the loop's -- */

/* Gives the next one to the worker. */
static void on_rested(uv_timer_t *timer)
{
    struct ftx_digests *digests = timer->data;
    while (!digests->working && !ftx_list_empty(&digests->questions)) {
        struct ftx_digest_question *question = question_of(ftx_list_pop(&digests->questions));
        int err = question->begun ? 0 : find_key(question, &question->key);
        if (err) {
            answer(question, err);
            continue;
        }
        digests->working = question;
        digests->work.run = run;
        digests->work.done = on_done;
        ftx_work_queue(timer->loop, &digests->work);
    }
}

static void tell_working(const struct ftx_digest_question *question)
{
    struct ftx_transfer *t = question->transfer;
    if (t && !ftx_engine_tell_digest(t->engine, FTX_DIGEST_WORKING, NULL))
        ftx_peer_kick(t->peer);
}

static void on_tell(uv_timer_t *timer)
{
    struct ftx_digests *digests = timer->data;
    for (struct ftx_list *node = digests->questions.next; node != &digests->questions;
         node = node->next)
        tell_working(question_of(node));
    if (digests->working)
        tell_working(digests->working);
    else if (ftx_list_empty(&digests->questions))
        uv_timer_stop(timer);
}

void ftx_digests_init(struct ftx_digests *digests, uv_loop_t *loop, struct ftx_store *store)
{
    *digests = (struct ftx_digests){.store = store};
    ftx_list_init(&digests->questions);
    uv_timer_init(loop, &digests->rest);
    uv_timer_init(loop, &digests->tell);
    digests->rest.data = digests->tell.data = digests;
}

int ftx_digests_ask(struct ftx_digests *digests, struct ftx_transfer *transfer, uint64_t stream,
                    enum ftx_digest_whose whose)
{
    struct ftx_digest_question *question = calloc(1, sizeof *question);
    if (!question)
        return -ENOMEM;
    *question = (struct ftx_digest_question){
        .digests = digests, .transfer = transfer, .stream = stream, .whose = whose};
    ftx_list_init(&question->node);
    ftx_list_append(&digests->questions, &question->node);
    if (!digests->working && !uv_is_active((uv_handle_t *)&digests->rest))
        uv_timer_start(&digests->rest, on_rested, 0, 0); /* not from inside the engine's call */
    if (!uv_is_active((uv_handle_t *)&digests->tell))
        uv_timer_start(&digests->tell, on_tell, TELL_MS, TELL_MS);
    return 0;
}

void ftx_digests_drop(struct ftx_digests *digests, struct ftx_transfer *transfer)
{
    if (digests->working && digests->working->transfer == transfer)
        digests->working->transfer = NULL;
    for (struct ftx_list *node = digests->questions.next, *next; node != &digests->questions;
         node = next) {
        next = node->next;
        if (question_of(node)->transfer != transfer)
            continue;
        ftx_list_remove(node);
        question_free(question_of(node));
    }
}

void ftx_digests_close(struct ftx_digests *digests)
{
    digests->closed = true;
    uv_close((uv_handle_t *)&digests->rest, NULL);
    uv_close((uv_handle_t *)&digests->tell, NULL);
}
