/* SPDX-License-Identifier: MIT */
/* The inbox's tree: the peer's operations. Its owner's are in inbox_owner.c, contents in
 * inbox_file.c. */
#include "fs/store/inbox.h"

#include "fs/store/change_log.h"
#include "fs/store/inbox_aside.h"
#include "fs/store/names.h"
#include "fs/store/news.h"
#include "fs/store/offer.h"
#include "fs/store/tell.h"
#include "transport/base/err.h"
#include "transport/base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A peer's operation being applied. */
struct applying {
    struct ftx_log log;
    struct ftx_link *link;
    struct ftx_op op;
    enum ftx_links_policy policy;
    uint8_t refused;
};

/* The folder a peer names: 0 is the link's root; NULL if it is not here. */
static struct ftx_item *folder_of(const struct applying *a, uint64_t remote)
{
    if (remote == 0)
        return a->link->folders[FTX_INBOX];
    struct ftx_item *item = ftx_item_find_remote(&a->log.store->index, a->link, remote);
    return item && item->kind == FTX_FOLDER && item->linked ? item : NULL;
}

static void touch(struct ftx_log *log, struct ftx_item *folder, int64_t when_ns)
{
    folder->mtime_ns = when_ns;
    folder->ctime_ns = ftx_now_ns();
    ftx_log_item(log, folder);
}

/* The complete version that an update is about to replace, if the item is a shadow of it. */
static struct ftx_item *updated_base(const struct ftx_item *item)
{
    if (item->kind != FTX_FILE || item->linked || !item->as.arriving)
        return NULL;
    struct ftx_item *base = item->as.arriving->base;
    return base && base->remote == item->remote ? base : NULL;
}

void ftx_inbox_let_go(struct ftx_log *log, struct ftx_item *item)
{
    if (item->kind == FTX_FILE && item->as.arriving) {
        if (item->as.arriving->base)
            item->as.arriving->base->shadow = NULL;
        item->as.arriving->base = NULL;
        item->state = FTX_ITEM_FAILED;
        if (item->as.arriving->landing->n_writing == 0)
            ftx_arriving_end(item);
        else
            ftx_list_remove(&item->as.arriving->node); /* the last write ends it */
        log->arrived = true;
    }
    ftx_log_orphan(log, item);
}

void ftx_inbox_drop(struct ftx_log *log, struct ftx_item *item)
{
    if (item->kind == FTX_FOLDER) {
        uint64_t cookie = 0; /* what went before it leaves gaps that are not to be walked again */
        for (struct ftx_item *child; (child = ftx_folder_after(item, cookie));) {
            cookie = child->cookie;
            ftx_inbox_drop(log, child);
        }
    }
    if (item->shadow)
        ftx_inbox_let_go(log, item->shadow);
    if (item->linked)
        ftx_item_unlink(&log->store->index, item);
    ftx_inbox_let_go(log, item);
}

/* The same, told to those who watch. */
static void drop(struct applying *a, struct ftx_item *item)
{
    a->log.news |= ftx_news_gone(a->log.store, item);
    ftx_inbox_drop(&a->log, item);
}

/* Refuses a new item: nothing of it is kept. */
static int refuse(struct applying *a, enum ftx_refusal reason)
{
    a->refused = (uint8_t)reason;
    return 0;
}

/* 0 if an item may stand there; else the reason to refuse it. */
static enum ftx_refusal judge_place(const struct ftx_item *parent, const struct ftx_op *op,
                                    unsigned height)
{
    size_t path = op->name_size;
    for (const struct ftx_item *up = parent; !ftx_item_is_root(up); up = up->parent)
        path += 1u + up->name_size;
    if (path > FTX_PATH_MAX || ftx_item_depth(parent) + 1 + height > FTX_DEPTH_MAX)
        return FTX_REFUSED_NAME;
    return 0;
}

static enum ftx_refusal judge_make(const struct applying *a, const struct ftx_item *parent)
{
    const struct ftx_op *op = &a->op;
    if (op->what == FTX_SYMLINK && a->policy != FTX_LINKS_ALL &&
        (a->policy == FTX_LINKS_NONE ||
         !ftx_target_inside(op->target, op->target_size, ftx_item_depth(parent))))
        return FTX_REFUSED_KIND;
    const struct ftx_link_settings *settings = &a->link->settings;
    uint64_t most = settings->max_files && settings->max_files < FTX_LINK_ITEMS_MAX
                        ? settings->max_files + 1 /* the link's folder counts */
                        : FTX_LINK_ITEMS_MAX;
    if (op->what == FTX_FILE && !ftx_rules_take_name(&settings->rules, op->name, op->name_size))
        return FTX_REFUSED_TYPE;
    if (settings->accept == FTX_ACCEPT_NONE || a->link->n_items[FTX_INBOX] >= most)
        return FTX_REFUSED_POLICY;
    return judge_place(parent, op, 0);
}

static int dress(struct ftx_item *item, const struct ftx_op *op)
{
    item->mode = op->mode;
    item->mtime_ns = op->mtime_ns;
    item->ctime_ns = ftx_now_ns();
    item->state = FTX_ITEM_COMPLETE;
    if (item->kind == FTX_SYMLINK) {
        item->as.target = strndup(op->target, op->target_size);
        item->size = op->target_size;
        return item->as.target ? 0 : -ENOMEM;
    }
    if (item->kind == FTX_FILE) {
        item->state = FTX_ITEM_ARRIVING;
        if (!ftx_arriving_get(item))
            return -ENOMEM;
        item->as.arriving->since_ms = (uint32_t)item->as.arriving->progress_ms | 1;
    }
    return 0;
}

/* A folder that is there already (its sender had removed it, we had kept it) becomes the new one.
 */
static int adopt(struct applying *a, struct ftx_item *folder)
{
    ftx_item_set_remote(&a->log.store->index, folder, a->op.item);
    folder->mode = a->op.mode;
    folder->mtime_ns = a->op.mtime_ns;
    ftx_log_xattrs_gone(&a->log, folder);
    ftx_log_item(&a->log, folder);
    touch(&a->log, folder->parent, a->op.when_ns);
    a->log.news |= ftx_news_attr(a->log.store, folder);
    return ftx_offer_placed(&a->log, folder, folder->state != FTX_ITEM_OFFERED);
}

static bool is_complete_file(const struct ftx_item *item)
{
    return item && item->kind == FTX_FILE && item->state == FTX_ITEM_COMPLETE;
}

/*
 * An unfinished file takes the name of a finished one: it becomes its shadow, so the old one is
 * seen until the new one is complete.
 */
static void become_shadow(struct applying *a, struct ftx_item *item, struct ftx_item *base)
{
    struct ftx_store *store = a->log.store;
    if (base->shadow && base->shadow != item)
        ftx_inbox_let_go(&a->log, base->shadow);
    if (item->linked) {
        a->log.news |= ftx_news_gone(store, item);
        ftx_item_unlink(&store->index, item);
    }
    ftx_item_clear_remote(&store->index, base);
    item->as.arriving->base = base;
    item->named_here = item->moved_here = false;
    base->shadow = item;
    ftx_log_item(&a->log, base);
    ftx_log_item(&a->log, item);
}

/* Lets the new item be seen: in place of what is there, or as its shadow until it is complete. */
static void show(struct applying *a, struct ftx_item *item, struct ftx_item *parent, char *name)
{
    struct ftx_store *store = a->log.store;
    struct ftx_item *there = ftx_item_lookup(&store->index, parent, name, a->op.name_size);
    ftx_item_set_remote(&store->index, item, a->op.item);
    if (item->kind == FTX_FILE && is_complete_file(there)) {
        become_shadow(a, item, there);
        free(name);
    } else {
        if (there)
            drop(a, there);
        ftx_item_place(&store->index, item, parent, name, a->op.name_size);
        ftx_log_item(&a->log, item);
        a->log.news |= ftx_news_made(store, item);
    }
    touch(&a->log, parent, a->op.when_ns);
}

/* Its owner has accepted what the item takes the place of. */
static bool is_taken(const struct ftx_item *there, const struct ftx_item *item)
{
    return there && there != item && !ftx_item_offered(there);
}

/* It is there already. The peer may wait for its owner's word about it. */
static int stays(struct applying *a, struct ftx_item *item)
{
    return a->op.parent == 0 ? ftx_offer_placed(&a->log, item, !ftx_item_offered(item)) : 0;
}

static int apply_make(struct applying *a)
{
    struct ftx_store *store = a->log.store;
    const struct ftx_op *op = &a->op;
    struct ftx_item *parent = folder_of(a, op->parent);
    struct ftx_item *known = ftx_item_find_remote(&store->index, a->link, op->item);
    if (known)
        return stays(a, known);
    if (!parent) /* it was removed here */
        return refuse(a, FTX_REFUSED_FOLDER);
    enum ftx_refusal reason = judge_make(a, parent);
    struct ftx_item *there = ftx_item_lookup(&store->index, parent, op->name, op->name_size);
    bool adopts =
        there && there->kind == FTX_FOLDER && op->what == FTX_FOLDER && !there->named_here;
    if (reason) {
        ftx_tell_refused(&a->log, parent, op->name, op->name_size, (uint8_t)reason);
        return refuse(a, reason);
    }
    if (adopts)
        return adopt(a, there);
    char *name;
    int err = ftx_inbox_make_way(&a->log, there, NULL);
    if (err)
        return err;
    there = ftx_item_lookup(&store->index, parent, op->name, op->name_size);
    err = ftx_item_prepare(parent, NULL, op->name, op->name_size, &name);
    if (err)
        return err;
    struct ftx_item *item =
        ftx_item_new(&store->index, ftx_log_next_item(&a->log), op->what, FTX_INBOX, a->link);
    err = item ? dress(item, op) : -ENOMEM;
    if (!err) {
        bool taken = is_taken(there, item);
        show(a, item, parent, name);
        if (op->parent == 0)
            err = ftx_offer_placed(&a->log, item, taken);
        if (item->kind != FTX_FOLDER && item->state != FTX_ITEM_OFFERED)
            ftx_tell_item(&a->log, item->kind == FTX_FILE ? FTX_EVENT_ARRIVING : FTX_EVENT_COMPLETE,
                          item);
        return err;
    }
    free(name);
    if (item)
        ftx_item_free(&store->index, item);
    return err;
}

/* Puts the item where the operation says; whatever is there goes. */
static int place(struct applying *a, struct ftx_item *item, struct ftx_item *parent)
{
    struct ftx_store *store = a->log.store;
    char *name;
    int err = ftx_item_prepare(parent, item, a->op.name, a->op.name_size, &name);
    if (err)
        return err;
    struct ftx_item *there = ftx_item_lookup(&store->index, parent, name, a->op.name_size);
    if (there)
        ftx_inbox_drop(&a->log, there);
    item->named_here = item->moved_here = false;
    ftx_inbox_rename_to(&a->log, item, parent, name, a->op.name_size);
    item->ctime_ns = ftx_now_ns();
    ftx_log_item(&a->log, item);
    return 0;
}

void ftx_inbox_refuse(struct ftx_log *log, struct ftx_item *item, enum ftx_refusal reason)
{
    struct ftx_item *base = updated_base(item);
    item->error = (uint8_t)reason;
    ftx_tell_item(log, FTX_EVENT_REFUSED, item);
    log->news |= ftx_news_gone(log->store, item);
    ftx_inbox_drop(log, item);
    if (base) {
        ftx_item_clear_remote(&log->store->index, base);
        ftx_log_item(log, base);
    }
}

/* An item cannot go where its sender has it: what is complete stays where it is, and can be read
 * back from there; a folder is the owner's alone. */
static int leave(struct applying *a, struct ftx_item *item, enum ftx_refusal reason)
{
    if (item->kind == FTX_FILE && item->as.arriving) {
        drop(a, item);
    } else {
        if (item->shadow)
            ftx_inbox_let_go(&a->log, item->shadow);
        item->named_here = true; /* its sender has something else of that name, or may have */
        if (item->kind == FTX_FOLDER)
            ftx_item_clear_remote(&a->log.store->index, item);
        ftx_log_item(&a->log, item);
    }
    return refuse(a, reason);
}

static int apply_move(struct applying *a)
{
    struct ftx_store *store = a->log.store;
    const struct ftx_op *op = &a->op;
    struct ftx_item *found = ftx_item_find_remote(&store->index, a->link, op->item);
    struct ftx_item *parent = folder_of(a, op->parent);
    if (!found)
        return 0;
    /* an update's shadow has no place of its own: its base is what moves */
    struct ftx_item *item = updated_base(found) ? updated_base(found) : found;
    if (!parent) { /* its new folder was removed here: it stays until that is made again */
        item->named_here = true;
        ftx_log_item(&a->log, item);
        return refuse(a, FTX_REFUSED_FOLDER);
    }
    struct ftx_item *there = ftx_item_lookup(&store->index, parent, op->name, op->name_size);
    if (there == item) {
        item->named_here = item->moved_here = false;
        ftx_log_item(&a->log, item);
        touch(&a->log, parent, op->when_ns);
        return stays(a, item);
    }
    enum ftx_refusal reason = judge_place(parent, op, ftx_item_height(item));
    /* below itself it can only come where the owner moved folders, too */
    if (!reason && ftx_item_below(parent, item))
        reason = FTX_REFUSED_NAME;
    if (!reason && item->kind == FTX_FILE &&
        !ftx_rules_take_name(&a->link->settings.rules, op->name, op->name_size))
        reason = FTX_REFUSED_TYPE;
    if (reason == FTX_REFUSED_TYPE)
        ftx_tell_refused(&a->log, parent, op->name, op->name_size, (uint8_t)reason);
    if (reason)
        return leave(a, item, reason);
    int err = ftx_inbox_make_way(&a->log, there, item);
    if (err)
        return err;
    there = ftx_item_lookup(&store->index, parent, op->name, op->name_size);
    struct ftx_item *from = item->linked ? item->parent : NULL;
    bool taken = is_taken(there, item) || !ftx_item_offered(item);
    bool unfinished = item->kind == FTX_FILE && item->as.arriving;
    if (unfinished && item->as.arriving->base && item->as.arriving->base != there) {
        struct ftx_item *base = item->as.arriving->base; /* was renamed over, then away again */
        item->as.arriving->base = NULL;
        base->shadow = NULL;
        from = base->parent;
        drop(a, base);
    }
    if (unfinished && is_complete_file(there))
        become_shadow(a, item, there);
    else
        err = place(a, item, parent);
    if (err)
        return err;
    touch(&a->log, parent, op->when_ns);
    if (from && from != parent)
        touch(&a->log, from, op->when_ns);
    if (op->parent == 0)
        return ftx_offer_placed(&a->log, item, taken);
    ftx_offer_take(&a->log, item);
    return 0;
}

static int apply_attr(struct applying *a)
{
    struct ftx_item *found = ftx_item_find_remote(&a->log.store->index, a->link, a->op.item);
    struct ftx_item *both[] = {found, found ? updated_base(found) : NULL};
    for (int i = 0; i < 2; i++) {
        if (!both[i])
            continue;
        both[i]->mode = a->op.mode;
        both[i]->mtime_ns = a->op.mtime_ns;
        both[i]->ctime_ns = ftx_now_ns();
        ftx_log_item(&a->log, both[i]);
        a->log.news |= ftx_news_attr(a->log.store, both[i]);
    }
    return 0;
}

/* What was delivered stays, its sender's number does not: a SEAL that is still being judged must
 * not begin a version of it. What was not delivered goes, and an empty folder; and what is here, but
 * not to the sender's knowledge (CANCEL), unless its owner has given it a name. */
static int apply_drop(struct applying *a)
{
    struct ftx_item *found = ftx_item_find_remote(&a->log.store->index, a->link, a->op.item);
    if (!found)
        return 0;
    struct ftx_item *item = found, *base = updated_base(found);
    bool unfinished = found->kind == FTX_FILE && found->as.arriving && !base;
    if (base) { /* a version that nobody will see */
        ftx_inbox_let_go(&a->log, found);
        item = base;
    } else if (!found->linked) { /* what it was about to replace goes with it */
        item = found->as.arriving->base;
    }
    touch(&a->log, item->parent, a->op.when_ns);
    bool empty = item->kind == FTX_FOLDER && ftx_folder_count(item) == 0;
    bool cancelled = a->op.kind == FTX_OP_CANCEL && item->kind != FTX_FOLDER && item == found &&
                     !item->named_here;
    bool offered = item->state == FTX_ITEM_OFFERED || item->state == FTX_ITEM_REFUSED;
    if (empty || unfinished || cancelled || offered) {
        drop(a, item);
    } else {
        ftx_item_clear_remote(&a->log.store->index, item);
        ftx_log_item(&a->log, item);
    }
    return 0;
}

static int apply_halt(struct applying *a)
{
    struct ftx_item *item = ftx_item_find_remote(&a->log.store->index, a->link, a->op.item);
    if (item && item->kind == FTX_FILE && item->state == FTX_ITEM_ARRIVING) {
        item->state = FTX_ITEM_INTERRUPTED;
        a->log.arrived = true; /* for what is missing nobody need wait */
        ftx_log_item(&a->log, item);
        ftx_tell_item(&a->log, FTX_EVENT_INTERRUPTED, item);
    }
    return 0;
}

/* They are the item's, not a version's: an update's shadow takes them over when it is complete. */
static int apply_xattr(struct applying *a)
{
    struct ftx_item *found = ftx_item_find_remote(&a->log.store->index, a->link, a->op.item);
    const struct ftx_xattr xattr = {.name = a->op.name,
                                    .name_size = a->op.name_size,
                                    .value = a->op.value,
                                    .value_size = a->op.value_size};
    if (!found || found->kind == FTX_SYMLINK)
        return 0;
    struct ftx_item *item = updated_base(found) ? updated_base(found) : found;
    int err = ftx_log_xattr(&a->log, item, &xattr, false);
    if (err == -ENOSPC) {
        if (!a->link->told_of_xattrs) /* once: the peer may not fill the log */
            ftx_log(FTX_LOG_WARNING, "link %s: attributes are not kept: there are too many",
                    a->link->row.name);
        a->link->told_of_xattrs = true;
    } else if (!err) {
        item->ctime_ns = ftx_now_ns();
        ftx_log_item(&a->log, item);
    }
    return err == -ENOSPC ? 0 : err;
}

int ftx_inbox_apply(struct ftx_store *store, struct ftx_link *link, uint64_t number,
                    const uint8_t *op, size_t size, enum ftx_links_policy policy,
                    uint64_t *out_entry, uint64_t *out_item, uint8_t *out_refused)
{
    static int (*const apply[])(struct applying *) = {
        [FTX_OP_MAKE] = apply_make,        [FTX_OP_MOVE] = apply_move,
        [FTX_OP_ATTR] = apply_attr,        [FTX_OP_DROP] = apply_drop,
        [FTX_OP_HALT] = apply_halt,        [FTX_OP_XATTR] = apply_xattr,
        [FTX_OP_XATTR_GONE] = apply_xattr, [FTX_OP_CANCEL] = apply_drop,
    };
    struct applying a = {.link = link, .policy = policy};
    int err = ftx_op_decode(op, size, &a.op);
    if (!err)
        err = ftx_log_begin(&a.log, store);
    if (err)
        return err;
    err = link->folders[FTX_INBOX] && !link->removed ? apply[a.op.kind](&a) : FTX_EPROTO;
    if (!err) {
        link->row.op_seen = number;
        ftx_log_op_seen(&a.log, link, number);
        store->durable = true;
    }
    *out_entry = ftx_log_commit(&a.log);
    *out_item = a.op.item;
    *out_refused = a.refused;
    return err;
}
