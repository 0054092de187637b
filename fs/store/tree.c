/* SPDX-License-Identifier: MIT */
/* Questions about the tree, answered from the index. */
#include "fs/store/tree.h"

#include "fs/store/released.h"

#include "fs/store/change_log.h"
#include "fs/store/feed.h"
#include "fs/store/links.h"
#include "fs/store/mirror.h"
#include "fs/store/names.h"
#include "fs/store/news.h"
#include "fs/store/offer.h"
#include "fs/store/steer.h"
#include "transport/wire/message.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum ftx_place place_of(const struct ftx_item *item)
{
    if (!item->link)
        return FTX_PLACE_BOX;
    return ftx_item_is_root(item) ? FTX_PLACE_LINK : FTX_PLACE_ITEM;
}

static void fill_attr(const struct ftx_item *item, struct ftx_attr *out)
{
    bool arriving = item->box == FTX_INBOX && item->kind == FTX_FILE && item->as.arriving;
    bool mirror = ftx_mirror_is(item);
    *out = (struct ftx_attr){.id = item->id,
                             .size = item->size,
                             .bytes_here = item->size,
                             .object = item->object,
                             .mtime_ns = item->mtime_ns,
                             .ctime_ns = item->ctime_ns,
                             .n_links = 1,
                             .mode = item->mode,
                             .kind = item->kind,
                             .state = item->state,
                             .box = item->box,
                             .place = place_of(item),
                             .settled = item->box == FTX_OUTBOX && !mirror};
    if (item->kind == FTX_FOLDER)
        out->n_links = 2 + item->as.folder->n_folders;
    if (arriving)
        out->bytes_here = item->as.arriving->landing->have.bytes;
    else if (item->kind == FTX_FILE)
        out->bytes_here -= mirror ? item->size : ftx_released_bytes(item);
    out->elsewhere = out->bytes_here < item->size;
    if (!item->linked && item->link && !ftx_item_is_root(item))
        out->n_links = 0;
}

int ftx_tree_lookup(struct ftx_store *store, uint64_t parent_id, const char *name, size_t size,
                    bool look, struct ftx_attr *out)
{
    int err = -ENOENT;
    pthread_mutex_lock(&store->lock);
    struct ftx_item *parent = ftx_item_find(&store->index, parent_id);
    struct ftx_item *item = parent && parent->kind == FTX_FOLDER
                                ? ftx_item_lookup(&store->index, parent, name, size)
                                : NULL;
    if (item) {
        item->n_lookup++;
        if (look)
            ftx_news_looked_up(store, item);
        fill_attr(item, out);
        err = 0;
    }
    pthread_mutex_unlock(&store->lock);
    return err;
}

int ftx_tree_attr(struct ftx_store *store, uint64_t id, struct ftx_attr *out)
{
    pthread_mutex_lock(&store->lock);
    struct ftx_item *item = ftx_item_find(&store->index, id);
    if (item)
        fill_attr(item, out);
    pthread_mutex_unlock(&store->lock);
    return item ? 0 : -ENOENT;
}

uint64_t ftx_tree_parent(struct ftx_store *store, uint64_t id)
{
    uint64_t parent = id;
    pthread_mutex_lock(&store->lock);
    struct ftx_item *item = ftx_item_find(&store->index, id);
    if (item && !item->link)
        parent = FTX_ID_ROOT;
    else if (item && item->parent)
        parent = item->parent->id;
    pthread_mutex_unlock(&store->lock);
    return parent;
}

bool ftx_tree_ref(struct ftx_store *store, uint64_t id, bool look)
{
    pthread_mutex_lock(&store->lock);
    struct ftx_item *item = ftx_item_find(&store->index, id);
    if (item) {
        item->n_lookup++;
        if (look)
            ftx_news_looked_up(store, item);
    }
    pthread_mutex_unlock(&store->lock);
    return item != NULL;
}

void ftx_tree_forget(struct ftx_store *store, uint64_t id, uint64_t n)
{
    struct ftx_log log;
    ftx_log_lock(&log, store);
    struct ftx_item *item = ftx_item_find(&store->index, id);
    if (item) {
        item->n_lookup = n < item->n_lookup ? item->n_lookup - (uint32_t)n : 0;
        ftx_news_forget(store, item, n);
        ftx_item_reap(&log, item);
    }
    ftx_log_commit(&log);
}

int ftx_tree_list(struct ftx_store *store, uint64_t id, uint64_t cookie, ftx_tree_entry_fn entry,
                  void *ctx)
{
    pthread_mutex_lock(&store->lock);
    struct ftx_item *folder = ftx_item_find(&store->index, id);
    int err = !folder ? -ENOENT : folder->kind != FTX_FOLDER ? -ENOTDIR : 0;
    bool more = true;
    for (struct ftx_item *item = err ? NULL : ftx_folder_after(folder, cookie); item && more;
         item = ftx_folder_after(folder, item->cookie)) {
        struct ftx_attr attr;
        fill_attr(item, &attr);
        more = entry(ctx, item->name, item->cookie, &attr);
    }
    pthread_mutex_unlock(&store->lock);
    return err;
}

int ftx_tree_readlink(struct ftx_store *store, uint64_t id, bool any_target, char *out, size_t size)
{
    int err = 0;
    pthread_mutex_lock(&store->lock);
    struct ftx_item *item = ftx_item_find(&store->index, id);
    if (!item)
        err = -ENOENT;
    else if (item->kind != FTX_SYMLINK || item->size >= size)
        err = -EINVAL;
    else if (item->box == FTX_INBOX && !any_target && item->linked &&
             !ftx_target_inside(item->as.target, item->size, ftx_item_depth(item) - 1))
        err = -EPERM; /* its folder was moved up since it came */
    else
        memcpy(out, item->as.target, item->size + 1);
    pthread_mutex_unlock(&store->lock);
    return err;
}

/* The peer has not accepted it yet, and so nothing of it goes. */
static bool is_waiting(const struct ftx_item *item)
{
    bool ended = item->kind == FTX_FILE ? item->state != FTX_ITEM_CLOSED : item->state != 0;
    return item->box == FTX_OUTBOX && !ended && ftx_item_held(item);
}

/* What one end has of an outbox item. */
static const char *own_state(const struct ftx_item *item)
{
    bool told = item->op < item->link->op_first;
    if (told && is_waiting(item))
        return "offered";
    switch (item->state) {
    case FTX_ITEM_WRITING:
        return "writing";
    case FTX_ITEM_CLOSED:
        return item->as.sending && item->as.sending->sent ? "sending" : "queued";
    case FTX_ITEM_INTERRUPTED:
        return "interrupted";
    case FTX_ITEM_REFUSED:
        return "refused";
    case FTX_ITEM_FAILED:
        return "failed";
    case FTX_ITEM_LOCAL:
        return "local";
    case FTX_ITEM_CANCELLED:
        return "cancelled";
    default:
        return told ? "delivered" : "queued";
    }
}

/* How far the words are from `delivered`: of a group's item that of the last member is shown. */
static const char *const group_order[] = {"delivered", "local",       "cancelled", "refused",
                                          "failed",    "interrupted", "offered",   "queued",
                                          "sending",   "writing"};

static size_t order_of(const char *state)
{
    size_t i = 0;
    while (strcmp(group_order[i], state) != 0)
        i++;
    return i;
}

static const char *outbox_state(const struct ftx_store *store, const struct ftx_item *item)
{
    const struct ftx_item *mirror;
    bool own = !ftx_link_is_group(item->link) || item->state == FTX_ITEM_WRITING ||
               item->state == FTX_ITEM_LOCAL;
    if (own)
        return own_state(item);
    const char *last = item->link->n_members                 ? "delivered"
                       : item->state == FTX_ITEM_INTERRUPTED ? "interrupted"
                                                             : "queued";
    for (size_t at = 0; (mirror = ftx_mirror_next(store, item, &at));)
        if (order_of(own_state(mirror)) > order_of(last))
            last = own_state(mirror);
    return last;
}

static const char *inbox_state(const struct ftx_item *item)
{
    if (item->state == FTX_ITEM_REFUSED)
        return "refused";
    if (item->state != FTX_ITEM_FAILED && ftx_item_offered(item))
        return "offered";
    switch (item->state) {
    case FTX_ITEM_ARRIVING:
        return "arriving";
    case FTX_ITEM_INTERRUPTED:
        return "interrupted";
    case FTX_ITEM_FAILED:
        return "failed";
    case FTX_ITEM_TAKEN:
        return "taken";
    default:
        return "complete";
    }
}

static int state_text(const struct ftx_store *store, const struct ftx_item *item, char *out,
                      size_t size)
{
    const char *text = place_of(item) == FTX_PLACE_LINK ? ftx_link_state_text(item->link)
                       : item->box == FTX_OUTBOX        ? outbox_state(store, item)
                                                        : inbox_state(item);
    return snprintf(out, size, "%s", text);
}

/* Of a group's file, what the slowest member that takes it lacks. */
static uint64_t lacking(const struct ftx_store *store, const struct ftx_item *item)
{
    const struct ftx_item *mirror;
    uint64_t most =
        item->link->n_members || !item->as.sending ? 0 : item->as.sending->pending.bytes;
    for (size_t at = 0; (mirror = ftx_mirror_next(store, item, &at));)
        if (mirror->state != FTX_ITEM_REFUSED && mirror->as.sending &&
            mirror->as.sending->pending.bytes > most)
            most = mirror->as.sending->pending.bytes;
    return most;
}

static int progress_text(const struct ftx_store *store, const struct ftx_item *item, char *out,
                         size_t size)
{
    if (place_of(item) != FTX_PLACE_ITEM || item->kind != FTX_FILE || ftx_item_stays(item))
        return -ENODATA;
    uint64_t done = item->size;
    uint64_t missing = item->box == FTX_OUTBOX ? lacking(store, item) : 0;
    if (item->box == FTX_OUTBOX)
        done -= missing < done ? missing : done;
    else if (item->box == FTX_INBOX && item->as.arriving)
        done = item->as.arriving->landing->have.bytes;
    return snprintf(out, size, "%" PRIu64 "/%" PRIu64, done, item->size);
}

/* Each member, with what it has of a group's item; of the group's folder, how it is connected. */
static int members_text(const struct ftx_store *store, const struct ftx_item *item, char *out,
                        size_t size)
{
    size_t used = 0;
    if (!ftx_link_is_group(item->link))
        return -ENODATA;
    for (size_t i = 0; i < item->link->n_members && used < size; i++) {
        const struct ftx_link *member = item->link->members[i];
        const struct ftx_item *mirror = ftx_mirror_of(store, item, member);
        const char *state = ftx_item_is_root(item) ? ftx_link_state_text(member)
                            : mirror               ? own_state(mirror)
                                                   : "queued";
        used += (size_t)snprintf(out + used, size - used, "%s%s=%s", i ? " " : "", member->row.name,
                                 state);
    }
    return (int)used;
}

static int error_text(const struct ftx_store *store, const struct ftx_item *item, char *out,
                      size_t size)
{
    const char *text = NULL;
    const struct ftx_item *refused = place_of(item) == FTX_PLACE_ITEM && item->box == FTX_OUTBOX
                                         ? ftx_mirrors_refused(store, item)
                                         : NULL;
    if (refused)
        return snprintf(out, size, "%s: %s", refused->link->row.name,
                        ftx_refusal_text(refused->error));
    if (place_of(item) == FTX_PLACE_LINK)
        text = ftx_link_error_text(item->link, item->box);
    else if (item->state == FTX_ITEM_REFUSED && item->box == FTX_INBOX)
        text = "it was rejected here; it goes when the peer has heard of that";
    else if (item->state == FTX_ITEM_REFUSED)
        text = ftx_refusal_text(item->error);
    else if (item->state == FTX_ITEM_INTERRUPTED)
        text = "the writer was cut off; write it again";
    else if (item->state == FTX_ITEM_FAILED)
        text = "its bytes cannot be read from the store; write it again";
    else if (is_waiting(item))
        text = "the peer has not accepted it yet";
    else if (item->box == FTX_INBOX && ftx_item_offered(item))
        text = "it waits for your word: accept or reject it";
    return text ? snprintf(out, size, "%s", text) : -ENODATA;
}

static int verifier_text(const struct ftx_link *link, char *out, size_t size)
{
    char words[FTX_VERIFIER_TEXT];
    if (link->row.state != FTX_LINK_PAIRED || ftx_link_is_group(link))
        return -ENODATA;
    ftx_link_verifier(&link->row, words);
    return snprintf(out, size, "%s", words);
}

int ftx_tree_get_xattr(struct ftx_store *store, uint64_t id, const char *name, size_t size,
                       void **out_value, size_t *out_size)
{
    struct ftx_xattr found;
    int err = -ENODATA;
    pthread_mutex_lock(&store->lock);
    struct ftx_item *item = ftx_item_find(&store->index, id);
    if (item && ftx_xattrs_find(item->xattrs, name, size, &found)) {
        void *copy = malloc(found.value_size + 1);
        err = copy ? 0 : -ENOMEM;
        if (copy) {
            memcpy(copy, found.value, found.value_size);
            *out_value = copy;
            *out_size = found.value_size;
        }
    }
    pthread_mutex_unlock(&store->lock);
    return err;
}

/* Ours are answered, but not listed. */
static bool next_shown(const struct ftx_xattrs *set, size_t *in_out_at, struct ftx_xattr *out)
{
    while (ftx_xattrs_next(set, in_out_at, out))
        if (!ftx_xattr_is_ours(out))
            return true;
    return false;
}

int ftx_tree_list_xattrs(struct ftx_store *store, uint64_t id, char **out_names, size_t *out_size)
{
    struct ftx_xattr xattr;
    size_t used = 0;
    pthread_mutex_lock(&store->lock);
    struct ftx_item *item = ftx_item_find(&store->index, id);
    const struct ftx_xattrs *set = item ? item->xattrs : NULL;
    for (size_t at = 0; next_shown(set, &at, &xattr);)
        used += FTX_USER_SIZE + xattr.name_size + 1;
    char *names = malloc(used + 1), *end = names;
    for (size_t at = 0; names && next_shown(set, &at, &xattr);) {
        memcpy(end, FTX_USER, FTX_USER_SIZE);
        memcpy(end + FTX_USER_SIZE, xattr.name, xattr.name_size);
        end += FTX_USER_SIZE + xattr.name_size;
        *end++ = '\0';
    }
    pthread_mutex_unlock(&store->lock);
    if (!names)
        return -ENOMEM;
    *out_names = names;
    *out_size = used;
    return 0;
}

int ftx_tree_xattr(struct ftx_store *store, uint64_t id, const char *name, char *out, size_t size)
{
    int n = -ENODATA;
    pthread_mutex_lock(&store->lock);
    struct ftx_item *item = ftx_item_find(&store->index, id);
    if (!item)
        n = -ENOENT;
    else if (place_of(item) == FTX_PLACE_BOX)
        n = -ENODATA;
    else if (strcmp(name, "state") == 0)
        n = state_text(store, item, out, size);
    else if (strcmp(name, "progress") == 0)
        n = progress_text(store, item, out, size);
    else if (strcmp(name, "error") == 0)
        n = error_text(store, item, out, size);
    else if (strcmp(name, "members") == 0)
        n = members_text(store, item, out, size);
    else if (strcmp(name, "peer") == 0 && place_of(item) == FTX_PLACE_LINK &&
             item->link->peer_address[0])
        n = snprintf(out, size, "%s", item->link->peer_address);
    else if (strcmp(name, "path") == 0 && place_of(item) == FTX_PLACE_LINK && item->link->way.path)
        n = snprintf(out, size, "%s", item->link->way.path);
    else if (strcmp(name, "verifier") == 0 && place_of(item) == FTX_PLACE_LINK)
        n = verifier_text(item->link, out, size);
    else if (strcmp(name, "priority") == 0 && item->box == FTX_OUTBOX)
        n = snprintf(out, size, "%u", (unsigned)ftx_item_priority(item));
    pthread_mutex_unlock(&store->lock);
    return n < 0 ? n : (size_t)n >= size ? -ERANGE : n;
}

int ftx_path_find(struct ftx_store *store, const char *path, size_t size, uint64_t *out_id)
{
    pthread_mutex_lock(&store->lock);
    struct ftx_item *item = NULL;
    for (size_t at = 0, end; at < size; at = end + 1) {
        const char *slash = memchr(path + at, '/', size - at);
        end = slash ? (size_t)(slash - path) : size;
        if (at == 0)
            item = end == 6 && memcmp(path, "outbox", 6) == 0  ? store->boxes[FTX_OUTBOX]
                   : end == 5 && memcmp(path, "inbox", 5) == 0 ? store->boxes[FTX_INBOX]
                                                               : NULL;
        else if (end > at) /* a slash at the end, or two, mean nothing */
            item = item->kind == FTX_FOLDER
                       ? ftx_item_lookup(&store->index, item, path + at, end - at)
                       : NULL;
        if (!item)
            break;
        *out_id = item->id;
    }
    pthread_mutex_unlock(&store->lock);
    return item ? 0 : -ENOENT;
}
