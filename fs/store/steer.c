/* SPDX-License-Identifier: MIT */
/* Steering links: paused, limited, unlocked, removed. The loop sees it by store->link_changes. */
#include "fs/store/steer.h"

#include "fs/store/change_log.h"
#include "fs/store/group.h"
#include "fs/store/inbox.h"
#include "fs/store/link_job.h"
#include "fs/store/offer.h"
#include "fs/store/outbox_internal.h"
#include "fs/store/tell.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

/* Writes new settings durably, under the lock (which is given away meanwhile); the old ones are back
 * if that fails. `link` NULL: those of all links together. */
static int put_settings(struct ftx_store *store, struct ftx_link *link,
                        const struct ftx_link_settings *settings)
{
    struct ftx_link_settings *now = link ? &link->settings : &store->settings, old = *now;
    *now = *settings;
    int err = ftx_link_job_settings(store, link ? link->row.id : 0, settings);
    if (err)
        *now = old;
    else
        store->link_changes++;
    return err;
}

static int pause_link(struct ftx_store *store, struct ftx_link *link, bool paused)
{
    struct ftx_link_settings settings = link->settings;
    if (settings.paused == paused)
        return 0;
    settings.paused = paused;
    int err = put_settings(store, link, &settings);
    if (!err)
        ftx_tell_link(store, paused ? FTX_EVENT_PAUSED : FTX_EVENT_RESUMED, link, NULL, NULL, 0);
    return err;
}

int ftx_link_pause(struct ftx_store *store, const char *name, size_t size, bool paused)
{
    int err = name ? -ENOENT : 0;
    pthread_mutex_lock(&store->lock);
    if (name) {
        struct ftx_link *link = ftx_link_find_name(store, name, size);
        err = !link                     ? -ENOENT
              : ftx_link_is_group(link) ? -EOPNOTSUPP
                                        : pause_link(store, link, paused);
    } else { /* links are never taken out of the list */
        for (struct ftx_list *node = store->links.next; node != &store->links && !err;
             node = node->next) {
            struct ftx_link *link = ftx_list_of(node, struct ftx_link, node);
            if (!link->removed && !ftx_link_is_group(link))
                err = pause_link(store, link, paused);
        }
    }
    pthread_mutex_unlock(&store->lock);
    store->events.wake(store->events_ctx);
    return err;
}

static void apply(struct ftx_link_settings *settings, enum ftx_setting setting,
                  const struct ftx_setting_value *value)
{
    switch (setting) {
    case FTX_SETTING_UP:
        settings->limit[FTX_OUTBOX] = value->limit;
        break;
    case FTX_SETTING_DOWN:
        settings->limit[FTX_INBOX] = value->limit;
        break;
    case FTX_SETTING_ACCEPT:
        settings->accept = (uint8_t)value->number;
        break;
    case FTX_SETTING_MAX_SIZE:
        settings->max_size = value->number;
        break;
    case FTX_SETTING_MAX_FILES:
        settings->max_files = value->number;
        break;
    default:
        (void)ftx_rule_parse(ftx_setting_rule(setting), value->text, strlen(value->text),
                             settings->rules.text[ftx_setting_rule(setting)]);
        break;
    }
}

int ftx_link_set(struct ftx_store *store, const char *name, size_t size, enum ftx_setting setting,
                 const struct ftx_setting_value *value)
{
    if (!name && setting > FTX_SETTING_DOWN)
        return -EOPNOTSUPP;
    pthread_mutex_lock(&store->lock);
    struct ftx_link *link = name ? ftx_link_find_name(store, name, size) : NULL;
    int err = name && !link ? -ENOENT : link && ftx_link_is_group(link) ? -EOPNOTSUPP : 0;
    if (!err) {
        struct ftx_link_settings settings = link ? link->settings : store->settings;
        apply(&settings, setting, value);
        err = put_settings(store, link, &settings);
    }
    bool all = !err && setting == FTX_SETTING_ACCEPT && value->number == FTX_ACCEPT_ALL;
    if (!err)
        ftx_tell_link(store, FTX_EVENT_CONFIGURED, link, ftx_setting_name(setting), value->text, 0);
    pthread_mutex_unlock(&store->lock);
    store->events.wake(store->events_ctx);
    return all ? ftx_offers_unasked(store, name, size) : err;
}

int ftx_link_set_priority(struct ftx_store *store, struct ftx_link *link, uint8_t priority)
{
    struct ftx_link_settings settings = link->settings;
    char text[4];
    settings.priority = priority;
    snprintf(text, sizeof text, "%u", priority);
    int err = put_settings(store, link, &settings);
    if (!err)
        ftx_tell_link(store, FTX_EVENT_CONFIGURED, link, "priority", text, 0);
    return err;
}

int ftx_link_rearm(struct ftx_store *store, const char *name, size_t size)
{
    pthread_mutex_lock(&store->lock);
    struct ftx_link *link = ftx_link_find_name(store, name, size);
    int err = !link ? -ENOENT : link->row.state == FTX_LINK_PAIRED ? -EALREADY : 0;
    if (!err) {
        uint8_t guesses = link->row.guesses;
        link->row.guesses = 0;
        struct ftx_link_row row = link->row;
        err = ftx_link_job_wait(store, FTX_LINK_JOB_PUT, &row);
        sodium_memzero(&row, sizeof row);
        if (err)
            link->row.guesses = guesses;
    }
    if (!err) {
        link->rearmed = link->dial = true;
        store->link_changes++;
        ftx_tell_link(store, FTX_EVENT_ARMED, link,
                      link->row.role == FTX_ROLE_S ? "outbox" : "inbox", NULL, 0);
    }
    pthread_mutex_unlock(&store->lock);
    store->events.wake(store->events_ctx);
    return err;
}

static int retry(struct ftx_log *log, struct ftx_link *link)
{
    link->dial = true;
    log->store->link_changes++;
    log->wake = true;
    return link->folders[FTX_OUTBOX] ? ftx_outbox_retry(log, link->folders[FTX_OUTBOX]) : 0;
}

int ftx_link_retry(struct ftx_store *store, const char *name, size_t size)
{
    struct ftx_log log;
    int err = ftx_log_begin(&log, store);
    if (err)
        return err;
    struct ftx_link *link = ftx_link_find_name(store, name, size);
    err = !link ? -ENOENT : !ftx_link_is_group(link) ? retry(&log, link) : 0;
    for (size_t i = 0; link && i < link->n_members && !err; i++)
        err = retry(&log, link->members[i]);
    ftx_log_commit(&log);
    return err;
}

/* -- removing -- */

bool ftx_link_is_undelivered(const struct ftx_link *link)
{
    bool any = link->op_first != link->op_next || link->n_resting;
    for (struct ftx_list *node = link->sendings.next; node != &link->sendings && !any;
         node = node->next) {
        const struct ftx_sending *sending = ftx_list_of(node, struct ftx_sending, all);
        any = !sending->dropped && sending->item->state != FTX_ITEM_DELIVERED;
    }
    return any;
}

void ftx_link_empty_box(struct ftx_log *log, struct ftx_item *folder)
{
    uint64_t cookie = 0;
    for (struct ftx_item *child; folder && (child = ftx_folder_after(folder, cookie));) {
        cookie = child->cookie;
        if (child->box == FTX_OUTBOX)
            ftx_outbox_drop(log, child);
        else
            ftx_inbox_drop(log, child);
    }
}

int ftx_link_unpair(struct ftx_store *store, const char *name, size_t size, bool force)
{
    struct ftx_log log;
    int err = ftx_log_begin(&log, store);
    if (err)
        return err;
    struct ftx_link *link = ftx_link_find_name(store, name, size);
    const struct ftx_item *inbox = link ? link->folders[FTX_INBOX] : NULL;
    if (!link)
        err = -ENOENT;
    else if (ftx_link_is_group(link))
        err = -EOPNOTSUPP;
    else if (!force && ftx_link_is_undelivered(link))
        err = -EBUSY;
    else if (!force && inbox && ftx_folder_count(inbox))
        err = -ENOTEMPTY;
    else if (!force)
        err = ftx_groups_spare(store, link);
    log.wake = err == -EAGAIN;
    if (!err) {
        for (int box = 0; box < 2; box++)
            ftx_link_empty_box(&log, link->folders[box]);
        ftx_log_flush(&log);
        err = ftx_link_remove(store, link);
        if (!err)
            ftx_groups_left(&log, link);
        log.wake = log.arrived = true;
    }
    ftx_log_commit(&log);
    return err;
}

void ftx_tell_command_failed(struct ftx_store *store, const char *line, size_t size, int error,
                             const char *message)
{
    enum { COMMAND_MAX = 256 };
    pthread_mutex_lock(&store->lock);
    ftx_feed_note(store,
                  &(struct ftx_happening){
                      .event = FTX_EVENT_COMMAND_FAILED,
                      .time_ns = ftx_now_ns(),
                      .number = error,
                      .text = {line, message},
                      .text_size = {size < COMMAND_MAX ? size : COMMAND_MAX, strlen(message)}});
    pthread_mutex_unlock(&store->lock);
}
