/* SPDX-License-Identifier: MIT */
/* A group's bytes that were released: which members have them, and which do not yet. */
#include "fs/store/mirror.h"

#include "fs/store/outbox.h"
#include "fs/store/outbox_internal.h"
#include "fs/store/released.h"

/* The member is told of the file, and takes it. */
static bool takes(const struct ftx_item *mirror)
{
    return ftx_outbox_travels(mirror) && mirror->state != FTX_ITEM_REFUSED;
}

static bool lacks(const struct ftx_item *mirror, uint64_t offset, uint64_t end)
{
    return mirror->as.sending && ftx_segments_overlap(&mirror->as.sending->pending, offset, end);
}

/* Its peer said that it has the range durably, and did not take that back. */
static bool has(const struct ftx_item *mirror, uint64_t offset, uint64_t end)
{
    return ftx_outbox_travels(mirror) && !mirror->stale && !lacks(mirror, offset, end);
}

bool ftx_mirrors_taken(const struct ftx_store *store, const struct ftx_item *item)
{
    const struct ftx_item *mirror;
    for (size_t at = 0; (mirror = ftx_mirror_next(store, item, &at));)
        if (takes(mirror))
            return true;
    return false;
}

bool ftx_mirrors_await(const struct ftx_store *store, const struct ftx_item *item, uint64_t offset,
                       uint64_t end)
{
    const struct ftx_item *mirror;
    for (size_t at = 0; (mirror = ftx_mirror_next(store, item, &at));)
        if (takes(mirror) && lacks(mirror, offset, end))
            return true;
    return false;
}

size_t ftx_mirrors_pending(const struct ftx_store *store, const struct ftx_item *item,
                           const struct ftx_segments *out[2 * FTX_GROUP_MEMBERS_MAX], bool *out_had)
{
    const struct ftx_item *mirror;
    size_t n = 0;
    *out_had = !ftx_link_is_group(item->link);
    for (size_t at = 0; (mirror = ftx_mirror_next(store, item, &at));) {
        if (!takes(mirror))
            continue;
        *out_had = true;
        if (!mirror->as.sending)
            continue;
        out[n++] = &mirror->as.sending->pending;
        out[n++] = &mirror->as.sending->flying;
    }
    return n;
}

struct ftx_item *ftx_mirrors_supplier(const struct ftx_store *store, const struct ftx_item *item,
                                      uint64_t offset, uint64_t end, bool now)
{
    struct ftx_item *mirror;
    for (size_t at = 0; (mirror = ftx_mirror_next(store, item, &at));)
        if (has(mirror, offset, end) && (!now || mirror->link->in_session))
            return mirror;
    return NULL;
}

/* Some other member than this one has each released byte of the file. */
static bool is_supplied(const struct ftx_store *store, const struct ftx_item *item,
                        const struct ftx_link *without)
{
    const struct ftx_item *mirror;
    uint64_t from, to;
    for (uint64_t at = 0; ftx_released_next(item, at, item->size, &from, &to); at = to) {
        bool had = false;
        for (size_t i = 0; !had && (mirror = ftx_mirror_next(store, item, &i));)
            had = mirror->link != without && has(mirror, from, to);
        if (!had)
            return false;
    }
    return true;
}

bool ftx_mirrors_supplied(const struct ftx_store *store, const struct ftx_item *item,
                          const struct ftx_link *without)
{
    if (item->kind == FTX_FILE)
        return is_supplied(store, item, without);
    for (struct ftx_item *child = ftx_folder_after(item, 0); child;
         child = ftx_folder_after(item, child->cookie))
        if (!ftx_mirrors_supplied(store, child, without))
            return false;
    return true;
}

void ftx_mirrors_pull(struct ftx_log *log, const struct ftx_link *link)
{
    for (size_t i = 0; i < link->n_groups; i++) {
        const struct ftx_link *group = link->groups[i];
        for (size_t k = 0; k < group->n_members; k++) {
            struct ftx_list *sendings = &group->members[k]->sendings;
            for (struct ftx_list *node = sendings->next; node != sendings; node = node->next)
                ftx_sending_due(log, ftx_list_of(node, struct ftx_sending, all));
        }
    }
}
