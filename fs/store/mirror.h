/* SPDX-License-Identifier: MIT */
/*
 * One to many: what stands in a group's folder, outbox/NAME, stands once more in the outbox of each
 * member, outbox/CODE/NAME. Such a mirror is an ordinary item of its link, with its own operations,
 * pending segments and state, so each member goes at its own speed; but it has no bytes: those of
 * the group's item are sent. Whatever changes a group's item changes its mirrors in the same step.
 *
 * A mirror is found by its path: there is no pointer and no row that could say something else.
 *
 *   group's item   written to; pending: what some member does not have; DELIVERED: all have it
 *   mirrors        pending, flying, sealed, refused: by member
 *
 * Private to fs/store, under the lock.
 */
#ifndef FTX_STORE_MIRROR_H
#define FTX_STORE_MIRROR_H

#include "fs/store/change_log.h"
#include "fs/store/links.h"

/* The group's item that a mirror is of; NULL: it is no mirror. */
struct ftx_item *ftx_mirror_origin(const struct ftx_store *store, const struct ftx_item *item);
bool ftx_mirror_stands_below(const struct ftx_item *item);
/* True for the folder of a group in a member's outbox, and all below it. */
static inline bool ftx_mirror_is(const struct ftx_item *item)
{
    return item->link && item->link->n_groups && ftx_mirror_stands_below(item);
}
/* Would a new item of this name in the folder stand where a group's is? */
bool ftx_mirror_reserved(const struct ftx_item *folder, const char *name, size_t size);
/* The item that has the bytes which are sent: of a mirror that of the group, else itself. */
struct ftx_item *ftx_mirror_contents(const struct ftx_store *store, struct ftx_item *item);

/* The mirror of a group's item that a member has; NULL: none. */
struct ftx_item *ftx_mirror_of(const struct ftx_store *store, const struct ftx_item *item,
                               const struct ftx_link *member);
/* One mirror after the other; *in_out_at: 0 at first. NULL: there are no more, or it is no item of
 * a group. */
struct ftx_item *ftx_mirror_next(const struct ftx_store *store, const struct ftx_item *item,
                                 size_t *in_out_at);

/* -- what happens to a group's item happens to its mirrors -- */

/* The member's folder gets a mirror of the item, with all below it. -ENOMEM. */
int ftx_mirror_make(struct ftx_log *log, struct ftx_item *folder, struct ftx_item *item);
/* ... and each member's. Without memory, the next start makes it. */
void ftx_mirrors_make(struct ftx_log *log, struct ftx_item *item);
/* A mirror goes, with all below it: what the member does not have is cancelled there. -ENOMEM. */
int ftx_mirror_drop(struct ftx_log *log, struct ftx_item *mirror, int64_t when_ns);
void ftx_mirrors_drop(struct ftx_log *log, struct ftx_item *item, int64_t when_ns);
/* Size and times are now those of the item. */
void ftx_mirrors_stamp(struct ftx_log *log, const struct ftx_item *item);

/* A segment became pending: of a group's item also of its mirrors; of a mirror, which is to be sent
 * again, also of its item. -ENOMEM. */
int ftx_mirrors_put(struct ftx_log *log, struct ftx_item *item, const struct ftx_segment *segment);
/* Nothing behind `offset` is pending any more. -ENOMEM. */
int ftx_mirrors_cut(struct ftx_log *log, struct ftx_item *item, uint64_t offset);
/* The OPEN segment at `offset` is finished. */
void ftx_mirrors_close_tail(struct ftx_log *log, struct ftx_item *item, uint64_t offset);
void ftx_mirrors_due(struct ftx_log *log, const struct ftx_item *item);
void ftx_mirrors_reopen(struct ftx_log *log, const struct ftx_item *item);
void ftx_mirrors_seal(struct ftx_log *log, struct ftx_item *item);
/* Of a file that was closed: those that may, rest. */
void ftx_mirrors_rest(const struct ftx_store *store, const struct ftx_item *item);
void ftx_mirrors_unseal(struct ftx_log *log, const struct ftx_item *item);
/* Has a SEAL of some mirror's version left? */
bool ftx_mirrors_seal_left(const struct ftx_store *store, const struct ftx_item *item);
/* What members had refused is offered to them anew. -ENOMEM. */
int ftx_mirrors_revive(struct ftx_log *log, const struct ftx_item *item);
/* One of them was refused. */
const struct ftx_item *ftx_mirrors_refused(const struct ftx_store *store,
                                           const struct ftx_item *item);

/* -- what happens to a mirror tells on its item -- */

/* The mirror changed in [offset, end), or its state did: what all members have is no longer
 * pending of the group's item, and when they have all of it, it is delivered. Harmless of others. */
void ftx_mirror_settle(struct ftx_log *log, const struct ftx_item *mirror, uint64_t offset,
                       uint64_t end);
/* The same for a group's folder and all below it: members came or went. */
void ftx_mirrors_settle_all(struct ftx_log *log, struct ftx_item *folder);

/* -- released bytes: mirror_bytes.c -- */

/* Does any member take the file? */
bool ftx_mirrors_taken(const struct ftx_store *store, const struct ftx_item *item);
/* Does a member that takes the file lack some of [offset, end)? */
bool ftx_mirrors_await(const struct ftx_store *store, const struct ftx_item *item, uint64_t offset,
                       uint64_t end);
/* What members that take the file do not have of it, as sets of ranges: returns how many. *out_had:
 * what is in none of them is at a peer; true of what is no group's. */
size_t ftx_mirrors_pending(const struct ftx_store *store, const struct ftx_item *item,
                           const struct ftx_segments *out[2 * FTX_GROUP_MEMBERS_MAX],
                           bool *out_had);
/* A mirror whose peer has the range; `now`: and can be asked. NULL: none. */
struct ftx_item *ftx_mirrors_supplier(const struct ftx_store *store, const struct ftx_item *item,
                                      uint64_t offset, uint64_t end, bool now);
/* Without this member, is every released byte of the group's item, and below it, at some member, as
 * far as we know? What its owner removes there, nobody tells us. */
bool ftx_mirrors_supplied(const struct ftx_store *store, const struct ftx_item *item,
                          const struct ftx_link *without);
/* The same of all of the group, with proof: 0, if each file was shown by another member in the last
 * minute. -EAGAIN: they are being asked (the loop is to be woken); -EBUSY: no other has it, or can be
 * asked now. */
int ftx_mirrors_prove(struct ftx_store *store, struct ftx_link *group,
                      const struct ftx_link *without);
/* The mirror's peer has given back some of it, or said that it has none. */
void ftx_mirror_shows(struct ftx_item *mirror, struct ftx_link *group, bool has);
/* The link can be asked, or no more: what its groups send of released bytes is looked at. */
void ftx_mirrors_pull(struct ftx_log *log, const struct ftx_link *link);

/* Makes the member's folder what the group's is: at its joining, and at the start, where a kill may
 * have left something between. -ENOMEM. */
int ftx_mirror_sync(struct ftx_log *log, struct ftx_link *group, struct ftx_link *member);

#endif
