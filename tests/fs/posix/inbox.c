/* SPDX-License-Identifier: MIT */
/* An inbox: everything can be looked at, nothing can be written, what has come can be removed and
 * renamed. The folder holds what posix_prepare made at the peer. */
#include "tests/fs/posix/posix.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

enum { SIZE = 100000, MIB = 1 << 20, N_SPARE = 8 };

void posix_prepare(void)
{
    char name[16];
    posix_sized("file", SIZE);
    posix_file("empty", "");
    posix_file("readonly", "text");
    SUCCEEDS(chmod("readonly", 0444));
    for (int i = 0; i < N_SPARE; i++) {
        snprintf(name, sizeof name, "spare-%d", i);
        posix_file(name, name);
    }
    SUCCEEDS(mkdir("folder", 0755));
    posix_file("folder/inner", "inner");
    SUCCEEDS(mkdir("spare", 0755));
    SUCCEEDS(mkdir("full", 0755));
    SUCCEEDS(mkdir("full/below", 0755));
    SUCCEEDS(symlink("file", "link"));
    SUCCEEDS(symlink("folder", "to-folder"));
    SUCCEEDS(symlink("nowhere", "dangling"));
    SUCCEEDS(symlink("loop", "loop"));
    int fd = (int)SUCCEEDS(open("sparse", O_WRONLY | O_CREAT, 0644));
    char *bytes = calloc(1, MIB);
    memset(bytes, 's', MIB);
    EQUAL(MIB, pwrite(fd, bytes, MIB, 0));
    EQUAL(MIB, pwrite(fd, bytes, MIB, 3 * MIB));
    SUCCEEDS(ftruncate(fd, 6 * MIB));
    SUCCEEDS(close(fd));
    free(bytes);
    struct timespec times[2] = {{.tv_sec = 5}, {.tv_sec = 1234567890, .tv_nsec = 123456789}};
    SUCCEEDS(utimensat(AT_FDCWD, "file", times, 0));
    SUCCEEDS(utimensat(AT_FDCWD, "folder", times, 0));
}

/* -- looking -- */

static void contents_are_read(void)
{
    char *bytes = malloc(SIZE);
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (char)posix_byte(i);
    HOLDS("file", bytes, SIZE);
    HOLDS("link", bytes, SIZE);
    HOLDS("empty", "", 0);
    HOLDS("to-folder/inner", "inner", 5);
}

static void reads_end_at_the_end(void)
{
    int fd = (int)SUCCEEDS(open("file", O_RDONLY));
    char text[100];
    EQUAL(1, pread(fd, text, sizeof text, SIZE - 1));
    EQUAL(0, pread(fd, text, sizeof text, SIZE));
    EQUAL(0, pread(fd, text, sizeof text, SIZE * 10));
    FAILS(EINVAL, pread(fd, text, 1, -1));
    EQUAL(SIZE, lseek(fd, 0, SEEK_END));
    EQUAL(0, read(fd, text, 1));
}

static void attributes_are_the_senders(void)
{
    struct stat st = posix_stat("file");
    EQUAL(S_IFREG | 0644, st.st_mode);
    EQUAL(SIZE, st.st_size);
    EQUAL(1, st.st_nlink);
    EQUAL(1234567890, st.st_mtim.tv_sec);
    EQUAL(123456789, st.st_mtim.tv_nsec);
    EQUAL(geteuid(), st.st_uid);
    EQUAL(1234567890, posix_stat("folder").st_mtim.tv_sec);
    EQUAL(S_IFREG | 0444, posix_stat("readonly").st_mode);
    EQUAL(3, posix_stat("full").st_nlink);
}

static void links_are_read(void)
{
    char target[10];
    EQUAL(4, readlink("link", target, sizeof target));
    EQUAL(0, memcmp(target, "file", 4));
    EQUAL(4, posix_stat("link").st_size);
    FAILS(EINVAL, readlink("file", target, sizeof target));
    FAILS(ENOENT, open("dangling", O_RDONLY));
    FAILS(ELOOP, open("loop", O_RDONLY));
    FAILS(ELOOP, open("link", O_RDONLY | O_NOFOLLOW));
}

static void missing_names_are_enoent(void)
{
    struct stat st;
    FAILS(ENOENT, stat("missing", &st));
    FAILS(ENOENT, open("missing/below", O_RDONLY));
    FAILS(ENOTDIR, open("file/below", O_RDONLY));
    FAILS(ENOENT, unlink("missing"));
    FAILS(ENOENT, rmdir("missing"));
    FAILS(ENOENT, rename("missing", "new"));
    FAILS(ENAMETOOLONG, stat(posix_long_name(256), &st));
    FAILS(ENAMETOOLONG, stat(posix_long_path(4096), &st));
    SUCCEEDS(stat(posix_long_path(4095), &st));
}

static void folders_are_listed(void)
{
    DIR *dir = opendir("folder");
    TRUE(dir != NULL);
    int n = 0;
    for (struct dirent *entry; (entry = readdir(dir)); n++)
        TRUE(entry->d_name[0] == '.' || strcmp(entry->d_name, "inner") == 0);
    EQUAL(3, n);
    TRUE(opendir("file") == NULL && errno == ENOTDIR);
    FAILS(ENOTDIR, open("file", O_RDONLY | O_DIRECTORY));
    FAILS(EISDIR, open("folder", O_WRONLY));
}

static void entries_have_their_kind_and_number(void)
{
    DIR *dir = opendir(".");
    TRUE(dir != NULL);
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (strcmp(entry->d_name, "..") == 0)
            continue;
        struct stat st = posix_stat(entry->d_name);
        EQUAL(st.st_ino, entry->d_ino);
        TRUE(entry->d_type == DT_UNKNOWN || entry->d_type == IFTODT(st.st_mode));
    }
}

static void holes_stay_holes(void)
{
    int fd = (int)SUCCEEDS(open("sparse", O_RDONLY));
    EQUAL(6 * MIB, posix_stat("sparse").st_size);
    TRUE(posix_stat("sparse").st_blocks <= 2 * MIB / 512 + 64);
    EQUAL(0, lseek(fd, 0, SEEK_DATA));
    EQUAL(MIB, lseek(fd, 0, SEEK_HOLE));
    EQUAL(3 * MIB, lseek(fd, MIB, SEEK_DATA));
    EQUAL(4 * MIB, lseek(fd, 3 * MIB, SEEK_HOLE));
    FAILS(ENXIO, lseek(fd, 4 * MIB, SEEK_DATA));
    FAILS(ENXIO, lseek(fd, 6 * MIB, SEEK_HOLE));
    char byte = 1;
    EQUAL(1, pread(fd, &byte, 1, 2 * MIB));
    EQUAL(0, byte);
    EQUAL(1, pread(fd, &byte, 1, 4 * MIB - 1));
    EQUAL('s', byte);
}

static void maps_read(void)
{
    int fd = (int)SUCCEEDS(open("file", O_RDONLY));
    const char *at = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
    SUCCEEDS((intptr_t)at);
    EQUAL(posix_byte(54321), (unsigned char)at[54321]);
    char *own = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    SUCCEEDS((intptr_t)own);
    own[0] = 'x';
    EQUAL(posix_byte(0), (unsigned char)at[0]);
    FAILS(EACCES, (intptr_t)mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
}

static void access_says_what_the_bits_say(void)
{
    SUCCEEDS(access("file", F_OK | R_OK));
    FAILS(EACCES, access("file", X_OK));
    posix_drop_privileges();
    FAILS(EACCES, access("readonly", W_OK));
}

static void locks_are_taken(void)
{
    int fd = (int)SUCCEEDS(open("file", O_RDONLY));
    SUCCEEDS(flock(fd, LOCK_SH));
    struct flock range = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    SUCCEEDS(fcntl(fd, F_SETLK, &range));
}

static void syncs_are_answered(void)
{
    int fd = (int)SUCCEEDS(open("file", O_RDONLY));
    SUCCEEDS(fsync(fd));
    SUCCEEDS(fdatasync(fd));
    SUCCEEDS(syncfs(fd));
}

static void statfs_makes_sense(void)
{
    struct statvfs st;
    SUCCEEDS(statvfs(".", &st));
    TRUE(st.f_blocks > 0 && st.f_bavail <= st.f_blocks);
    EQUAL(255, st.f_namemax);
}

static void copy_range_within_the_inbox_is_refused(void)
{
    int from = (int)SUCCEEDS(open("file", O_RDONLY)), to = (int)SUCCEEDS(open("empty", O_RDONLY));
    FAILS(EBADF, copy_file_range(from, NULL, to, NULL, 10, 0));
}

static void xattrs_of_ours(void)
{
    char value[64];
    EQUAL(8, getxattr("file", "user.ftx.state", value, sizeof value));
    EQUAL(0, memcmp(value, "complete", 8));
    FAILS(ENODATA, getxattr("file", "user.none", value, sizeof value));
    FAILS(ENODATA, getxattr("file", "security.capability", value, sizeof value));
}

/* -- the owner's part -- */

static void unlink_removes(void)
{
    int fd = (int)SUCCEEDS(open("spare-0", O_RDONLY));
    SUCCEEDS(unlink("spare-0"));
    FAILS(ENOENT, access("spare-0", F_OK));
    char text[7];
    EQUAL(7, pread(fd, text, 7, 0));
    EQUAL(0, memcmp(text, "spare-0", 7));
    struct stat st;
    SUCCEEDS(fstat(fd, &st));
    EQUAL(0, st.st_nlink);
}

static void rmdir_removes(void)
{
    SUCCEEDS(rmdir("spare"));
    FAILS(ENOENT, access("spare", F_OK));
    FAILS(ENOTEMPTY, rmdir("full"));
    FAILS(ENOTDIR, rmdir("file"));
    FAILS(EISDIR, unlink("folder"));
    FAILS(ENOTDIR, rmdir("to-folder"));
}

static void rename_moves(void)
{
    SUCCEEDS(rename("spare-1", "folder/moved"));
    HOLDS("folder/moved", "spare-1", 7);
    SUCCEEDS(rename("folder/moved", "spare-1"));
    SUCCEEDS(rename("folder", "renamed"));
    HOLDS("renamed/inner", "inner", 5);
    FAILS(ENOENT, access("folder", F_OK));
    SUCCEEDS(rename("renamed", "folder"));
}

static void rename_replaces(void)
{
    ino_t moved = posix_stat("spare-2").st_ino;
    SUCCEEDS(rename("spare-2", "spare-3"));
    HOLDS("spare-3", "spare-2", 7);
    EQUAL(moved, posix_stat("spare-3").st_ino);
}

static void rename_refuses(void)
{
    FAILS(EISDIR, rename("spare-4", "folder"));
    FAILS(ENOTDIR, rename("folder", "spare-4"));
    FAILS(ENOTEMPTY, rename("folder", "full"));
    FAILS(EINVAL, rename("full", "full/below/new"));
    FAILS(EEXIST, renameat2(AT_FDCWD, "spare-4", AT_FDCWD, "spare-5", RENAME_NOREPLACE));
    FAILS(EINVAL, renameat2(AT_FDCWD, "spare-4", AT_FDCWD, "spare-5", RENAME_EXCHANGE));
    FAILS(EINVAL, rename("spare-4", "new\nline"));
    SUCCEEDS(rename("spare-4", "spare-4"));
    SUCCEEDS(renameat2(AT_FDCWD, "spare-4", AT_FDCWD, "free", RENAME_NOREPLACE));
    HOLDS("free", "spare-4", 7);
}

static void modes_are_the_owners(void)
{
    SUCCEEDS(chmod("spare-7", 0400));
    EQUAL(S_IFREG | 0400, posix_stat("spare-7").st_mode);
    SUCCEEDS(chmod("full", 0555)); /* so can what came read-only be removed */
    posix_drop_privileges();
    FAILS(EACCES, rmdir("full/below"));
    SUCCEEDS(chmod("full", 0755));
    SUCCEEDS(rmdir("full/below"));
}

static void removal_needs_rights_as_anywhere(void)
{
    posix_drop_privileges();
    SUCCEEDS(access(".", W_OK));
    SUCCEEDS(unlink("spare-6"));
}

/* -- writing: EPERM -- */

static const char *target; /* of the call below */

static int with_new_name(int (*call)(const char *path))
{
    char name[64];
    snprintf(name, sizeof name, S_ISDIR(posix_stat(target).st_mode) ? "%s/new" : "%s.new", target);
    return call(name);
}

static int make_file(const char *path)
{
    return open(path, O_WRONLY | O_CREAT, 0644);
}

static int make_folder(const char *path)
{
    return mkdir(path, 0755);
}

static int make_link(const char *path)
{
    return symlink("x", path);
}

static int make_hard_link(const char *path)
{
    return link("file", path);
}

static int make_node(const char *path)
{
    return mknod(path, S_IFREG | 0644, 0);
}

static int make_fifo(const char *path)
{
    return mkfifo(path, 0644);
}

static int call_create(const char *path)
{
    (void)path;
    return with_new_name(make_file);
}

static int call_mkdir(const char *path)
{
    (void)path;
    return with_new_name(make_folder);
}

static int call_symlink(const char *path)
{
    (void)path;
    return with_new_name(make_link);
}

static int call_link(const char *path)
{
    (void)path;
    return with_new_name(make_hard_link);
}

static int call_mknod(const char *path)
{
    (void)path;
    return with_new_name(make_node);
}

static int call_mkfifo(const char *path)
{
    (void)path;
    return with_new_name(make_fifo);
}

static int call_setxattr(const char *path)
{
    return setxattr(path, "user.one", "x", 1, 0);
}

static int call_utimens(const char *path)
{
    return utimensat(AT_FDCWD, path, NULL, 0);
}

static int call_times(const char *path)
{
    struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    return utimensat(AT_FDCWD, path, times, 0);
}

static int call_truncate(const char *path)
{
    return truncate(path, 1);
}

static int call_grow(const char *path)
{
    return truncate(path, 1000000);
}

static int call_write(const char *path)
{
    return open(path, O_WRONLY);
}

static int call_read_write(const char *path)
{
    return open(path, O_RDWR);
}

static int call_append(const char *path)
{
    return open(path, O_WRONLY | O_APPEND);
}

static int call_empty(const char *path)
{
    return open(path, O_RDONLY | O_TRUNC);
}

static int call_creat(const char *path)
{
    return creat(path, 0644);
}

/* `follows`: only where there is content. */
static const struct posix_call calls[] = {
    {"create", call_create, true, false},
    {"mkdir", call_mkdir, true, false},
    {"symlink", call_symlink, true, false},
    {"link", call_link, true, false},
    {"mknod", call_mknod, true, false},
    {"mkfifo", call_mkfifo, true, false},
    {"utimens", call_utimens, false, false},
    {"setxattr", call_setxattr, false, false},
    {"set times", call_times, false, false},
    {"truncate", call_truncate, false, true},
    {"grow", call_grow, false, true},
    {"open to write", call_write, false, true},
    {"open to read and write", call_read_write, false, true},
    {"open to append", call_append, false, true},
    {"open and truncate", call_empty, false, true},
    {"creat", call_creat, false, true},
};
static const char *const targets[] = {"file",   "empty",     "link", "folder/inner",
                                      "folder", "to-folder", "."};
enum { N_CALLS = sizeof calls / sizeof *calls, N_TARGETS = sizeof targets / sizeof *targets };

static void eperm_nth(size_t n)
{
    const struct posix_call *call = &calls[n / N_TARGETS];
    struct stat st, after;
    target = targets[n % N_TARGETS];
    SUCCEEDS(stat(target, &st));
    FAILS(call->follows && S_ISDIR(st.st_mode) ? EISDIR : EPERM, call->call(target));
    SUCCEEDS(stat(target, &after));
    EQUAL(st.st_mode, after.st_mode);
    EQUAL(st.st_size, after.st_size);
    EQUAL(st.st_mtim.tv_sec, after.st_mtim.tv_sec);
}

static const struct posix_case cases[] = {
    POSIX_CASE(contents_are_read),
    POSIX_CASE(reads_end_at_the_end),
    POSIX_CASE(attributes_are_the_senders),
    POSIX_CASE(links_are_read),
    POSIX_CASE(missing_names_are_enoent),
    POSIX_CASE(folders_are_listed),
    POSIX_CASE(entries_have_their_kind_and_number),
    POSIX_CASE(holes_stay_holes),
    POSIX_CASE(maps_read),
    POSIX_CASE(access_says_what_the_bits_say),
    POSIX_CASE(locks_are_taken),
    POSIX_CASE(syncs_are_answered),
    POSIX_CASE(statfs_makes_sense),
    POSIX_CASE(copy_range_within_the_inbox_is_refused),
    POSIX_CASE(xattrs_of_ours),
    POSIX_CASE(unlink_removes),
    POSIX_CASE(rmdir_removes),
    POSIX_CASE(rename_moves),
    POSIX_CASE(rename_replaces),
    POSIX_CASE(rename_refuses),
    POSIX_CASE(modes_are_the_owners),
    POSIX_CASE(removal_needs_rights_as_anywhere),
};
enum { N_CASES = sizeof cases / sizeof *cases };

/* The table first: it needs all that the others take away. */
static bool name_nth(size_t n, char *out, size_t room)
{
    if (n >= N_CALLS * N_TARGETS)
        snprintf(out, room, "%s", cases[n - N_CALLS * N_TARGETS].name);
    else
        snprintf(out, room, "%s of %s is refused", calls[n / N_TARGETS].name,
                 targets[n % N_TARGETS]);
    return true;
}

static void run_nth(size_t n)
{
    if (n >= N_CALLS * N_TARGETS)
        cases[n - N_CALLS * N_TARGETS].run();
    else
        eperm_nth(n);
}

const struct posix_theme posix_inbox = {.name = "inbox",
                                        .kinds = POSIX_INBOX,
                                        .n = N_CALLS * N_TARGETS + N_CASES,
                                        .name_nth = name_nth,
                                        .run_nth = run_nth};
