/* SPDX-License-Identifier: MIT */
/* Runs the cases on a folder: posix_matrix --kind outbox|inbox|control|local FOLDER. Says a line
 * for each case that fails, then `N passed, N failed`. */
#include "tests/fs/posix/posix.h"

#include <dirent.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum { LIMIT_S = 60 /* for one case */ };

enum posix_kind posix_kind = POSIX_LOCAL;

static const struct posix_theme *const themes[] = {
    &posix_paths, &posix_open,  &posix_tree,    &posix_rename_kinds, &posix_rename,
    &posix_data,  &posix_space, &posix_maps,    &posix_attr,         &posix_list,
    &posix_locks, &posix_inbox, &posix_control,
};

static const char *const differences[] = {
    [POSIX_HARD_LINKS] = "hard links are EPERM: a file travels under one name",
    [POSIX_DEVICES] = "devices, fifos and sockets are EPERM: they do not travel",
    [POSIX_OWNERS] = "chown succeeds and is ignored: all belongs to who mounted",
    [POSIX_SPECIAL_BITS] = "setuid, setgid and sticky bits are dropped",
    [POSIX_ACCESS_TIMES] = "the access time is the modification time; setting it is ignored",
    [POSIX_CONTROL_BYTES] = "names with control bytes are EINVAL",
    [POSIX_DEPTH] =
        "more than 64 names below the link's folder are ELOOP, a path of more than 4096 "
        "bytes there ENAMETOOLONG",
    [POSIX_RESERVED_NAME] = "`.ftx` in the link's folder itself is EINVAL",
    [POSIX_EXCHANGE] = "RENAME_EXCHANGE and RENAME_WHITEOUT are EINVAL",
    [POSIX_TMPFILE] = "O_TMPFILE is EOPNOTSUPP: without hard links it could not get a name",
    [POSIX_DIRECT_MAPS] =
        "a shared mapping is ENODEV while the file's first open handle is one that "
        "only writes (private mappings work)",
    [POSIX_HOLES_OF_WRITERS] = "SEEK_HOLE shows no holes while somebody who could write through a "
                               "mapping has the file open",
    [POSIX_FALLOCATE_SHIFTS] = "FALLOC_FL_COLLAPSE_RANGE, INSERT_RANGE and UNSHARE_RANGE are "
                               "EOPNOTSUPP",
    [POSIX_SMALL_HOLES] = "st_blocks of files below 1 MiB counts holes too",
};

struct options {
    const char *folder, *only;
    bool verbose;
};

struct counts {
    unsigned passed, failed, skipped;
};

bool posix_differs(enum posix_difference what)
{
    (void)what;
    return posix_kind == POSIX_OUTBOX;
}

/* Whatever rights a case took away. */
static void remove_tree(const char *path)
{
    char below[4096];
    if (unlink(path) == 0)
        return;
    chmod(path, 0700);
    DIR *dir = opendir(path);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
        remove_tree(below);
    }
    if (dir)
        closedir(dir);
    rmdir(path);
}

static bool name_of(const struct posix_theme *theme, size_t i, char *out, size_t room)
{
    int n = snprintf(out, room, "%s/", theme->name);
    if (!theme->cases)
        return theme->name_nth(i, out + n, room - (size_t)n);
    snprintf(out + n, room - (size_t)n, "%s", theme->cases[i].name);
    return true;
}

_Noreturn static void run_case(const struct posix_theme *theme, size_t i, const char *folder,
                               int report_fd)
{
    posix_report_fd = report_fd;
    alarm(LIMIT_S);
    umask(022);
    SUCCEEDS(chdir(folder));
    if (theme->cases)
        theme->cases[i].run();
    else
        theme->run_nth(i);
    _exit(0);
}

/* Runs it in a child; what that says of its end goes to `said`. Returns the wait status. */
static int run_apart(const struct posix_theme *theme, size_t i, const char *folder, char *said,
                     size_t room)
{
    int report[2], status = -1;
    said[0] = '\0';
    if (pipe(report) < 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0)
        run_case(theme, i, folder, report[1]);
    close(report[1]);
    waitpid(pid, &status, 0);
    ssize_t n = read(report[0], said, room - 1);
    said[n > 0 ? n : 0] = '\0';
    close(report[0]);
    if (WIFSIGNALED(status))
        snprintf(said, room, "killed by %s", strsignal(WTERMSIG(status)));
    return status;
}

static void try_case(const struct posix_theme *theme, size_t i, const struct options *options,
                     struct counts *counts)
{
    static const char folder[] = "case";
    char name[200], said[1000];
    if (!name_of(theme, i, name, sizeof name) || (options->only && !strstr(name, options->only)))
        return;
    bool own_folder = theme->kinds & POSIX_WRITABLE;
    if (own_folder && mkdir(folder, 0755) < 0) {
        printf("not ok %s: mkdir: %s\n", name, strerror(errno));
        counts->failed++;
        return;
    }
    int status = run_apart(theme, i, own_folder ? folder : ".", said, sizeof said);
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    counts->passed += code == 0;
    counts->skipped += code == POSIX_SKIPPED;
    counts->failed += code != 0 && code != POSIX_SKIPPED;
    if (code == POSIX_SKIPPED)
        printf("ok %s # SKIP %s\n", name, said);
    else if (code != 0)
        printf("not ok %s: %s\n", name, said);
    else if (options->verbose)
        printf("ok %s\n", name);
    fflush(stdout);
    if (own_folder)
        remove_tree(folder);
}

static int list(void)
{
    char name[200];
    for (size_t t = 0; t < sizeof themes / sizeof *themes; t++)
        for (size_t i = 0; i < themes[t]->n; i++)
            if (name_of(themes[t], i, name, sizeof name))
                printf("%s\n", name);
    return 0;
}

static int usage(void)
{
    fprintf(stderr, "usage: posix_matrix [--kind local|outbox|inbox|control] [--only TEXT] "
                    "[--verbose] FOLDER\n"
                    "       posix_matrix --prepare FOLDER   what an inbox is to hold\n"
                    "       posix_matrix --list | --differences\n");
    return 2;
}

static bool kind_named(const char *name)
{
    static const char *const names[] = {"local", "outbox", "inbox", "control"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0) {
            posix_kind = (enum posix_kind)(1u << i);
            return true;
        }
    return false;
}

int main(int argc, char **argv)
{
    static const struct option names[] = {{"kind", required_argument, NULL, 'k'},
                                          {"only", required_argument, NULL, 'o'},
                                          {"verbose", no_argument, NULL, 'v'},
                                          {"prepare", required_argument, NULL, 'p'},
                                          {"list", no_argument, NULL, 'l'},
                                          {"differences", no_argument, NULL, 'd'},
                                          {0}};
    struct options options = {0};
    const char *prepare = NULL;
    for (int option; (option = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        if (option == 'l')
            return list();
        if (option == 'd') {
            for (size_t i = 0; i < sizeof differences / sizeof *differences; i++)
                printf("- %s\n", differences[i]);
            return 0;
        }
        if (option == '?' || (option == 'k' && !kind_named(optarg)))
            return usage();
        options.only = option == 'o' ? optarg : options.only;
        options.verbose |= option == 'v';
        prepare = option == 'p' ? optarg : prepare;
    }
    options.folder = prepare ? prepare : optind + 1 == argc ? argv[optind] : NULL;
    if (!options.folder)
        return usage();
    if (chdir(options.folder) < 0) {
        perror(options.folder);
        return 2;
    }
    if (prepare) {
        posix_prepare();
        return 0;
    }
    struct counts counts = {0};
    for (size_t t = 0; t < sizeof themes / sizeof *themes; t++)
        for (size_t i = 0; themes[t]->kinds & posix_kind && i < themes[t]->n; i++)
            try_case(themes[t], i, &options, &counts);
    printf("%u passed, %u failed", counts.passed, counts.failed);
    printf(counts.skipped ? ", %u skipped\n" : "\n", counts.skipped);
    return counts.failed != 0;
}
