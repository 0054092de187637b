/* SPDX-License-Identifier: MIT */
/* What the files of the outbox share: an outbox file and its pending segments. Under the lock. */
#ifndef FTX_STORE_OUTBOX_INTERNAL_H
#define FTX_STORE_OUTBOX_INTERNAL_H

#include "fs/store/change_log.h"
#include "fs/store/links.h"

/* An outbox file, in its folder or not any more; NULL: none of this number. */
struct ftx_item *ftx_outbox_file_of(struct ftx_store *store, uint64_t id);

/* The file that is sent as this stream of the link; NULL: none, or it was removed. */
struct ftx_item *ftx_outgoing_item(struct ftx_store *store, const struct ftx_link *link,
                                   uint64_t stream);

/* The descriptor of the object, which is made if there is none yet; the item is open. Lets go of
 * the lock while it opens. */
int ftx_outbox_fd(struct ftx_log *log, struct ftx_item *item, int *out_fd);

/* Nobody has it open for writing, but those whose close waits. */
bool ftx_outbox_closed(const struct ftx_item *item);

/* The file was changed now. */
void ftx_outbox_stamp(struct ftx_log *log, struct ftx_item *item);

/* The item will hold what was not sealed: the first write after a close begins a version. */
void ftx_sending_reopen(struct ftx_log *log, struct ftx_item *item);

/* True for what the peer is told of: an item in its folder that does not stay here. */
bool ftx_outbox_travels(const struct ftx_item *item);

/* Adds the operation that makes the item at the peer, and its folder if need be; `when_ns`: its
 * folder's new mtime. -ENOMEM. */
int ftx_outbox_log_make(struct ftx_log *log, struct ftx_item *item, int64_t when_ns);

/* The operation that was added last moves the item. */
void ftx_outbox_moved(struct ftx_item *item);

/* Before an operation that puts something into the folder: if its receiver removed it there, it is
 * made there again. -ENOMEM. */
int ftx_outbox_need_folder(struct ftx_log *log, struct ftx_item *folder);

/* Adds the operation that takes it from the peer: DROP, or CANCEL of what the peer is not known to
 * have. -ENOMEM. */
int ftx_outbox_log_drop(struct ftx_log *log, const struct ftx_item *item, int64_t when_ns);

/* What was written becomes a version to be sent, if no program is writing to it. */
void ftx_outbox_seal(struct ftx_log *log, struct ftx_item *item);

/* Out of the tree, with all below it: it is sent no further. No operation tells of it. */
void ftx_outbox_drop(struct ftx_log *log, struct ftx_item *item);

/* The item, with what is below it, is dropped at the peer, and stays here: `state` is LOCAL or
 * CANCELLED. `when_ns`: when it left. -ENOMEM. */
int ftx_outbox_withdraw(struct ftx_log *log, struct ftx_item *item, int64_t when_ns,
                        enum ftx_item_state state);
/* One that stays here is made at the peer as new, with what is below it. -ENOMEM. */
int ftx_outbox_offer(struct ftx_log *log, struct ftx_item *item);
/* What did not get through below a folder is offered again. -ENOMEM. */
int ftx_outbox_retry(struct ftx_log *log, struct ftx_item *folder);

/* Would an item of this name in the folder stay here? */
bool ftx_outbox_stays(const struct ftx_item *parent, const char *name, size_t size);

/* Is something of it, or of what is below it, at the peer only? */
bool ftx_outbox_is_away(const struct ftx_item *item);

/*
 * The item and what is below it becomes LOCAL, or is offered to the peer as new, as its place says
 * by now; harmless where it is so already, and where a kill left half of it undone.
 * `when_ns`: when it left. -ENOMEM.
 */
int ftx_outbox_settle_place(struct ftx_log *log, struct ftx_item *item, int64_t when_ns);

/* A file that the peer refused can be offered to it as a new one, with all that it holds, if that
 * is all here, or at other members of its group. -ENOMEM. */
bool ftx_outbox_can_offer_again(const struct ftx_store *store, struct ftx_item *item);
int ftx_outbox_offer_again(struct ftx_log *log, struct ftx_item *item);

/* What is written to a file comes after an open: one that was refused before that is new to the
 * peer. -ENOMEM. */
int ftx_outbox_revive(struct ftx_log *log, struct ftx_item *item);

/* A file that was withdrawn and offered again, whose last sending is gone, gets another one, with
 * all that it holds; notes nothing. `began`, `closed`: as in struct ftx_sending. */
void ftx_sending_renew(struct ftx_log *log, struct ftx_item *item, uint64_t began, uint64_t closed);

/* The segment is pending, and nothing of its range released any more. -ENOMEM. */
int ftx_sending_put(struct ftx_log *log, struct ftx_sending *sending,
                    const struct ftx_segment *segment);

/* -- outgoing_rest.c -- */

/* Out of all lists, and freed; neither the loop nor the engine may have it. */
void ftx_sending_remove(struct ftx_sending *sending);
/* The item's sending goes, if it may and there is no session. */
void ftx_sending_rest(const struct ftx_store *store, struct ftx_item *item);
/* A file that is CLOSED and has no sending begins to rest; one that rests will have a sending, or
 * is CLOSED no more (else nothing changes). */
void ftx_item_rest(struct ftx_item *item);
void ftx_item_wake(struct ftx_item *item);
/* Nothing of the file is to be sent but that it is complete, and nothing was in this session. */
bool ftx_sending_may_rest(const struct ftx_store *store, const struct ftx_sending *sending);
/* And the peer knows all that it wants to know before it accepts the file. */
bool ftx_sending_is_offered(const struct ftx_store *store, const struct ftx_sending *sending);
/* All that rest are to be taken up, or those that the peer accepts by now. */
void ftx_outgoing_rouse_all(struct ftx_link *link);
void ftx_outgoing_rouse(struct ftx_link *link);
/* Makes the next one of them due; false: none is to be taken up now. */
bool ftx_outgoing_take_up(struct ftx_store *store, struct ftx_link *link);

/* What is under way of the item's content is void: the loop lets go of it. */
void ftx_sending_let_go(struct ftx_log *log, struct ftx_item *item);

/* All of it is durable at the peer. What was released stays so. */
void ftx_sending_forget_pending(struct ftx_log *log, struct ftx_sending *sending);

/* The OPEN segment is finished: it may be sent. */
void ftx_sending_close_tail(struct ftx_log *log, struct ftx_sending *sending);

/* The range [offset, end) is pending in this state, its bytes unknown: it will be sent as it is
 * then. -ENOMEM (a part of it may be pending). */
int ftx_sending_claim(struct ftx_log *log, struct ftx_sending *sending, uint64_t offset,
                      uint64_t end, enum ftx_pending_state state);

/* The first part of [offset, end) that holds bytes: data of the object, open as `fd` (below 0: it
 * cannot be asked), or released ones. It ends where its cell does, and a cell is not looked at any
 * closer behind its first byte. False: all of the range is holes. */
bool ftx_sending_bytes(const struct ftx_item *item, int fd, uint64_t offset, uint64_t end,
                       uint64_t *out_at, uint64_t *out_end);

/* Claims the bytes of a range of any length; in state DUE its holes are pending as holes, else they
 * are left out: nothing changes there. -ENOMEM. */
int ftx_sending_claim_bytes(struct ftx_log *log, struct ftx_sending *sending, int fd,
                            uint64_t offset, uint64_t end, enum ftx_pending_state state);

/* The same for a range of a file that need not be open: all of it is to be sent again. */
int ftx_sending_resend(struct ftx_log *log, struct ftx_item *item, uint64_t offset, uint64_t end);

/* ... and what of a mirror's contents is at other members only: its own peer does not have it. */
int ftx_sending_pull(struct ftx_log *log, struct ftx_item *mirror, uint64_t offset, uint64_t end);
/* [offset, end) is to be sent as a hole; nothing if that is empty. -ENOMEM. */
int ftx_sending_hole(struct ftx_log *log, struct ftx_item *item, uint64_t offset, uint64_t end);

/* Around a change of the object's bytes: begin claims the range (as long as the file reaches) and
 * gives the descriptor, abandon is for a change that failed. Not under the lock. */
int ftx_outbox_begin_punch(struct ftx_store *store, uint64_t id, uint64_t offset, uint64_t end,
                           int *out_fd);
void ftx_outbox_abandon_write(struct ftx_store *store, uint64_t id, uint64_t offset, uint64_t end);

#endif
