/* SPDX-License-Identifier: MIT */
/*
 * A question waits in a list until its turn comes, a signal ends it or the mount does. Nobody else
 * waits for it: a FUSE thread only leaves it here. Answers are kept for as long as the content is
 * the same.
 */
#include "fs/fuse/digest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { KEPT = 256, TEXT = FTX_DIGEST_TEXT };

struct question {
    struct ftx_list node;
    struct ftx_digest *digest;
    fuse_req_t req;
    struct ftx_digest_key key;
    bool interrupted; /* under the lock */
};

struct ftx_digest {
    struct ftx_mount *mount;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    bool running, stopping;
    struct ftx_list questions;
    struct answer {
        struct ftx_digest_key key;
        char text[TEXT];
    } kept[KEPT]; /* by inode number */
};

static bool find_kept(struct ftx_digest *digest, const struct ftx_digest_key *key, char text[TEXT])
{
    const struct answer *answer = &digest->kept[key->id % KEPT];
    pthread_mutex_lock(&digest->lock);
    bool found = answer->key.id && ftx_digest_key_same(&answer->key, key);
    if (found)
        memcpy(text, answer->text, TEXT);
    pthread_mutex_unlock(&digest->lock);
    return found;
}

static void keep(struct ftx_digest *digest, const struct ftx_digest_key *key, const char text[TEXT])
{
    struct answer *answer = &digest->kept[key->id % KEPT];
    pthread_mutex_lock(&digest->lock);
    answer->key = *key;
    memcpy(answer->text, text, TEXT);
    pthread_mutex_unlock(&digest->lock);
}

/* Out of the list, where no interrupt can reach it, and answered. */
static void answer(struct question *question, int err, const char *text)
{
    struct ftx_digest *digest = question->digest;
    pthread_mutex_lock(&digest->lock);
    ftx_list_remove(&question->node);
    pthread_mutex_unlock(&digest->lock);
    fuse_req_interrupt_func(question->req, NULL, NULL);
    if (err)
        ftx_reply_err(question->req, err);
    else
        fuse_reply_buf(question->req, text, TEXT);
    free(question);
}

/* One that a signal has ended, or NULL. */
static struct question *find_interrupted(struct ftx_digest *digest, const struct question *but)
{
    struct question *found = NULL;
    pthread_mutex_lock(&digest->lock);
    for (struct ftx_list *node = digest->questions.next; node != &digest->questions && !found;
         node = node->next) {
        struct question *question = ftx_list_of(node, struct question, node);
        found = question->interrupted && question != but ? question : NULL;
    }
    pthread_mutex_unlock(&digest->lock);
    return found;
}

/* Asked while one is computed: the others that a signal has ended are answered. */
static bool should_stop(void *ctx)
{
    struct question *question = ctx;
    struct ftx_digest *digest = question->digest;
    for (struct question *other; (other = find_interrupted(digest, question));)
        answer(other, -EINTR, NULL);
    pthread_mutex_lock(&digest->lock);
    bool stop = question->interrupted || digest->stopping;
    pthread_mutex_unlock(&digest->lock);
    return stop;
}

void ftx_digest_write(const uint8_t bytes[FTX_SHA256_SIZE], char out[FTX_DIGEST_TEXT])
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < FTX_SHA256_SIZE; i++) {
        out[2 * i] = hex[bytes[i] >> 4];
        out[2 * i + 1] = hex[bytes[i] & 15];
    }
}

static void take_turn(struct ftx_digest *digest, struct question *question)
{
    uint8_t bytes[FTX_SHA256_SIZE];
    char text[TEXT];
    int err = 0;
    if (!find_kept(digest, &question->key, text)) {
        err =
            ftx_digest_compute(digest->mount->store, &question->key, should_stop, question, bytes);
        if (!err) {
            ftx_digest_write(bytes, text);
            keep(digest, &question->key, text);
        }
    }
    answer(question, err, text);
}

static void *run(void *arg)
{
    struct ftx_digest *digest = arg;
    for (;;) {
        pthread_mutex_lock(&digest->lock);
        while (ftx_list_empty(&digest->questions) && !digest->stopping)
            pthread_cond_wait(&digest->changed, &digest->lock);
        struct question *first = ftx_list_empty(&digest->questions)
                                     ? NULL
                                     : ftx_list_of(digest->questions.next, struct question, node);
        pthread_mutex_unlock(&digest->lock);
        if (!first)
            return NULL;
        take_turn(digest, first);
    }
}

/* libfuse calls this with the request's lock held, so it only leaves a mark. */
static void on_interrupt(fuse_req_t req, void *data)
{
    struct question *question = data;
    (void)req;
    pthread_mutex_lock(&question->digest->lock);
    question->interrupted = true;
    pthread_mutex_unlock(&question->digest->lock);
}

void ftx_digest_answer(struct ftx_digest *digest, fuse_req_t req, fuse_ino_t ino, size_t room)
{
    struct ftx_digest_key key;
    char text[TEXT];
    int err = ftx_digest_key(digest->mount->store, ino, &key);
    if (!err && room == 0) {
        fuse_reply_xattr(req, TEXT);
        return;
    }
    if (!err && room < TEXT)
        err = -ERANGE;
    if (!err && find_kept(digest, &key, text)) {
        fuse_reply_buf(req, text, TEXT);
        return;
    }
    struct question *question = err ? NULL : calloc(1, sizeof *question);
    if (!question) {
        ftx_reply_err(req, err ? err : -ENOMEM);
        return;
    }
    *question = (struct question){.digest = digest, .req = req, .key = key};
    ftx_list_init(&question->node);
    fuse_req_interrupt_func(req, on_interrupt, question);
    pthread_mutex_lock(&digest->lock);
    if (!digest->running && !digest->stopping)
        digest->running = pthread_create(&digest->thread, NULL, run, digest) == 0;
    bool taken = digest->running && !digest->stopping;
    if (taken)
        ftx_list_append(&digest->questions, &question->node);
    pthread_cond_signal(&digest->changed);
    pthread_mutex_unlock(&digest->lock);
    if (!taken)
        answer(question, -EAGAIN, NULL);
}

struct ftx_digest *ftx_digest_new(struct ftx_mount *mount)
{
    struct ftx_digest *digest = calloc(1, sizeof *digest);
    if (!digest)
        return NULL;
    digest->mount = mount;
    pthread_mutex_init(&digest->lock, NULL);
    pthread_cond_init(&digest->changed, NULL);
    ftx_list_init(&digest->questions);
    return digest;
}

void ftx_digest_stop(struct ftx_digest *digest)
{
    if (!digest)
        return;
    pthread_mutex_lock(&digest->lock);
    digest->stopping = true;
    pthread_cond_signal(&digest->changed);
    bool running = digest->running;
    pthread_mutex_unlock(&digest->lock);
    if (running)
        pthread_join(digest->thread, NULL);
}

void ftx_digest_free(struct ftx_digest *digest)
{
    if (!digest)
        return;
    pthread_cond_destroy(&digest->changed);
    pthread_mutex_destroy(&digest->lock);
    free(digest);
}
