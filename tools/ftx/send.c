/* SPDX-License-Identifier: MIT */
/* ftx send PATH...: picks; makes a code, fills the outbox, waits, if there is a mount. */
#include "tools/ftx/send.h"

#include "tools/ftx/alone.h"
#include "tools/ftx/arm.h"
#include "tools/ftx/begun.h"
#include "tools/ftx/deliver.h"
#include "tools/ftx/fill.h"
#include "tools/ftx/look.h"
#include "tools/ftx/place.h"
#include "tools/ftx/print.h"
#include "tools/ftx/terminal.h"
#include "tools/ftx/value.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SPARES_SHOWN = 3 };

/* Each path as it is to be read, with the name that it will have as its last part. */
static int check_paths(const struct ftx_call *call, char **out_paths)
{
    for (int i = 0; i < call->n_words; i++) {
        const char *word = call->words[i];
        struct stat st;
        size_t n = strlen(word);
        while (n > 1 && word[n - 1] == '/')
            n--;
        if (lstat(word, &st) < 0)
            return ftx_usage(call, "%s: %s", word, strerror(errno));
        const char *slash = memrchr(word, '/', n), *last = slash ? slash + 1 : word;
        size_t size = n - (size_t)(last - word);
        bool dots = size == 0 || (size <= 2 && strspn(last, ".") >= size);
        out_paths[i] = dots ? realpath(word, NULL) : strndup(word, n);
        if (!out_paths[i])
            return ftx_fail("%s: %s", word, strerror(errno));
        if (strcmp(out_paths[i], "/") == 0)
            return ftx_usage(call, "/: name what is in it");
    }
    return 0;
}

static const char *name_of(const char *path)
{
    return strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
}

static int check_names(const struct ftx_call *call, char **paths)
{
    for (int i = 0; i < call->n_words; i++) {
        if (strcmp(name_of(paths[i]), ".ftx") == 0)
            return ftx_usage(call, "%s: that name is ftxfs's own", paths[i]);
        for (int k = 0; k < i; k++)
            if (strcmp(name_of(paths[i]), name_of(paths[k])) == 0)
                return ftx_usage(call, "%s and %s have the same name; send one after the other",
                                 paths[k], paths[i]);
    }
    return 0;
}

/* What is read later, wherever we are then; a link at its end is sent as such. */
static void make_absolute(const struct ftx_call *call, char **paths)
{
    for (int i = 0; i < call->n_words; i++) {
        char *path = ftx_place_absolute(paths[i]);
        if (!path)
            continue;
        free(paths[i]);
        paths[i] = path;
    }
}

/* -- picking -- */

static void pick_all(const struct ftx_call *call, char **paths, const struct ftx_pick_rules *rules,
                     struct ftx_pick *out)
{
    ftx_pick_close(out);
    for (int i = 0; i < call->n_words; i++)
        ftx_pick_add(out, paths[i], rules);
}

/* What is said of folders that may be spare, and whether --yes leaves them out. */
static const struct {
    const char *title;
    bool by_yes;
} spares[FTX_PICK_SPARES] = {
    [FTX_PICK_CACHES] = {"Virtual environments and caches, which the other end can make anew:",
                         true},
    [FTX_PICK_GIT] = {"What git keeps, with everything that ever was in it:", false},
};

/* True: those that were found are left out. */
static bool leave_out(const struct ftx_call *call, const struct ftx_pick *pick,
                      enum ftx_pick_spare spare)
{
    size_t n = pick->n_spare[spare];
    if (n == 0)
        return true;
    if (ftx_call_flag(call, "yes"))
        return spares[spare].by_yes;
    if (ftx_call_flag(call, "no-prompt") || call->json || !ftx_terminal_asks())
        return false;
    printf("%s\n", spares[spare].title);
    for (size_t i = 0; i < n && i < SPARES_SHOWN; i++) {
        printf("  ");
        ftx_print_name(pick->spare[spare][i]);
        putchar('\n');
    }
    if (n > SPARES_SHOWN)
        printf("  and %zu more\n", n - SPARES_SHOWN);
    fflush(stdout);
    return ftx_terminal_ask("Leave them out?", spares[spare].by_yes);
}

static int pick(const struct ftx_call *call, char **paths, const char *mount, struct ftx_pick *out)
{
    struct ftx_pick_rules rules = {0};
    struct stat st;
    if (mount && stat(mount, &st) == 0) {
        rules.mount_dev = st.st_dev;
        rules.mount_ino = st.st_ino;
    }
    for (size_t i = 0; i < call->n_flags; i++)
        if (strcmp(call->flags[i].name, "exclude") == 0 &&
            ftx_ignore_add(&rules.exclude, call->flags[i].value, strlen(call->flags[i].value)))
            abort();
    pick_all(call, paths, &rules, out);
    bool again = false;
    for (enum ftx_pick_spare i = 0; i < FTX_PICK_SPARES; i++)
        again |= rules.keep[i] = !leave_out(call, out, i);
    if (again)
        pick_all(call, paths, &rules, out);
    ftx_ignore_close(&rules.exclude);
    for (size_t i = 0; i < out->n_left; i++)
        ftx_fill_say_left(out->left[i].source, out->left[i].why);
    return out->n ? 0 : ftx_fail("nothing to send: all of it is left out, or in the mount");
}

/* -- sending -- */

/* A link or a group, and somebody whom it leads to. */
static int check_to(const char *mount, const char *to)
{
    cJSON *status;
    struct stat st;
    int exit_status = ftx_look_status(mount, &status);
    if (exit_status)
        return exit_status;
    const cJSON *group = ftx_look_group(status, to), *link = ftx_look_link(status, to);
    char *folder = ftx_place_join(mount, "outbox", to);
    exit_status = FTX_EXIT_NO_LINK;
    if (!group && !link)
        ftx_fail("%s: no such link or group; ftx links and ftx group show those that are", to);
    else if (stat(folder, &st) < 0)
        ftx_fail("%s: not paired yet", to);
    else if (group && cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(group, "members")) == 0)
        ftx_fail("%s: nobody is in that group; ftx group %s + CODE", to, to);
    else
        exit_status = 0;
    free(folder);
    cJSON_Delete(status);
    return exit_status;
}

/* Is there more to come of a code that an earlier run has made? */
static bool goes_on(const char *mount, const char *code, const struct ftx_pick *pick)
{
    cJSON *status;
    struct stat st;
    if (ftx_look_status(mount, &status))
        return false;
    const cJSON *link = ftx_look_link(status, code);
    const cJSON *queue = cJSON_GetObjectItemCaseSensitive(link, "queue");
    char *folder = ftx_place_join(mount, "outbox", code);
    bool goes_on = link && stat(folder, &st) == 0 &&
                   (!ftx_look_paired(link) || ftx_value_number(queue, "operations") > 0 ||
                    ftx_value_number(queue, "files") > 0 || ftx_fill_is_cut(pick, folder));
    free(folder);
    cJSON_Delete(status);
    return goes_on;
}

/* The code to send with: --to, if there is a folder for it here; the one of a run of the same that was
 * ended; or a new one. */
static int find_code(const struct ftx_call *call, const char *mount, const char *begun,
                     const struct ftx_pick *pick, char out[FTX_CODE_MAX + 1])
{
    const char *to = ftx_call_flag(call, "to");
    if (to) {
        snprintf(out, FTX_CODE_MAX + 1, "%s", to);
        return check_to(mount, to);
    }
    if (ftx_begun_read(begun, out) && goes_on(mount, out, pick))
        return 0;
    int status = ftx_arm_new(mount, out);
    if (!status)
        ftx_begun_write(begun, out);
    return status;
}

/* What the other end is to run: it needs the same relays. To be freed. */
static char *receive_command(const struct ftx_call *call)
{
    char *command = strdup("ftx receive"), *longer;
    for (size_t i = 0; i < call->n_flags; i++) {
        if (strcmp(call->flags[i].name, "relay") != 0)
            continue;
        if (!command || asprintf(&longer, "%s --relay %s", command, call->flags[i].value) < 0)
            abort();
        free(command);
        command = longer;
    }
    if (!command)
        abort();
    return command;
}

void ftx_send_show_code(const struct ftx_call *call, const char *code)
{
    if (call->json) {
        cJSON *line = cJSON_CreateObject();
        cJSON_AddStringToObject(line, "code", code);
        ftx_print_json(line);
    } else if (!ftx_call_flag(call, "to")) {
        char *command = receive_command(call);
        ftx_arm_show(code, command);
        free(command);
    }
}

int ftx_send_show_end(const struct ftx_call *call, uint64_t files, uint64_t bytes, uint64_t left,
                      double seconds)
{
    char size[FTX_PRINT_MAX], span[FTX_PRINT_MAX];
    if (call->json) {
        cJSON *line = cJSON_CreateObject(), *what = cJSON_AddObjectToObject(line, "delivered");
        cJSON_AddNumberToObject(what, "files", (double)files);
        cJSON_AddNumberToObject(what, "bytes", (double)bytes);
        cJSON_AddNumberToObject(what, "left_out", (double)left);
        cJSON_AddNumberToObject(what, "seconds", seconds);
        ftx_print_json(line);
    } else {
        printf("delivered: %llu file%s, %s, in %s\n", (unsigned long long)files,
               files == 1 ? "" : "s", ftx_print_size(size, (double)bytes),
               ftx_print_span(span, seconds));
    }
    return left ? ftx_fail("%llu left out; see above", (unsigned long long)left) : 0;
}

static int send_over(const struct ftx_call *call, const char *mount, const char *code,
                     const struct ftx_pick *pick)
{
    struct ftx_progress progress = {.json = call->json};
    struct ftx_refusals refusals;
    struct ftx_filled filled;
    double begun = ftx_look_clock();
    char *folder = ftx_place_join(mount, "outbox", code);
    ftx_refusals_begin(&refusals, pick, mount, code, &progress);
    int status = ftx_fill(pick, folder, &refusals, &progress, &filled);
    free(folder);
    if (!status && ftx_print_live())
        printf("all is in the outbox; ^C ends only the waiting\n");
    if (!status)
        status = ftx_deliver(&refusals);
    if (!status)
        status = ftx_send_show_end(call, filled.files, filled.bytes, filled.left + pick->n_left,
                                   ftx_look_clock() - begun);
    return status;
}

static int send_picked(const struct ftx_call *call, char *const *paths, const char *mount,
                       const struct ftx_pick *pick)
{
    char code[FTX_CODE_MAX + 1], *begun = ftx_begun_path(call, paths, mount);
    int status = find_code(call, mount, begun, pick, code);
    if (!status) {
        ftx_send_show_code(call, code);
        status = send_over(call, mount, code, pick);
    }
    if (!status && begun)
        (void)unlink(begun);
    explicit_bzero(code, sizeof code);
    free(begun);
    return status;
}

int ftx_cmd_send(struct ftx_call *call)
{
    const char *to = ftx_call_flag(call, "to");
    char **paths = calloc((size_t)call->n_words, sizeof *paths), *mount = NULL;
    struct ftx_pick picked = {0};
    if (!paths)
        abort();
    int status = to ? ftx_place_check_code(call, to) : 0;
    if (!status)
        status = check_paths(call, paths);
    if (!status)
        status = check_names(call, paths);
    if (!status)
        status = ftx_place_mount_if_any(call, &mount);
    if (!status && !mount)
        make_absolute(call, paths);
    if (!status)
        status = pick(call, paths, mount, &picked);
    if (!status)
        status =
            mount ? send_picked(call, paths, mount, &picked) : ftx_alone_send(call, paths, &picked);
    ftx_pick_close(&picked);
    for (int i = 0; i < call->n_words; i++)
        free(paths[i]);
    free(paths);
    free(mount);
    return status;
}
