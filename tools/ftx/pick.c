/* SPDX-License-Identifier: MIT */
/* Walks the paths; each folder's .ftxignore is read on the way down and forgotten on the way up. */
#include "tools/ftx/pick.h"

#include "fs/store/names.h"
#include "tools/ftx/look.h"
#include "transport/wire/limits.h"

#include <errno.h>
#include <fcntl.h>
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

static void add_spare(struct ftx_pick *pick, enum ftx_pick_spare spare, const char *path)
{
    size_t n = pick->n_spare[spare]++;
    pick->spare[spare] = grown(pick->spare[spare], n, sizeof *pick->spare[spare]);
    pick->spare[spare][n] = copy_of(path);
}

static void leave(struct ftx_pick *pick, const char *path, const char *why)
{
    pick->left = grown(pick->left, pick->n_left, sizeof *pick->left);
    pick->left[pick->n_left++] = (struct ftx_pick_left){copy_of(path), why};
}

/* NULL: the protocol can say its name, and where it stands. */
static const char *why_unnamed(const FTSENT *entry, size_t name)
{
    if (ftx_name_check(entry->fts_name, entry->fts_namelen, false))
        return "its name has control characters";
    if (entry->fts_level >= FTX_DEPTH_MAX)
        return "it stands in too many folders";
    return entry->fts_pathlen - name > FTX_PATH_MAX ? "its path is too long" : NULL;
}

/* NULL: it can be read, for now. */
static const char *why_unread(const FTSENT *entry)
{
    bool read = faccessat(AT_FDCWD, entry->fts_path, R_OK, AT_EACCESS) == 0;
    return read ? NULL : strerror(errno);
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

/* FTX_PICK_SPARES: it is none. */
static enum ftx_pick_spare spare_of(const FTSENT *entry)
{
    if (entry->fts_level == FTS_ROOTLEVEL) /* it was named */
        return FTX_PICK_SPARES;
    if (strcmp(entry->fts_name, ".git") == 0)
        return FTX_PICK_GIT;
    return is_cache(entry) ? FTX_PICK_CACHES : FTX_PICK_SPARES;
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
    if (strcmp(entry->fts_name, ".ftx") == 0) /* what a store or a receive keeps there */
        return false;
    if (entry->fts_statp->st_dev == rules->mount_dev &&
        entry->fts_statp->st_ino == rules->mount_ino)
        return false;
    const char *why = why_unnamed(entry, name);
    if (why) {
        leave(pick, entry->fts_path, why);
        return false;
    }
    enum ftx_pick_spare spare = spare_of(entry);
    if (spare != FTX_PICK_SPARES && !rules->keep[spare]) {
        add_spare(pick, spare, entry->fts_path);
        return false;
    }
    read_ignore(entry);
    add(pick, FTX_PICK_FOLDER, entry, name);
    return true;
}

/* A file or a symlink. */
static void take(struct ftx_pick *pick, const FTSENT *entry, const struct ftx_pick_rules *rules,
                 size_t name)
{
    enum ftx_pick_kind kind = entry->fts_info == FTS_F ? FTX_PICK_FILE : FTX_PICK_SYMLINK;
    if (is_ignored(entry, rules))
        return;
    const char *why = why_unnamed(entry, name);
    if (!why && kind == FTX_PICK_FILE)
        why = why_unread(entry);
    if (why)
        leave(pick, entry->fts_path, why);
    else
        add(pick, kind, entry, name);
}

/* It was entered, and is a folder that nobody may look into. */
static void give_back(struct ftx_pick *pick, FTSENT *entry)
{
    drop_ignore(entry);
    entry->fts_pointer = NULL;
    struct ftx_pick_entry *last = pick->n ? &pick->entries[pick->n - 1] : NULL;
    if (last && last->kind == FTX_PICK_FOLDER && strcmp(last->source, entry->fts_path) == 0) {
        free(last->source);
        pick->n--;
    }
    leave(pick, entry->fts_path, strerror(entry->fts_errno));
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
            take(pick, entry, rules, name);
            break;
        case FTS_DNR:
        case FTS_ERR:
            give_back(pick, entry);
            break;
        case FTS_NS:
            leave(pick, entry->fts_path, strerror(entry->fts_errno));
            break;
        default:
            if (!is_ignored(entry, rules))
                leave(pick, entry->fts_path, "it is neither a file, a folder nor a symlink");
        }
    }
    if (!tree)
        leave(pick, path, strerror(errno));
    else
        fts_close(tree);
}

void ftx_pick_close(struct ftx_pick *pick)
{
    for (size_t i = 0; i < pick->n; i++)
        free(pick->entries[i].source);
    for (size_t i = 0; i < FTX_PICK_SPARES; i++) {
        for (size_t k = 0; k < pick->n_spare[i]; k++)
            free(pick->spare[i][k]);
        free(pick->spare[i]);
    }
    for (size_t i = 0; i < pick->n_left; i++)
        free(pick->left[i].source);
    free(pick->entries);
    free(pick->left);
    *pick = (struct ftx_pick){0};
}
