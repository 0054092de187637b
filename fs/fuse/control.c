/* SPDX-License-Identifier: MIT */
/* .ftx/status: what is going on, as JSON (docs/interface.md). */
#include "fs/fuse/session.h"

#include "fs/store/links.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

struct ftx_text {
    struct ftx_text *prev, *next;
    size_t size;
    char *bytes;
};

/* Whole numbers up to 2^53 are exact in JSON as everybody reads it. */
static bool add_count(cJSON *object, const char *name, uint64_t value)
{
    return cJSON_AddNumberToObject(object, name, (double)value) != NULL;
}

/* What travelled compressed. */
static bool add_packed(cJSON *link, const char *name, const struct ftx_packed *packed)
{
    cJSON *object = cJSON_AddObjectToObject(link, name);
    return object && add_count(object, "before", packed->before) &&
           add_count(object, "after", packed->after);
}

/* NULL: there is no session. */
static bool add_way(cJSON *link, const struct ftx_link_way *way)
{
    return (way ? cJSON_AddStringToObject(link, "path", way->path)
                : cJSON_AddNullToObject(link, "path")) &&
           (way && way->rtt_us ? cJSON_AddNumberToObject(link, "rtt_ms", way->rtt_us / 1000.0)
                               : cJSON_AddNullToObject(link, "rtt_ms")) &&
           cJSON_AddStringToObject(link, "quality", way && way->quality ? way->quality : "offline");
}

static bool add_link(cJSON *links, const struct ftx_link_status *status)
{
    cJSON *link = cJSON_CreateObject();
    if (!link || !cJSON_AddItemToArray(links, link)) {
        cJSON_Delete(link);
        return false;
    }
    bool connected = status->peer[0] != '\0' && status->way.path;
    bool ok = cJSON_AddStringToObject(link, "name", status->name) &&
              cJSON_AddStringToObject(link, "state", status->state);
    ok = ok && (connected ? cJSON_AddStringToObject(link, "peer", status->peer)
                          : cJSON_AddNullToObject(link, "peer"));
    ok = ok && add_way(link, connected ? &status->way : NULL) &&
         add_count(link, "up_bytes_per_second", status->rate_out) &&
         add_count(link, "down_bytes_per_second", status->rate_in) &&
         add_count(link, "up_bytes", status->bytes_out) &&
         add_count(link, "down_bytes", status->bytes_in) &&
         add_packed(link, "up_compressed", &status->packed[FTX_OUTBOX]) &&
         add_packed(link, "down_compressed", &status->packed[FTX_INBOX]);
    cJSON *queue = ok ? cJSON_AddObjectToObject(link, "queue") : NULL;
    cJSON *arriving = queue ? cJSON_AddObjectToObject(link, "arriving") : NULL;
    return arriving && add_count(queue, "operations", status->queue_ops) &&
           add_count(queue, "files", status->queue_files) &&
           add_count(queue, "bytes", status->queue_bytes) &&
           add_count(arriving, "files", status->arriving_files) &&
           add_count(arriving, "bytes_missing", status->arriving_bytes);
}

static bool add_links(struct ftx_mount *mount, cJSON *links)
{
    size_t n = ftx_links_status(mount->store, NULL, 0), capacity = n + 16;
    struct ftx_link_status *status = calloc(capacity, sizeof *status);
    if (!status)
        return false;
    n = ftx_links_status(mount->store, status, capacity);
    bool ok = true;
    for (size_t i = 0; i < n && i < capacity && ok; i++)
        ok = add_link(links, &status[i]);
    free(status);
    return ok;
}

static char *status_text(struct ftx_mount *mount, size_t *out_size)
{
    char *text = NULL;
    cJSON *root = cJSON_CreateObject();
    cJSON *links = root && cJSON_AddStringToObject(root, "version", FTX_VERSION_TEXT)
                       ? cJSON_AddArrayToObject(root, "links")
                       : NULL;
    if (links && add_links(mount, links))
        text = cJSON_Print(root);
    cJSON_Delete(root);
    if (text) {
        *out_size = strlen(text);
        text[(*out_size)++] = '\n'; /* takes the place of the NUL */
    }
    return text;
}

static void text_free(struct ftx_text *text)
{
    if (text)
        free(text->bytes);
    free(text);
}

static void text_add(struct ftx_texts *texts, struct ftx_text *text)
{
    pthread_mutex_lock(&texts->lock);
    text->next = texts->first;
    if (text->next)
        text->next->prev = text;
    texts->first = text;
    pthread_mutex_unlock(&texts->lock);
}

static void text_remove(struct ftx_texts *texts, struct ftx_text *text)
{
    pthread_mutex_lock(&texts->lock);
    if (text->next)
        text->next->prev = text->prev;
    if (text->prev)
        text->prev->next = text->next;
    else
        texts->first = text->next;
    pthread_mutex_unlock(&texts->lock);
}

static struct ftx_text *text_of(const struct fuse_file_info *fi)
{
    return (struct ftx_text *)(uintptr_t)fi->fh;
}

void ftx_status_open(fuse_req_t req, struct fuse_file_info *fi)
{
    struct ftx_mount *mount = ftx_mount_of(req);
    if ((fi->flags & O_ACCMODE) != O_RDONLY || (fi->flags & O_TRUNC)) {
        fuse_reply_err(req, EPERM);
        return;
    }
    struct ftx_text *text = calloc(1, sizeof *text);
    if (text)
        text->bytes = status_text(mount, &text->size);
    if (!text || !text->bytes) {
        text_free(text);
        fuse_reply_err(req, ENOMEM);
        return;
    }
    text_add(&mount->texts, text);
    fi->fh = (uint64_t)(uintptr_t)text;
    fi->direct_io = 1;
    if (fuse_reply_open(req, fi) == -ENOENT)
        ftx_status_close(mount, fi);
}

/* Answers with a copy: once the reader has its bytes it may close, and the text is freed while the
 * reply is still on its way back. */
void ftx_status_read(fuse_req_t req, size_t size, off_t offset, const struct fuse_file_info *fi)
{
    const struct ftx_text *text = text_of(fi);
    size_t at = (size_t)offset < text->size ? (size_t)offset : text->size;
    size_t n = text->size - at < size ? text->size - at : size;
    char *copy = malloc(n ? n : 1);
    if (!copy) {
        fuse_reply_err(req, ENOMEM);
        return;
    }
    memcpy(copy, text->bytes + at, n);
    fuse_reply_buf(req, copy, n);
    free(copy);
}

void ftx_status_close(struct ftx_mount *mount, const struct fuse_file_info *fi)
{
    text_remove(&mount->texts, text_of(fi));
    text_free(text_of(fi));
}

void ftx_texts_init(struct ftx_texts *texts)
{
    pthread_mutex_init(&texts->lock, NULL);
    texts->first = NULL;
}

void ftx_texts_close(struct ftx_texts *texts)
{
    while (texts->first) {
        struct ftx_text *text = texts->first;
        texts->first = text->next;
        text_free(text);
    }
    pthread_mutex_destroy(&texts->lock);
}
