/* SPDX-License-Identifier: MIT */
/* Questions about files, of each link in a list: to be asked, asked, answered, gone with the last
 * who waits. */
#include "fs/store/peer_digest.h"

#include "fs/store/mirror.h"
#include "fs/store/outbox_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { QUESTIONS_MAX = 256 }; /* of a link: the rest is asked for later, by whoever asks */

struct question {
    struct ftx_list node; /* link->questions */
    uint64_t item, stream;
    uint8_t whose; /* enum ftx_digest_whose */
    bool asked;
    int answer; /* -EAGAIN: none yet */
    uint32_t n_waiting;
    int64_t progress_ms;
    uint8_t sha256[FTX_SHA256_SIZE];
};

static struct question *question_of(struct ftx_list *node)
{
    return ftx_list_of(node, struct question, node);
}

static struct question *find_in(const struct ftx_link *link, uint64_t item)
{
    for (struct ftx_list *node = link->questions.next; node != &link->questions; node = node->next)
        if (question_of(node)->item == item)
            return question_of(node);
    return NULL;
}

/* The file may be gone by now, its link not. */
static struct question *find(const struct ftx_store *store, uint64_t item,
                             struct ftx_link **out_link)
{
    for (struct ftx_list *node = store->links.next; node != &store->links; node = node->next) {
        struct ftx_link *link = ftx_list_of(node, struct ftx_link, node);
        struct question *question = link->n_questions ? find_in(link, item) : NULL;
        *out_link = link;
        if (question)
            return question;
    }
    return NULL;
}

static int check(const struct ftx_store *store, struct ftx_item *item)
{
    if (!item)
        return -ENOENT;
    if (item->kind != FTX_FILE || !item->link || !item->linked || ftx_link_is_group(item->link))
        return -ENODATA; /* a group has several peers: each of its members' mirrors has one */
    if (item->box == FTX_INBOX)
        return item->state == FTX_ITEM_COMPLETE ? 0 : -EBUSY;
    if (ftx_item_stays(item) || item->state == FTX_ITEM_REFUSED)
        return -ENODATA;
    const struct ftx_opened *opened = ftx_mirror_contents(store, item)->opened;
    bool open = opened && opened->n_writers;
    return item->state == FTX_ITEM_DELIVERED && !open ? 0 : -EBUSY;
}

static int add(struct ftx_item *item)
{
    struct ftx_link *link = item->link;
    struct question *question = find_in(link, item->id);
    if (!question && link->n_questions == QUESTIONS_MAX)
        return -ENOBUFS;
    if (!question) {
        question = calloc(1, sizeof *question);
        if (!question)
            return -ENOMEM;
        question->item = item->id;
        question->stream = item->box == FTX_OUTBOX ? ftx_item_wire(item) : item->remote;
        question->whose = item->box == FTX_OUTBOX ? FTX_DIGEST_ASKER : FTX_DIGEST_ASKED;
        question->answer = -EAGAIN;
        ftx_list_init(&question->node);
        ftx_list_append(&link->questions, &question->node);
        link->n_questions++;
    }
    question->n_waiting++;
    return 0;
}

int ftx_peer_digest_ask(struct ftx_store *store, uint64_t id)
{
    pthread_mutex_lock(&store->lock);
    struct ftx_item *item = ftx_item_find(&store->index, id);
    int err = check(store, item);
    if (!err)
        err = add(item);
    pthread_mutex_unlock(&store->lock);
    if (!err)
        store->events.wake(store->events_ctx);
    return err;
}

int ftx_peer_digest_look(struct ftx_store *store, uint64_t item, uint8_t out[FTX_SHA256_SIZE])
{
    struct ftx_link *link;
    pthread_mutex_lock(&store->lock);
    const struct question *question = find(store, item, &link);
    int err = question ? question->answer : -ENODATA;
    if (!err)
        memcpy(out, question->sha256, FTX_SHA256_SIZE);
    pthread_mutex_unlock(&store->lock);
    return err;
}

int64_t ftx_peer_digest_progress_ms(struct ftx_store *store, uint64_t item)
{
    struct ftx_link *link;
    pthread_mutex_lock(&store->lock);
    const struct question *question = find(store, item, &link);
    int64_t progress_ms = question ? question->progress_ms : 0;
    pthread_mutex_unlock(&store->lock);
    return progress_ms;
}

static void drop(struct ftx_link *link, struct question *question)
{
    ftx_list_remove(&question->node);
    link->n_questions--;
    free(question);
}

void ftx_peer_digest_leave(struct ftx_store *store, uint64_t item)
{
    struct ftx_link *link;
    pthread_mutex_lock(&store->lock);
    struct question *question = find(store, item, &link);
    if (question && --question->n_waiting == 0)
        drop(link, question);
    pthread_mutex_unlock(&store->lock);
}

bool ftx_peer_digest_next(struct ftx_store *store, struct ftx_link *link, uint64_t *out_stream,
                          enum ftx_digest_whose *out_whose)
{
    bool found = false;
    pthread_mutex_lock(&store->lock);
    for (struct ftx_list *node = link->questions.next; node != &link->questions && !found;
         node = node->next) {
        struct question *question = question_of(node);
        if (question->asked)
            continue;
        found = question->asked = true;
        *out_stream = question->stream;
        *out_whose = (enum ftx_digest_whose)question->whose;
    }
    pthread_mutex_unlock(&store->lock);
    return found;
}

void ftx_peer_digest_answered(struct ftx_store *store, struct ftx_link *link,
                              const struct ftx_told_digest *told)
{
    static const int answers[] = {[FTX_DIGEST_HERE] = 0,
                                  [FTX_DIGEST_GONE] = -ENODATA,
                                  [FTX_DIGEST_UNFINISHED] = -EBUSY,
                                  [FTX_DIGEST_WORKING] = -EAGAIN};
    pthread_mutex_lock(&store->lock);
    for (struct ftx_list *node = link->questions.next; node != &link->questions;
         node = node->next) {
        struct question *question = question_of(node);
        if (!question->asked || question->answer != -EAGAIN || question->stream != told->stream ||
            question->whose != told->whose)
            continue;
        question->answer = answers[told->state];
        question->progress_ms = ftx_now_ms();
        memcpy(question->sha256, told->sha256, FTX_SHA256_SIZE);
    }
    pthread_mutex_unlock(&store->lock);
    store->events.arrived(store->events_ctx); /* who asked looks again */
}

void ftx_peer_digest_restart(struct ftx_store *store, struct ftx_link *link)
{
    pthread_mutex_lock(&store->lock);
    for (struct ftx_list *node = link->questions.next; node != &link->questions; node = node->next)
        question_of(node)->asked = question_of(node)->answer != -EAGAIN;
    pthread_mutex_unlock(&store->lock);
}

void ftx_peer_digest_forget(struct ftx_link *link)
{
    while (link->n_questions)
        drop(link, question_of(link->questions.next));
}
