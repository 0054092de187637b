/* SPDX-License-Identifier: MIT */
/* Files mapped into memory, and how mappings, reads and writes see each other. */
#include "tests/fs/posix/posix.h"

#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

enum { SIZE = 1 << 20 };

static char *map(int fd, size_t size, int how, int kind)
{
    void *at = mmap(NULL, size, how, kind, fd, 0);
    SUCCEEDS((intptr_t)at);
    return at;
}

static int sized(int flags)
{
    posix_sized("file", SIZE);
    return (int)SUCCEEDS(open("file", flags));
}

static void map_reads_the_file(void)
{
    const char *at = map(sized(O_RDONLY), SIZE, PROT_READ, MAP_SHARED);
    for (size_t i = 0; i < SIZE; i++)
        EQUAL(posix_byte(i), (unsigned char)at[i]);
}

static void private_map_reads_the_file(void)
{
    const char *at = map(sized(O_RDONLY), SIZE, PROT_READ, MAP_PRIVATE);
    for (size_t i = 0; i < SIZE; i += 997)
        EQUAL(posix_byte(i), (unsigned char)at[i]);
}

static void private_map_changes_nothing(void)
{
    int fd = sized(O_RDONLY);
    char *at = map(fd, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    at[0] = (char)~posix_byte(0);
    unsigned char byte;
    EQUAL(1, pread(fd, &byte, 1, 0));
    EQUAL(posix_byte(0), byte);
}

static void shared_map_writes_the_file(void)
{
    int fd = sized(O_RDWR);
    char *at = map(fd, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);
    memcpy(at + 12345, "hello", 5);
    SUCCEEDS(msync(at, SIZE, MS_SYNC));
    char text[5];
    EQUAL(5, pread(fd, text, 5, 12345));
    EQUAL(0, memcmp(text, "hello", 5));
}

static void shared_map_is_seen_before_msync(void)
{
    int fd = sized(O_RDWR), other = (int)SUCCEEDS(open("file", O_RDONLY));
    char *at = map(fd, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED), text[5];
    memcpy(at + 500000, "hello", 5);
    EQUAL(5, pread(other, text, 5, 500000));
    EQUAL(0, memcmp(text, "hello", 5));
}

static void map_sees_later_writes(void)
{
    int fd = sized(O_RDWR), other = (int)SUCCEEDS(open("file", O_WRONLY));
    const char *at = map(fd, SIZE, PROT_READ, MAP_SHARED);
    EQUAL(posix_byte(5000), (unsigned char)at[5000]);
    EQUAL(5, pwrite(other, "later", 5, 5000));
    EQUAL(0, memcmp(at + 5000, "later", 5));
}

static void map_and_write_in_one_page(void)
{
    int fd = sized(O_RDWR);
    char *at = map(fd, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);
    memcpy(at + 8192, "map", 3);
    EQUAL(5, pwrite(fd, "write", 5, 8200));
    memcpy(at + 8210, "map", 3);
    SUCCEEDS(munmap(at, SIZE));
    SUCCEEDS(close(fd));
    char text[32];
    fd = (int)SUCCEEDS(open("file", O_RDONLY));
    EQUAL(32, pread(fd, text, 32, 8192));
    EQUAL(0, memcmp(text, "map", 3));
    EQUAL(0, memcmp(text + 8, "write", 5));
    EQUAL(0, memcmp(text + 18, "map", 3));
}

static void map_outlives_its_handle(void)
{
    int fd = sized(O_RDWR);
    char *at = map(fd, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);
    SUCCEEDS(close(fd));
    memcpy(at + 4096, "after close", 11);
    SUCCEEDS(munmap(at, SIZE));
    char text[11];
    fd = (int)SUCCEEDS(open("file", O_RDONLY));
    EQUAL(11, pread(fd, text, 11, 4096));
    EQUAL(0, memcmp(text, "after close", 11));
}

static void map_outlives_its_name(void)
{
    int fd = sized(O_RDWR);
    char *at = map(fd, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);
    SUCCEEDS(unlink("file"));
    SUCCEEDS(close(fd));
    at[SIZE - 1] = 'x';
    EQUAL(posix_byte(77), (unsigned char)at[77]);
    EQUAL('x', at[SIZE - 1]);
    SUCCEEDS(munmap(at, SIZE));
}

static void map_of_a_grown_file(void)
{
    int fd = posix_new("file");
    SUCCEEDS(ftruncate(fd, SIZE));
    char *at = map(fd, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);
    for (size_t i = 0; i < SIZE; i++)
        at[i] = (char)posix_byte(i);
    SUCCEEDS(munmap(at, SIZE));
    SUCCEEDS(close(fd));
    const char *all = map((int)SUCCEEDS(open("file", O_RDONLY)), SIZE, PROT_READ, MAP_PRIVATE);
    HOLDS("file", all, SIZE);
    EQUAL(posix_byte(99999), (unsigned char)all[99999]);
}

static void map_changes_the_time(void)
{
    int fd = sized(O_RDWR);
    struct timespec old[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    SUCCEEDS(utimensat(AT_FDCWD, "file", old, 0));
    char *at = map(fd, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);
    at[0] = 'x';
    SUCCEEDS(msync(at, SIZE, MS_SYNC));
    SUCCEEDS(munmap(at, SIZE));
    SUCCEEDS(close(fd));
    TRUE(posix_stat("file").st_mtim.tv_sec > 1);
}

static sigjmp_buf back;

static void on_bus_error(int number)
{
    (void)number;
    siglongjmp(back, 1);
}

static void map_behind_the_end_is_sigbus(void)
{
    int fd = sized(O_RDWR);
    const volatile char *at = map(fd, SIZE, PROT_READ, MAP_SHARED);
    SUCCEEDS(ftruncate(fd, 4096));
    signal(SIGBUS, on_bus_error);
    EQUAL(posix_byte(10), (unsigned char)at[10]);
    if (sigsetjmp(back, 1) == 0) {
        (void)at[100000];
        bool read_behind_the_end = true;
        TRUE(!read_behind_the_end);
    }
}

static void map_refuses(void)
{
    posix_file("file", "text");
    int reader = (int)SUCCEEDS(open("file", O_RDONLY)),
        writer = (int)SUCCEEDS(open("file", O_WRONLY));
    FAILS(EACCES, (intptr_t)mmap(NULL, 4, PROT_READ | PROT_WRITE, MAP_SHARED, reader, 0));
    FAILS(EACCES, (intptr_t)mmap(NULL, 4, PROT_READ, MAP_PRIVATE, writer, 0));
    FAILS(EINVAL, (intptr_t)mmap(NULL, 0, PROT_READ, MAP_PRIVATE, reader, 0));
    FAILS(EINVAL, (intptr_t)mmap(NULL, 4, PROT_READ, MAP_PRIVATE, reader, 1));
    FAILS(ENODEV,
          (intptr_t)mmap(NULL, 4, PROT_READ, MAP_PRIVATE, (int)SUCCEEDS(open(".", O_RDONLY)), 0));
}

static void shared_map_beside_one_that_only_writes(void)
{
    posix_sized("file", SIZE);
    int writer = (int)SUCCEEDS(open("file", O_WRONLY)), fd = (int)SUCCEEDS(open("file", O_RDWR));
    const char *at = map(fd, SIZE, PROT_READ, MAP_PRIVATE);
    EQUAL(posix_byte(1000), (unsigned char)at[1000]);
    if (posix_differs(POSIX_DIRECT_MAPS)) {
        FAILS(ENODEV, (intptr_t)mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
        SUCCEEDS(munmap((void *)(uintptr_t)at, SIZE));
        SUCCEEDS(close(writer));
        SUCCEEDS(close(fd));
        fd = (int)SUCCEEDS(open("file", O_RDWR)); /* it is gone: now it works */
    }
    char *shared = map(fd, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);
    shared[5] = 'x';
}

static void two_maps_are_one(void)
{
    int fd = sized(O_RDWR), other = (int)SUCCEEDS(open("file", O_RDWR));
    char *one = map(fd, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);
    char *two = map(other, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);
    one[70000] = 'x';
    EQUAL('x', two[70000]);
    two[70000] = 'y';
    EQUAL('y', one[70000]);
}

static char *shared;

static int write_through_the_map(void)
{
    shared[200000] = 'c';
    return 0;
}

static void processes_share_a_map(void)
{
    int fd = sized(O_RDWR);
    shared = map(fd, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);
    EQUAL(0, posix_in_child(write_through_the_map));
    EQUAL('c', shared[200000]);
    char byte;
    EQUAL(1, pread(fd, &byte, 1, 200000));
    EQUAL('c', byte);
}

static void map_written_whole_then_truncated(void)
{
    int fd = sized(O_RDWR);
    char *at = map(fd, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);
    memset(at, 'm', SIZE);
    SUCCEEDS(ftruncate(fd, 5000));
    SUCCEEDS(ftruncate(fd, 10000));
    SUCCEEDS(munmap(at, SIZE));
    SUCCEEDS(close(fd));
    char bytes[10000] = {0};
    memset(bytes, 'm', 5000);
    HOLDS("file", bytes, sizeof bytes);
}

static void pages_behind_a_map_are_advised(void)
{
    int fd = sized(O_RDWR);
    char *at = map(fd, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED);
    at[3] = 'x';
    SUCCEEDS(madvise(at, SIZE, MADV_DONTNEED));
    EQUAL('x', at[3]);
    EQUAL(0, posix_fadvise(fd, 0, SIZE, POSIX_FADV_DONTNEED));
    EQUAL(0, posix_fadvise(fd, 0, SIZE, POSIX_FADV_WILLNEED));
    EQUAL('x', at[3]);
    SUCCEEDS(readahead(fd, 0, SIZE));
}

static const struct posix_case cases[] = {
    POSIX_CASE(map_reads_the_file),
    POSIX_CASE(private_map_reads_the_file),
    POSIX_CASE(private_map_changes_nothing),
    POSIX_CASE(shared_map_writes_the_file),
    POSIX_CASE(shared_map_is_seen_before_msync),
    POSIX_CASE(map_sees_later_writes),
    POSIX_CASE(map_and_write_in_one_page),
    POSIX_CASE(map_outlives_its_handle),
    POSIX_CASE(map_outlives_its_name),
    POSIX_CASE(map_of_a_grown_file),
    POSIX_CASE(map_changes_the_time),
    POSIX_CASE(map_behind_the_end_is_sigbus),
    POSIX_CASE(map_refuses),
    POSIX_CASE(shared_map_beside_one_that_only_writes),
    POSIX_CASE(two_maps_are_one),
    POSIX_CASE(processes_share_a_map),
    POSIX_CASE(map_written_whole_then_truncated),
    POSIX_CASE(pages_behind_a_map_are_advised),
};

POSIX_THEME(maps, cases, POSIX_WRITABLE);
