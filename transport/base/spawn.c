/* SPDX-License-Identifier: MIT */
/* posix_spawn with what a daemon has to clear away. */
#include "transport/base/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <unistd.h>

enum { FILES_USUAL = 1024 };

static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, ours;
    int err;
    sigemptyset(&none);
    sigemptyset(&ours);
    sigaddset(&ours, SIGPIPE);
    if ((err = posix_spawnattr_setsigmask(attributes, &none)) == 0 &&
        (err = posix_spawnattr_setsigdefault(attributes, &ours)) == 0 &&
        (err = posix_spawnattr_setpgroup(attributes, 0)) == 0)
        err = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                       POSIX_SPAWN_SETPGROUP);
    return -err;
}

static int set_files(posix_spawn_file_actions_t *files, const struct ftx_spawn *spawn)
{
    int err;
    if ((err = posix_spawn_file_actions_addopen(files, 0, "/dev/null", O_RDONLY, 0)) == 0 &&
        (err = posix_spawn_file_actions_adddup2(files, spawn->out_fd, 1)) == 0)
        err = spawn->err_too ? posix_spawn_file_actions_adddup2(files, 1, 2)
                             : posix_spawn_file_actions_addopen(files, 2, "/dev/null", O_WRONLY, 0);
    if (err == 0)
        err = posix_spawn_file_actions_addclosefrom_np(files, 3);
    if (err == 0)
        err = posix_spawn_file_actions_addchdir_np(files, "/");
    return -err;
}

/* Some programs try each number below the limit of files, which is high for us. */
static void lower_limits(pid_t pid)
{
    struct rlimit files;
    if (prlimit(pid, RLIMIT_NOFILE, NULL, &files) < 0 || files.rlim_cur <= FILES_USUAL)
        return;
    files.rlim_cur = FILES_USUAL;
    prlimit(pid, RLIMIT_NOFILE, &files, NULL);
}

int ftx_spawn(const struct ftx_spawn *spawn, pid_t *out_pid)
{
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t files;
    char *const *envp = spawn->envp ? spawn->envp : environ;
    int err = -posix_spawnattr_init(&attributes);
    if (err < 0)
        return err;
    err = -posix_spawn_file_actions_init(&files);
    if (err < 0)
        goto fail_attributes;
    if ((err = set_attributes(&attributes)) == 0 && (err = set_files(&files, spawn)) == 0)
        err = spawn->search
                  ? -posix_spawnp(out_pid, spawn->argv[0], &files, &attributes, spawn->argv, envp)
                  : -posix_spawn(out_pid, spawn->argv[0], &files, &attributes, spawn->argv, envp);
    if (err == 0)
        lower_limits(*out_pid);
    posix_spawn_file_actions_destroy(&files);

fail_attributes:
    posix_spawnattr_destroy(&attributes);
    return err;
}
