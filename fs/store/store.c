/* SPDX-License-Identifier: MIT */
/*
 * Opening and closing of a store. Start: lock, database, journal entries that it does not hold yet,
 * index; cost grows with the items, contents are not read.
 */
#include "fs/store/store.h"

#include "fs/store/change_log.h"
#include "fs/store/commit.h"
#include "fs/store/group.h"
#include "fs/store/history.h"
#include "fs/store/links.h"
#include "fs/store/load.h"
#include "fs/store/news.h"
#include "fs/store/outbox.h"
#include "fs/store/release.h"
#include "fs/store/spool.h"
#include "fs/store/take.h"
#include "transport/base/err.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum {
    JOURNAL_HALF = 4 << 20,
    MARGIN_MIN = 16 << 20, /* what the database may need to note it all */
    LET_GO_MS = 5000,      /* a daemon that leaves is gone by then */
    LOOK_MS = 20,
};

/*
 * What the lock file says of the outbox's objects: that they are on the disk, or that they may not
 * hold what was delivered, as a power cut took it. Without a word that is so only if the kernel did
 * not end meanwhile.
 */
static const char synced[] = "synced", doubted[] = "doubted";

/* Of the disk, that what comes into a box never takes. */
static const unsigned free_percent[] = {[FTX_OUTBOX] = 5, [FTX_INBOX] = 2};

static int fail(char *room, size_t size, int err, const char *what, const char *advice)
{
    snprintf(room, size, "%s: %s%s%s", what, ftx_err_text(err), advice ? "; " : "",
             advice ? advice : "");
    return err;
}

/* Is there something in the folder that is not of a store? What mkfs makes does not count. */
static bool holds_others(const char *path)
{
    static const char *const known[] = {".", "..", ".ftx", "lost+found", NULL};
    DIR *folder = opendir(path);
    bool found = false;
    for (struct dirent *entry; folder && !found && (entry = readdir(folder));) {
        int i = 0;
        while (known[i] && strcmp(entry->d_name, known[i]) != 0)
            i++;
        found = !known[i];
    }
    if (folder)
        closedir(folder);
    return found;
}

/* A store is closed to other users; what is not ours alone, as / or a home, is not made one. */
static int check_not_shared(const char *path, char *room, size_t size)
{
    struct stat st;
    if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode) || !(st.st_mode & 0077) || !holds_others(path))
        return 0;
    snprintf(room, size,
             "%s: other users have access to what is in it; name a folder of its own with --store",
             path);
    return -ENOTEMPTY;
}

/* Makes the folder if it is missing; it must be a folder, ours, and closed to others. */
static int check_folder(const char *path, char *room, size_t size)
{
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return fail(room, size, -errno, path, NULL);
    struct stat st;
    if (stat(path, &st) < 0)
        return fail(room, size, -errno, path, NULL);
    if (!S_ISDIR(st.st_mode))
        return fail(room, size, -ENOTDIR, path, "name a folder with --store");
    if (st.st_uid != geteuid())
        return fail(room, size, -EPERM, path, "the store belongs to another user");
    if ((st.st_mode & 0077) && chmod(path, 0700) < 0)
        return fail(room, size, -errno, path, NULL);
    return 0;
}

/* Which run of the kernel this is; empty: it does not say. */
static void read_boot_id(char out[FTX_BOOT_ID_SIZE])
{
    out[0] = '\0';
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t n = read(fd, out, FTX_BOOT_ID_SIZE - 1);
    close(fd);
    out[n > 0 ? n : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
}

/* The lock file's text: our pid, the boot id once a power cut before this boot is dealt with, and
 * a word on contents. */
static int write_lock(struct ftx_store *store, const char *boot_id, const char *word)
{
    char text[128];
    int n = snprintf(text, sizeof text, "%ld\n%s\n%s", (long)getpid(), boot_id, word);
    if (ftruncate(store->lock_fd, 0) < 0)
        return -errno;
    return ftx_object_write(store->lock_fd, text, (size_t)n, 0);
}

/* Ends the line; what follows it, or nothing. */
static char *next_line(char *line)
{
    line += strcspn(line, "\n");
    if (*line)
        *line++ = '\0';
    return line;
}

/*
 * Two locks: who has the file has the store, until all is written; who has the folder .ftx too goes
 * on having it. So who comes right after an unmount waits, and who comes too early is told at once.
 */
static int lock_files(struct ftx_store *store)
{
    const struct timespec look = {.tv_nsec = LOOK_MS * 1000000};
    for (unsigned waited_ms = 0; flock(store->lock_fd, LOCK_EX | LOCK_NB) < 0;
         waited_ms += LOOK_MS) {
        bool leaves = flock(store->state_fd, LOCK_SH | LOCK_NB) == 0;
        (void)flock(store->state_fd, LOCK_UN);
        if (!leaves || waited_ms >= LET_GO_MS)
            return -EBUSY;
        nanosleep(&look, NULL);
    }
    return flock(store->state_fd, LOCK_EX) < 0 ? -errno : 0; /* others only look at it */
}

void ftx_store_leave(struct ftx_store *store)
{
    (void)flock(store->state_fd, LOCK_UN);
}

static int take_lock(struct ftx_store *store, const char *path, char *room, size_t size)
{
    char file[4096];
    if (snprintf(file, sizeof file, "%s/.ftx", path) >= (int)sizeof file)
        return fail(room, size, -ENAMETOOLONG, path, NULL);
    int err = check_folder(file, room, size);
    if (err)
        return err;
    store->state_fd = open(file, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (store->state_fd < 0)
        return fail(room, size, -errno, file, NULL);
    store->lock_fd =
        openat(store->state_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (store->lock_fd < 0)
        return fail(room, size, -errno, file, NULL);
    err = lock_files(store);
    char old[128] = "";
    ssize_t n = pread(store->lock_fd, old, sizeof old - 1, 0);
    old[n > 0 ? n : 0] = '\0';
    if (err) {
        snprintf(
            room, size,
            "%s: the store is in use by ftxfs (pid %.*s); unmount that, or name another --store",
            path, (int)strcspn(old, "\n"), old);
        return err;
    }
    read_boot_id(store->boot_id);
    char *boot = next_line(old), *word = next_line(boot);
    bool was_synced = strcmp(word, synced) == 0;
    store->power_cut = !store->boot_id[0] || strcmp(boot, store->boot_id) != 0;
    store->distrusts = strcmp(word, doubted) == 0 || (store->power_cut && !was_synced);
    err = write_lock(store, "", doubted);
    if (!err && was_synced && fdatasync(store->lock_fd) < 0) /* the word must not come back */
        err = -errno;
    return err ? fail(room, size, err, file, NULL) : 0;
}

static int make_boxes(struct ftx_store *store)
{
    for (int box = 0; box < 2; box++) {
        struct ftx_item *item =
            ftx_item_new(&store->index, box == FTX_OUTBOX ? FTX_ID_OUTBOX : FTX_ID_INBOX,
                         FTX_FOLDER, (enum ftx_box)box, NULL);
        if (!item)
            return -ENOMEM;
        item->mode = 0755;
        item->mtime_ns = item->ctime_ns = ftx_now_ns();
        store->boxes[box] = item;
    }
    return 0;
}

static int replay_entry(void *ctx, uint64_t number, const void *body, size_t size)
{
    struct ftx_store *store = ctx;
    (void)number;
    return ftx_database_apply(store->db, body, size);
}

static int open_state(struct ftx_store *store, const char *path, char *room, size_t size)
{
    char file[4096];
    snprintf(file, sizeof file, "%s/.ftx/state.db", path);
    uint64_t journal_last, next_item;
    const char *message = NULL;
    int err = ftx_database_open(file, &store->db, &journal_last, &next_item, &message);
    if (err)
        return snprintf(room, size, "%s: %s", file, message), err;
    err = ftx_journal_open(store->state_fd, "journal", JOURNAL_HALF, &store->journal);
    if (err)
        return fail(room, size, err, path, err == -ENOSPC ? "the disk is full" : NULL);
    err = ftx_objects_open(&store->objects, store->state_fd);
    if (!err) /* what the rows tell of may stand in the page cache only, if we were killed */
        err = ftx_objects_sync(&store->objects);
    if (err)
        return fail(room, size, err, path, NULL);
    uint64_t last = journal_last;
    err = ftx_journal_replay(store->journal, journal_last, replay_entry, store, &last);
    if (store->power_cut) /* these entries may have reached the disk before what they tell of */
        ftx_database_contents_lost(store->db);
    if (!err) /* without a journal too: earlier commits may not have been durable */
        err = ftx_database_commit(store->db, last, true);
    if (err)
        return fail(room, size, err, file, "the journal could not be moved into the database");
    ftx_journal_reset(store->journal, last);
    store->committed = store->appended = store->durable_at = last;
    next_item = ftx_database_next_item(store->db); /* the journal may have taken more */
    store->next_item = next_item > FTX_ID_FIRST ? next_item : FTX_ID_FIRST;
    store->next_history = ftx_database_history_last(store->db) + 1;
    ftx_database_set_history_max(store->db, store->history_max);
    err = ftx_store_load(store);
    if (err)
        return fail(room, size, err, file, "its content could not be read");
    return 0;
}

static struct ftx_store *store_new(void)
{
    struct ftx_store *store = calloc(1, sizeof *store);
    if (!store)
        return NULL;
    store->state_fd = store->lock_fd = store->objects.dir_fd = -1;
    if (ftx_feed_init(&store->feed)) {
        free(store);
        return NULL;
    }
    store->history_max = FTX_HISTORY_MAX;
    store->settings.priority = FTX_PRIORITY_DEFAULT;
    ftx_list_init(&store->links);
    ftx_list_init(&store->tails);
    ftx_list_init(&store->remains);
    ftx_list_init(&store->news);
    ftx_list_init(&store->jobs);
    ftx_list_init(&store->trash);
    ftx_list_init(&store->spool.punches);
    store->spool.release_after_ms = FTX_RELEASE_AFTER_MS;
    store->spool.range_min = FTX_RELEASE_RANGE_MIN;
    store->next_link = 1;
    pthread_mutex_init(&store->lock, NULL);
    ftx_drop_behind_init(&store->drop_behind);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&store->work, &monotonic);
    pthread_cond_init(&store->left, &monotonic);
    pthread_cond_init(&store->drained, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return store;
}

/* Frees whatever was opened so far; the thread does not run (any more). */
static void store_free(struct ftx_store *store)
{
    ftx_journal_close(store->journal);
    if (store->db)
        ftx_database_close(store->db);
    ftx_index_close(&store->index);
    ftx_news_close(store);
    ftx_feed_close(&store->feed);
    free(store->path);
    for (struct ftx_list *node; !ftx_list_empty(&store->links);) {
        node = store->links.next;
        ftx_link_free(ftx_list_of(node, struct ftx_link, node));
    }
    for (struct ftx_list *node; (node = ftx_list_pop(&store->trash));)
        free(ftx_list_of(node, struct ftx_trash, node));
    for (struct ftx_list *node; (node = ftx_list_pop(&store->spool.punches));)
        free(ftx_list_of(node, struct ftx_punch, node));
    free(store->spool.entries);
    ftx_printing_end(&store->spool.printing);
    if (store->objects.dir_fd >= 0)
        ftx_objects_close(&store->objects);
    if (store->lock_fd >= 0)
        close(store->lock_fd);
    if (store->state_fd >= 0)
        close(store->state_fd);
    pthread_cond_destroy(&store->drained);
    pthread_cond_destroy(&store->left);
    pthread_cond_destroy(&store->work);
    ftx_drop_behind_close(&store->drop_behind);
    pthread_mutex_destroy(&store->lock);
    free(store->entry);
    free(store);
}

static void tell_nobody(void *ctx)
{
    (void)ctx;
}

void ftx_store_distrust(struct ftx_store *store)
{
    (void)write_lock(store, store->boot_id, doubted);
}

/* What the last run left open; after this, a power cut before this boot is dealt with. */
static int start_anew(struct ftx_store *store)
{
    if (store->distrusts)
        ftx_outbox_distrust(store, 0);
    int err = ftx_outbox_interrupt(store, store->power_cut);
    if (!err)
        err = ftx_outbox_settle_places(store);
    if (!err)
        err = ftx_take_settle(store);
    if (!err)
        err = ftx_groups_start(store);
    if (!err)
        ftx_release_load(store);
    if (!err && store->power_cut)
        err = ftx_store_sync(store);
    return err ? err
               : write_lock(store, store->boot_id, ftx_outbox_distrusted(store) ? doubted : "");
}

int ftx_store_open(const char *path, char *message_room, size_t room, struct ftx_store **out_store)
{
    if (sodium_init() < 0)
        return fail(message_room, room, -EIO, "libsodium", "it cannot be used here");
    struct ftx_store *store = store_new();
    if (!store)
        return fail(message_room, room, -ENOMEM, path, NULL);
    store->events = (struct ftx_store_events){
        .wake = tell_nobody, .committed = tell_nobody, .arrived = tell_nobody};
    store->opened_ms = ftx_now_ms();
    int err = check_not_shared(path, message_room, room);
    if (!err)
        err = check_folder(path, message_room, room);
    if (!err)
        err = take_lock(store, path, message_room, room);
    if (!err) {
        store->entry = malloc(FTX_JOURNAL_ENTRY_MAX);
        store->path = strdup(path);
        err = store->entry && store->path ? ftx_index_init(&store->index) : -ENOMEM;
        if (!err)
            err = make_boxes(store);
        if (err)
            fail(message_room, room, err, path, NULL);
    }
    if (!err)
        err = open_state(store, path, message_room, room);
    if (!err) {
        err = ftx_commit_start(store);
        if (!err && (err = start_anew(store)) != 0)
            ftx_commit_stop(store);
        if (err)
            fail(message_room, room, err, path, "the start could not be completed");
    }
    if (err) {
        store_free(store);
        return err;
    }
    *out_store = store;
    return 0;
}

void ftx_store_set_events(struct ftx_store *store, const struct ftx_store_events *events, void *ctx)
{
    pthread_mutex_lock(&store->lock);
    store->events = *events;
    store->events_ctx = ctx;
    pthread_mutex_unlock(&store->lock);
}

/* What the next start will know. No sync is waited for. */
static void leave_word(struct ftx_store *store)
{
    if (!ftx_outbox_distrusted(store))
        (void)write_lock(store, store->boot_id, store->spool.unsynced ? "" : synced);
}

void ftx_store_close(struct ftx_store *store)
{
    ftx_store_leave(store);
    ftx_commit_stop(store);
    leave_word(store);
    store_free(store);
}

uint64_t ftx_store_committed(struct ftx_store *store, uint64_t *out_losses)
{
    pthread_mutex_lock(&store->lock);
    uint64_t committed = store->committed;
    *out_losses = store->losses;
    pthread_mutex_unlock(&store->lock);
    return committed;
}

int ftx_store_sync(struct ftx_store *store)
{
    pthread_mutex_lock(&store->lock);
    uint64_t want = store->appended;
    int err = 0;
    if (store->committed < want || store->durable_at < want) {
        store->durable = true;
        store->hurry = true;
        pthread_cond_signal(&store->work);
        while (store->durable_at < want && !(err = store->failed) && !store->stopping)
            pthread_cond_wait(&store->drained, &store->lock);
    }
    pthread_mutex_unlock(&store->lock);
    return err;
}

/* Bytes of the disk that what comes into the box never takes. */
static uint64_t margin_of(const struct statvfs *st, enum ftx_box box)
{
    uint64_t part = (uint64_t)st->f_blocks / 100 * free_percent[box] * st->f_frsize;
    return part > MARGIN_MIN ? part : MARGIN_MIN;
}

uint64_t ftx_store_room(const struct ftx_store *store, enum ftx_box box, uint64_t *out_margin)
{
    struct statvfs st;
    *out_margin = 0;
    if (fstatvfs(store->state_fd, &st) < 0)
        return UINT64_MAX;
    *out_margin = margin_of(&st, box);
    uint64_t free_bytes = (uint64_t)st.f_bavail * st.f_frsize;
    return free_bytes > *out_margin ? free_bytes - *out_margin : 0;
}

bool ftx_store_has_room(const struct ftx_store *store, enum ftx_box box, uint64_t bytes)
{
    uint64_t margin;
    return ftx_store_room(store, box, &margin) > bytes;
}

void ftx_store_statfs(struct ftx_store *store, struct ftx_statfs *out)
{
    struct statvfs st;
    memset(out, 0, sizeof *out);
    if (fstatvfs(store->state_fd, &st) == 0) {
        out->total_bytes = (uint64_t)st.f_blocks * st.f_frsize;
        uint64_t margin = margin_of(&st, FTX_OUTBOX);
        uint64_t free_bytes = (uint64_t)st.f_bavail * st.f_frsize;
        out->free_bytes = free_bytes > margin ? free_bytes - margin : 0;
    }
    pthread_mutex_lock(&store->lock);
    out->items = store->index.by_id.count;
    pthread_mutex_unlock(&store->lock);
}
