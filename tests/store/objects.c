/* SPDX-License-Identifier: MIT */
/* fs/store/objects on the build's filesystem, with the kernel's help and, by wrapped calls, without
 * it. */
#include "fs/store/objects.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "tests/store/support.h"

static bool kernel_helps = true;

int __real_fallocate64(int fd, int mode, off_t offset, off_t length);
int __wrap_fallocate64(int fd, int mode, off_t offset, off_t length);
ssize_t __real_copy_file_range(int from, off_t *from_at, int to, off_t *to_at, size_t n,
                               unsigned flags);
ssize_t __wrap_copy_file_range(int from, off_t *from_at, int to, off_t *to_at, size_t n,
                               unsigned flags);
off_t __real_lseek64(int fd, off_t offset, int whence);
off_t __wrap_lseek64(int fd, off_t offset, int whence);

static int unsupported(int err)
{
    errno = err;
    return -1;
}

int __wrap_fallocate64(int fd, int mode, off_t offset, off_t length)
{
    return kernel_helps ? __real_fallocate64(fd, mode, offset, length) : unsupported(EOPNOTSUPP);
}

ssize_t __wrap_copy_file_range(int from, off_t *from_at, int to, off_t *to_at, size_t n,
                               unsigned flags)
{
    return kernel_helps ? __real_copy_file_range(from, from_at, to, to_at, n, flags)
                        : unsupported(EXDEV);
}

off_t __wrap_lseek64(int fd, off_t offset, int whence)
{
    return kernel_helps ? __real_lseek64(fd, offset, whence) : unsupported(EINVAL);
}

struct fixture {
    struct scratch scratch;
    struct ftx_objects objects;
};

static int setup(void **state)
{
    static struct fixture fixture;
    kernel_helps = true;
    if (scratch_open(&fixture.scratch) < 0)
        return -1;
    *state = &fixture;
    return ftx_objects_open(&fixture.objects, fixture.scratch.fd);
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    kernel_helps = true;
    ftx_objects_close(&fixture->objects);
    return scratch_close(&fixture->scratch);
}

static int make(const struct fixture *fixture, uint64_t id)
{
    int fd = ftx_object_open(&fixture->objects, id, O_RDWR | O_CREAT | O_EXCL);
    assert_true(fd >= 0);
    return fd;
}

static uint64_t size_of(int fd)
{
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    return (uint64_t)st.st_size;
}

/* Without what the filesystem keeps in hand for a file that grows. */
static uint64_t bytes_of_data(int fd)
{
    uint64_t sum = 0;
    for (off_t hole = 0, data; (data = lseek(fd, hole, SEEK_DATA)) >= 0;
         sum += (uint64_t)(hole - data))
        hole = lseek(fd, data, SEEK_HOLE);
    return sum;
}

static uint64_t bytes_on_disk(int fd)
{
    struct stat st;
    assert_int_equal(fsync(fd), 0); /* blocks are counted once they are allocated */
    assert_int_equal(fstat(fd, &st), 0);
    return (uint64_t)st.st_blocks * 512;
}

static void stands_under_its_id(void **state)
{
    struct fixture *fixture = *state;
    struct stat st;
    close(make(fixture, UINT64_C(0xabcdef0123456789)));
    close(make(fixture, 1));
    assert_int_equal(fstatat(fixture->scratch.fd, "objects/ab/cdef0123456789", &st, 0), 0);
    assert_int_equal(st.st_mode, S_IFREG | 0600);
    assert_int_equal(fstatat(fixture->scratch.fd, "objects/00/00000000000001", &st, 0), 0);
    assert_int_equal(fstatat(fixture->scratch.fd, "objects/ab", &st, 0), 0);
    assert_int_equal(st.st_mode, S_IFDIR | 0700);
    assert_int_equal(ftx_object_open(&fixture->objects, 1, O_RDWR | O_CREAT | O_EXCL), -EEXIST);

    struct ftx_objects again;
    assert_int_equal(ftx_objects_open(&again, fixture->scratch.fd), 0);
    assert_int_equal(ftx_object_remove(&again, 1), 0);
    assert_int_equal(ftx_object_remove(&again, 1), 0);
    assert_int_equal(ftx_object_open(&again, 1, O_RDONLY), -ENOENT);
    assert_int_equal(ftx_objects_sync(&again), 0);
    ftx_objects_close(&again);
}

static void makes_a_folder_with_its_first_object(void **state)
{
    struct fixture *fixture = *state;
    struct stat st;
    assert_int_equal(ftx_object_open(&fixture->objects, 1, O_RDWR), -ENOENT);
    assert_int_equal(ftx_object_remove(&fixture->objects, 1), 0);
    assert_int_equal(ftx_object_room(&fixture->objects, 1), 0);
    assert_int_equal(fstatat(fixture->scratch.fd, "objects/00", &st, 0), -1);
    close(make(fixture, 1));
    assert_int_equal(fstatat(fixture->scratch.fd, "objects/00", &st, 0), 0);

    assert_int_equal(mkfifoat(fixture->objects.dir_fd, "02", 0600), 0);
    assert_int_equal(ftx_object_open(&fixture->objects, UINT64_C(2) << 56, O_RDWR | O_CREAT),
                     -ENOTDIR);
}

static void refuses_a_symlink(void **state)
{
    struct fixture *fixture = *state;
    close(make(fixture, 1));
    assert_int_equal(symlinkat("/etc/passwd", fixture->objects.dir_fd, "00/00000000000005"), 0);
    assert_int_equal(ftx_object_open(&fixture->objects, 5, O_RDONLY), -ELOOP);
    assert_int_equal(ftx_object_open(&fixture->objects, 5, O_RDWR | O_CREAT), -ELOOP);

    struct scratch other;
    struct ftx_objects objects;
    assert_int_equal(scratch_open(&other), 0);
    assert_int_equal(symlinkat(fixture->scratch.path, other.fd, "objects"), 0);
    int rc = ftx_objects_open(&objects, other.fd);
    assert_true(rc == -ELOOP || rc == -ENOTDIR);
    assert_int_equal(scratch_close(&other), 0);
}

static void reads_and_writes_whole_ranges(void **state)
{
    struct fixture *fixture = *state;
    char out[8] = {0};
    int fd = make(fixture, 2);
    assert_int_equal(ftx_object_write(fd, "abcdef", 6, 10), 0);
    assert_int_equal(ftx_object_read(fd, out, 8, 8), 0);
    assert_memory_equal(out, "\0\0abcdef", 8);
    assert_int_equal(ftx_object_read(fd, out, 8, 9), -ENODATA);
    assert_int_equal(ftx_object_read(fd, out, 1, 16), -ENODATA);
    assert_int_equal(ftx_object_read(fd, out, 0, 99), 0);
    assert_int_equal(ftx_object_read(fd, out, 1, INT64_MAX), -ENODATA);
    assert_int_equal(ftx_object_write(fd, "a", 1, INT64_MAX), -EFBIG);
    assert_int_equal(ftx_object_write(fd, "a", 1, UINT64_MAX), -EFBIG);
    close(fd);
}

static void punch_clears_and_keeps_the_size(void **state)
{
    struct fixture *fixture = *state;
    enum { SIZE = 256 << 10 };
    static char bytes[SIZE], expected[SIZE];
    for (int helps = 1; helps >= 0; helps--) {
        int fd = make(fixture, 10 + (uint64_t)helps);
        kernel_helps = helps;
        memset(bytes, 'x', SIZE);
        memset(expected, 'x', SIZE);
        assert_int_equal(ftx_object_write(fd, bytes, SIZE, 0), 0);
        assert_int_equal(ftx_object_punch(fd, 1000, 150000), 0);
        memset(expected + 1000, 0, 150000);
        assert_int_equal(ftx_object_punch(fd, SIZE - 10, 1 << 20), 0);
        memset(expected + SIZE - 10, 0, 10);
        assert_int_equal(ftx_object_punch(fd, SIZE + 5, UINT64_MAX), 0);
        assert_int_equal(ftx_object_punch(fd, UINT64_MAX, 5), 0);
        assert_int_equal(ftx_object_punch(fd, 5, 0), 0);
        assert_int_equal(ftx_object_read(fd, bytes, SIZE, 0), 0);
        assert_memory_equal(bytes, expected, SIZE);
        assert_int_equal(size_of(fd), SIZE);
        close(fd);
    }
}

static void punch_gives_blocks_back(void **state)
{
    struct fixture *fixture = *state;
    static char bytes[1 << 20];
    int fd = make(fixture, 20);
    memset(bytes, 'x', sizeof bytes);
    assert_int_equal(ftx_object_write(fd, bytes, sizeof bytes, 0), 0);
    uint64_t before = bytes_on_disk(fd);
    assert_int_equal(ftx_object_punch(fd, 0, 512 << 10), 0);
    assert_true(bytes_on_disk(fd) + (500 << 10) < before);
    close(fd);
}

/* Data at 0..100 and 8 MiB..8 MiB + 100, holes elsewhere, over a destination full of other bytes.
 */
static void copy_is_exact_and_sparse(void **state)
{
    struct fixture *fixture = *state;
    enum { FAR = 8 << 20, SIZE = 12 << 20 };
    static char found[SIZE], expected[SIZE];
    int from = make(fixture, 30);
    assert_int_equal(ftx_object_write(from, "near", 4, 50), 0);
    assert_int_equal(ftx_object_write(from, "far", 3, FAR), 0);
    assert_int_equal(ftruncate(from, SIZE), 0);
    for (int helps = 1; helps >= 0; helps--) {
        int to = make(fixture, 40 + (uint64_t)helps);
        memset(expected, 'x', SIZE / 2);
        memset(expected + SIZE / 2, 0, SIZE / 2);
        assert_int_equal(ftx_object_write(to, expected, SIZE / 2, 0), 0);
        kernel_helps = helps;
        assert_int_equal(ftx_object_copy(from, to, 10, SIZE - 10), 0);
        kernel_helps = true;
        memset(expected + 10, 0, SIZE / 2 - 10);
        memcpy(expected + 50, "near", 4);
        memcpy(expected + FAR, "far", 3);
        assert_int_equal(size_of(to), SIZE);
        assert_int_equal(ftx_object_read(to, found, SIZE, 0), 0);
        assert_memory_equal(found, expected, SIZE);
        if (helps)
            assert_true(bytes_of_data(to) < 1 << 20);
        close(to);
    }
    close(from);
}

static void copy_takes_only_what_is_there(void **state)
{
    struct fixture *fixture = *state;
    int from = make(fixture, 50), to = make(fixture, 51);
    assert_int_equal(ftx_object_write(from, "0123456789", 10, 0), 0);
    assert_int_equal(ftx_object_copy(from, to, 4, 7), -ENODATA);
    assert_int_equal(ftx_object_copy(from, to, UINT64_MAX, 1), -ENODATA);
    assert_int_equal(ftx_object_copy(from, to, 10, 0), 0);
    assert_int_equal(size_of(to), 0);
    char out[6];
    assert_int_equal(ftx_object_copy(from, to, 4, 6), 0);
    assert_int_equal(ftx_object_read(to, out, 6, 4), 0);
    assert_memory_equal(out, "456789", 6);
    close(from);
    close(to);
}

static void copy_agrees_with_memory(void **state)
{
    struct fixture *fixture = *state;
    enum { SIZE = 400000 };
    static char source[SIZE], target[SIZE], found[SIZE];
    uint64_t first = first_seed(), seed = first;
    for (int round = 0; round < 40; round++) {
        int from = make(fixture, 100), to = make(fixture, 101);
        memset(source, 0, SIZE);
        for (int i = 0; i < 4; i++) {
            uint64_t offset = below(&seed, SIZE), length = below(&seed, SIZE - offset) / 4;
            memset(source + offset, 'a' + i, length);
            assert_int_equal(ftx_object_write(from, source + offset, length, offset), 0);
        }
        assert_int_equal(ftruncate(from, SIZE), 0);
        memset(target, 'z', SIZE);
        assert_int_equal(ftx_object_write(to, target, SIZE, 0), 0);
        kernel_helps = below(&seed, 2) != 0;
        uint64_t offset = below(&seed, SIZE), length = below(&seed, SIZE - offset + 1);
        assert_true_seed(first, ftx_object_copy(from, to, offset, length) == 0);
        kernel_helps = true;
        memcpy(target + offset, source + offset, length);
        assert_int_equal(ftx_object_read(to, found, SIZE, 0), 0);
        assert_true_seed(first, memcmp(found, target, SIZE) == 0);
        close(from);
        close(to);
        assert_int_equal(ftx_object_remove(&fixture->objects, 100), 0);
        assert_int_equal(ftx_object_remove(&fixture->objects, 101), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(stands_under_its_id, setup, teardown),
        cmocka_unit_test_setup_teardown(makes_a_folder_with_its_first_object, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_a_symlink, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_and_writes_whole_ranges, setup, teardown),
        cmocka_unit_test_setup_teardown(punch_clears_and_keeps_the_size, setup, teardown),
        cmocka_unit_test_setup_teardown(punch_gives_blocks_back, setup, teardown),
        cmocka_unit_test_setup_teardown(copy_is_exact_and_sparse, setup, teardown),
        cmocka_unit_test_setup_teardown(copy_takes_only_what_is_there, setup, teardown),
        cmocka_unit_test_setup_teardown(copy_agrees_with_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
