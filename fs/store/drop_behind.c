/* SPDX-License-Identifier: MIT */
/* Chunk by chunk: advised once, which starts to write it out, and again when it is clean, which
 * frees it. */
#include "fs/store/drop_behind.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

void ftx_drop_behind_init(struct ftx_drop_behind *behind)
{
    *behind = (struct ftx_drop_behind){.next = 0};
    pthread_mutex_init(&behind->lock, NULL);
}

void ftx_drop_behind_close(struct ftx_drop_behind *behind)
{
    pthread_mutex_destroy(&behind->lock);
}

/* Dirty pages are not dropped by this, only written. */
static void advise(int fd, uint64_t offset)
{
    (void)posix_fadvise(fd, (off_t)offset, FTX_DROP_CHUNK, POSIX_FADV_DONTNEED);
}

/* Puts a chunk into the ring; returns the one that leaves it. */
static struct ftx_drop_chunk exchange(struct ftx_drop_behind *behind, struct ftx_drop_chunk chunk)
{
    pthread_mutex_lock(&behind->lock);
    struct ftx_drop_chunk *place = &behind->chunks[behind->next++ % FTX_DROP_CHUNKS];
    struct ftx_drop_chunk old = *place;
    *place = chunk;
    pthread_mutex_unlock(&behind->lock);
    return old;
}

void ftx_drop_behind(struct ftx_drop_behind *behind, const struct ftx_objects *objects,
                     uint64_t object, int fd, uint64_t end)
{
    if (end == 0 || end % FTX_DROP_CHUNK != 0)
        return;
    uint64_t offset = end - FTX_DROP_CHUNK;
    advise(fd, offset);
    struct ftx_drop_chunk old =
        exchange(behind, (struct ftx_drop_chunk){.object = object, .offset = offset});
    int old_fd = old.object ? ftx_object_open(objects, old.object, O_RDONLY) : -ENOENT;
    if (old_fd < 0)
        return; /* removed meanwhile, and its pages with it */
    advise(old_fd, old.offset);
    close(old_fd);
}
