/* SPDX-License-Identifier: MIT */
/* ftx take INBOX-PATH DEST: by rename within the inbox; out of the mount the daemon renames it if it
 * can, else it is copied, and removed from the inbox once the copy is durable (move.c). */
#include "tools/ftx/look.h"
#include "tools/ftx/move.h"
#include "tools/ftx/place.h"
#include "tools/ftx/print.h"
#include "tools/ftx/progress.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct amount {
    uint64_t files, unfinished, bytes;
};

static void count(char *path, struct amount *out)
{
    FTS *tree = fts_open((char *[]){path, NULL}, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    *out = (struct amount){0};
    for (FTSENT *entry; tree && (entry = fts_read(tree));) {
        if (entry->fts_info != FTS_F)
            continue;
        out->files++;
        out->bytes += (uint64_t)entry->fts_statp->st_size;
        out->unfinished += !ftx_look_is(entry->fts_path, "complete");
    }
    if (tree)
        fts_close(tree);
}

/* DEST is a folder to take it into, or its new name. To be freed. */
static char *target_of(const char *dest, const char *item)
{
    struct stat st;
    char *path = NULL;
    const char *name = strrchr(item, '/') + 1;
    bool folder = stat(dest, &st) == 0 && S_ISDIR(st.st_mode);
    size_t n = strlen(dest);
    while (n > 1 && dest[n - 1] == '/')
        n--;
    if (asprintf(&path, "%.*s%s%s", (int)n, dest, folder ? "/" : "", folder ? name : "") < 0)
        abort();
    return path;
}

static int open_folder_of(const char *path)
{
    char *copy = strdup(path);
    int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    free(copy);
    return fd;
}

static void on_moved(void *ctx, uint64_t n)
{
    struct ftx_progress *progress = ctx;
    ftx_progress_set(progress, progress->done + n);
}

static int move_out(const struct ftx_call *call, const struct ftx_place *place, const char *target,
                    const struct amount *amount)
{
    struct ftx_progress progress = {.json = call->json};
    struct ftx_move move = {.copy = {.ctx = &progress, .moved = on_moved}, .last = true};
    clock_gettime(CLOCK_REALTIME, &move.begun);
    int from = open_folder_of(place->path), to = open_folder_of(target);
    int err = from < 0 || to < 0 ? -errno : 0;
    char *copy = strdup(target);
    if (!copy)
        abort();
    ftx_progress_begin(&progress, "taking", amount->bytes);
    if (!err)
        err = ftx_move_item(&move, from, strrchr(place->path, '/') + 1, to, basename(copy));
    free(copy);
    ftx_progress_end(&progress);
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
    int status = 0;
    if (err)
        status =
            ftx_fail("%s: %s; what is not there yet is still in the inbox", target, strerror(-err));
    else if (move.conflicts)
        status = ftx_fail("%s: is there already, or has something of that name in it: '%s'; "
                          "nothing is replaced",
                          target, move.conflict);
    else if (move.waiting)
        status = ftx_fail("%s: changed meanwhile; say it again", place->item);
    free(move.conflict);
    return status;
}

static int take(const struct ftx_call *call, const struct ftx_place *place)
{
    struct amount amount;
    count(place->path, &amount);
    if (amount.unfinished)
        return ftx_fail("%s: %llu of %llu files are not complete; see ftx status", place->item,
                        (unsigned long long)amount.unfinished, (unsigned long long)amount.files);
    char *target = target_of(call->words[1], place->item);
    int status = 0;
    if (renameat2(AT_FDCWD, place->path, AT_FDCWD, target, RENAME_NOREPLACE) < 0)
        status = errno == EXDEV    ? move_out(call, place, target, &amount)
                 : errno == EEXIST ? ftx_fail("%s: is there already; nothing is replaced", target)
                                   : ftx_fail("%s: %s", target, strerror(errno));
    if (!status && call->json) {
        cJSON *line = cJSON_CreateObject();
        cJSON_AddStringToObject(line, "taken", target);
        cJSON_AddNumberToObject(line, "files", (double)amount.files);
        cJSON_AddNumberToObject(line, "bytes", (double)amount.bytes);
        ftx_print_json(line);
    }
    free(target);
    return status;
}

int ftx_cmd_take(struct ftx_call *call)
{
    struct ftx_place place;
    int status = ftx_place_find(call, call->words[0], &place);
    if (status)
        return status;
    const char *code = strchr(place.item, '/');
    if (strncmp(place.item, "inbox/", 6) != 0 || !strchr(code + 1, '/'))
        status = ftx_usage(call, "%s: name a file or folder in inbox/CODE", call->words[0]);
    else
        status = take(call, &place);
    ftx_place_close(&place);
    return status;
}
