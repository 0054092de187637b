/* SPDX-License-Identifier: MIT */
/* ftx receive [CODE] [DIR]: arms a code, shows what is offered, moves to DIR what is complete. */
#include "tools/ftx/receive.h"

#include "tools/ftx/alone.h"
#include "tools/ftx/arm.h"
#include "tools/ftx/control.h"
#include "tools/ftx/fill.h"
#include "tools/ftx/look.h"
#include "tools/ftx/move.h"
#include "tools/ftx/place.h"
#include "tools/ftx/print.h"
#include "tools/ftx/terminal.h"
#include "tools/ftx/value.h"
#include "tools/ftx/words.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

/* Without an offer, all is here when nothing has moved for so long. */
static const double quiet_s = 3;

struct receiving {
    const struct ftx_call *call;
    const char *mount;
    char code[FTX_CODE_MAX + 1];
    char *inbox; /* its folder of the link; there once it is armed */
    const char *dir;
    int to;       /* DIR, open */
    bool resumed; /* the link was there before */
    struct ftx_progress progress;
    struct ftx_move move;
    char state[32]; /* of the link, as was said last */
    bool offered;   /* the sender said how much it is */
    uint64_t offer_files, offer_bytes, moved_before;
    double arriving_files, arriving_bytes; /* of the link, now */
    double waiting;                        /* items that the link was offered, and asks about */
    double changed;                        /* when anything moved last */
    bool full;                             /* it was said that the disk is */
};

/* -- what is offered -- */

/* Files and symlinks at a path or below it, and their sizes. */
static void count(char *path, uint64_t *out_files, uint64_t *out_bytes)
{
    FTS *tree = fts_open((char *[]){path, NULL}, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    *out_files = *out_bytes = 0;
    for (FTSENT *entry; tree && (entry = fts_read(tree));)
        if (entry->fts_info == FTS_F || entry->fts_info == FTS_SL ||
            entry->fts_info == FTS_SLNONE) {
            ++*out_files;
            *out_bytes += (uint64_t)entry->fts_statp->st_size;
        }
    if (tree)
        fts_close(tree);
}

static bool read_offer(const char *path, unsigned long long *out_files,
                       unsigned long long *out_bytes)
{
    char text[64];
    ssize_t n = lgetxattr(path, FTX_FILL_OFFER, text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    return sscanf(text, "%llu %llu", out_files, out_bytes) == 2;
}

/* What the senders said of the top names that are there; what an earlier run moved already. */
static void look_for_offer(struct receiving *r)
{
    unsigned long long files, bytes;
    uint64_t moved, size;
    DIR *dir = opendir(r->inbox);
    r->offer_files = r->offer_bytes = r->moved_before = 0;
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        char *path = ftx_place_join(r->inbox, entry->d_name, "");
        char *target = ftx_place_join(r->dir, entry->d_name, "");
        if (read_offer(path, &files, &bytes)) {
            r->offered = true;
            r->offer_files += files;
            r->offer_bytes += bytes;
        }
        if (r->resumed) {
            count(target, &moved, &size);
            r->moved_before += moved;
        }
        free(target);
        free(path);
    }
    if (dir)
        closedir(dir);
}

bool ftx_receive_ask(const struct ftx_call *call, struct ftx_progress *progress, uint64_t files,
                     uint64_t bytes, bool known)
{
    char size[FTX_PRINT_MAX], question[128];
    snprintf(question, sizeof question, "%llu file%s, %s%s.", (unsigned long long)files,
             files == 1 ? "" : "s", ftx_print_size(size, (double)bytes), known ? "" : " up to now");
    if (call->json || ftx_call_flag(call, "yes") || !ftx_terminal_asks()) {
        ftx_progress_say(progress, "offered: %s", question);
        return true;
    }
    strcat(question, " Receive?");
    ftx_progress_end(progress);
    return ftx_terminal_ask(question, true);
}

static bool accepts(struct receiving *r)
{
    uint64_t files = r->offer_files, bytes = r->offer_bytes;
    if (!r->offered)
        count(r->inbox, &files, &bytes);
    return ftx_receive_ask(r->call, &r->progress, files, bytes, r->offered);
}

/* -- the link -- */

/* The inbox that was armed here. A code that met nobody goes when we do: it may have been mistyped,
 * and would be beside the right one for ever. rmdir takes back no link that is paired. */
static char *volatile armed;

/* 0, or an exit status: nothing can come of it. */
static int look_at_link(struct receiving *r, const cJSON *link)
{
    const char *state = ftx_value_text(link, "state");
    if (strcmp(state, r->state) == 0)
        return 0;
    snprintf(r->state, sizeof r->state, "%s", state);
    r->changed = ftx_look_clock();
    bool end;
    const char *words = ftx_words_state(state, false, !armed, &end);
    ftx_progress_end(&r->progress);
    if (words && end)
        return ftx_fail("%s", words);
    if (words)
        ftx_progress_say(&r->progress, "%s", words);
    return 0;
}

static int look(struct receiving *r)
{
    cJSON *status;
    int exit_status = ftx_look_status(r->mount, &status);
    if (exit_status)
        return exit_status;
    const cJSON *link = ftx_look_link(status, r->code);
    const cJSON *arriving = cJSON_GetObjectItemCaseSensitive(link, "arriving");
    double files = ftx_value_number(arriving, "files");
    double bytes = ftx_value_number(arriving, "bytes_missing");
    if (files != r->arriving_files || bytes != r->arriving_bytes)
        r->changed = ftx_look_clock();
    r->arriving_files = files;
    r->waiting = ftx_value_number(link, "offered");
    r->arriving_bytes = bytes;
    exit_status = link ? look_at_link(r, link) : ftx_fail("the link is gone");
    cJSON_Delete(status);
    return exit_status;
}

/* Until something is there. */
static int wait_for_offer(struct receiving *r)
{
    int status;
    while (!(status = look(r))) {
        double begun = ftx_look_clock();
        uint64_t files, bytes;
        look_for_offer(r);
        count(r->inbox, &files, &bytes);
        if (r->offered || (files > 0 && ftx_look_clock() - r->changed > 0.5))
            return 0;
        ftx_look_rest(begun);
    }
    return status;
}

/* -- moving -- */

static bool on_full(void *ctx)
{
    struct receiving *r = ctx;
    if (!r->full)
        ftx_progress_say(&r->progress, "the disk is full: waiting until there is room again");
    r->full = true;
    nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
    return true;
}

static void on_moved(void *ctx, uint64_t n)
{
    struct receiving *r = ctx;
    (void)n;
    r->full = false;
    r->changed = ftx_look_clock();
}

/* One round; *out_over: nothing more is to be expected. */
static int move_round(struct receiving *r, bool *out_over)
{
    uint64_t before = r->move.files;
    int from = open(r->inbox, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    r->move.waiting = r->move.conflicts = 0;
    int err = from < 0 ? -errno : ftx_move_all(&r->move, from, r->to);
    if (from >= 0)
        close(from);
    if (err)
        return ftx_fail("what is complete could not be moved: %s; it is still in the inbox",
                        strerror(-err));
    if (r->move.files != before)
        r->changed = ftx_look_clock();
    bool idle = r->move.waiting == 0 && r->arriving_files == 0;
    bool all = r->offered && r->move.files + r->move.conflicts >= r->offer_files;
    bool quiet = strcmp(r->state, "connected") == 0 && ftx_look_clock() - r->changed > quiet_s;
    *out_over = idle && (all || quiet);
    return 0;
}

static void show_progress(struct receiving *r)
{
    uint64_t missing = (uint64_t)r->arriving_bytes;
    if (!r->offered)
        r->progress.total = r->move.bytes + missing;
    ftx_progress_set(&r->progress, r->progress.total > missing
                                       ? (r->offered ? r->move.bytes : r->progress.total - missing)
                                       : 0);
}

/* With accept=ask: that was the word for all of it. */
static void accept_waiting(const struct receiving *r)
{
    char line[sizeof "accept " + FTX_CODE_MAX];
    snprintf(line, sizeof line, "accept %s", r->code);
    if (r->waiting > 0)
        (void)ftx_control(r->mount, line, r->code);
}

static int receive(struct receiving *r)
{
    bool over = false;
    int status = wait_for_offer(r);
    if (status)
        return status;
    if (!accepts(r))
        return ftx_fail("not received; it stays in the inbox, ftx unpair removes it");
    ftx_progress_begin(&r->progress, "receiving", r->offer_bytes);
    clock_gettime(CLOCK_REALTIME, &r->move.begun);
    r->move.copy = (struct ftx_copy){.ctx = r, .moved = on_moved, .full = on_full};
    while (!(status = look(r)) && !over) {
        double round_begun = ftx_look_clock();
        accept_waiting(r);
        status = move_round(r, &over);
        if (status || over)
            break;
        show_progress(r);
        ftx_look_rest(round_begun);
    }
    if (!status) { /* once more, for the folders */
        r->move.last = true;
        status = move_round(r, &over);
    }
    ftx_progress_end(&r->progress);
    if (!status && r->move.conflicts)
        status = ftx_fail("%llu names were there already, as '%s'; these stay in the inbox",
                          (unsigned long long)r->move.conflicts, r->move.conflict);
    else if (!status && r->move.files + r->moved_before < r->offer_files)
        status = ftx_fail("%llu of %llu files came; if the other end still sends, receive again",
                          (unsigned long long)r->move.files, (unsigned long long)r->offer_files);
    return status;
}

void ftx_receive_show_end(const struct ftx_call *call, uint64_t files, uint64_t bytes)
{
    char size[FTX_PRINT_MAX];
    if (call->json) {
        cJSON *line = cJSON_CreateObject(), *what = cJSON_AddObjectToObject(line, "received");
        cJSON_AddNumberToObject(what, "files", (double)files);
        cJSON_AddNumberToObject(what, "bytes", (double)bytes);
        ftx_print_json(line);
        return;
    }
    printf("received: %llu file%s, %s\n", (unsigned long long)files, files == 1 ? "" : "s",
           ftx_print_size(size, (double)bytes));
}

/* -- beginning -- */

static void on_end(int number)
{
    (void)rmdir(armed);
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

/* A link of that name goes on where it was; else the code is armed. */
static int arm(struct receiving *r)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct stat st;
    r->inbox = ftx_place_join(r->mount, "inbox", r->code);
    r->resumed = stat(r->inbox, &st) == 0;
    int status = r->resumed ? 0 : ftx_arm(r->mount, "inbox", r->code);
    if (r->resumed || status)
        return status;
    armed = r->inbox;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        (void)signal(numbers[i], on_end);
    return 0;
}

/* One operand may be either: what is a folder, or has a slash, is DIR. */
static void sort_words(const struct ftx_call *call, const char **out_code, const char **out_dir)
{
    struct stat st;
    *out_code = call->n_words ? call->words[0] : NULL;
    *out_dir = call->n_words == 2 ? call->words[1] : ".";
    if (call->n_words == 1 && (strchr(*out_code, '/') || strcmp(*out_code, ".") == 0 ||
                               (stat(*out_code, &st) == 0 && S_ISDIR(st.st_mode)))) {
        *out_dir = *out_code;
        *out_code = NULL;
    }
}

static int receive_with(struct receiving *r, const char *word, const char *mount)
{
    r->mount = mount;
    int status = ftx_arm_ask(r->call, word, false, r->code);
    if (!status)
        status = arm(r);
    if (!status)
        status = receive(r);
    if (armed)
        (void)rmdir(armed);
    armed = NULL;
    if (!status)
        ftx_receive_show_end(r->call, r->move.files, r->move.bytes);
    return status;
}

int ftx_cmd_receive(struct ftx_call *call)
{
    struct receiving r = {.call = call, .to = -1, .progress.json = call->json};
    const char *word;
    char *mount = NULL;
    sort_words(call, &word, &r.dir);
    int status = word ? ftx_place_check_code(call, word) : 0;
    if (!status) {
        r.to = open(r.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (r.to < 0)
            status = ftx_usage(call, "%s: %s", r.dir, strerror(errno));
    }
    if (!status)
        status = ftx_place_mount_if_any(call, &mount);
    if (!status)
        status = mount ? receive_with(&r, word, mount) : ftx_alone_receive(call, word, r.dir, r.to);
    if (r.to >= 0)
        close(r.to);
    explicit_bzero(r.code, sizeof r.code);
    free(r.move.conflict);
    free(r.inbox);
    free(mount);
    return status;
}
