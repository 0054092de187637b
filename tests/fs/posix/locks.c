/* SPDX-License-Identifier: MIT */
/* Locks between processes, and the calls that make things durable. */
#include "tests/fs/posix/posix.h"

#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>

/* Does what a second process does; its exit code is the errno, 0: success. */
static int try_flock(int how)
{
    pid_t pid = (pid_t)SUCCEEDS(fork());
    int status;
    if (pid == 0) {
        int fd = open("file", O_RDWR);
        _exit(flock(fd, how | LOCK_NB) == 0 ? 0 : errno);
    }
    SUCCEEDS(waitpid(pid, &status, 0));
    return WEXITSTATUS(status);
}

static int lock(int fd, int command, short type, off_t start, off_t length)
{
    struct flock range = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
    return fcntl(fd, command, &range);
}

static int try_lock(short type, off_t start, off_t length)
{
    pid_t pid = (pid_t)SUCCEEDS(fork());
    int status;
    if (pid == 0) {
        int fd = open("file", O_RDWR);
        _exit(lock(fd, F_SETLK, type, start, length) == 0 ? 0 : errno);
    }
    SUCCEEDS(waitpid(pid, &status, 0));
    return WEXITSTATUS(status);
}

static void flock_excludes(void)
{
    int fd = posix_new("file");
    SUCCEEDS(flock(fd, LOCK_EX));
    EQUAL(EWOULDBLOCK, try_flock(LOCK_EX));
    EQUAL(EWOULDBLOCK, try_flock(LOCK_SH));
    SUCCEEDS(flock(fd, LOCK_UN));
    EQUAL(0, try_flock(LOCK_EX));
}

static void flock_is_shared(void)
{
    int fd = posix_new("file");
    SUCCEEDS(flock(fd, LOCK_SH));
    EQUAL(0, try_flock(LOCK_SH));
    EQUAL(EWOULDBLOCK, try_flock(LOCK_EX));
}

static void flock_ends_with_the_handle(void)
{
    int fd = posix_new("file");
    SUCCEEDS(flock(fd, LOCK_EX));
    SUCCEEDS(close(fd));
    EQUAL(0, try_flock(LOCK_EX));
}

static void flock_on_a_folder(void)
{
    int fd = (int)SUCCEEDS(open(".", O_RDONLY));
    SUCCEEDS(flock(fd, LOCK_EX | LOCK_NB));
    FAILS(EWOULDBLOCK, flock((int)SUCCEEDS(open(".", O_RDONLY)), LOCK_EX | LOCK_NB));
}

static void flock_is_between_handles(void)
{
    int one = posix_new("file"), two = (int)SUCCEEDS(open("file", O_RDWR));
    SUCCEEDS(flock(one, LOCK_EX));
    FAILS(EWOULDBLOCK, flock(two, LOCK_EX | LOCK_NB));
}

static void flock_refuses(void)
{
    FAILS(EBADF, flock(999, LOCK_EX));
    FAILS(EINVAL, flock(posix_new("file"), 77));
}

static void ranges_are_locked(void)
{
    int fd = posix_new("file");
    SUCCEEDS(lock(fd, F_SETLK, F_WRLCK, 100, 50));
    EQUAL(EAGAIN, try_lock(F_WRLCK, 149, 1));
    EQUAL(EAGAIN, try_lock(F_RDLCK, 0, 0));
    EQUAL(0, try_lock(F_WRLCK, 0, 100));
    EQUAL(0, try_lock(F_WRLCK, 150, 0));
    SUCCEEDS(lock(fd, F_SETLK, F_UNLCK, 0, 0));
    EQUAL(0, try_lock(F_WRLCK, 100, 50));
}

static void read_ranges_are_shared(void)
{
    int fd = posix_new("file");
    SUCCEEDS(lock(fd, F_SETLK, F_RDLCK, 0, 10));
    EQUAL(0, try_lock(F_RDLCK, 0, 10));
    EQUAL(EAGAIN, try_lock(F_WRLCK, 5, 1));
}

static int lock_and_ask_owner(void)
{
    int fd = open("file", O_RDWR);
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_GETLK, &range) < 0 || range.l_type != F_WRLCK)
        return 1;
    return range.l_pid == getppid() ? 0 : 2;
}

static void owner_of_a_lock_is_told(void)
{
    int fd = posix_new("file");
    SUCCEEDS(lock(fd, F_SETLK, F_WRLCK, 0, 0));
    EQUAL(0, posix_in_child(lock_and_ask_owner));
}

static void lock_ends_with_any_handle_of_the_process(void)
{
    int one = posix_new("file"), two = (int)SUCCEEDS(open("file", O_RDWR));
    SUCCEEDS(lock(one, F_SETLK, F_WRLCK, 0, 0));
    SUCCEEDS(close(two));
    EQUAL(0, try_lock(F_WRLCK, 0, 0));
}

static void lock_of_a_handle_stays(void)
{
    int one = posix_new("file"), two = (int)SUCCEEDS(open("file", O_RDWR));
    SUCCEEDS(lock(one, F_OFD_SETLK, F_WRLCK, 0, 0));
    FAILS(EAGAIN, lock(two, F_OFD_SETLK, F_WRLCK, 0, 0));
    SUCCEEDS(close(two));
    EQUAL(EAGAIN, try_lock(F_WRLCK, 0, 0));
}

static int wait_for_lock(void)
{
    int fd = open("file", O_RDWR);
    return lock(fd, F_SETLKW, F_WRLCK, 0, 0) == 0 && write(fd, "x", 1) == 1 ? 0 : 1;
}

static void lock_is_waited_for(void)
{
    int fd = posix_new("file"), status;
    SUCCEEDS(lock(fd, F_SETLK, F_WRLCK, 0, 0));
    pid_t pid = (pid_t)SUCCEEDS(fork());
    if (pid == 0)
        _exit(wait_for_lock());
    EQUAL(0, posix_stat("file").st_size);
    SUCCEEDS(lock(fd, F_SETLK, F_UNLCK, 0, 0));
    SUCCEEDS(waitpid(pid, &status, 0));
    EQUAL(0, status);
    EQUAL(1, posix_stat("file").st_size);
}

static void write_lock_needs_a_writing_handle(void)
{
    posix_file("file", "");
    FAILS(EBADF, lock((int)SUCCEEDS(open("file", O_RDONLY)), F_SETLK, F_WRLCK, 0, 0));
    FAILS(EBADF, lock((int)SUCCEEDS(open("file", O_WRONLY)), F_SETLK, F_RDLCK, 0, 0));
}

static void syncs_are_answered(void)
{
    int fd = posix_new("file");
    EQUAL(4, write(fd, "text", 4));
    SUCCEEDS(fdatasync(fd));
    EQUAL(4, write(fd, "more", 4));
    SUCCEEDS(fsync(fd));
    SUCCEEDS(syncfs(fd));
    SUCCEEDS(sync_file_range(fd, 0, 8, SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER));
    SUCCEEDS(fsync((int)SUCCEEDS(open("file", O_RDONLY))));
    HOLDS("file", "textmore", 8);
}

static void folder_is_synced(void)
{
    posix_file("file", "");
    int fd = (int)SUCCEEDS(open(".", O_RDONLY));
    SUCCEEDS(fsync(fd));
    SUCCEEDS(fdatasync(fd));
    SUCCEEDS(syncfs(fd));
}

static void path_handles_neither_sync_nor_lock(void)
{
    posix_file("file", "");
    int fd = (int)SUCCEEDS(open("file", O_PATH));
    FAILS(EBADF, fsync(fd));
    FAILS(EBADF, flock(fd, LOCK_EX));
}

static const struct posix_case cases[] = {
    POSIX_CASE(flock_excludes),
    POSIX_CASE(flock_is_shared),
    POSIX_CASE(flock_ends_with_the_handle),
    POSIX_CASE(flock_on_a_folder),
    POSIX_CASE(flock_is_between_handles),
    POSIX_CASE(flock_refuses),
    POSIX_CASE(ranges_are_locked),
    POSIX_CASE(read_ranges_are_shared),
    POSIX_CASE(owner_of_a_lock_is_told),
    POSIX_CASE(lock_ends_with_any_handle_of_the_process),
    POSIX_CASE(lock_of_a_handle_stays),
    POSIX_CASE(lock_is_waited_for),
    POSIX_CASE(write_lock_needs_a_writing_handle),
    POSIX_CASE(syncs_are_answered),
    POSIX_CASE(folder_is_synced),
    POSIX_CASE(path_handles_neither_sync_nor_lock),
};

POSIX_THEME(locks, cases, POSIX_WRITABLE);
