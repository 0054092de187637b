/* SPDX-License-Identifier: MIT */
/* Expectations, and the files that cases need. */
#include "tests/fs/posix/posix.h"

#include <linux/capability.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

int posix_report_fd = STDERR_FILENO;

__attribute__((format(printf, 3, 4))) _Noreturn static void failed(const char *file, int line,
                                                                   const char *format, ...)
{
    char text[600];
    const char *slash = strrchr(file, '/');
    int n = snprintf(text, sizeof text, "%s:%d: ", slash ? slash + 1 : file, line);
    va_list args;
    va_start(args, format);
    vsnprintf(text + n, sizeof text - (size_t)n, format, args);
    va_end(args);
    (void)!write(posix_report_fd, text, strlen(text));
    _exit(POSIX_FAILED);
}

_Noreturn void posix_skip(const char *why)
{
    (void)!write(posix_report_fd, why, strlen(why));
    _exit(POSIX_SKIPPED);
}

long posix_succeeds(const char *file, int line, const char *call, long result)
{
    if (result == -1)
        failed(file, line, "%s: expected success, got %s", call, strerrorname_np(errno));
    return result;
}

void posix_fails(const char *file, int line, const char *call, int number, long result)
{
    if (result != -1)
        failed(file, line, "%s: expected %s, got success", call, strerrorname_np(number));
    if (errno != number)
        failed(file, line, "%s: expected %s, got %s", call, strerrorname_np(number),
               strerrorname_np(errno));
}

void posix_equal(const char *file, int line, const char *call, long long expected, long long got)
{
    if (expected != got)
        failed(file, line, "%s: expected %lld, got %lld", call, expected, got);
}

void posix_true(const char *file, int line, const char *condition, bool holds)
{
    if (!holds)
        failed(file, line, "%s: expected to hold, got that it does not", condition);
}

void posix_holds(const char *file, int line, const char *name, const void *bytes, size_t size)
{
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    char *got = malloc(size + 1);
    size_t n = 0;
    if (fd < 0 || !got)
        failed(file, line, "open %s: expected success, got %s", name, strerrorname_np(errno));
    for (ssize_t r = 1; r > 0 && n <= size; n += (size_t)(r > 0 ? r : 0)) {
        r = read(fd, got + n, size + 1 - n);
        if (r < 0)
            failed(file, line, "read %s: expected bytes, got %s", name, strerrorname_np(errno));
    }
    if (n != size)
        failed(file, line, "size of %s: expected %zu, got %zu%s", name, size, n,
               n > size ? " or more" : "");
    for (size_t i = 0; i < size; i++)
        if (got[i] != ((const char *)bytes)[i])
            failed(file, line, "byte %zu of %s: expected %d, got %d", i, name,
                   ((const unsigned char *)bytes)[i], (unsigned char)got[i]);
    free(got);
    close(fd);
}

void posix_file(const char *name, const char *text)
{
    int fd = (int)SUCCEEDS(open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    EQUAL(strlen(text), write(fd, text, strlen(text)));
    SUCCEEDS(close(fd));
}

unsigned char posix_byte(size_t offset)
{
    return (unsigned char)(offset * 2654435761u >> 13);
}

void posix_sized(const char *name, size_t size)
{
    int fd = posix_new(name);
    unsigned char block[4096];
    for (size_t at = 0; at < size;) {
        size_t n = size - at < sizeof block ? size - at : sizeof block;
        for (size_t i = 0; i < n; i++)
            block[i] = posix_byte(at + i);
        EQUAL(n, write(fd, block, n));
        at += n;
    }
    SUCCEEDS(close(fd));
}

int posix_new(const char *name)
{
    return (int)SUCCEEDS(open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
}

struct stat posix_stat(const char *name)
{
    struct stat st;
    SUCCEEDS(lstat(name, &st));
    return st;
}

void posix_drop_privileges(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}};
    if (geteuid() == 0)
        SUCCEEDS(syscall(SYS_capset, &header, none));
}

const char *posix_long_name(size_t size)
{
    static char name[5000];
    memset(name, 'n', size);
    name[size] = '\0';
    return name;
}

const char *posix_long_path(size_t size)
{
    static char path[5000];
    size_t n = 0, tail = strlen("file");
    if ((size - tail) % 2)
        n += (size_t)sprintf(path, ".//");
    for (; n < size - tail; n += 2)
        memcpy(path + n, "./", 2);
    memcpy(path + n, "file", tail + 1);
    return path;
}

int posix_in_child(int (*child)(void))
{
    pid_t pid = (pid_t)SUCCEEDS(fork());
    int status;
    if (pid == 0)
        _exit(child());
    SUCCEEDS(waitpid(pid, &status, 0));
    TRUE(WIFEXITED(status));
    return WEXITSTATUS(status);
}
