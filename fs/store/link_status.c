/* SPDX-License-Identifier: MIT */
/* What is shown of links: how they stand, what waits in them. */
#include "fs/store/links.h"

#include "fs/store/offer.h"

#include <errno.h>
#include <string.h>

/* Nothing is on its way, or waits to be; what was refused or cut off is over. */
static bool is_done(const struct ftx_link *link)
{
    bool done = link->op_first == link->op_next && !link->n_resting;
    for (struct ftx_list *node = link->sendings.next; node != &link->sendings && done;
         node = node->next) {
        uint8_t state = ftx_list_of(node, struct ftx_sending, all)->item->state;
        done = state != FTX_ITEM_WRITING && state != FTX_ITEM_CLOSED;
    }
    for (struct ftx_list *node = link->arriving.next; node != &link->arriving && done;
         node = node->next) {
        uint8_t state = ftx_list_of(node, struct ftx_arriving, node)->item->state;
        done = state != FTX_ITEM_ARRIVING && state != FTX_ITEM_OFFERED;
    }
    return done;
}

bool ftx_link_done(struct ftx_store *store, const char *name, size_t size)
{
    pthread_mutex_lock(&store->lock);
    const struct ftx_link *link = ftx_link_find_name(store, name, size);
    bool done = !link || is_done(link);
    pthread_mutex_unlock(&store->lock);
    return done;
}

static uint64_t count_resting(const struct ftx_item *item)
{
    uint64_t n = item->rests;
    for (const struct ftx_item *child = ftx_folder_after(item, 0); child;
         child = ftx_folder_after(item, child->cookie))
        n += count_resting(child);
    return n;
}

void ftx_link_queue(const struct ftx_link *link, const struct ftx_item *folder, uint64_t *out_files,
                    uint64_t *out_bytes)
{
    *out_files = folder && link->n_resting ? count_resting(folder) : link->n_resting;
    *out_bytes = 0;
    for (struct ftx_list *node = link->sendings.next; node != &link->sendings; node = node->next) {
        const struct ftx_sending *sending = ftx_list_of(node, struct ftx_sending, all);
        const struct ftx_item *item = sending->item;
        if ((item->state != FTX_ITEM_WRITING && item->state != FTX_ITEM_CLOSED) ||
            (folder && !ftx_item_below(item, folder)))
            continue;
        (*out_files)++;
        *out_bytes += sending->pending.bytes;
    }
}

static void fill_status(const struct ftx_link *link, struct ftx_link_status *out)
{
    *out = (struct ftx_link_status){.state = ftx_link_state_text(link),
                                    .way = link->way,
                                    .bytes_out = link->bytes_out,
                                    .bytes_in = link->bytes_in,
                                    .rate_out = link->rate_out,
                                    .rate_in = link->rate_in,
                                    .queue_ops = link->op_next - link->op_first};
    out->error = ftx_link_error_text(link, FTX_INBOX);
    out->sender = link->row.role == FTX_ROLE_S;
    out->no_room = link->no_room;
    out->left = link->left;
    out->ops_seen = link->row.op_seen;
    out->paired = link->row.state == FTX_LINK_PAIRED;
    if (link->row.guesses < FTX_GUESSES_MAX)
        out->guesses_left = (unsigned)FTX_GUESSES_MAX - link->row.guesses;
    if (out->paired)
        ftx_link_verifier(&link->row, out->verifier);
    out->settings = link->settings;
    memcpy(out->packed, link->packed, sizeof out->packed);
    memcpy(out->name, link->row.name, sizeof out->name);
    memcpy(out->peer, link->peer_address, sizeof out->peer);
    ftx_link_queue(link, NULL, &out->queue_files, &out->queue_bytes);
    for (struct ftx_list *node = link->arriving.next; node != &link->arriving; node = node->next) {
        const struct ftx_arriving *arriving = ftx_list_of(node, struct ftx_arriving, node);
        out->arriving_files++;
        out->arriving_here += arriving->landing->have.bytes;
        if (arriving->item->size > arriving->landing->have.bytes)
            out->arriving_bytes += arriving->item->size - arriving->landing->have.bytes;
    }
    out->offered = ftx_offers_count(link);
}

int ftx_link_status(struct ftx_store *store, const char *name, size_t size,
                    struct ftx_link_status *out)
{
    pthread_mutex_lock(&store->lock);
    const struct ftx_link *link = ftx_link_find_name(store, name, size);
    if (link)
        fill_status(link, out);
    pthread_mutex_unlock(&store->lock);
    return link ? 0 : -ENOENT;
}

size_t ftx_links_status(struct ftx_store *store, struct ftx_link_status *out, size_t capacity)
{
    size_t n = 0;
    pthread_mutex_lock(&store->lock);
    for (struct ftx_list *node = store->links.next; node != &store->links; node = node->next) {
        const struct ftx_link *link = ftx_list_of(node, struct ftx_link, node);
        if (link->removed || ftx_link_is_group(link))
            continue;
        if (n < capacity)
            fill_status(link, &out[n]);
        n++;
    }
    pthread_mutex_unlock(&store->lock);
    return n;
}

static bool is_locked(const struct ftx_link *link)
{
    return link->row.state != FTX_LINK_PAIRED && link->row.guesses >= FTX_GUESSES_MAX;
}

const char *ftx_link_error_text(const struct ftx_link *link, enum ftx_box box)
{
    if (is_locked(link))
        return "ten wrong codes were tried, by somebody else perhaps: the code is locked; "
               "ftx rearm CODE lets it be tried again, ftx unpair CODE takes it back";
    switch (link->health) {
    case FTX_HEALTH_SAME_ROLE:
        return "both ends made the same folder: one makes outbox/CODE, the other inbox/CODE";
    case FTX_HEALTH_LOST:
        return "the two ends no longer agree on what was sent: one of them lost its state";
    default:
        return box == FTX_INBOX && link->inbox_full
                   ? "files were refused: the inbox has all that it may take (inbox_max); remove "
                     "something"
                   : NULL;
    }
}

const char *ftx_link_state_text(const struct ftx_link *link)
{
    bool paired = link->row.state == FTX_LINK_PAIRED;
    if (ftx_link_is_group(link))
        return "group";
    if (link->settings.paused)
        return "paused";
    if (is_locked(link))
        return "locked";
    switch (link->health) {
    case FTX_HEALTH_CONNECTED:
        return "connected";
    case FTX_HEALTH_PAIRING:
        return "pairing";
    case FTX_HEALTH_SAME_ROLE:
        return link->row.role == FTX_ROLE_S ? "both-senders" : "both-receivers";
    case FTX_HEALTH_LOST:
        return "lost";
    default:
        return paired ? "offline" : "waiting";
    }
}
