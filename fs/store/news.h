/* SPDX-License-Identifier: MIT */
/*
 * News: what a peer changed in folders that somebody looks at, in the order it happened, for those
 * who watch. Noted while the change is made, taken by one thread that tells. A folder is looked at
 * from a program's first look-up of it until the kernel forgets it; for all others nothing is
 * noted. What the tellers cannot keep up with is lost, never waited for.
 */
#ifndef FTX_STORE_NEWS_H
#define FTX_STORE_NEWS_H

#include "fs/store/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FTX_NEWS_MAX = 32768, /* kept at most: some 4 MiB; twice what an inotify queue takes */
};

enum ftx_news_what {
    FTX_NEWS_NOTHING,  /* was taken back */
    FTX_NEWS_MADE,     /* stands in the folder now */
    FTX_NEWS_COMPLETE, /* a file, or its next version, is complete */
    FTX_NEWS_MOVED,    /* now it is `to` in `to_folder`; what was there is gone */
    FTX_NEWS_GONE,     /* stands in the folder no more */
    FTX_NEWS_ATTR,     /* mode or time changed */
};

/* Names as they were then; the item may have moved on, or be gone. */
struct ftx_news {
    struct ftx_list node;
    uint64_t item, folder;
    uint64_t to_folder; /* MOVED */
    uint8_t what, kind; /* kind: enum ftx_kind of the item */
    bool complete;      /* MADE, MOVED: a file that is complete, too */
    const char *to;     /* MOVED: in the same block */
    char name[];
};

/* The oldest that was not taken, free() it; NULL: none. Any thread. */
struct ftx_news *ftx_news_take(struct ftx_store *store);

/* False: the kernel has forgotten all that it is about, so nobody can be watching. */
bool ftx_news_wanted(struct ftx_store *store, const struct ftx_news *news);

/*
 * The kernel is about to be made to let go of a folder. If it forgets all references that it has
 * now before a program looks the folder up again, the folder is looked at no more, though whoever
 * asked may have looked it up since. One question at a time: the last one holds.
 */
void ftx_news_ask(struct ftx_store *store, uint64_t folder);
/* The folder was the last one asked about, and was forgotten. */
bool ftx_news_forgotten(struct ftx_store *store, uint64_t folder);

/* How many were lost since the last call. */
uint64_t ftx_news_lost(struct ftx_store *store);

/* Path of a folder from the mount's root, "inbox/code/a", and the number of the folder it stands
 * in. -ENOENT: it is not in the tree (any more), or that is too long for `size`. */
int ftx_news_path(struct ftx_store *store, uint64_t folder, char *out, size_t size,
                  uint64_t *out_parent);

/* -- private to fs/store, under the lock; true: something was noted, so events.news is due -- */

bool ftx_news_made(struct ftx_store *store, struct ftx_item *item);
/* Call it while the item still has its ftx_arriving. */
bool ftx_news_complete(struct ftx_store *store, struct ftx_item *item);
/* The item stands where it is now; before, it was `name` in `from`. */
bool ftx_news_moved(struct ftx_store *store, struct ftx_item *item, const struct ftx_item *from,
                    const char *name);
/* Call it while the item still stands in its folder. */
bool ftx_news_gone(struct ftx_store *store, struct ftx_item *item);
bool ftx_news_attr(struct ftx_store *store, struct ftx_item *item);
/* A program looked the item up; `n` references of it are gone: what that says to the question. */
void ftx_news_looked_up(struct ftx_store *store, struct ftx_item *item);
void ftx_news_forget(struct ftx_store *store, struct ftx_item *item, uint64_t n);
void ftx_news_close(struct ftx_store *store);

#endif
