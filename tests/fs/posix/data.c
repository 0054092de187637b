/* SPDX-License-Identifier: MIT */
/* Bytes: reading, writing, seeking, truncating. */
#include "tests/fs/posix/posix.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

enum { MIB = 1 << 20 };

static char *pattern(size_t size)
{
    char *bytes = malloc(size);
    for (size_t i = 0; bytes && i < size; i++)
        bytes[i] = (char)posix_byte(i);
    return bytes;
}

static void read_gives_what_was_written(void)
{
    static const size_t sizes[] = {1, 2, 4095, 4096, 4097, 131072, 131073, MIB, MIB + 1};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *bytes = pattern(sizes[i]);
        posix_sized("file", sizes[i]);
        HOLDS("file", bytes, sizes[i]);
        SUCCEEDS(unlink("file"));
        free(bytes);
    }
}

static void read_ends_at_the_end(void)
{
    posix_file("file", "12345");
    int fd = (int)SUCCEEDS(open("file", O_RDONLY));
    char text[100];
    EQUAL(5, read(fd, text, sizeof text));
    EQUAL(0, read(fd, text, sizeof text));
    EQUAL(2, pread(fd, text, sizeof text, 3));
    EQUAL(0, pread(fd, text, sizeof text, 5));
    EQUAL(0, pread(fd, text, sizeof text, 1000000));
    EQUAL(0, pread(fd, text, 0, 0));
}

static void bad_offsets_are_einval(void)
{
    int fd = posix_new("file");
    char byte = 0;
    FAILS(EINVAL, pread(fd, &byte, 1, -1));
    FAILS(EINVAL, pwrite(fd, &byte, 1, -1));
    FAILS(EINVAL, lseek(fd, -1, SEEK_SET));
    FAILS(EINVAL, lseek(fd, 0, 99));
}

static void bad_buffers_are_efault(void)
{
    posix_file("file", "text");
    int fd = (int)SUCCEEDS(open("file", O_RDWR));
    char *volatile nowhere = (char *)(uintptr_t)16;
    char *bad = nowhere;
    FAILS(EFAULT, read(fd, bad, 4));
    FAILS(EFAULT, write(fd, bad, 4));
    HOLDS("file", "text", 4);
}

static void bad_handles_are_ebadf(void)
{
    char byte = 0;
    FAILS(EBADF, read(999, &byte, 1));
    FAILS(EBADF, write(999, &byte, 1));
    FAILS(EBADF, lseek(999, 0, SEEK_SET));
    FAILS(EBADF, ftruncate(999, 0));
    FAILS(EBADF, fsync(999));
    FAILS(EBADF, close(999));
}

static void write_moves_the_offset_and_pwrite_does_not(void)
{
    int fd = posix_new("file");
    EQUAL(4, write(fd, "text", 4));
    EQUAL(4, lseek(fd, 0, SEEK_CUR));
    EQUAL(2, pwrite(fd, "XX", 2, 10));
    EQUAL(4, lseek(fd, 0, SEEK_CUR));
    HOLDS("file", "text\0\0\0\0\0\0XX", 12);
}

static void write_of_nothing_changes_nothing(void)
{
    posix_file("file", "text");
    struct timespec old[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    SUCCEEDS(utimensat(AT_FDCWD, "file", old, 0));
    int fd = (int)SUCCEEDS(open("file", O_WRONLY));
    EQUAL(0, write(fd, "", 0));
    EQUAL(0, pwrite(fd, "", 0, 100));
    EQUAL(4, posix_stat("file").st_size);
    EQUAL(1, posix_stat("file").st_mtim.tv_sec);
}

static void write_behind_the_end_leaves_zeros(void)
{
    int fd = posix_new("file");
    EQUAL(1, pwrite(fd, "x", 1, 3 * MIB));
    EQUAL(3 * MIB + 1, posix_stat("file").st_size);
    char *zeros = calloc(1, 3 * MIB + 1);
    zeros[3 * MIB] = 'x';
    HOLDS("file", zeros, 3 * MIB + 1);
}

static void writes_backwards(void)
{
    enum { PIECE = 70001, N = 20 };
    char *bytes = pattern(N * PIECE);
    int fd = posix_new("file");
    for (int i = N - 1; i >= 0; i--)
        EQUAL(PIECE, pwrite(fd, bytes + i * PIECE, PIECE, i * PIECE));
    HOLDS("file", bytes, N * PIECE);
}

static void overlapping_writes_end_as_the_last(void)
{
    enum { SIZE = 2 * MIB };
    char *bytes = pattern(SIZE);
    int fd = posix_new("file");
    EQUAL(SIZE, write(fd, bytes, SIZE));
    for (size_t at = 1000, n = 99991; at + n < SIZE; at += 65537) {
        memset(bytes + at, (int)(at & 0x7f), n);
        EQUAL(n, pwrite(fd, bytes + at, n, (off_t)at));
    }
    HOLDS("file", bytes, SIZE);
}

static void single_bytes_in_every_block(void)
{
    enum { SIZE = 300000 };
    char *bytes = pattern(SIZE);
    posix_sized("file", SIZE);
    int fd = (int)SUCCEEDS(open("file", O_WRONLY));
    for (int at = 4095; at < SIZE; at += 4096) {
        bytes[at] = '!';
        EQUAL(1, pwrite(fd, "!", 1, at));
    }
    HOLDS("file", bytes, SIZE);
}

static void two_handles_see_each_other(void)
{
    int one = posix_new("file"), two = (int)SUCCEEDS(open("file", O_RDWR));
    char text[8];
    EQUAL(4, write(one, "one.", 4));
    EQUAL(4, pread(two, text, 8, 0));
    EQUAL(0, memcmp(text, "one.", 4));
    EQUAL(4, pwrite(two, "two.", 4, 2));
    EQUAL(6, pread(one, text, 8, 0));
    EQUAL(0, memcmp(text, "ontwo.", 6));
}

static void reader_sees_what_a_writer_writes(void)
{
    int writer = (int)SUCCEEDS(open("file", O_WRONLY | O_CREAT, 0644));
    int reader = (int)SUCCEEDS(open("file", O_RDONLY));
    char byte;
    for (int i = 0; i < 50; i++) {
        char value = (char)('a' + i % 26);
        EQUAL(1, pwrite(writer, &value, 1, 0));
        EQUAL(1, pread(reader, &byte, 1, 0));
        EQUAL(value, byte);
    }
}

static void writer_comes_after_a_reader(void)
{
    posix_file("file", "old");
    int reader = (int)SUCCEEDS(open("file", O_RDONLY));
    char text[4];
    EQUAL(3, pread(reader, text, 4, 0));
    int writer = (int)SUCCEEDS(open("file", O_WRONLY));
    EQUAL(3, write(writer, "new", 3));
    EQUAL(3, pread(reader, text, 4, 0));
    EQUAL(0, memcmp(text, "new", 3));
}

static int overwrite(void)
{
    int fd = open("file", O_WRONLY);
    return pwrite(fd, "child", 5, 0) == 5 && close(fd) == 0 ? 0 : 1;
}

static void another_process_is_seen(void)
{
    posix_file("file", "before");
    int fd = (int)SUCCEEDS(open("file", O_RDONLY));
    char text[6];
    EQUAL(6, pread(fd, text, 6, 0));
    EQUAL(0, posix_in_child(overwrite));
    EQUAL(6, pread(fd, text, 6, 0));
    EQUAL(0, memcmp(text, "childe", 6));
}

static void vectors(void)
{
    int fd = posix_new("file");
    char one[3], two[4];
    struct iovec out[2] = {{(void *)(uintptr_t) "abc", 3}, {(void *)(uintptr_t) "defg", 4}};
    struct iovec in[2] = {{one, 3}, {two, 4}};
    EQUAL(7, writev(fd, out, 2));
    EQUAL(7, pwritev(fd, out, 2, 7));
    EQUAL(7, preadv(fd, in, 2, 7));
    EQUAL(0, memcmp(two, "defg", 4));
    HOLDS("file", "abcdefgabcdefg", 14);
    EQUAL(3, pwritev2(fd, out, 1, 0, RWF_APPEND));
    EQUAL(17, posix_stat("file").st_size);
}

static void shared_offset_of_duplicates(void)
{
    int one = posix_new("file"), two = (int)SUCCEEDS(dup(one));
    EQUAL(2, write(one, "ab", 2));
    EQUAL(2, write(two, "cd", 2));
    HOLDS("file", "abcd", 4);
    SUCCEEDS(close(one));
    EQUAL(2, write(two, "ef", 2));
    SUCCEEDS(close(two));
    HOLDS("file", "abcdef", 6);
}

static void sendfile_copies(void)
{
    char *bytes = pattern(200000);
    posix_sized("from", 200000);
    int from = (int)SUCCEEDS(open("from", O_RDONLY)), to = posix_new("to");
    for (ssize_t done = 0; done < 200000;) {
        ssize_t n = SUCCEEDS(sendfile(to, from, NULL, (size_t)(200000 - done)));
        TRUE(n > 0);
        done += n;
    }
    HOLDS("to", bytes, 200000);
}

static void splice_to_and_from_a_pipe(void)
{
    posix_sized("from", 50000);
    int from = (int)SUCCEEDS(open("from", O_RDONLY)), to = posix_new("to"), ends[2];
    SUCCEEDS(pipe(ends));
    for (ssize_t done = 0; done < 50000;) {
        ssize_t n = SUCCEEDS(splice(from, NULL, ends[1], NULL, 10000, 0));
        for (ssize_t left = n; left > 0;)
            left -= SUCCEEDS(splice(ends[0], NULL, to, NULL, (size_t)left, 0));
        done += n;
    }
    HOLDS("to", pattern(50000), 50000);
}

/* -- seeking -- */

static void seeks(void)
{
    int fd = posix_new("file");
    EQUAL(10, write(fd, "0123456789", 10));
    EQUAL(3, lseek(fd, 3, SEEK_SET));
    EQUAL(5, lseek(fd, 2, SEEK_CUR));
    EQUAL(8, lseek(fd, -2, SEEK_END));
    EQUAL(1000, lseek(fd, 990, SEEK_END));
    EQUAL(10, posix_stat("file").st_size);
    FAILS(EINVAL, lseek(fd, -11, SEEK_END));
    EQUAL(1000, lseek(fd, 0, SEEK_CUR));
}

static void seek_end_follows_others(void)
{
    int fd = posix_new("file"), other = (int)SUCCEEDS(open("file", O_WRONLY));
    EQUAL(0, lseek(fd, 0, SEEK_END));
    EQUAL(5, write(other, "12345", 5));
    EQUAL(5, lseek(fd, 0, SEEK_END));
    SUCCEEDS(ftruncate(other, 2));
    EQUAL(2, lseek(fd, 0, SEEK_END));
}

static void seek_too_far_is_einval(void)
{
    int fd = posix_new("file");
    SUCCEEDS(lseek(fd, 1, SEEK_SET));
    TRUE(lseek(fd, LLONG_MAX, SEEK_CUR) == -1 && (errno == EINVAL || errno == EOVERFLOW));
}

/* -- truncating -- */

static void truncate_cuts(void)
{
    posix_sized("file", 10000);
    SUCCEEDS(truncate("file", 5001));
    HOLDS("file", pattern(5001), 5001);
    SUCCEEDS(truncate("file", 0));
    HOLDS("file", "", 0);
}

static void truncate_grows_with_zeros(void)
{
    posix_file("file", "text");
    SUCCEEDS(truncate("file", 10));
    HOLDS("file", "text\0\0\0\0\0\0", 10);
}

static void truncate_smaller_then_larger_shows_nothing_old(void)
{
    static const off_t sizes[] = {1, 4095, 4096, 5000, 100000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        posix_sized("file", 200000);
        SUCCEEDS(truncate("file", sizes[i]));
        SUCCEEDS(truncate("file", 150000));
        char *bytes = pattern(150000);
        memset(bytes + sizes[i], 0, (size_t)(150000 - sizes[i]));
        HOLDS("file", bytes, 150000);
        SUCCEEDS(unlink("file"));
    }
}

static void truncate_by_handle_then_larger_shows_nothing_old(void)
{
    posix_sized("file", 10000);
    int fd = (int)SUCCEEDS(open("file", O_RDWR));
    char bytes[6000];
    EQUAL(6000, pread(fd, bytes, 6000, 0)); /* now they are in the page cache */
    SUCCEEDS(ftruncate(fd, 100));
    EQUAL(1, pwrite(fd, "x", 1, 5999));
    EQUAL(6000, pread(fd, bytes, 6000, 0));
    EQUAL(posix_byte(99), (unsigned char)bytes[99]);
    for (int i = 100; i < 5999; i++)
        EQUAL(0, bytes[i]);
    EQUAL('x', bytes[5999]);
}

static void truncate_by_another_handle_is_seen(void)
{
    posix_file("file", "contents");
    int reader = (int)SUCCEEDS(open("file", O_RDONLY)),
        writer = (int)SUCCEEDS(open("file", O_WRONLY));
    char text[10];
    EQUAL(8, pread(reader, text, 10, 0));
    SUCCEEDS(ftruncate(writer, 3));
    EQUAL(3, pread(reader, text, 10, 0));
    SUCCEEDS(ftruncate(writer, 6));
    EQUAL(6, pread(reader, text, 10, 0));
    EQUAL(0, memcmp(text, "con\0\0\0", 6));
}

static void truncate_refuses(void)
{
    posix_file("file", "");
    SUCCEEDS(mkdir("folder", 0755));
    FAILS(EINVAL, truncate("file", -1));
    FAILS(EISDIR, truncate("folder", 0));
    posix_drop_privileges();
    SUCCEEDS(chmod("file", 0444));
    FAILS(EACCES, truncate("file", 0));
}

static void truncate_changes_times(void)
{
    posix_file("file", "text");
    struct timespec old[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    SUCCEEDS(utimensat(AT_FDCWD, "file", old, 0));
    SUCCEEDS(truncate("file", 2));
    TRUE(posix_stat("file").st_mtim.tv_sec > 1);
}

static void truncate_to_a_tebibyte(void)
{
    posix_file("file", "text");
    SUCCEEDS(truncate("file", (off_t)1 << 40));
    EQUAL((off_t)1 << 40, posix_stat("file").st_size);
    int fd = (int)SUCCEEDS(open("file", O_RDWR));
    char text[4] = "xxxx";
    EQUAL(4, pread(fd, text, 4, ((off_t)1 << 40) - 4));
    EQUAL(0, memcmp(text, "\0\0\0\0", 4));
    EQUAL(4, pwrite(fd, "tail", 4, (off_t)1 << 39));
    EQUAL(4, pread(fd, text, 4, (off_t)1 << 39));
    EQUAL(0, memcmp(text, "tail", 4));
    TRUE(posix_stat("file").st_blocks < 1000);
    SUCCEEDS(ftruncate(fd, 4));
    HOLDS("file", "text", 4);
}

static void largest_offset_is_efbig_or_refused(void)
{
    int fd = posix_new("file");
    TRUE(pwrite(fd, "x", 1, LLONG_MAX) == -1 && (errno == EFBIG || errno == EINVAL));
    EQUAL(0, posix_stat("file").st_size);
    EQUAL(1, pwrite(fd, "x", 1, 0));
    HOLDS("file", "x", 1);
}

static const struct posix_case cases[] = {
    POSIX_CASE(read_gives_what_was_written),
    POSIX_CASE(read_ends_at_the_end),
    POSIX_CASE(bad_offsets_are_einval),
    POSIX_CASE(bad_buffers_are_efault),
    POSIX_CASE(bad_handles_are_ebadf),
    POSIX_CASE(write_moves_the_offset_and_pwrite_does_not),
    POSIX_CASE(write_of_nothing_changes_nothing),
    POSIX_CASE(write_behind_the_end_leaves_zeros),
    POSIX_CASE(writes_backwards),
    POSIX_CASE(overlapping_writes_end_as_the_last),
    POSIX_CASE(single_bytes_in_every_block),
    POSIX_CASE(two_handles_see_each_other),
    POSIX_CASE(reader_sees_what_a_writer_writes),
    POSIX_CASE(writer_comes_after_a_reader),
    POSIX_CASE(another_process_is_seen),
    POSIX_CASE(vectors),
    POSIX_CASE(shared_offset_of_duplicates),
    POSIX_CASE(sendfile_copies),
    POSIX_CASE(splice_to_and_from_a_pipe),
    POSIX_CASE(seeks),
    POSIX_CASE(seek_end_follows_others),
    POSIX_CASE(seek_too_far_is_einval),
    POSIX_CASE(truncate_cuts),
    POSIX_CASE(truncate_grows_with_zeros),
    POSIX_CASE(truncate_smaller_then_larger_shows_nothing_old),
    POSIX_CASE(truncate_by_handle_then_larger_shows_nothing_old),
    POSIX_CASE(truncate_by_another_handle_is_seen),
    POSIX_CASE(truncate_refuses),
    POSIX_CASE(truncate_changes_times),
    POSIX_CASE(truncate_to_a_tebibyte),
    POSIX_CASE(largest_offset_is_efbig_or_refused),
};

POSIX_THEME(data, cases, POSIX_WRITABLE);
