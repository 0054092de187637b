/* SPDX-License-Identifier: MIT */
/* The thread that waits for the end. */
#include "tools/ftxfs/ending.h"

#include "transport/base/log.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { STEP_MS = 50, END_MS = 4000 };

static struct {
    pthread_mutex_t lock;
    struct ftx_mount *mount; /* NULL: its loop has ended */
    const char *path;
    pthread_t main;
} ending = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void end_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
}

static void on_wake(int number)
{
    (void)number; /* its coming interrupts what the main thread waits in */
}

void ftx_ending_prepare(void)
{
    sigset_t set;
    struct sigaction wake = {.sa_handler = on_wake};
    sigaction(SIGUSR1, &wake, NULL);
    end_signals(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* Again and again: a signal that comes just before the main thread begins to wait wakes nobody. */
static void leave_loop(void)
{
    pthread_mutex_lock(&ending.lock);
    if (ending.mount) {
        ftx_mount_end(ending.mount);
        pthread_kill(ending.main, SIGUSR1);
    }
    pthread_mutex_unlock(&ending.lock);
}

static void *run(void *arg)
{
    sigset_t set;
    int number;
    (void)arg;
    end_signals(&set);
    while (sigwait(&set, &number))
        ;
    for (int ms = 0; ms < END_MS; ms += STEP_MS) {
        leave_loop();
        nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000000L}, NULL);
    }
    ftx_log(FTX_LOG_ERROR,
            "it did not end by itself within %d s and is ended: nothing is lost, the "
            "next mount goes on from here",
            END_MS / 1000);
    (void)ftx_mount_detach(ending.path);
    _exit(0);
}

int ftx_ending_start(struct ftx_mount *mount, const char *path)
{
    pthread_t thread;
    ending.mount = mount;
    ending.path = path;
    ending.main = pthread_self();
    int err = pthread_create(&thread, NULL, run, NULL);
    return err ? -err : -pthread_detach(thread);
}

void ftx_ending_begun(void)
{
    pthread_mutex_lock(&ending.lock);
    ending.mount = NULL;
    pthread_mutex_unlock(&ending.lock);
    kill(getpid(), SIGTERM); /* the clock begins to run, if it does not already */
}
