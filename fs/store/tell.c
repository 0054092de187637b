/* SPDX-License-Identifier: MIT */
/* From an item to its event: the path is written once, for the feed and for the history. */
#include "fs/store/tell.h"

#include "fs/store/links.h"

#include <errno.h>
#include <string.h>

enum { TOLD_PATH_MAX = FTX_FEED_TEXT_MAX };

static uint8_t result_of(enum ftx_event event)
{
    switch (event) {
    case FTX_EVENT_DELIVERED:
        return FTX_HISTORY_DELIVERED;
    case FTX_EVENT_COMPLETE:
        return FTX_HISTORY_COMPLETE;
    case FTX_EVENT_REFUSED:
        return FTX_HISTORY_REFUSED;
    case FTX_EVENT_CANCELLED:
        return FTX_HISTORY_CANCELLED;
    case FTX_EVENT_FAILED:
        return FTX_HISTORY_FAILED;
    default:
        return 0;
    }
}

/* How long its transfer took, ms. */
static uint64_t taken_ms(const struct ftx_item *item)
{
    uint32_t since_ms = 0;
    if (item->kind == FTX_FILE && item->box == FTX_OUTBOX && item->as.sending)
        since_ms = item->as.sending->since_ms;
    else if (item->kind == FTX_FILE && item->box == FTX_INBOX && item->as.arriving)
        since_ms = item->as.arriving->since_ms;
    return since_ms ? (uint32_t)(ftx_since_ms() - since_ms) : FTX_HISTORY_UNKNOWN;
}

/* Not before the link is paired: until then its name is a secret. */
static void remember(struct ftx_log *log, const struct ftx_link *link,
                     const struct ftx_happening *h, uint8_t box, uint8_t result, uint64_t ms)
{
    struct ftx_store *store = log->store;
    if (!result || !store->history_max || link->row.state != FTX_LINK_PAIRED)
        return;
    ftx_log_history(log, &(struct ftx_history_row){.id = store->next_history++,
                                                   .time_ns = h->time_ns,
                                                   .size = (uint64_t)h->number,
                                                   .ms = ms,
                                                   .box = box,
                                                   .result = result,
                                                   .reason = h->reason,
                                                   .link = h->link,
                                                   .link_size = h->link_size,
                                                   .path = h->text[0],
                                                   .path_size = h->text_size[0]});
}

static const char *message_of(enum ftx_event event, const struct ftx_item *item)
{
    if (event == FTX_EVENT_REFUSED && item->box == FTX_OUTBOX)
        return ftx_refusal_text(item->error);
    if (event == FTX_EVENT_REFUSED)
        return item->error == FTX_REFUSED_SIZE       ? "it is larger than the link's max_size"
               : item->error == FTX_REFUSED_POLICY   ? "the inbox has all that it may take"
               : item->error == FTX_REFUSED_TYPE     ? "the link does not take this kind of file"
               : item->error == FTX_REFUSED_REJECTED ? "it was rejected here"
                                                     : "it was removed here";
    if (event == FTX_EVENT_FAILED)
        return "its bytes cannot be read from the store; write it again";
    return NULL;
}

void ftx_tell_item(struct ftx_log *log, enum ftx_event event, const struct ftx_item *item)
{
    char path[TOLD_PATH_MAX];
    size_t path_size;
    const struct ftx_item *shown = item;
    if (item->box == FTX_INBOX && item->kind == FTX_FILE && item->as.arriving &&
        item->as.arriving->base)
        shown = item->as.arriving->base; /* a shadow stands nowhere */
    const char *start = ftx_item_path(shown, path, sizeof path, &path_size);
    if (!start)
        return;
    const char *message = message_of(event, item);
    struct ftx_happening h = {.event = event,
                              .reason = event == FTX_EVENT_REFUSED ? item->error : 0,
                              .time_ns = ftx_now_ns(),
                              .number = (int64_t)item->size,
                              .link = item->link->row.name,
                              .link_size = strlen(item->link->row.name),
                              .text = {start, message},
                              .text_size = {path_size, message ? strlen(message) : 0}};
    if (event == FTX_EVENT_REFUSED && item->box == FTX_INBOX && !item->error)
        h.reason = FTX_REFUSED_DELETED;
    uint8_t result = result_of(event);
    if (result)
        remember(log, item->link, &h, item->box,
                 item->kind == FTX_FILE || event == FTX_EVENT_REFUSED ? result : 0, taken_ms(item));
    bool unknown =
        event == FTX_EVENT_ARRIVING ||
        (item->kind != FTX_FILE && (event == FTX_EVENT_OFFERED || event == FTX_EVENT_ACCEPTED));
    if (unknown) /* that comes with the content */
        h.number = FTX_SIZE_UNKNOWN;
    ftx_feed_note(log->store, &h);
}

void ftx_tell_refused(struct ftx_log *log, const struct ftx_item *folder, const char *name,
                      size_t size, uint8_t reason)
{
    char path[TOLD_PATH_MAX];
    size_t path_size;
    const char *start = ftx_item_path(folder, path, sizeof path, &path_size);
    if (!start || path_size + 1 + size > sizeof path)
        return;
    memmove(path, start, path_size);
    path[path_size++] = '/';
    memcpy(path + path_size, name, size);
    const char *message = reason == FTX_REFUSED_TYPE ? "the link does not take this kind of file"
                                                     : "it was not accepted here";
    struct ftx_happening h = {.event = FTX_EVENT_REFUSED,
                              .reason = reason,
                              .time_ns = ftx_now_ns(),
                              .number = 0,
                              .link = folder->link->row.name,
                              .link_size = strlen(folder->link->row.name),
                              .text = {path, message},
                              .text_size = {path_size + size, strlen(message)}};
    remember(log, folder->link, &h, FTX_INBOX, FTX_HISTORY_REFUSED, FTX_HISTORY_UNKNOWN);
    ftx_feed_note(log->store, &h);
}

void ftx_tell_link(struct ftx_store *store, enum ftx_event event, const struct ftx_link *link,
                   const char *text, const char *more, int64_t number)
{
    ftx_feed_note(store, &(struct ftx_happening){
                             .event = event,
                             .time_ns = ftx_now_ns(),
                             .number = number,
                             .link = link ? link->row.name : NULL,
                             .link_size = link ? strlen(link->row.name) : 0,
                             .text = {text, more},
                             .text_size = {text ? strlen(text) : 0, more ? strlen(more) : 0}});
}
