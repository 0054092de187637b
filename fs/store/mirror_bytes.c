/* SPDX-License-Identifier: MIT */
/* A group's bytes that were released: which members have them, and which do not yet. */
#include "fs/store/mirror.h"

#include "fs/store/fetch.h"
#include "fs/store/outbox.h"
#include "fs/store/outbox_internal.h"
#include "fs/store/released.h"

#include <errno.h>

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

/* -- what members show -- */

enum { PROOF_MS = 60 * 1000 }; /* since the last answer: a proof is old then */

static void forget_proofs(const struct ftx_store *store, const struct ftx_item *folder)
{
    struct ftx_item *mirror;
    for (struct ftx_item *child = ftx_folder_after(folder, 0); child;
         child = ftx_folder_after(folder, child->cookie)) {
        if (child->kind == FTX_FOLDER)
            forget_proofs(store, child);
        for (size_t at = 0; (mirror = ftx_mirror_next(store, child, &at));)
            mirror->proving = mirror->proven = false;
    }
}

/* Is this range at another member, which has shown some of the file? One is asked at a time. */
static int prove_range(struct ftx_store *store, struct ftx_item *item,
                       const struct ftx_link *without, uint64_t from, uint64_t to)
{
    struct ftx_item *mirror, *asked = NULL;
    bool proving = false;
    for (size_t at = 0; (mirror = ftx_mirror_next(store, item, &at));) {
        if (mirror->link == without || !mirror->link->in_session || !has(mirror, from, to))
            continue;
        if (mirror->proven)
            return 0;
        proving |= mirror->proving;
        asked = mirror;
    }
    if (!asked)
        return -EBUSY;
    return proving ? -EAGAIN : ftx_fetch_prove(asked, from);
}

static int worse(int a, int b)
{
    return a == -EBUSY || b == 0 ? a : b;
}

static int prove(struct ftx_store *store, struct ftx_item *item, const struct ftx_link *without)
{
    int err = 0;
    uint64_t from, to;
    for (uint64_t at = 0; item->kind == FTX_FILE && err != -EBUSY &&
                          ftx_released_next(item, at, item->size, &from, &to);
         at = to)
        err = worse(err, prove_range(store, item, without, from, to));
    for (struct ftx_item *child = item->kind == FTX_FOLDER ? ftx_folder_after(item, 0) : NULL;
         child && err != -EBUSY; child = ftx_folder_after(item, child->cookie))
        err = worse(err, prove(store, child, without));
    return err;
}

int ftx_mirrors_prove(struct ftx_store *store, struct ftx_link *group,
                      const struct ftx_link *without)
{
    struct ftx_item *folder = group->folders[FTX_OUTBOX];
    int64_t now_ms = ftx_now_ms();
    if (now_ms - group->proven_ms > PROOF_MS) {
        forget_proofs(store, folder);
        group->proven_ms = now_ms;
    }
    return prove(store, folder, without);
}

void ftx_mirror_shows(struct ftx_item *mirror, struct ftx_link *group, bool has)
{
    mirror->proving = false;
    mirror->proven = has;
    group->proven_ms = ftx_now_ms();
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
