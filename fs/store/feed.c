/* SPDX-License-Identifier: MIT */
/*
 * The ring of what happened. Records stand one behind the other, the oldest goes when its room is
 * needed; the text of a record is written when somebody reads it, its length kept in `end`.
 */
#include "fs/store/feed.h"

#include "fs/store/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    MEASURE_AT_ONCE = 256, /* lines that are measured in one go under the lock */
    READ_MAX = 32 << 10,   /* bytes that are written in one go under the lock */
    HAS_LINK = 1,
    HAS_TEXT = 2, /* and 4 for the second */
};

/* In the ring; its texts follow, the link's name first. */
struct record {
    uint64_t end; /* of its line in the text of all; 0: not measured */
    int64_t time_ns, number;
    uint32_t size; /* with texts, a multiple of 8 */
    uint16_t link_size, text_size[2];
    uint8_t event, reason, has;
};

int ftx_feed_init(struct ftx_feed *feed)
{
    memset(feed, 0, sizeof *feed);
    feed->first_seq = feed->next_seq = feed->measured_seq = 1;
    feed->ring = calloc(1, FTX_FEED_SIZE + FTX_FEED_LINE_MAX);
    return feed->ring ? 0 : -ENOMEM;
}

void ftx_feed_close(struct ftx_feed *feed)
{
    free(feed->ring);
    feed->ring = NULL;
}

static struct record *record_at(const struct ftx_feed *feed, size_t offset)
{
    return (struct record *)(void *)(feed->ring + offset);
}

/* Where a line is written to be read in part: behind the ring. */
static char *line_of(const struct ftx_feed *feed)
{
    return (char *)feed->ring + FTX_FEED_SIZE;
}

/* Records do not cross the ring's end. */
static size_t normal(const struct ftx_feed *feed, size_t offset)
{
    return feed->wrap && offset == feed->wrap ? 0 : offset;
}

static void evict(struct ftx_feed *feed)
{
    const struct record *record = record_at(feed, feed->first);
    if (feed->first_seq < feed->measured_seq) {
        feed->base = record->end;
    } else { /* nobody has asked for its line: it has none */
        feed->measured_seq++;
        feed->measure = feed->first + record->size;
    }
    feed->first_seq++;
    feed->first += record->size;
    feed->measure = normal(feed, feed->measure);
    if (feed->wrap && feed->first == feed->wrap)
        feed->first = feed->wrap = 0;
}

/* The ring has room for a record at `next`. */
static void make_room(struct ftx_feed *feed, size_t size)
{
    for (;;) {
        if (feed->first_seq == feed->next_seq)
            feed->first = feed->next = feed->wrap = feed->measure = 0;
        if (feed->wrap && feed->next + size <= feed->first)
            return;
        if (feed->wrap) {
            evict(feed);
        } else if (feed->next + size <= FTX_FEED_SIZE) {
            return;
        } else {
            feed->wrap = feed->next;
            feed->next = 0;
        }
    }
}

static size_t cut(size_t size)
{
    return size < FTX_FEED_TEXT_MAX ? size : FTX_FEED_TEXT_MAX;
}

void ftx_feed_note(struct ftx_store *store, const struct ftx_happening *h)
{
    struct ftx_feed *feed = &store->feed;
    struct record record = {.time_ns = h->time_ns,
                            .number = h->number,
                            .link_size = (uint16_t)(h->link ? cut(h->link_size) : 0),
                            .event = (uint8_t)h->event,
                            .reason = h->reason,
                            .has = h->link ? HAS_LINK : 0};
    if (!feed->ring)
        return;
    size_t size = sizeof record + record.link_size;
    for (int i = 0; i < 2; i++) {
        record.text_size[i] = (uint16_t)(h->text[i] ? cut(h->text_size[i]) : 0);
        record.has |= (uint8_t)(h->text[i] ? HAS_TEXT << i : 0);
        size += record.text_size[i];
    }
    record.size = (uint32_t)((size + 7) & ~(size_t)7);
    make_room(feed, record.size);
    uint8_t *to = feed->ring + feed->next;
    to = (uint8_t *)memcpy(to, &record, sizeof record) + sizeof record;
    if (record.link_size)
        to = (uint8_t *)memcpy(to, h->link, record.link_size) + record.link_size;
    for (int i = 0; i < 2; i++)
        if (record.text_size[i])
            to = (uint8_t *)memcpy(to, h->text[i], record.text_size[i]) + record.text_size[i];
    feed->next += record.size;
    feed->next_seq++;
    feed->last_ns = h->time_ns;
    if (feed->n_readers)
        store->events.happened(store->events_ctx);
}

/* The record as it was noted. */
static void restore(const struct record *record, struct ftx_happening *out)
{
    const char *text = (const char *)(record + 1);
    *out = (struct ftx_happening){.event = record->event,
                                  .reason = record->reason,
                                  .time_ns = record->time_ns,
                                  .number = record->number,
                                  .link = record->has & HAS_LINK ? text : NULL,
                                  .link_size = record->link_size};
    text += record->link_size;
    for (int i = 0; i < 2; i++) {
        out->text[i] = record->has & HAS_TEXT << i ? text : NULL;
        out->text_size[i] = record->text_size[i];
        text += record->text_size[i];
    }
}

/* Writes the record's line (json->out NULL: measures it), which begins at `begin`; notes where it
 * ends. */
static void write_line(struct ftx_feed *feed, struct record *record, uint64_t seq, uint64_t begin,
                       struct ftx_json *json)
{
    struct ftx_happening happening;
    restore(record, &happening);
    ftx_feed_line(&happening, seq, json);
    if (seq != feed->measured_seq)
        return;
    record->end = feed->end = begin + json->size;
    feed->measured_seq++;
    feed->measure = normal(feed, feed->measure + record->size);
}

/* Some more lines are measured; false: all are. */
static bool measure_some(struct ftx_feed *feed)
{
    for (int i = 0; i < MEASURE_AT_ONCE && feed->measured_seq < feed->next_seq; i++) {
        struct ftx_json json = {0};
        feed->measure = normal(feed, feed->measure);
        write_line(feed, record_at(feed, feed->measure), feed->measured_seq, feed->end, &json);
    }
    return feed->measured_seq < feed->next_seq;
}

void ftx_feed_reader(struct ftx_store *store, bool comes)
{
    pthread_mutex_lock(&store->lock);
    store->feed.n_readers += comes ? 1u : -1u;
    pthread_mutex_unlock(&store->lock);
}

uint64_t ftx_feed_end(struct ftx_store *store, int64_t *out_last_ns)
{
    struct ftx_feed *feed = &store->feed;
    uint64_t end;
    bool more;
    do {
        pthread_mutex_lock(&store->lock);
        more = feed->ring && measure_some(feed);
        end = feed->end;
        *out_last_ns = feed->last_ns;
        pthread_mutex_unlock(&store->lock);
    } while (more);
    return end;
}

/* Lines from *in_out_at, which lies in the text. */
static size_t write_lines(struct ftx_feed *feed, uint64_t *in_out_at, char *out, size_t size)
{
    bool measured = *in_out_at < feed->end;
    size_t offset = normal(feed, measured ? feed->first : feed->measure), used = 0;
    uint64_t seq = measured ? feed->first_seq : feed->measured_seq;
    uint64_t begin = measured ? feed->base : feed->end;
    size = size < READ_MAX ? size : READ_MAX;
    for (; seq < feed->next_seq && used < size; seq++) {
        struct record *record = record_at(feed, offset);
        offset = normal(feed, offset + record->size);
        if (seq < feed->measured_seq && record->end <= *in_out_at) {
            begin = record->end;
            continue;
        }
        struct ftx_json json = {.out = line_of(feed), .room = FTX_FEED_LINE_MAX};
        write_line(feed, record, seq, begin, &json);
        size_t from = (size_t)(*in_out_at - begin), left = json.size - from;
        if (used && left > size - used)
            break;
        size_t n = left < size - used ? left : size - used;
        memcpy(out + used, line_of(feed) + from, n);
        used += n;
        *in_out_at += n;
        begin += json.size;
    }
    return used;
}

int ftx_feed_read(struct ftx_store *store, uint64_t *in_out_at, char *out, size_t size,
                  size_t *out_size)
{
    struct ftx_feed *feed = &store->feed;
    uint64_t at = *in_out_at;
    int64_t last_ns;
    pthread_mutex_lock(&store->lock);
    bool beyond = at > feed->end;
    pthread_mutex_unlock(&store->lock);
    if (beyond && at > ftx_feed_end(store, &last_ns))
        at = ftx_feed_end(store, &last_ns);
    pthread_mutex_lock(&store->lock);
    at = at < feed->base ? feed->base : at;
    *out_size = feed->ring ? write_lines(feed, &at, out, size) : 0;
    pthread_mutex_unlock(&store->lock);
    *in_out_at = at - *out_size;
    return *out_size || size == 0 ? 0 : -EAGAIN;
}

/* The text, or NULL, copied to where *in_out_room stands. */
static const char *keep(const char *text, size_t size, char **in_out_room)
{
    if (!text)
        return NULL;
    char *copy = memcpy(*in_out_room, text, size);
    copy[size] = '\0';
    *in_out_room += size + 1;
    return copy;
}

void ftx_feed_to_end(struct ftx_store *store, struct ftx_feed_cursor *out)
{
    pthread_mutex_lock(&store->lock);
    *out = (struct ftx_feed_cursor){.seq = store->feed.next_seq, .offset = store->feed.next};
    pthread_mutex_unlock(&store->lock);
}

bool ftx_feed_next(struct ftx_store *store, struct ftx_feed_cursor *cursor,
                   struct ftx_happening *out, char *room, uint64_t *out_lost)
{
    const struct ftx_feed *feed = &store->feed;
    pthread_mutex_lock(&store->lock);
    bool any = feed->first_seq < feed->next_seq && cursor->seq < feed->next_seq;
    *out_lost =
        any && cursor->seq && cursor->seq < feed->first_seq ? feed->first_seq - cursor->seq : 0;
    if (any && cursor->seq <= feed->first_seq)
        *cursor = (struct ftx_feed_cursor){.seq = feed->first_seq, .offset = feed->first};
    if (any) {
        const struct record *record = record_at(feed, normal(feed, cursor->offset));
        cursor->offset = normal(feed, cursor->offset) + record->size;
        cursor->seq++;
        restore(record, out);
        out->link = keep(out->link, out->link_size, &room);
        for (int i = 0; i < 2; i++)
            out->text[i] = keep(out->text[i], out->text_size[i], &room);
    }
    pthread_mutex_unlock(&store->lock);
    return any;
}

bool ftx_feed_ready(struct ftx_store *store, uint64_t at)
{
    const struct ftx_feed *feed = &store->feed;
    pthread_mutex_lock(&store->lock);
    bool ready = at < feed->end || feed->measured_seq < feed->next_seq;
    pthread_mutex_unlock(&store->lock);
    return ready;
}

void ftx_feed_range(struct ftx_store *store, uint64_t *out_first, uint64_t *out_last)
{
    const struct ftx_feed *feed = &store->feed;
    pthread_mutex_lock(&store->lock);
    bool any = feed->first_seq < feed->next_seq;
    *out_first = any ? feed->first_seq : 0;
    *out_last = any ? feed->next_seq - 1 : 0;
    pthread_mutex_unlock(&store->lock);
}
