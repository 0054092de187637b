/* SPDX-License-Identifier: MIT */
/* Queues by urgency, priority and size; a large stream turns after each extent. */
#include "transport/session/scheduler.h"

enum {
    SMALL_RUN_MAX = 4 << 20, /* bytes of small streams before a large one gets an extent */
    LOOK_MAX = 16,           /* streams of one queue that are looked at for a data connection */
};

void ftx_stream_init(struct ftx_stream *stream, uint64_t id, uint64_t op)
{
    *stream = (struct ftx_stream){.id = id, .op = op, .priority = FTX_PRIORITY_DEFAULT};
    ftx_list_init(&stream->queue);
    ftx_list_init(&stream->fresh);
}

void ftx_scheduler_init(struct ftx_scheduler *s)
{
    ftx_list_init(&s->urgent);
    ftx_list_init(&s->control_only);
    ftx_list_init(&s->fresh);
    for (int p = 0; p <= FTX_PRIORITY_MAX; p++) {
        ftx_list_init(&s->small[p]);
        ftx_list_init(&s->large[p]);
    }
    s->small_run = 0;
}

static struct ftx_list *queue_of(struct ftx_scheduler *s, const struct ftx_stream *stream)
{
    if (stream->control_only)
        return &s->control_only;
    if (stream->urgent)
        return &s->urgent;
    return stream->small ? &s->small[stream->priority] : &s->large[stream->priority];
}

void ftx_scheduler_add(struct ftx_scheduler *s, struct ftx_stream *stream)
{
    struct ftx_list *queue = queue_of(s, stream);
    if (!ftx_list_linked(&stream->queue) || stream->in != queue) {
        ftx_list_remove(&stream->queue);
        ftx_list_append(queue, &stream->queue);
        stream->in = queue;
    }
    if (!stream->announced && !ftx_list_linked(&stream->fresh))
        ftx_list_append(&s->fresh, &stream->fresh);
}

void ftx_scheduler_remove(struct ftx_scheduler *s, struct ftx_stream *stream)
{
    (void)s;
    ftx_list_remove(&stream->queue);
    ftx_list_remove(&stream->fresh);
}

static struct ftx_stream *first_of(struct ftx_list *queue, uint64_t op_most)
{
    int looked = 0;
    for (struct ftx_list *node = queue->next; node != queue && looked < LOOK_MAX;
         node = node->next, looked++) {
        struct ftx_stream *stream = ftx_list_of(node, struct ftx_stream, queue);
        if (stream->op <= op_most)
            return stream;
    }
    return NULL;
}

struct ftx_stream *ftx_scheduler_next(struct ftx_scheduler *s, bool control, uint64_t op_most)
{
    struct ftx_stream *stream = control ? first_of(&s->control_only, op_most) : NULL;
    if (!stream)
        stream = first_of(&s->urgent, op_most);
    for (int p = FTX_PRIORITY_MAX; p >= 0 && !stream; p--) {
        struct ftx_list *first = &s->small[p], *second = &s->large[p];
        if (s->small_run >= SMALL_RUN_MAX) {
            first = &s->large[p];
            second = &s->small[p];
        }
        stream = first_of(first, op_most);
        if (!stream)
            stream = first_of(second, op_most);
    }
    return stream;
}

void ftx_scheduler_took(struct ftx_scheduler *s, struct ftx_stream *stream, size_t bytes)
{
    if (stream->small) {
        s->small_run += bytes;
        return;
    }
    s->small_run = 0;
    if (!ftx_list_linked(&stream->queue))
        return; /* the application let it go meanwhile */
    ftx_list_remove(&stream->queue);
    ftx_list_append(stream->in, &stream->queue);
}

void ftx_scheduler_clear(struct ftx_scheduler *s)
{
    struct ftx_list *queues[3 + 2 * (FTX_PRIORITY_MAX + 1)] = {&s->urgent, &s->control_only,
                                                               &s->fresh};
    size_t n = 3;
    for (int p = 0; p <= FTX_PRIORITY_MAX; p++) {
        queues[n++] = &s->small[p];
        queues[n++] = &s->large[p];
    }
    for (size_t i = 0; i < n; i++)
        while (ftx_list_pop(queues[i]))
            ;
}
