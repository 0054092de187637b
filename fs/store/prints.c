/* SPDX-License-Identifier: MIT */
/* Keyed hashes of extents. */
#include "fs/store/prints.h"

#include "fs/store/links.h"
#include "transport/wire/limits.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { AT_ONCE = 16 /* extents; commits wait meanwhile */ };

uint64_t ftx_prints_count(uint64_t size)
{
    return size / FTX_EXTENT_MAX + (size % FTX_EXTENT_MAX != 0);
}

uint64_t ftx_prints_length(uint64_t index, uint64_t size)
{
    uint64_t left = size - index * FTX_EXTENT_MAX;
    return left < FTX_EXTENT_MAX ? left : FTX_EXTENT_MAX;
}

struct ftx_prints *ftx_prints_new(uint64_t size)
{
    uint64_t n = ftx_prints_count(size);
    struct ftx_prints *prints = malloc(sizeof *prints + n * FTX_PRINT_SIZE);
    if (prints)
        prints->n = n;
    return prints;
}

void ftx_print_key(const struct ftx_link *link, struct ftx_print_key *out)
{
    static const char purpose[] = "ftxfs prints of released extents";
    crypto_generichash(out->bytes, sizeof out->bytes, (const uint8_t *)purpose, sizeof purpose - 1,
                       link->row.link_secret, sizeof link->row.link_secret);
}

void ftx_print(const struct ftx_print_key *key, const uint8_t *bytes, size_t size,
               uint8_t out[FTX_PRINT_SIZE])
{
    crypto_generichash(out, FTX_PRINT_SIZE, bytes, size, key->bytes, sizeof key->bytes);
}

void ftx_printing_begin(struct ftx_printing *printing, uint64_t size)
{
    ftx_printing_end(printing);
    printing->size = size;
    printing->prints = ftx_prints_new(size);
}

void ftx_printing_end(struct ftx_printing *printing)
{
    free(printing->prints);
    sodium_memzero(printing, sizeof *printing);
}

static int print_extent(struct ftx_printing *printing, int fd, uint8_t *room)
{
    uint64_t i = printing->done, n = ftx_prints_length(i, printing->size);
    int err = ftx_object_read(fd, room, (size_t)n, i * FTX_EXTENT_MAX);
    if (!err)
        ftx_print(&printing->key, room, (size_t)n, printing->prints->at[i]);
    printing->done += !err;
    return err;
}

bool ftx_printing_go_on(struct ftx_printing *printing, const struct ftx_objects *objects)
{
    uint8_t *room = malloc(FTX_EXTENT_MAX);
    int fd = ftx_object_open(objects, printing->object, O_RDONLY);
    int err = !room || !printing->prints || fd < 0;
    for (int i = 0; i < AT_ONCE && !err && printing->done < printing->prints->n; i++)
        err = print_extent(printing, fd, room);
    if (fd >= 0)
        close(fd);
    free(room);
    if (err) {
        free(printing->prints);
        printing->prints = NULL;
    }
    return err || printing->done == printing->prints->n;
}
