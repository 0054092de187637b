/* SPDX-License-Identifier: MIT */
/* A folder with very many names: how one is found, and all are listed. */
#include "tests/cost/cost.h"
#include "tests/cost/ends.h"
#include "tests/cost/mount.h"

#include "fs/store/outbox.h"

#include <stdio.h>
#include <string.h>

enum { FILES = 100000, LOOKUPS = 10000 };

static const char *name_of(char out[32], unsigned i)
{
    snprintf(out, 32, "file-%06u.dat", i);
    return out;
}

static void fill(struct ftx_store *store, uint64_t folder)
{
    char name[32];
    uint64_t id;
    for (unsigned i = 0; i < FILES; i++) {
        name_of(name, i);
        cost_must(ftx_outbox_make(store, folder, name, strlen(name), FTX_FILE, 0644, NULL, false,
                                  &id) == 0,
                  "a file can be made");
    }
    cost_database_turn(store);
}

void cost_folder(void)
{
    struct ftx_link *link;
    struct ftx_store *store = cost_store_open("store", FTX_OUTBOX, &link);
    struct cost_mount *mount = cost_mount_new(store);
    uint64_t folder = link->folders[FTX_OUTBOX]->id, found[LOOKUPS];
    fill(store, folder);
    cost_ready();
    for (unsigned i = 0; i < LOOKUPS; i++) {
        char name[32];
        name_of(name, (unsigned)((uint64_t)i * 7919 % FILES));
        cost_begin();
        found[i] = cost_lookup(mount, folder, name);
        cost_pause();
        cost_must(found[i], "the file is there");
    }
    cost_end("lookup");
    cost_begin();
    for (unsigned i = 0; i < LOOKUPS; i++)
        cost_getattr(mount, found[i]);
    cost_end("getattr");
    cost_begin();
    size_t size = cost_readdir(mount, folder);
    cost_end("readdir");
    cost_must(size >= (size_t)FILES * 40, "all of them are listed");
    cost_mount_free(mount);
    ftx_store_close(store);
}
