/* SPDX-License-Identifier: MIT */
/* Mirrors: found by their path, and changed with their group's items. */
#include "fs/store/mirror.h"

#include "fs/store/outbox.h"
#include "fs/store/outbox_internal.h"
#include "fs/store/released.h"
#include "fs/store/spool.h"
#include "fs/store/tell.h"
#include "transport/wire/limits.h"

#include <errno.h>
#include <string.h>

/* -- finding -- */

/* The group whose folder this is in a member's outbox, or NULL. */
static struct ftx_link *group_at(const struct ftx_item *item)
{
    if (!item->parent || !ftx_item_is_root(item->parent))
        return NULL;
    for (size_t i = 0; i < item->link->n_groups; i++) {
        const char *name = item->link->groups[i]->row.name;
        if (strlen(name) == item->name_size && memcmp(name, item->name, item->name_size) == 0)
            return item->link->groups[i];
    }
    return NULL;
}

/* The item, or a folder above it, is that of a group. */
bool ftx_mirror_stands_below(const struct ftx_item *item)
{
    if (item->box != FTX_OUTBOX)
        return false;
    for (; item && !ftx_item_is_root(item); item = item->parent)
        if (group_at(item))
            return true;
    return false;
}

bool ftx_mirror_reserved(const struct ftx_item *folder, const char *name, size_t size)
{
    const struct ftx_link *link = folder->link;
    for (size_t i = 0; ftx_item_is_root(folder) && i < link->n_groups; i++)
        if (strlen(link->groups[i]->row.name) == size &&
            memcmp(link->groups[i]->row.name, name, size) == 0)
            return true;
    return false;
}

struct ftx_item *ftx_mirror_origin(const struct ftx_store *store, const struct ftx_item *item)
{
    const struct ftx_item *way[FTX_DEPTH_MAX + 1];
    size_t n = 0;
    if (!item->link || item->link->n_groups == 0 || item->box != FTX_OUTBOX || !item->linked)
        return NULL;
    const struct ftx_item *top = item;
    for (; !ftx_item_is_root(top->parent) && n < FTX_DEPTH_MAX; top = top->parent)
        way[n++] = top;
    struct ftx_link *group = group_at(top);
    struct ftx_item *found = group ? group->folders[FTX_OUTBOX] : NULL;
    while (found && n > 0) {
        const struct ftx_item *step = way[--n];
        found = found->kind == FTX_FOLDER
                    ? ftx_item_lookup(&store->index, found, step->name, step->name_size)
                    : NULL;
    }
    return found;
}

struct ftx_item *ftx_mirror_contents(const struct ftx_store *store, struct ftx_item *item)
{
    struct ftx_item *origin = ftx_mirror_origin(store, item);
    return origin ? origin : item;
}

struct ftx_item *ftx_mirror_of(const struct ftx_store *store, const struct ftx_item *item,
                               const struct ftx_link *member)
{
    if (!member->folders[FTX_OUTBOX])
        return NULL;
    if (ftx_item_is_root(item)) {
        const char *name = item->link->row.name;
        return ftx_item_lookup(&store->index, member->folders[FTX_OUTBOX], name, strlen(name));
    }
    if (!item->linked)
        return NULL;
    struct ftx_item *folder = ftx_mirror_of(store, item->parent, member);
    struct ftx_item *mirror =
        folder ? ftx_item_lookup(&store->index, folder, item->name, item->name_size) : NULL;
    return mirror && mirror->kind == item->kind ? mirror : NULL;
}

struct ftx_item *ftx_mirror_next(const struct ftx_store *store, const struct ftx_item *item,
                                 size_t *in_out_at)
{
    struct ftx_item *mirror = NULL;
    while (!mirror && *in_out_at < item->link->n_members)
        mirror = ftx_mirror_of(store, item, item->link->members[(*in_out_at)++]);
    return mirror;
}

/* -- changing -- */

/* The mirror's sending, if its member is told of it. */
static struct ftx_sending *sending_of(struct ftx_item *mirror)
{
    return ftx_outbox_travels(mirror) ? ftx_sending_get(mirror) : NULL;
}

static int put(struct ftx_log *log, struct ftx_sending *sending, const struct ftx_segment *segment)
{
    int err = sending ? ftx_segments_put(&sending->pending, segment) : -ENOMEM;
    if (err)
        return err;
    if (segment->offset < sending->scan)
        sending->scan = segment->offset;
    ftx_log_segment(log, sending->item->id, segment);
    return 0;
}

/* Up to where nothing of [at, end) is released, or claimed by who writes to it. *out_next: behind
 * that. */
static uint64_t takes_until(const struct ftx_item *item, uint64_t at, uint64_t end,
                            uint64_t *out_next)
{
    const struct ftx_segments *pending = &item->as.sending->pending;
    uint64_t until = end;
    *out_next = end;
    (void)ftx_released_next(item, at, end, &until, out_next);
    const struct ftx_segment *segment = ftx_segments_at(pending, at);
    while (segment && segment->offset < until && segment->state != FTX_PENDING_OPEN)
        segment = ftx_segments_at(pending, segment->offset + segment->length);
    if (!segment || segment->offset >= until)
        return until;
    *out_next = segment->offset + segment->length;
    return segment->offset > at ? segment->offset : at;
}

/* But for what is released: that is at some member, and its row says so. */
static int put_here(struct ftx_log *log, struct ftx_item *item, const struct ftx_segment *segment)
{
    uint64_t end = segment->offset + segment->length, next;
    int err = 0;
    for (uint64_t at = segment->offset; at < end && !err; at = next) {
        struct ftx_segment part = *segment;
        part.offset = at;
        part.length = takes_until(item, at, end, &next) - at;
        part.tag = 0;
        part.hashed = segment->hashed && part.length == segment->length;
        if (part.length)
            err = put(log, item->as.sending, &part);
    }
    return err;
}

/* What a mirror sends again, some member does not have. */
static int put_origin(struct ftx_log *log, const struct ftx_item *mirror,
                      const struct ftx_segment *segment)
{
    struct ftx_item *item = ftx_mirror_origin(log->store, mirror);
    if (!item || !ftx_outbox_travels(item))
        return 0;
    if (!ftx_sending_get(item))
        return -ENOMEM;
    if (item->state == FTX_ITEM_DELIVERED || item->state == FTX_ITEM_REFUSED) {
        item->state = FTX_ITEM_CLOSED;
        ftx_log_item(log, item);
    }
    return put_here(log, item, segment);
}

int ftx_mirrors_put(struct ftx_log *log, struct ftx_item *item, const struct ftx_segment *segment)
{
    struct ftx_item *mirror;
    int err = item->link->n_groups ? put_origin(log, item, segment) : 0;
    for (size_t at = 0; !err && (mirror = ftx_mirror_next(log->store, item, &at));)
        if (ftx_outbox_travels(mirror))
            err = put(log, ftx_sending_get(mirror), segment);
    return err;
}

int ftx_mirrors_cut(struct ftx_log *log, struct ftx_item *item, uint64_t offset)
{
    struct ftx_item *mirror;
    int err = 0;
    for (size_t at = 0; !err && (mirror = ftx_mirror_next(log->store, item, &at));) {
        if (!ftx_outbox_travels(mirror) || !mirror->as.sending)
            continue;
        err = ftx_segments_cut(&mirror->as.sending->pending, offset, FTX_OFFSET_MAX - offset);
        if (!err)
            ftx_log_cut(log, mirror->id, offset, FTX_OFFSET_MAX - offset);
    }
    return err;
}

void ftx_mirrors_close_tail(struct ftx_log *log, struct ftx_item *item, uint64_t offset)
{
    struct ftx_item *mirror;
    for (size_t at = 0; (mirror = ftx_mirror_next(log->store, item, &at));) {
        struct ftx_sending *sending = mirror->as.sending;
        struct ftx_segment *open = sending ? ftx_segments_at(&sending->pending, offset) : NULL;
        if (open && open->state == FTX_PENDING_OPEN)
            open->state = FTX_PENDING_DUE;
        if (sending && offset < sending->scan)
            sending->scan = offset;
    }
}

void ftx_mirrors_due(struct ftx_log *log, const struct ftx_item *item)
{
    struct ftx_item *mirror;
    for (size_t at = 0; (mirror = ftx_mirror_next(log->store, item, &at));)
        if (mirror->as.sending)
            ftx_sending_due(log, mirror->as.sending);
}

void ftx_mirrors_reopen(struct ftx_log *log, const struct ftx_item *item)
{
    struct ftx_item *mirror;
    for (size_t at = 0; (mirror = ftx_mirror_next(log->store, item, &at));)
        if (sending_of(mirror))
            ftx_sending_reopen(log, mirror);
}

void ftx_mirrors_rest(const struct ftx_store *store, const struct ftx_item *item)
{
    struct ftx_item *mirror;
    for (size_t at = 0; (mirror = ftx_mirror_next(store, item, &at));)
        ftx_sending_rest(store, mirror);
}

void ftx_mirrors_unseal(struct ftx_log *log, const struct ftx_item *item)
{
    struct ftx_item *mirror;
    for (size_t at = 0; (mirror = ftx_mirror_next(log->store, item, &at));) {
        if (mirror->state != FTX_ITEM_CLOSED)
            continue;
        mirror->state = FTX_ITEM_WRITING;
        ftx_log_item(log, mirror);
    }
}

bool ftx_mirrors_seal_left(const struct ftx_store *store, const struct ftx_item *item)
{
    const struct ftx_item *mirror;
    for (size_t at = 0; (mirror = ftx_mirror_next(store, item, &at));)
        if (mirror->state == FTX_ITEM_DELIVERED ||
            (mirror->as.sending && mirror->as.sending->seal_left))
            return true;
    return false;
}

void ftx_mirrors_stamp(struct ftx_log *log, const struct ftx_item *item)
{
    struct ftx_item *mirror;
    for (size_t at = 0; (mirror = ftx_mirror_next(log->store, item, &at));) {
        mirror->size = item->size;
        mirror->mtime_ns = item->mtime_ns;
        mirror->ctime_ns = item->ctime_ns;
        ftx_log_item(log, mirror);
    }
}

const struct ftx_item *ftx_mirrors_refused(const struct ftx_store *store,
                                           const struct ftx_item *item)
{
    const struct ftx_item *mirror;
    for (size_t at = 0; (mirror = ftx_mirror_next(store, item, &at));)
        if (mirror->state == FTX_ITEM_REFUSED)
            return mirror;
    return NULL;
}

int ftx_mirrors_revive(struct ftx_log *log, const struct ftx_item *item)
{
    struct ftx_item *mirror;
    int err = 0;
    for (size_t at = 0; !err && (mirror = ftx_mirror_next(log->store, item, &at));)
        if (mirror->state == FTX_ITEM_REFUSED && ftx_outbox_can_offer_again(log->store, mirror))
            err = ftx_outbox_offer_again(log, mirror);
    return err;
}

/* -- telling -- */

static void settle_pending(struct ftx_log *log, struct ftx_item *item, uint64_t offset,
                           uint64_t end)
{
    struct ftx_segments *pending = &item->as.sending->pending;
    const struct ftx_segment *segment;
    if (!ftx_mirrors_taken(log->store, item))
        return; /* whoever joins has nothing of it */
    for (uint64_t at = offset; (segment = ftx_segments_at(pending, at)) && segment->offset < end;) {
        struct ftx_range range = {segment->offset, segment->length};
        at = range.offset + range.length;
        if (segment->state == FTX_PENDING_OPEN ||
            ftx_mirrors_await(log->store, item, range.offset, at))
            continue;
        if (ftx_segments_cut(pending, range.offset, range.length) == 0)
            ftx_log_cut(log, item->id, range.offset, range.length);
    }
}

/* What the mirrors say together of a file that nobody is writing to. */
static enum ftx_item_state joint_state(const struct ftx_store *store, const struct ftx_item *item,
                                       uint8_t *out_error)
{
    const struct ftx_item *mirror;
    bool delivered = false, refused = false, failed = false, interrupted = false;
    if (item->link->n_members == 0 && item->state == FTX_ITEM_INTERRUPTED)
        return FTX_ITEM_INTERRUPTED;
    for (size_t at = 0; (mirror = ftx_mirror_next(store, item, &at));) {
        switch ((enum ftx_item_state)mirror->state) {
        case FTX_ITEM_WRITING:
        case FTX_ITEM_CLOSED:
            return FTX_ITEM_CLOSED;
        case FTX_ITEM_DELIVERED:
            delivered = true;
            break;
        case FTX_ITEM_REFUSED:
            refused = true;
            *out_error = mirror->error;
            break;
        case FTX_ITEM_CANCELLED:
            refused = true;
            break;
        case FTX_ITEM_FAILED:
            failed = true;
            break;
        case FTX_ITEM_INTERRUPTED:
            interrupted = true;
            break;
        default:
            break;
        }
    }
    return interrupted ? FTX_ITEM_INTERRUPTED
           : failed    ? FTX_ITEM_FAILED
           : delivered ? FTX_ITEM_DELIVERED
           : refused   ? FTX_ITEM_REFUSED
                       : FTX_ITEM_CLOSED;
}

static void tell_state(struct ftx_log *log, const struct ftx_item *item)
{
    if (item->state == FTX_ITEM_DELIVERED)
        ftx_tell_item(log, FTX_EVENT_DELIVERED, item);
    else if (item->state == FTX_ITEM_REFUSED)
        ftx_tell_item(log, item->error ? FTX_EVENT_REFUSED : FTX_EVENT_CANCELLED, item);
    else if (item->state == FTX_ITEM_FAILED)
        ftx_tell_item(log, FTX_EVENT_FAILED, item);
}

static void set_state(struct ftx_log *log, struct ftx_item *item, enum ftx_item_state state,
                      uint8_t error)
{
    item->state = (uint8_t)state;
    item->error = error;
    ftx_log_item(log, item);
    tell_state(log, item);
    log->arrived = true; /* a close may wait for it */
}

static void settle_state(struct ftx_log *log, struct ftx_item *item)
{
    uint8_t error = 0;
    enum ftx_item_state state = joint_state(log->store, item, &error);
    if (item->state == FTX_ITEM_WRITING || item->state == state || !ftx_sending_get(item))
        return;
    set_state(log, item, state, error);
    if (state != FTX_ITEM_DELIVERED)
        return;
    ftx_sending_forget_pending(log, item->as.sending); /* what only those lack who refused it */
    ftx_sending_let_go(log, item);
}

static void settle(struct ftx_log *log, struct ftx_item *item, uint64_t offset, uint64_t end)
{
    if (item->kind != FTX_FILE || !ftx_outbox_travels(item))
        return;
    if (item->as.sending)
        settle_pending(log, item, offset, end);
    settle_state(log, item);
    ftx_spool_drains(log->store, item);
}

void ftx_mirrors_seal(struct ftx_log *log, struct ftx_item *item)
{
    struct ftx_item *mirror;
    uint8_t error = 0;
    for (size_t at = 0; (mirror = ftx_mirror_next(log->store, item, &at));)
        ftx_outbox_seal(log, mirror);
    enum ftx_item_state state = joint_state(log->store, item, &error);
    if (state == FTX_ITEM_REFUSED || state == FTX_ITEM_FAILED) /* nobody is left to take it */
        set_state(log, item, state, error);
}

void ftx_mirror_settle(struct ftx_log *log, const struct ftx_item *mirror, uint64_t offset,
                       uint64_t end)
{
    struct ftx_item *item = ftx_mirror_origin(log->store, mirror);
    if (item)
        settle(log, item, offset, end);
}

void ftx_mirrors_settle_all(struct ftx_log *log, struct ftx_item *folder)
{
    for (struct ftx_item *child = ftx_folder_after(folder, 0); child;
         child = ftx_folder_after(folder, child->cookie)) {
        if (child->kind == FTX_FOLDER)
            ftx_mirrors_settle_all(log, child);
        else
            settle(log, child, 0, FTX_OFFSET_MAX);
    }
}
