/* SPDX-License-Identifier: MIT */
/* Which delivered bytes give their room back: choice, note, punch. */
#include "fs/store/release.h"

#include "fs/store/mirror.h"
#include "fs/store/outbox_internal.h"
#include "fs/store/released.h"
#include "fs/store/remains.h"
#include "fs/store/spool.h"
#include "transport/wire/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    RANGES_MAX = 64,          /* of one file at once */
    FILES_AT_ONCE = 1024,     /* of one round of the database thread */
    RANGE_MAX = 64 << 20,     /* of a file that is in use, so that others have their turn */
    BEHIND_READER = 1 << 20,  /* what somebody reads back stays: so far behind him ... */
    BEFORE_READER = 16 << 20, /* ... and before him */
    ROWS_AT_ONCE = 16,        /* an entry of the journal has room for them */
};

/* What of a file is to be released: the data of its object within ranges of it. */
struct choice {
    uint64_t id, object, size, range_min;
    uint32_t version;
    struct ftx_range ranges[RANGES_MAX];
    size_t n;
    bool whole; /* nobody uses the file, all of it is delivered */
};

/* -- choosing -- */

static bool delivered(const struct ftx_item *item)
{
    return item->state == FTX_ITEM_DELIVERED && !item->as.sending && ftx_outbox_travels(item);
}

static bool unused(const struct ftx_item *item)
{
    return delivered(item) && !item->opened;
}

/* Up to which offset no range of the set stands in [offset, end); *out_next: behind the first that
 * does. */
static uint64_t free_until(const struct ftx_segments *set, uint64_t offset, uint64_t end,
                           uint64_t *out_next)
{
    const struct ftx_segment *segment = ftx_segments_at(set, offset);
    *out_next = end;
    if (!segment || segment->offset >= end)
        return end;
    *out_next = segment->offset + segment->length;
    return segment->offset > offset ? segment->offset : offset;
}

/* Takes [offset, end) for chosen, but for what a reader is at. */
static void choose(struct choice *choice, const struct ftx_released *released, uint64_t offset,
                   uint64_t end)
{
    uint64_t keep_at =
        released && released->next > BEHIND_READER ? released->next - BEHIND_READER : 0;
    uint64_t keep_end = released && released->filled_ms ? released->next + BEFORE_READER : 0;
    if (offset < keep_end && end > keep_at) {
        if (offset < keep_at)
            choose(choice, NULL, offset, keep_at);
        offset = keep_end;
    }
    if (end > offset + RANGE_MAX)
        end = offset + RANGE_MAX;
    if (choice->n < RANGES_MAX && offset < end && end - offset >= choice->range_min)
        choice->ranges[choice->n++] = (struct ftx_range){offset, end - offset};
}

enum { SETS_MAX = 4 + 2 * FTX_GROUP_MEMBERS_MAX };

/* What of a file the peer, or a member of its group, does not have durably, or is released already.
 * Returns how many sets that is; 0: nobody else has anything of it. */
static size_t kept_here(const struct ftx_store *store, const struct ftx_item *item,
                        const struct ftx_segments *sets[SETS_MAX])
{
    static const struct ftx_segments none;
    const struct ftx_sending *sending = item->as.sending;
    const struct ftx_released *released = item->released;
    bool had;
    sets[0] = sending ? &sending->pending : &none;
    sets[1] = sending ? &sending->flying : &none;
    sets[2] = released ? &released->ranges : &none;
    sets[3] = released ? &released->busy : &none;
    size_t n = ftx_mirrors_pending(store, item, sets + 4, &had);
    return had ? 4 + n : 0;
}

/* What of a file in use the peer has durably and is not released yet. */
static void choose_parts(const struct ftx_store *store, const struct ftx_item *item,
                         struct choice *choice)
{
    const struct ftx_released *released = item->released;
    const struct ftx_segments *sets[SETS_MAX];
    size_t n = kept_here(store, item, sets);
    for (uint64_t at = 0; n && at < item->size && choice->n < RANGES_MAX;) {
        uint64_t until = item->size, next = item->size;
        for (size_t i = 0; i < n; i++) {
            uint64_t behind, to = free_until(sets[i], at, item->size, &behind);
            if (to < until || (to == until && behind < next)) {
                until = to;
                next = behind;
            }
        }
        choose(choice, released, at, until);
        at = next;
    }
}

/* False: nothing of it can be released now. Under the lock. */
static bool examine(const struct ftx_store *store, const struct ftx_item *item, struct choice *out)
{
    bool settled = item->state == FTX_ITEM_WRITING || item->state == FTX_ITEM_CLOSED ||
                   item->state == FTX_ITEM_DELIVERED;
    *out = (struct choice){.id = item->id,
                           .object = item->object,
                           .size = item->size,
                           .version = item->version,
                           .range_min = store->spool.range_min};
    if (!settled || !item->object || !ftx_outbox_travels(item))
        return false;
    out->whole = unused(item);
    if (out->whole && item->released && item->released->busy.count)
        return false; /* bytes that came back are being written: then it is queued again */
    if (out->whole)
        out->ranges[out->n++] = (struct ftx_range){0, item->size};
    else
        choose_parts(store, item, out);
    return out->n > 0;
}

/* One range is all of the file. */
static bool is_all(const struct choice *choice)
{
    return choice->n == 1 && choice->ranges[0].offset == 0 &&
           choice->ranges[0].length == choice->size;
}

/* Of each range only what is data: a hole takes no room, and is read without asking anybody. */
static void keep_data(const struct ftx_store *store, struct choice *choice)
{
    struct ftx_range data[RANGES_MAX];
    size_t n = 0;
    int fd = ftx_object_open(&store->objects, choice->object, O_RDONLY);
    for (size_t i = 0; fd >= 0 && i < choice->n; i++) {
        uint64_t at = choice->ranges[i].offset, end = at + choice->ranges[i].length, hole;
        while (n < RANGES_MAX && at < end &&
               ftx_object_seek(fd, at, choice->size, SEEK_DATA, &at) == 0 && at < end &&
               ftx_object_seek(fd, at, choice->size, SEEK_HOLE, &hole) == 0) {
            uint64_t to = hole < end ? hole : end;
            data[n++] = (struct ftx_range){at, to - at};
            at = to;
        }
    }
    if (fd >= 0)
        close(fd);
    choice->n = n;
    for (size_t i = 0; i < n; i++)
        choice->ranges[i] = data[i];
}

/* -- noting -- */

static void note_range(struct ftx_log *log, const struct ftx_item *item, uint64_t offset,
                       uint64_t length)
{
    struct ftx_segment segment = {.offset = offset, .length = length, .kind = FTX_SEGMENT_RELEASED};
    ftx_log_segment(log, item->id, &segment);
}

/* Extents from the `first` on are released, with their prints. */
static void note_prints(struct ftx_log *log, const struct ftx_item *item, uint64_t first)
{
    for (uint64_t i = first; i < item->prints->n && i < first + ROWS_AT_ONCE; i++) {
        struct ftx_segment segment = {.offset = i * FTX_EXTENT_MAX,
                                      .length = ftx_prints_length(i, item->size),
                                      .kind = FTX_SEGMENT_RELEASED,
                                      .hashed = true};
        memcpy(segment.hash, item->prints->at[i], sizeof segment.hash);
        ftx_log_segment(log, item->id, &segment);
    }
}

/* Nothing of the file is left here: its object goes. */
static void note_whole(struct ftx_log *log, struct ftx_item *item)
{
    ftx_log_trash(log, item->object);
    ftx_trash_add(log->store, item);
    ftx_released_whole(item);
    if (item->prints)
        note_prints(log, item, (item->prints->n - 1) / ROWS_AT_ONCE * ROWS_AT_ONCE);
    else
        note_range(log, item, 0, item->size);
    ftx_log_item(log, item);
}

static void note_punch(struct ftx_log *log, struct ftx_item *item, const struct ftx_range *range)
{
    struct ftx_punch *punch = malloc(sizeof *punch);
    if (!punch || ftx_released_put(item, range->offset, range->offset + range->length)) {
        free(punch);
        return;
    }
    *punch = (struct ftx_punch){.item = item->id, .object = item->object, .range = *range};
    ftx_list_init(&punch->node);
    ftx_list_append(&log->store->spool.punches, &punch->node);
    log->store->spool.n_going++;
    note_range(log, item, range->offset, range->length);
    if (item->opened)
        item->opened->releases++;
}

/* Is the range still as it was when it was chosen? */
static bool still_free(const struct ftx_store *store, const struct ftx_item *item,
                       const struct ftx_range *range)
{
    uint64_t end = range->offset + range->length, next;
    const struct ftx_segments *sets[SETS_MAX];
    size_t n = kept_here(store, item, sets);
    if (n == 0 || end > item->size || ftx_released_any(item, range->offset, end))
        return false;
    for (size_t i = 0; i < n; i++)
        if (free_until(sets[i], range->offset, end, &next) != end)
            return false;
    return true;
}

/* The file, if it is still what was chosen. */
static struct ftx_item *chosen(struct ftx_store *store, const struct choice *choice)
{
    struct ftx_item *item = ftx_item_find(&store->index, choice->id);
    struct choice now;
    bool same = item && item->link && item->object == choice->object &&
                item->version == choice->version && examine(store, item, &now) &&
                now.whole == choice->whole && now.size == choice->size;
    return same ? item : NULL;
}

/* The database thread makes room in the journal, so it cannot wait for it: false, nothing was
 * noted. */
static bool note(struct ftx_store *store, const struct choice *choice)
{
    struct ftx_log log;
    if (!ftx_log_try(&log, store))
        return false;
    struct ftx_item *item = chosen(store, choice);
    if (item && choice->whole && is_all(choice))
        note_whole(&log, item);
    for (size_t i = 0; item && item->object && i < choice->n; i++)
        if (still_free(store, item, &choice->ranges[i]))
            note_punch(&log, item, &choice->ranges[i]);
    if (item && choice->whole && item->released &&
        ftx_segments_cover(&item->released->ranges, 0, item->size))
        note_whole(&log, item);
    if (item && choice->n == RANGES_MAX)
        ftx_release_later(store, item); /* there may be more */
    ftx_log_commit(&log);
    return true;
}

/* -- prints -- */

static bool is_printing(const struct ftx_printing *printing, const struct choice *choice)
{
    return printing->item == choice->id && printing->object == choice->object &&
           printing->version == choice->version && printing->size == choice->size;
}

static void begin_printing(struct ftx_printing *printing, const struct ftx_item *item,
                           const struct choice *choice)
{
    ftx_printing_begin(printing, choice->size);
    printing->item = choice->id;
    printing->object = choice->object;
    printing->version = choice->version;
    ftx_print_key(item->link, &printing->key);
}

/* Makes prints of a file that has none. False: not done yet, the file is the next one again. */
static bool print(struct ftx_store *store, const struct choice *choice)
{
    struct ftx_printing *printing = &store->spool.printing;
    pthread_mutex_lock(&store->lock);
    struct ftx_item *item = chosen(store, choice);
    bool wanted = item && !item->prints && !item->unsure && !ftx_link_is_group(item->link) &&
                  !ftx_released_any(item, 0, item->size);
    if (wanted && !is_printing(printing, choice))
        begin_printing(printing, item, choice);
    pthread_mutex_unlock(&store->lock);
    if (!wanted)
        return true;
    bool done = ftx_printing_go_on(printing, &store->objects);
    pthread_mutex_lock(&store->lock);
    item = chosen(store, choice);
    if (item && !done)
        ftx_release_again(&store->spool, item);
    if (item && done) {
        item->prints = printing->prints;
        printing->prints = NULL;
    }
    pthread_mutex_unlock(&store->lock);
    if (done)
        ftx_printing_end(printing);
    return done;
}

/* The rows of a large file's first extents, as many as are too many for its last entry. False: not
 * all of them. */
static bool note_first(struct ftx_store *store, const struct choice *choice)
{
    for (uint64_t i = 0; i + ROWS_AT_ONCE < ftx_prints_count(choice->size); i += ROWS_AT_ONCE) {
        struct ftx_log log;
        if (!ftx_log_try(&log, store))
            return false;
        struct ftx_item *item = chosen(store, choice);
        if (item && item->prints &&
            !ftx_released_put(item, i * FTX_EXTENT_MAX, (i + ROWS_AT_ONCE) * FTX_EXTENT_MAX))
            note_prints(&log, item, i);
        ftx_log_commit(&log);
    }
    return true;
}

/* -- giving room back -- */

static uint64_t room_of(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}

/* A range of the object was occupied, and takes less room now. Under the lock. */
static void vacate(struct ftx_store *store, uint64_t id, uint64_t offset, uint64_t end,
                   uint64_t before, uint64_t after)
{
    struct ftx_item *item = ftx_item_find(&store->index, id);
    if (item)
        ftx_released_leave(store, item, offset, end);
    if (item && item->opened && item->opened->fd >= 0)
        ftx_spool_measure(store, item);
    else if (before > after)
        ftx_spool_gained(store, before - after);
}

/* What was reserved in a file that nobody uses, and never written, is given back: the rest of it
 * will be released, too. */
static void trim(struct ftx_store *store, const struct choice *choice)
{
    pthread_mutex_lock(&store->lock);
    struct ftx_item *item = ftx_item_find(&store->index, choice->id);
    bool may = item && item->link && item->object == choice->object && unused(item) &&
               ftx_released_occupy(item, 0, FTX_OFFSET_MAX) == 0;
    pthread_mutex_unlock(&store->lock);
    int fd = may ? ftx_object_open(&store->objects, choice->object, O_WRONLY) : -1;
    uint64_t before = fd >= 0 ? room_of(fd) : 0;
    if (fd >= 0)
        (void)ftx_object_trim(fd); /* what it cannot give back it keeps */
    uint64_t after = fd >= 0 ? room_of(fd) : 0;
    if (fd >= 0)
        close(fd);
    pthread_mutex_lock(&store->lock);
    if (may)
        vacate(store, choice->id, 0, FTX_OFFSET_MAX, before, after);
    pthread_mutex_unlock(&store->lock);
}

/* -- the database thread's turn -- */

/* The next file of the queue that is due; false: none is. Under the lock. */
static bool next_choice(struct ftx_store *store, bool short_of_room, size_t *looked,
                        struct choice *out)
{
    struct ftx_spool *spool = &store->spool;
    for (size_t left = spool->n; left > 0 && *looked < FILES_AT_ONCE; left--, ++*looked) {
        int64_t since_ms = spool->entries[spool->first].since_ms;
        if (!short_of_room && since_ms + spool->release_after_ms > ftx_now_ms())
            return false;
        struct ftx_item *item = ftx_release_pop(store);
        if (!item || !item->object || item->kind != FTX_FILE)
            continue;
        bool again = !unused(item) || (item->used && !short_of_room);
        if (again && ftx_outbox_travels(item))
            ftx_release_push(spool, item);
        if ((short_of_room || !again) && examine(store, item, out)) {
            ++*looked;
            return true;
        }
    }
    return false;
}

static void queue_again(struct ftx_store *store, uint64_t id)
{
    pthread_mutex_lock(&store->lock);
    struct ftx_item *item = ftx_item_find(&store->index, id);
    if (item && item->link)
        ftx_release_later(store, item);
    pthread_mutex_unlock(&store->lock);
}

/* Notes one file's; returns how many bytes that are, or are printed. *out_done: no prints are being
 * made. */
static uint64_t release_file(struct ftx_store *store, struct choice *choice, bool *out_done)
{
    uint64_t bytes = 0;
    keep_data(store, choice);
    bool all = choice->whole && is_all(choice);
    if (choice->whole && !all)
        trim(store, choice);
    *out_done = !all || print(store, choice);
    if (!*out_done)
        return 1;
    if ((all && !note_first(store, choice)) || !note(store, choice)) {
        queue_again(store, choice->id);
        return 0;
    }
    for (size_t i = 0; i < choice->n; i++)
        bytes += choice->ranges[i].length;
    return bytes;
}

void ftx_release_some(struct ftx_store *store)
{
    uint64_t gained = 0;
    pthread_mutex_lock(&store->lock);
    struct ftx_spool *spool = &store->spool;
    uint64_t shortage = spool->pressed ? ftx_spool_shortage(store) : 0;
    spool->pressed = shortage > 0;
    if (shortage)
        ftx_remains_drop_all(store);
    size_t looked = 0, most = spool->n;
    bool done = true;
    struct choice choice;
    while (done && looked < most && looked < FILES_AT_ONCE && (!shortage || gained < shortage) &&
           next_choice(store, shortage > 0, &looked, &choice)) {
        spool->n_going++;
        pthread_mutex_unlock(&store->lock);
        gained += release_file(store, &choice, &done);
        pthread_mutex_lock(&store->lock);
        spool->n_going--;
    }
    spool->in_vain = gained ? 0 : spool->in_vain + looked;
    spool->more = spool->in_vain < spool->n;
    pthread_mutex_unlock(&store->lock);
}

/* Up to where nobody has claimed [offset, end) for a write that is under way, which leaves it
 * released until it is done. *out_next: behind the first claim. */
static uint64_t unclaimed_until(const struct ftx_item *item, uint64_t offset, uint64_t end,
                                uint64_t *out_next)
{
    *out_next = end;
    return item->as.sending ? free_until(&item->as.sending->pending, offset, end, out_next) : end;
}

/* The first part of the range that is still released gives its room back: bytes may have been
 * written or fetched meanwhile. False: there is none. Under the lock, which is given away. */
static bool punch_next(struct ftx_store *store, const struct ftx_punch *wanted, int fd,
                       uint64_t *in_out_at)
{
    uint64_t at, to, next, end = wanted->range.offset + wanted->range.length;
    struct ftx_item *item = ftx_item_find(&store->index, wanted->item);
    if (!item || item->object != wanted->object ||
        !ftx_released_next(item, *in_out_at, end, &at, &to))
        return false;
    to = unclaimed_until(item, at, to, &next);
    *in_out_at = next;
    if (at == to || ftx_released_occupy(item, at, to))
        return true; /* the next release finds it */
    pthread_mutex_unlock(&store->lock);
    uint64_t before = room_of(fd);
    int err = ftx_object_punch(fd, at, to - at);
    uint64_t after = room_of(fd);
    pthread_mutex_lock(&store->lock);
    vacate(store, wanted->item, at, to, before, err ? before : after);
    return true;
}

static void punch(struct ftx_store *store, const struct ftx_punch *wanted)
{
    int fd = ftx_object_open(&store->objects, wanted->object, O_WRONLY);
    uint64_t at = wanted->range.offset;
    pthread_mutex_lock(&store->lock);
    while (fd >= 0 && punch_next(store, wanted, fd, &at))
        ;
    store->spool.n_going--;
    pthread_mutex_unlock(&store->lock);
    if (fd >= 0)
        close(fd);
}

void ftx_release_punch(struct ftx_store *store, struct ftx_list *punches)
{
    bool any = !ftx_list_empty(punches);
    for (struct ftx_list *node; (node = ftx_list_pop(punches));) {
        struct ftx_punch *wanted = ftx_list_of(node, struct ftx_punch, node);
        punch(store, wanted);
        free(wanted);
    }
    if (any)
        store->events.arrived(store->events_ctx); /* writers may wait for room */
}
