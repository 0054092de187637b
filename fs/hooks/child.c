/* SPDX-License-Identifier: MIT */
/* Its output comes through a pipe that is read while it runs; its end through a pidfd. */
#include "fs/hooks/child.h"

#include "transport/base/err.h"
#include "transport/base/log.h"
#include "transport/base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int fail(struct ftx_hook_call *call, int err)
{
    ftx_log(FTX_LOG_WARNING, "hook %s does not start: %s", call->hook, ftx_err_text(err));
    ftx_hook_call_free(call);
    return err;
}

int ftx_hook_child_start(struct ftx_hook_child *child, const char *path, struct ftx_hook_call *call,
                         int64_t until_ms)
{
    char *argv[] = {(char *)path, (char *)call->event, call->path, NULL};
    int fds[2];
    pid_t pid;
    if (pipe2(fds, O_CLOEXEC) < 0)
        return fail(call, -errno);
    int err = ftx_spawn(
        &(struct ftx_spawn){.argv = argv, .envp = call->env, .out_fd = fds[1], .err_too = true},
        &pid);
    close(fds[1]);
    int pid_fd = err ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
    if (!err && pid_fd < 0) {
        err = -errno;
        kill(-pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    if (!err)
        err = fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
    if (err) {
        close(fds[0]);
        return fail(call, err);
    }
    *child = (struct ftx_hook_child){
        .call = call, .pid = pid, .pid_fd = pid_fd, .out_fd = fds[0], .until_ms = until_ms};
    return 0;
}

static void say_line(struct ftx_hook_child *child)
{
    if (child->n_lines++ < FTX_HOOK_LINES_MAX)
        ftx_log(FTX_LOG_INFO, "hook %s: %.*s", child->call->hook, (int)child->size, child->line);
    else if (child->n_lines == FTX_HOOK_LINES_MAX + 1)
        ftx_log(FTX_LOG_INFO, "hook %s: says more than that", child->call->hook);
    child->size = 0;
}

static void take(struct ftx_hook_child *child, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] == '\n' || child->size == sizeof child->line)
            say_line(child);
        if (bytes[i] != '\n')
            child->line[child->size++] = bytes[i];
    }
}

void ftx_hook_child_read(struct ftx_hook_child *child)
{
    enum { AT_ONCE = 16 }; /* one that says a lot may not keep the others waiting */
    char bytes[4096];
    ssize_t n = 0;
    for (int i = 0; i < AT_ONCE && (n = read(child->out_fd, bytes, sizeof bytes)) > 0; i++)
        take(child, bytes, (size_t)n);
    if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
        return;
    close(child->out_fd);
    child->out_fd = -1;
}

enum ftx_hook_end ftx_hook_child_look(struct ftx_hook_child *child, int64_t now_ms,
                                      struct ftx_hook_call **out_call)
{
    enum ftx_hook_end end = FTX_HOOK_UNKNOWN;
    bool late = now_ms >= child->until_ms;
    siginfo_t info = {0};
    if (waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
        info.si_pid == 0 && !late)
        return FTX_HOOK_RUNS;
    int status = 0;
    kill(-child->pid, SIGKILL); /* its id is not given to others before we have waited for it */
    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (child->out_fd >= 0)
        ftx_hook_child_read(child);
    if (child->size)
        say_line(child);
    if (info.si_pid == 0 && now_ms != INT64_MAX)
        ftx_log(FTX_LOG_WARNING, "hook %s was ended: its time was over", child->call->hook);
    else if (info.si_pid && !WIFEXITED(status))
        ftx_log(FTX_LOG_WARNING, "hook %s was ended by signal %d", child->call->hook,
                WTERMSIG(status));
    else if (info.si_pid)
        end = WEXITSTATUS(status) == 0 ? FTX_HOOK_GOOD : FTX_HOOK_BAD;
    if (end == FTX_HOOK_BAD)
        ftx_log(FTX_LOG_INFO, "hook %s: exit status %d", child->call->hook, WEXITSTATUS(status));
    if (child->out_fd >= 0)
        close(child->out_fd);
    close(child->pid_fd);
    *out_call = child->call;
    child->call = NULL;
    return end;
}
