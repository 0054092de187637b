/* SPDX-License-Identifier: MIT */
/* Attributes: modes, owners, times, what stat and statfs say, access, xattrs. */
#include "tests/fs/posix/posix.h"

#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <time.h>

static const struct timespec OLD = {.tv_sec = 1000, .tv_nsec = 1};

static void set_times(const char *name, struct timespec atime, struct timespec mtime)
{
    struct timespec times[2] = {atime, mtime};
    SUCCEEDS(utimensat(AT_FDCWD, name, times, AT_SYMLINK_NOFOLLOW));
}

/* -- modes -- */

static void chmod_sets_every_mode(void)
{
    posix_file("file", "");
    SUCCEEDS(mkdir("folder", 0755));
    for (mode_t mode = 0; mode <= 0777; mode += 0111) {
        SUCCEEDS(chmod("file", mode));
        EQUAL(mode, posix_stat("file").st_mode & 07777);
        SUCCEEDS(chmod("folder", mode));
        EQUAL(S_IFDIR | mode, posix_stat("folder").st_mode);
    }
    for (mode_t bit = 1; bit <= 0400; bit <<= 1) {
        SUCCEEDS(chmod("file", bit));
        EQUAL(bit, posix_stat("file").st_mode & 07777);
    }
}

static void chmod_by_handle_and_of_at(void)
{
    int fd = posix_new("file");
    SUCCEEDS(fchmod(fd, 0601));
    EQUAL(0601, posix_stat("file").st_mode & 07777);
    SUCCEEDS(fchmodat(AT_FDCWD, "file", 0610, 0));
    EQUAL(0610, posix_stat("file").st_mode & 07777);
    FAILS(EBADF, fchmod(999, 0600));
}

static void chmod_keeps_the_modification_time(void)
{
    posix_file("file", "");
    set_times("file", OLD, OLD);
    SUCCEEDS(chmod("file", 0600));
    EQUAL(1000, posix_stat("file").st_mtim.tv_sec);
}

static void chmod_changes_the_change_time(void)
{
    posix_file("file", "");
    struct timespec before = posix_stat("file").st_ctim, pause = {.tv_nsec = 20000000};
    nanosleep(&pause, NULL); /* clocks of file systems are coarse */
    SUCCEEDS(chmod("file", 0600));
    struct timespec after = posix_stat("file").st_ctim;
    TRUE(after.tv_sec > before.tv_sec ||
         (after.tv_sec == before.tv_sec && after.tv_nsec > before.tv_nsec));
}

static void special_bits(void)
{
    posix_file("file", "");
    SUCCEEDS(mkdir("folder", 0755));
    SUCCEEDS(chmod("file", 06755));
    SUCCEEDS(chmod("folder", 01777));
    bool dropped = posix_differs(POSIX_SPECIAL_BITS);
    EQUAL(dropped ? 0755 : 06755, posix_stat("file").st_mode & 07777);
    EQUAL(dropped ? 0777 : 01777, posix_stat("folder").st_mode & 07777);
}

/* -- owners -- */

static void chown_to_oneself(void)
{
    int fd = posix_new("file");
    SUCCEEDS(symlink("nowhere", "link"));
    SUCCEEDS(chown("file", geteuid(), getegid()));
    SUCCEEDS(chown("file", (uid_t)-1, (gid_t)-1));
    SUCCEEDS(fchown(fd, (uid_t)-1, getegid()));
    SUCCEEDS(lchown("link", geteuid(), (gid_t)-1));
    EQUAL(geteuid(), posix_stat("file").st_uid);
    EQUAL(getegid(), posix_stat("file").st_gid);
}

static void chown_to_others(void)
{
    posix_file("file", "");
    if (geteuid() != 0) {
        FAILS(EPERM, chown("file", 1, (gid_t)-1));
        return;
    }
    SUCCEEDS(chown("file", 1, 1));
    bool ignored = posix_differs(POSIX_OWNERS);
    EQUAL(ignored ? 0 : 1, posix_stat("file").st_uid);
    EQUAL(ignored ? 0 : 1, posix_stat("file").st_gid);
}

static void new_items_are_mine(void)
{
    posix_file("file", "");
    SUCCEEDS(mkdir("folder", 0755));
    SUCCEEDS(symlink("x", "link"));
    EQUAL(geteuid(), posix_stat("file").st_uid);
    EQUAL(geteuid(), posix_stat("folder").st_uid);
    EQUAL(geteuid(), posix_stat("link").st_uid);
}

/* -- times -- */

static void times_are_kept_to_the_nanosecond(void)
{
    static const struct timespec times[] = {
        {.tv_sec = 1234567890, .tv_nsec = 123456789},
        {.tv_sec = 0, .tv_nsec = 1},
        {.tv_sec = 4102444800, .tv_nsec = 999999999}, /* 2100 */
    };
    posix_file("file", "");
    SUCCEEDS(mkdir("folder", 0755));
    SUCCEEDS(symlink("x", "link"));
    static const char *const names[] = {"file", "folder", "link"};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        for (size_t j = 0; j < 3; j++) {
            set_times(names[j], times[i], times[i]);
            EQUAL(times[i].tv_sec, posix_stat(names[j]).st_mtim.tv_sec);
            EQUAL(times[i].tv_nsec, posix_stat(names[j]).st_mtim.tv_nsec);
        }
}

static void times_before_1970(void)
{
    posix_file("file", "");
    set_times("file", OLD, (struct timespec){.tv_sec = -100, .tv_nsec = 5});
    EQUAL(-100, posix_stat("file").st_mtim.tv_sec);
    EQUAL(5, posix_stat("file").st_mtim.tv_nsec);
}

static void utime_now(void)
{
    posix_file("file", "");
    set_times("file", OLD, OLD);
    time_t before = time(NULL);
    set_times("file", OLD, (struct timespec){.tv_nsec = UTIME_NOW});
    TRUE(posix_stat("file").st_mtim.tv_sec >= before - 1);
    set_times("file", OLD, OLD);
    SUCCEEDS(utimensat(AT_FDCWD, "file", NULL, 0));
    TRUE(posix_stat("file").st_mtim.tv_sec >= before - 1);
}

static void utime_omit(void)
{
    posix_file("file", "");
    set_times("file", OLD, OLD);
    set_times("file", (struct timespec){.tv_sec = 5}, (struct timespec){.tv_nsec = UTIME_OMIT});
    EQUAL(1000, posix_stat("file").st_mtim.tv_sec);
    set_times("file", (struct timespec){.tv_nsec = UTIME_OMIT}, (struct timespec){.tv_sec = 7});
    EQUAL(7, posix_stat("file").st_mtim.tv_sec);
}

static void access_time(void)
{
    posix_file("file", "");
    set_times("file", (struct timespec){.tv_sec = 5}, (struct timespec){.tv_sec = 7});
    EQUAL(posix_differs(POSIX_ACCESS_TIMES) ? 7 : 5, posix_stat("file").st_atim.tv_sec);
}

static void times_by_handle(void)
{
    int fd = posix_new("file");
    struct timespec times[2] = {OLD, OLD};
    SUCCEEDS(futimens(fd, times));
    EQUAL(1000, posix_stat("file").st_mtim.tv_sec);
    EQUAL(1, posix_stat("file").st_mtim.tv_nsec);
}

static void times_set_while_open_stay_after_close(void)
{
    int fd = posix_new("file");
    EQUAL(4, write(fd, "text", 4));
    struct timespec times[2] = {OLD, OLD};
    SUCCEEDS(futimens(fd, times));
    SUCCEEDS(close(fd));
    EQUAL(1000, posix_stat("file").st_mtim.tv_sec);
}

static void bad_times_are_einval(void)
{
    posix_file("file", "");
    struct timespec times[2] = {OLD, {.tv_nsec = 1000000000}};
    FAILS(EINVAL, utimensat(AT_FDCWD, "file", times, 0));
    FAILS(EINVAL, utimensat(AT_FDCWD, "file", NULL, 0x8000));
}

static void times_need_rights(void)
{
    posix_file("file", "");
    SUCCEEDS(chmod("file", 0444));
    posix_drop_privileges();
    SUCCEEDS(utimensat(AT_FDCWD, "file", NULL, 0)); /* an owner may */
}

static void write_moves_the_time_and_read_does_not(void)
{
    posix_file("file", "text");
    set_times("file", OLD, OLD);
    HOLDS("file", "text", 4);
    EQUAL(1000, posix_stat("file").st_mtim.tv_sec);
    int fd = (int)SUCCEEDS(open("file", O_WRONLY));
    EQUAL(1, write(fd, "T", 1));
    TRUE(posix_stat("file").st_mtim.tv_sec > 1000);
}

static void folder_time_moves_with_its_names_only(void)
{
    SUCCEEDS(mkdir("folder", 0755));
    posix_file("folder/file", "");
    set_times("folder", OLD, OLD);
    int fd = (int)SUCCEEDS(open("folder/file", O_WRONLY));
    EQUAL(1, write(fd, "x", 1));
    SUCCEEDS(chmod("folder/file", 0600));
    EQUAL(1000, posix_stat("folder").st_mtim.tv_sec);
    SUCCEEDS(rename("folder/file", "folder/new"));
    TRUE(posix_stat("folder").st_mtim.tv_sec > 1000);
}

/* -- what stat says -- */

static void stat_of_a_file(void)
{
    posix_sized("file", 100000);
    struct stat st = posix_stat("file");
    TRUE(S_ISREG(st.st_mode));
    EQUAL(100000, st.st_size);
    EQUAL(1, st.st_nlink);
    TRUE(st.st_blocks * 512 >= 100000 - 4096 && st.st_blocks * 512 < 400000);
    TRUE(st.st_blksize >= 512 && (st.st_blksize & (st.st_blksize - 1)) == 0);
}

static void stat_sees_each_write(void)
{
    int fd = posix_new("file");
    for (int i = 1; i <= 20; i++) {
        EQUAL(100, write(fd, posix_long_name(100), 100));
        EQUAL(100 * i, posix_stat("file").st_size);
    }
}

static void numbers_are_stable_and_different(void)
{
    posix_file("one", "");
    posix_file("two", "");
    SUCCEEDS(mkdir("folder", 0755));
    ino_t one = posix_stat("one").st_ino;
    TRUE(one != posix_stat("two").st_ino && one != posix_stat("folder").st_ino && one != 0);
    int fd = (int)SUCCEEDS(open("one", O_RDWR));
    EQUAL(4, write(fd, "text", 4));
    SUCCEEDS(rename("one", "folder/one"));
    EQUAL(one, posix_stat("folder/one").st_ino);
    struct stat st;
    SUCCEEDS(fstat(fd, &st));
    EQUAL(one, st.st_ino);
    EQUAL(posix_stat(".").st_dev, st.st_dev);
}

static void stat_of_a_link_and_through_it(void)
{
    struct stat st;
    posix_file("file", "text");
    SUCCEEDS(symlink("file", "link"));
    SUCCEEDS(stat("link", &st));
    TRUE(S_ISREG(st.st_mode));
    SUCCEEDS(fstatat(AT_FDCWD, "link", &st, AT_SYMLINK_NOFOLLOW));
    TRUE(S_ISLNK(st.st_mode));
    SUCCEEDS(fstatat(open("file", O_RDONLY), "", &st, AT_EMPTY_PATH));
    EQUAL(4, st.st_size);
}

static void statx_has_the_basics(void)
{
    struct statx st;
    posix_file("file", "text");
    SUCCEEDS(statx(AT_FDCWD, "file", 0, STATX_BASIC_STATS, &st));
    EQUAL(STATX_BASIC_STATS, st.stx_mask & STATX_BASIC_STATS);
    EQUAL(4, st.stx_size);
}

static void statfs_makes_sense(void)
{
    struct statvfs st;
    SUCCEEDS(statvfs(".", &st));
    TRUE(st.f_bsize > 0 && st.f_blocks > 0);
    TRUE(st.f_bavail <= st.f_blocks && st.f_bavail > 0);
    EQUAL(255, st.f_namemax);
    int fd = (int)SUCCEEDS(open(".", O_RDONLY));
    struct statvfs same;
    SUCCEEDS(fstatvfs(fd, &same));
    EQUAL(st.f_blocks, same.f_blocks);
    EQUAL(255, pathconf(".", _PC_NAME_MAX));
}

/* -- access -- */

static void access_asks_the_bits(void)
{
    posix_file("file", "");
    posix_drop_privileges();
    for (mode_t mode = 0; mode <= 7; mode++) {
        SUCCEEDS(chmod("file", mode << 6));
        EQUAL(mode & 4 ? 0 : -1, access("file", R_OK));
        EQUAL(mode & 2 ? 0 : -1, access("file", W_OK));
        EQUAL(mode & 1 ? 0 : -1, access("file", X_OK));
        EQUAL(mode == 7 ? 0 : -1, access("file", R_OK | W_OK | X_OK));
        EQUAL(0, access("file", F_OK));
    }
    FAILS(EINVAL, access("file", 8));
}

static void access_to_execute_by_root_needs_a_bit(void)
{
    posix_file("file", "");
    FAILS(EACCES, access("file", X_OK));
    SUCCEEDS(chmod("file", 0744));
    SUCCEEDS(access("file", X_OK));
}

/* -- xattrs -- */

static void missing_xattr_is_enodata(void)
{
    char value[16];
    posix_file("file", "");
    FAILS(ENODATA, getxattr("file", "user.none", value, sizeof value));
    FAILS(ENODATA, getxattr("file", "security.capability", value, sizeof value));
    FAILS(ENODATA, fgetxattr(open("file", O_RDONLY), "user.none", NULL, 0));
}

/* A local file system need not have them. */
static void set_xattr(const char *name, const char *value, int flags)
{
    if (setxattr("file", name, value, strlen(value), flags) == 0)
        return;
    if (errno == EOPNOTSUPP && posix_kind == POSIX_LOCAL)
        posix_skip("no user xattrs here");
    SUCCEEDS(-1);
}

static void xattrs_are_set_and_read(void)
{
    char value[16];
    posix_file("file", "");
    set_xattr("user.one", "first", 0);
    EQUAL(5, getxattr("file", "user.one", NULL, 0));
    EQUAL(5, getxattr("file", "user.one", value, sizeof value));
    EQUAL(0, memcmp(value, "first", 5));
    FAILS(ERANGE, getxattr("file", "user.one", value, 4));
    set_xattr("user.one", "", 0);
    EQUAL(0, getxattr("file", "user.one", value, sizeof value));
    SUCCEEDS(rename("file", "new"));
    EQUAL(0, getxattr("new", "user.one", value, sizeof value));
}

static void xattrs_of_folders_and_handles(void)
{
    char value[16];
    posix_file("file", "");
    set_xattr("user.one", "x", 0);
    SUCCEEDS(mkdir("folder", 0755));
    SUCCEEDS(setxattr("folder", "user.one", "folder", 6, 0));
    EQUAL(6, getxattr("folder", "user.one", value, sizeof value));
    int fd = (int)SUCCEEDS(open("file", O_RDWR));
    SUCCEEDS(fsetxattr(fd, "user.two", "handle", 6, 0));
    EQUAL(6, fgetxattr(fd, "user.two", value, sizeof value));
    SUCCEEDS(fremovexattr(fd, "user.two"));
    FAILS(ENODATA, fgetxattr(fd, "user.two", value, sizeof value));
}

static void xattrs_are_listed(void)
{
    char names[64] = "";
    posix_file("file", "");
    set_xattr("user.one", "1", 0);
    set_xattr("user.two", "2", 0);
    ssize_t size = SUCCEEDS(listxattr("file", NULL, 0));
    EQUAL(size, listxattr("file", names, sizeof names));
    TRUE(memmem(names, (size_t)size, "user.one", 9) && memmem(names, (size_t)size, "user.two", 9));
    FAILS(ERANGE, listxattr("file", names, 3));
    SUCCEEDS(removexattr("file", "user.one"));
    TRUE(listxattr("file", names, sizeof names) < size);
}

static void xattr_flags_are_heeded(void)
{
    char value[16];
    posix_file("file", "");
    set_xattr("user.one", "1", XATTR_CREATE);
    FAILS(EEXIST, setxattr("file", "user.one", "2", 1, XATTR_CREATE));
    FAILS(ENODATA, setxattr("file", "user.two", "2", 1, XATTR_REPLACE));
    set_xattr("user.one", "33", XATTR_REPLACE);
    EQUAL(2, getxattr("file", "user.one", value, sizeof value));
    FAILS(EINVAL, setxattr("file", "user.one", "4", 1, 64));
    FAILS(ENODATA, removexattr("file", "user.two"));
}

static void xattr_limits(void)
{
    static char large[70000];
    posix_file("file", "");
    set_xattr("user.one", "1", 0);
    FAILS(E2BIG, setxattr("file", "user.large", large, 65537, 0));
    char name[300] = "user.";
    memcpy(name + 5, posix_long_name(251), 252);
    FAILS(ERANGE, setxattr("file", name, "x", 1, 0));
    SUCCEEDS(symlink("file", "link"));
    FAILS(EPERM, lsetxattr("link", "user.one", "x", 1, 0));
}

static void xattrs_keep_the_modification_time(void)
{
    posix_file("file", "");
    set_times("file", OLD, OLD);
    set_xattr("user.one", "1", 0);
    EQUAL(1000, posix_stat("file").st_mtim.tv_sec);
}

static void xattr_names_have_a_space(void)
{
    char value[16];
    posix_file("file", "");
    FAILS(EOPNOTSUPP, setxattr("file", "nothing.of.the.kind", "x", 1, 0));
    FAILS(ERANGE, getxattr("file", "", value, sizeof value));
}

static void acls_are_not_there(void)
{
    char value[64];
    posix_file("file", "");
    TRUE(getxattr("file", "system.posix_acl_access", value, sizeof value) == -1 &&
         (errno == ENODATA || errno == EOPNOTSUPP));
}

static void xattrs_of_ours(void)
{
    char value[64];
    posix_file("file", "text");
    if (posix_kind == POSIX_LOCAL)
        posix_skip("only an outbox has them");
    TRUE(getxattr("file", "user.ftx.state", value, sizeof value) > 0);
    FAILS(ERANGE, getxattr("file", "user.ftx.state", value, 1));
    FAILS(ENODATA, getxattr("file", "user.ftx.nothing", value, sizeof value));
    FAILS(EPERM, setxattr("file", "user.ftx.state", "delivered", 9, 0));
}

static const struct posix_case cases[] = {
    POSIX_CASE(chmod_sets_every_mode),
    POSIX_CASE(chmod_by_handle_and_of_at),
    POSIX_CASE(chmod_keeps_the_modification_time),
    POSIX_CASE(chmod_changes_the_change_time),
    POSIX_CASE(special_bits),
    POSIX_CASE(chown_to_oneself),
    POSIX_CASE(chown_to_others),
    POSIX_CASE(new_items_are_mine),
    POSIX_CASE(times_are_kept_to_the_nanosecond),
    POSIX_CASE(times_before_1970),
    POSIX_CASE(utime_now),
    POSIX_CASE(utime_omit),
    POSIX_CASE(access_time),
    POSIX_CASE(times_by_handle),
    POSIX_CASE(times_set_while_open_stay_after_close),
    POSIX_CASE(bad_times_are_einval),
    POSIX_CASE(times_need_rights),
    POSIX_CASE(write_moves_the_time_and_read_does_not),
    POSIX_CASE(folder_time_moves_with_its_names_only),
    POSIX_CASE(stat_of_a_file),
    POSIX_CASE(stat_sees_each_write),
    POSIX_CASE(numbers_are_stable_and_different),
    POSIX_CASE(stat_of_a_link_and_through_it),
    POSIX_CASE(statx_has_the_basics),
    POSIX_CASE(statfs_makes_sense),
    POSIX_CASE(access_asks_the_bits),
    POSIX_CASE(access_to_execute_by_root_needs_a_bit),
    POSIX_CASE(missing_xattr_is_enodata),
    POSIX_CASE(xattrs_are_set_and_read),
    POSIX_CASE(xattrs_of_folders_and_handles),
    POSIX_CASE(xattrs_are_listed),
    POSIX_CASE(xattr_flags_are_heeded),
    POSIX_CASE(xattr_limits),
    POSIX_CASE(xattrs_keep_the_modification_time),
    POSIX_CASE(xattr_names_have_a_space),
    POSIX_CASE(acls_are_not_there),
    POSIX_CASE(xattrs_of_ours),
};

POSIX_THEME(attr, cases, POSIX_WRITABLE);
