/* SPDX-License-Identifier: MIT */
/* The thread that waits for the end. */
#include "tools/ftxfs/ending.h"

#include "transport/base/log.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { END_S = 4 };

static struct {
    pthread_mutex_t lock;
    struct ftx_mount *mount; /* NULL: its loop has ended */
    const char *path;
} ending = {.lock = PTHREAD_MUTEX_INITIALIZER};

void ftx_ending_signals(sigset_t *out_set)
{
    sigemptyset(out_set);
    sigaddset(out_set, SIGTERM);
    sigaddset(out_set, SIGINT);
    sigaddset(out_set, SIGHUP);
}

void ftx_ending_prepare(void)
{
    sigset_t set;
    ftx_ending_signals(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void end_serving(void)
{
    pthread_mutex_lock(&ending.lock);
    if (ending.mount)
        ftx_mount_end(ending.mount);
    pthread_mutex_unlock(&ending.lock);
}

static void *run(void *arg)
{
    sigset_t set;
    int number;
    (void)arg;
    ftx_ending_signals(&set);
    while (sigwait(&set, &number))
        ;
    end_serving();
    nanosleep(&(struct timespec){.tv_sec = END_S}, NULL);
    ftx_log(FTX_LOG_ERROR,
            "it did not end by itself within %d s and is ended: nothing is lost, the "
            "next mount goes on from here",
            END_S);
    (void)ftx_mount_detach(ending.path);
    _exit(0);
}

int ftx_ending_start(struct ftx_mount *mount, const char *path)
{
    pthread_t thread;
    ending.mount = mount;
    ending.path = path;
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
