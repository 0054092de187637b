/* SPDX-License-Identifier: MIT */
/* Sending and receiving without a mount. */
#ifndef FTX_TOOLS_ALONE_H
#define FTX_TOOLS_ALONE_H

#include "fs/headless/headless.h"
#include "tools/common/network_options.h"
#include "tools/ftx/command.h"
#include "tools/ftx/pick.h"
#include "tools/ftx/progress.h"

struct ftx_alone {
    const struct ftx_call *call;
    struct ftx_network_options options;
    char *path;   /* owned; of the store */
    bool ours;    /* ... which goes once all is done */
    bool goes_on; /* the same command would go on with what this one has begun */
    struct ftx_headless *end;
    struct ftx_progress progress;
    char state[32];        /* of the link, as was said last */
    unsigned guesses_left; /* likewise */
    const char *words;     /* about it, to be said if there is to be any waiting; static */
    bool hopeless;         /* nothing can come of it: nobody goes on with it */
    double connecting;     /* when that was begun */
    bool hinted;           /* it was said where the other end is looked for */
};

/* Takes the options of the call. 0, or an exit status after one line; close it in any case. */
int ftx_alone_begin(struct ftx_alone *alone, const struct ftx_call *call);
/* Opens the store at `path` (taken over; to be removed when all is done), or that of --store.
 * `busy`: what to say if somebody has it. 0, or an exit status. */
int ftx_alone_open(struct ftx_alone *alone, enum ftx_box box, char *path, const char *busy);
/* Arms the code. 0, or an exit status. */
int ftx_alone_arm(struct ftx_alone *alone, const char *code);
/* Listens and dials; from here on signals end the waiting. 0, or an exit status. */
int ftx_alone_connect(struct ftx_alone *alone);

/* How it stands with the link. 0, or an exit status: nothing can come of it, or somebody wants it to
 * end. */
int ftx_alone_look(struct ftx_alone *alone, struct ftx_link_status *out);
/* Says which ways to the other end lead nowhere, and what to do, while it is not there. */
void ftx_alone_say_ways(struct ftx_alone *alone);
/* Says what is new about the link, and the ways to it. */
void ftx_alone_say(struct ftx_alone *alone);
/* The same, and waits a moment: as long as the round took that began then. */
void ftx_alone_rest(struct ftx_alone *alone, double begun);

/* Ends it; `over`: for good, else the same command goes on. A signal that came is raised again. */
void ftx_alone_close(struct ftx_alone *alone, bool over);

/* ftx send: `paths` are absolute, `pick` of them, `to` a code or NULL. */
int ftx_alone_send(const struct ftx_call *call, char **paths, const struct ftx_pick *pick);
/* ftx receive: into what is open as `to`; `word`: the code, or NULL. */
int ftx_alone_receive(const struct ftx_call *call, const char *word, const char *dir, int to);

#endif
