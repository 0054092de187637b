/* SPDX-License-Identifier: MIT */
/*
 * Groups: outbox/NAME delivers to every member. What is sent to whom is the business of mirrors
 * (mirror.h); here it is who belongs to what. All of it lasts when it returns. Any thread.
 */
#ifndef FTX_STORE_GROUP_H
#define FTX_STORE_GROUP_H

#include "fs/store/links.h"
#include "fs/store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ftx_group_how {
    FTX_GROUP_SET, /* these are its members; it is made if there is none */
    FTX_GROUP_ADD,
    FTX_GROUP_REMOVE,
};

struct ftx_word {
    const char *at;
    size_t size;
};

/*
 * -ENOENT: no such group (ADD, REMOVE), no such link; -EINVAL: no valid name; -EEXIST: the name is
 * that of a link, or stands in a member's outbox; -EALREADY: it is a member (ADD), or is none
 * (REMOVE);
 * -EOPNOTSUPP: it is a group itself, or has no outbox yet; -E2BIG: more members than there may be.
 * Nothing was done then, but for an error of the disk. -EBUSY: bytes are at a member only that would
 * leave, or nobody else who may have them is connected; -EAGAIN: the others are being asked whether
 * they still have them. Some may have come or gone then.
 */
int ftx_group_change(struct ftx_store *store, const struct ftx_word *name, enum ftx_group_how how,
                     const struct ftx_word *members, size_t n);
/* The group goes with its folder. Without `force`: -EBUSY if a member lacks something. -ENOENT. */
int ftx_group_dissolve(struct ftx_store *store, const char *name, size_t size, bool force);

/* What .ftx/status says of a group. */
struct ftx_group_status {
    char name[65];
    struct ftx_group_member {
        char name[65];
        const char *state;     /* ftx_link_state_text */
        uint64_t files, bytes; /* of the group, not delivered */
    } members[FTX_GROUP_MEMBERS_MAX];
    size_t n_members;
    uint64_t files, bytes; /* that some member lacks */
};

/* Fills at most `capacity`; returns how many groups there are. */
size_t ftx_groups_status(struct ftx_store *store, struct ftx_group_status *out, size_t capacity);

/* -- private to fs/store, under the lock (but for start) -- */

struct ftx_log;

/* In memory only. -ENOMEM. */
int ftx_group_attach(struct ftx_link *group, struct ftx_link *member);
/* May the link leave its groups? As ftx_mirrors_prove. */
int ftx_groups_spare(struct ftx_store *store, const struct ftx_link *link);
/* The link was removed: its groups forget it. */
void ftx_groups_left(struct ftx_log *log, struct ftx_link *link);
/* What a kill left between groups and their members. -ENOMEM. */
int ftx_groups_start(struct ftx_store *store);

#endif
