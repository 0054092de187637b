/* SPDX-License-Identifier: MIT */
/* What both have in common: options, the store's place, the words about the link, the end. */
#include "tools/ftx/alone.h"

#include "tools/ftx/look.h"
#include "tools/ftx/words.h"
#include "transport/base/err.h"
#include "transport/base/log.h"

#include <errno.h>
#include <fts.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* -- signals -- */

static volatile sig_atomic_t ended; /* the signal that came */

static void on_signal(int number)
{
    ended = number;
}

static void watch_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaction(numbers[i], &action, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

/* -- beginning -- */

int ftx_alone_begin(struct ftx_alone *alone, const struct ftx_call *call)
{
    char message[FTX_OPTION_MESSAGE];
    *alone = (struct ftx_alone){.call = call, .progress.json = call->json};
    ftx_network_options_init(&alone->options);
    for (size_t i = 0; i < call->n_flags; i++)
        for (size_t k = 0; k < FTX_NETWORK_OPTIONS; k++) {
            const struct ftx_network_option *option = &ftx_network_option[k];
            if (strcmp(option->name, call->flags[i].name) != 0)
                continue;
            int err = option->set(&alone->options, call->flags[i].value, message);
            if (err == -EINVAL)
                return ftx_usage(call, "--%s: %s", option->name, message);
            if (err)
                return ftx_fail("%s", ftx_err_text(err));
        }
    const struct ftx_network_options *o = &alone->options;
    if (o->listen_none && o->no_lan && !o->n_dial && !o->n_relays)
        return ftx_usage(call, "there is no way to the other end: say --peer, --relay or --listen");
    return 0;
}

int ftx_alone_open(struct ftx_alone *alone, enum ftx_box box, char *path, const char *busy)
{
    char message[FTX_OPTION_MESSAGE];
    const char *named = ftx_call_flag(alone->call, "store");
    alone->ours = !named;
    alone->goes_on = box == FTX_OUTBOX;
    if (named) {
        free(path);
        path = strdup(named);
    }
    alone->path = path;
    if (!path)
        return ftx_fail("no folder for the state: name one with --store DIR");
    umask(077);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}); /* no keys in core files, ... */
    prctl(PR_SET_DUMPABLE, 0); /* nor in those that go through a pipe: these have no limit */
    ftx_log_open("ftx", false, FTX_LOG_ERROR); /* of the rest people are told here */
    int err = ftx_headless_open(path, box, message, sizeof message, &alone->end);
    if (err == -EBUSY && !named)
        return ftx_fail("%s: %s", path, busy);
    if (err == -ENOMEM)
        return ftx_fail("%s", ftx_err_text(err));
    return err ? ftx_fail("%s%s", message, named ? "" : "; name another place with --store DIR")
               : 0;
}

int ftx_alone_arm(struct ftx_alone *alone, const char *code)
{
    int err = ftx_headless_arm(alone->end, code);
    return err ? ftx_fail("the code could not be armed: %s", ftx_err_text(err)) : 0;
}

int ftx_alone_connect(struct ftx_alone *alone)
{
    struct ftx_network_options *options = &alone->options;
    char message[FTX_OPTION_MESSAGE];
    struct ftx_network_config config = ftx_network_options_config(options);
    int err = ftx_headless_connect(alone->end, &config);
    if (err == -EADDRINUSE && !options->listen_given) {
        options->listen.port = 0; /* another one has it, and any other does */
        err = ftx_headless_connect(alone->end, &config);
    }
    if (err) {
        ftx_network_options_explain(options, err, message);
        return ftx_fail("%s", message);
    }
    alone->connecting = ftx_look_clock();
    watch_signals();
    return 0;
}

/* -- waiting -- */

int ftx_alone_look(struct ftx_alone *alone, struct ftx_link_status *out)
{
    int err = ftx_headless_look(alone->end, out);
    alone->goes_on = alone->goes_on || (!err && out->paired);
    if (ended)
        return ftx_fail(alone->goes_on
                            ? "ended; the same command goes on where it was"
                            : "ended before it met the other end; the code is taken back here");
    if (err)
        return ftx_fail("the link is gone");
    bool end;
    if (!out->paired && out->guesses_left < alone->guesses_left)
        ftx_progress_say(&alone->progress, "the other end has another code; %u guesses are left",
                         out->guesses_left);
    alone->guesses_left = out->guesses_left;
    if (strcmp(out->state, alone->state) == 0)
        return 0;
    snprintf(alone->state, sizeof alone->state, "%s", out->state);
    const char *words = ftx_words_state(out->state, out->sender, false, &end);
    alone->hopeless = end;
    alone->words = words;
    if (!words || !end)
        return 0;
    ftx_progress_end(&alone->progress);
    return ftx_fail("%s", words);
}

void ftx_alone_say(struct ftx_alone *alone)
{
    if (alone->words)
        ftx_progress_say(&alone->progress, "%s", alone->words);
    alone->words = NULL;
    ftx_alone_say_ways(alone);
}

void ftx_alone_rest(struct ftx_alone *alone, double begun)
{
    ftx_alone_say(alone);
    ftx_look_rest(begun);
}

/* -- the end -- */

static void remove_tree(char *path)
{
    FTS *tree = fts_open((char *[]){path, NULL}, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
    for (FTSENT *entry; tree && (entry = fts_read(tree));)
        if (entry->fts_info == FTS_DP)
            (void)rmdir(entry->fts_path);
        else if (entry->fts_info != FTS_D)
            (void)unlink(entry->fts_path);
    if (tree)
        fts_close(tree);
}

void ftx_alone_close(struct ftx_alone *alone, bool over)
{
    ftx_progress_end(&alone->progress);
    if (alone->end) {
        bool empty = ftx_headless_close(alone->end, over);
        if (empty && alone->ours)
            remove_tree(alone->path);
    }
    ftx_network_options_free(&alone->options);
    free(alone->path);
    if (ended) {
        fflush(stdout);
        (void)signal(ended, SIG_DFL);
        (void)raise(ended);
    }
}
