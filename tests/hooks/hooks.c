/* SPDX-License-Identifier: MIT */
/* fs/hooks: which programs are called, with what, and what they cannot do to us. */
#include "fs/hooks/hooks.h"

#include "fs/hooks/call.h"
#include "fs/hooks/folder.h"
#include "fs/store/change_log.h"
#include "fs/store/links.h"
#include "fs/store/tell.h"

#include <errno.h>
#include <signal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "tests/store/support.h"

static struct scratch scratch;
static struct ftx_store *store;
static struct ftx_hooks *hooks;
static char folder[PATH_MAX + 8], out[PATH_MAX + 8];

static void on_wake(void *ctx)
{
    (void)ctx;
}

static void on_happened(void *ctx)
{
    (void)ctx;
    if (hooks)
        ftx_hooks_happened(hooks);
}

static int setup(void **state)
{
    static const struct ftx_store_events events = {
        .wake = on_wake, .committed = on_wake, .arrived = on_wake, .happened = on_happened};
    char room[512], path[PATH_MAX + 8];
    uint64_t id;
    (void)state;
    if (scratch_open(&scratch))
        return -1;
    snprintf(path, sizeof path, "%s/store", scratch.path);
    snprintf(folder, sizeof folder, "%s/hooks", scratch.path);
    snprintf(out, sizeof out, "%s/out", scratch.path);
    if (mkdir(folder, 0700) || ftx_store_open(path, room, sizeof room, &store))
        return -1;
    ftx_store_set_events(store, &events, NULL);
    return ftx_link_arm(store, FTX_INBOX, "7-alice", 7, &id);
}

static void stop(void)
{
    struct ftx_hooks *ended = hooks;
    pthread_mutex_lock(&store->lock);
    hooks = NULL;
    pthread_mutex_unlock(&store->lock);
    ftx_hooks_stop(ended);
}

static int teardown(void **state)
{
    (void)state;
    stop();
    ftx_store_close(store);
    return scratch_close(&scratch);
}

static void add_hook(const char *name, const char *script, mode_t mode)
{
    char path[PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fprintf(file, "#!/bin/sh\nout='%s'\n%s\n", out, script);
    fclose(file);
    assert_int_equal(chmod(path, mode), 0);
}

static void begin(unsigned timeout_ms)
{
    const char *message;
    struct ftx_hooks *started;
    const struct ftx_hooks_config config = {
        .folder = folder, .mount = "/mnt/ftx", .timeout_ms = timeout_ms};
    assert_int_equal(ftx_hooks_start(store, &config, &started, &message), 0);
    pthread_mutex_lock(&store->lock);
    hooks = started;
    pthread_mutex_unlock(&store->lock);
}

static void happens(enum ftx_event event, const char *path, const char *more, int64_t number)
{
    pthread_mutex_lock(&store->lock);
    ftx_tell_link(store, event, ftx_link_find(store, 1), path, more, number);
    pthread_mutex_unlock(&store->lock);
}

static char *read_out(void)
{
    static char text[1 << 16];
    FILE *file = fopen(out, "re");
    size_t n = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file)
        fclose(file);
    text[n] = '\0';
    return text;
}

/* The output once it has that. */
static char *wait_for(const char *wanted)
{
    for (int64_t until_ms = ftx_now_ms() + 30000; !strstr(read_out(), wanted);)
        if (ftx_now_ms() > until_ms)
            fail_msg("not within 30 s: %s; there is: %s", wanted, read_out());
        else
            usleep(2000);
    return read_out();
}

static void names_arrive_whole(void **state)
{
    static const char path[] = "inbox/7-alice/a; touch $HOME 'b' \"c\" \xe9 *";
    char expected[256];
    (void)state;
    add_hook("on-complete",
             "printf '%s|%s|%s|%s|%s|%s|%s|%s\\n' $# \"$1\" \"$2\" \"$FTX_EVENT\" \"$FTX_LINK\" "
             "\"$FTX_PATH\" \"$FTX_SIZE\" \"$FTX_MOUNT\" >>$out",
             0700);
    begin(20000);
    happens(FTX_EVENT_COMPLETE, path, NULL, 31457280);
    snprintf(expected, sizeof expected,
             "2|complete|/mnt/ftx/%s|complete|7-alice|/mnt/ftx/%s|31457280|/mnt/ftx\n", path, path);
    assert_string_equal(wait_for("\n"), expected);
}

static void each_event_has_its_hook(void **state)
{
    (void)state;
    add_hook("on-complete", "echo \"complete $FTX_EVENT\" >>$out", 0700);
    add_hook("on-fail", "echo \"fail $FTX_EVENT $FTX_REASON $FTX_ERROR\" >>$out", 0700);
    add_hook("on-pair", "echo \"pair $FTX_VERIFIER\" >>$out", 0700);
    add_hook("on-link-complete", "echo \"link $FTX_LINK ${FTX_PATH-none}\" >>$out", 0700);
    begin(20000);
    happens(FTX_EVENT_QUEUED, "outbox/7-alice/x", NULL, 1);
    happens(FTX_EVENT_DELIVERED, "outbox/7-alice/x", NULL, 1);
    happens(FTX_EVENT_FAILED, "outbox/7-alice/x", "its bytes are gone", 1);
    happens(FTX_EVENT_PAIRED, "acorn bagel", NULL, 0);
    wait_for("complete delivered\n");
    wait_for("fail failed  its bytes are gone\n");
    wait_for("pair acorn bagel\n");
    wait_for("link 7-alice none\n");
    assert_null(strstr(read_out(), "queued"));
}

static void hook_inherits_nothing_of_ours(void **state)
{
    (void)state;
    setenv("FTX_SECRET", "x", 1);
    add_hook("on-complete",
             /* without a child, for which the shell blocks signals for a moment */
             "while read -r key value; do case $key$value in SigBlk:*[1-9a-f]*) echo blocked; "
             "esac; done </proc/$$/status >>$out;"
             "for f in /proc/$$/fd/*; do case ${f##*/} in 0|1|2|1[0-9]) ;; *) [ ! -e $f ] || "
             "echo $f; esac; done >>$out;" /* from 10 on are sh's own */
             "pwd >>$out; env | grep -c SECRET >>$out; ulimit -n >>$out; echo end >>$out",
             0700);
    int inherited = open("/dev/null", O_RDONLY); /* without O_CLOEXEC */
    assert_true(inherited >= 0 && fcntl(inherited, F_DUPFD, 40) >= 40);
    begin(20000);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    happens(FTX_EVENT_COMPLETE, "inbox/7-alice/x", NULL, 1);
    const char *text = wait_for("end\n");
    if (strncmp(text, "/\n0\n", 4) != 0)
        fail_msg("%s", text);
    unsetenv("FTX_SECRET");
}

static void what_hangs_is_ended_with_what_it_started(void **state)
{
    (void)state;
    add_hook("on-complete", "sleep 1000 & echo \"$! $$\" >>$out; trap '' TERM; wait; wait", 0700);
    begin(2000);
    happens(FTX_EVENT_COMPLETE, "inbox/7-alice/x", NULL, 1);
    int child = 0, script = 0;
    assert_int_equal(sscanf(wait_for("\n"), "%d %d", &child, &script), 2);
    for (int64_t until_ms = ftx_now_ms() + 30000; kill(child, 0) == 0 || kill(script, 0) == 0;) {
        assert_true(ftx_now_ms() < until_ms);
        usleep(2000);
    }
    add_hook("on-fail", "echo alive >>$out", 0700);
    happens(FTX_EVENT_FAILED, "inbox/7-alice/x", "m", 1);
    wait_for("alive");
}

static void no_more_than_four_run(void **state)
{
    (void)state;
    add_hook("on-complete",
             "mkdir $out.d 2>/dev/null; echo >$out.d/$$; ls $out.d | wc -l >>$out; sleep 0.02; "
             "rm $out.d/$$; [ \"$FTX_SIZE\" = 39 ] && echo last >>$out",
             0700);
    begin(20000);
    for (int i = 0; i < 40; i++)
        happens(FTX_EVENT_COMPLETE, "inbox/7-alice/x", NULL, i);
    int most = 0, n = 0, lines = 0;
    for (const char *at = wait_for("last\n"); sscanf(at, "%d", &n) == 1; lines++) {
        most = n > most ? n : most;
        at = strchr(at, '\n') + 1;
    }
    assert_true(lines > 30 && most <= 4);
}

static void output_without_end_is_cut(void **state)
{
    (void)state;
    add_hook("on-complete",
             "head -c 10000000 /dev/zero | tr '\\0' x; seq 1 100000; echo end >>$out", 0700);
    begin(20000);
    happens(FTX_EVENT_COMPLETE, "inbox/7-alice/x", NULL, 1);
    wait_for("end\n");
}

static void what_others_may_write_does_not_run(void **state)
{
    const char *message = NULL;
    char path[PATH_MAX];
    (void)state;
    add_hook("on-complete", "echo ran >>$out", 0777);
    add_hook("on-fail", "echo ran >>$out", 0600);
    assert_false(ftx_hooks_find(folder, "on-complete", path));
    assert_false(ftx_hooks_find(folder, "on-fail", path));
    assert_false(ftx_hooks_find(folder, "on-pair", path));
    add_hook("on-pair", "exit", 0700);
    assert_true(ftx_hooks_find(folder, "on-pair", path));
    assert_int_equal(chmod(folder, 0770), 0);
    assert_false(ftx_hooks_find(folder, "on-pair", path));
    assert_int_equal(ftx_hooks_check(folder, &message), -EPERM);
    assert_non_null(message);
    assert_int_equal(ftx_hooks_check(out, &message), -ENOENT);
    assert_int_equal(chmod(folder, 0700), 0);
}

static void stopping_ends_what_runs(void **state)
{
    (void)state;
    add_hook("on-complete", "echo $$ >>$out; sleep 1000", 0700);
    begin(1000000);
    for (int i = 0; i < 10; i++)
        happens(FTX_EVENT_COMPLETE, "inbox/7-alice/x", NULL, 1);
    int pid = 0;
    assert_int_equal(sscanf(wait_for("\n"), "%d", &pid), 1);
    stop();
    assert_int_equal(kill(pid, 0), -1);
}

#define fact(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        fact(names_arrive_whole),
        fact(each_event_has_its_hook),
        fact(hook_inherits_nothing_of_ours),
        fact(what_hangs_is_ended_with_what_it_started),
        fact(no_more_than_four_run),
        fact(output_without_end_is_cut),
        fact(what_others_may_write_does_not_run),
        fact(stopping_ends_what_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
