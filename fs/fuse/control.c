/* SPDX-License-Identifier: MIT */
/* .ftx/status: what is going on, as JSON (docs/interface.md). */
#include "fs/fuse/session.h"

#include "fs/store/links.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

/* Whole numbers up to 2^53 are exact in JSON as everybody reads it. */
static bool add_count(cJSON *object, const char *name, uint64_t value)
{
    return cJSON_AddNumberToObject(object, name, (double)value) != NULL;
}

static bool add_link(cJSON *links, const struct ftx_link_status *status)
{
    cJSON *link = cJSON_CreateObject();
    if (!link || !cJSON_AddItemToArray(links, link)) {
        cJSON_Delete(link);
        return false;
    }
    bool connected = status->peer[0] != '\0';
    bool ok = cJSON_AddStringToObject(link, "name", status->name) &&
              cJSON_AddStringToObject(link, "state", status->state);
    ok = ok &&
         (connected ? cJSON_AddStringToObject(link, "peer", status->peer) &&
                          cJSON_AddStringToObject(link, "path", "direct")
                    : cJSON_AddNullToObject(link, "peer") && cJSON_AddNullToObject(link, "path"));
    ok = ok && add_count(link, "up_bytes_per_second", status->rate_out) &&
         add_count(link, "down_bytes_per_second", status->rate_in) &&
         add_count(link, "up_bytes", status->bytes_out) &&
         add_count(link, "down_bytes", status->bytes_in);
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

char *ftx_status_text(struct ftx_mount *mount, size_t *out_size)
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
