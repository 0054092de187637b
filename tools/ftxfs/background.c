/* SPDX-License-Identifier: MIT */
/* The parent waits on a pipe: one byte means ready, end of file means that the child is gone. */
#include "tools/ftxfs/background.h"

#include "tools/ftxfs/ending.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static int ready_fd = -1;
static pid_t child;
static volatile sig_atomic_t ended_by; /* a signal that the parent got; 0: none */

/* The child has a session of its own: ^C reaches the parent alone. */
static void pass_on(int number)
{
    ended_by = number;
    kill(child, SIGTERM);
}

/* From here on a first signal ends the child and then us, a second one us at once. */
static void pass_signals_on(void)
{
    sigset_t set;
    ftx_ending_signals(&set);
    for (int number = 1; number < NSIG; number++) {
        struct sigaction action;
        if (sigismember(&set, number) != 1 || sigaction(number, NULL, &action) < 0 ||
            action.sa_handler == SIG_IGN)
            continue;
        action = (struct sigaction){.sa_handler = pass_on, .sa_flags = (int)SA_RESETHAND};
        (void)sigaction(number, &action, NULL);
    }
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void wait_for_child(int fd)
{
    char byte;
    ssize_t n;
    do
        n = read(fd, &byte, 1);
    while (n < 0 && errno == EINTR);
    if (n == 1 && !ended_by)
        _exit(0);
    int status;
    pid_t ended;
    do
        ended = waitpid(child, &status, 0);
    while (ended < 0 && errno == EINTR);
    if (ended_by)
        _exit(128 + ended_by);
    _exit(ended == child && WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

int ftx_background_fork(void)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    ftx_ending_prepare();
    child = fork();
    if (child < 0)
        return -errno;
    if (child > 0) {
        close(ends[1]);
        pass_signals_on();
        wait_for_child(ends[0]);
    }
    close(ends[0]);
    ready_fd = ends[1];
    (void)setsid();
    return 0;
}

int ftx_background_ready(void)
{
    if (ready_fd < 0)
        return 0;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; null >= 0 && fd <= 2; fd++)
        (void)dup2(null, fd);
    if (null > 2)
        close(null);
    int err = chdir("/") < 0 || write(ready_fd, "", 1) != 1 ? -errno : 0;
    close(ready_fd);
    ready_fd = -1;
    return err;
}
