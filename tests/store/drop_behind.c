/* SPDX-License-Identifier: MIT */
/* fs/store/drop_behind: which chunks are advised when, and that pages go (on the build's filesystem, if it has a cache). */
#include "fs/store/drop_behind.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <cmocka.h>

#include <linux/magic.h>

#include "tests/store/support.h"

enum { CHUNK = FTX_DROP_CHUNK, PAGE = 4096, ADVICES = 4 * FTX_DROP_CHUNKS };

static struct {
    ino_t inode;
    uint64_t offset;
} advices[ADVICES];
static size_t n_advices;

int __real_posix_fadvise64(int fd, off_t offset, off_t length, int advice);
int __wrap_posix_fadvise64(int fd, off_t offset, off_t length, int advice);

int __wrap_posix_fadvise64(int fd, off_t offset, off_t length, int advice)
{
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(length, CHUNK);
    assert_int_equal(advice, POSIX_FADV_DONTNEED);
    assert_true(n_advices < ADVICES);
    advices[n_advices].inode = st.st_ino;
    advices[n_advices++].offset = (uint64_t)offset;
    return __real_posix_fadvise64(fd, offset, length, advice);
}

struct fixture {
    struct scratch scratch;
    struct ftx_objects objects;
    struct ftx_drop_behind behind;
};

static int setup(void **state)
{
    static struct fixture fixture;
    n_advices = 0;
    if (scratch_open(&fixture.scratch) < 0)
        return -1;
    *state = &fixture;
    ftx_drop_behind_init(&fixture.behind);
    return ftx_objects_open(&fixture.objects, fixture.scratch.fd);
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    ftx_drop_behind_close(&fixture->behind);
    ftx_objects_close(&fixture->objects);
    return scratch_close(&fixture->scratch);
}

static ino_t read_up_to(struct fixture *fixture, uint64_t object, uint64_t end)
{
    struct stat st;
    int fd = ftx_object_open(&fixture->objects, object, O_RDWR | O_CREAT);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    ftx_drop_behind(&fixture->behind, &fixture->objects, object, fd, end);
    close(fd);
    return st.st_ino;
}

static void only_whole_chunks_count(void **state)
{
    read_up_to(*state, 1, 0);
    read_up_to(*state, 1, 1);
    read_up_to(*state, 1, CHUNK - 1);
    read_up_to(*state, 1, CHUNK + (CHUNK >> 3));
    assert_int_equal(n_advices, 0);
}

static void each_is_advised_again_when_as_many_came_later(void **state)
{
    ino_t first = read_up_to(*state, 1, CHUNK), other = 0;
    for (uint64_t i = 1; i < FTX_DROP_CHUNKS; i++)
        other = read_up_to(*state, 2, i * CHUNK);
    assert_int_equal(n_advices, FTX_DROP_CHUNKS);
    read_up_to(*state, 2, (uint64_t)FTX_DROP_CHUNKS * CHUNK);
    assert_int_equal(n_advices, FTX_DROP_CHUNKS + 2);
    assert_int_equal(advices[FTX_DROP_CHUNKS].inode, other);
    assert_int_equal(advices[FTX_DROP_CHUNKS + 1].inode, first);
    assert_int_equal(advices[FTX_DROP_CHUNKS + 1].offset, 0);
}

static void an_object_may_be_gone_by_then(void **state)
{
    struct fixture *fixture = *state;
    read_up_to(fixture, 1, CHUNK);
    assert_int_equal(ftx_object_remove(&fixture->objects, 1), 0);
    for (uint64_t i = 1; i <= FTX_DROP_CHUNKS; i++)
        read_up_to(fixture, 2, i * CHUNK);
    assert_int_equal(n_advices, FTX_DROP_CHUNKS + 1);
}

static size_t cached_pages(int fd)
{
    static unsigned char present[CHUNK / PAGE];
    void *map = mmap(NULL, CHUNK, PROT_READ, MAP_SHARED, fd, 0);
    assert_true(map != MAP_FAILED);
    assert_int_equal(mincore(map, CHUNK, present), 0);
    size_t n = 0;
    for (size_t i = 0; i < CHUNK / PAGE; i++)
        n += present[i] & 1;
    munmap(map, CHUNK);
    return n;
}

static void clean_pages_go_and_bytes_stay(void **state)
{
    struct fixture *fixture = *state;
    struct statfs filesystem;
    assert_int_equal(fstatfs(fixture->scratch.fd, &filesystem), 0);
    if (filesystem.f_type == TMPFS_MAGIC)
        skip(); /* the cache is the file */
    int fd = ftx_object_open(&fixture->objects, 1, O_RDWR | O_CREAT);
    char *bytes = malloc(CHUNK), *found = malloc(CHUNK);
    assert_true(fd >= 0 && bytes && found);
    memset(bytes, 'x', CHUNK);
    assert_int_equal(ftx_object_write(fd, bytes, CHUNK, 0), 0);
    assert_int_equal(fsync(fd), 0);
    assert_int_equal(cached_pages(fd), CHUNK / PAGE);
    ftx_drop_behind(&fixture->behind, &fixture->objects, 1, fd, CHUNK);
    assert_int_equal(cached_pages(fd), 0);
    assert_int_equal(ftx_object_read(fd, found, CHUNK, 0), 0);
    assert_memory_equal(found, bytes, CHUNK);
    free(bytes);
    free(found);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_whole_chunks_count, setup, teardown),
        cmocka_unit_test_setup_teardown(each_is_advised_again_when_as_many_came_later, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_object_may_be_gone_by_then, setup, teardown),
        cmocka_unit_test_setup_teardown(clean_pages_go_and_bytes_stay, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
