/* SPDX-License-Identifier: MIT */
/* Links of the store and their peers on the network: one transfer each, made and let go as links
 * come and go. */
#include "fs/xfer/xfer.h"

#include "fs/store/outbox.h"
#include "fs/store/change_log.h"
#include "fs/xfer/kind.h"
#include "fs/xfer/sync.h"
#include "fs/xfer/transfer.h"
#include "transport/base/err.h"
#include "transport/base/log.h"
#include "transport/net/netwatch.h"
#include "transport/peer/codecs.h"

#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    RATE_MS = 1000,
    RETRY_MS = 1000,           /* after the disk had no room */
    TIMES_MS = 15000,          /* how often the clock is looked at, for limits that depend on it */
    GATHER_MS = 5,             /* wakes that come within this time share a turn, always ... */
    GATHER_SMALL_MS = 50,      /* ... and within this while only small things happen, */
    GATHER_BYTES = 1000 << 10, /* that is, while less than nearly a record waits to be sent */
};

struct ftx_xfer {
    uv_loop_t *loop;
    struct ftx_store *store;
    struct ftx_node *node;
    struct ftx_netwatch *netwatch; /* NULL: changes are not noticed */
    enum ftx_links_policy links;
    void (*failed)(void *ctx, const struct ftx_address *address, int err); /* NULL: nobody asks */
    void *failed_ctx;
    uv_async_t wake;
    atomic_bool woken;     /* a turn is to come */
    uv_timer_t gather;     /* it waits for more to do */
    uint64_t link_changes; /* ftx_link_changes as of the last turn */
    uint64_t turned_ms;    /* the last turn that gave a peer something to send */
    uv_timer_t settle;     /* tails of files that nobody writes to for a while */
    uv_timer_t retry;      /* what the disk had no room for */
    uv_timer_t rate;       /* bytes per second, while something moves */
    uv_timer_t times;      /* limits that depend on the time of the day, while there are any */
    struct ftx_sync sync;
    struct ftx_digests digests;
    struct ftx_list transfers;
    pthread_mutex_t lock;  /* of the next two */
    bool open;             /* `wake` may be used */
    struct ftx_list saved; /* struct save: written, to be told to their peers */
    bool stopping;
};

/* An identity on its way to the database and back. */
struct save {
    struct ftx_list node;
    struct ftx_transfer *transfer;
    uint64_t token;
    int err;
};

enum ftx_links_policy ftx_xfer_links(const struct ftx_xfer *xfer)
{
    return xfer->links;
}

struct ftx_digests *ftx_xfer_digests(struct ftx_xfer *xfer)
{
    return &xfer->digests;
}

uv_loop_t *ftx_xfer_loop(const struct ftx_xfer *xfer)
{
    return xfer->loop;
}

void ftx_xfer_wake(void *ctx)
{
    struct ftx_xfer *xfer = ctx;
    if (atomic_exchange(&xfer->woken, true))
        return;
    pthread_mutex_lock(&xfer->lock);
    if (xfer->open)
        uv_async_send(&xfer->wake);
    pthread_mutex_unlock(&xfer->lock);
}

/* -- what a peer asks of its link -- */

static void on_row_written(void *ctx, int err)
{
    struct save *save = ctx;
    struct ftx_xfer *xfer = save->transfer->xfer;
    save->err = err;
    pthread_mutex_lock(&xfer->lock);
    ftx_list_append(&xfer->saved, &save->node);
    pthread_mutex_unlock(&xfer->lock);
    ftx_xfer_wake(xfer);
}

static void fill_row(const struct ftx_peer_identity *identity, struct ftx_link_row *row)
{
    row->state = (uint8_t)identity->stage;
    row->guesses = identity->guesses;
    row->enrolled = identity->stage != FTX_PEER_ARMED;
    memcpy(row->code, identity->code, sizeof row->code);
    memcpy(row->label, identity->label, sizeof row->label);
    memcpy(row->static_secret, identity->keys.static_secret, 32);
    memcpy(row->static_public, identity->keys.static_public, 32);
    memcpy(row->peer_public, identity->keys.peer_public, 32);
    memcpy(row->link_secret, identity->keys.link_secret, 32);
    row->session = identity->session;
}

/* Always answered: what could not even be queued, with its error. */
static void save_identity(void *ctx, const struct ftx_peer_identity *identity, uint64_t token)
{
    struct ftx_transfer *t = ctx;
    struct ftx_link_row row;
    struct save *save = calloc(1, sizeof *save);
    if (!save) {
        t->unsaved_token = token;
        ftx_xfer_wake(t->xfer);
        return;
    }
    *save = (struct save){.transfer = t, .token = token};
    ftx_list_init(&save->node);
    t->n_saving++;
    int err = ftx_link_get(t->store, t->link->row.id, &row);
    if (!err) {
        fill_row(identity, &row);
        err = ftx_link_put(t->store, &row, on_row_written, save);
    }
    sodium_memzero(&row, sizeof row);
    if (err)
        on_row_written(save, err);
}

static void failed(void *ctx, const struct ftx_address *address, int err)
{
    const struct ftx_transfer *t = ctx;
    if (t->xfer->failed)
        t->xfer->failed(t->xfer->failed_ctx, address, err);
}

/* The peer is freed: nothing of it calls any more. */
static void gone(void *ctx)
{
    struct ftx_transfer *t = ctx;
    t->peer = NULL;
    ftx_xfer_reap(t);
}

static const struct ftx_peer_host host = {
    .app = &ftx_transfer_app,
    .read = ftx_transfer_read,
    .save = save_identity,
    .prepare = ftx_transfer_prepare,
    .begin = ftx_transfer_begin,
    .busy = ftx_transfer_busy,
    .end = ftx_transfer_end,
    .health = ftx_transfer_health,
    .guess_failed = ftx_transfer_guess_failed,
    .told = ftx_transfer_told,
    .failed = failed,
    .packed = ftx_transfer_packed,
    .gone = gone,
};

/* -- transfers come and go with links -- */

static struct ftx_transfer *transfer_of(const struct ftx_xfer *xfer, uint64_t link)
{
    for (struct ftx_list *node = xfer->transfers.next; node != &xfer->transfers;
         node = node->next) {
        struct ftx_transfer *t = ftx_list_of(node, struct ftx_transfer, node);
        if (t->link->row.id == link)
            return t;
    }
    return NULL;
}

static void fill_identity(const struct ftx_link_row *row, struct ftx_peer_identity *out)
{
    memset(out, 0, sizeof *out);
    out->role = row->role;
    out->stage = row->state;
    out->guesses = row->guesses;
    memcpy(out->code, row->code, sizeof out->code);
    memcpy(out->label, row->label, sizeof out->label);
    memcpy(out->keys.static_secret, row->static_secret, 32);
    memcpy(out->keys.static_public, row->static_public, 32);
    memcpy(out->keys.peer_public, row->peer_public, 32);
    memcpy(out->keys.link_secret, row->link_secret, 32);
    out->session = row->session;
}

static int add_transfer(struct ftx_xfer *xfer, uint64_t id)
{
    struct ftx_link_row row;
    int err = ftx_link_get(xfer->store, id, &row);
    if (err)
        return err;
    struct ftx_transfer *t = calloc(1, sizeof *t);
    struct ftx_peer_identity identity;
    fill_identity(&row, &identity);
    sodium_memzero(&row, sizeof row);
    err = t ? 0 : -ENOMEM;
    if (!err) {
        t->xfer = xfer;
        t->store = xfer->store;
        pthread_mutex_lock(&xfer->store->lock);
        t->link = ftx_link_find(xfer->store, id);
        pthread_mutex_unlock(&xfer->store->lock);
        ftx_list_init(&t->node);
        ftx_list_init(&t->records);
        ftx_list_append(&xfer->transfers, &t->node);
        err = ftx_peer_new(xfer->node, &identity, &host, t, &t->peer);
    }
    if (!err)
        ftx_transfer_recall(t);
    if (err && t) {
        ftx_list_remove(&t->node);
        free(t);
    }
    sodium_memzero(&identity, sizeof identity);
    return err;
}

void ftx_xfer_reap(struct ftx_transfer *t)
{
    if (t->peer || t->n_working || t->n_saving)
        return;
    ftx_list_remove(&t->node);
    ftx_transfer_receive_free(t);
    free(t);
}

/* What holds now; the clock is looked at while any of them depends on it. */
static uint64_t rate_now(const struct ftx_link_settings *settings, enum ftx_box box, bool *in_out)
{
    const struct ftx_timetable *table = &settings->limit[box];
    *in_out |= table->n > 0;
    return ftx_timetable_rate(table, ftx_timetable_minute(time(NULL)));
}

/* What the owner said of a link since the last look. */
static void match_settings(struct ftx_transfer *t, bool *in_out_timed)
{
    struct ftx_link_settings settings;
    struct ftx_link_wishes wishes;
    if (t->leaving || ftx_link_settings(t->store, t->link->row.id, &settings, &wishes))
        return;
    if (wishes.rearmed)
        ftx_peer_rearm(t->peer);
    ftx_peer_limit(t->peer, rate_now(&settings, FTX_OUTBOX, in_out_timed),
                   rate_now(&settings, FTX_INBOX, in_out_timed));
    if (wishes.anew && t->engine)
        ftx_peer_pause(t->peer, true); /* for a moment */
    ftx_peer_pause(t->peer, settings.paused);
    if (wishes.dial)
        ftx_peer_dial_now(t->peer);
}

static void on_times(uv_timer_t *timer);

/* New links get a transfer, removed ones lose theirs, all are as their owner wants them. */
static void match_links(struct ftx_xfer *xfer)
{
    struct ftx_link_settings all;
    ftx_links_settings(xfer->store, &all);
    bool timed = false;
    ftx_node_limit(xfer->node, rate_now(&all, FTX_OUTBOX, &timed),
                   rate_now(&all, FTX_INBOX, &timed));
    size_t n = ftx_link_list(xfer->store, NULL, 0), capacity = n + 16;
    uint64_t *ids = malloc(capacity * sizeof *ids);
    if (!ids)
        return;
    n = ftx_link_list(xfer->store, ids, capacity);
    for (size_t i = 0; i < n && i < capacity; i++)
        if (!transfer_of(xfer, ids[i]) && add_transfer(xfer, ids[i]))
            ftx_log(FTX_LOG_ERROR, "a link could not be started: out of memory");
    free(ids);
    for (struct ftx_list *node = xfer->transfers.next, *next; node != &xfer->transfers;
         node = next) {
        next = node->next;
        struct ftx_transfer *t = ftx_list_of(node, struct ftx_transfer, node);
        pthread_mutex_lock(&xfer->store->lock);
        bool removed = t->link->removed;
        pthread_mutex_unlock(&xfer->store->lock);
        if (removed && !t->leaving) {
            t->leaving = true;
            ftx_peer_remove(t->peer);
        }
        match_settings(t, &timed);
    }
    if (timed)
        uv_timer_start(&xfer->times, on_times, TIMES_MS, 0);
}

static void on_times(uv_timer_t *timer)
{
    match_links(timer->data);
}

/* -- the loop's turn -- */

static void tell_saved(struct ftx_xfer *xfer)
{
    struct ftx_list saved;
    ftx_list_init(&saved);
    pthread_mutex_lock(&xfer->lock);
    ftx_list_splice(&saved, &xfer->saved);
    pthread_mutex_unlock(&xfer->lock);
    for (struct ftx_list *node; (node = ftx_list_pop(&saved));) {
        struct save *save = ftx_list_of(node, struct save, node);
        struct ftx_transfer *t = save->transfer;
        t->n_saving--;
        if (save->err)
            ftx_log(FTX_LOG_ERROR, "a link's keys cannot be written: %s", ftx_err_text(save->err));
        if (t->peer)
            ftx_peer_saved(t->peer, save->token, save->err);
        else
            ftx_xfer_reap(t);
        free(save);
    }
    for (struct ftx_list *node = xfer->transfers.next; node != &xfer->transfers;
         node = node->next) {
        struct ftx_transfer *t = ftx_list_of(node, struct ftx_transfer, node);
        uint64_t token = t->unsaved_token;
        t->unsaved_token = 0;
        if (token && t->peer)
            ftx_peer_saved(t->peer, token, -ENOMEM);
    }
}

static void on_settle(uv_timer_t *timer);

static void settle(struct ftx_xfer *xfer)
{
    int64_t now_ms = ftx_now_ms();
    int64_t next_ms = ftx_outbox_settle(xfer->store, now_ms);
    if (next_ms != INT64_MAX)
        uv_timer_start(&xfer->settle, on_settle, (uint64_t)(next_ms - now_ms), 0);
}

static void on_rate(uv_timer_t *timer)
{
    struct ftx_xfer *xfer = timer->data;
    for (struct ftx_list *node = xfer->transfers.next; node != &xfer->transfers; node = node->next)
        ftx_transfer_look_at_way(ftx_list_of(node, struct ftx_transfer, node));
    if (!ftx_links_measure(xfer->store))
        uv_timer_stop(timer);
}

static void on_retry(uv_timer_t *timer)
{
    struct ftx_xfer *xfer = timer->data;
    for (struct ftx_list *node = xfer->transfers.next; node != &xfer->transfers; node = node->next)
        ftx_transfer_receive_retry(ftx_list_of(node, struct ftx_transfer, node));
}

void ftx_xfer_retry_later(struct ftx_xfer *xfer)
{
    if (!uv_is_active((uv_handle_t *)&xfer->retry))
        uv_timer_start(&xfer->retry, on_retry, RETRY_MS, 0);
}

static void turn(struct ftx_xfer *xfer)
{
    atomic_store(&xfer->woken, false);
    tell_saved(xfer);
    if (xfer->stopping)
        return;
    uint64_t link_changes = ftx_link_changes(xfer->store);
    if (link_changes != xfer->link_changes)
        match_links(xfer);
    xfer->link_changes = link_changes;
    settle(xfer);
    ftx_sync_look(&xfer->sync);
    for (struct ftx_list *node = xfer->transfers.next, *next; node != &xfer->transfers;
         node = next) {
        next = node->next;
        struct ftx_transfer *t = ftx_list_of(node, struct ftx_transfer, node);
        if (ftx_transfer_send_due(t) && t->peer && !t->leaving) {
            ftx_peer_kick(t->peer);
            xfer->turned_ms = uv_now(xfer->loop);
            if (!uv_is_active((uv_handle_t *)&xfer->rate))
                uv_timer_start(&xfer->rate, on_rate, RATE_MS, RATE_MS);
        }
        ftx_transfer_receive_advance(t);
    }
}

/* Is there something that should not wait for more small files to share its record? */
static bool pressing(struct ftx_xfer *xfer)
{
    pthread_mutex_lock(&xfer->lock);
    bool any = xfer->stopping || !ftx_list_empty(&xfer->saved);
    pthread_mutex_unlock(&xfer->lock);
    for (struct ftx_list *node = xfer->transfers.next; node != &xfer->transfers && !any;
         node = node->next) {
        struct ftx_transfer *t = ftx_list_of(node, struct ftx_transfer, node);
        any = t->preparing || !ftx_list_empty(&t->records) ||
              ftx_outgoing_waits(t->store, t->link, GATHER_BYTES);
    }
    return any;
}

static void on_gathered(uv_timer_t *timer)
{
    struct ftx_xfer *xfer = timer->data;
    uint64_t since_ms = uv_now(xfer->loop) - xfer->turned_ms;
    if (since_ms < GATHER_SMALL_MS && !pressing(xfer))
        uv_timer_start(timer, on_gathered, GATHER_MS, 0);
    else
        turn(xfer);
}

/* Takes a turn, or waits a little for more to do in it. */
static void turn_soon(struct ftx_xfer *xfer)
{
    uint64_t since_ms = uv_now(xfer->loop) - xfer->turned_ms;
    bool links = ftx_link_changes(xfer->store) != xfer->link_changes; /* mkdir was answered */
    if (since_ms < GATHER_SMALL_MS && !links && !xfer->stopping)
        uv_timer_start(&xfer->gather, on_gathered, since_ms < GATHER_MS ? GATHER_MS - since_ms : 0,
                       0);
    else
        turn(xfer);
}

static void on_wake(uv_async_t *async)
{
    turn_soon(async->data);
}

static void on_settle(uv_timer_t *timer)
{
    turn_soon(timer->data);
}

static void on_network_changed(void *ctx)
{
    struct ftx_xfer *xfer = ctx;
    ftx_node_network_changed(xfer->node);
}

int ftx_xfer_start(uv_loop_t *loop, struct ftx_store *store, const struct ftx_xfer_config *config,
                   struct ftx_xfer **out_xfer)
{
    struct ftx_xfer *xfer = calloc(1, sizeof *xfer);
    if (!xfer)
        return -ENOMEM;
    xfer->loop = loop;
    xfer->store = store;
    xfer->links = config->links;
    xfer->failed = config->failed;
    xfer->failed_ctx = config->failed_ctx;
    xfer->link_changes = UINT64_MAX; /* none was looked at yet */
    ftx_list_init(&xfer->transfers);
    ftx_list_init(&xfer->saved);
    pthread_mutex_init(&xfer->lock, NULL);
    int err = ftx_node_new(loop, config->listen, config->dial, config->n_dial, &xfer->node);
    if (!err)
        ftx_node_set_data_connections(xfer->node, 0, config->n_data);
    if (!err && config->access)
        ftx_node_set_access(xfer->node, config->access);
    if (!err && config->lan)
        err = ftx_node_search_lan(xfer->node, FTX_DEFAULT_PORT, false);
    if (!err && config->portmap)
        err = ftx_node_map_port(xfer->node);
    if (!err)
        err = uv_async_init(loop, &xfer->wake, on_wake);
    if (err) {
        pthread_mutex_destroy(&xfer->lock);
        free(xfer);
        return err;
    }
    ftx_node_set_compress(xfer->node, config->compress);
    ftx_node_set_relay_access(xfer->node, config->relay_token, config->relay_ca);
    for (size_t i = 0; i < config->n_relays; i++)
        if (ftx_node_add_relay(xfer->node, config->relays[i]))
            ftx_log(FTX_LOG_ERROR, "%s is no relay", config->relays[i]);
    uv_timer_init(loop, &xfer->settle);
    uv_timer_init(loop, &xfer->gather);
    uv_timer_init(loop, &xfer->retry);
    uv_timer_init(loop, &xfer->rate);
    uv_timer_init(loop, &xfer->times);
    ftx_sync_init(&xfer->sync, loop, store);
    ftx_digests_init(&xfer->digests, loop, store);
    if (ftx_netwatch_start(loop, on_network_changed, xfer, &xfer->netwatch))
        ftx_log(FTX_LOG_WARNING, "changes of the network will not be noticed at once");
    xfer->open = true;
    xfer->wake.data = xfer->gather.data = xfer->settle.data = xfer->retry.data = xfer->rate.data =
        xfer->times.data = xfer;
    ftx_xfer_wake(xfer);
    *out_xfer = xfer;
    return 0;
}

uint16_t ftx_xfer_port(const struct ftx_xfer *xfer)
{
    return ftx_node_port(xfer->node);
}

static void on_node_closed(void *ctx)
{
    struct ftx_xfer *xfer = ctx;
    pthread_mutex_lock(&xfer->lock);
    xfer->open = false;
    pthread_mutex_unlock(&xfer->lock);
    uv_close((uv_handle_t *)&xfer->wake, NULL);
    uv_close((uv_handle_t *)&xfer->gather, NULL);
    uv_close((uv_handle_t *)&xfer->settle, NULL);
    uv_close((uv_handle_t *)&xfer->retry, NULL);
    uv_close((uv_handle_t *)&xfer->rate, NULL);
    uv_close((uv_handle_t *)&xfer->times, NULL);
    ftx_sync_close(&xfer->sync);
    ftx_digests_close(&xfer->digests);
}

void ftx_xfer_stop(struct ftx_xfer *xfer)
{
    xfer->stopping = true;
    if (xfer->netwatch)
        ftx_netwatch_stop(xfer->netwatch);
    ftx_node_stop(xfer->node, on_node_closed, xfer);
}

void ftx_xfer_free(struct ftx_xfer *xfer)
{
    for (struct ftx_list *node; (node = ftx_list_pop(&xfer->transfers));) {
        struct ftx_transfer *t = ftx_list_of(node, struct ftx_transfer, node);
        ftx_transfer_receive_free(t);
        free(t);
    }
    for (struct ftx_list *node; (node = ftx_list_pop(&xfer->saved));)
        free(ftx_list_of(node, struct save, node));
    ftx_codecs_trim();
    ftx_kind_close();
    pthread_mutex_destroy(&xfer->lock);
    free(xfer);
}
