/* SPDX-License-Identifier: MIT */
/*
 * What a program may expect of a folder, case by case. Each case runs in a process of its own whose
 * current folder is new and empty (or, in an inbox and in .ftx, the folder that is looked at); it
 * ends at the first expectation that does not hold.
 */
#ifndef FTX_TESTS_POSIX_H
#define FTX_TESTS_POSIX_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

/* What kind of folder it is; LOCAL is any other file system, which the expectations come from. */
enum posix_kind { POSIX_LOCAL = 1, POSIX_OUTBOX = 2, POSIX_INBOX = 4, POSIX_CONTROL = 8 };

enum { POSIX_WRITABLE = POSIX_LOCAL | POSIX_OUTBOX };

struct posix_case {
    const char *name;
    void (*run)(void);
};

/* A call with a path, and whether its last name is followed when it is a link. */
struct posix_call {
    const char *name;
    int (*call)(const char *path);
    bool makes;   /* the path need not exist */
    bool follows; /* a link at its end */
};

/* A file of cases, for the kinds of folder that it holds in. Where `cases` is NULL, they come from
 * tables of its own; name_nth is false for a number that stands for none. */
struct posix_theme {
    const char *name;
    unsigned kinds;
    size_t n;
    const struct posix_case *cases;
    bool (*name_nth)(size_t n, char *out, size_t room);
    void (*run_nth)(size_t n);
};

extern const struct posix_theme posix_paths, posix_open, posix_tree, posix_rename_kinds,
    posix_rename, posix_data, posix_space, posix_maps, posix_attr, posix_list, posix_locks,
    posix_inbox, posix_control;

/* Where an outbox is not like a local file system; --differences prints why. */
enum posix_difference {
    POSIX_HARD_LINKS,
    POSIX_DEVICES,
    POSIX_OWNERS,
    POSIX_SPECIAL_BITS,
    POSIX_ACCESS_TIMES,
    POSIX_CONTROL_BYTES,
    POSIX_DEPTH,
    POSIX_RESERVED_NAME,
    POSIX_EXCHANGE,
    POSIX_TMPFILE,
    POSIX_DIRECT_MAPS,
    POSIX_HOLES_OF_WRITERS,
    POSIX_FALLOCATE_SHIFTS,
    POSIX_SMALL_HOLES,
};
bool posix_differs(enum posix_difference what);

extern enum posix_kind posix_kind;
extern int posix_report_fd; /* takes the sentence about a case's end */

enum { POSIX_FAILED = 1, POSIX_SKIPPED = 77 }; /* exit codes of a case */

/* -- expectations: the case ends where one does not hold -- */

#define SUCCEEDS(call) posix_succeeds(__FILE__, __LINE__, #call, (errno = 0, (long)(call)))
#define FAILS(number, call)                                                                        \
    posix_fails(__FILE__, __LINE__, #call, number, (errno = 0, (long)(call)))
#define EQUAL(expected, got)                                                                       \
    posix_equal(__FILE__, __LINE__, #got, (long long)(expected), (long long)(got))
#define TRUE(condition)          posix_true(__FILE__, __LINE__, #condition, condition)
#define HOLDS(name, bytes, size) posix_holds(__FILE__, __LINE__, name, bytes, size)

long posix_succeeds(const char *file, int line, const char *call, long result);
void posix_fails(const char *file, int line, const char *call, int number, long result);
void posix_equal(const char *file, int line, const char *call, long long expected, long long got);
void posix_true(const char *file, int line, const char *condition, bool holds);
/* The file has exactly these bytes. */
void posix_holds(const char *file, int line, const char *name, const void *bytes, size_t size);
/* The case cannot be tried here, which is said and counted. */
_Noreturn void posix_skip(const char *why);

/* -- what cases need -- */

/* Makes a file with this text; mode 0644. */
void posix_file(const char *name, const char *text);
/* Makes a file of so many bytes of posix_byte(offset). */
void posix_sized(const char *name, size_t size);
unsigned char posix_byte(size_t offset);
/* A new file, open for reading and writing. */
int posix_new(const char *name);
struct stat posix_stat(const char *name);
/* Root becomes like any owner: the permission bits hold for it. */
void posix_drop_privileges(void);
/* A name of so many bytes; static. */
const char *posix_long_name(size_t size);
/* A path of so many bytes that ends with "file"; static. */
const char *posix_long_path(size_t size);
/* Runs `child` in another process; its exit code. */
int posix_in_child(int (*child)(void));

/* Makes the tree that the inbox's cases look at. */
void posix_prepare(void);

#define POSIX_CASE(function)                                                                       \
    {                                                                                              \
        .name = #function, .run = function                                                         \
    }
#define POSIX_THEME(theme, table, where)                                                           \
    const struct posix_theme posix_##theme = {                                                     \
        .name = #theme, .cases = table, .n = sizeof(table) / sizeof *(table), .kinds = where}

#endif
