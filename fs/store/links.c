/* SPDX-License-Identifier: MIT */
/* Links: arming and disarming codes, and rows. */
#include "fs/store/links.h"

#include "fs/store/change_log.h"
#include "fs/store/fetch.h"
#include "fs/store/link_job.h"
#include "fs/store/news.h"
#include "fs/store/offer.h"
#include "fs/store/outgoing.h"
#include "fs/store/peer_digest.h"
#include "fs/store/tell.h"
#include "transport/base/err.h"
#include "transport/base/words.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ftx_link *ftx_link_find(const struct ftx_store *store, uint64_t id)
{
    for (struct ftx_list *node = store->links.next; node != &store->links; node = node->next) {
        struct ftx_link *link = ftx_list_of(node, struct ftx_link, node);
        if (link->row.id == id)
            return link;
    }
    return NULL;
}

struct ftx_link *ftx_link_find_name(const struct ftx_store *store, const char *name, size_t size)
{
    for (struct ftx_list *node = store->links.next; node != &store->links; node = node->next) {
        struct ftx_link *link = ftx_list_of(node, struct ftx_link, node);
        if (!link->removed && strlen(link->row.name) == size &&
            memcmp(link->row.name, name, size) == 0)
            return link;
    }
    return NULL;
}

/* Makes the link's folder in a box; its number lives only as long as the mount. */
static int add_folder(struct ftx_store *store, struct ftx_link *link, enum ftx_box box)
{
    if (link->folders[box])
        return 0;
    struct ftx_item *folder =
        ftx_item_new(&store->index, store->next_item++, FTX_FOLDER, box, link);
    if (!folder)
        return -ENOMEM;
    folder->mode = 0755;
    folder->mtime_ns = folder->ctime_ns = ftx_now_ns();
    int err = ftx_item_link(&store->index, folder, store->boxes[box], link->row.name,
                            strlen(link->row.name));
    if (err) {
        ftx_item_free(&store->index, folder);
        return err;
    }
    store->boxes[box]->mtime_ns = store->boxes[box]->ctime_ns = folder->mtime_ns;
    link->folders[box] = folder;
    return 0;
}

static int add_folders(struct ftx_store *store, struct ftx_link *link)
{
    int err = 0;
    if (link->row.role != FTX_ROLE_R || link->row.state == FTX_LINK_PAIRED)
        err = add_folder(store, link, FTX_OUTBOX);
    if (!err && !ftx_link_is_group(link) &&
        (link->row.role == FTX_ROLE_R || link->row.state == FTX_LINK_PAIRED))
        err = add_folder(store, link, FTX_INBOX);
    return err;
}

int ftx_link_new(struct ftx_store *store, const struct ftx_link_row *row,
                 struct ftx_link **out_link)
{
    /* guarded, locked memory: the row holds keys; rounded so that the start is aligned */
    struct ftx_link *link = sodium_malloc((sizeof *link + 63) & ~(size_t)63);
    if (!link)
        return -ENOMEM;
    memset(link, 0, sizeof *link);
    link->row = *row;
    link->settings.priority = FTX_PRIORITY_DEFAULT;
    link->op_first = link->op_next = 1;
    ftx_list_init(&link->sendings);
    ftx_list_init(&link->due);
    ftx_list_init(&link->undurable);
    ftx_list_init(&link->arriving);
    ftx_list_init(&link->wants);
    ftx_list_init(&link->removed_folders);
    ftx_list_init(&link->answers);
    ftx_list_init(&link->fetches);
    ftx_list_init(&link->questions);
    link->session = ++store->n_sessions;
    ftx_list_init(&link->node);
    ftx_list_append(&store->links, &link->node);
    int err = add_folders(store, link);
    if (err) {
        ftx_link_free(link);
        return err;
    }
    *out_link = link;
    return 0;
}

void ftx_link_free(struct ftx_link *link)
{
    ftx_link_drop_ops(link, UINT64_MAX);
    free(link->ops);
    ftx_fetch_forget(link);
    ftx_peer_digest_forget(link);
    ftx_answers_clear(link);
    for (struct ftx_list *node; (node = ftx_list_pop(&link->wants));)
        free(ftx_list_of(node, struct ftx_want, node));
    for (struct ftx_list *node; (node = ftx_list_pop(&link->removed_folders));)
        free(ftx_list_of(node, struct ftx_removed_folder, node));
    ftx_list_remove(&link->node);
    free(link->members);
    free(link->groups);
    sodium_free(link);
}

void ftx_link_detach(struct ftx_store *store, struct ftx_link *link)
{
    link->removed = true;
    store->link_changes++;
    for (int box = 0; box < 2; box++) {
        struct ftx_item *folder = link->folders[box];
        if (!folder)
            continue;
        ftx_item_unlink(&store->index, folder);
        if (folder->n_lookup == 0)
            ftx_item_free(&store->index, folder);
        link->folders[box] = NULL;
    }
}

/* A link that is to be: not in the store yet, as its label takes a while. */
static int fill_row(struct ftx_link_row *row, enum ftx_box box, const char *code, size_t size)
{
    memset(row, 0, sizeof *row);
    memcpy(row->name, code, size);
    memcpy(row->code, code, size);
    row->role = box == FTX_OUTBOX ? FTX_ROLE_S : FTX_ROLE_R;
    row->state = FTX_LINK_ARMED;
    return ftx_code_label(row->code, row->label);
}

int ftx_link_arm(struct ftx_store *store, enum ftx_box box, const char *code, size_t size,
                 uint64_t *out_folder)
{
    if (!ftx_code_valid(code, size))
        return -EINVAL;
    pthread_mutex_lock(&store->lock);
    bool exists = ftx_link_find_name(store, code, size) != NULL;
    pthread_mutex_unlock(&store->lock);
    if (exists)
        return -EEXIST;
    struct ftx_link_row row;
    int err = fill_row(&row, box, code, size);
    if (err)
        goto out;

    struct ftx_link *link = NULL;
    pthread_mutex_lock(&store->lock);
    if (ftx_link_find_name(store, code, size)) {
        err = -EEXIST;
    } else {
        row.id = store->next_link++;
        err = ftx_link_new(store, &row, &link);
    }
    if (!err)
        err = ftx_link_job_wait(store, FTX_LINK_JOB_PUT, &row);
    if (err && link)
        ftx_link_detach(store, link);
    else if (!err) {
        *out_folder = link->folders[box]->id;
        ftx_tell_link(store, FTX_EVENT_ARMED, link, box == FTX_OUTBOX ? "outbox" : "inbox", NULL,
                      0);
    }
    store->link_changes++;
    pthread_mutex_unlock(&store->lock);
    if (!err)
        store->events.wake(store->events_ctx);
out:
    sodium_memzero(&row, sizeof row);
    return err;
}

int ftx_link_remove(struct ftx_store *store, struct ftx_link *link)
{
    link->removed = true; /* nobody writes its row any more */
    int err = ftx_link_job_wait(store, FTX_LINK_JOB_DROP, &link->row);
    link->removed = false;
    if (err)
        return err;
    ftx_tell_link(store, ftx_link_is_group(link) ? FTX_EVENT_DISSOLVED : FTX_EVENT_UNPAIRED, link,
                  NULL, NULL, 0);
    ftx_link_detach(store, link);
    sodium_memzero(link->row.code, sizeof link->row.code);
    sodium_memzero(link->row.static_secret, sizeof link->row.static_secret);
    sodium_memzero(link->row.link_secret, sizeof link->row.link_secret);
    return 0;
}

int ftx_link_disarm(struct ftx_store *store, enum ftx_box box, const char *name, size_t size)
{
    pthread_mutex_lock(&store->lock);
    struct ftx_link *link = ftx_link_find_name(store, name, size);
    int err = 0;
    if (!link || !link->folders[box])
        err = -ENOENT;
    else if (link->row.state != FTX_LINK_ARMED)
        err = -EBUSY;
    else if (ftx_folder_count(link->folders[box]))
        err = -ENOTEMPTY;
    if (!err)
        err = ftx_link_remove(store, link);
    pthread_mutex_unlock(&store->lock);
    if (!err)
        store->events.wake(store->events_ctx);
    return err;
}

/* The name of the link's folders and row, in memory. -ENOMEM: one folder may be nowhere. */
static int set_name(struct ftx_store *store, struct ftx_link *link, const char *name, size_t size)
{
    int err = 0;
    memset(link->row.name, 0, sizeof link->row.name);
    memcpy(link->row.name, name, size);
    for (int box = 0; box < 2 && !err; box++) {
        if (!link->folders[box])
            continue;
        ftx_item_unlink(&store->index, link->folders[box]);
        err = ftx_item_link(&store->index, link->folders[box], store->boxes[box], name, size);
    }
    return err;
}

int ftx_link_rename(struct ftx_store *store, const char *name, size_t size, const char *new_name,
                    size_t new_size)
{
    if (!ftx_code_valid(new_name, new_size))
        return -EINVAL;
    pthread_mutex_lock(&store->lock);
    struct ftx_link *link = ftx_link_find_name(store, name, size);
    int err = !link ? -ENOENT : ftx_link_find_name(store, new_name, new_size) ? -EEXIST : 0;
    if (!err && ftx_link_is_group(link))
        err = -EBUSY;
    if (!err) {
        struct ftx_link_row row;
        char old[sizeof link->row.name];
        memcpy(old, link->row.name, sizeof old);
        err = set_name(store, link, new_name, new_size);
        row = link->row;
        if (!err)
            err = ftx_link_job_wait(store, FTX_LINK_JOB_PUT, &row);
        if (err && !link->removed)
            (void)set_name(store, link, old, strlen(old));
        else if (!err)
            ftx_tell_link(store, FTX_EVENT_RENAMED, link, old, NULL, 0);
        sodium_memzero(&row, sizeof row);
    }
    pthread_mutex_unlock(&store->lock);
    return err;
}

uint64_t ftx_link_changes(struct ftx_store *store)
{
    pthread_mutex_lock(&store->lock);
    uint64_t changes = store->link_changes;
    pthread_mutex_unlock(&store->lock);
    return changes;
}

size_t ftx_link_list(struct ftx_store *store, uint64_t *out_ids, size_t capacity)
{
    size_t n = 0;
    pthread_mutex_lock(&store->lock);
    for (struct ftx_list *node = store->links.next; node != &store->links; node = node->next) {
        struct ftx_link *link = ftx_list_of(node, struct ftx_link, node);
        if (link->removed || ftx_link_is_group(link))
            continue;
        if (n < capacity)
            out_ids[n] = link->row.id;
        n++;
    }
    pthread_mutex_unlock(&store->lock);
    return n;
}

int ftx_link_get(struct ftx_store *store, uint64_t id, struct ftx_link_row *out_row)
{
    pthread_mutex_lock(&store->lock);
    struct ftx_link *link = ftx_link_find(store, id);
    if (link && !link->removed)
        *out_row = link->row;
    else
        link = NULL;
    pthread_mutex_unlock(&store->lock);
    return link ? 0 : -ENOENT;
}

void ftx_link_verifier(const struct ftx_link_row *row, char out[FTX_VERIFIER_TEXT])
{
    uint16_t numbers[FTX_VERIFIER_WORDS];
    size_t at = 0;
    ftx_verifier(row->link_secret, numbers);
    for (size_t i = 0; i < FTX_VERIFIER_WORDS; i++)
        at += (size_t)snprintf(out + at, FTX_VERIFIER_TEXT - at, "%s%s", i ? " " : "",
                               ftx_words[numbers[i]]);
}

static void tell_paired(struct ftx_store *store, const struct ftx_link *link,
                        const struct ftx_link_row *row)
{
    char words[FTX_VERIFIER_TEXT];
    if (row->state != FTX_LINK_PAIRED || link->row.state == FTX_LINK_PAIRED)
        return;
    ftx_link_verifier(row, words);
    ftx_tell_link(store, FTX_EVENT_PAIRED, link, words, NULL, 0);
}

void ftx_link_guess_failed(struct ftx_store *store, uint64_t id)
{
    pthread_mutex_lock(&store->lock);
    struct ftx_link *link = ftx_link_find(store, id);
    if (link && !link->removed) {
        uint8_t guesses = link->row.guesses;
        int left = guesses < FTX_GUESSES_MAX ? FTX_GUESSES_MAX - guesses : 0;
        ftx_tell_link(store, FTX_EVENT_PAIRING_FAILED, link, NULL, NULL, left);
        if (!left)
            ftx_tell_link(store, FTX_EVENT_LOCKED, link, NULL, NULL, 0);
    }
    pthread_mutex_unlock(&store->lock);
}

int ftx_link_put(struct ftx_store *store, const struct ftx_link_row *row, ftx_link_written_fn done,
                 void *ctx)
{
    pthread_mutex_lock(&store->lock);
    struct ftx_link *link = ftx_link_find(store, row->id);
    int err = link && !link->removed ? 0 : -ENOENT;
    bool news = false;
    if (!err) {
        struct ftx_link_row merged = *row;
        memcpy(merged.name, link->row.name, sizeof merged.name); /* it may be renamed meanwhile */
        merged.op_seen = link->row.op_seen;
        merged.op_acked = link->row.op_acked;
        tell_paired(store, link, &merged);
        link->row = merged;
        sodium_memzero(&merged, sizeof merged);
        bool had[] = {link->folders[FTX_OUTBOX] != NULL, link->folders[FTX_INBOX] != NULL};
        err = add_folders(store, link);
        for (int box = 0; box < 2; box++)
            if (link->folders[box] && !had[box])
                news |= ftx_news_made(store, link->folders[box]);
    }
    if (!err)
        err = ftx_link_job_queue(store, &link->row, done, ctx);
    pthread_mutex_unlock(&store->lock);
    if (news)
        store->events.news(store->events_ctx);
    return err;
}

void ftx_link_set_health(struct ftx_store *store, uint64_t id, enum ftx_link_health health,
                         const char *peer_address)
{
    pthread_mutex_lock(&store->lock);
    struct ftx_link *link = ftx_link_find(store, id);
    if (link) {
        if (health == FTX_HEALTH_CONNECTED)
            ftx_tell_link(store, FTX_EVENT_CONNECTED, link, peer_address,
                          link->way.path ? link->way.path : "direct", 0);
        link->health = health;
        memset(link->peer_address, 0, sizeof link->peer_address);
        if (peer_address)
            strncpy(link->peer_address, peer_address, sizeof link->peer_address - 1);
    }
    pthread_mutex_unlock(&store->lock);
}

void ftx_link_set_way(struct ftx_store *store, struct ftx_link *link,
                      const struct ftx_link_way *way)
{
    pthread_mutex_lock(&store->lock);
    link->way = *way;
    pthread_mutex_unlock(&store->lock);
}

void ftx_link_session_ended(struct ftx_store *store, struct ftx_link *link, const char *reason,
                            bool left)
{
    struct ftx_log log;
    ftx_log_lock(&log, store);
    link->left = left;
    ftx_tell_link(store, FTX_EVENT_DISCONNECTED, link, reason, NULL, 0);
    ftx_fetch_ended(&log, link);
    ftx_outgoing_rest(store, link);
    ftx_log_commit(&log);
}

void ftx_link_set_no_room(struct ftx_store *store, struct ftx_link *link, bool no_room)
{
    pthread_mutex_lock(&store->lock);
    link->no_room = no_room;
    pthread_mutex_unlock(&store->lock);
}

bool ftx_link_busy(struct ftx_store *store, const struct ftx_link *link)
{
    pthread_mutex_lock(&store->lock);
    bool busy = link->op_first != link->op_next || !ftx_list_empty(&link->sendings) ||
                link->n_resting || !ftx_list_empty(&link->arriving);
    pthread_mutex_unlock(&store->lock);
    return busy;
}

bool ftx_links_measure(struct ftx_store *store)
{
    bool moves = false;
    pthread_mutex_lock(&store->lock);
    for (struct ftx_list *node = store->links.next; node != &store->links; node = node->next) {
        struct ftx_link *link = ftx_list_of(node, struct ftx_link, node);
        link->rate_out = link->bytes_out - link->measured_out;
        link->rate_in = link->bytes_in - link->measured_in;
        link->measured_out = link->bytes_out;
        link->measured_in = link->bytes_in;
        moves |= link->rate_out || link->rate_in;
    }
    pthread_mutex_unlock(&store->lock);
    return moves;
}

void ftx_link_count_packed(struct ftx_store *store, struct ftx_link *link, enum ftx_box box,
                           uint64_t before, uint64_t after)
{
    pthread_mutex_lock(&store->lock);
    link->packed[box].before += before;
    link->packed[box].after += after;
    pthread_mutex_unlock(&store->lock);
}

int ftx_link_settings(struct ftx_store *store, uint64_t id, struct ftx_link_settings *out,
                      struct ftx_link_wishes *out_wishes)
{
    pthread_mutex_lock(&store->lock);
    struct ftx_link *link = ftx_link_find(store, id);
    if (link) {
        *out = link->settings;
        *out_wishes = (struct ftx_link_wishes){.dial = link->dial, .rearmed = link->rearmed};
        out_wishes->anew = out->accept == FTX_ACCEPT_ASK && !link->asked;
        link->dial = link->rearmed = false;
    }
    pthread_mutex_unlock(&store->lock);
    return link ? 0 : -ENOENT;
}

bool ftx_link_looks(struct ftx_store *store, const struct ftx_link *link, struct ftx_rules *out)
{
    pthread_mutex_lock(&store->lock);
    bool looks = ftx_rules_look(&link->settings.rules);
    if (looks)
        *out = link->settings.rules;
    pthread_mutex_unlock(&store->lock);
    return looks;
}

void ftx_links_settings(struct ftx_store *store, struct ftx_link_settings *out)
{
    pthread_mutex_lock(&store->lock);
    *out = store->settings;
    pthread_mutex_unlock(&store->lock);
}
