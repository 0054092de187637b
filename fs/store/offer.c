/* SPDX-License-Identifier: MIT */
/* What waits in an inbox for its owner's word, and what the peer hears of it. */
#include "fs/store/offer.h"

#include "fs/store/change_log.h"
#include "fs/store/news.h"
#include "fs/store/steer.h"
#include "fs/store/tell.h"
#include "transport/base/err.h"

#include <errno.h>
#include <stdlib.h>

bool ftx_item_offered(const struct ftx_item *item)
{
    if (!item->linked && item->kind == FTX_FILE && item->as.arriving && item->as.arriving->base)
        item = item->as.arriving->base;
    uint8_t state = ftx_item_top(item)->state;
    return state == FTX_ITEM_OFFERED || state == FTX_ITEM_REFUSED;
}

int ftx_offer_check(const struct ftx_item *item)
{
    int err = FTX_EPROTO;
    if (!ftx_item_offered(item))
        return 0;
    if (!item->linked && item->as.arriving && item->as.arriving->base)
        item = item->as.arriving->base;
    for (; item->parent && !ftx_item_is_root(item->parent); item = item->parent) {
        if (item->moved_here)
            return 0;
        if (item->named_here)
            err = -EPERM;
    }
    return err;
}

uint64_t ftx_offers_count(const struct ftx_link *link)
{
    const struct ftx_item *root = link->folders[FTX_INBOX];
    uint64_t n = 0;
    if (link->settings.accept == FTX_ACCEPT_ALL)
        return 0;
    for (struct ftx_item *item = root ? ftx_folder_after(root, 0) : NULL; item;
         item = ftx_folder_after(root, item->cookie))
        n += item->state == FTX_ITEM_OFFERED;
    return n;
}

/* -- answers -- */

static int answer(struct ftx_link *link, uint64_t remote, uint8_t refused)
{
    struct ftx_answer *answer = malloc(sizeof *answer);
    if (!answer)
        return -ENOMEM;
    *answer = (struct ftx_answer){.remote = remote, .refused = refused};
    ftx_list_init(&answer->node);
    ftx_list_append(&link->answers, &answer->node);
    return 0;
}

static struct ftx_answer *first_answer(const struct ftx_link *link)
{
    return ftx_list_empty(&link->answers)
               ? NULL
               : ftx_list_of(link->answers.next, struct ftx_answer, node);
}

static void drop_answer(struct ftx_answer *answer)
{
    ftx_list_remove(&answer->node);
    free(answer);
}

void ftx_answers_clear(struct ftx_link *link)
{
    for (struct ftx_answer *answer; (answer = first_answer(link));)
        drop_answer(answer);
}

void ftx_answer_refused(struct ftx_link *link, const struct ftx_item *item, uint8_t reason)
{
    if (item->remote)
        (void)answer(link, item->remote, reason);
}

bool ftx_answer_next(struct ftx_store *store, struct ftx_link *link, struct ftx_answer *out)
{
    pthread_mutex_lock(&store->lock);
    const struct ftx_answer *next = first_answer(link);
    if (next)
        *out = *next;
    pthread_mutex_unlock(&store->lock);
    return next != NULL;
}

/* What was rejected is shown until the peer has heard of it. */
void ftx_answer_told(struct ftx_store *store, struct ftx_link *link)
{
    struct ftx_log log;
    bool noted = ftx_log_begin(&log, store) == 0;
    if (!noted)
        ftx_log_lock(&log, store);
    struct ftx_answer *told = first_answer(link);
    struct ftx_item *item =
        told && told->refused ? ftx_item_find_remote(&store->index, link, told->remote) : NULL;
    if (noted && item && item->state == FTX_ITEM_REFUSED && ftx_item_is_top(item)) {
        log.news |= ftx_news_gone(store, item);
        ftx_inbox_drop(&log, item);
    }
    if (told)
        drop_answer(told);
    ftx_log_commit(&log);
}

/* -- what the peer places -- */

void ftx_offer_take(struct ftx_log *log, struct ftx_item *item)
{
    if (item->state != FTX_ITEM_OFFERED)
        return;
    item->state = item->kind == FTX_FILE ? FTX_ITEM_ARRIVING : FTX_ITEM_COMPLETE;
    if (item->kind == FTX_FILE)
        item->as.arriving->since_ms = ftx_since_ms();
    ftx_log_item(log, item);
    log->arrived = true;
}

static void tell_offered(struct ftx_log *log, struct ftx_item *item)
{
    if (item->kind == FTX_FILE)
        item->as.arriving->told = true;
    ftx_tell_item(log, FTX_EVENT_OFFERED, item);
}

int ftx_offer_placed(struct ftx_log *log, struct ftx_item *item, bool taken)
{
    if (item->link->settings.accept != FTX_ACCEPT_ASK || item->state == FTX_ITEM_REFUSED)
        return 0;
    bool whole = item->kind == FTX_FILE && !item->as.arriving;
    if (taken || whole) {
        ftx_offer_take(log, item);
        log->wake = true;
        return answer(item->link, item->remote, 0);
    }
    if (item->state == FTX_ITEM_OFFERED)
        return 0;
    item->state = FTX_ITEM_OFFERED;
    ftx_log_item(log, item);
    if (item->kind != FTX_FILE)
        tell_offered(log, item);
    return 0;
}

void ftx_offer_sized(struct ftx_log *log, struct ftx_item *item)
{
    if (item->state == FTX_ITEM_OFFERED && !item->as.arriving->told)
        tell_offered(log, item);
}

/* -- sessions -- */

void ftx_offers_restart(struct ftx_store *store, struct ftx_link *link)
{
    pthread_mutex_lock(&store->lock);
    link->offers_at = 0;
    link->hold_root = link->asked = link->settings.accept == FTX_ACCEPT_ASK;
    for (struct ftx_list *node = link->answers.next, *next; node != &link->answers; node = next) {
        next = node->next;
        struct ftx_answer *old = ftx_list_of(node, struct ftx_answer, node);
        if (!old->refused) /* what is not held now is taken */
            drop_answer(old);
    }
    pthread_mutex_unlock(&store->lock);
}

bool ftx_offers_next(struct ftx_store *store, struct ftx_link *link, uint64_t *out_remote)
{
    struct ftx_log log;
    struct ftx_item *item = NULL;
    ftx_log_lock(&log, store);
    const struct ftx_item *root = link->folders[FTX_INBOX];
    bool first = link->hold_root;
    link->hold_root = false;
    *out_remote = 0;
    while (!first && root && (item = ftx_folder_after(root, link->offers_at))) {
        link->offers_at = item->cookie;
        if (item->remote && ftx_item_offered(item))
            break;
    }
    if (item) {
        *out_remote = item->remote;
        if (item->state == FTX_ITEM_REFUSED)
            (void)answer(link, item->remote, item->error);
        else if (!link->offers_told)
            tell_offered(&log, item);
        log.wake = true;
    } else if (!first) {
        link->offers_told = true;
    }
    ftx_log_commit(&log);
    return first || item;
}

/* -- the owner -- */

/* What of an inbox the owner may decide about. */
static int find_offer(struct ftx_store *store, uint64_t id, struct ftx_item **out_item)
{
    struct ftx_item *item = ftx_item_find(&store->index, id);
    *out_item = item;
    if (!item)
        return -ENOENT;
    if (!item->link || item->box != FTX_INBOX || ftx_item_is_root(item))
        return -EOPNOTSUPP;
    if (!ftx_item_is_top(item))
        return -EINVAL;
    return item->state == FTX_ITEM_OFFERED ? 0 : -EALREADY;
}

static int accept_one(struct ftx_log *log, struct ftx_item *item)
{
    int err = item->remote ? answer(item->link, item->remote, 0) : 0;
    if (err)
        return err;
    ftx_offer_take(log, item);
    ftx_tell_item(log, FTX_EVENT_ACCEPTED, item);
    if (item->kind != FTX_FOLDER)
        ftx_tell_item(log, item->kind == FTX_FILE ? FTX_EVENT_ARRIVING : FTX_EVENT_COMPLETE, item);
    log->wake = true;
    return 0;
}

static int reject_one(struct ftx_log *log, struct ftx_item *item)
{
    int err = item->remote ? answer(item->link, item->remote, FTX_REFUSED_REJECTED) : 0;
    if (err)
        return err;
    item->error = FTX_REFUSED_REJECTED;
    ftx_tell_item(log, FTX_EVENT_REFUSED, item);
    log->wake = log->arrived = true;
    if (!item->remote) { /* its sender has let go of it: there is nobody to tell */
        log->news |= ftx_news_gone(log->store, item);
        ftx_inbox_drop(log, item);
        return 0;
    }
    item->state = FTX_ITEM_REFUSED;
    ftx_log_item(log, item);
    return 0;
}

typedef int (*decide_fn)(struct ftx_log *log, struct ftx_item *item);

static int decide_item(struct ftx_store *store, uint64_t id, decide_fn decide)
{
    struct ftx_log log;
    struct ftx_item *item;
    int err = ftx_log_begin(&log, store);
    if (err)
        return err;
    err = find_offer(store, id, &item);
    if (!err)
        err = decide(&log, item);
    ftx_log_commit(&log);
    return err;
}

static int decide_all(struct ftx_log *log, struct ftx_link *link, decide_fn decide)
{
    int err = -EALREADY;
    uint64_t cookie = 0;
    for (struct ftx_item *item;
         link->folders[FTX_INBOX] && (item = ftx_folder_after(link->folders[FTX_INBOX], cookie));) {
        cookie = item->cookie;
        if (item->state != FTX_ITEM_OFFERED)
            continue;
        err = decide(log, item);
        if (err)
            break;
    }
    return err;
}

static int decide_link(struct ftx_store *store, const char *name, size_t size, decide_fn decide)
{
    struct ftx_log log;
    int err = ftx_log_begin(&log, store);
    if (err)
        return err;
    struct ftx_link *link = ftx_link_find_name(store, name, size);
    err = link ? decide_all(&log, link, decide) : -ENOENT;
    ftx_log_commit(&log);
    return err;
}

int ftx_item_accept(struct ftx_store *store, uint64_t id)
{
    return decide_item(store, id, accept_one);
}

int ftx_item_reject(struct ftx_store *store, uint64_t id)
{
    return decide_item(store, id, reject_one);
}

int ftx_link_accept(struct ftx_store *store, const char *name, size_t size)
{
    return decide_link(store, name, size, accept_one);
}

int ftx_link_reject(struct ftx_store *store, const char *name, size_t size)
{
    return decide_link(store, name, size, reject_one);
}

int ftx_offers_unasked(struct ftx_store *store, const char *name, size_t size)
{
    struct ftx_log log;
    int err = ftx_log_begin(&log, store);
    if (err)
        return err;
    struct ftx_link *link = ftx_link_find_name(store, name, size);
    err = link ? decide_all(&log, link, accept_one) : -ENOENT;
    if (link && link->asked && (err == 0 || err == -EALREADY))
        err = answer(link, 0, 0);
    if (link && !err)
        link->asked = false;
    log.wake = true;
    ftx_log_commit(&log);
    return err == -EALREADY ? 0 : err;
}
