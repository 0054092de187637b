/* SPDX-License-Identifier: MIT */
/*
 * What local programs do in an outbox. Each function is one answered operation: done in the index
 * and in the journal when it returns. Any thread; waits neither for the network nor for other
 * writers' disk accesses. Ids are inode numbers; -ENOENT when one is not (any more) an outbox item.
 */
#ifndef FTX_STORE_OUTBOX_H
#define FTX_STORE_OUTBOX_H

#include "fs/store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A new file, folder or symlink. `open`: with a writing handle on it. -EEXIST, -EINVAL (name),
 * -ENAMETOOLONG, -ELOOP (too deep), -ENOMEM. */
int ftx_outbox_make(struct ftx_store *store, uint64_t parent, const char *name, size_t size,
                    enum ftx_kind kind, uint16_t mode, const char *target, bool open,
                    uint64_t *out_id);

/* unlink (folder false: -EISDIR for a folder) or rmdir (-ENOTDIR, -ENOTEMPTY). */
int ftx_outbox_remove(struct ftx_store *store, uint64_t parent, const char *name, size_t size,
                      bool folder);

enum { FTX_RENAME_NOREPLACE = 1 };

/* rename within one link (-EXDEV else); replaces what is there as POSIX says. */
int ftx_outbox_rename(struct ftx_store *store, uint64_t parent, const char *name, size_t size,
                      uint64_t new_parent, const char *new_name, size_t new_size, unsigned flags);

/* chmod, utimens; NULL: leave. */
int ftx_outbox_set_attr(struct ftx_store *store, uint64_t id, const uint16_t *mode,
                        const int64_t *mtime_ns);

/*
 * Sets a user.* attribute of a file or folder (`name` without that prefix), or removes it (`value`
 * NULL). -EEXIST, -ENODATA: as `how` or a removal wants it; -ENOSPC: over the limits; -ERANGE,
 * -EINVAL: no name; -EPERM: a symlink has none, -EOPNOTSUPP: nor has the folder of a link.
 */
enum ftx_xattr_how { FTX_XATTR_ANY, FTX_XATTR_CREATE, FTX_XATTR_REPLACE };
int ftx_outbox_set_xattr(struct ftx_store *store, uint64_t id, const struct ftx_xattr *xattr,
                         enum ftx_xattr_how how);

/* Sets a file's size. Without an open writer this also closes (seals) it. */
int ftx_outbox_truncate(struct ftx_store *store, uint64_t id, uint64_t size);

int ftx_outbox_open(struct ftx_store *store, uint64_t id, bool writer, bool truncate);
/*
 * How the kernel shall treat a handle that was just opened. One that only writes goes past the page
 * cache (it saves a copy and a third of the memory), any other through it; but writers past the
 * cache and handles through it are never open together: who comes later does as who is there. A
 * writer that was closed may still be on its way out, so this waits a moment for it. *out_keep:
 * cached pages may be kept. What got *out_direct calls ftx_outbox_direct_left when it is released.
 */
void ftx_outbox_caching(struct ftx_store *store, uint64_t id, bool writer, bool write_only,
                        bool *out_direct, bool *out_keep);
void ftx_outbox_direct_left(struct ftx_store *store, uint64_t id, bool writer);
/* Whole write at any offset: -EFBIG, or what the disk said. -EAGAIN: there is no room, but the link
 * may drain (ftx_spool_progress); -ENOSPC: there is none. */
int ftx_outbox_write(struct ftx_store *store, uint64_t id, const void *bytes, size_t size,
                     uint64_t offset);
/*
 * At most `size` bytes of an open file; returns how many (0: end) or an error. -EAGAIN: bytes were
 * released; if `want`, the peer is asked for them. -ENODATA: the peer does not have them any more.
 */
ssize_t ftx_outbox_read(struct ftx_store *store, uint64_t id, void *out, size_t size,
                        uint64_t offset, bool want);
/* 0 if that would give bytes now, else what it would return. */
int ftx_outbox_at_hand(struct ftx_store *store, uint64_t id, size_t size, uint64_t offset,
                       bool want);
/* When released bytes of the file last came back (ftx_now_ms); 0: they did not. */
int64_t ftx_outbox_progress(struct ftx_store *store, uint64_t id);
/*
 * fallocate: reserves room on the disk; unless `keep_size`, the file reaches the range's end, what
 * it gains is a hole. -EFBIG, -EAGAIN and -ENOSPC: as ftx_outbox_write.
 */
int ftx_outbox_allocate(struct ftx_store *store, uint64_t id, uint64_t offset, uint64_t length,
                        bool keep_size);
/* The range reads as zeros from now on and gives its room back; the size stays. */
int ftx_outbox_punch(struct ftx_store *store, uint64_t id, uint64_t offset, uint64_t length);
/* SEEK_DATA, SEEK_HOLE: -ENXIO. All is data while somebody may write through a mapping. */
int ftx_outbox_seek(struct ftx_store *store, uint64_t id, uint64_t offset, int whence,
                    uint64_t *out_offset);
/*
 * close(2): what was written is sealed. `wait`: -EAGAIN if it is still to be delivered; then
 * ftx_outbox_delivered says when it is (0) or that it will not be, and ftx_outbox_flushed ends the
 * wait in any case.
 */
int ftx_outbox_flush(struct ftx_store *store, uint64_t id, bool wait);
int ftx_outbox_delivered(struct ftx_store *store, uint64_t id);
void ftx_outbox_flushed(struct ftx_store *store, uint64_t id);
int ftx_outbox_fsync(struct ftx_store *store, uint64_t id);
void ftx_outbox_release(struct ftx_store *store, uint64_t id, bool writer);

/* Segments whose writer paused become due. Returns when to call again (ftx_now_ms clock),
 * INT64_MAX: never. Loop. */
int64_t ftx_outbox_settle(struct ftx_store *store, int64_t now_ms);

/* At start: files that were open when the daemon was killed become INTERRUPTED. After a power cut
 * the peer may have newer bytes of them than we: they are then pending as a whole. */
int ftx_outbox_interrupt(struct ftx_store *store, bool power_cut);

/* At start, after that: what a kill left between staying here and being offered. -ENOMEM. */
int ftx_outbox_settle_places(struct ftx_store *store);

/* A sync failed: what was written to the file (0: to any) since its last one, and no hash speaks of,
 * may be gone from the disk. outbox_doubt.c. Any thread. */
void ftx_outbox_doubt(struct ftx_store *store, uint64_t id);
/* One that ftx_spool_take_written had asked for ended well. Any thread. */
void ftx_outbox_synced(struct ftx_store *store);

/* -- private to fs/store, under the lock -- */

struct ftx_log;

/* What the object of the file (0: of any) holds may not be what the peer has: nothing is compared
 * with it. Is there such a file? */
void ftx_outbox_distrust(struct ftx_store *store, uint64_t id);
bool ftx_outbox_distrusted(const struct ftx_store *store);
/* Notes what was doubted and is not yet. Loop. */
void ftx_outbox_note_doubts(struct ftx_log *log);

/* The item's sending, made if it has none. NULL: no memory. */
struct ftx_sending *ftx_sending_get(struct ftx_item *item);
/* The loop must look at it. */
void ftx_sending_due(struct ftx_log *log, struct ftx_sending *sending);

#endif
