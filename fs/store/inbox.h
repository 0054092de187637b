/* SPDX-License-Identifier: MIT */
/*
 * The inbox: what a peer's operations and extents make of it, and what its owner may do. Nothing a
 * peer names is a path; every item is found by link and the sender's number.
 *
 * An arriving file has an object and the set of segments that are in it. The next version of a
 * complete file, and a file that was renamed over one, is a shadow: not in the tree until it is
 * complete, then it takes the place of its base in one step.
 */
#ifndef FTX_STORE_INBOX_H
#define FTX_STORE_INBOX_H

#include "fs/store/links.h"
#include "fs/store/store.h"
#include "transport/session/plan.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum ftx_links_policy { FTX_LINKS_NONE, FTX_LINKS_SAFE, FTX_LINKS_ALL };

/* -- for the peer's side; loop thread -- */

/*
 * Applies operation `number` (it and the fact that it was applied are one journal entry:
 * *out_entry). FTX_EPROTO: not an operation. *out_refused > 0: an item that is not taken, with the
 * protocol's reason; *out_item is its number.
 */
int ftx_inbox_apply(struct ftx_store *store, struct ftx_link *link, uint64_t number,
                    const uint8_t *op, size_t size, enum ftx_links_policy policy,
                    uint64_t *out_entry, uint64_t *out_item, uint8_t *out_refused);

/* Is the peer's item here? */
bool ftx_inbox_has(struct ftx_store *store, struct ftx_link *link, uint64_t remote);

/*
 * An extent is about to be written: *out_object is where; the item counts one write under way until
 * ftx_inbox_wrote. -EALREADY: nothing to do (old version). -ENOENT: no such file here (refuse it).
 * -EPERM: it stands in what is not accepted, and its sender may have it elsewhere (refuse it).
 * FTX_EPROTO: it is not accepted. -EDQUOT: there is no room for it in the link's inbox, -EFBIG: it
 * is larger than what its owner takes; it was dropped (refuse it).
 */
int ftx_inbox_begin(struct ftx_store *store, struct ftx_link *link, const struct ftx_extent *extent,
                    uint64_t *out_item, uint64_t *out_object);

/* The write ended with `err`; on success the range is here. *out_entry: the journal entry that says
 * so, 0: none. An error, `err` or another, if the range is not here. */
int ftx_inbox_wrote(struct ftx_store *store, uint64_t item, const struct ftx_extent *extent,
                    int err, uint64_t *out_entry);

/* The size of an unfinished file as the sender knows it. -EFBIG: refuse it. */
int ftx_inbox_resize(struct ftx_store *store, struct ftx_link *link, const struct ftx_extent *size);

/*
 * A SEAL is met in the stream of messages: its mode and time are the file's from here on (later
 * operations may change them before it is complete). FTX_EPROTO, -ENOMEM.
 */
int ftx_inbox_seal_comes(struct ftx_store *store, struct ftx_link *link,
                         const struct ftx_plan_seal *seal);

/* What ftx_inbox_seal found. */
struct ftx_seal_check {
    uint64_t claimed;             /* ftx_inbox_claim: for what is copied */
    uint64_t item;                /* to be passed to ftx_inbox_complete */
    uint64_t settled;             /* when this journal entry is committed, it may be completed */
    uint64_t object, base_object; /* where it is, 0: nowhere; base_object != 0: ranges to copy from
                                     there first */
    struct ftx_range ranges[64]; /* missing, or to be copied; the first of them if there are more */
    size_t n;
};

/*
 * Judges a SEAL, after the extents of its record are written. 0: everything is here; wait for
 * `settled`, copy `ranges` from the base's object if there are any (then ask again), then complete.
 * -ENODATA: `ranges` are missing. -EALREADY: nothing to do, it is complete or a later version has
 * begun. -ENOENT, -EPERM: as of ftx_inbox_begin. -EDQUOT: no room for the copy, it was dropped.
 * -EBUSY: writes are under way. FTX_EPROTO.
 */
int ftx_inbox_seal(struct ftx_store *store, struct ftx_link *link, const struct ftx_plan_seal *seal,
                   struct ftx_seal_check *out);

/* After ftx_inbox_seal gave ranges to copy, once: they are here now, or `err`, which is returned
 * unless the base went away meanwhile. The seal is then to be judged again. */
int ftx_inbox_copied(struct ftx_store *store, const struct ftx_seal_check *check, int err);
/* Files of this kind are not taken: it is dropped (refuse it). */
void ftx_inbox_deny(struct ftx_store *store, uint64_t item);
/* Ranges of the file's base are being copied: extents that come must wait. */
bool ftx_inbox_copying(struct ftx_store *store, uint64_t item);

/* The file is complete, in one step; *out_entry: the journal entry that says so. -EALREADY: it is
 * gone or changed meanwhile. */
int ftx_inbox_complete(struct ftx_store *store, struct ftx_link *link,
                       const struct ftx_plan_seal *seal, uint64_t item, uint64_t *out_entry);

/* The link's unfinished files: *out_items is to be freed. */
size_t ftx_inbox_unfinished(struct ftx_store *store, struct ftx_link *link, uint64_t **out_items);
/* At most `capacity` extents of what is here of one; *in_out_offset (0 at first) is where to go on.
 * 0: no more. */
size_t ftx_inbox_held(struct ftx_store *store, uint64_t item, uint64_t *in_out_offset,
                      struct ftx_extent *out, size_t capacity);

/* The next range that a reader waits for; false: none. */
bool ftx_inbox_want(struct ftx_store *store, struct ftx_link *link, uint64_t *out_remote,
                    struct ftx_range *out_range);

/* The next folder that its owner removed and its sender does not know of; false: none. */
bool ftx_inbox_removed_folder(struct ftx_store *store, struct ftx_link *link, uint64_t *out_remote);

/* -- for programs; any thread -- */

/*
 * *out_direct: not complete, reads go past the page cache, which may not read ahead of what is
 * here. *out_keep: pages may be kept. A complete file's bytes never change, an update is another
 * item; of one that arrives they are kept until the first open after it: to drop pages the kernel
 * waits for those that page faults wait for.
 */
int ftx_inbox_open(struct ftx_store *store, uint64_t id, bool *out_direct, bool *out_keep);
void ftx_inbox_release(struct ftx_store *store, uint64_t id);

/*
 * Which of [offset, offset + size) may be read now: *out_fd (stays open while the file is) and
 * *out_size (0: the end). -EAGAIN: bytes are missing that may still come (if `want`, the sender is
 * asked to send them first). -ENODATA: nobody is about to send them. -EIO: they will not come.
 */
int ftx_inbox_read(struct ftx_store *store, uint64_t id, size_t size, uint64_t offset, bool want,
                   int *out_fd, size_t *out_size);
/* SEEK_DATA, SEEK_HOLE: -ENXIO. What has not come yet is data. */
int ftx_inbox_seek(struct ftx_store *store, uint64_t id, uint64_t offset, int whence,
                   uint64_t *out_offset);
/* When bytes of the file last came (ftx_now_ms); 0 if it is no arriving file. */
int64_t ftx_inbox_progress(struct ftx_store *store, uint64_t id);

/* unlink and rmdir by the owner: local; an arriving item is refused thereby. */
int ftx_inbox_remove(struct ftx_store *store, uint64_t parent, const char *name, size_t size,
                     bool folder);
/* chmod by the owner: local, as long as the sender does not change it. */
int ftx_inbox_set_mode(struct ftx_store *store, uint64_t id, uint16_t mode);
/* rename by the owner, within the link. */
int ftx_inbox_rename(struct ftx_store *store, uint64_t parent, const char *name, size_t size,
                     uint64_t new_parent, const char *new_name, size_t new_size, unsigned flags);

/* -- private to fs/store, under the lock -- */

struct ftx_log;

/* An inbox file, in its folder or not any more; NULL: none of this number. */
struct ftx_item *ftx_inbox_file_of(const struct ftx_store *store, uint64_t id);
struct ftx_arriving *ftx_arriving_get(struct ftx_item *item);
/* What has come of it, to be changed. NULL: no memory. */
struct ftx_landing *ftx_landing_get(struct ftx_arriving *arriving);
/* Takes a range for present. FTX_ELIMIT: the link has too many; -ENOMEM. */
int ftx_arriving_put(struct ftx_arriving *arriving, const struct ftx_segment *segment);
/* Takes it for missing again. -ENOMEM. */
int ftx_arriving_cut(struct ftx_arriving *arriving, uint64_t offset, uint64_t length);
/* The arriving file ends as such (complete or gone): frees the state. */
void ftx_arriving_end(struct ftx_item *item);
/* An item without a place in the tree (any more) goes; readers that wait for it are told. */
void ftx_inbox_let_go(struct ftx_log *log, struct ftx_item *item);
/* Takes an item (a folder with all below it) out of the tree, with its shadows. */
void ftx_inbox_drop(struct ftx_log *log, struct ftx_item *item);
/* Its owner has it elsewhere now: it goes as if it had been removed. */
void ftx_inbox_left(struct ftx_log *log, struct ftx_item *item);
/* An unfinished file is not taken: it goes; what was complete before stays, its owner's alone. */
void ftx_inbox_refuse(struct ftx_log *log, struct ftx_item *item, enum ftx_refusal reason);

#endif
