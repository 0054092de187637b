/* SPDX-License-Identifier: MIT */
/* One end with a real store: what fs/xfer needs around it, commits when the simulator says so,
 * kills at any moment. */
#include "tests/sim/store_sim.h"

#include "fs/store/change_log.h"
#include "fs/store/release.h"
#include "transport/base/err.h"
#include "transport/net/work.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { JOURNAL_HALF = 512 << 10 };

struct store_sim *store_world;
static char top[PATH_MAX];
static pthread_mutex_t striking = PTHREAD_MUTEX_INITIALIZER;

int __real_ftruncate64(int fd, off_t size);
int __real_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                                  const struct timespec *until);

/* -- folders -- */

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *walk)
{
    (void)st, (void)flag, (void)walk;
    return remove(path);
}

static void remove_tree(const char *path)
{
    nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    abort();
}

static void copy_file(int from_dir, int to_dir, const char *name)
{
    int from = openat(from_dir, name, O_RDONLY | O_CLOEXEC);
    if (from < 0)
        return; /* removed meanwhile, or never there */
    int to = openat(to_dir, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    struct stat st;
    must(to >= 0 && fstat(from, &st) == 0, name);
    static char room[1 << 16];
    for (off_t at = 0; (at = lseek(from, at, SEEK_DATA)) >= 0;) {
        off_t hole = lseek(from, at, SEEK_HOLE);
        while (at < hole) {
            size_t n = (size_t)(hole - at) < sizeof room ? (size_t)(hole - at) : sizeof room;
            ssize_t got = pread(from, room, n, at);
            must(got > 0 && pwrite(to, room, (size_t)got, at) == got, name);
            at += got;
        }
    }
    must(__real_ftruncate64(to, st.st_size) == 0, name);
    close(to);
    close(from);
}

static void copy_folder(const char *from, const char *to)
{
    must(mkdir(to, 0700) == 0, to);
    int from_fd = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int to_fd = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = opendir(from);
    must(from_fd >= 0 && to_fd >= 0 && dir, from);
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] == '.' && strcmp(entry->d_name, ".ftx") != 0)
            continue;
        if (strcmp(entry->d_name, "state.db-shm") == 0)
            continue;
        if (strcmp(entry->d_name, "lock") == 0 && store_world && store_world->serial % 2)
            continue; /* it has the boot id: without it, the start follows a power cut */
        if (entry->d_type == DT_DIR) {
            char inner_from[PATH_MAX], inner_to[PATH_MAX];
            must(snprintf(inner_from, PATH_MAX, "%s/%s", from, entry->d_name) < PATH_MAX &&
                     snprintf(inner_to, PATH_MAX, "%s/%s", to, entry->d_name) < PATH_MAX,
                 "a path");
            copy_folder(inner_from, inner_to);
        } else {
            copy_file(from_fd, to_fd, entry->d_name);
        }
    }
    closedir(dir);
    close(from_fd);
    close(to_fd);
}

static void new_path(char out[PATH_MAX])
{
    must(snprintf(out, PATH_MAX, "%.200s/%u", top, store_world->serial++) < PATH_MAX, "a path");
}

/* A copy of what stands on the disk at one moment: taken again if the journal or the database went
 * on meanwhile. `striking` is held. */
static void copy_store(const struct store_end *e, char out_path[PATH_MAX])
{
    for (;;) {
        uint64_t appended = __atomic_load_n(&e->store->appended, __ATOMIC_SEQ_CST);
        new_path(out_path);
        copy_folder(e->path, out_path);
        if (__atomic_load_n(&e->store->appended, __ATOMIC_SEQ_CST) == appended)
            return;
        remove_tree(out_path);
    }
}

/* -- points where a kill may strike inside of an operation -- */

static void point(void)
{
    struct store_sim *world = store_world;
    if (!world || !world->victim)
        return;
    pthread_mutex_lock(&striking);
    if (!world->struck && world->points_left-- == 0) {
        copy_store(world->victim, world->struck_path);
        world->struck = true;
    }
    pthread_mutex_unlock(&striking);
}

void store_strike(struct store_end *e, unsigned points)
{
    store_world->victim = e;
    store_world->points_left = points;
}

int __real_ftx_object_punch(int fd, uint64_t offset, uint64_t length);
int __wrap_ftx_object_punch(int fd, uint64_t offset, uint64_t length);
int __wrap_ftx_object_punch(int fd, uint64_t offset, uint64_t length)
{
    point();
    int err = __real_ftx_object_punch(fd, offset, length / 2);
    point();
    if (!err)
        err = __real_ftx_object_punch(fd, offset + length / 2, length - length / 2);
    point();
    return err;
}

int __real_ftx_object_write(int fd, const void *bytes, size_t size, uint64_t offset);
int __wrap_ftx_object_write(int fd, const void *bytes, size_t size, uint64_t offset);
int __wrap_ftx_object_write(int fd, const void *bytes, size_t size, uint64_t offset)
{
    point();
    int err = __real_ftx_object_write(fd, bytes, size / 2, offset);
    point();
    if (!err)
        err = __real_ftx_object_write(fd, (const uint8_t *)bytes + size / 2, size - size / 2,
                                      offset + size / 2);
    point();
    return err;
}

int __real_ftx_object_remove(const struct ftx_objects *objects, uint64_t id);
int __wrap_ftx_object_remove(const struct ftx_objects *objects, uint64_t id);
int __wrap_ftx_object_remove(const struct ftx_objects *objects, uint64_t id)
{
    int err = __real_ftx_object_remove(objects, id);
    point();
    return err;
}

int __wrap_ftruncate64(int fd, off_t size);
int __wrap_ftruncate64(int fd, off_t size)
{
    point();
    int rc = __real_ftruncate64(fd, size);
    point();
    return rc;
}

int __real_ftx_database_commit(struct ftx_database *db, uint64_t last, bool durable);
int __wrap_ftx_database_commit(struct ftx_database *db, uint64_t last, bool durable);
int __wrap_ftx_database_commit(struct ftx_database *db, uint64_t last, bool durable)
{
    point();
    pthread_mutex_lock(&striking); /* SQLite's files are copied before or after */
    int err = __real_ftx_database_commit(db, last, durable);
    pthread_mutex_unlock(&striking);
    point();
    return err;
}

void __real_ftx_journal_release(struct ftx_journal *journal);
void __wrap_ftx_journal_release(struct ftx_journal *journal);
void __wrap_ftx_journal_release(struct ftx_journal *journal)
{
    __real_ftx_journal_release(journal);
    point();
}

/* -- chance and time are the simulator's -- */

int64_t __wrap_ftx_now_ms(void);
int64_t __wrap_ftx_now_ms(void)
{
    return store_world ? (int64_t)store_world->sim.now_ms : 1;
}

int64_t __wrap_ftx_now_ns(void);
int64_t __wrap_ftx_now_ns(void)
{
    return store_world ? ++store_world->clock_ns : 1;
}

uint64_t __wrap_ftx_random_id(void);
uint64_t __wrap_ftx_random_id(void)
{
    uint64_t id;
    do
        id = sim_random(&store_world->sim.random);
    while (id == 0);
    return id;
}

int __real_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex);
int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex);

/* The database thread does not commit because time passed, only when it is asked to. */
int __wrap_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                                  const struct timespec *until);
int __wrap_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                                  const struct timespec *until)
{
    (void)until;
    return __wrap_pthread_cond_wait(condition, mutex);
}

int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    struct store_end *waiting = NULL;
    for (int i = 0; i < 2 && store_world; i++)
        if (store_world->ends[i].store && condition == &store_world->ends[i].store->work)
            waiting = &store_world->ends[i];
    if (waiting)
        waiting->waiting = true;
    int rc = __real_pthread_cond_wait(condition, mutex);
    if (waiting)
        waiting->waiting = false;
    return rc;
}

/* -- what fs/xfer calls of the loop and the peer -- */

enum ftx_links_policy ftx_xfer_links(const struct ftx_xfer *xfer)
{
    (void)xfer;
    return FTX_LINKS_SAFE;
}

/* Nobody asks for a SHA-256 here. */
struct ftx_digests *ftx_xfer_digests(struct ftx_xfer *xfer)
{
    (void)xfer;
    return NULL;
}

uv_loop_t *ftx_xfer_loop(const struct ftx_xfer *xfer)
{
    return (uv_loop_t *)(uintptr_t)xfer; /* the end, for ftx_work_queue */
}

void ftx_xfer_wake(void *xfer)
{
    (void)xfer; /* store_turn comes by itself */
}

void ftx_xfer_retry_later(struct ftx_xfer *xfer)
{
    (void)xfer;
    abort(); /* the simulated disk is never full */
}

void ftx_xfer_reap(struct ftx_transfer *transfer)
{
    (void)transfer;
}

void ftx_work_queue(uv_loop_t *loop, struct ftx_work *work)
{
    struct store_end *e = (struct store_end *)(void *)loop;
    SIM_CHECK(&store_world->sim, e->n_jobs < sizeof e->jobs / sizeof *e->jobs, "jobs %zu",
              e->n_jobs);
    e->jobs[e->n_jobs++] = work;
}

void ftx_peer_hold(struct ftx_peer *peer, size_t bytes)
{
    (void)peer, (void)bytes;
}

void ftx_peer_release(struct ftx_peer *peer, size_t bytes)
{
    (void)peer, (void)bytes;
}

void ftx_peer_kick(struct ftx_peer *peer)
{
    (void)peer;
}

void ftx_peer_ready(struct ftx_peer *peer, uint64_t op_seen)
{
    (void)peer, (void)op_seen;
}

void ftx_peer_fail(struct ftx_peer *peer, int err)
{
    (void)peer;
    SIM_CHECK(&store_world->sim, !err, "what came cannot be stored: %s", ftx_err_text(err));
}

void ftx_block_free(void *whole)
{
    free(whole);
}

size_t ftx_block_size(const void *whole)
{
    (void)whole;
    return 0;
}

static void on_session(void *ctx, uint64_t session)
{
    struct ftx_transfer *t = ctx;
    struct sim_end *end = ftx_list_of(t, struct store_end, transfer)->end;
    SIM_CHECK(end->sim, session > end->session, "session %lu after %lu", session, end->session);
    end->session = session;
}

int __real_ftx_engine_refuse(struct ftx_engine *engine, uint64_t stream, enum ftx_refusal reason);
int __wrap_ftx_engine_refuse(struct ftx_engine *engine, uint64_t stream, enum ftx_refusal reason);
int __wrap_ftx_engine_refuse(struct ftx_engine *engine, uint64_t stream, enum ftx_refusal reason)
{
    struct sim_end *end = ftx_list_of(engine, struct sim_end, engine);
    struct store_end *sender = store_end_of(sim_peer(end));
    const struct ftx_item *sent = ftx_item_find_wire(&sender->store->index, stream);
    sent = sent ? ftx_mirror_contents(sender->store, (struct ftx_item *)(uintptr_t)sent) : NULL;
    struct user_item *item = sent ? user_find(sender, sent->id) : NULL;
    if (item)
        item->refused = true;
    sender->refused = true;
    return __real_ftx_engine_refuse(engine, stream, reason);
}

static struct ftx_engine_app app; /* a transfer's, but for its `session` */

const struct ftx_engine_app sim_app; /* network.c starts with it; inbox_tell puts ours there */

/* -- what network.c calls -- */

int outbox_read(void *ctx, struct ftx_source *source, uint8_t *out)
{
    struct ftx_store *store = store_end_of(ctx)->store;
    return source->answer ? ftx_fetch_read(store, source, out)
                          : ftx_outgoing_read(store, source, out);
}

void inbox_tell(struct sim_end *end)
{
    struct store_end *e = store_end_of(end);
    app = ftx_transfer_app;
    app.session = on_session;
    end->engine.app = &app;
    end->engine.ctx = &e->transfer;
    e->transfer.engine = &end->engine;
    ftx_transfer_receive_begin(&e->transfer);
    ftx_outgoing_restart(e->store, e->link);
    ftx_fetch_restart(e->store, e->link);
    (void)ftx_transfer_send_due(&e->transfer);
}

void outbox_detach(struct sim_end *end)
{
    struct store_end *e = store_end_of(end);
    e->transfer.engine = NULL;
    ftx_transfer_receive_end(&e->transfer);
    ftx_link_session_ended(e->store, e->link, "a cut", false);
}

void inbox_drain(struct sim_end *end)
{
    struct store_end *e = store_end_of(end);
    while (e->n_jobs)
        store_work(e, 0);
    store_commit(e);
    end->inbox.safe.applied = e->link->row.op_seen;
}

static void drop_jobs(struct store_end *e)
{
    while (e->n_jobs)
        store_work(e, 0);
}

void inbox_crash(struct sim_end *end)
{
    struct store_sim *world = store_world;
    struct store_end *e = store_end_of(end);
    char path[PATH_MAX];
    world->counts.kills++;
    if (world->struck) {
        memcpy(path, world->struck_path, sizeof path);
        world->counts.kills_inside++;
    } else {
        pthread_mutex_lock(&striking);
        copy_store(e, path);
        pthread_mutex_unlock(&striking);
    }
    world->victim = NULL;
    world->struck = false;
    drop_jobs(e);
    store_end_close(e);
    remove_tree(e->path);
    memcpy(e->path, path, sizeof path);
    store_end_open(e);
    user_killed(e);
    check_outbox(e);
    check_inbox(e);
}

void outbox_crash(struct sim_end *end)
{
    (void)end; /* the store is one */
}

/* -- the store's life -- */

static void on_row(void *ctx, int err)
{
    must(err == 0, "a link's row");
    *(bool *)ctx = true;
}

static void make_store(const char *path, enum ftx_box box)
{
    char room[512], file[PATH_MAX];
    must(snprintf(file, sizeof file, "%.300s/.ftx", path) < PATH_MAX, "a path");
    must(mkdir(path, 0700) == 0 && mkdir(file, 0700) == 0, path);
    must(snprintf(file, sizeof file, "%.300s/.ftx/journal", path) < PATH_MAX, "a path");
    int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    must(fd >= 0 && posix_fallocate(fd, 0, 2 * JOURNAL_HALF) == 0, file);
    close(fd);
    struct ftx_store *store;
    int err = ftx_store_open(path, room, sizeof room, &store);
    if (err)
        fprintf(stderr, "%s\n", room);
    must(err == 0, path);
    uint64_t folder;
    must(ftx_link_arm(store, box, "7-store", 7, &folder) == 0, "arm");
    struct ftx_link_row row;
    must(ftx_link_get(store, 1, &row) == 0, "the link");
    row.state = FTX_LINK_PAIRED;
    row.enrolled = true;
    bool written = false;
    must(ftx_link_put(store, &row, on_row, &written) == 0, "put");
    ftx_store_close(store);
    must(written, "the link's row");
}

void store_template_make(void)
{
    struct stat st;
    bool shm = stat("/dev/shm", &st) == 0 && access("/dev/shm", W_OK) == 0;
    snprintf(top, sizeof top, "%s/ftxfs-sim.XXXXXX", shm ? "/dev/shm" : FTX_SCRATCH);
    must(mkdtemp(top) != NULL, top);
    char path[PATH_MAX];
    must(snprintf(path, sizeof path, "%.200s/s", top) < PATH_MAX, "a path");
    make_store(path, FTX_OUTBOX);
    must(snprintf(path, sizeof path, "%.200s/r", top) < PATH_MAX, "a path");
    make_store(path, FTX_INBOX);
}

void store_path_remove(struct store_end *e)
{
    remove_tree(e->path);
}

void store_template_remove(void)
{
    remove_tree(top);
}

/* Until the database thread waits for work: nothing moves in the folder then. */
static void commit_all(struct store_end *e)
{
    struct ftx_store *store = e->store;
    pthread_mutex_lock(&store->lock);
    for (int rounds = 0;
         store->committed < store->appended || !ftx_list_empty(&store->trash) ||
         (store->durable && store->durable_at < store->appended) ||
         !ftx_list_empty(&store->spool.punches) || ftx_release_due_ms(store) == 0 || !e->waiting;
         rounds++) {
        SIM_CHECK(e->end->sim, rounds < 20000, "no commit after 20 s: error %d", store->failed);
        store->hurry = true;
        pthread_cond_signal(&store->work);
        struct timespec until; /* a round that only empties the trash tells nobody */
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec = (until.tv_nsec + 1000000) % 1000000000;
        until.tv_sec += until.tv_nsec < 1000000;
        (void)__real_pthread_cond_timedwait(&store->drained, &store->lock, &until);
    }
    store->hurry = false;
    pthread_mutex_unlock(&store->lock);
}

static void open_group(struct store_end *e)
{
    struct ftx_word name = {"team", 4}, member = {"7-store", 7};
    if (!e->end->sim->options.group)
        return;
    e->group = ftx_link_find_name(e->store, name.at, name.size);
    if (!e->group)
        must(ftx_group_change(e->store, &name, FTX_GROUP_SET, &member, 1) == 0, "a group");
    e->group = ftx_link_find_name(e->store, name.at, name.size);
}

void store_end_open(struct store_end *e)
{
    if (!e->path[0]) {
        char from[PATH_MAX];
        must(snprintf(from, sizeof from, "%.200s/%s", top, e->end->index == 0 ? "s" : "r") <
                 PATH_MAX,
             "a path");
        new_path(e->path);
        copy_folder(from, e->path);
    }
    char room[512] = "";
    int err = ftx_store_open(e->path, room, sizeof room, &e->store);
    SIM_CHECK(e->end->sim, err == 0, "open: %s", room);
    e->link = ftx_link_find(e->store, 1);
    SIM_CHECK(e->end->sim, e->link && e->link->folders[0] && e->link->folders[1], "no link in %s",
              e->path);
    open_group(e);
    uint64_t generation = e->transfer.generation;
    memset(&e->transfer, 0, sizeof e->transfer);
    ftx_list_init(&e->transfer.node);
    ftx_list_init(&e->transfer.records);
    e->transfer.generation = generation;
    e->transfer.xfer = (struct ftx_xfer *)(void *)e;
    e->transfer.peer = (struct ftx_peer *)(void *)e;
    e->transfer.store = e->store;
    e->transfer.link = e->link;
    release_begin(e);
    commit_all(e); /* a start may sync, and go on to remove objects */
}

void store_end_close(struct store_end *e)
{
    for (int i = 0; i < READERS_MAX; i++) {
        if (e->readers[i].id)
            ftx_inbox_release(e->store, e->readers[i].id);
        free(e->readers[i].bytes);
        e->readers[i] = (struct reader){0};
    }
    ftx_transfer_receive_free(&e->transfer);
    ftx_store_close(e->store);
    e->store = NULL;
    e->waiting = false;
}

void store_end_reopen(struct store_end *e)
{
    store_end_close(e);
    store_end_open(e);
    store_world->counts.reopened++;
}

bool store_work(struct store_end *e, size_t i)
{
    if (i >= e->n_jobs)
        return false;
    struct ftx_work *work = e->jobs[i];
    e->jobs[i] = e->jobs[--e->n_jobs];
    work->run(work);
    work->done(work);
    return true;
}

void store_commit(struct store_end *e)
{
    commit_all(e);
    ftx_transfer_receive_advance(&e->transfer);
}

void store_turn(struct store_end *e)
{
    (void)ftx_outbox_settle(e->store, (int64_t)store_world->sim.now_ms);
    (void)ftx_transfer_send_due(&e->transfer);
    ftx_transfer_receive_advance(&e->transfer);
}
