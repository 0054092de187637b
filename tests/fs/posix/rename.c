/* SPDX-License-Identifier: MIT */
/* rename(2): every kind onto every kind, flags, and what is open meanwhile. */
#include "tests/fs/posix/posix.h"

#include <stdio.h>
#include <string.h>

/* -- every kind onto every kind -- */

enum kind { FILE_, LINK, FOLDER, FULL, NOTHING, N_KINDS };

static const char *const kinds[] = {"a file", "a link", "a folder", "a full folder", "nothing"};

static void make(const char *name, enum kind kind)
{
    char inner[64];
    snprintf(inner, sizeof inner, "%s/inner", name);
    if (kind == FILE_)
        posix_file(name, "text");
    else if (kind == LINK)
        SUCCEEDS(symlink("nowhere", name));
    else if (kind != NOTHING)
        SUCCEEDS(mkdir(name, 0755));
    if (kind == FULL)
        posix_file(inner, "");
}

static int outcome(enum kind from, enum kind to)
{
    bool from_folder = from == FOLDER || from == FULL, to_folder = to == FOLDER || to == FULL;
    if (from == NOTHING)
        return ENOENT;
    if (to == NOTHING)
        return 0;
    if (from_folder != to_folder)
        return to_folder ? EISDIR : ENOTDIR;
    return to == FULL ? ENOTEMPTY : 0;
}

static bool name_nth(size_t n, char *out, size_t room)
{
    snprintf(out, room, "%s onto %s", kinds[n / N_KINDS], kinds[n % N_KINDS]);
    return true;
}

static void run_nth(size_t n)
{
    enum kind from = (enum kind)(n / N_KINDS), to = (enum kind)(n % N_KINDS);
    make("from", from);
    make("to", to);
    int number = outcome(from, to);
    ino_t moved = number == ENOENT ? 0 : posix_stat("from").st_ino;
    if (number) {
        FAILS(number, rename("from", "to"));
        TRUE(from == NOTHING || posix_stat("from").st_ino == moved);
        TRUE(to == NOTHING || posix_stat("to").st_ino != 0);
        return;
    }
    SUCCEEDS(rename("from", "to"));
    FAILS(ENOENT, access("from", F_OK));
    EQUAL(moved, posix_stat("to").st_ino);
}

const struct posix_theme posix_rename_kinds = {.name = "rename",
                                               .kinds = POSIX_WRITABLE,
                                               .n = N_KINDS * N_KINDS,
                                               .name_nth = name_nth,
                                               .run_nth = run_nth};

/* -- all else -- */

static void between_folders(void)
{
    SUCCEEDS(mkdir("one", 0755));
    SUCCEEDS(mkdir("two", 0755));
    posix_file("one/file", "text");
    SUCCEEDS(mkdir("one/folder", 0755));
    SUCCEEDS(rename("one/file", "two/file"));
    SUCCEEDS(rename("one/folder", "two/folder"));
    HOLDS("two/file", "text", 4);
    EQUAL(2, posix_stat("one").st_nlink);
    EQUAL(3, posix_stat("two").st_nlink);
    SUCCEEDS(rmdir("one"));
}

static void onto_itself_changes_nothing(void)
{
    posix_file("file", "text");
    struct stat before = posix_stat("file");
    SUCCEEDS(rename("file", "file"));
    EQUAL(before.st_ino, posix_stat("file").st_ino);
    EQUAL(before.st_mtim.tv_nsec, posix_stat("file").st_mtim.tv_nsec);
}

static void into_itself_is_einval(void)
{
    SUCCEEDS(mkdir("folder", 0755));
    SUCCEEDS(mkdir("folder/below", 0755));
    FAILS(EINVAL, rename("folder", "folder/new"));
    FAILS(EINVAL, rename("folder", "folder/below/new"));
    FAILS(ENOTEMPTY, rename("folder/below", "folder"));
}

static void of_dots_is_refused(void)
{
    SUCCEEDS(mkdir("folder", 0755));
    FAILS(EBUSY, rename("folder/.", "new"));
    FAILS(EBUSY, rename("folder", "."));
    FAILS(EBUSY, rename("folder", ".."));
}

static void of_a_file_with_a_slash_is_enotdir(void)
{
    posix_file("file", "");
    FAILS(ENOTDIR, rename("file/", "new"));
    FAILS(ENOTDIR, rename("file", "new/"));
}

static void keeps_number_contents_mode_and_time(void)
{
    posix_file("file", "text");
    SUCCEEDS(chmod("file", 0604));
    struct timespec times[2] = {{.tv_sec = 5}, {.tv_sec = 7, .tv_nsec = 123456789}};
    SUCCEEDS(utimensat(AT_FDCWD, "file", times, 0));
    struct stat before = posix_stat("file");
    SUCCEEDS(rename("file", "new"));
    struct stat after = posix_stat("new");
    EQUAL(before.st_ino, after.st_ino);
    EQUAL(0604, after.st_mode & 07777);
    EQUAL(7, after.st_mtim.tv_sec);
    EQUAL(123456789, after.st_mtim.tv_nsec);
    HOLDS("new", "text", 4);
}

static void changes_both_folders_times(void)
{
    struct timespec old[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    SUCCEEDS(mkdir("one", 0755));
    SUCCEEDS(mkdir("two", 0755));
    posix_file("one/file", "");
    SUCCEEDS(utimensat(AT_FDCWD, "one", old, 0));
    SUCCEEDS(utimensat(AT_FDCWD, "two", old, 0));
    SUCCEEDS(rename("one/file", "two/file"));
    TRUE(posix_stat("one").st_mtim.tv_sec > 1 && posix_stat("two").st_mtim.tv_sec > 1);
}

static void replaced_open_file_lives_on(void)
{
    int old = posix_new("to");
    EQUAL(3, write(old, "old", 3));
    posix_file("from", "new");
    SUCCEEDS(rename("from", "to"));
    char text[4];
    EQUAL(3, pread(old, text, 4, 0));
    EQUAL(0, memcmp(text, "old", 3));
    struct stat st;
    SUCCEEDS(fstat(old, &st));
    EQUAL(0, st.st_nlink);
    EQUAL(3, pwrite(old, "OLD", 3, 0));
    HOLDS("to", "new", 3);
}

static void open_file_is_written_under_its_new_name(void)
{
    int fd = posix_new("file");
    EQUAL(3, write(fd, "one", 3));
    SUCCEEDS(rename("file", "new"));
    EQUAL(4, write(fd, " two", 4));
    HOLDS("new", "one two", 7);
}

static void folder_takes_what_is_in_it(void)
{
    SUCCEEDS(mkdir("folder", 0755));
    SUCCEEDS(mkdir("folder/below", 0755));
    posix_file("folder/below/file", "text");
    SUCCEEDS(rename("folder", "moved"));
    HOLDS("moved/below/file", "text", 4);
    FAILS(ENOENT, access("folder/below/file", F_OK));
}

static void current_folder_is_renamed(void)
{
    SUCCEEDS(mkdir("folder", 0755));
    SUCCEEDS(chdir("folder"));
    SUCCEEDS(rename("../folder", "../moved"));
    posix_file("file", "text");
    HOLDS("../moved/file", "text", 4);
    char path[4096];
    TRUE(getcwd(path, sizeof path) && strstr(path, "/moved"));
}

static void moved_folder_has_another_parent(void)
{
    SUCCEEDS(mkdir("one", 0755));
    SUCCEEDS(mkdir("one/folder", 0755));
    SUCCEEDS(mkdir("two", 0755));
    SUCCEEDS(rename("one/folder", "two/folder"));
    EQUAL(posix_stat("two").st_ino, posix_stat("two/folder/..").st_ino);
}

static void closed_folders_are_eacces(void)
{
    SUCCEEDS(mkdir("closed", 0755));
    posix_file("closed/file", "");
    posix_file("file", "");
    SUCCEEDS(chmod("closed", 0555));
    posix_drop_privileges();
    FAILS(EACCES, rename("closed/file", "new"));
    FAILS(EACCES, rename("file", "closed/new"));
    FAILS(EACCES, rename("file", "closed/file"));
}

static void noreplace(void)
{
    posix_file("file", "text");
    posix_file("there", "kept");
    FAILS(EEXIST, renameat2(AT_FDCWD, "file", AT_FDCWD, "there", RENAME_NOREPLACE));
    HOLDS("there", "kept", 4);
    SUCCEEDS(renameat2(AT_FDCWD, "file", AT_FDCWD, "new", RENAME_NOREPLACE));
    HOLDS("new", "text", 4);
    FAILS(EEXIST, renameat2(AT_FDCWD, "new", AT_FDCWD, "new", RENAME_NOREPLACE));
    FAILS(ENOENT, renameat2(AT_FDCWD, "missing", AT_FDCWD, "x", RENAME_NOREPLACE));
}

static void exchange(void)
{
    posix_file("one", "1");
    SUCCEEDS(mkdir("two", 0755));
    if (posix_differs(POSIX_EXCHANGE)) {
        FAILS(EINVAL, renameat2(AT_FDCWD, "one", AT_FDCWD, "two", RENAME_EXCHANGE));
        TRUE(S_ISREG(posix_stat("one").st_mode) && S_ISDIR(posix_stat("two").st_mode));
        return;
    }
    SUCCEEDS(renameat2(AT_FDCWD, "one", AT_FDCWD, "two", RENAME_EXCHANGE));
    TRUE(S_ISDIR(posix_stat("one").st_mode) && S_ISREG(posix_stat("two").st_mode));
}

static void exchange_with_nothing_is_enoent(void)
{
    posix_file("one", "1");
    FAILS(ENOENT, renameat2(AT_FDCWD, "one", AT_FDCWD, "two", RENAME_EXCHANGE));
}

static void bad_flags_are_einval(void)
{
    posix_file("one", "1");
    FAILS(EINVAL, renameat2(AT_FDCWD, "one", AT_FDCWD, "two", RENAME_NOREPLACE | RENAME_EXCHANGE));
    FAILS(EINVAL, renameat2(AT_FDCWD, "one", AT_FDCWD, "two", 1u << 30));
}

static void to_another_file_system_is_exdev(void)
{
    posix_file("file", "");
    FAILS(EXDEV, rename("file", "/proc/none"));
}

static void temporary_name_then_rename(void)
{
    posix_file("file", "old");
    for (int i = 0; i < 20; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        posix_file("file.tmp", text);
        SUCCEEDS(rename("file.tmp", "file"));
        HOLDS("file", text, strlen(text));
    }
}

static void chain_of_renames_keeps_all(void)
{
    posix_file("a", "a");
    posix_file("b", "b");
    SUCCEEDS(rename("a", "tmp"));
    SUCCEEDS(rename("b", "a"));
    SUCCEEDS(rename("tmp", "b"));
    HOLDS("a", "b", 1);
    HOLDS("b", "a", 1);
}

static void to_a_name_that_was_missing_before(void)
{
    FAILS(ENOENT, access("new", F_OK)); /* the kernel may remember that */
    posix_file("file", "text");
    SUCCEEDS(rename("file", "new"));
    HOLDS("new", "text", 4);
    FAILS(ENOENT, access("file", F_OK));
}

static void deep_tree_below_the_limit(void)
{
    SUCCEEDS(mkdir("tree", 0755));
    SUCCEEDS(chdir("tree"));
    for (int i = 0; i < 40; i++) {
        SUCCEEDS(mkdir("f", 0755));
        SUCCEEDS(chdir("f"));
    }
    int top = (int)SUCCEEDS(open("/", O_RDONLY));
    SUCCEEDS(close(top));
    for (int i = 0; i < 41; i++)
        SUCCEEDS(chdir(".."));
    SUCCEEDS(mkdir("deep", 0755));
    SUCCEEDS(chdir("deep"));
    for (int i = 0; i < 30; i++) {
        SUCCEEDS(mkdir("f", 0755));
        SUCCEEDS(chdir("f"));
    }
    char to[200] = "";
    for (int i = 0; i < 31; i++)
        strcat(to, "../");
    strcat(to, "tree");
    if (posix_differs(POSIX_DEPTH))
        FAILS(ELOOP, rename(to, "moved"));
    else
        SUCCEEDS(rename(to, "moved"));
}

static const struct posix_case cases[] = {
    POSIX_CASE(between_folders),
    POSIX_CASE(onto_itself_changes_nothing),
    POSIX_CASE(into_itself_is_einval),
    POSIX_CASE(of_dots_is_refused),
    POSIX_CASE(of_a_file_with_a_slash_is_enotdir),
    POSIX_CASE(keeps_number_contents_mode_and_time),
    POSIX_CASE(changes_both_folders_times),
    POSIX_CASE(replaced_open_file_lives_on),
    POSIX_CASE(open_file_is_written_under_its_new_name),
    POSIX_CASE(folder_takes_what_is_in_it),
    POSIX_CASE(current_folder_is_renamed),
    POSIX_CASE(moved_folder_has_another_parent),
    POSIX_CASE(closed_folders_are_eacces),
    POSIX_CASE(noreplace),
    POSIX_CASE(exchange),
    POSIX_CASE(exchange_with_nothing_is_enoent),
    POSIX_CASE(bad_flags_are_einval),
    POSIX_CASE(to_another_file_system_is_exdev),
    POSIX_CASE(temporary_name_then_rename),
    POSIX_CASE(chain_of_renames_keeps_all),
    POSIX_CASE(to_a_name_that_was_missing_before),
    POSIX_CASE(deep_tree_below_the_limit),
};

POSIX_THEME(rename, cases, POSIX_WRITABLE);
