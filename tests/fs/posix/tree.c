/* SPDX-License-Identifier: MIT */
/* Making and removing names: folders, links, nodes, unlink, rmdir; what a name may be. */
#include "tests/fs/posix/posix.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

static void mkdir_takes_the_mode_less_the_umask(void)
{
    umask(027);
    SUCCEEDS(mkdir("folder", 0777));
    EQUAL(0750, posix_stat("folder").st_mode & 07777);
}

static void mkdir_of_what_exists_is_eexist(void)
{
    posix_file("file", "");
    SUCCEEDS(symlink("nowhere", "link"));
    SUCCEEDS(mkdir("folder", 0755));
    FAILS(EEXIST, mkdir("file", 0755));
    FAILS(EEXIST, mkdir("link", 0755));
    FAILS(EEXIST, mkdir("folder", 0755));
    FAILS(EEXIST, mkdir(".", 0755));
    FAILS(EEXIST, mkdir("folder/..", 0755));
}

static void mkdir_counts_in_the_parents_links(void)
{
    EQUAL(2, posix_stat(".").st_nlink);
    SUCCEEDS(mkdir("one", 0755));
    SUCCEEDS(mkdir("two", 0755));
    EQUAL(4, posix_stat(".").st_nlink);
    EQUAL(2, posix_stat("one").st_nlink);
    SUCCEEDS(rmdir("one"));
    EQUAL(3, posix_stat(".").st_nlink);
}

static void mkdir_with_a_slash_at_the_end(void)
{
    SUCCEEDS(mkdir("folder/", 0755));
    TRUE(S_ISDIR(posix_stat("folder").st_mode));
}

static void mkdir_in_a_closed_folder_is_eacces(void)
{
    SUCCEEDS(mkdir("folder", 0555));
    posix_drop_privileges();
    FAILS(EACCES, mkdir("folder/below", 0755));
}

static void mkdirat_works_from_a_folder(void)
{
    SUCCEEDS(mkdir("folder", 0755));
    int fd = (int)SUCCEEDS(open("folder", O_RDONLY | O_DIRECTORY));
    SUCCEEDS(mkdirat(fd, "below", 0755));
    TRUE(S_ISDIR(posix_stat("folder/below").st_mode));
    SUCCEEDS(unlinkat(fd, "below", AT_REMOVEDIR));
    FAILS(ENOENT, access("folder/below", F_OK));
}

static void forty_folders_deep(void)
{
    for (int i = 0; i < 40; i++) {
        SUCCEEDS(mkdir("folder", 0755));
        SUCCEEDS(chdir("folder"));
    }
    posix_file("file", "deep");
    HOLDS("file", "deep", 4);
}

static void hundred_folders_deep(void)
{
    int made = 0;
    for (; made < 100 && mkdir("f", 0755) == 0; made++)
        SUCCEEDS(chdir("f"));
    if (!posix_differs(POSIX_DEPTH)) {
        EQUAL(100, made);
        return;
    }
    FAILS(ELOOP, mkdir("f", 0755));
    TRUE(made >= 60 && made < 64);
}

static void rmdir_removes_an_empty_folder(void)
{
    SUCCEEDS(mkdir("folder", 0755));
    SUCCEEDS(rmdir("folder"));
    FAILS(ENOENT, access("folder", F_OK));
}

static void rmdir_of_a_full_folder_is_enotempty(void)
{
    SUCCEEDS(mkdir("folder", 0755));
    posix_file("folder/file", "");
    FAILS(ENOTEMPTY, rmdir("folder"));
    SUCCEEDS(unlink("folder/file"));
    SUCCEEDS(mkdir("folder/below", 0755));
    FAILS(ENOTEMPTY, rmdir("folder"));
    SUCCEEDS(rmdir("folder/below"));
    SUCCEEDS(symlink("x", "folder/link"));
    FAILS(ENOTEMPTY, rmdir("folder"));
}

static void rmdir_of_no_folder_is_enotdir(void)
{
    posix_file("file", "");
    SUCCEEDS(mkdir("folder", 0755));
    SUCCEEDS(symlink("folder", "link"));
    FAILS(ENOTDIR, rmdir("file"));
    FAILS(ENOTDIR, rmdir("link"));
}

static void rmdir_of_dots(void)
{
    SUCCEEDS(mkdir("folder", 0755));
    SUCCEEDS(mkdir("folder/below", 0755));
    FAILS(EINVAL, rmdir("folder/."));
    FAILS(ENOTEMPTY, rmdir("folder/below/.."));
}

static void rmdir_in_a_closed_folder_is_eacces(void)
{
    SUCCEEDS(mkdir("folder", 0755));
    SUCCEEDS(mkdir("folder/below", 0755));
    SUCCEEDS(chmod("folder", 0555));
    posix_drop_privileges();
    FAILS(EACCES, rmdir("folder/below"));
}

static void rmdir_of_an_open_folder(void)
{
    SUCCEEDS(mkdir("folder", 0755));
    int fd = (int)SUCCEEDS(open("folder", O_RDONLY | O_DIRECTORY));
    SUCCEEDS(rmdir("folder"));
    struct stat st;
    SUCCEEDS(fstat(fd, &st));
    TRUE(S_ISDIR(st.st_mode));
    EQUAL(0, st.st_nlink);
    FAILS(ENOENT, openat(fd, "x", O_RDONLY));
}

static void removed_current_folder_is_enoent(void)
{
    SUCCEEDS(mkdir("folder", 0755));
    SUCCEEDS(chdir("folder"));
    SUCCEEDS(rmdir("../folder"));
    char path[PATH_MAX];
    TRUE(getcwd(path, sizeof path) == NULL && errno == ENOENT);
    FAILS(ENOENT, open("x", O_WRONLY | O_CREAT, 0644));
}

static void unlink_removes_files_and_links(void)
{
    posix_file("file", "");
    SUCCEEDS(symlink("file", "link"));
    SUCCEEDS(unlink("link"));
    SUCCEEDS(access("file", F_OK));
    SUCCEEDS(unlink("file"));
    FAILS(ENOENT, unlink("file"));
}

static void unlink_of_a_folder_is_eisdir(void)
{
    SUCCEEDS(mkdir("folder", 0755));
    FAILS(EISDIR, unlink("folder"));
    FAILS(EISDIR, unlink("folder/"));
}

static void unlink_of_a_file_with_a_slash_is_enotdir(void)
{
    posix_file("file", "");
    FAILS(ENOTDIR, unlink("file/"));
}

static void unlink_in_a_closed_folder_is_eacces(void)
{
    SUCCEEDS(mkdir("folder", 0755));
    posix_file("folder/file", "");
    SUCCEEDS(chmod("folder", 0555));
    posix_drop_privileges();
    FAILS(EACCES, unlink("folder/file"));
}

static void unlink_of_a_read_only_file(void)
{
    posix_file("file", "");
    SUCCEEDS(chmod("file", 0));
    posix_drop_privileges();
    SUCCEEDS(unlink("file"));
}

static void unlink_changes_the_folders_times(void)
{
    posix_file("file", "");
    struct timespec old[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    SUCCEEDS(utimensat(AT_FDCWD, ".", old, 0));
    SUCCEEDS(unlink("file"));
    TRUE(posix_stat(".").st_mtim.tv_sec > 1);
}

static void unlinkat_flags(void)
{
    posix_file("file", "");
    SUCCEEDS(mkdir("folder", 0755));
    FAILS(ENOTDIR, unlinkat(AT_FDCWD, "file", AT_REMOVEDIR));
    FAILS(EINVAL, unlinkat(AT_FDCWD, "file", AT_SYMLINK_FOLLOW));
    SUCCEEDS(unlinkat(AT_FDCWD, "folder", AT_REMOVEDIR));
    SUCCEEDS(unlinkat(AT_FDCWD, "file", 0));
}

static void symlink_keeps_its_target(void)
{
    char target[100];
    SUCCEEDS(symlink("../some/where", "link"));
    EQUAL(13, readlink("link", target, sizeof target));
    EQUAL(0, memcmp(target, "../some/where", 13));
    struct stat st = posix_stat("link");
    TRUE(S_ISLNK(st.st_mode));
    EQUAL(13, st.st_size);
    EQUAL(0777, st.st_mode & 07777);
}

static void symlink_of_what_exists_is_eexist(void)
{
    posix_file("file", "");
    SUCCEEDS(symlink("x", "link"));
    FAILS(EEXIST, symlink("x", "file"));
    FAILS(EEXIST, symlink("y", "link"));
}

static void symlink_with_an_empty_target_is_enoent(void)
{
    FAILS(ENOENT, symlink("", "link"));
}

static void symlink_target_of_4096_is_enametoolong(void)
{
    FAILS(ENAMETOOLONG, symlink(posix_long_name(4096), "link"));
}

static void symlink_target_of_4000_is_kept(void)
{
    static char target[5000];
    SUCCEEDS(symlink(posix_long_name(4000), "link"));
    EQUAL(4000, readlink("link", target, sizeof target));
    EQUAL(4000, posix_stat("link").st_size);
}

static void readlink_cuts_to_the_buffer(void)
{
    char target[4];
    SUCCEEDS(symlink("target", "link"));
    EQUAL(4, readlink("link", target, sizeof target));
    EQUAL(0, memcmp(target, "targ", 4));
    FAILS(EINVAL, readlink("link", target, 0));
}

static void readlink_of_no_link_is_einval(void)
{
    char target[4];
    posix_file("file", "");
    FAILS(EINVAL, readlink("file", target, sizeof target));
    FAILS(EINVAL, readlink(".", target, sizeof target));
}

static void symlinks_are_followed_everywhere(void)
{
    SUCCEEDS(mkdir("folder", 0755));
    posix_file("folder/file", "text");
    SUCCEEDS(symlink("folder", "to-folder"));
    SUCCEEDS(symlink("to-folder/file", "to-file"));
    HOLDS("to-file", "text", 4);
    SUCCEEDS(truncate("to-file", 2));
    EQUAL(2, posix_stat("folder/file").st_size);
    SUCCEEDS(chmod("to-file", 0600));
    EQUAL(0600, posix_stat("folder/file").st_mode & 07777);
}

static void forty_links_are_followed_and_no_more(void)
{
    posix_file("0", "end");
    char from[16], to[16];
    for (int i = 1; i <= 41; i++) {
        snprintf(from, sizeof from, "%d", i);
        snprintf(to, sizeof to, "%d", i - 1);
        SUCCEEDS(symlink(to, from));
    }
    HOLDS("40", "end", 3);
    FAILS(ELOOP, open("41", O_RDONLY));
}

static void hard_links(void)
{
    posix_file("file", "text");
    if (posix_differs(POSIX_HARD_LINKS)) {
        FAILS(EPERM, link("file", "second"));
        EQUAL(1, posix_stat("file").st_nlink);
        FAILS(ENOENT, access("second", F_OK));
        return;
    }
    SUCCEEDS(link("file", "second"));
    EQUAL(2, posix_stat("file").st_nlink);
}

static void link_of_what_exists_is_eexist(void)
{
    posix_file("file", "");
    posix_file("second", "");
    FAILS(EEXIST, link("file", "second"));
}

static void link_of_a_folder_is_eperm(void)
{
    SUCCEEDS(mkdir("folder", 0755));
    FAILS(EPERM, link("folder", "second"));
}

static void mknod_makes_files(void)
{
    SUCCEEDS(mknod("file", S_IFREG | 0640, 0));
    EQUAL(S_IFREG | 0640, posix_stat("file").st_mode);
    FAILS(EEXIST, mknod("file", S_IFREG | 0640, 0));
    HOLDS("file", "", 0);
}

static void mknod_of_other_kinds(void)
{
    if (posix_differs(POSIX_DEVICES)) {
        FAILS(EPERM, mkfifo("fifo", 0644));
        FAILS(EPERM, mknod("socket", S_IFSOCK | 0644, 0));
        FAILS(EPERM, mknod("null", S_IFCHR | 0644, makedev(1, 3)));
        FAILS(EPERM, mknod("disk", S_IFBLK | 0644, makedev(1, 3)));
        FAILS(ENOENT, access("fifo", F_OK));
        return;
    }
    SUCCEEDS(mkfifo("fifo", 0644));
    SUCCEEDS(mknod("socket", S_IFSOCK | 0644, 0));
    FAILS(EPERM, (posix_drop_privileges(), mknod("disk", S_IFBLK | 0644, makedev(1, 3))));
}

static void mknod_of_a_folder_is_eperm(void)
{
    FAILS(EPERM, mknod("folder", S_IFDIR | 0755, 0));
    FAILS(EINVAL, mknod("nothing", 0170000, 0));
}

static void name_of_255_bytes(void)
{
    const char *name = posix_long_name(255);
    posix_file(name, "text");
    HOLDS(name, "text", 4);
    SUCCEEDS(rename(name, "short"));
    SUCCEEDS(mkdir(name, 0755));
    SUCCEEDS(rename("short", "again"));
}

static void path_of_4095_bytes(void)
{
    posix_file("file", "text");
    HOLDS(posix_long_path(4095), "text", 4);
}

static void names_are_bytes(void)
{
    static const char *const names[] = {"\xff\xfe", "latin-\xe9", "e\xcc\x81", "\xc3\xa9",
                                        " ",        "-rf",        "*",         "a\\b",
                                        "a:b",      "...",        "\x80",      "~"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        posix_file(names[i], names[i]);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        HOLDS(names[i], names[i], strlen(names[i]));
}

static void names_differ_by_case(void)
{
    posix_file("name", "lower");
    posix_file("NAME", "upper");
    HOLDS("name", "lower", 5);
}

static void names_with_control_bytes(void)
{
    static const char *const names[] = {"new\nline", "tab\t", "\x1b[31m", "\x01", "del\x7f"};
    posix_file("file", "");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!posix_differs(POSIX_CONTROL_BYTES)) {
            posix_file(names[i], "");
            continue;
        }
        FAILS(EINVAL, open(names[i], O_WRONLY | O_CREAT, 0644));
        FAILS(EINVAL, mkdir(names[i], 0755));
        FAILS(EINVAL, symlink("x", names[i]));
        FAILS(EINVAL, rename("file", names[i]));
        FAILS(ENOENT, access(names[i], F_OK));
    }
}

static void reserved_name_below_the_root_is_like_any(void)
{
    SUCCEEDS(mkdir(".ftx", 0755));
    posix_file(".ftx/file", "");
    if (!posix_differs(POSIX_RESERVED_NAME))
        return;
    FAILS(EINVAL, rename(".ftx", "../.ftx"));
    FAILS(EINVAL, mkdir("../.ftx", 0755));
}

static void thousand_files_come_and_go(void)
{
    char name[16];
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "%d", i);
        SUCCEEDS(close(posix_new(name)));
    }
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "%d", i);
        SUCCEEDS(unlink(name));
    }
    EQUAL(0, rmdir("../case") == 0 ? 0 : errno);
}

static const struct posix_case cases[] = {
    POSIX_CASE(mkdir_takes_the_mode_less_the_umask),
    POSIX_CASE(mkdir_of_what_exists_is_eexist),
    POSIX_CASE(mkdir_counts_in_the_parents_links),
    POSIX_CASE(mkdir_with_a_slash_at_the_end),
    POSIX_CASE(mkdir_in_a_closed_folder_is_eacces),
    POSIX_CASE(mkdirat_works_from_a_folder),
    POSIX_CASE(forty_folders_deep),
    POSIX_CASE(hundred_folders_deep),
    POSIX_CASE(rmdir_removes_an_empty_folder),
    POSIX_CASE(rmdir_of_a_full_folder_is_enotempty),
    POSIX_CASE(rmdir_of_no_folder_is_enotdir),
    POSIX_CASE(rmdir_of_dots),
    POSIX_CASE(rmdir_in_a_closed_folder_is_eacces),
    POSIX_CASE(rmdir_of_an_open_folder),
    POSIX_CASE(removed_current_folder_is_enoent),
    POSIX_CASE(unlink_removes_files_and_links),
    POSIX_CASE(unlink_of_a_folder_is_eisdir),
    POSIX_CASE(unlink_of_a_file_with_a_slash_is_enotdir),
    POSIX_CASE(unlink_in_a_closed_folder_is_eacces),
    POSIX_CASE(unlink_of_a_read_only_file),
    POSIX_CASE(unlink_changes_the_folders_times),
    POSIX_CASE(unlinkat_flags),
    POSIX_CASE(symlink_keeps_its_target),
    POSIX_CASE(symlink_of_what_exists_is_eexist),
    POSIX_CASE(symlink_with_an_empty_target_is_enoent),
    POSIX_CASE(symlink_target_of_4096_is_enametoolong),
    POSIX_CASE(symlink_target_of_4000_is_kept),
    POSIX_CASE(readlink_cuts_to_the_buffer),
    POSIX_CASE(readlink_of_no_link_is_einval),
    POSIX_CASE(symlinks_are_followed_everywhere),
    POSIX_CASE(forty_links_are_followed_and_no_more),
    POSIX_CASE(hard_links),
    POSIX_CASE(link_of_what_exists_is_eexist),
    POSIX_CASE(link_of_a_folder_is_eperm),
    POSIX_CASE(mknod_makes_files),
    POSIX_CASE(mknod_of_other_kinds),
    POSIX_CASE(mknod_of_a_folder_is_eperm),
    POSIX_CASE(name_of_255_bytes),
    POSIX_CASE(path_of_4095_bytes),
    POSIX_CASE(names_are_bytes),
    POSIX_CASE(names_differ_by_case),
    POSIX_CASE(names_with_control_bytes),
    POSIX_CASE(reserved_name_below_the_root_is_like_any),
    POSIX_CASE(thousand_files_come_and_go),
};

POSIX_THEME(tree, cases, POSIX_WRITABLE);
