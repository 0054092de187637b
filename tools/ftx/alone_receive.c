/* SPDX-License-Identifier: MIT */
/* ftx receive without a mount: what comes is kept in DIR/.ftx, and moved to its place in DIR once it
 * is complete. No sender can name that folder (docs/protocol.md 8). */
#include "tools/ftx/alone.h"
#include "tools/ftx/arm.h"
#include "tools/ftx/look.h"
#include "tools/ftx/place.h"
#include "tools/ftx/receive.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATE_FOLDER ".ftx"

static const double settled_s = 0.5; /* all is here and nothing moved for so long: it is over */
static const double quiet_s = 3;     /* the same without an offer, which says what all is */
static const double told_s = 5;      /* who refuses stays so long */
static const double away_s = 3;      /* ... and with a sender that was cut off */

struct receiving {
    struct ftx_alone alone;
    int to, state_fd; /* DIR, and the store's folder */
    bool offered;     /* the sender said how much it is */
    uint64_t offer_files, offer_bytes;
    struct ftx_placing placing;
    struct ftx_link_status link, last; /* as of this look, and of the one before */
    double changed;                    /* when anything moved last */
    bool full;                         /* it was said that the disk is */
    bool again;                        /* it was, for what was to be placed */
};

/* -- waiting -- */

static bool is_changed(const struct ftx_link_status *a, const struct ftx_link_status *b)
{
    return a->ops_seen != b->ops_seen || a->bytes_in != b->bytes_in ||
           a->arriving_files != b->arriving_files || a->arriving_bytes != b->arriving_bytes ||
           strcmp(a->state, b->state) != 0;
}

static int look(struct receiving *r)
{
    int status = ftx_alone_look(&r->alone, &r->link);
    if (status)
        return status;
    if (!r->last.state || is_changed(&r->link, &r->last))
        r->changed = ftx_look_clock();
    r->last = r->link;
    bool full = r->link.no_room || r->again;
    if (full && !r->full)
        ftx_progress_say(&r->alone.progress, "the disk is full: waiting until there is room again");
    r->full = full;
    return 0;
}

static bool is_connected(const struct receiving *r)
{
    return strcmp(r->link.state, "connected") == 0;
}

static void read_offer(struct receiving *r)
{
    r->offered = ftx_headless_offer_read(r->alone.end, &r->offer_files, &r->offer_bytes);
}

/* Until something is there. */
static int wait_for_offer(struct receiving *r)
{
    int status;
    while (!(status = look(r))) {
        double begun = ftx_look_clock();
        uint64_t files, bytes;
        read_offer(r);
        ftx_headless_count(r->alone.end, &files, &bytes);
        if (r->offered || (files > 0 && ftx_look_clock() - r->changed > quiet_s))
            return 0;
        ftx_alone_rest(&r->alone, begun);
    }
    return status;
}

static bool accepts(struct receiving *r)
{
    uint64_t files = r->offer_files, bytes = r->offer_bytes;
    if (!r->offered)
        ftx_headless_count(r->alone.end, &files, &bytes);
    return ftx_receive_ask(r->alone.call, &r->alone.progress, files, bytes, r->offered);
}

/* -- placing -- */

static int place(struct receiving *r)
{
    int err = ftx_headless_place(r->alone.end, r->to, r->state_fd, &r->placing);
    r->again = err == -ENOSPC || err == -EDQUOT;
    if (r->again)
        return 0;
    if (err == -EXDEV)
        return ftx_fail("%s: this is another file system than that of DIR; name another --store",
                        r->alone.path);
    return err ? ftx_fail("what has come could not be moved to its place: %s; it is kept",
                          strerror(-err))
               : 0;
}

/* Is nothing more to be expected? */
static bool is_over(const struct receiving *r)
{
    const struct ftx_placing *p = &r->placing;
    double quiet = ftx_look_clock() - r->changed;
    if (p->waiting || r->link.arriving_files || r->again)
        return false;
    if (!r->offered)
        return is_connected(r) && quiet > quiet_s;
    if (p->files + p->stuck < r->offer_files)
        return is_connected(r) && quiet > quiet_s;
    if (!is_connected(r)) /* one that was cut off may not know yet that all is here */
        return r->link.left || quiet > away_s;
    return quiet > settled_s;
}

static void show_progress(struct receiving *r)
{
    uint64_t here = r->placing.bytes + r->link.arriving_here;
    r->alone.progress.total = r->offered ? r->offer_bytes : here + r->link.arriving_bytes;
    ftx_progress_set(&r->alone.progress, here);
}

static int move_all(struct receiving *r)
{
    int status;
    ftx_progress_begin(&r->alone.progress, "receiving", r->offer_bytes);
    while (!(status = look(r))) {
        double begun = ftx_look_clock();
        read_offer(r);
        if (ftx_headless_news(r->alone.end) || r->again)
            status = place(r);
        if (status || is_over(r))
            break;
        show_progress(r);
        ftx_alone_rest(&r->alone, begun);
    }
    if (!status)
        status = place(r);
    r->placing.last = true; /* once more, for the folders */
    if (!status)
        status = place(r);
    ftx_progress_end(&r->alone.progress);
    return status;
}

/* The sender hears of it, and leaves if it waits for nothing else. */
static void reject(struct receiving *r)
{
    double begun = ftx_look_clock();
    (void)ftx_headless_reject(r->alone.end);
    while (look(r) == 0 && is_connected(r) && ftx_look_clock() - begun < told_s)
        ftx_alone_rest(&r->alone, ftx_look_clock());
    r->alone.hopeless = true;
}

static int receive(struct receiving *r)
{
    const struct ftx_placing *p = &r->placing;
    int status = wait_for_offer(r);
    if (status)
        return status;
    ftx_alone_say(&r->alone);
    if (!accepts(r)) {
        reject(r);
        return ftx_fail("not received");
    }
    int err = ftx_headless_accept(r->alone.end);
    status = err ? ftx_fail("%s: %s", r->alone.path, strerror(-err)) : move_all(r);
    if (!status && p->conflicts)
        status = ftx_fail("%llu names were there already, as '%s'; what came is kept: move them "
                          "away and receive again",
                          (unsigned long long)p->conflicts, p->conflict);
    else if (!status && p->files < r->offer_files)
        status = ftx_fail("%llu of %llu files came; if the other end still sends, receive again",
                          (unsigned long long)p->files, (unsigned long long)r->offer_files);
    return status;
}

/* -- beginning -- */

/* A code goes on where it was, or is armed; none goes on with the one that was begun here. */
static int find_link(struct receiving *r, const struct ftx_call *call, const char *word)
{
    char code[FTX_CODE_MAX + 1] = "";
    bool begun = ftx_headless_find(r->alone.end, NULL);
    int status = ftx_arm_ask(call, word, begun, code);
    if (!status && code[0] && !ftx_headless_find(r->alone.end, code))
        status = ftx_alone_arm(&r->alone, code);
    if (!status)
        ftx_headless_disarm_others(r->alone.end);
    explicit_bzero(code, sizeof code);
    return status;
}

/* DIR/.ftx, unless that is of something else. */
static int find_place(const struct ftx_call *call, const char *dir, int to, char **out_path)
{
    struct stat st;
    if (faccessat(to, STATE_FOLDER "/state.db", F_OK, 0) == 0 ||
        faccessat(to, STATE_FOLDER "/ctl", F_OK, 0) == 0)
        return ftx_usage(call, "%s: ftxfs has its own things there; name another folder", dir);
    if (fstatat(to, STATE_FOLDER, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode))
        return ftx_usage(call, "%s/" STATE_FOLDER ": this is no folder; name another, or --store",
                         dir);
    *out_path = ftx_place_join(dir, STATE_FOLDER, "");
    return 0;
}

int ftx_alone_receive(const struct ftx_call *call, const char *word, const char *dir, int to)
{
    struct receiving r = {.to = to, .state_fd = -1};
    char *path = NULL;
    int status = ftx_alone_begin(&r.alone, call);
    if (!status)
        status = find_place(call, dir, to, &path);
    if (!status)
        status = ftx_alone_open(&r.alone, FTX_INBOX, path, "another ftx receives there already");
    if (!status) {
        r.state_fd = open(r.alone.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (r.state_fd < 0)
            status = ftx_fail("%s: %s", r.alone.path, strerror(errno));
    }
    if (!status)
        status = find_link(&r, call, word);
    if (!status)
        status = ftx_alone_connect(&r.alone);
    if (!status)
        status = receive(&r);
    if (!status)
        ftx_receive_show_end(call, r.placing.files, r.placing.bytes);
    if (r.state_fd >= 0)
        close(r.state_fd);
    free(r.placing.conflict);
    ftx_alone_close(&r.alone, !status || r.alone.hopeless);
    return status;
}
