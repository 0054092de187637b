/* SPDX-License-Identifier: MIT */
/* ftx send without a mount: offers the files where they are, waits until the peer has them. */
#include "tools/ftx/alone.h"
#include "tools/ftx/arm.h"
#include "tools/ftx/begun.h"
#include "tools/ftx/fill.h"
#include "tools/ftx/look.h"
#include "tools/ftx/send.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FAILED_SHOWN = 5 };

struct sending {
    struct ftx_alone alone;
    const struct ftx_pick *pick;
    uint64_t files, bytes;   /* of all that leaves */
    size_t left;             /* entries below this one are not looked at yet */
    unsigned long long lost; /* files that will not arrive */
    uint64_t unread;         /* could not be read */
};

/* -- offering -- */

static int offer_entry(struct sending *s, const struct ftx_pick_entry *entry)
{
    static const enum ftx_offer_kind kinds[] = {[FTX_PICK_FILE] = FTX_OFFER_FILE,
                                                [FTX_PICK_SYMLINK] = FTX_OFFER_SYMLINK,
                                                [FTX_PICK_FOLDER] = FTX_OFFER_FOLDER,
                                                [FTX_PICK_FOLDER_END] = FTX_OFFER_FOLDER_END};
    int err = ftx_headless_offer(s->alone.end, kinds[entry->kind], entry->source,
                                 entry->source + entry->name);
    if (err == FTX_OFFER_UNREAD) {
        ftx_fill_say_left(entry->source, strerror(errno));
        s->unread++;
    } else if (err == 0 && entry->kind == FTX_PICK_FILE) {
        s->files++;
        s->bytes += entry->size;
    }
    return err;
}

static int offer(struct sending *s)
{
    const char *first = NULL;
    for (size_t i = 0; i < s->pick->n; i++) {
        const struct ftx_pick_entry *entry = &s->pick->entries[i];
        int err = offer_entry(s, entry);
        if (err < 0)
            return ftx_fail("%s: %s; nothing more is sent", entry->source, strerror(-err));
        if (!first && entry->kind != FTX_PICK_SYMLINK && err != FTX_OFFER_UNREAD)
            first = entry->source + entry->name;
    }
    int err = ftx_headless_offered(s->alone.end, first, s->files, s->bytes);
    return err ? ftx_fail("%s: %s", s->alone.path, strerror(-err)) : 0;
}

/* -- waiting -- */

/* Why bytes could not be read, as far as it can be seen now. */
static const char *why(const struct ftx_pick_entry *entry)
{
    struct stat st;
    if (lstat(entry->source, &st) < 0)
        return errno == ENOENT ? "it is not there any more" : strerror(errno);
    return "it was changed while it was being sent; send again";
}

/* Is there nothing more to wait for with this one? */
static bool is_over(struct sending *s, const struct ftx_pick_entry *entry)
{
    static const char *const ends[] = {"refused", "failed", "cancelled", "interrupted"};
    char state[64], error[256];
    ftx_headless_fate(s->alone.end, entry->source + entry->name, state, error, sizeof state);
    if (!state[0] || strcmp(state, "delivered") == 0 || strcmp(state, "local") == 0)
        return true;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        if (strcmp(state, ends[i]) != 0)
            continue;
        ftx_progress_end(&s->alone.progress);
        const char *words = strcmp(state, "failed") == 0 ? why(entry) : error;
        if (s->lost++ < FAILED_SHOWN)
            ftx_fail("%s: %s%s%s", entry->source, state, *words ? ": " : "", words);
        return true;
    }
    return false;
}

static int wait(struct sending *s)
{
    struct ftx_link_status link;
    ftx_progress_begin(&s->alone.progress, "sending", s->bytes);
    for (;;) {
        double begun = ftx_look_clock();
        int status = ftx_alone_look(&s->alone, &link);
        if (status)
            return status;
        while (s->left > 0 && (s->pick->entries[s->left - 1].kind >= FTX_PICK_FOLDER ||
                               is_over(s, &s->pick->entries[s->left - 1])))
            s->left--;
        if (s->left == 0 && (s->lost || link.queue_ops == 0))
            break;
        if (strcmp(link.state, "connected") == 0)
            ftx_progress_set(&s->alone.progress,
                             s->bytes > link.queue_bytes ? s->bytes - link.queue_bytes : 0);
        ftx_alone_rest(&s->alone, begun);
    }
    ftx_progress_end(&s->alone.progress);
    return s->lost ? ftx_fail("%llu did not arrive; see above", s->lost) : 0;
}

/* -- all of it -- */

/* The link of an earlier run, or a new one. */
static int find_link(struct sending *s, const struct ftx_call *call)
{
    const char *to = ftx_call_flag(call, "to");
    char code[FTX_CODE_MAX + 1];
    int status = 0;
    if (!ftx_headless_find(s->alone.end, to)) {
        if (to)
            snprintf(code, sizeof code, "%s", to);
        else
            ftx_arm_code(code);
        status = ftx_alone_arm(&s->alone, code);
        explicit_bzero(code, sizeof code);
    }
    if (!status)
        ftx_send_show_code(call, ftx_headless_name(s->alone.end));
    return status;
}

int ftx_alone_send(const struct ftx_call *call, char **paths, const struct ftx_pick *pick)
{
    struct sending s = {.pick = pick, .left = pick->n};
    double begun = ftx_look_clock();
    int status = ftx_alone_begin(&s.alone, call);
    if (!status)
        status = ftx_alone_open(&s.alone, FTX_OUTBOX, ftx_begun_path(call, paths, NULL),
                                "this is being sent already, by another ftx");
    if (!status)
        status = find_link(&s, call);
    if (!status)
        status = offer(&s);
    if (!status)
        status = ftx_alone_connect(&s.alone);
    if (!status)
        status = wait(&s);
    bool over = !status || s.alone.hopeless;
    if (!status)
        status = ftx_send_show_end(call, s.files, s.bytes, s.unread + pick->n_left,
                                   ftx_look_clock() - begun);
    ftx_alone_close(&s.alone, over);
    return status;
}
