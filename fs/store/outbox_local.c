/* SPDX-License-Identifier: MIT */
/*
 * What of an outbox stays here: names that desktops leave, with all below them. Such an item is
 * LOCAL: no operation tells of it and nothing of it is sent. A rename can change that. What becomes
 * LOCAL is dropped at the peer; what was LOCAL, or refused there, is made there as new, under a
 * number of its own, so that nothing that is still under way for an earlier one can be taken for it.
 */
#include "fs/store/outbox.h"

#include "fs/store/mirror.h"
#include "fs/store/names.h"
#include "fs/store/offer.h"
#include "fs/store/outbox_internal.h"
#include "fs/store/released.h"
#include "transport/base/log.h"
#include "transport/wire/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

bool ftx_outbox_travels(const struct ftx_item *item)
{
    return item->linked && !ftx_item_stays(item);
}

bool ftx_outbox_stays(const struct ftx_item *parent, const char *name, size_t size)
{
    return parent->state == FTX_ITEM_LOCAL || ftx_name_is_local(name, size);
}

static int put(struct ftx_sending *sending, uint64_t offset, uint64_t end, uint8_t kind)
{
    struct ftx_segment segment = {
        .offset = offset, .length = end - offset, .kind = kind, .state = FTX_PENDING_DUE};
    return offset < end ? ftx_segments_put(&sending->pending, &segment) : 0;
}

/* All that the file holds is due in memory, as ftx_sending_resend notes it. */
static int put_whole(struct ftx_sending *sending, const struct ftx_item *item, int fd)
{
    uint64_t at, to;
    int err = 0;
    for (uint64_t offset = 0; offset < item->size && !err; offset = to) {
        if (!ftx_sending_bytes(item, fd, offset, item->size, &at, &to))
            at = to = item->size;
        err = put(sending, offset, at, FTX_SEGMENT_HOLE);
        if (!err)
            err = put(sending, at, to, FTX_SEGMENT_DATA);
    }
    return err;
}

void ftx_sending_renew(struct ftx_log *log, struct ftx_item *item, uint64_t began, uint64_t closed)
{
    struct ftx_sending *sending = ftx_sending_get(item);
    const struct ftx_item *contents = ftx_mirror_contents(log->store, item);
    int fd =
        contents->object ? ftx_object_open(&log->store->objects, contents->object, O_RDONLY) : -1;
    int err = sending ? put_whole(sending, contents, fd) : -ENOMEM;
    if (fd >= 0)
        close(fd);
    if (err) {
        item->state = FTX_ITEM_FAILED; /* no memory: visibly, until the next start */
        return;
    }
    sending->began = began;
    sending->closed = closed;
    ftx_sending_due(log, sending);
}

/* All that a file holds is to be sent, as a version that begins now. One that the loop has not let
 * go of since it was withdrawn is for the journal's sake only: ftx_sending_renew follows. */
static int offer_content(struct ftx_log *log, struct ftx_item *item)
{
    struct ftx_sending *sending = ftx_sending_get(item);
    if (!sending)
        return -ENOMEM;
    sending->since_ms = ftx_since_ms();
    sending->began = sending->closed = ftx_log_promise(log, item->link);
    ftx_sending_due(log, sending);
    int err = ftx_sending_resend(log, item, 0, item->size);
    return err ? err : ftx_sending_pull(log, item, 0, item->size);
}

bool ftx_outbox_is_away(const struct ftx_item *item)
{
    if (item->kind == FTX_FILE)
        return ftx_released_any(item, 0, item->size);
    for (struct ftx_item *child = ftx_folder_after(item, 0); child;
         child = ftx_folder_after(item, child->cookie))
        if (ftx_outbox_is_away(child))
            return true;
    return false;
}

int ftx_outbox_offer(struct ftx_log *log, struct ftx_item *item)
{
    bool file = item->kind == FTX_FILE;
    struct ftx_opened *opened = ftx_mirror_contents(log->store, item)->opened;
    bool writers = opened && opened->n_writers > 0;
    if (opened)
        opened->remains_wire = 0; /* nothing of what it was cut by is at the peer */
    ftx_item_set_remote(&log->store->index, item, ftx_log_next_item(log));
    int err = ftx_outbox_log_make(log, item, item->parent->mtime_ns);
    if (err)
        return err;
    item->state = !file ? 0 : writers ? FTX_ITEM_WRITING : FTX_ITEM_CLOSED;
    ftx_outbox_placed(item);
    ftx_log_item(log, item); /* before its segments: what a kill leaves out is found missing */
    struct ftx_xattr xattr;
    for (size_t at = 0; !err && ftx_xattrs_next(item->xattrs, &at, &xattr);)
        if (!ftx_xattr_is_ours(&xattr))
            err = ftx_log_xattr_op(log, item, &xattr);
    if (!err && file)
        err = offer_content(log, item);
    ftx_mirror_settle(log, item, 0, 0);
    for (struct ftx_item *child = ftx_folder_after(item, 0); child && !err;
         child = ftx_folder_after(item, child->cookie))
        err = ftx_outbox_settle_place(log, child, item->mtime_ns);
    return err;
}

/* What was under way of its content is void. */
static void void_content(struct ftx_log *log, struct ftx_item *item)
{
    ftx_item_wake(item);
    if (item->kind != FTX_FILE || !item->as.sending)
        return;
    ftx_sending_let_go(log, item);
    ftx_log_cut(log, item->id, 0, FTX_OFFSET_MAX);
}

bool ftx_outbox_can_offer_again(const struct ftx_store *store, struct ftx_item *item)
{
    const struct ftx_item *contents = ftx_mirror_contents(store, item);
    return item->kind == FTX_FILE && ftx_outbox_travels(item) &&
           (!ftx_released_any(contents, 0, contents->size) ||
            (contents != item && ftx_mirrors_supplied(store, contents, item->link)));
}

int ftx_outbox_offer_again(struct ftx_log *log, struct ftx_item *item)
{
    void_content(log, item);
    item->error = 0;
    return ftx_outbox_offer(log, item);
}

/* What is below the item first. */
int ftx_outbox_withdraw(struct ftx_log *log, struct ftx_item *item, int64_t when_ns,
                        enum ftx_item_state state)
{
    int err = 0;
    for (struct ftx_item *child = ftx_folder_after(item, 0); child && !err;
         child = ftx_folder_after(item, child->cookie))
        if (!ftx_item_stays(child))
            err = ftx_outbox_withdraw(log, child, when_ns, state);
    if (!err)
        err = ftx_outbox_log_drop(log, item, when_ns);
    if (err)
        return err;
    void_content(log, item);
    ftx_item_clear_remote(&log->store->index, item);
    free(item->prints);
    item->prints = NULL;
    item->state = (uint8_t)state;
    item->error = 0;
    ftx_log_item(log, item);
    return 0;
}

int ftx_outbox_settle_place(struct ftx_log *log, struct ftx_item *item, int64_t when_ns)
{
    bool stays = ftx_outbox_stays(item->parent, item->name, item->name_size);
    if (item->state == FTX_ITEM_CANCELLED)
        return 0;
    bool local = item->state == FTX_ITEM_LOCAL;
    if (stays && !local)
        return ftx_outbox_withdraw(log, item, when_ns, FTX_ITEM_LOCAL);
    if (!stays && local)
        return ftx_outbox_offer(log, item);
    int err = 0;
    for (struct ftx_item *child = ftx_folder_after(item, 0); child && !err;
         child = ftx_folder_after(item, child->cookie))
        err = ftx_outbox_settle_place(log, child, when_ns);
    return err;
}

/* The object of a LOCAL or refused file may hold bytes behind its end, of a write or truncate that
 * a kill ended: they must not come to light when the file grows. */
static void trim(struct ftx_store *store, const struct ftx_item *item)
{
    for (struct ftx_item *child = ftx_folder_after(item, 0); child;
         child = ftx_folder_after(item, child->cookie))
        trim(store, child);
    bool unsent = ftx_item_stays(item) || item->state == FTX_ITEM_REFUSED;
    if (!unsent || item->kind != FTX_FILE || !item->object)
        return;
    int fd = ftx_object_open(&store->objects, item->object, O_WRONLY);
    if (fd < 0)
        return;
    if (ftx_object_cut(fd, item->size))
        ftx_log(FTX_LOG_WARNING,
                "a file that stays here, or was refused, cannot be cut to its size");
    close(fd);
}

int ftx_outbox_settle_places(struct ftx_store *store)
{
    struct ftx_log log;
    int err = ftx_log_begin(&log, store);
    if (err)
        return err;
    for (struct ftx_list *l = store->links.next; l != &store->links && !err; l = l->next) {
        struct ftx_item *folder = ftx_list_of(l, struct ftx_link, node)->folders[FTX_OUTBOX];
        if (!folder)
            continue;
        for (struct ftx_item *child = ftx_folder_after(folder, 0); child && !err;
             child = ftx_folder_after(folder, child->cookie))
            err = ftx_outbox_settle_place(&log, child, ftx_now_ns());
        trim(store, folder);
    }
    ftx_log_commit(&log);
    return err;
}
