/* SPDX-License-Identifier: MIT */
/*
 * The append log before the database: a preallocated, mapped file of two halves. An entry is in it
 * before the operation it belongs to is answered, without a system call; it survives kill -9 (not a
 * power cut: that is what the database's commit is for). The worker swaps halves, moves the full
 * one into the database, then frees it.
 *
 * A half: entries one after the other (docs/store.md 2).
 *
 *   u32 size of the body, u32 zero
 *   u64 number: 1, 2, 3 ... without a gap over both halves
 *   body, zeros to a multiple of 8
 *   u64 XXH3-64 of all before
 */
#ifndef FTX_STORE_JOURNAL_H
#define FTX_STORE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ftx_journal;

enum { FTX_JOURNAL_ENTRY_MAX = 128 << 10 };

/* Entries of the half that is being moved. */
struct ftx_journal_batch {
    const uint8_t *bytes;
    size_t size;
    uint64_t last; /* number of its last entry */
};

typedef int (*ftx_journal_entry_fn)(void *ctx, uint64_t number, const void *body, size_t size);

/* Opens or makes `name` in `dir_fd` with two halves of `half_size` bytes (a multiple of 4096),
 * fallocated so that a full disk is an error here and never SIGBUS. A file that is there keeps its
 * own halves. -ENOSPC, -errno. */
int ftx_journal_open(int dir_fd, const char *name, size_t half_size,
                     struct ftx_journal **out_journal);

/*
 * After open, before the first append: calls `entry` for every intact entry with a number above
 * `applied`, in order, stopping at the first gap or damage; then starts the log empty (but leaves
 * the old bytes alone until the caller has called ftx_journal_reset). Returns the callback's error,
 * if any.
 */
int ftx_journal_replay(struct ftx_journal *journal, uint64_t applied, ftx_journal_entry_fn entry,
                       void *ctx, uint64_t *out_last);

/* The next entry gets number `last` + 1; both halves are free and wiped. Once after open, when the
 * replayed entries (if any) are committed; before the first append. */
void ftx_journal_reset(struct ftx_journal *journal, uint64_t last);

/*
 * Adds an entry; *out_number is its number. The caller serialises append and swap. -EAGAIN: the
 * half is full, wait until the worker has released the other. -EMSGSIZE: no body, or more than
 * FTX_JOURNAL_ENTRY_MAX or a half can hold.
 */
int ftx_journal_append(struct ftx_journal *journal, const void *body, size_t size,
                       uint64_t *out_number);

/* The largest body for which append does not answer -EAGAIN now; FTX_JOURNAL_ENTRY_MAX holds
 * besides. Serialised with append and swap by the caller. */
size_t ftx_journal_room(const struct ftx_journal *journal);

/* True (and *out_batch) if there are entries and the other half is free: new entries go there from
 * now on. */
bool ftx_journal_swap(struct ftx_journal *journal, struct ftx_journal_batch *out_batch);

/* Walks a batch; worker thread, no lock. The callback's error, or FTX_ECORRUPT if something has
 * written over the entries. */
int ftx_journal_each(const struct ftx_journal_batch *batch, ftx_journal_entry_fn entry, void *ctx);

/* The batch is in the database: its half is free. Serialised with append and swap by the caller. */
void ftx_journal_release(struct ftx_journal *journal);

void ftx_journal_close(struct ftx_journal *journal);

#endif
