/* SPDX-License-Identifier: MIT */
/*
 * .ftx/history: transfers that ended, a page of lines at a time (docs/interface.md). Where pages
 * begin is remembered, so that who seeks back finds what he read; who seeks ahead reads up to there.
 */
#include "fs/fuse/control.h"

#include "fs/store/history.h"

#include <errno.h>
#include <stdlib.h>

struct page {
    uint64_t at; /* offset of its text */
    uint64_t id; /* of its first line, or a lower one */
};

struct reader {
    struct ftx_control_handle handle;
    pthread_mutex_t lock;
    struct ftx_history *history;
    struct page *pages;
    size_t n_pages, capacity;
    size_t page;      /* the one whose text is here, if there are any */
    const char *text; /* the history's */
    size_t text_size;
    uint64_t next_id; /* behind it */
};

static int open_history(struct ftx_mount *mount, struct ftx_control_handle **out_handle)
{
    struct reader *reader = calloc(1, sizeof *reader);
    int err = reader ? ftx_history_open(mount->store, &reader->history) : -ENOMEM;
    if (err) {
        free(reader);
        return err;
    }
    pthread_mutex_init(&reader->lock, NULL);
    *out_handle = &reader->handle;
    return 0;
}

static void close_history(struct ftx_mount *mount, struct ftx_control_handle *handle)
{
    struct reader *reader = (struct reader *)handle;
    (void)mount;
    ftx_history_close(reader->history);
    pthread_mutex_destroy(&reader->lock);
    free(reader->pages);
    free(reader);
}

/* Reads the text of page `i`. */
static int load(struct reader *reader, size_t i)
{
    uint64_t id = reader->pages[i].id;
    int err = ftx_history_page(reader->history, &id, &reader->text, &reader->text_size);
    if (err)
        return err;
    reader->page = i;
    reader->next_id = id;
    if (i + 1 < reader->n_pages) { /* it was the last one when it was read first */
        uint64_t size = reader->pages[i + 1].at - reader->pages[i].at;
        reader->text_size = reader->text_size < size ? reader->text_size : (size_t)size;
    }
    return 0;
}

static int add_page(struct reader *reader, uint64_t at, uint64_t id)
{
    if (reader->n_pages == reader->capacity) {
        size_t capacity = reader->capacity ? 2 * reader->capacity : 16;
        struct page *grown = realloc(reader->pages, capacity * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        reader->pages = grown;
        reader->capacity = capacity;
    }
    reader->pages[reader->n_pages++] = (struct page){.at = at, .id = id};
    return 0;
}

/* The page behind the last one becomes a page if there are lines for it by now. */
static int go_on(struct reader *reader, bool *out_more)
{
    uint64_t at = reader->n_pages ? reader->pages[reader->page].at + reader->text_size : 0;
    int err = add_page(reader, at, reader->n_pages ? reader->next_id : 1);
    if (!err)
        err = load(reader, reader->n_pages - 1);
    *out_more = !err && reader->text_size > 0;
    if (!*out_more && !err)
        reader->n_pages--;
    return err;
}

/* Brings the text of the page that holds `offset`; *out_more false: that lies behind the end. */
static int find(struct reader *reader, uint64_t offset, bool *out_more)
{
    size_t i = reader->n_pages;
    while (i > 0 && reader->pages[i - 1].at > offset)
        i--;
    *out_more = i > 0;
    int err = 0;
    if (i > 0 && (reader->page != i - 1 || reader->text_size == 0))
        err = load(reader, i - 1);
    while (!err &&
           (reader->n_pages == 0 || offset >= reader->pages[reader->page].at + reader->text_size)) {
        *out_more = reader->n_pages == 0 || reader->page + 1 == reader->n_pages;
        if (*out_more) /* else the oldest of what this page held is gone */
            err = go_on(reader, out_more);
        if (!*out_more)
            break;
    }
    return err;
}

static void read_history(fuse_req_t req, struct ftx_control_handle *handle, size_t size,
                         off_t offset, const struct fuse_file_info *fi)
{
    struct reader *reader = (struct reader *)handle;
    bool more;
    (void)fi;
    pthread_mutex_lock(&reader->lock);
    int err = find(reader, (uint64_t)offset, &more);
    char *room = !err && more ? ftx_read_room() : NULL;
    size_t n = 0;
    if (room) {
        size_t at = (size_t)((uint64_t)offset - reader->pages[reader->page].at);
        n = reader->text_size - at < size ? reader->text_size - at : size;
        memcpy(room, reader->text + at, n);
    }
    pthread_mutex_unlock(&reader->lock);
    if (err || (more && !room))
        ftx_reply_err(req, err ? err : -ENOMEM);
    else
        fuse_reply_buf(req, room, n);
}

const struct ftx_control ftx_control_history = {.ino = FTX_ID_HISTORY,
                                                .name = "history",
                                                .mode = 0400,
                                                .open = open_history,
                                                .read = read_history,
                                                .close = close_history};
