/* SPDX-License-Identifier: MIT */
/* Reading folders: whole, in pieces, while names come and go. */
#include "tests/fs/posix/posix.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

enum { MANY = 1000 };

static DIR *open_folder(const char *name)
{
    DIR *dir = opendir(name);
    TRUE(dir != NULL);
    return dir;
}

static void make_many(int from, int to)
{
    char name[16];
    for (int i = from; i < to; i++) {
        snprintf(name, sizeof name, "%04d", i);
        SUCCEEDS(close(posix_new(name)));
    }
}

/* The number a name of make_many stands for; -1: another name. */
static int number_of(const char *name)
{
    char *end;
    long number = strtol(name, &end, 10);
    return *end || end == name ? -1 : (int)number;
}

static void empty_folder_has_two_dots(void)
{
    int dots = 0, others = 0;
    DIR *dir = open_folder(".");
    for (struct dirent *entry; (entry = readdir(dir));)
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            dots++;
        else
            others++;
    EQUAL(2, dots);
    EQUAL(0, others);
}

static void entries_have_their_kind_and_number(void)
{
    posix_file("file", "");
    SUCCEEDS(mkdir("folder", 0755));
    SUCCEEDS(symlink("x", "link"));
    DIR *dir = open_folder(".");
    for (struct dirent *entry; (entry = readdir(dir));) {
        struct stat st = posix_stat(entry->d_name);
        EQUAL(st.st_ino, entry->d_ino);
        TRUE(entry->d_type == DT_UNKNOWN || entry->d_type == IFTODT(st.st_mode));
    }
}

static void many_are_listed_once(void)
{
    static int seen[MANY];
    make_many(0, MANY);
    DIR *dir = open_folder(".");
    for (struct dirent *entry; (entry = readdir(dir));)
        if (number_of(entry->d_name) >= 0)
            seen[number_of(entry->d_name)]++;
    for (int i = 0; i < MANY; i++)
        EQUAL(1, seen[i]);
}

static void removed_while_listed_costs_no_other(void)
{
    static int seen[MANY];
    make_many(0, MANY);
    DIR *dir = open_folder(".");
    for (struct dirent *entry; (entry = readdir(dir));) {
        int number = number_of(entry->d_name);
        if (number < 0)
            continue;
        seen[number]++;
        SUCCEEDS(unlink(entry->d_name));
    }
    for (int i = 0; i < MANY; i++)
        EQUAL(1, seen[i]);
}

static void made_while_listed_costs_no_other(void)
{
    static int seen[2 * MANY];
    make_many(0, MANY);
    DIR *dir = open_folder(".");
    int made = MANY;
    for (struct dirent *entry; (entry = readdir(dir));) {
        int number = number_of(entry->d_name);
        if (number < 0)
            continue;
        seen[number]++;
        if (made < 2 * MANY && number % 3 == 0) {
            make_many(made, made + 1);
            made++;
        }
    }
    for (int i = 0; i < MANY; i++)
        EQUAL(1, seen[i]);
    for (int i = MANY; i < made; i++)
        TRUE(seen[i] <= 1);
}

static void renamed_while_listed_is_there_at_most_twice(void)
{
    static int seen[MANY];
    make_many(0, 300);
    DIR *dir = open_folder(".");
    char name[16];
    for (struct dirent *entry; (entry = readdir(dir));) {
        int number = number_of(entry->d_name);
        if (number < 0 || number >= 300)
            continue;
        seen[number]++;
        if (number % 10 == 0) {
            snprintf(name, sizeof name, "r%04d", number);
            SUCCEEDS(rename(entry->d_name, name));
        }
    }
    for (int i = 0; i < 300; i++)
        EQUAL(1, seen[i]);
}

static void telldir_and_seekdir_come_back(void)
{
    make_many(0, 200);
    DIR *dir = open_folder(".");
    for (int i = 0; i < 100; i++)
        TRUE(readdir(dir) != NULL);
    long at = telldir(dir);
    char next[256];
    struct dirent *entry = readdir(dir);
    TRUE(entry != NULL);
    snprintf(next, sizeof next, "%s", entry->d_name);
    while (readdir(dir))
        ;
    seekdir(dir, at);
    entry = readdir(dir);
    TRUE(entry && strcmp(entry->d_name, next) == 0);
}

static void seekdir_comes_back_after_removals(void)
{
    make_many(0, 200);
    DIR *dir = open_folder(".");
    for (int i = 0; i < 100; i++)
        TRUE(readdir(dir) != NULL);
    long at = telldir(dir);
    int left = 0, kept = 0, again = 0;
    for (struct dirent *entry; (entry = readdir(dir)); left++)
        if (left % 2 && number_of(entry->d_name) >= 0)
            SUCCEEDS(unlink(entry->d_name));
        else
            kept++;
    seekdir(dir, at);
    while (readdir(dir))
        again++;
    EQUAL(kept, again);
}

static void rewinddir_sees_what_is_new(void)
{
    make_many(0, 10);
    DIR *dir = open_folder(".");
    while (readdir(dir))
        ;
    make_many(10, 20);
    rewinddir(dir);
    int n = 0;
    for (struct dirent *entry; (entry = readdir(dir));)
        n += number_of(entry->d_name) >= 0;
    EQUAL(20, n);
}

static void names_of_255_bytes_are_listed(void)
{
    char name[256];
    memcpy(name, posix_long_name(255), 256);
    for (char c = 'a'; c <= 'z'; c++) {
        name[0] = c;
        posix_file(name, "");
    }
    DIR *dir = open_folder(".");
    int n = 0;
    for (struct dirent *entry; (entry = readdir(dir));)
        n += strlen(entry->d_name) == 255;
    EQUAL(26, n);
}

static void buffer_too_small_is_einval(void)
{
    posix_file("file", "");
    int fd = (int)SUCCEEDS(open(".", O_RDONLY | O_DIRECTORY));
    char bytes[8];
    FAILS(EINVAL, syscall(SYS_getdents64, fd, bytes, sizeof bytes));
}

static void entries_of_a_file_are_enotdir(void)
{
    posix_file("file", "");
    char bytes[1000];
    FAILS(ENOTDIR, syscall(SYS_getdents64, open("file", O_RDONLY), bytes, sizeof bytes));
    TRUE(opendir("file") == NULL && errno == ENOTDIR);
}

static void unreadable_folder_is_eacces(void)
{
    SUCCEEDS(mkdir("folder", 0300));
    posix_drop_privileges();
    TRUE(opendir("folder") == NULL && errno == EACCES);
    SUCCEEDS(chdir("folder"));
    posix_file("file", "");
}

static void removed_folder_lists_nothing(void)
{
    SUCCEEDS(mkdir("folder", 0755));
    DIR *dir = open_folder("folder");
    SUCCEEDS(rmdir("folder"));
    int n = 0;
    for (struct dirent *entry; (entry = readdir(dir));)
        n += entry->d_name[0] != '.';
    EQUAL(0, n);
}

static void two_readers_do_not_mind_each_other(void)
{
    make_many(0, 100);
    DIR *one = open_folder("."), *two = open_folder(".");
    int n = 0;
    for (struct dirent *entry; (entry = readdir(one)); n++) {
        struct dirent *same = readdir(two);
        TRUE(same && same->d_ino == entry->d_ino);
    }
    EQUAL(102, n);
}

static const struct posix_case cases[] = {
    POSIX_CASE(empty_folder_has_two_dots),
    POSIX_CASE(entries_have_their_kind_and_number),
    POSIX_CASE(many_are_listed_once),
    POSIX_CASE(removed_while_listed_costs_no_other),
    POSIX_CASE(made_while_listed_costs_no_other),
    POSIX_CASE(renamed_while_listed_is_there_at_most_twice),
    POSIX_CASE(telldir_and_seekdir_come_back),
    POSIX_CASE(seekdir_comes_back_after_removals),
    POSIX_CASE(rewinddir_sees_what_is_new),
    POSIX_CASE(names_of_255_bytes_are_listed),
    POSIX_CASE(buffer_too_small_is_einval),
    POSIX_CASE(entries_of_a_file_are_enotdir),
    POSIX_CASE(unreadable_folder_is_eacces),
    POSIX_CASE(removed_folder_lists_nothing),
    POSIX_CASE(two_readers_do_not_mind_each_other),
};

POSIX_THEME(list, cases, POSIX_WRITABLE);
