/* SPDX-License-Identifier: MIT */
/* Files from write(2) in an outbox to a complete file in the peer's inbox and its acknowledgement:
 * one large one, many small ones. */
#include "tests/cost/cost.h"
#include "tests/cost/ends.h"
#include "tests/cost/mount.h"

#include <stdio.h>

enum {
    LARGE_WRITES = 64, /* of 1 MiB: so much may be under way */
    PIECES = 128,      /* of 128 KiB, as programs write that do not ask for st_blksize */
    PIECE_SIZE = 128 << 10,
    SMALL_FILES = 2000,
    SMALL_SIZE = 4096,
    FOLDER_FILES = 200, /* in a folder; they share a turn of the loop, as they do when cp runs */
};

static struct cost_ends ends;

static uint64_t begin(struct cost_mount **out_mount)
{
    cost_ends_open(&ends);
    *out_mount = cost_mount_new(ends.sender.store);
    cost_ready();
    return ends.sender.link->folders[FTX_OUTBOX]->id;
}

static void end(struct cost_mount *mount)
{
    cost_mount_free(mount);
    cost_ends_close(&ends);
}

/* What has come, as .ftx/status says it. */
static void check(uint64_t bytes)
{
    struct ftx_link_status sent, came;
    ftx_links_status(ends.sender.store, &sent, 1);
    ftx_links_status(ends.receiver.store, &came, 1);
    cost_must(came.bytes_in == bytes && came.arriving_files == 0, "all of it arrived");
    cost_must(sent.queue_files == 0 && sent.queue_ops == 0, "all of it is delivered");
}

static void write_file(struct cost_mount *mount, uint64_t folder, unsigned writes, uint32_t size)
{
    cost_begin();
    cost_must(cost_lookup(mount, folder, "file") == 0, "the file is not there yet");
    struct cost_file file = cost_create(mount, folder, "file");
    cost_pause();
    for (uint64_t i = 0; i < writes; i++) {
        cost_fill(cost_write_room(mount), size);
        cost_begin();
        cost_write(mount, file, i * size, size);
        cost_pause();
    }
    cost_begin();
    cost_close(mount, file);
    cost_end("sender request");
}

void cost_large(void)
{
    struct cost_mount *mount;
    uint64_t folder = begin(&mount);
    write_file(mount, folder, LARGE_WRITES, COST_WRITE_MAX);
    cost_ends_settle(&ends);
    check((uint64_t)LARGE_WRITES * COST_WRITE_MAX);
    end(mount);
}

void cost_pieces(void)
{
    struct cost_mount *mount;
    uint64_t folder = begin(&mount);
    write_file(mount, folder, PIECES, PIECE_SIZE);
    end(mount);
}

static void write_small(struct cost_mount *mount, uint64_t folder, unsigned i)
{
    char name[32];
    snprintf(name, sizeof name, "file-%06u.dat", i);
    cost_fill(cost_write_room(mount), SMALL_SIZE);
    cost_begin();
    cost_must(cost_lookup(mount, folder, name) == 0, "the file is not there yet");
    struct cost_file file = cost_create(mount, folder, name);
    cost_write(mount, file, 0, SMALL_SIZE);
    cost_close(mount, file);
    cost_pause();
}

void cost_small(void)
{
    struct cost_mount *mount;
    uint64_t root = begin(&mount), folder = 0;
    for (unsigned i = 0; i < SMALL_FILES / FOLDER_FILES; i++) {
        char name[32];
        snprintf(name, sizeof name, "folder-%u", i);
        folder = cost_mkdir(mount, root, name);
        for (unsigned k = 0; k < FOLDER_FILES; k++)
            write_small(mount, folder, k);
        cost_end("sender request");
        cost_ends_settle(&ends);
        cost_pass_ms(50);
    }
    check((uint64_t)SMALL_FILES * SMALL_SIZE);
    end(mount);
}
