/* SPDX-License-Identifier: MIT */
/* .ftx: files that are looked at, and a folder in which nothing is made, moved or removed. */
#include "tests/fs/posix/posix.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

/* Owners are stopped by the permission bits, root by ftxfs itself. */
#define REFUSED(call) FAILS(geteuid() == 0 ? EPERM : EACCES, call)

static void status_is_read(void)
{
    char text[4096];
    int fd = (int)SUCCEEDS(open("status", O_RDONLY));
    ssize_t n = SUCCEEDS(read(fd, text, sizeof text - 1));
    TRUE(n > 2 && text[0] == '{');
    EQUAL(n, pread(fd, text, sizeof text - 1, 0));
    EQUAL(0, pread(fd, text, sizeof text - 1, 1 << 20));
    SUCCEEDS(fsync(fd));
}

static void events_are_read_to_their_end(void)
{
    char text[1 << 16];
    int fd = (int)SUCCEEDS(open("events", O_RDONLY | O_NONBLOCK));
    ssize_t n = SUCCEEDS(read(fd, text, sizeof text));
    TRUE(n > 2 && text[0] == '{');
    EQUAL(n, pread(fd, text, sizeof text, 0));
    SUCCEEDS(lseek(fd, 0, SEEK_END));
    FAILS(EAGAIN, read(fd, text, sizeof text));
    EQUAL(posix_stat("events").st_size, lseek(fd, 0, SEEK_END));
}

static void history_is_read(void)
{
    char text[1 << 16];
    int fd = (int)SUCCEEDS(open("history", O_RDONLY));
    while (SUCCEEDS(read(fd, text, sizeof text)) > 0)
        ;
    EQUAL(0, read(fd, text, sizeof text));
    EQUAL(0, pread(fd, text, sizeof text, INT64_MAX - (1 << 20)));
}

static void ctl_is_only_written(void)
{
    REFUSED(open("ctl", O_RDONLY));
    REFUSED(open("ctl", O_RDWR));
    int fd = (int)SUCCEEDS(open("ctl", O_WRONLY | O_TRUNC | O_APPEND));
    EQUAL(3, write(fd, "# x", 3));
    EQUAL(1, write(fd, "\n", 1));
    FAILS(EINVAL, write(fd, "x", 1));
    FAILS(ESPIPE, lseek(fd, 0, SEEK_SET));
    SUCCEEDS(fsync(fd));
}

static void two_handles_read_each_its_own(void)
{
    int one = (int)SUCCEEDS(open("status", O_RDONLY)),
        two = (int)SUCCEEDS(open("status", O_RDONLY));
    char a, b;
    EQUAL(1, pread(one, &a, 1, 0));
    SUCCEEDS(close(one));
    EQUAL(1, pread(two, &b, 1, 0));
    EQUAL(a, b);
}

static void attributes(void)
{
    EQUAL(S_IFDIR, posix_stat(".").st_mode & (S_IFMT | 0077));
    EQUAL(S_IFREG, posix_stat("status").st_mode & (S_IFMT | 0077));
    EQUAL(geteuid(), posix_stat("status").st_uid);
    TRUE(posix_stat("status").st_ino != posix_stat(".").st_ino);
}

static void folder_is_listed(void)
{
    DIR *dir = opendir(".");
    TRUE(dir != NULL);
    int found = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] == '.')
            continue;
        EQUAL(posix_stat(entry->d_name).st_ino, entry->d_ino);
        EQUAL(S_IFREG | (strcmp(entry->d_name, "ctl") == 0 ? 0200 : 0400),
              posix_stat(entry->d_name).st_mode);
        found++;
    }
    EQUAL(4, found);
}

static void it_is_hidden_in_the_root(void)
{
    DIR *dir = opendir("..");
    TRUE(dir != NULL);
    for (struct dirent *entry; (entry = readdir(dir));)
        TRUE(strcmp(entry->d_name, ".ftx") != 0);
    SUCCEEDS(access("../.ftx", F_OK));
}

static void missing_names_are_enoent(void)
{
    FAILS(ENOENT, access("missing", F_OK));
    FAILS(ENOENT, open("missing", O_RDONLY));
    FAILS(ENOTDIR, open("status/below", O_RDONLY));
    FAILS(ENOTDIR, open("status", O_RDONLY | O_DIRECTORY));
    struct stat st;
    FAILS(ENAMETOOLONG, stat(posix_long_name(256), &st));
}

static void what_tells_is_not_written(void)
{
    static const char *const names[] = {"status", "events", "history"};
    for (int i = 0; i < 3; i++) {
        REFUSED(open(names[i], O_WRONLY));
        REFUSED(open(names[i], O_RDWR));
        REFUSED(open(names[i], O_WRONLY | O_APPEND));
        REFUSED(open(names[i], O_RDONLY | O_TRUNC));
        REFUSED(truncate(names[i], 0));
    }
    FAILS(EPERM, truncate("ctl", 0));
}

static void status_keeps_its_attributes(void)
{
    struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    FAILS(EPERM, chmod("status", 0666));
    FAILS(EPERM, utimensat(AT_FDCWD, "status", times, 0));
    FAILS(EPERM, chmod(".", 0777));
    FAILS(EPERM, utimensat(AT_FDCWD, ".", times, 0));
}

static void nothing_is_made(void)
{
    REFUSED(open("new", O_WRONLY | O_CREAT, 0644));
    REFUSED(mkdir("new", 0755));
    REFUSED(symlink("x", "new"));
    REFUSED(mknod("new", S_IFREG | 0644, 0));
    REFUSED(mkfifo("new", 0644));
    REFUSED(link("status", "new"));
    FAILS(ENOENT, access("new", F_OK));
}

static void nothing_is_removed(void)
{
    REFUSED(unlink("status"));
    FAILS(geteuid() == 0 ? ENOTDIR : EACCES, rmdir("status"));
    REFUSED(rmdir("../.ftx"));
    SUCCEEDS(access("status", F_OK));
}

static void nothing_is_moved(void)
{
    REFUSED(rename("status", "new"));
    REFUSED(rename("status", "../new"));
    REFUSED(rename("../.ftx", "../new"));
    SUCCEEDS(access("status", F_OK));
}

static void nothing_is_made_in_the_root(void)
{
    REFUSED(open("../new", O_WRONLY | O_CREAT, 0644));
    REFUSED(mkdir("../new", 0755));
    REFUSED(symlink("x", "../new"));
    REFUSED(rmdir("../outbox"));
    REFUSED(rename("../outbox", "../new"));
}

static void root_keeps_its_attributes(void)
{
    FAILS(EPERM, chmod("..", 0777));
    FAILS(EPERM, utimensat(AT_FDCWD, "..", NULL, 0));
    EQUAL(5, posix_stat("..").st_nlink);
}

static void boxes_hold_links_only(void)
{
    FAILS(EPERM, open("../outbox/file", O_WRONLY | O_CREAT, 0644));
    FAILS(EPERM, symlink("x", "../outbox/link"));
    FAILS(EPERM, open("../inbox/file", O_WRONLY | O_CREAT, 0644));
    FAILS(EINVAL, mkdir("../outbox/Bad_Code", 0755));
    FAILS(EINVAL, mkdir("../inbox/abc", 0755));
}

static void xattrs_are_not_there(void)
{
    char value[16];
    FAILS(ENODATA, getxattr("status", "user.ftx.state", value, sizeof value));
    FAILS(ENODATA, getxattr("status", "security.capability", value, sizeof value));
    EQUAL(0, listxattr("status", value, sizeof value));
}

static void statfs_is_answered(void)
{
    struct statvfs st;
    SUCCEEDS(statvfs(".", &st));
    TRUE(st.f_blocks > 0);
}

static void folder_handle_is_like_any(void)
{
    int fd = (int)SUCCEEDS(open(".", O_RDONLY | O_DIRECTORY));
    SUCCEEDS(faccessat(fd, "status", R_OK, 0));
    SUCCEEDS(fsync(fd));
    char byte;
    FAILS(EISDIR, read(fd, &byte, 1));
    FAILS(EISDIR, open(".", O_RDWR));
}

static const struct posix_case cases[] = {
    POSIX_CASE(status_is_read),
    POSIX_CASE(two_handles_read_each_its_own),
    POSIX_CASE(attributes),
    POSIX_CASE(folder_is_listed),
    POSIX_CASE(it_is_hidden_in_the_root),
    POSIX_CASE(missing_names_are_enoent),
    POSIX_CASE(what_tells_is_not_written),
    POSIX_CASE(events_are_read_to_their_end),
    POSIX_CASE(history_is_read),
    POSIX_CASE(ctl_is_only_written),
    POSIX_CASE(status_keeps_its_attributes),
    POSIX_CASE(nothing_is_made),
    POSIX_CASE(nothing_is_removed),
    POSIX_CASE(nothing_is_moved),
    POSIX_CASE(nothing_is_made_in_the_root),
    POSIX_CASE(root_keeps_its_attributes),
    POSIX_CASE(boxes_hold_links_only),
    POSIX_CASE(xattrs_are_not_there),
    POSIX_CASE(statfs_is_answered),
    POSIX_CASE(folder_handle_is_like_any),
};

POSIX_THEME(control, cases, POSIX_CONTROL);
