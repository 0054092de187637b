/* SPDX-License-Identifier: MIT */
/* open(2), its flags, and what a handle then may do. */
#include "tests/fs/posix/posix.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

static void creates_with_the_mode_less_the_umask(void)
{
    umask(027);
    SUCCEEDS(open("file", O_WRONLY | O_CREAT, 0666));
    EQUAL(0640, posix_stat("file").st_mode & 07777);
}

static void create_of_an_existing_file_opens_it(void)
{
    posix_file("file", "kept");
    SUCCEEDS(open("file", O_WRONLY | O_CREAT, 0600));
    HOLDS("file", "kept", 4);
    EQUAL(0644, posix_stat("file").st_mode & 07777);
}

static void excl_of_an_existing_file_is_eexist(void)
{
    posix_file("file", "");
    FAILS(EEXIST, open("file", O_WRONLY | O_CREAT | O_EXCL, 0600));
}

static void excl_of_a_folder_is_eexist(void)
{
    SUCCEEDS(mkdir("folder", 0755));
    FAILS(EEXIST, open("folder", O_RDONLY | O_CREAT | O_EXCL, 0600));
}

static void excl_of_a_dangling_link_is_eexist(void)
{
    SUCCEEDS(symlink("nowhere", "link"));
    FAILS(EEXIST, open("link", O_WRONLY | O_CREAT | O_EXCL, 0600));
}

static void create_through_a_dangling_link_makes_its_target(void)
{
    SUCCEEDS(symlink("target", "link"));
    SUCCEEDS(open("link", O_WRONLY | O_CREAT, 0600));
    TRUE(S_ISREG(posix_stat("target").st_mode));
}

static void create_with_a_slash_at_the_end_is_eisdir(void)
{
    FAILS(EISDIR, open("file/", O_WRONLY | O_CREAT, 0600));
}

static void create_changes_the_folders_times(void)
{
    struct timespec old[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    SUCCEEDS(utimensat(AT_FDCWD, ".", old, 0));
    posix_file("file", "");
    TRUE(posix_stat(".").st_mtim.tv_sec > 1);
}

static void file_made_without_owner_rights_is_written_by_its_maker(void)
{
    posix_drop_privileges();
    int fd = (int)SUCCEEDS(open("file", O_RDWR | O_CREAT | O_EXCL, 0));
    EQUAL(4, write(fd, "text", 4));
    FAILS(EACCES, open("file", O_RDONLY));
}

static void trunc_empties(void)
{
    posix_file("file", "contents");
    SUCCEEDS(open("file", O_WRONLY | O_TRUNC));
    HOLDS("file", "", 0);
}

static void trunc_of_an_empty_file_changes_its_time(void)
{
    posix_file("file", "");
    struct timespec old[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    SUCCEEDS(utimensat(AT_FDCWD, "file", old, 0));
    SUCCEEDS(open("file", O_WRONLY | O_TRUNC));
    TRUE(posix_stat("file").st_mtim.tv_sec > 1);
}

static void trunc_shows_in_handles_that_are_open(void)
{
    posix_file("file", "contents");
    int fd = (int)SUCCEEDS(open("file", O_RDONLY));
    char byte;
    EQUAL(1, pread(fd, &byte, 1, 0));
    SUCCEEDS(open("file", O_WRONLY | O_TRUNC));
    EQUAL(0, pread(fd, &byte, 1, 0));
}

static void trunc_with_a_reading_handle_truncates(void)
{
    posix_file("file", "contents");
    SUCCEEDS(open("file", O_RDWR | O_TRUNC));
    EQUAL(0, posix_stat("file").st_size);
}

static void append_writes_at_the_end(void)
{
    posix_file("file", "one");
    int fd = (int)SUCCEEDS(open("file", O_WRONLY | O_APPEND));
    SUCCEEDS(lseek(fd, 0, SEEK_SET));
    EQUAL(4, write(fd, " two", 4));
    HOLDS("file", "one two", 7);
    EQUAL(7, lseek(fd, 0, SEEK_CUR));
}

static void append_sees_the_end_that_others_moved(void)
{
    int one = (int)SUCCEEDS(open("file", O_WRONLY | O_CREAT | O_APPEND, 0644));
    int two = (int)SUCCEEDS(open("file", O_WRONLY | O_APPEND));
    EQUAL(2, write(one, "ab", 2));
    EQUAL(2, write(two, "cd", 2));
    EQUAL(2, write(one, "ef", 2));
    HOLDS("file", "abcdef", 6);
}

static int append_a_hundred_lines(void)
{
    int fd = open("file", O_WRONLY | O_APPEND);
    char line[16];
    memset(line, 'a' + getpid() % 26, sizeof line);
    line[15] = '\n';
    for (int i = 0; i < 100; i++)
        if (write(fd, line, sizeof line) != sizeof line)
            return 1;
    return 0;
}

static void append_by_four_processes_loses_nothing(void)
{
    enum { N = 4 };
    posix_file("file", "");
    for (int i = 0; i < N; i++)
        if (fork() == 0)
            _exit(append_a_hundred_lines());
    for (int i = 0, status; i < N; i++) {
        SUCCEEDS(wait(&status));
        EQUAL(0, status);
    }
    EQUAL(N * 1600, posix_stat("file").st_size);
    int fd = (int)SUCCEEDS(open("file", O_RDONLY));
    char line[16];
    for (int i = 0; i < N * 100; i++) {
        EQUAL(sizeof line, read(fd, line, sizeof line));
        for (int j = 1; j < 15; j++)
            EQUAL(line[0], line[j]);
    }
}

static void directory_flag_of_a_file_is_enotdir(void)
{
    posix_file("file", "");
    FAILS(ENOTDIR, open("file", O_RDONLY | O_DIRECTORY));
}

static void directory_flag_of_a_folder_opens_it(void)
{
    SUCCEEDS(mkdir("folder", 0755));
    SUCCEEDS(open("folder", O_RDONLY | O_DIRECTORY));
}

static void folder_is_not_opened_for_writing(void)
{
    SUCCEEDS(mkdir("folder", 0755));
    FAILS(EISDIR, open("folder", O_WRONLY));
    FAILS(EISDIR, open("folder", O_RDWR));
    FAILS(EISDIR, open("folder", O_RDONLY | O_CREAT, 0644));
    FAILS(EISDIR, open("folder", O_WRONLY | O_TRUNC));
}

static void nofollow_of_a_link_is_eloop(void)
{
    posix_file("file", "");
    SUCCEEDS(symlink("file", "link"));
    FAILS(ELOOP, open("link", O_RDONLY | O_NOFOLLOW));
    SUCCEEDS(open("file", O_RDONLY | O_NOFOLLOW));
}

static void nofollow_passes_links_on_the_way(void)
{
    SUCCEEDS(mkdir("folder", 0755));
    SUCCEEDS(symlink("folder", "link"));
    posix_file("folder/file", "");
    SUCCEEDS(open("link/file", O_RDONLY | O_NOFOLLOW));
}

static void path_handle_of_a_link_is_stat_of_it(void)
{
    struct stat st;
    SUCCEEDS(symlink("nowhere", "link"));
    int fd = (int)SUCCEEDS(open("link", O_PATH | O_NOFOLLOW));
    SUCCEEDS(fstat(fd, &st));
    TRUE(S_ISLNK(st.st_mode));
    FAILS(EBADF, read(fd, &st, 1));
}

static void path_handle_needs_no_rights(void)
{
    posix_file("file", "");
    SUCCEEDS(chmod("file", 0));
    posix_drop_privileges();
    SUCCEEDS(open("file", O_PATH));
    FAILS(EACCES, open("file", O_RDONLY));
}

static void openat_works_from_a_folder(void)
{
    SUCCEEDS(mkdir("folder", 0755));
    int folder = (int)SUCCEEDS(open("folder", O_RDONLY | O_DIRECTORY));
    SUCCEEDS(openat(folder, "file", O_WRONLY | O_CREAT, 0644));
    SUCCEEDS(access("folder/file", F_OK));
    SUCCEEDS(openat(folder, "../folder/file", O_RDONLY));
}

static void openat_from_a_file_is_enotdir(void)
{
    int fd = posix_new("file");
    FAILS(ENOTDIR, openat(fd, "x", O_RDONLY));
    FAILS(EBADF, openat(999, "x", O_RDONLY));
}

static void openat_from_a_moved_folder(void)
{
    SUCCEEDS(mkdir("folder", 0755));
    int folder = (int)SUCCEEDS(open("folder", O_RDONLY | O_DIRECTORY));
    SUCCEEDS(rename("folder", "moved"));
    SUCCEEDS(openat(folder, "file", O_WRONLY | O_CREAT, 0644));
    SUCCEEDS(access("moved/file", F_OK));
}

static void create_in_a_removed_folder_is_enoent(void)
{
    SUCCEEDS(mkdir("folder", 0755));
    int folder = (int)SUCCEEDS(open("folder", O_RDONLY | O_DIRECTORY));
    SUCCEEDS(rmdir("folder"));
    FAILS(ENOENT, openat(folder, "file", O_WRONLY | O_CREAT, 0644));
    FAILS(ENOENT, mkdirat(folder, "below", 0755));
    FAILS(ENOENT, symlinkat("x", folder, "link"));
}

static void rights_are_asked(void)
{
    posix_file("file", "");
    posix_drop_privileges();
    SUCCEEDS(chmod("file", 0400));
    SUCCEEDS(open("file", O_RDONLY));
    FAILS(EACCES, open("file", O_WRONLY));
    FAILS(EACCES, open("file", O_RDWR));
    FAILS(EACCES, open("file", O_RDONLY | O_TRUNC));
    SUCCEEDS(chmod("file", 0200));
    SUCCEEDS(open("file", O_WRONLY));
    FAILS(EACCES, open("file", O_RDONLY));
    SUCCEEDS(chmod("file", 0000));
    FAILS(EACCES, open("file", O_RDONLY));
}

static void rights_of_the_folder_are_asked(void)
{
    SUCCEEDS(mkdir("folder", 0755));
    posix_file("folder/file", "");
    posix_drop_privileges();
    SUCCEEDS(chmod("folder", 0555));
    SUCCEEDS(open("folder/file", O_RDWR));
    FAILS(EACCES, open("folder/new", O_WRONLY | O_CREAT, 0644));
    SUCCEEDS(chmod("folder", 0600));
    FAILS(EACCES, open("folder/file", O_RDONLY));
    SUCCEEDS(chmod("folder", 0100));
    FAILS(EACCES, open("folder", O_RDONLY));
    SUCCEEDS(open("folder/file", O_RDONLY));
    SUCCEEDS(chmod("folder", 0755));
}

static void rights_taken_later_leave_handles_alone(void)
{
    int fd = posix_new("file");
    SUCCEEDS(chmod("file", 0));
    posix_drop_privileges();
    EQUAL(4, write(fd, "text", 4));
    char text[4];
    EQUAL(4, pread(fd, text, 4, 0));
}

static void handle_does_only_what_it_was_opened_for(void)
{
    posix_file("file", "text");
    char byte = 0;
    int reader = (int)SUCCEEDS(open("file", O_RDONLY));
    int writer = (int)SUCCEEDS(open("file", O_WRONLY));
    FAILS(EBADF, write(reader, &byte, 1));
    FAILS(EBADF, read(writer, &byte, 1));
    FAILS(EINVAL, ftruncate(reader, 0));
    FAILS(EBADF, fallocate(reader, 0, 0, 1));
}

static void folder_handle_neither_reads_nor_writes(void)
{
    char byte = 0;
    int fd = (int)SUCCEEDS(open(".", O_RDONLY));
    FAILS(EISDIR, read(fd, &byte, 1));
    FAILS(EBADF, write(fd, &byte, 1));
    FAILS(EINVAL, ftruncate(fd, 0));
}

static void tmpfile_has_no_name(void)
{
    int fd = open(".", O_TMPFILE | O_RDWR, 0600);
    if (fd < 0 && posix_differs(POSIX_TMPFILE)) {
        EQUAL(EOPNOTSUPP, errno);
        return;
    }
    SUCCEEDS(fd);
    EQUAL(4, write(fd, "text", 4));
    EQUAL(0, posix_stat(".").st_nlink > 2);
}

static void bad_flags_are_einval(void)
{
    FAILS(EINVAL, open("file", O_RDONLY | O_TMPFILE, 0600));
    FAILS(EINVAL, open("file", O_WRONLY | O_CREAT | O_DIRECTORY, 0600));
}

static void direct_handles_write_and_read(void)
{
    static _Alignas(4096) char block[8192];
    memset(block, 'd', sizeof block);
    int fd = open("file", O_RDWR | O_CREAT | O_DIRECT, 0644);
    if (fd < 0 && errno == EINVAL)
        posix_skip("no O_DIRECT here");
    SUCCEEDS(fd);
    EQUAL(sizeof block, write(fd, block, sizeof block));
    HOLDS("file", block, sizeof block);
    memset(block, 0, sizeof block);
    EQUAL(4096, pread(fd, block, 4096, 4096));
    EQUAL('d', block[4095]);
}

static void sync_handles_write(void)
{
    int fd = (int)SUCCEEDS(open("file", O_WRONLY | O_CREAT | O_SYNC, 0644));
    EQUAL(4, write(fd, "text", 4));
    int other = (int)SUCCEEDS(open("file", O_WRONLY | O_DSYNC));
    EQUAL(4, write(other, "TEXT", 4));
    HOLDS("file", "TEXT", 4);
}

static void nonblock_changes_nothing(void)
{
    int fd = (int)SUCCEEDS(open("file", O_RDWR | O_CREAT | O_NONBLOCK, 0644));
    EQUAL(4, write(fd, "text", 4));
    char text[4];
    EQUAL(4, pread(fd, text, 4, 0));
    EQUAL(0, pread(fd, text, 4, 4));
}

static void flags_change_later(void)
{
    int fd = posix_new("file");
    EQUAL(4, write(fd, "text", 4));
    SUCCEEDS(fcntl(fd, F_SETFL, O_APPEND));
    SUCCEEDS(lseek(fd, 0, SEEK_SET));
    EQUAL(4, write(fd, "more", 4));
    HOLDS("file", "textmore", 8);
    TRUE(fcntl(fd, F_GETFL) & O_APPEND);
}

static void handles_of_a_removed_file_work(void)
{
    int fd = posix_new("file");
    EQUAL(4, write(fd, "text", 4));
    SUCCEEDS(unlink("file"));
    FAILS(ENOENT, access("file", F_OK));
    EQUAL(4, pwrite(fd, "MORE", 4, 4));
    char text[8];
    EQUAL(8, pread(fd, text, 8, 0));
    EQUAL(0, memcmp(text, "textMORE", 8));
    SUCCEEDS(ftruncate(fd, 2));
    struct stat st;
    SUCCEEDS(fstat(fd, &st));
    EQUAL(2, st.st_size);
    EQUAL(0, st.st_nlink);
    SUCCEEDS(fchmod(fd, 0600));
    SUCCEEDS(fsync(fd));
    SUCCEEDS(close(fd));
}

static void name_of_a_removed_file_is_free(void)
{
    int old = posix_new("file");
    EQUAL(3, write(old, "old", 3));
    SUCCEEDS(unlink("file"));
    posix_file("file", "new");
    char text[3];
    EQUAL(3, pread(old, text, 3, 0));
    EQUAL(0, memcmp(text, "old", 3));
    HOLDS("file", "new", 3);
}

static void removed_file_is_opened_again_through_proc(void)
{
    int fd = posix_new("file");
    EQUAL(4, write(fd, "text", 4));
    SUCCEEDS(unlink("file"));
    char path[64] = "/proc/self/fd/";
    path[14] = (char)('0' + fd % 10);
    if (fd > 9)
        posix_skip("too many handles are open");
    HOLDS(path, "text", 4);
}

static void file_is_always_ready(void)
{
    struct pollfd file = {.fd = posix_new("file"), .events = POLLIN | POLLOUT};
    EQUAL(1, poll(&file, 1, 1000));
    EQUAL(POLLIN | POLLOUT, file.revents);
}

static void hundred_handles_of_one_file(void)
{
    posix_file("file", "text");
    int last = -1;
    for (int i = 0; i < 100; i++)
        last = (int)SUCCEEDS(open("file", i % 2 ? O_RDWR : O_RDONLY));
    char text[4];
    EQUAL(4, read(last, text, 4));
}

static void size_limit_of_the_process_is_efbig(void)
{
    struct rlimit limit = {.rlim_cur = 1000, .rlim_max = 1000};
    signal(SIGXFSZ, SIG_IGN);
    SUCCEEDS(setrlimit(RLIMIT_FSIZE, &limit));
    int fd = posix_new("file");
    char block[1000] = {0};
    EQUAL(1000, write(fd, block, sizeof block));
    FAILS(EFBIG, write(fd, block, 1));
    FAILS(EFBIG, ftruncate(fd, 1001));
    EQUAL(1000, posix_stat("file").st_size);
}

static void descriptors_run_out_as_emfile(void)
{
    posix_file("file", "");
    struct rlimit limit = {.rlim_cur = 8, .rlim_max = 8};
    SUCCEEDS(setrlimit(RLIMIT_NOFILE, &limit));
    for (int i = 0; i < 8; i++)
        if (open("file", O_RDONLY) < 0)
            break;
    FAILS(EMFILE, open("file", O_RDONLY));
}

static void busy_program_is_etxtbsy(void)
{
    int from = open("/bin/true", O_RDONLY), fd = posix_new("program");
    char block[65536];
    for (ssize_t n; (n = read(from, block, sizeof block)) > 0;)
        EQUAL(n, write(fd, block, (size_t)n));
    SUCCEEDS(fchmod(fd, 0755));
    char *words[] = {(char *)(uintptr_t) "program", NULL};
    FAILS(ETXTBSY, execv("./program", words));
}

static int run_the_program(void)
{
    char *words[] = {(char *)(uintptr_t) "program", NULL};
    execv("./program", words);
    return errno;
}

static void program_runs(void)
{
    int from = open("/bin/true", O_RDONLY), fd = posix_new("program");
    char block[65536];
    for (ssize_t n; (n = read(from, block, sizeof block)) > 0;)
        EQUAL(n, write(fd, block, (size_t)n));
    SUCCEEDS(fchmod(fd, 0755));
    SUCCEEDS(close(fd));
    EQUAL(0, posix_in_child(run_the_program));
}

static void program_without_the_bit_is_eacces(void)
{
    posix_file("program", "#!/bin/true\n");
    EQUAL(EACCES, posix_in_child(run_the_program));
}

static const struct posix_case cases[] = {
    POSIX_CASE(creates_with_the_mode_less_the_umask),
    POSIX_CASE(create_of_an_existing_file_opens_it),
    POSIX_CASE(excl_of_an_existing_file_is_eexist),
    POSIX_CASE(excl_of_a_folder_is_eexist),
    POSIX_CASE(excl_of_a_dangling_link_is_eexist),
    POSIX_CASE(create_through_a_dangling_link_makes_its_target),
    POSIX_CASE(create_with_a_slash_at_the_end_is_eisdir),
    POSIX_CASE(create_changes_the_folders_times),
    POSIX_CASE(file_made_without_owner_rights_is_written_by_its_maker),
    POSIX_CASE(trunc_empties),
    POSIX_CASE(trunc_of_an_empty_file_changes_its_time),
    POSIX_CASE(trunc_shows_in_handles_that_are_open),
    POSIX_CASE(trunc_with_a_reading_handle_truncates),
    POSIX_CASE(append_writes_at_the_end),
    POSIX_CASE(append_sees_the_end_that_others_moved),
    POSIX_CASE(append_by_four_processes_loses_nothing),
    POSIX_CASE(directory_flag_of_a_file_is_enotdir),
    POSIX_CASE(directory_flag_of_a_folder_opens_it),
    POSIX_CASE(folder_is_not_opened_for_writing),
    POSIX_CASE(nofollow_of_a_link_is_eloop),
    POSIX_CASE(nofollow_passes_links_on_the_way),
    POSIX_CASE(path_handle_of_a_link_is_stat_of_it),
    POSIX_CASE(path_handle_needs_no_rights),
    POSIX_CASE(openat_works_from_a_folder),
    POSIX_CASE(openat_from_a_file_is_enotdir),
    POSIX_CASE(openat_from_a_moved_folder),
    POSIX_CASE(create_in_a_removed_folder_is_enoent),
    POSIX_CASE(rights_are_asked),
    POSIX_CASE(rights_of_the_folder_are_asked),
    POSIX_CASE(rights_taken_later_leave_handles_alone),
    POSIX_CASE(handle_does_only_what_it_was_opened_for),
    POSIX_CASE(folder_handle_neither_reads_nor_writes),
    POSIX_CASE(tmpfile_has_no_name),
    POSIX_CASE(bad_flags_are_einval),
    POSIX_CASE(direct_handles_write_and_read),
    POSIX_CASE(sync_handles_write),
    POSIX_CASE(nonblock_changes_nothing),
    POSIX_CASE(flags_change_later),
    POSIX_CASE(handles_of_a_removed_file_work),
    POSIX_CASE(name_of_a_removed_file_is_free),
    POSIX_CASE(removed_file_is_opened_again_through_proc),
    POSIX_CASE(file_is_always_ready),
    POSIX_CASE(hundred_handles_of_one_file),
    POSIX_CASE(size_limit_of_the_process_is_efbig),
    POSIX_CASE(descriptors_run_out_as_emfile),
    POSIX_CASE(busy_program_is_etxtbsy),
    POSIX_CASE(program_runs),
    POSIX_CASE(program_without_the_bit_is_eacces),
};

POSIX_THEME(open, cases, POSIX_WRITABLE);
