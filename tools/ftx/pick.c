/* SPDX-License-Identifier: MIT */
/* Walks the paths; each folder's .ftxignore is read on the way down and forgotten on the way up. */
#include "tools/ftx/pick.h"

#include "tools/ftx/look.h"

#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IGNORE_FILE ".ftxignore"

static void *grown(void *list, size_t n, size_t size)
{
    if ((n & (n - 1)) != 0) /* it is full at each power of two */
        return list;
    list = realloc(list, (n ? 2 * n : 1) * size);
    if (!list)
        abort();
    return list;
}

static char *copy_of(const char *text)
{
    char *copy = strdup(text);
    if (!copy)
        abort();
    return copy;
}

static void add(struct ftx_pick *pick, enum ftx_pick_kind kind, const FTSENT *entry, size_t name)
{
    pick->entries = grown(pick->entries, pick->n, sizeof *pick->entries);
    struct ftx_pick_entry *new = &pick->entries[pick->n++];
    *new = (struct ftx_pick_entry){.kind = kind, .source = copy_of(entry->fts_path), .name = name};
    if (kind == FTX_PICK_FILE) {
        new->size = (uint64_t)entry->fts_statp->st_size;
        pick->files++;
        pick->bytes += new->size;
    }
}

static void add_cache(struct ftx_pick *pick, const char *path)
{
    pick->caches = grown(pick->caches, pick->n_caches, sizeof *pick->caches);
    pick->caches[pick->n_caches++] = copy_of(path);
}

static void fail(struct ftx_pick *pick, const char *path, int err)
{
    if (pick->failed)
        return;
    pick->failed = copy_of(path);
    pick->err = err;
}

/* What can be made again at the other end: node_modules, __pycache__, Python's environments. */
static bool is_cache(const FTSENT *entry)
{
    char *marker;
    if (strcmp(entry->fts_name, "node_modules") == 0 || strcmp(entry->fts_name, "__pycache__") == 0)
        return true;
    if (asprintf(&marker, "%s/pyvenv.cfg", entry->fts_path) < 0)
        abort();
    bool is = access(marker, F_OK) == 0;
    free(marker);
    return is;
}

static void read_ignore(FTSENT *entry)
{
    char *path, *text = NULL;
    size_t size = 0;
    struct stat st;
    if (asprintf(&path, "%s/" IGNORE_FILE, entry->fts_path) < 0)
        abort();
    if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
        text = ftx_look_file(path, &size);
    free(path);
    struct ftx_ignore *ignore = text ? calloc(1, sizeof *ignore) : NULL;
    if (ignore && ftx_ignore_add_text(ignore, text, size) < 0)
        abort();
    entry->fts_pointer = ignore;
    free(text);
}

static void drop_ignore(FTSENT *entry)
{
    if (entry->fts_pointer)
        ftx_ignore_close(entry->fts_pointer);
    free(entry->fts_pointer);
}

/* --exclude first, then the folders around it, from the inside out: who says something decides. */
static bool is_ignored(const FTSENT *entry, const struct ftx_pick_rules *rules)
{
    bool folder = entry->fts_info == FTS_D;
    const FTSENT *top = entry;
    if (entry->fts_level == FTS_ROOTLEVEL)
        return false;
    while (top->fts_level > FTS_ROOTLEVEL)
        top = top->fts_parent;
    enum ftx_ignored said =
        ftx_ignore_match(&rules->exclude, entry->fts_path + top->fts_pathlen + 1, folder);
    for (const FTSENT *around = entry->fts_parent;
         said == FTX_IGNORE_UNSAID && around->fts_level >= FTS_ROOTLEVEL;
         around = around->fts_parent)
        if (around->fts_pointer)
            said = ftx_ignore_match(around->fts_pointer, entry->fts_path + around->fts_pathlen + 1,
                                    folder);
    return said == FTX_IGNORE_SKIP;
}

/* True: the folder is looked into. */
static bool enter(struct ftx_pick *pick, FTSENT *entry, const struct ftx_pick_rules *rules,
                  size_t name)
{
    entry->fts_pointer = NULL;
    if (is_ignored(entry, rules))
        return false;
    if (strcmp(entry->fts_name, ".ftx") == 0) { /* what a store or a receive keeps there */
        pick->odd++;
        return false;
    }
    if (entry->fts_statp->st_dev == rules->mount_dev &&
        entry->fts_statp->st_ino == rules->mount_ino) {
        pick->odd++;
        return false;
    }
    if (entry->fts_level > FTS_ROOTLEVEL && !rules->keep_caches && is_cache(entry)) {
        add_cache(pick, entry->fts_path);
        return false;
    }
    read_ignore(entry);
    add(pick, FTX_PICK_FOLDER, entry, name);
    return true;
}

void ftx_pick_add(struct ftx_pick *pick, char *path, const struct ftx_pick_rules *rules)
{
    const char *slash = strrchr(path, '/');
    size_t name = slash ? (size_t)(slash - path) + 1 : 0;
    FTS *tree = fts_open((char *[]){path, NULL}, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    for (FTSENT *entry; tree && (entry = fts_read(tree));) {
        switch (entry->fts_info) {
        case FTS_D:
            if (!enter(pick, entry, rules, name)) {
                entry->fts_number = 1; /* its end comes all the same */
                (void)fts_set(tree, entry, FTS_SKIP);
            }
            break;
        case FTS_DP:
            if (!entry->fts_number) {
                drop_ignore(entry);
                add(pick, FTX_PICK_FOLDER_END, entry, name);
            }
            break;
        case FTS_F:
        case FTS_SL:
        case FTS_SLNONE:
            if (!is_ignored(entry, rules))
                add(pick, entry->fts_info == FTS_F ? FTX_PICK_FILE : FTX_PICK_SYMLINK, entry, name);
            break;
        case FTS_DNR:
        case FTS_ERR:
        case FTS_NS:
            drop_ignore(entry);
            entry->fts_pointer = NULL;
            fail(pick, entry->fts_path, entry->fts_errno);
            break;
        default:
            pick->odd += !is_ignored(entry, rules);
        }
    }
    if (!tree)
        fail(pick, path, errno);
    else
        fts_close(tree);
}

void ftx_pick_close(struct ftx_pick *pick)
{
    for (size_t i = 0; i < pick->n; i++)
        free(pick->entries[i].source);
    for (size_t i = 0; i < pick->n_caches; i++)
        free(pick->caches[i]);
    free(pick->entries);
    free(pick->caches);
    free(pick->failed);
    *pick = (struct ftx_pick){0};
}
