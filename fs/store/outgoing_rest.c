/* SPDX-License-Identifier: MIT */
/*
 * Files that rest. What a closed file without pending segments has to send yet is that it is
 * complete, and a million of them may wait for a peer that is away, or for its owner's word: they
 * have no sending meanwhile. A session takes them up, some at a time.
 */
#include "fs/store/outgoing.h"

#include "fs/store/change_log.h"
#include "fs/store/mirror.h"
#include "fs/store/offer.h"
#include "fs/store/outbox.h"
#include "fs/store/outbox_internal.h"

/* Of a link at once: more than are delivered in a round trip, and no more than 4 MiB. */
enum { TAKEN_UP_MAX = 16384 };

/* Nothing is known of it that a new sending would not know. */
bool ftx_sending_may_rest(const struct ftx_store *store, const struct ftx_sending *sending)
{
    struct ftx_item *item = sending->item;
    return item->state == FTX_ITEM_CLOSED && item->linked && !sending->dropped &&
           !sending->updates && !sending->seal_left && !sending->missing_end &&
           sending->pending.count == 0 && sending->flying.count == 0 &&
           !ftx_list_linked(&sending->tail) && ftx_outbox_closed(ftx_mirror_contents(store, item));
}

void ftx_sending_remove(struct ftx_sending *sending)
{
    struct ftx_item *item = sending->item;
    ftx_list_remove(&sending->all);
    ftx_list_remove(&sending->due);
    ftx_list_remove(&sending->tail);
    ftx_sending_free(sending);
    item->as.sending = NULL;
    item->link->n_sendings--;
}

void ftx_item_rest(struct ftx_item *item)
{
    item->rests = true;
    item->link->n_resting++;
}

void ftx_item_wake(struct ftx_item *item)
{
    item->link->n_resting -= item->rests;
    item->rests = false;
}

void ftx_sending_rest(const struct ftx_store *store, struct ftx_item *item)
{
    if (item->link->in_session || !item->as.sending ||
        !ftx_sending_may_rest(store, item->as.sending))
        return;
    ftx_sending_remove(item->as.sending);
    ftx_item_rest(item);
}

void ftx_outgoing_rest(const struct ftx_store *store, struct ftx_link *link)
{
    for (struct ftx_list *node = link->sendings.next, *next; node != &link->sendings; node = next) {
        next = node->next;
        ftx_sending_rest(store, ftx_list_of(node, struct ftx_sending, all)->item);
    }
}

bool ftx_sending_is_offered(const struct ftx_store *store, const struct ftx_sending *sending)
{
    return sending->stream.announced && ftx_item_held(sending->item) &&
           ftx_sending_may_rest(store, sending);
}

void ftx_outgoing_rouse_all(struct ftx_link *link)
{
    link->rousing = (struct ftx_rousing){.passes = 1, .held = true};
}

void ftx_outgoing_rouse(struct ftx_link *link)
{
    link->rousing.passes = link->rousing.passes ? 2 : 1;
}

/* The next one that rests and is to be taken up, or NULL. */
static struct ftx_item *next_resting(const struct ftx_store *store, struct ftx_link *link)
{
    struct ftx_rousing *rousing = &link->rousing;
    while (link->n_resting && rousing->passes) {
        struct ftx_item *item = ftx_item_after(&store->index, rousing->place);
        if (!item) {
            *rousing = (struct ftx_rousing){.passes = rousing->passes - 1};
            continue;
        }
        rousing->place = item->place;
        if (item->rests && item->link == link && (rousing->held || !ftx_item_held(item)))
            return item;
    }
    return NULL;
}

/* When the version began, of which only the item is left: it was last changed then. */
static uint32_t since_ms(const struct ftx_store *store, const struct ftx_item *item)
{
    int64_t age_ms = (ftx_now_ns() - item->ctime_ns) / 1000000;
    bool known = age_ms >= 0 && age_ms < ftx_now_ms() - store->opened_ms;
    return known ? (ftx_since_ms() - (uint32_t)age_ms) | 1 : 0;
}

bool ftx_outgoing_take_up(struct ftx_store *store, struct ftx_link *link)
{
    bool may = link->in_session && link->n_sendings < TAKEN_UP_MAX;
    struct ftx_item *item = may ? next_resting(store, link) : NULL;
    struct ftx_sending *sending = item ? ftx_sending_get(item) : NULL;
    if (!sending)
        return false; /* no memory: the next session finds it */
    sending->began = sending->closed = store->appended;
    sending->since_ms = since_ms(store, item);
    ftx_list_append(&link->due, &sending->due);
    return true;
}
