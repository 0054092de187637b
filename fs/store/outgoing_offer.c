/* SPDX-License-Identifier: MIT */
/* What of our outbox the peer holds until its owner has accepted it. Known while a session lasts, and
 * shown until the next one says it anew. */
#include "fs/store/offer.h"

#include "fs/store/change_log.h"
#include "fs/store/outbox.h"
#include "fs/store/outbox_internal.h"
#include "fs/store/outgoing.h"
#include "fs/store/tell.h"
#include "transport/wire/message.h"

bool ftx_item_held(const struct ftx_item *item)
{
    return item->link->holds && ftx_item_top(item)->held;
}

static void hold(struct ftx_link *link, struct ftx_item *item)
{
    if (!item || item->link != link || item->box != FTX_OUTBOX || !ftx_item_is_top(item))
        return;
    item->held = true;
    link->holds = true;
}

void ftx_outbox_placed(struct ftx_item *item)
{
    item->held = false;
    if (item->link->asks && ftx_outbox_travels(item))
        hold(item->link, item);
    if (item->link->holds && (item->rests || ftx_folder_after(item, 0))) /* from what is held */
        ftx_outgoing_rouse(item->link);
}

/* What the peer has not applied yet, it has not accepted either. */
static void hold_new(struct ftx_store *store, struct ftx_link *link)
{
    struct ftx_op op;
    link->asks = true;
    for (uint64_t number = link->op_first; number < link->op_next; number++) {
        const struct ftx_stored_op *stored = ftx_link_op(link, number);
        if (ftx_op_decode(stored->bytes, stored->size, &op) == 0 && op.parent == 0 &&
            (op.kind == FTX_OP_MAKE || op.kind == FTX_OP_MOVE))
            hold(link, ftx_item_find_wire(&store->index, op.item));
    }
}

void ftx_outgoing_holds(struct ftx_store *store, struct ftx_link *link, uint64_t remote)
{
    pthread_mutex_lock(&store->lock);
    if (remote == 0)
        hold_new(store, link);
    else
        hold(link, ftx_item_find_wire(&store->index, remote));
    pthread_mutex_unlock(&store->lock);
}

void ftx_outgoing_unhold(struct ftx_link *link)
{
    const struct ftx_item *root = link->folders[FTX_OUTBOX];
    for (struct ftx_item *item = link->holds && root ? ftx_folder_after(root, 0) : NULL; item;
         item = ftx_folder_after(root, item->cookie))
        item->held = false;
    link->asks = link->holds = false;
}

/* The loop looks at what waits below the item. */
static void look_at(struct ftx_log *log, const struct ftx_item *top)
{
    struct ftx_link *link = top->link;
    if (top->kind == FTX_FILE) {
        if (top->as.sending)
            ftx_sending_due(log, top->as.sending);
        return;
    }
    for (struct ftx_list *node = link->sendings.next; node != &link->sendings; node = node->next) {
        struct ftx_sending *sending = ftx_list_of(node, struct ftx_sending, all);
        if (sending->item->linked && ftx_item_below(sending->item, top))
            ftx_sending_due(log, sending);
    }
}

void ftx_outgoing_takes(struct ftx_store *store, struct ftx_link *link, uint64_t remote)
{
    struct ftx_log log;
    ftx_log_lock(&log, store);
    struct ftx_item *item =
        remote ? ftx_item_find_wire(&store->index, remote) : link->folders[FTX_OUTBOX];
    if (!remote)
        ftx_outgoing_unhold(link);
    if (item && item->link == link && item->box == FTX_OUTBOX) {
        item->held = false;
        look_at(&log, item);
        ftx_outgoing_rouse(link);
        log.wake = true;
    }
    ftx_log_commit(&log);
}

void ftx_outgoing_refuse_below(struct ftx_log *log, struct ftx_item *folder, uint8_t reason)
{
    for (struct ftx_item *item = ftx_folder_after(folder, 0); item;
         item = ftx_folder_after(folder, item->cookie)) {
        if (!ftx_outbox_travels(item) || item->state == FTX_ITEM_DELIVERED)
            continue;
        bool news = item->state != FTX_ITEM_REFUSED;
        item->state = FTX_ITEM_REFUSED;
        item->error = reason;
        ftx_item_wake(item);
        ftx_log_item(log, item);
        if (news && item->kind == FTX_FILE)
            ftx_tell_item(log, FTX_EVENT_REFUSED, item);
        if (item->kind == FTX_FILE && item->as.sending)
            ftx_sending_due(log, item->as.sending);
        if (item->kind == FTX_FOLDER)
            ftx_outgoing_refuse_below(log, item, reason);
    }
}
