/* SPDX-License-Identifier: MIT */
/* Fuzz: a peer's operations, each a length byte pair and its bytes. What decodes encodes to the
 * same bytes, and an inbox that applies them stays a tree. */
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/store/inbox.h"
#include "fs/store/ops.h"
#include "transport/wire/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int holds)
{
    if (!holds)
        abort();
}

static struct ftx_store *store;
static char folder[64];

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *walk)
{
    (void)st, (void)flag, (void)walk;
    return remove(path);
}

static void close_store(void)
{
    ftx_store_close(store);
    nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* A store of a link that is paired; one for all inputs, emptied after each. */
static void the_store(struct ftx_link **out_link)
{
    static struct ftx_link *link;
    if (!store) {
        bool shm = access("/dev/shm", W_OK) == 0;
        char room[512];
        uint64_t id;
        snprintf(folder, sizeof folder, "%sftxfs-fuzz.XXXXXX", shm ? "/dev/shm/" : "");
        check(mkdtemp(folder) && ftx_store_open(folder, room, sizeof room, &store) == 0);
        atexit(close_store);
        check(ftx_link_arm(store, FTX_INBOX, "7-fuzz", 6, &id) == 0);
        link = ftx_link_find(store, 1);
    }
    *out_link = link;
}

static size_t walk(const struct ftx_item *above, unsigned depth)
{
    size_t n = 0;
    check(depth <= FTX_DEPTH_MAX);
    for (struct ftx_item *item = ftx_folder_after(above, 0); item;
         item = ftx_folder_after(above, item->cookie)) {
        check(item->parent == above && item->linked);
        n += 1 + (item->kind == FTX_FOLDER ? walk(item, depth + 1) : 0);
    }
    return n;
}

static void apply(const uint8_t *bytes, size_t size, uint64_t number)
{
    struct ftx_link *link;
    the_store(&link);
    uint64_t entry, item;
    uint8_t refused;
    (void)ftx_inbox_apply(store, link, number, bytes, size, FTX_LINKS_SAFE, &entry, &item,
                          &refused);
}

static void empty(void)
{
    struct ftx_link *link;
    the_store(&link);
    struct ftx_item *box = link->folders[FTX_INBOX];
    uint64_t links_folder = box->id;
    walk(box, 0);
    while (ftx_folder_count(box)) {
        struct ftx_item *item = ftx_folder_after(box, 0);
        while (item->kind == FTX_FOLDER && ftx_folder_count(item))
            item = ftx_folder_after(item, 0);
        uint64_t parent = item->parent == box ? links_folder : item->parent->id;
        check(ftx_inbox_remove(store, parent, item->name, item->name_size,
                               item->kind == FTX_FOLDER) == 0);
    }
    check(ftx_list_empty(&link->arriving));
    check(store->index.by_remote.count == 0);
    check(link->xattr_bytes[FTX_INBOX] == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t again[FTX_OP_ENCODED_MAX];
    uint64_t number = 0;
    struct ftx_op op;
    if (ftx_op_decode(data, size, &op) == 0) {
        check(ftx_op_encode(&op, again) == size && memcmp(again, data, size) == 0);
        apply(data, size, ++number);
    }
    for (size_t at = 0; size - at > 2;) {
        size_t length = data[at] | (size_t)(data[at + 1] & 31) << 8;
        at += 2;
        length = length < size - at ? length : size - at;
        if (ftx_op_decode(data + at, length, &op) == 0) {
            check(ftx_op_encode(&op, again) == length && memcmp(again, data + at, length) == 0);
            apply(data + at, length, ++number);
        }
        at += length;
    }
    if (number)
        empty();
    return 0;
}
