/* SPDX-License-Identifier: MIT */
/* A program in a process group of its own, its output in a pipe that is read until it ends. */
#include "transport/net/program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "transport/base/err.h"
#include "transport/base/spawn.h"

enum { PIECE = 64 << 10 };

struct output {
    char *text;
    size_t size, capacity;
};

static int64_t clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Room for a piece and the NUL. */
static int grow(struct output *output)
{
    size_t wanted = output->size + PIECE + 1;
    char *text;

    if (wanted <= output->capacity)
        return 0;
    if (wanted < 2 * output->capacity)
        wanted = 2 * output->capacity;
    text = realloc(output->text, wanted);
    if (!text)
        return -ENOMEM;
    output->text = text;
    output->capacity = wanted;
    return 0;
}

/* Until the pipe ends. */
static int read_all(int fd, size_t most, int64_t until_ms, struct output *output)
{
    for (;;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        int64_t left_ms = until_ms - clock_ms();
        ssize_t n;
        int err = grow(output);

        if (err < 0)
            return err;
        if (left_ms <= 0)
            return -ETIMEDOUT;
        if (poll(&wait, 1, (int)left_ms) < 0 && errno != EINTR)
            return -errno;
        if (!wait.revents)
            continue;
        n = read(fd, output->text + output->size, PIECE);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            return 0;
        if (n > 0)
            output->size += (size_t)n;
        if (output->size > most)
            return FTX_ELIMIT;
    }
}

/* Who closed stdout may still run: until then, no longer. */
static int await_exit(pid_t pid, int64_t until_ms)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    int status;
    pid_t ended;

    while ((ended = waitpid(pid, &status, WNOHANG)) == 0 && clock_ms() < until_ms)
        nanosleep(&pause, NULL);
    if (ended == 0) {
        kill(-pid, SIGKILL);
        while ((ended = waitpid(pid, &status, 0)) < 0 && errno == EINTR)
            ;
        return -ETIMEDOUT;
    }
    return ended == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

int ftx_program_read(char *const argv[], size_t most, unsigned timeout_ms, char **out_text,
                     size_t *out_size)
{
    struct output output = {0};
    int64_t until_ms = clock_ms() + timeout_ms;
    int fds[2];
    pid_t pid;
    int err, exit_err;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    err = ftx_spawn(&(struct ftx_spawn){.argv = argv, .out_fd = fds[1], .search = true}, &pid);
    close(fds[1]);
    if (err == 0) {
        err = read_all(fds[0], most, until_ms, &output);
        if (err < 0)
            kill(-pid, SIGKILL);
        exit_err = await_exit(pid, until_ms);
        if (err == 0)
            err = exit_err;
    }
    close(fds[0]);
    if (err < 0) {
        free(output.text);
        return err;
    }
    output.text[output.size] = '\0';
    *out_text = output.text;
    *out_size = output.size;
    return 0;
}
