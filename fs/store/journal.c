/* SPDX-License-Identifier: MIT */
/*
 * The append log: two halves of one mapped file. Nothing in the file says where a log ends or which
 * half is older: an entry counts if its checksum holds and its number is the next one. What an
 * earlier, longer use of a half left behind carries lower numbers and is passed over; a torn or
 * damaged entry ends the walk.
 */
#include "fs/store/journal.h"
#include "transport/base/err.h"
#include "transport/base/hash.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PAGE = 4096,
    HEAD_SIZE = 16,           /* size, zero, number */
    OVERHEAD = HEAD_SIZE + 8, /* and the checksum */
    BODY_ALIGN = 8,
};

struct ftx_journal {
    uint8_t *map; /* both halves */
    size_t half_size;
    size_t used;     /* of the half that takes entries */
    unsigned active; /* 0 or 1: that half */
    bool moving;     /* the other half is a batch */
    uint64_t next;   /* number; 0 until reset */
};

struct entry {
    const uint8_t *body;
    size_t size;
    size_t total; /* with head, padding and checksum */
    uint64_t number;
};

static size_t entry_total(size_t body_size)
{
    return OVERHEAD + (body_size + BODY_ALIGN - 1) / BODY_ALIGN * BODY_ALIGN;
}

static uint64_t load_u64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return le64toh(value);
}

static void store_u64(uint8_t *at, uint64_t value)
{
    value = htole64(value);
    memcpy(at, &value, sizeof value);
}

/* The intact entry that begins at `offset`, or false. */
static bool entry_at(const uint8_t *half, size_t half_size, size_t offset, struct entry *out_entry)
{
    const uint8_t *at = half + offset;
    size_t left = half_size - offset;
    if (left < OVERHEAD)
        return false;
    uint64_t size = load_u64(at); /* its upper half is the zero */
    if (size == 0 || size > FTX_JOURNAL_ENTRY_MAX || entry_total((size_t)size) > left)
        return false;
    size_t total = entry_total((size_t)size);
    if (XXH3_64bits(at, total - 8) != load_u64(at + total - 8))
        return false;
    *out_entry = (struct entry){
        .body = at + HEAD_SIZE, .size = (size_t)size, .total = total, .number = load_u64(at + 8)};
    return true;
}

static void put_entry(uint8_t *at, uint64_t number, const void *body, size_t size)
{
    size_t total = entry_total(size);
    store_u64(at, size);
    store_u64(at + 8, number);
    memset(at + total - 16, 0, 8); /* the padding; the body covers the rest */
    memcpy(at + HEAD_SIZE, body, size);
    store_u64(at + total - 8, XXH3_64bits(at, total - 8));
}

/* Gives every block of the file its place on the disk, keeping what is in it. */
static int allocate(int fd, size_t size)
{
    int rc;
    do
        rc = fallocate(fd, 0, 0, (off_t)size);
    while (rc < 0 && errno == EINTR);
    if (rc == 0)
        return 0;
    if (errno != EOPNOTSUPP && errno != ENOSYS)
        return -errno;
    for (size_t offset = 0; offset < size; offset += PAGE) {
        char page[PAGE] = {0};
        if (pread(fd, page, PAGE, (off_t)offset) < 0)
            return -errno;
        ssize_t n = pwrite(fd, page, PAGE, (off_t)offset);
        if (n != PAGE)
            return n < 0 ? -errno : -ENOSPC;
    }
    return 0;
}

/* Makes a file of zeros under a name of its own first: one that was killed half made is never found
 * under `name`. Returns the descriptor. */
static int make_file(int dir_fd, const char *name, size_t size)
{
    char draft[NAME_MAX + 1];
    int n = snprintf(draft, sizeof draft, "%s.new", name);
    if (n < 0 || (size_t)n >= sizeof draft)
        return -ENAMETOOLONG;
    int fd = openat(dir_fd, draft, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int flags = FS_NOCOW_FL; /* btrfs would give each changed page a new block, which a full disk
                                has not; others do not know the flag */
    (void)ioctl(fd, FS_IOC_SETFLAGS, &flags);
    int rc = allocate(fd, size);
    if (rc == 0 && renameat(dir_fd, draft, dir_fd, name) < 0)
        rc = -errno;
    if (rc < 0) {
        close(fd);
        unlinkat(dir_fd, draft, 0);
        return rc;
    }
    return fd;
}

/*
 * Opens the file that is there. One of another even length was made with other halves and keeps
 * them; one of an odd length is damaged and gets the length that it should have.
 */
static int adopt_file(int dir_fd, const char *name, size_t *in_out_half_size)
{
    struct stat st;
    int fd = openat(dir_fd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    size_t half_size = *in_out_half_size;
    int rc = fstat(fd, &st) < 0 ? -errno : 0;
    if (rc == 0 && st.st_size > 0 && st.st_size % (2 * PAGE) == 0)
        half_size = (size_t)st.st_size / 2;
    else if (rc == 0 && ftruncate(fd, (off_t)(2 * half_size)) < 0)
        rc = -errno;
    if (rc == 0)
        rc = allocate(fd, 2 * half_size); /* a copy of a store may have come back with holes */
    if (rc < 0) {
        close(fd);
        return rc;
    }
    *in_out_half_size = half_size;
    return fd;
}

int ftx_journal_open(int dir_fd, const char *name, size_t half_size,
                     struct ftx_journal **out_journal)
{
    assert(half_size > 0 && half_size % PAGE == 0);
    struct ftx_journal *journal = calloc(1, sizeof *journal);
    if (!journal)
        return -ENOMEM;
    int fd = adopt_file(dir_fd, name, &half_size);
    if (fd == -ENOENT)
        fd = make_file(dir_fd, name, 2 * half_size);
    if (fd < 0) {
        free(journal);
        return fd;
    }
    void *map = mmap(NULL, 2 * half_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    int rc = map == MAP_FAILED ? -errno : 0;
    close(fd);
    if (rc < 0) {
        free(journal);
        return rc;
    }
    journal->map = map;
    journal->half_size = half_size;
    *out_journal = journal;
    return 0;
}

void ftx_journal_close(struct ftx_journal *journal)
{
    if (!journal)
        return;
    munmap(journal->map, 2 * journal->half_size);
    free(journal);
}

static uint8_t *half_bytes(const struct ftx_journal *journal, unsigned half)
{
    return journal->map + half * journal->half_size;
}

/* 0 if the half does not begin with an intact entry. */
static uint64_t first_number(const struct ftx_journal *journal, unsigned half)
{
    struct entry entry;
    return entry_at(half_bytes(journal, half), journal->half_size, 0, &entry) ? entry.number : 0;
}

/* Calls `fn` for the entries of one half that follow *in_out_last without a gap. */
static int replay_half(const struct ftx_journal *journal, unsigned half, uint64_t *in_out_last,
                       ftx_journal_entry_fn fn, void *ctx)
{
    struct entry entry;
    for (size_t offset = 0; entry_at(half_bytes(journal, half), journal->half_size, offset, &entry);
         offset += entry.total) {
        if (entry.number <= *in_out_last)
            continue; /* in the database, or left over from an earlier use */
        if (entry.number != *in_out_last + 1)
            return 0; /* a gap */
        int rc = fn(ctx, entry.number, entry.body, entry.size);
        if (rc < 0)
            return rc;
        *in_out_last = entry.number;
    }
    return 0;
}

int ftx_journal_replay(struct ftx_journal *journal, uint64_t applied, ftx_journal_entry_fn entry,
                       void *ctx, uint64_t *out_last)
{
    uint64_t last = applied;
    unsigned older = first_number(journal, 0) <= first_number(journal, 1) ? 0 : 1;
    int rc = replay_half(journal, older, &last, entry, ctx);
    if (rc == 0)
        rc = replay_half(journal, !older, &last, entry, ctx);
    if (rc == 0)
        *out_last = last;
    return rc;
}

/*
 * Behind a damaged entry there may be intact ones that were never replayed. Their numbers are given
 * out again now, and an entry of the new log could end exactly where one of them begins: they must
 * be gone, also after a power cut.
 */
static void wipe(struct ftx_journal *journal)
{
    static const uint8_t zeros[PAGE];
    size_t size = 2 * journal->half_size;
    for (size_t offset = 0; offset < size; offset += PAGE)
        if (memcmp(journal->map + offset, zeros, PAGE) != 0)
            memset(journal->map + offset, 0, PAGE);
    (void)msync(journal->map, size, MS_SYNC);
}

void ftx_journal_reset(struct ftx_journal *journal, uint64_t last)
{
    wipe(journal);
    journal->used = 0;
    journal->active = 0;
    journal->moving = false;
    journal->next = last + 1;
}

int ftx_journal_append(struct ftx_journal *journal, const void *body, size_t size,
                       uint64_t *out_number)
{
    assert(journal->next > 0);
    if (size == 0 || size > FTX_JOURNAL_ENTRY_MAX || entry_total(size) > journal->half_size)
        return -EMSGSIZE;
    if (entry_total(size) > journal->half_size - journal->used)
        return -EAGAIN;
    put_entry(half_bytes(journal, journal->active) + journal->used, journal->next, body, size);
    journal->used += entry_total(size);
    *out_number = journal->next++;
    return 0;
}

size_t ftx_journal_room(const struct ftx_journal *journal)
{
    size_t left = journal->half_size - journal->used;
    return left < OVERHEAD ? 0 : (left - OVERHEAD) / BODY_ALIGN * BODY_ALIGN;
}

bool ftx_journal_swap(struct ftx_journal *journal, struct ftx_journal_batch *out_batch)
{
    if (journal->moving || journal->used == 0)
        return false;
    *out_batch = (struct ftx_journal_batch){.bytes = half_bytes(journal, journal->active),
                                            .size = journal->used,
                                            .last = journal->next - 1};
    journal->active = !journal->active;
    journal->used = 0;
    journal->moving = true;
    return true;
}

int ftx_journal_each(const struct ftx_journal_batch *batch, ftx_journal_entry_fn entry, void *ctx)
{
    struct entry found;
    for (size_t offset = 0; offset < batch->size; offset += found.total) {
        if (!entry_at(batch->bytes, batch->size, offset, &found))
            return FTX_ECORRUPT;
        int rc = entry(ctx, found.number, found.body, found.size);
        if (rc < 0)
            return rc;
    }
    return 0;
}

void ftx_journal_release(struct ftx_journal *journal)
{
    assert(journal->moving);
    journal->moving = false;
}
