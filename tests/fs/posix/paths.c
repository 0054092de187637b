/* SPDX-License-Identifier: MIT */
/* Every call that takes a path, with every path that cannot be walked. */
#include "tests/fs/posix/posix.h"

#include <stdio.h>
#include <sys/statfs.h>
#include <sys/types.h>
#include <sys/xattr.h>

static int call_open(const char *path)
{
    return open(path, O_RDONLY);
}

static int call_open_to_write(const char *path)
{
    return open(path, O_RDWR);
}

static int call_creat(const char *path)
{
    return creat(path, 0644);
}

static int call_open_folder(const char *path)
{
    return open(path, O_RDONLY | O_DIRECTORY);
}

static int call_stat(const char *path)
{
    struct stat st;
    return stat(path, &st);
}

static int call_lstat(const char *path)
{
    struct stat st;
    return lstat(path, &st);
}

static int call_statfs(const char *path)
{
    struct statfs st;
    return statfs(path, &st);
}

static int call_access(const char *path)
{
    return access(path, F_OK);
}

static int call_chmod(const char *path)
{
    return chmod(path, 0600);
}

static int call_chown(const char *path)
{
    return chown(path, geteuid(), getegid());
}

static int call_lchown(const char *path)
{
    return lchown(path, geteuid(), getegid());
}

static int call_truncate(const char *path)
{
    return truncate(path, 1);
}

static int call_utimens(const char *path)
{
    return utimensat(AT_FDCWD, path, NULL, 0);
}

static int call_lutimens(const char *path)
{
    return utimensat(AT_FDCWD, path, NULL, AT_SYMLINK_NOFOLLOW);
}

static int call_mkdir(const char *path)
{
    return mkdir(path, 0755);
}

static int call_mknod(const char *path)
{
    return mknod(path, S_IFREG | 0644, 0);
}

static int call_symlink(const char *path)
{
    return symlink("target", path);
}

static int call_readlink(const char *path)
{
    char target[10];
    return (int)readlink(path, target, sizeof target);
}

static int call_link_from(const char *path)
{
    return link(path, "new");
}

static int call_link_to(const char *path)
{
    return link("here", path);
}

static int call_rename_from(const char *path)
{
    return rename(path, "new");
}

static int call_rename_to(const char *path)
{
    return rename("here", path);
}

static int call_getxattr(const char *path)
{
    char value[10];
    return (int)getxattr(path, "user.none", value, sizeof value);
}

static int call_listxattr(const char *path)
{
    char names[10];
    return (int)listxattr(path, names, sizeof names);
}

static int call_removexattr(const char *path)
{
    return removexattr(path, "user.none");
}

static int call_execve(const char *path)
{
    char *none[] = {NULL};
    return execve(path, none, none);
}

static const struct posix_call calls[] = {
    {"open", call_open, false, true},
    {"open to write", call_open_to_write, false, true},
    {"creat", call_creat, true, true},
    {"open a folder", call_open_folder, false, true},
    {"stat", call_stat, false, true},
    {"lstat", call_lstat, false, false},
    {"statfs", call_statfs, false, true},
    {"access", call_access, false, true},
    {"chmod", call_chmod, false, true},
    {"chown", call_chown, false, true},
    {"lchown", call_lchown, false, false},
    {"truncate", call_truncate, false, true},
    {"utimens", call_utimens, false, true},
    {"lutimens", call_lutimens, false, false},
    {"mkdir", call_mkdir, true, false},
    {"rmdir", rmdir, false, false},
    {"mknod", call_mknod, true, false},
    {"unlink", unlink, false, false},
    {"symlink", call_symlink, true, false},
    {"readlink", call_readlink, false, false},
    {"link from", call_link_from, false, false},
    {"link to", call_link_to, true, false},
    {"rename from", call_rename_from, false, false},
    {"rename to", call_rename_to, true, false},
    {"chdir", chdir, false, true},
    {"getxattr", call_getxattr, false, true},
    {"listxattr", call_listxattr, false, true},
    {"removexattr", call_removexattr, false, true},
    {"execve", call_execve, false, true},
};

/* A path that cannot be walked, and what that is called. */
struct fault {
    const char *name;
    const char *(*path)(void);
    int number;
    enum { ALWAYS, UNLESS_IT_MAKES, IF_IT_FOLLOWS } when;
};

static const char *missing(void)
{
    return "missing";
}

static const char *missing_parent(void)
{
    return "missing/name";
}

static const char *below_a_file(void)
{
    return "here/name";
}

static const char *empty(void)
{
    return "";
}

static const char *bad_address(void)
{
    return (const char *)(uintptr_t)1;
}

static const char *name_of_256(void)
{
    return posix_long_name(256);
}

static const char *parent_of_256(void)
{
    static char path[300];
    snprintf(path, sizeof path, "%s/x", posix_long_name(256));
    return path;
}

static const char *path_of_4096(void)
{
    return posix_long_path(4096);
}

static const char *through_a_loop(void)
{
    return "loop/name";
}

static const char *a_loop(void)
{
    return "loop";
}

static const char *dangling_parent(void)
{
    return "dangling/name";
}

static const char *closed_folder(void)
{
    return "closed/name";
}

static const struct fault faults[] = {
    {"missing is ENOENT", missing, ENOENT, UNLESS_IT_MAKES},
    {"missing parent is ENOENT", missing_parent, ENOENT, ALWAYS},
    {"dangling parent is ENOENT", dangling_parent, ENOENT, ALWAYS},
    {"below a file is ENOTDIR", below_a_file, ENOTDIR, ALWAYS},
    {"empty path is ENOENT", empty, ENOENT, ALWAYS},
    {"bad address is EFAULT", bad_address, EFAULT, ALWAYS},
    {"name of 256 is ENAMETOOLONG", name_of_256, ENAMETOOLONG, ALWAYS},
    {"parent of 256 is ENAMETOOLONG", parent_of_256, ENAMETOOLONG, ALWAYS},
    {"path of 4096 is ENAMETOOLONG", path_of_4096, ENAMETOOLONG, ALWAYS},
    {"through a loop is ELOOP", through_a_loop, ELOOP, ALWAYS},
    {"a loop is ELOOP", a_loop, ELOOP, IF_IT_FOLLOWS},
    {"closed folder is EACCES", closed_folder, EACCES, ALWAYS},
};

enum { N_CALLS = sizeof calls / sizeof *calls, N_FAULTS = sizeof faults / sizeof *faults };

static bool applies(const struct posix_call *call, const struct fault *fault)
{
    return fault->when == ALWAYS || (fault->when == UNLESS_IT_MAKES && !call->makes) ||
           (fault->when == IF_IT_FOLLOWS && call->follows);
}

static bool name_nth(size_t n, char *out, size_t room)
{
    const struct posix_call *call = &calls[n / N_FAULTS];
    const struct fault *fault = &faults[n % N_FAULTS];
    snprintf(out, room, "%s: %s", call->name, fault->name);
    return applies(call, fault);
}

static void run_nth(size_t n)
{
    posix_file("here", "x");
    SUCCEEDS(symlink("loop", "loop"));
    SUCCEEDS(symlink("nowhere", "dangling"));
    SUCCEEDS(mkdir("closed", 0));
    posix_drop_privileges();
    FAILS(faults[n % N_FAULTS].number, calls[n / N_FAULTS].call(faults[n % N_FAULTS].path()));
}

const struct posix_theme posix_paths = {.name = "paths",
                                        .kinds = POSIX_WRITABLE,
                                        .n = N_CALLS * N_FAULTS,
                                        .name_nth = name_nth,
                                        .run_nth = run_nth};
