/* SPDX-License-Identifier: MIT */
/* Room and holes: fallocate in all its modes, SEEK_HOLE and SEEK_DATA, st_blocks, copy_file_range.
 */
#include "tests/fs/posix/posix.h"

#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { MIB = 1 << 20 };

/* The pattern of posix_sized, with zeros in [from, to). */
static char *pattern(size_t size, size_t from, size_t to)
{
    char *bytes = malloc(size);
    for (size_t i = 0; bytes && i < size; i++)
        bytes[i] = i >= from && i < to ? 0 : (char)posix_byte(i);
    return bytes;
}

/* Not every file system can do this; an outbox can. */
static void changes_range(int fd, int mode, off_t offset, off_t length)
{
    if (fallocate(fd, mode, offset, length) == 0)
        return;
    if (errno == EOPNOTSUPP && posix_kind == POSIX_LOCAL)
        posix_skip("not on this file system");
    SUCCEEDS(-1);
}

/* -- fallocate -- */

static void allocate_grows(void)
{
    int fd = posix_new("file");
    EQUAL(4, write(fd, "text", 4));
    SUCCEEDS(fallocate(fd, 0, 0, 10));
    HOLDS("file", "text\0\0\0\0\0\0", 10);
    SUCCEEDS(fallocate(fd, 0, 20, 10));
    EQUAL(30, posix_stat("file").st_size);
}

static void allocate_within_keeps_bytes_and_size(void)
{
    posix_sized("file", 100000);
    int fd = (int)SUCCEEDS(open("file", O_RDWR));
    SUCCEEDS(fallocate(fd, 0, 1000, 50000));
    HOLDS("file", pattern(100000, 0, 0), 100000);
}

static void allocate_keeps_the_size_if_asked(void)
{
    int fd = posix_new("file");
    EQUAL(4, write(fd, "text", 4));
    SUCCEEDS(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 100000));
    HOLDS("file", "text", 4);
    EQUAL(1, pwrite(fd, "!", 1, 4));
    HOLDS("file", "text!", 5);
}

static void allocated_room_is_counted(void)
{
    int fd = posix_new("file");
    SUCCEEDS(fallocate(fd, 0, 0, 4 * MIB));
    EQUAL(4 * MIB, posix_stat("file").st_size);
    TRUE(posix_stat("file").st_blocks >= 4 * MIB / 512);
}

static void posix_fallocate_is_quick(void)
{
    int fd = posix_new("file");
    EQUAL(0, posix_fallocate(fd, 0, 64 * MIB)); /* glibc writes zeros where fallocate is missing */
    EQUAL(64 * MIB, posix_stat("file").st_size);
    char bytes[10] = "xxxxxxxxx";
    EQUAL(10, pread(fd, bytes, 10, 63 * MIB));
    EQUAL(0, memcmp(bytes, "\0\0\0\0\0\0\0\0\0", 10));
    EQUAL(4, pwrite(fd, "text", 4, 32 * MIB));
    EQUAL(4, pread(fd, bytes, 4, 32 * MIB));
    EQUAL(0, memcmp(bytes, "text", 4));
}

static void allocate_refuses_bad_ranges(void)
{
    int fd = posix_new("file");
    FAILS(EINVAL, fallocate(fd, 0, -1, 10));
    FAILS(EINVAL, fallocate(fd, 0, 0, 0));
    FAILS(EINVAL, fallocate(fd, 0, 0, -1));
    FAILS(EFBIG, fallocate(fd, 0, INT64_MAX - 1, 10));
    FAILS(EBADF, fallocate(999, 0, 0, 10));
    EQUAL(0, posix_stat("file").st_size);
}

static void allocate_more_than_the_disk_is_enospc(void)
{
    if (posix_kind == POSIX_LOCAL)
        posix_skip("some fill the disk before they say so");
    int fd = posix_new("file");
    EQUAL(4, write(fd, "text", 4));
    TRUE(fallocate(fd, 0, 0, (off_t)1 << 42) == -1 && (errno == ENOSPC || errno == EFBIG));
    HOLDS("file", "text", 4);
    EQUAL(1, write(fd, "!", 1));
    HOLDS("file", "text!", 5);
}

static void allocate_in_a_removed_file(void)
{
    int fd = posix_new("file");
    SUCCEEDS(unlink("file"));
    SUCCEEDS(fallocate(fd, 0, 0, 10000));
    struct stat st;
    SUCCEEDS(fstat(fd, &st));
    EQUAL(10000, st.st_size);
}

static void allocate_then_truncate(void)
{
    int fd = posix_new("file");
    SUCCEEDS(fallocate(fd, 0, 0, 100000));
    SUCCEEDS(ftruncate(fd, 10));
    EQUAL(10, posix_stat("file").st_size);
    EQUAL(4, pwrite(fd, "text", 4, 0));
    HOLDS("file", "text\0\0\0\0\0\0", 10);
}

static void punched_range_reads_as_zeros(void)
{
    static const struct {
        off_t offset, length;
    } ranges[] = {{0, 4096}, {1, 1}, {4095, 2}, {5000, 100000}, {0, 300000}, {299999, 1}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        posix_sized("file", 300000);
        int fd = (int)SUCCEEDS(open("file", O_RDWR));
        off_t end = ranges[i].offset + ranges[i].length;
        changes_range(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, ranges[i].offset,
                      ranges[i].length);
        char *bytes = pattern(300000, (size_t)ranges[i].offset, (size_t)end);
        HOLDS("file", bytes, 300000);
        SUCCEEDS(close(fd));
        SUCCEEDS(unlink("file"));
        free(bytes);
    }
}

static void punched_pages_leave_the_cache(void)
{
    posix_sized("file", 20000);
    int fd = (int)SUCCEEDS(open("file", O_RDWR));
    char bytes[20000];
    EQUAL(20000, pread(fd, bytes, 20000, 0));
    changes_range(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 8192);
    EQUAL(20000, pread(fd, bytes, 20000, 0));
    EQUAL(0, memcmp(bytes, pattern(20000, 4096, 12288), 20000));
}

static void punch_behind_the_end_changes_nothing(void)
{
    posix_file("file", "text");
    int fd = (int)SUCCEEDS(open("file", O_RDWR));
    changes_range(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100, 1000);
    HOLDS("file", "text", 4);
    changes_range(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2, 1000000);
    HOLDS("file", "te\0\0", 4);
}

static void punch_gives_room_back(void)
{
    posix_sized("file", 4 * MIB);
    int fd = (int)SUCCEEDS(open("file", O_RDWR));
    SUCCEEDS(fsync(fd));
    blkcnt_t before = posix_stat("file").st_blocks;
    changes_range(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, MIB, 2 * MIB);
    EQUAL(4 * MIB, posix_stat("file").st_size);
    TRUE(posix_stat("file").st_blocks <= before - 2 * MIB / 512 + 64);
}

static void punch_changes_the_time(void)
{
    posix_file("file", "text");
    struct timespec old[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    SUCCEEDS(utimensat(AT_FDCWD, "file", old, 0));
    int fd = (int)SUCCEEDS(open("file", O_RDWR));
    changes_range(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 2);
    TRUE(posix_stat("file").st_mtim.tv_sec > 1);
}

static void punch_without_keep_size_is_refused(void)
{
    int fd = posix_new("file");
    FAILS(EOPNOTSUPP, fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 1));
}

static void punched_range_is_written_again(void)
{
    posix_sized("file", 100000);
    int fd = (int)SUCCEEDS(open("file", O_RDWR));
    changes_range(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 10000, 50000);
    char *bytes = pattern(100000, 10000, 60000);
    memcpy(bytes + 30000, "island", 6);
    EQUAL(6, pwrite(fd, "island", 6, 30000));
    HOLDS("file", bytes, 100000);
}

static void zero_range_zeroes(void)
{
    posix_sized("file", 300000);
    int fd = (int)SUCCEEDS(open("file", O_RDWR));
    changes_range(fd, FALLOC_FL_ZERO_RANGE, 5001, 100000);
    HOLDS("file", pattern(300000, 5001, 105001), 300000);
}

static void zero_range_grows(void)
{
    posix_file("file", "text");
    int fd = (int)SUCCEEDS(open("file", O_RDWR));
    changes_range(fd, FALLOC_FL_ZERO_RANGE, 2, 8);
    HOLDS("file", "te\0\0\0\0\0\0\0\0", 10);
    changes_range(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 0, 100);
    HOLDS("file", "\0\0\0\0\0\0\0\0\0\0", 10);
}

static void shifting_modes(void)
{
    posix_sized("file", 65536);
    int fd = (int)SUCCEEDS(open("file", O_RDWR));
    if (!posix_differs(POSIX_FALLOCATE_SHIFTS))
        posix_skip("not every local file system has them");
    FAILS(EOPNOTSUPP, fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096));
    FAILS(EOPNOTSUPP, fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, 4096));
    HOLDS("file", pattern(65536, 0, 0), 65536);
}

/* -- holes -- */

/* 4 MiB: data, a hole from 1 MiB to 3 MiB, data. */
static void make_sparse(void)
{
    int fd = (int)SUCCEEDS(open("file", O_WRONLY | O_CREAT, 0644));
    char *bytes = pattern(MIB, 0, 0);
    EQUAL(MIB, pwrite(fd, bytes, MIB, 0));
    EQUAL(MIB, pwrite(fd, bytes, MIB, 3 * MIB));
    SUCCEEDS(fsync(fd));
    SUCCEEDS(close(fd));
    free(bytes);
}

static void holes_are_found(void)
{
    make_sparse();
    int fd = (int)SUCCEEDS(open("file", O_RDONLY));
    EQUAL(0, lseek(fd, 0, SEEK_DATA));
    EQUAL(MIB, lseek(fd, 0, SEEK_HOLE));
    EQUAL(MIB, lseek(fd, MIB, SEEK_HOLE));
    EQUAL(3 * MIB, lseek(fd, MIB, SEEK_DATA));
    EQUAL(2 * MIB + 5, lseek(fd, 2 * MIB + 5, SEEK_HOLE));
    EQUAL(3 * MIB, lseek(fd, 2 * MIB + 5, SEEK_DATA));
    EQUAL(3 * MIB + 7, lseek(fd, 3 * MIB + 7, SEEK_DATA));
    EQUAL(4 * MIB, lseek(fd, 3 * MIB + 7, SEEK_HOLE));
}

static void holes_take_no_room(void)
{
    make_sparse();
    TRUE(posix_stat("file").st_blocks <= 2 * MIB / 512 + 64);
    EQUAL(4 * MIB, posix_stat("file").st_size);
}

static void hole_at_the_end_is_no_data(void)
{
    posix_file("file", "text");
    SUCCEEDS(truncate("file", 2 * MIB));
    int fd = (int)SUCCEEDS(open("file", O_RDONLY));
    FAILS(ENXIO, lseek(fd, MIB, SEEK_DATA));
    EQUAL(MIB, lseek(fd, MIB, SEEK_HOLE));
}

static void only_a_hole_is_no_data(void)
{
    SUCCEEDS(close(posix_new("file")));
    SUCCEEDS(truncate("file", MIB));
    int fd = (int)SUCCEEDS(open("file", O_RDONLY));
    FAILS(ENXIO, lseek(fd, 0, SEEK_DATA));
    EQUAL(0, lseek(fd, 0, SEEK_HOLE));
}

static void seeking_behind_the_end_is_enxio(void)
{
    posix_file("file", "text");
    int fd = (int)SUCCEEDS(open("file", O_RDONLY));
    EQUAL(0, lseek(fd, 0, SEEK_DATA));
    EQUAL(3, lseek(fd, 3, SEEK_DATA));
    EQUAL(4, lseek(fd, 0, SEEK_HOLE));
    FAILS(ENXIO, lseek(fd, 4, SEEK_DATA));
    FAILS(ENXIO, lseek(fd, 4, SEEK_HOLE));
    FAILS(ENXIO, lseek(fd, 1000, SEEK_HOLE));
    FAILS(ENXIO, lseek(fd, -1, SEEK_DATA));
}

static void seeking_in_an_empty_file_is_enxio(void)
{
    int fd = posix_new("file");
    FAILS(ENXIO, lseek(fd, 0, SEEK_DATA));
    FAILS(ENXIO, lseek(fd, 0, SEEK_HOLE));
}

static void holes_are_found_by_who_only_writes(void)
{
    int fd = (int)SUCCEEDS(open("file", O_WRONLY | O_CREAT, 0644));
    EQUAL(4, pwrite(fd, "text", 4, MIB));
    EQUAL(0, lseek(fd, 0, SEEK_HOLE));
    EQUAL(MIB, lseek(fd, 0, SEEK_DATA));
}

static void holes_of_who_reads_and_writes(void)
{
    int fd = posix_new("file");
    EQUAL(4, pwrite(fd, "text", 4, MIB));
    off_t data = lseek(fd, 0, SEEK_DATA);
    EQUAL(posix_differs(POSIX_HOLES_OF_WRITERS) ? 0 : MIB, data);
    SUCCEEDS(close(fd));
    fd = (int)SUCCEEDS(open("file", O_RDONLY));
    EQUAL(MIB, lseek(fd, 0, SEEK_DATA));
}

static void punched_hole_is_found(void)
{
    posix_sized("file", 3 * MIB);
    int fd = (int)SUCCEEDS(open("file", O_WRONLY));
    changes_range(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, MIB, MIB);
    SUCCEEDS(fsync(fd));
    SUCCEEDS(close(fd));
    fd = (int)SUCCEEDS(open("file", O_RDONLY));
    EQUAL(MIB, lseek(fd, 0, SEEK_HOLE));
    EQUAL(2 * MIB, lseek(fd, MIB, SEEK_DATA));
}

static void small_holes_are_counted_or_not(void)
{
    SUCCEEDS(close(posix_new("file")));
    SUCCEEDS(truncate("file", 100000));
    blkcnt_t blocks = posix_stat("file").st_blocks;
    TRUE(posix_differs(POSIX_SMALL_HOLES) ? blocks <= 196 : blocks < 16);
}

static void map_written_into_a_hole_is_data(void)
{
    int fd = posix_new("file");
    SUCCEEDS(ftruncate(fd, 2 * MIB));
    char *map = mmap(NULL, 2 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    TRUE(map != MAP_FAILED);
    map[MIB + 4096] = 'x'; /* not written back yet */
    int reader = (int)SUCCEEDS(open("file", O_RDONLY));
    TRUE(lseek(reader, 0, SEEK_DATA) <= MIB + 4096 && errno != ENXIO);
}

/* -- copying -- */

static ssize_t copy(int from, off_t at, int to, off_t where, size_t length)
{
    ssize_t done = 0;
    while ((size_t)done < length) {
        ssize_t n = copy_file_range(from, &at, to, &where, length - (size_t)done, 0);
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        done += n;
    }
    return done;
}

static void copy_range_between_files(void)
{
    posix_sized("from", 3 * MIB);
    int from = (int)SUCCEEDS(open("from", O_RDONLY)), to = posix_new("to");
    EQUAL(3 * MIB, copy(from, 0, to, 0, 3 * MIB));
    HOLDS("to", pattern(3 * MIB, 0, 0), 3 * MIB);
}

static void copy_range_into_the_middle(void)
{
    posix_sized("from", 100000);
    posix_sized("to", 100000);
    int from = (int)SUCCEEDS(open("from", O_RDONLY)), to = (int)SUCCEEDS(open("to", O_RDWR));
    EQUAL(20000, copy(from, 1000, to, 50001, 20000));
    char *bytes = pattern(100000, 0, 0);
    memmove(bytes + 50001, pattern(100000, 0, 0) + 1000, 20000);
    HOLDS("to", bytes, 100000);
}

static void copy_range_within_a_file(void)
{
    posix_sized("file", 100000);
    int fd = (int)SUCCEEDS(open("file", O_RDWR));
    EQUAL(30000, copy(fd, 0, fd, 60000, 30000));
    char *bytes = pattern(100000, 0, 0);
    memmove(bytes + 60000, bytes, 30000);
    HOLDS("file", bytes, 100000);
    off_t at = 0, where = 10;
    FAILS(EINVAL, copy_file_range(fd, &at, fd, &where, 100, 0));
}

static void copy_range_ends_at_the_end(void)
{
    posix_file("from", "text");
    int from = (int)SUCCEEDS(open("from", O_RDONLY)), to = posix_new("to");
    EQUAL(4, copy(from, 0, to, 0, 1000));
    EQUAL(0, copy(from, 4, to, 4, 1000));
    HOLDS("to", "text", 4);
}

static void copy_range_moves_offsets(void)
{
    posix_file("from", "0123456789");
    int from = (int)SUCCEEDS(open("from", O_RDONLY)), to = posix_new("to");
    EQUAL(4, copy_file_range(from, NULL, to, NULL, 4, 0));
    EQUAL(4, lseek(from, 0, SEEK_CUR));
    EQUAL(4, lseek(to, 0, SEEK_CUR));
    EQUAL(6, copy_file_range(from, NULL, to, NULL, 100, 0));
    HOLDS("to", "0123456789", 10);
}

static void copy_range_refuses(void)
{
    posix_file("from", "text");
    posix_file("to", "");
    int from = (int)SUCCEEDS(open("from", O_RDONLY)), to = (int)SUCCEEDS(open("to", O_WRONLY));
    int more = (int)SUCCEEDS(open("to", O_WRONLY | O_APPEND));
    int folder = (int)SUCCEEDS(open(".", O_RDONLY));
    FAILS(EBADF, copy_file_range(to, NULL, from, NULL, 4, 0));
    FAILS(EBADF, copy_file_range(from, NULL, more, NULL, 4, 0));
    FAILS(EISDIR, copy_file_range(folder, NULL, to, NULL, 4, 0));
    FAILS(EINVAL, copy_file_range(from, NULL, to, NULL, 4, 1));
}

static const struct posix_case cases[] = {
    POSIX_CASE(allocate_grows),
    POSIX_CASE(allocate_within_keeps_bytes_and_size),
    POSIX_CASE(allocate_keeps_the_size_if_asked),
    POSIX_CASE(allocated_room_is_counted),
    POSIX_CASE(posix_fallocate_is_quick),
    POSIX_CASE(allocate_refuses_bad_ranges),
    POSIX_CASE(allocate_more_than_the_disk_is_enospc),
    POSIX_CASE(allocate_in_a_removed_file),
    POSIX_CASE(allocate_then_truncate),
    POSIX_CASE(punched_range_reads_as_zeros),
    POSIX_CASE(punched_pages_leave_the_cache),
    POSIX_CASE(punch_behind_the_end_changes_nothing),
    POSIX_CASE(punch_gives_room_back),
    POSIX_CASE(punch_changes_the_time),
    POSIX_CASE(punch_without_keep_size_is_refused),
    POSIX_CASE(punched_range_is_written_again),
    POSIX_CASE(zero_range_zeroes),
    POSIX_CASE(zero_range_grows),
    POSIX_CASE(shifting_modes),
    POSIX_CASE(holes_are_found),
    POSIX_CASE(holes_take_no_room),
    POSIX_CASE(hole_at_the_end_is_no_data),
    POSIX_CASE(only_a_hole_is_no_data),
    POSIX_CASE(seeking_behind_the_end_is_enxio),
    POSIX_CASE(seeking_in_an_empty_file_is_enxio),
    POSIX_CASE(holes_are_found_by_who_only_writes),
    POSIX_CASE(holes_of_who_reads_and_writes),
    POSIX_CASE(punched_hole_is_found),
    POSIX_CASE(small_holes_are_counted_or_not),
    POSIX_CASE(map_written_into_a_hole_is_data),
    POSIX_CASE(copy_range_between_files),
    POSIX_CASE(copy_range_into_the_middle),
    POSIX_CASE(copy_range_within_a_file),
    POSIX_CASE(copy_range_ends_at_the_end),
    POSIX_CASE(copy_range_moves_offsets),
    POSIX_CASE(copy_range_refuses),
};

POSIX_THEME(space, cases, POSIX_WRITABLE);
