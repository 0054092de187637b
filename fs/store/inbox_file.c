/* SPDX-License-Identifier: MIT */
/* Contents of inbox files: extents come, a seal makes them complete. */
#include "fs/store/inbox.h"

#include "fs/store/change_log.h"
#include "fs/store/inbox_room.h"
#include "fs/store/news.h"
#include "fs/store/offer.h"
#include "fs/store/tell.h"
#include "transport/base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct ftx_item *ftx_inbox_file_of(const struct ftx_store *store, uint64_t id)
{
    struct ftx_item *item = ftx_item_find(&store->index, id);
    return item && item->link && item->box == FTX_INBOX && item->kind == FTX_FILE ? item : NULL;
}

/* The shadow that collects the next version of a complete file. */
static struct ftx_item *begin_version(struct ftx_log *log, struct ftx_item *base, uint32_t version)
{
    struct ftx_store *store = log->store;
    struct ftx_item *shadow =
        ftx_item_new(&store->index, ftx_log_next_item(log), FTX_FILE, FTX_INBOX, base->link);
    if (!shadow)
        return NULL;
    shadow->name = strdup(base->name);
    if (!shadow->name || !ftx_arriving_get(shadow)) {
        ftx_item_free(&store->index, shadow);
        return NULL;
    }
    shadow->name_size = base->name_size;
    shadow->mode = base->mode;
    shadow->mtime_ns = base->mtime_ns;
    shadow->ctime_ns = base->ctime_ns;
    shadow->size = base->size;
    shadow->state = FTX_ITEM_ARRIVING;
    shadow->version = version;
    shadow->as.arriving->base = base;
    shadow->as.arriving->since_ms = ftx_since_ms();
    base->shadow = shadow;
    ftx_item_set_remote(&store->index, shadow, base->remote);
    ftx_log_item(log, shadow);
    ftx_tell_item(log, FTX_EVENT_ARRIVING, shadow);
    return shadow;
}

/* The complete version that an unfinished one of the same file is to replace; NULL: there is none.
 */
static const struct ftx_item *updated(const struct ftx_item *item)
{
    const struct ftx_item *base = item->as.arriving->base;
    return base && base->remote == item->remote ? base : NULL;
}

/* The last version that is complete here, 0: none. Content of any later one counts, in whatever
 * order it comes. */
static uint32_t complete_version(const struct ftx_item *item)
{
    if (!item->as.arriving)
        return item->version;
    const struct ftx_item *base = updated(item);
    return base ? base->version : 0;
}

/* The item that takes content of this version; NULL with *out_err. */
static struct ftx_item *receiver_of(struct ftx_log *log, struct ftx_link *link, uint64_t stream,
                                    uint32_t version, int *out_err)
{
    struct ftx_item *item = ftx_item_find_remote(&log->store->index, link, stream);
    *out_err = -ENOENT;
    if (!item || item->kind != FTX_FILE)
        return NULL;
    *out_err = ftx_offer_check(item);
    if (*out_err)
        return NULL;
    *out_err = -EALREADY;
    if (version <= complete_version(item))
        return NULL;
    *out_err = item->state == FTX_ITEM_TAKEN || item->going ? -ENOENT : -ENOMEM;
    if (!item->as.arriving && *out_err == -ENOENT)
        return NULL; /* an update would have nothing to begin with */
    if (!item->as.arriving)
        return begin_version(log, item, version);
    if (version > item->version || item->state != FTX_ITEM_ARRIVING) {
        item->version = version > item->version ? version : item->version;
        item->state = FTX_ITEM_ARRIVING;
        item->as.arriving->sealed = false;
        ftx_log_item(log, item);
    }
    return item;
}

/* The same for a SEAL: one that a later version has overtaken means nothing. */
static struct ftx_item *sealed_item(struct ftx_log *log, struct ftx_link *link,
                                    const struct ftx_plan_seal *seal, int *out_err)
{
    struct ftx_item *item = receiver_of(log, link, seal->stream, seal->version, out_err);
    if (!item || seal->version == item->version)
        return item;
    *out_err = -EALREADY;
    return NULL;
}

void ftx_inbox_deny(struct ftx_store *store, uint64_t id)
{
    struct ftx_log log;
    if (ftx_log_begin(&log, store))
        return; /* it stays incomplete */
    struct ftx_item *item = ftx_inbox_file_of(store, id);
    if (item && item->as.arriving && item->state == FTX_ITEM_ARRIVING)
        ftx_inbox_refuse(&log, item, FTX_REFUSED_TYPE);
    ftx_log_commit(&log);
}

bool ftx_inbox_copying(struct ftx_store *store, uint64_t id)
{
    pthread_mutex_lock(&store->lock);
    const struct ftx_item *item = ftx_inbox_file_of(store, id);
    bool copying = item && item->as.arriving && item->as.arriving->landing->copying;
    pthread_mutex_unlock(&store->lock);
    return copying;
}

/* What an extent takes on the disk, as if nothing of it were there; a hole takes nothing. */
static uint64_t cost(const struct ftx_extent *extent)
{
    return extent->kind == FTX_EXTENT_DATA ? extent->length : 0;
}

/* A file that grows beyond what the link's owner takes goes: -EFBIG. */
static int check_size(struct ftx_log *log, struct ftx_item *item, uint64_t size)
{
    uint64_t most = item->link->settings.max_size;
    if (!most || size <= most)
        return 0;
    ftx_inbox_refuse(log, item, FTX_REFUSED_SIZE);
    return -EFBIG;
}

static uint64_t size_with(const struct ftx_extent *extent)
{
    uint64_t end = extent->offset + extent->length;
    return end > extent->size_now ? end : extent->size_now;
}

int ftx_inbox_begin(struct ftx_store *store, struct ftx_link *link, const struct ftx_extent *extent,
                    uint64_t *out_item, uint64_t *out_object)
{
    struct ftx_log log;
    int err = ftx_log_begin(&log, store);
    if (err)
        return err;
    struct ftx_item *item = receiver_of(&log, link, extent->stream, extent->version, &err);
    if (item)
        err = check_size(&log, item, size_with(extent));
    struct ftx_landing *landing = item && !err ? ftx_landing_get(item->as.arriving) : NULL;
    if (item && !err && !landing)
        err = -ENOMEM;
    if (item && !err && !ftx_inbox_claim(store, link, cost(extent))) {
        ftx_inbox_refuse(&log, item, FTX_REFUSED_POLICY);
        err = -EDQUOT;
    } else if (item && !err) {
        if (!item->object && extent->kind == FTX_EXTENT_DATA) {
            item->object = ftx_random_id();
            ftx_log_item(&log, item);
        }
        landing->n_writing++;
        *out_item = item->id;
        *out_object = item->object;
    }
    ftx_log_commit(&log);
    return err;
}

static void set_size(struct ftx_log *log, struct ftx_item *item, uint64_t size)
{
    if (item->as.arriving->sealed || size == item->size)
        return;
    item->size = size;
    ftx_log_item(log, item);
}

/* Of what is under way some may come late, and tell of an older size. */
static void grow(struct ftx_log *log, struct ftx_item *item, uint64_t size)
{
    if (size > item->size)
        set_size(log, item, size);
}

/* The last write to an item that was let go of meanwhile ends it. */
static void write_ended(struct ftx_log *log, struct ftx_item *item)
{
    struct ftx_arriving *arriving = item->as.arriving;
    arriving->landing->n_writing--;
    if (item->state == FTX_ITEM_FAILED && arriving->landing->n_writing == 0) {
        ftx_arriving_end(item);
        ftx_item_reap(log, item);
    }
}

/* The journal takes nothing: at least the count is right. */
static void write_lost(struct ftx_store *store, uint64_t id, const struct ftx_extent *extent)
{
    struct ftx_log log;
    ftx_log_lock(&log, store);
    struct ftx_item *item = ftx_inbox_file_of(store, id);
    if (item && item->as.arriving) {
        ftx_inbox_took(store, item, cost(extent));
        write_ended(&log, item);
    }
    ftx_log_commit(&log);
}

int ftx_inbox_wrote(struct ftx_store *store, uint64_t id, const struct ftx_extent *extent, int err,
                    uint64_t *out_entry)
{
    *out_entry = 0;
    struct ftx_log log;
    int log_err = ftx_log_begin(&log, store);
    if (log_err) {
        write_lost(store, id, extent);
        return err ? err : log_err;
    }
    struct ftx_item *item = ftx_inbox_file_of(store, id);
    struct ftx_arriving *arriving = item ? item->as.arriving : NULL;
    bool gone = item && item->state == FTX_ITEM_FAILED;
    if (arriving) {
        ftx_inbox_took(store, item, cost(extent));
        write_ended(&log, item);
    }
    if (arriving && !gone && !err) {
        struct ftx_segment segment = {.offset = extent->offset,
                                      .length = extent->length,
                                      .kind = extent->kind,
                                      .hashed = extent->kind == FTX_EXTENT_DATA};
        memcpy(segment.hash, extent->hash, sizeof segment.hash);
        err = ftx_arriving_put(arriving, &segment);
        if (!err) {
            ftx_log_segment(&log, id, &segment);
            grow(&log, item, size_with(extent));
            ftx_log_written(&log, item->object);
            arriving->progress_ms = ftx_now_ms();
            if (extent->kind == FTX_EXTENT_DATA)
                item->link->bytes_in += extent->length;
            log.arrived = true;
        }
    }
    if (log.size) {
        ftx_log_flush(&log);
        *out_entry = store->appended;
        if (arriving && !gone)
            arriving->landing->settled = store->appended;
    }
    ftx_log_commit(&log);
    return err;
}

int ftx_inbox_resize(struct ftx_store *store, struct ftx_link *link, const struct ftx_extent *size)
{
    struct ftx_log log;
    int err = 0;
    if (ftx_log_begin(&log, store))
        return 0;
    struct ftx_item *item = ftx_item_find_remote(&store->index, link, size->stream);
    if (item && item->kind == FTX_FILE && item->as.arriving && size->version >= item->version)
        err = check_size(&log, item, size->size_now);
    else
        item = NULL;
    if (item && !err) {
        if (ftx_item_offered(item))
            set_size(&log, item,
                     size->size_now); /* nothing of it is under way that could say more */
        else
            grow(&log, item, size->size_now);
        ftx_offer_sized(&log, item);
    }
    ftx_log_commit(&log);
    return err;
}

/* The first ranges from `from` to `end` that are not here. */
static void find_missing(const struct ftx_arriving *arriving, uint64_t from, uint64_t end,
                         struct ftx_seal_check *out)
{
    uint64_t at = from > arriving->landing->whole_to ? from : arriving->landing->whole_to;
    for (out->n = 0; out->n < sizeof out->ranges / sizeof *out->ranges; out->n++) {
        struct ftx_range *gap = &out->ranges[out->n];
        if (!ftx_segments_gap(&arriving->landing->have, at, end, &gap->offset, &gap->length))
            break;
        at = gap->offset + gap->length;
    }
}

int ftx_inbox_seal_comes(struct ftx_store *store, struct ftx_link *link,
                         const struct ftx_plan_seal *seal)
{
    uint16_t mode;
    int64_t mtime_ns;
    int err = ftx_seal_attr_decode(seal->attributes, seal->attributes_size, &mode, &mtime_ns);
    if (err)
        return err;
    struct ftx_log log;
    err = ftx_log_begin(&log, store);
    if (err)
        return err;
    struct ftx_item *item = sealed_item(&log, link, seal, &err);
    if (item) {
        item->mode = mode;
        item->mtime_ns = mtime_ns;
        ftx_log_item(&log, item);
        err = 0;
    }
    ftx_log_commit(&log);
    return err == -ENOENT || err == -EALREADY || err == -EPERM ? 0 : err; /* judged later */
}

/* How much of its front an update may leave to its base. */
static uint64_t base_bytes(const struct ftx_item *item, uint64_t size)
{
    const struct ftx_item *base = updated(item);
    return !base ? 0 : base->size < size ? base->size : size;
}

/* What the copy of the ranges takes at most: the base may have holes there. */
static uint64_t copied_bytes(const struct ftx_store *store, const struct ftx_item *base,
                             const struct ftx_seal_check *check)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < check->n; i++)
        bytes += check->ranges[i].length;
    uint64_t room = store->inbox_max ? ftx_object_room(&store->objects, base->object) : bytes;
    return bytes < room ? bytes : room;
}

/* What is missing before `end` is as in the base: holes, if that has no object, else to be copied;
 * it may be a million ranges. -EDQUOT: the link's inbox has no room for the copy. */
static int take_from_base(struct ftx_log *log, struct ftx_item *item, uint64_t end,
                          struct ftx_seal_check *out)
{
    struct ftx_arriving *arriving = item->as.arriving;
    struct ftx_landing *landing = ftx_landing_get(arriving);
    if (!landing)
        return -ENOMEM;
    if (!arriving->base->object) {
        if (landing->whole_to < end)
            landing->whole_to = end;
        return 0;
    }
    find_missing(arriving, 0, end, out);
    if (!out->n)
        return 0;
    landing->whole_to = out->ranges[0].offset;
    out->claimed = copied_bytes(log->store, arriving->base, out);
    if (!ftx_inbox_claim(log->store, item->link, out->claimed)) {
        ftx_inbox_refuse(log, item, FTX_REFUSED_POLICY);
        return -EDQUOT;
    }
    if (!item->object) {
        item->object = ftx_random_id();
        ftx_log_item(log, item);
    }
    out->object = item->object;
    out->base_object = arriving->base->object;
    landing->copying = true;
    landing->n_writing++;
    return 0;
}

/* Nothing ever came of the version, and it is as long as the one before: it has the same bytes. */
static bool is_unchanged(const struct ftx_item *item, uint64_t size)
{
    const struct ftx_item *base = updated(item);
    return base && base->state == FTX_ITEM_COMPLETE && base->size == size &&
           item->as.arriving->landing->have.count == 0 && !item->as.arriving->landing->settled &&
           !item->object;
}

int ftx_inbox_seal(struct ftx_store *store, struct ftx_link *link, const struct ftx_plan_seal *seal,
                   struct ftx_seal_check *out)
{
    struct ftx_log log;
    int err = ftx_log_begin(&log, store);
    if (err)
        return err;
    memset(out, 0, sizeof *out);
    struct ftx_item *item = sealed_item(&log, link, seal, &err);
    if (item && item->as.arriving->landing->n_writing) {
        err = -EBUSY;
    } else if (item) {
        struct ftx_arriving *arriving = item->as.arriving;
        err = 0;
        arriving->sealed = true;
        if (item->size != seal->size) {
            item->size = seal->size;
            ftx_log_item(&log, item);
        }
        out->item = item->id;
        out->object = item->object;
        out->settled = arriving->landing->settled;
        uint64_t of_base = base_bytes(item, seal->size);
        find_missing(arriving, of_base, seal->size, out);
        if (out->n)
            err = -ENODATA;
        else if (of_base && !is_unchanged(item, seal->size))
            err = take_from_base(&log, item, of_base, out);
        log.arrived = true;
    }
    ftx_log_commit(&log);
    return err;
}

int ftx_inbox_copied(struct ftx_store *store, const struct ftx_seal_check *check, int err)
{
    struct ftx_log log;
    int log_err = ftx_log_begin(&log, store);
    if (log_err)
        ftx_log_lock(&log, store);
    struct ftx_item *item = ftx_inbox_file_of(store, check->item);
    struct ftx_arriving *arriving = item ? item->as.arriving : NULL;
    const struct ftx_item *base = arriving ? arriving->base : NULL;
    bool wanted = arriving && item->state != FTX_ITEM_FAILED && !err && !log_err;
    if (err == -ENOENT && (!base || base->object != check->base_object))
        err = 0; /* it was removed meanwhile: judged again, the seal may want another, or nothing */
    for (size_t i = 0; wanted && i < check->n && !err; i++) {
        struct ftx_segment segment = {.offset = check->ranges[i].offset,
                                      .length = check->ranges[i].length,
                                      .kind = FTX_SEGMENT_DATA};
        err = ftx_arriving_put(arriving, &segment);
        if (!err)
            ftx_log_segment(&log, check->item, &segment);
    }
    if (wanted) {
        ftx_log_written(&log, item->object);
        ftx_log_flush(&log);
        arriving->landing->settled = store->appended;
    }
    if (arriving) {
        ftx_inbox_measure(store, item);
        ftx_inbox_unclaim(store, item->link, check->claimed);
        arriving->landing->copying = false;
        write_ended(&log, item);
    }
    ftx_log_commit(&log);
    return err ? err : log_err;
}

/* The shadow takes the place of its base, which lives on only for those who have it open. */
static int take_place(struct ftx_log *log, struct ftx_item *item)
{
    struct ftx_store *store = log->store;
    struct ftx_item *base = item->as.arriving->base;
    struct ftx_item *parent = base->parent;
    char *name;
    int err = ftx_item_prepare(parent, item, base->name, base->name_size, &name);
    if (err)
        return err;
    size_t size = base->name_size;
    if (base->remote == item->remote)
        ftx_log_xattrs_moved(log, base, item); /* another version of the same file */
    item->as.arriving->base = NULL;
    item->named_here = base->named_here;
    item->moved_here = base->moved_here;
    base->shadow = NULL;
    ftx_item_unlink(&store->index, base);
    ftx_log_orphan(log, base);
    ftx_item_place(&store->index, item, parent, name, size);
    return 0;
}

/* The version that is complete becomes the next one, as it is. */
static struct ftx_item *stay(struct ftx_log *log, struct ftx_item *shadow)
{
    struct ftx_item *base = shadow->as.arriving->base;
    base->version = shadow->version;
    base->mode = shadow->mode;
    base->mtime_ns = shadow->mtime_ns;
    ftx_inbox_let_go(log, shadow);
    return base;
}

/* Data was expected, and all that came are holes: its object may never have been made. */
static void drop_empty_object(struct ftx_log *log, struct ftx_item *item)
{
    const struct ftx_segments *have = &item->as.arriving->landing->have;
    const struct ftx_segment *segment = ftx_segments_at(have, 0);
    while (segment && segment->kind == FTX_SEGMENT_HOLE)
        segment = ftx_segments_at(have, segment->offset + segment->length);
    if (segment || !item->object)
        return;
    ftx_log_trash(log, item->object);
    ftx_trash_add(log->store, item);
    item->object = 0;
}

static bool is_whole(const struct ftx_arriving *arriving, uint64_t size)
{
    return size <= arriving->landing->whole_to ||
           ftx_segments_cover(&arriving->landing->have, arriving->landing->whole_to,
                              size - arriving->landing->whole_to);
}

int ftx_inbox_complete(struct ftx_store *store, struct ftx_link *link,
                       const struct ftx_plan_seal *seal, uint64_t id, uint64_t *out_entry)
{
    struct ftx_log log;
    int err = ftx_log_begin(&log, store);
    if (err)
        return err;
    struct ftx_item *item = ftx_inbox_file_of(store, id);
    struct ftx_arriving *arriving = item ? item->as.arriving : NULL;
    bool ok = arriving && item->link == link && item->version == seal->version &&
              item->state == FTX_ITEM_ARRIVING && arriving->sealed &&
              arriving->landing->n_writing == 0;
    bool unchanged = ok && is_unchanged(item, seal->size);
    if (!unchanged && !(ok && is_whole(arriving, seal->size)))
        err = -EALREADY;
    else if (unchanged)
        item = stay(&log, item);
    else if (arriving->base)
        err = take_place(&log, item);
    if (!err) {
        item->ctime_ns = ftx_now_ns();
        item->state = FTX_ITEM_COMPLETE;
        item->size = seal->size;
        log.news |= ftx_news_complete(store, item);
        ftx_tell_item(&log, FTX_EVENT_COMPLETE, item);
        if (!unchanged) {
            ftx_log_cut(&log, id, 0, FTX_OFFSET_MAX);
            ftx_inbox_measure(store, item);
            drop_empty_object(&log, item);
            ftx_arriving_end(item);
        }
        ftx_log_item(&log, item);
        store->durable = true;
        log.arrived = true;
    }
    *out_entry = ftx_log_commit(&log);
    return err;
}
