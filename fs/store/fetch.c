/* SPDX-License-Identifier: MIT */
/* Released bytes: who asks for them, what the peer answers, and what it is answered itself. */
#include "fs/store/fetch.h"

#include "fs/store/inbox.h"
#include "fs/store/mirror.h"
#include "fs/store/outbox_internal.h"
#include "fs/store/released.h"
#include "fs/store/spool.h"
#include "transport/base/err.h"
#include "transport/base/hash.h"
#include "transport/base/log.h"
#include "transport/wire/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    WINDOW_MIN = 128 << 10, /* asked for at once for a reader that jumps ... */
    WINDOW_MAX = 16 << 20,  /* ... and ahead of one that has gone on for a while */
    FETCHES_MAX = 256,      /* waiting to be asked for, of a link */
};

/* A range to ask the peer for. */
struct fetch {
    struct ftx_list node; /* link->fetches */
    uint64_t item, offset, length;
    bool proves; /* `item` is a mirror, whose peer is to show that it has the byte */
};

/* -- readers ask -- */

/* Of a group's file any member may have been asked. */
static bool asked(const struct ftx_item *item, const struct ftx_segment *segment)
{
    const struct ftx_link *link = item->link;
    bool now = !ftx_link_is_group(link) && segment->tag == link->session;
    for (size_t i = 0; i < link->n_members && !now; i++)
        now = link->members[i]->in_session && segment->tag == link->members[i]->session;
    return segment->state == FTX_RELEASED_ASKED && now;
}

/* Whose peer is to be asked for the range; NULL: nobody's, now. */
static struct ftx_link *source(const struct ftx_store *store, const struct ftx_item *item,
                               uint64_t offset, uint64_t end)
{
    if (!ftx_link_is_group(item->link))
        return item->link;
    const struct ftx_item *mirror = ftx_mirrors_supplier(store, item, offset, end, true);
    return mirror ? mirror->link : NULL;
}

/* Does some peer have the first released bytes of the range, connected or not? */
static bool has_source(const struct ftx_store *store, const struct ftx_item *item, uint64_t offset,
                       uint64_t end)
{
    uint64_t at, to;
    return !ftx_link_is_group(item->link) || !ftx_released_next(item, offset, end, &at, &to) ||
           ftx_mirrors_supplier(store, item, at, to, false);
}

/* Somebody waits for bytes of the file: a program, or a member that joined late. */
static bool is_needed(const struct ftx_store *store, const struct ftx_item *item, uint64_t offset,
                      uint64_t end)
{
    return item->opened || ftx_mirrors_await(store, item, offset, end);
}

/* Marks a released range as asked for, and has the loop ask. False: not now. */
static bool ask_range(const struct ftx_store *store, struct ftx_item *item, uint64_t offset,
                      uint64_t end)
{
    struct ftx_link *link = source(store, item, offset, end);
    if (!link)
        return false;
    struct ftx_segment segment = {.offset = offset,
                                  .length = end - offset,
                                  .kind = FTX_SEGMENT_RELEASED,
                                  .state = FTX_RELEASED_ASKED,
                                  .tag = link->session};
    struct fetch *fetch = link->n_fetches < FETCHES_MAX ? malloc(sizeof *fetch) : NULL;
    if (!fetch || ftx_segments_put(&item->released->ranges, &segment)) {
        free(fetch);
        return false;
    }
    *fetch = (struct fetch){.item = item->id, .offset = offset, .length = end - offset};
    ftx_list_init(&fetch->node);
    ftx_list_append(&link->fetches, &fetch->node);
    link->n_fetches++;
    return true;
}

int ftx_fetch_prove(struct ftx_item *mirror, uint64_t offset)
{
    struct fetch *fetch = malloc(sizeof *fetch);
    if (!fetch)
        return -EBUSY;
    *fetch = (struct fetch){.item = mirror->id, .offset = offset, .length = 1, .proves = true};
    ftx_list_init(&fetch->node);
    ftx_list_append(&mirror->link->fetches, &fetch->node);
    mirror->link->n_fetches++;
    mirror->proving = true;
    return -EAGAIN;
}

/* Asks for what of [offset, end) was not asked for yet, in pieces within cells. */
static bool ask_ahead(const struct ftx_store *store, struct ftx_item *item, uint64_t offset,
                      uint64_t end)
{
    bool any = false;
    uint64_t at = offset, to;
    while (ftx_released_next(item, at, end, &at, &to)) {
        uint64_t cell = (at / FTX_EXTENT_MAX + 1) * FTX_EXTENT_MAX;
        const struct ftx_segment *segment = ftx_segments_at(&item->released->ranges, at);
        bool skip = asked(item, segment) || segment->state == FTX_RELEASED_LOST;
        if (to > cell)
            to = cell;
        if (!skip && !ask_range(store, item, at, to))
            break;
        any |= !skip;
        at = to;
    }
    return any;
}

/* The errno of a range in [offset, end) that cannot be had, or 0. */
static int lost(const struct ftx_item *item, uint64_t offset, uint64_t end)
{
    if (!item->released || !item->released->lost)
        return 0;
    for (const struct ftx_segment *segment = ftx_segments_at(&item->released->ranges, offset);
         segment && segment->offset < end;
         segment = ftx_segments_at(&item->released->ranges, segment->offset + segment->length))
        if (segment->state == FTX_RELEASED_LOST)
            return (int)segment->tag;
    return 0;
}

/* How far ahead to ask: twice as far as before for a reader that goes on where it was. */
static uint64_t window(struct ftx_released *released, uint64_t offset, uint64_t end)
{
    bool goes_on = offset <= released->next && end > released->next;
    bool again = end <= released->next && offset + WINDOW_MAX > released->next;
    if (goes_on && released->window)
        released->window = released->window < WINDOW_MAX / 2 ? 2 * released->window : WINDOW_MAX;
    else if (!again)
        released->window = WINDOW_MIN;
    if (!again)
        released->next = end;
    return released->window;
}

int ftx_fetch_ask(struct ftx_store *store, struct ftx_item *item, uint64_t offset, uint64_t end,
                  bool want, bool *out_asked)
{
    if (!ftx_released_any(item, offset, end))
        return 0;
    if (!ftx_outbox_travels(item))
        return -ENODATA; /* its number is free at the peer */
    int err = lost(item, offset, end);
    if (!err && !has_source(store, item, offset, end))
        err = -ENODATA;
    if (!err && want)
        err = ftx_released_spread(item);
    if (err)
        return err;
    if (want) {
        uint64_t ahead = offset + window(item->released, offset, end);
        *out_asked |= ask_ahead(store, item, offset, ahead > end ? ahead : end);
    }
    return -EAGAIN;
}

void ftx_fetch_retry(struct ftx_store *store, struct ftx_item *item)
{
    struct ftx_released *released = item->released;
    struct ftx_item *mirror;
    if (!released)
        return;
    for (size_t at = 0; (mirror = ftx_mirror_next(store, item, &at));)
        mirror->stale = false;
    if (!released->lost)
        return;
    for (struct ftx_segment *segment = ftx_segments_at(&released->ranges, 0); segment;
         segment = ftx_segments_at(&released->ranges, segment->offset + segment->length))
        if (segment->state == FTX_RELEASED_LOST)
            segment->state = FTX_RELEASED_AWAY;
    released->lost = false;
}

/* -- the loop asks the peer -- */

static struct fetch *pop(struct ftx_link *link)
{
    struct ftx_list *node = ftx_list_pop(&link->fetches);
    link->n_fetches -= node != NULL;
    return node ? ftx_list_of(node, struct fetch, node) : NULL;
}

/* Is it still to be asked for? The range may have been written to, or the file be gone. */
static bool still_wanted(const struct ftx_store *store, const struct ftx_item *item,
                         const struct fetch *fetch)
{
    uint64_t at, to, end = fetch->offset + fetch->length;
    return item && item->linked && item->released && is_needed(store, item, fetch->offset, end) &&
           ftx_released_next(item, fetch->offset, end, &at, &to) && at == fetch->offset &&
           to == end && asked(item, ftx_segments_at(&item->released->ranges, at));
}

/* Somebody wrote into a range before it was asked for: whoever needs a part of it asks for that. */
static void unask(struct ftx_item *item, const struct fetch *fetch)
{
    const struct ftx_segments *ranges = &item->released->ranges;
    uint64_t end = fetch->offset + fetch->length;
    for (struct ftx_segment *segment = ftx_segments_at(ranges, fetch->offset);
         segment && segment->offset < end;
         segment = ftx_segments_at(ranges, segment->offset + segment->length))
        if (segment->state == FTX_RELEASED_ASKED)
            segment->state = FTX_RELEASED_AWAY;
}

bool ftx_fetch_next(struct ftx_store *store, struct ftx_link *link, uint64_t *out_stream,
                    struct ftx_range *out_range)
{
    bool found = false;
    pthread_mutex_lock(&store->lock);
    for (struct fetch *fetch; !found && (fetch = pop(link)) != NULL; free(fetch)) {
        struct ftx_item *item = ftx_item_find(&store->index, fetch->item);
        const struct ftx_item *told =
            item && ftx_link_is_group(item->link) ? ftx_mirror_of(store, item, link) : item;
        found = told && (fetch->proves ? item->linked : still_wanted(store, item, fetch));
        if (found) {
            *out_stream = ftx_item_wire(told);
            *out_range = (struct ftx_range){fetch->offset, fetch->length};
        } else if (item && item->released && !fetch->proves) {
            unask(item, fetch);
        }
    }
    pthread_mutex_unlock(&store->lock);
    return found;
}

void ftx_fetch_restart(struct ftx_store *store, struct ftx_link *link)
{
    struct ftx_log log;
    ftx_log_lock(&log, store);
    link->session = ++store->n_sessions;
    link->in_session = true;
    for (struct fetch *fetch; (fetch = pop(link)) != NULL;)
        free(fetch);
    ftx_mirrors_pull(&log, link);
    log.arrived = true; /* readers look, and ask again */
    ftx_log_commit(&log);
}

void ftx_fetch_ended(struct ftx_log *log, struct ftx_link *link)
{
    link->in_session = false;
    if (!link->n_groups)
        return;
    for (struct fetch *fetch; (fetch = pop(link)) != NULL;)
        free(fetch);
    ftx_mirrors_pull(log, link);
    log->arrived = true;
}

void ftx_fetch_forget(struct ftx_link *link)
{
    for (struct fetch *fetch; (fetch = pop(link)) != NULL;)
        free(fetch);
}

/* -- the answer -- */

/* The parts of a range that are still released get a state: they can be asked for, or not. */
static void set_state(struct ftx_item *item, uint64_t offset, uint64_t end,
                      enum ftx_released_state state, uint64_t tag)
{
    uint64_t at = offset, to;
    while (item->released && ftx_released_next(item, at, end, &at, &to)) {
        struct ftx_segment segment = {.offset = at,
                                      .length = to - at,
                                      .kind = FTX_SEGMENT_RELEASED,
                                      .state = (uint8_t)state,
                                      .tag = tag};
        if (ftx_segments_put(&item->released->ranges, &segment))
            return;
        item->released->lost |= state == FTX_RELEASED_LOST;
        at = to;
    }
}

/* The file whose bytes come back as this stream of the link; NULL: none, or it was removed. */
static struct ftx_item *released_file(struct ftx_store *store, const struct ftx_link *link,
                                      uint64_t stream)
{
    struct ftx_item *item = ftx_outgoing_item(store, link, stream);
    return item ? ftx_mirror_contents(store, item) : NULL;
}

void ftx_fetch_answered(struct ftx_store *store, struct ftx_link *link, uint64_t asked,
                        const struct ftx_extent *extent)
{
    pthread_mutex_lock(&store->lock);
    struct ftx_item *mirror = ftx_outgoing_item(store, link, extent->stream);
    struct ftx_item *item = mirror ? ftx_mirror_contents(store, mirror) : NULL;
    if (item != mirror)
        ftx_mirror_shows(mirror, item->link, extent->kind != FTX_EXTENT_GONE);
    if (item && asked > extent->length)
        set_state(item, extent->offset + extent->length, extent->offset + asked, FTX_RELEASED_AWAY,
                  0);
    pthread_mutex_unlock(&store->lock);
}

/* May the answer be written? Not where somebody wrote, or is about to. */
static bool fits(const struct ftx_store *store, const struct ftx_item *item, uint64_t offset,
                 uint64_t end)
{
    uint64_t from, to;
    const struct ftx_segment *pending =
        item->as.sending ? ftx_segments_at(&item->as.sending->pending, offset) : NULL;
    if (!is_needed(store, item, offset, end) || item->away || (pending && pending->offset < end))
        return false;
    for (uint64_t at = offset; at < end; at = to)
        if (!ftx_released_next(item, at, end, &from, &to) || from != at)
            return false;
    return true;
}

int ftx_fetch_begin(struct ftx_store *store, struct ftx_link *link, const struct ftx_extent *extent,
                    uint64_t *out_item, uint64_t *out_object)
{
    uint64_t end = extent->offset + extent->length;
    struct ftx_log log;
    int err = ftx_log_begin(&log, store);
    if (err)
        return err;
    struct ftx_item *item = released_file(store, link, extent->stream);
    if (!item || !item->released)
        err = -EALREADY;
    else if (!fits(store, item, extent->offset, end) ||
             ftx_released_occupy(item, extent->offset, end)) {
        set_state(item, extent->offset, end, FTX_RELEASED_AWAY, 0);
        err = -EALREADY;
    }
    if (!err && !item->object) {
        item->object = ftx_random_id();
        if (item->opened)
            item->opened->measured = true;
        ftx_log_item(&log, item); /* before the object is made */
    }
    if (!err) {
        *out_item = item->id;
        *out_object = item->object;
    }
    log.arrived = err == -EALREADY;
    ftx_log_commit(&log);
    return err;
}

void ftx_fetch_wrote(struct ftx_store *store, uint64_t id, const struct ftx_extent *extent, int err)
{
    uint64_t end = extent->offset + extent->length;
    struct ftx_log log;
    ftx_log_lock(&log, store);
    struct ftx_item *item = ftx_outbox_file_of(store, id);
    if (item) {
        if (err && err != -ECANCELED)
            set_state(item, extent->offset, end, FTX_RELEASED_LOST, (uint64_t)err);
        else if (err)
            set_state(item, extent->offset, end, FTX_RELEASED_AWAY, 0);
        else if (ftx_released_cut(item, extent->offset, end))
            set_state(item, extent->offset, end, FTX_RELEASED_AWAY, 0);
        if (item->released)
            item->released->filled_ms = ftx_now_ms();
        ftx_released_leave(store, item, extent->offset, end);
        if (!item->opened && !err) /* measured when it is opened, or given back */
            store->spool.used += store->spool.max ? extent->length : 0;
        ftx_spool_filled(store, item);
        ftx_mirrors_due(&log, item);
    }
    if (err && err != -ECANCELED)
        ftx_log(FTX_LOG_WARNING, "bytes that came back cannot be written: %s", ftx_err_text(err));
    log.arrived = true;
    ftx_log_commit(&log);
}

void ftx_fetch_gone(struct ftx_store *store, struct ftx_link *link, const struct ftx_extent *extent)
{
    struct ftx_log log;
    ftx_log_lock(&log, store);
    uint64_t end = extent->offset + extent->length;
    struct ftx_item *mirror = ftx_outgoing_item(store, link, extent->stream);
    struct ftx_item *item = mirror ? ftx_mirror_contents(store, mirror) : NULL;
    if (item != mirror) /* another member may have it */
        mirror->stale = true;
    if (item != mirror && ftx_mirrors_supplier(store, item, extent->offset, end, false))
        set_state(item, extent->offset, end, FTX_RELEASED_AWAY, 0);
    else if (item)
        set_state(item, extent->offset, end, FTX_RELEASED_LOST, (uint64_t)-ENODATA);
    if (item)
        ftx_mirrors_due(&log, item);
    log.arrived = true;
    ftx_log_commit(&log);
}

/* -- the peer asks for what is in the inbox -- */

/* The range of a file without missing parts. */
static void serve_whole(const struct ftx_item *item, struct ftx_source *out)
{
    uint64_t left = out->extent.offset < item->size ? item->size - out->extent.offset : 0;
    if (left < out->extent.length)
        out->extent.length = left;
    out->object = item->object;
    out->extent.kind = item->object ? FTX_EXTENT_DATA : FTX_EXTENT_HOLE;
}

/* The range of one that is arriving: what has come of it, then what its base has. */
static bool serve_arriving(const struct ftx_item *item, struct ftx_source *out)
{
    const struct ftx_arriving *arriving = item->as.arriving;
    const struct ftx_segment *segment =
        ftx_segments_at(&arriving->landing->have, out->extent.offset);
    bool here = segment && segment->offset <= out->extent.offset;
    uint64_t limit = here      ? segment->offset + segment->length
                     : segment ? segment->offset
                               : UINT64_MAX;
    if (limit - out->extent.offset < out->extent.length)
        out->extent.length = limit - out->extent.offset;
    if (!here) {
        const struct ftx_item *base = arriving->base;
        if (!base || base->remote != item->remote || out->extent.offset >= base->size)
            return false;
        serve_whole(base, out);
        return true;
    }
    out->object = item->object;
    out->extent.kind =
        segment->kind == FTX_SEGMENT_HOLE || !item->object ? FTX_EXTENT_HOLE : FTX_EXTENT_DATA;
    return true;
}

void ftx_fetch_serve(struct ftx_store *store, struct ftx_link *link, uint64_t stream,
                     const struct ftx_range *range, struct ftx_source *out)
{
    *out = (struct ftx_source){
        .extent = {.stream = stream, .offset = range->offset, .length = range->length}};
    pthread_mutex_lock(&store->lock);
    const struct ftx_item *item = ftx_item_find_remote(&store->index, link, stream);
    bool file = item && item->box == FTX_INBOX && item->kind == FTX_FILE &&
                item->state != FTX_ITEM_FAILED && item->state != FTX_ITEM_TAKEN;
    bool here = file && item->as.arriving ? serve_arriving(item, out)
                : file                    ? (serve_whole(item, out), true)
                                          : false;
    pthread_mutex_unlock(&store->lock);
    if (!here || out->extent.length == 0) {
        out->extent.length = range->length;
        out->extent.kind = FTX_EXTENT_GONE;
    }
}

int ftx_fetch_read(void *ctx, struct ftx_source *source, uint8_t *out)
{
    struct ftx_store *store = ctx;
    size_t size = (size_t)source->extent.length;
    int fd = ftx_object_open(&store->objects, source->object, O_RDONLY);
    if (fd < 0)
        return fd;
    int err = ftx_object_read_padded(fd, out, size, source->extent.offset);
    close(fd);
    if (!err && !ftx_object_is_here(&store->objects, source->object))
        err = -ENOENT; /* its owner has taken it, and may have written to it */
    if (err)
        return err;
    ftx_hash(out, size, source->extent.hash);
    return 0;
}
