/* SPDX-License-Identifier: MIT */
/*
 * Who joins: the row first, then the mirrors. Who leaves: the mirrors first, and once that is on the
 * disk, the row. So a kill or a power cut in between leaves a member whose folder the start makes
 * whole again, never mirrors without a group.
 */
#include "fs/store/group.h"

#include "fs/store/change_log.h"
#include "fs/store/link_job.h"
#include "fs/store/mirror.h"
#include "fs/store/outbox.h"
#include "fs/store/steer.h"
#include "fs/store/tell.h"
#include "transport/base/words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* -- in memory -- */

static int append(struct ftx_link ***links, size_t *n, struct ftx_link *link)
{
    struct ftx_link **grown = realloc(*links, (*n + 1) * sizeof(struct ftx_link *));
    if (!grown)
        return -ENOMEM;
    *links = grown;
    grown[(*n)++] = link;
    return 0;
}

static void take_out(struct ftx_link **links, size_t *n, const struct ftx_link *link)
{
    size_t kept = 0;
    for (size_t i = 0; i < *n; i++)
        if (links[i] != link)
            links[kept++] = links[i];
    *n = kept;
}

int ftx_group_attach(struct ftx_link *group, struct ftx_link *member)
{
    int err = append(&group->members, &group->n_members, member);
    if (!err && (err = append(&member->groups, &member->n_groups, group)) != 0)
        group->n_members--;
    return err;
}

static void detach(struct ftx_link *group, struct ftx_link *member)
{
    take_out(group->members, &group->n_members, member);
    take_out(member->groups, &member->n_groups, group);
}

static bool is_member(const struct ftx_link *group, const struct ftx_link *link)
{
    for (size_t i = 0; i < group->n_members; i++)
        if (group->members[i] == link)
            return true;
    return false;
}

/* -- one change at a time; each gives the lock away while it is written -- */

static void begin(struct ftx_store *store)
{
    pthread_mutex_lock(&store->lock);
    while (store->regrouping)
        pthread_cond_wait(&store->drained, &store->lock);
    store->regrouping = true;
}

static void end(struct ftx_store *store)
{
    store->regrouping = false;
    pthread_cond_broadcast(&store->drained);
    pthread_mutex_unlock(&store->lock);
    store->events.wake(store->events_ctx);
}

/* What mirrors need: room in the journal, for which the lock is given away. An error leaves the lock
 * as it was: held. */
static int begin_log(struct ftx_log *log, struct ftx_store *store)
{
    pthread_mutex_unlock(&store->lock);
    int err = ftx_log_begin(log, store);
    if (err)
        pthread_mutex_lock(&store->lock);
    return err;
}

static void commit_log(struct ftx_log *log)
{
    struct ftx_store *store = log->store;
    ftx_log_commit(log);
    pthread_mutex_lock(&store->lock);
}

/* It may have been unpaired meanwhile. */
static bool belongs(const struct ftx_link *group, const struct ftx_link *member)
{
    return !group->removed && !member->removed && is_member(group, member);
}

static int join(struct ftx_store *store, struct ftx_link *group, struct ftx_link *member)
{
    struct ftx_log log;
    int err = ftx_group_attach(group, member);
    if (err)
        return err;
    err = ftx_link_job_member(store, group->row.id, member->row.id, true);
    if (err)
        detach(group, member);
    if (!err)
        err = begin_log(&log, store);
    if (err)
        return err;
    if (!belongs(group, member)) {
        commit_log(&log); /* its row must not wait for another link of its number */
        return ftx_link_job_member(store, group->row.id, member->row.id, false);
    }
    ftx_tell_link(store, FTX_EVENT_JOINED, member, group->row.name, NULL, 0);
    err = ftx_mirror_sync(&log, group, member);
    log.wake = true;
    commit_log(&log);
    return err;
}

static int drop_mirrors(struct ftx_store *store, const struct ftx_link *group,
                        const struct ftx_link *member)
{
    struct ftx_log log;
    int err = begin_log(&log, store);
    if (err)
        return err;
    struct ftx_item *folder =
        belongs(group, member) ? ftx_mirror_of(store, group->folders[FTX_OUTBOX], member) : NULL;
    if (folder)
        err = ftx_mirror_drop(&log, folder, ftx_now_ns());
    commit_log(&log);
    pthread_mutex_unlock(&store->lock);
    if (!err)
        err = ftx_store_sync(store);
    pthread_mutex_lock(&store->lock);
    return err;
}

static int leave(struct ftx_store *store, struct ftx_link *group, struct ftx_link *member)
{
    struct ftx_log log;
    int err = drop_mirrors(store, group, member);
    if (err || !belongs(group, member))
        return err;
    err = ftx_link_job_member(store, group->row.id, member->row.id, false);
    if (!err)
        err = begin_log(&log, store);
    if (err)
        return err;
    detach(group, member);
    ftx_tell_link(store, FTX_EVENT_LEFT, member, group->row.name, NULL, 0);
    ftx_mirrors_settle_all(&log, group->folders[FTX_OUTBOX]);
    commit_log(&log);
    return 0;
}

void ftx_groups_left(struct ftx_log *log, struct ftx_link *link)
{
    while (link->n_groups) {
        struct ftx_link *group = link->groups[0];
        detach(group, link);
        if (ftx_log_room(log) == 0)
            ftx_mirrors_settle_all(log, group->folders[FTX_OUTBOX]);
    }
}

/* -- what is asked for -- */

struct change {
    struct ftx_link *group;
    enum ftx_group_how how;
    struct ftx_link *links[FTX_GROUP_MEMBERS_MAX];
    size_t n;
};

static bool is_named(const struct change *change, const struct ftx_link *link)
{
    for (size_t i = 0; i < change->n; i++)
        if (change->links[i] == link)
            return true;
    return false;
}

/* May the link be a member of a group of this name? */
static int check_joins(const struct ftx_store *store, const struct ftx_link *link,
                       const struct ftx_word *name)
{
    const struct ftx_item *outbox = link->folders[FTX_OUTBOX];
    if (!outbox)
        return -EOPNOTSUPP;
    return ftx_item_lookup(&store->index, outbox, name->at, name->size) ? -EEXIST : 0;
}

static int take_link(const struct ftx_store *store, const struct ftx_word *word,
                     const struct ftx_word *name, struct change *change)
{
    struct ftx_link *link = ftx_link_find_name(store, word->at, word->size);
    if (!link)
        return -ENOENT;
    if (ftx_link_is_group(link))
        return -EOPNOTSUPP;
    if (is_named(change, link))
        return 0;
    if (change->n == FTX_GROUP_MEMBERS_MAX)
        return -E2BIG;
    bool member = change->group && is_member(change->group, link);
    if (change->how != FTX_GROUP_SET && member == (change->how == FTX_GROUP_ADD))
        return -EALREADY;
    change->links[change->n++] = link;
    return member ? 0 : check_joins(store, link, name);
}

/* Reads the names; nothing is changed yet. */
static int prepare(const struct ftx_store *store, const struct ftx_word *name,
                   const struct ftx_word *members, size_t n, struct change *change)
{
    struct ftx_link *there = ftx_link_find_name(store, name->at, name->size);
    if (there && !ftx_link_is_group(there))
        return -EEXIST;
    if (!there && change->how != FTX_GROUP_SET)
        return -ENOENT;
    change->group = there;
    int err = 0;
    for (size_t i = 0; i < n && !err; i++)
        err = take_link(store, &members[i], name, change);
    if (!err && change->how == FTX_GROUP_ADD &&
        there->n_members + change->n > FTX_GROUP_MEMBERS_MAX)
        err = -E2BIG;
    return err;
}

static int make_group(struct ftx_store *store, const struct ftx_word *name,
                      struct ftx_link **out_group)
{
    struct ftx_link_row row = {.role = FTX_ROLE_GROUP, .state = FTX_LINK_PAIRED};
    memcpy(row.name, name->at, name->size);
    row.id = store->next_link++;
    struct ftx_link *group;
    int err = ftx_link_new(store, &row, &group);
    if (err)
        return err;
    err = ftx_link_job_wait(store, FTX_LINK_JOB_PUT, &row);
    if (err)
        ftx_link_detach(store, group);
    else
        *out_group = group;
    return err;
}

/* Not who alone has what was released. */
static int let_go(struct ftx_store *store, struct ftx_link *group, struct ftx_link *member)
{
    int err = ftx_mirrors_prove(store, group, member);
    return err ? err : leave(store, group, member);
}

int ftx_groups_spare(struct ftx_store *store, const struct ftx_link *link)
{
    int err = 0;
    for (size_t i = 0; i < link->n_groups && !err; i++)
        err = ftx_mirrors_prove(store, link->groups[i], link);
    return err;
}

static int apply(struct ftx_store *store, struct change *change)
{
    struct ftx_link *group = change->group;
    int err = 0;
    for (size_t i = 0; i < change->n && !err; i++) {
        if (change->how == FTX_GROUP_REMOVE)
            err = let_go(store, group, change->links[i]);
        else if (!is_member(group, change->links[i]) && !change->links[i]->removed)
            err = join(store, group, change->links[i]);
    }
    for (size_t i = group->n_members; change->how == FTX_GROUP_SET && i > 0 && !err; i--)
        if (!is_named(change, group->members[i - 1]))
            err = let_go(store, group, group->members[i - 1]);
    return err;
}

int ftx_group_change(struct ftx_store *store, const struct ftx_word *name, enum ftx_group_how how,
                     const struct ftx_word *members, size_t n)
{
    struct change change = {.how = how};
    if (!ftx_code_valid(name->at, name->size))
        return -EINVAL;
    begin(store);
    int err = prepare(store, name, members, n, &change);
    if (!err && !change.group)
        err = make_group(store, name, &change.group);
    if (!err)
        err = apply(store, &change);
    end(store);
    return err;
}

static int dissolve(struct ftx_store *store, struct ftx_link *group)
{
    struct ftx_log log;
    int err = 0;
    while (group->n_members && !err)
        err = leave(store, group, group->members[0]);
    if (!err)
        err = begin_log(&log, store);
    if (err)
        return err;
    ftx_link_empty_box(&log, group->folders[FTX_OUTBOX]);
    ftx_log_flush(&log);
    err = ftx_link_remove(store, group);
    commit_log(&log);
    return err;
}

int ftx_group_dissolve(struct ftx_store *store, const char *name, size_t size, bool force)
{
    begin(store);
    struct ftx_link *group = ftx_link_find_name(store, name, size);
    int err = !group || !ftx_link_is_group(group)        ? -ENOENT
              : !force && ftx_link_is_undelivered(group) ? -EBUSY
                                                         : dissolve(store, group);
    end(store);
    return err;
}

int ftx_groups_start(struct ftx_store *store)
{
    int err = 0;
    for (struct ftx_list *l = store->links.next; l != &store->links && !err; l = l->next) {
        struct ftx_link *group = ftx_list_of(l, struct ftx_link, node);
        for (size_t i = 0; i < group->n_members && !err; i++) {
            struct ftx_log log;
            err = ftx_log_begin(&log, store);
            if (err)
                break;
            err = ftx_mirror_sync(&log, group, group->members[i]);
            ftx_log_commit(&log);
        }
    }
    return err;
}

/* -- showing -- */

static void fill_status(const struct ftx_store *store, const struct ftx_link *group,
                        struct ftx_group_status *out)
{
    memset(out, 0, sizeof *out);
    memcpy(out->name, group->row.name, sizeof out->name);
    out->n_members = group->n_members;
    ftx_link_queue(group, NULL, &out->files, &out->bytes);
    for (size_t i = 0; i < group->n_members; i++) {
        const struct ftx_link *link = group->members[i];
        struct ftx_group_member *member = &out->members[i];
        memcpy(member->name, link->row.name, sizeof member->name);
        member->state = ftx_link_state_text(link);
        const struct ftx_item *mirror = ftx_mirror_of(store, group->folders[FTX_OUTBOX], link);
        if (mirror)
            ftx_link_queue(link, mirror, &member->files, &member->bytes);
        if (member->bytes > out->bytes)
            out->bytes = member->bytes;
    }
}

size_t ftx_groups_status(struct ftx_store *store, struct ftx_group_status *out, size_t capacity)
{
    size_t n = 0;
    pthread_mutex_lock(&store->lock);
    for (struct ftx_list *node = store->links.next; node != &store->links; node = node->next) {
        const struct ftx_link *link = ftx_list_of(node, struct ftx_link, node);
        if (link->removed || !ftx_link_is_group(link))
            continue;
        if (n < capacity)
            fill_status(store, link, &out[n]);
        n++;
    }
    pthread_mutex_unlock(&store->lock);
    return n;
}
