/* SPDX-License-Identifier: MIT */
/*
 * What their owner does to links and transfers beyond using the folders: .ftx/ctl and
 * user.ftx.priority. Each is done, and what must last is on the disk, when it returns; each tells
 * the feed. A link is named; `name` NULL: all of them. -ENOENT: there is none of this name. Any
 * thread.
 */
#ifndef FTX_STORE_STEER_H
#define FTX_STORE_STEER_H

#include "fs/store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Its session ends and none begins until it is resumed. */
int ftx_link_pause(struct ftx_store *store, const char *name, size_t size, bool paused);
/* The link goes with both folders. Without `force`: -EBUSY if something is not delivered,
 * -ENOTEMPTY if something is in its inbox. */
int ftx_link_unpair(struct ftx_store *store, const char *name, size_t size, bool force);
/* A code may be guessed anew. -EALREADY: it is paired. */
int ftx_link_rearm(struct ftx_store *store, const char *name, size_t size);
/* Dials at once; what is interrupted, refused, failed or cancelled is offered again. */
int ftx_link_retry(struct ftx_store *store, const char *name, size_t size);

/* The item and what is below it is sent no further (outbox), or removed and refused (inbox).
 * -EALREADY: all of it is delivered; -EBUSY: bytes of it are at the peer only; -EISDIR,
 * -ENOTEMPTY: a folder of the inbox that is in use. */
int ftx_item_cancel(struct ftx_store *store, uint64_t id);

enum { FTX_PRIORITY_INHERIT = -1 };

/* Of an outbox item, or of the link whose folder it is; for all below that has none of its own.
 * -EOPNOTSUPP: of nothing else. */
int ftx_item_set_priority(struct ftx_store *store, uint64_t id, int priority);

enum ftx_setting {
    FTX_SETTING_UP,
    FTX_SETTING_DOWN,
    FTX_SETTING_ACCEPT, /* enum ftx_accept */
    FTX_SETTING_MAX_SIZE,
    FTX_SETTING_MAX_FILES,
    FTX_SETTING_ALLOW_EXT, /* these four: in the order of enum ftx_rule */
    FTX_SETTING_DENY_EXT,
    FTX_SETTING_ALLOW_MIME,
    FTX_SETTING_DENY_MIME,
    FTX_SETTINGS
};

struct ftx_setting_value {
    struct ftx_timetable limit;    /* UP, DOWN */
    uint64_t number;               /* ACCEPT, MAX_SIZE, MAX_FILES */
    char text[FTX_TIMETABLE_TEXT]; /* as the event says it; of a rule the rule itself */
};
_Static_assert((int)FTX_TIMETABLE_TEXT >= (int)FTX_RULE_MAX, "a rule fits");

/* Reads the value of a setting. -EINVAL. Pure. */
int ftx_setting_parse(enum ftx_setting setting, const char *text, size_t size,
                      struct ftx_setting_value *out);

/* Of all links together there are only limits: -EOPNOTSUPP. */
int ftx_link_set(struct ftx_store *store, const char *name, size_t size, enum ftx_setting setting,
                 const struct ftx_setting_value *value);
/* The word for it, as up or max_size; for a value of ACCEPT. Static. */
const char *ftx_setting_name(enum ftx_setting setting);
const char *ftx_accept_text(uint8_t accept);

/* Finds an item by its path from the mount's root ("outbox/CODE", "inbox/CODE/a"). -ENOENT. */
int ftx_path_find(struct ftx_store *store, const char *path, size_t size, uint64_t *out_id);

/* A command could not be done: told to the feed. */
void ftx_tell_command_failed(struct ftx_store *store, const char *line, size_t size, int error,
                             const char *message);

/* -- private to fs/store, under the lock -- */

struct ftx_item;

static inline enum ftx_rule ftx_setting_rule(enum ftx_setting setting)
{
    return (enum ftx_rule)(setting - FTX_SETTING_ALLOW_EXT);
}

struct ftx_link;
struct ftx_log;

/* Is something of it not at the peer? */
bool ftx_link_is_undelivered(const struct ftx_link *link);
/* All that stands in the folder goes. */
void ftx_link_empty_box(struct ftx_log *log, struct ftx_item *folder);

/* What holds for the item: its own, or that of a folder above it, or the link's. */
uint8_t ftx_item_priority(const struct ftx_item *item);

#endif
