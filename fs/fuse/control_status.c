/* SPDX-License-Identifier: MIT */
/* .ftx/status: what is going on, as JSON (docs/interface.md), as it was at the open. */
#include "fs/fuse/control.h"

#include "fs/store/group.h"
#include "fs/store/json.h"
#include "fs/store/links.h"
#include "fs/store/steer.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct text {
    struct ftx_control_handle handle;
    size_t size;
    char *bytes;
};

/* Whole numbers up to 2^53 are exact in JSON as everybody reads it. */
static bool add_count(cJSON *object, const char *name, uint64_t value)
{
    return cJSON_AddNumberToObject(object, name, (double)value) != NULL;
}

static bool add_text(cJSON *object, const char *name, const char *text)
{
    return (text ? cJSON_AddStringToObject(object, name, text)
                 : cJSON_AddNullToObject(object, name)) != NULL;
}

static bool add_flag(cJSON *object, const char *name, bool value)
{
    return cJSON_AddBoolToObject(object, name, value) != NULL;
}

/* null for no limit. */
static bool add_most(cJSON *object, const char *name, uint64_t value)
{
    return value ? add_count(object, name, value) : cJSON_AddNullToObject(object, name) != NULL;
}

/* Null if it is the same all day. */
static bool add_times(cJSON *object, const char *name, const struct ftx_timetable *table)
{
    char text[FTX_TIMETABLE_TEXT];
    ftx_timetable_text(table, text);
    return add_text(object, name, table->n ? text : NULL);
}

static bool add_limit(cJSON *parent, const struct ftx_link_settings *settings)
{
    const struct ftx_timetable *up = &settings->limit[FTX_OUTBOX];
    const struct ftx_timetable *down = &settings->limit[FTX_INBOX];
    unsigned minute = ftx_timetable_minute(time(NULL));
    cJSON *limit = cJSON_AddObjectToObject(parent, "limit");
    cJSON *times = cJSON_AddObjectToObject(parent, "limit_times");
    return limit && times && add_most(limit, "up", ftx_timetable_rate(up, minute)) &&
           add_most(limit, "down", ftx_timetable_rate(down, minute)) &&
           add_times(times, "up", up) && add_times(times, "down", down);
}

static bool add_rules(cJSON *policy, const struct ftx_rules *rules)
{
    bool ok = true;
    for (int rule = 0; rule < FTX_RULES && ok; rule++) {
        const char *text = rules->text[rule];
        ok = add_text(policy, ftx_setting_name((enum ftx_setting)(FTX_SETTING_ALLOW_EXT + rule)),
                      text[0] ? text : NULL);
    }
    return ok;
}

static bool add_policy(cJSON *link, const struct ftx_link_settings *settings)
{
    cJSON *policy = cJSON_AddObjectToObject(link, "policy");
    return policy && add_text(policy, "accept", ftx_accept_text(settings->accept)) &&
           add_most(policy, "max_size", settings->max_size) &&
           add_most(policy, "max_files", settings->max_files) &&
           add_rules(policy, &settings->rules);
}

/* What travelled compressed. */
static bool add_packed(cJSON *link, const char *name, const struct ftx_packed *packed)
{
    cJSON *object = cJSON_AddObjectToObject(link, name);
    return object && add_count(object, "before", packed->before) &&
           add_count(object, "after", packed->after);
}

static bool add_identity(cJSON *link, const struct ftx_link_status *status)
{
    const struct ftx_link_settings *settings = &status->settings;
    return add_text(link, "name", status->name) && add_text(link, "state", status->state) &&
           add_text(link, "role", status->sender ? "outbox" : "inbox") &&
           add_flag(link, "paired", status->paired) && add_flag(link, "paused", settings->paused) &&
           add_text(link, "error", status->error) &&
           (status->paired ? cJSON_AddNullToObject(link, "guesses_left") != NULL
                           : add_count(link, "guesses_left", status->guesses_left)) &&
           add_text(link, "verifier", status->paired ? status->verifier : NULL);
}

/* NULL: there is no session. */
static bool add_way(cJSON *link, const struct ftx_link_way *way)
{
    return add_text(link, "path", way ? way->path : NULL) &&
           (way && way->rtt_us ? cJSON_AddNumberToObject(link, "rtt_ms", way->rtt_us / 1000.0)
                               : cJSON_AddNullToObject(link, "rtt_ms")) &&
           (way && way->path
                ? cJSON_AddNumberToObject(link, "loss_percent", way->loss_thousandths / 10.0)
                : cJSON_AddNullToObject(link, "loss_percent")) &&
           add_text(link, "quality", way && way->quality ? way->quality : "offline");
}

static bool add_moved(cJSON *link, const struct ftx_link_status *status)
{
    return add_count(link, "up_bytes_per_second", status->rate_out) &&
           add_count(link, "down_bytes_per_second", status->rate_in) &&
           add_count(link, "up_bytes", status->bytes_out) &&
           add_count(link, "down_bytes", status->bytes_in) &&
           add_packed(link, "up_compressed", &status->packed[FTX_OUTBOX]) &&
           add_packed(link, "down_compressed", &status->packed[FTX_INBOX]);
}

static cJSON *add_object(cJSON *array)
{
    cJSON *object = cJSON_CreateObject();
    if (object && cJSON_AddItemToArray(array, object))
        return object;
    cJSON_Delete(object);
    return NULL;
}

static bool add_link(cJSON *links, const struct ftx_link_status *status)
{
    cJSON *link = add_object(links);
    if (!link)
        return false;
    bool connected = status->peer[0] != '\0' && status->way.path;
    bool ok = add_identity(link, status) &&
              add_text(link, "peer", connected ? status->peer : NULL) &&
              add_way(link, connected ? &status->way : NULL) &&
              add_count(link, "priority", status->settings.priority) &&
              add_limit(link, &status->settings) && add_policy(link, &status->settings) &&
              add_moved(link, status);
    cJSON *queue = ok ? cJSON_AddObjectToObject(link, "queue") : NULL;
    cJSON *arriving = queue ? cJSON_AddObjectToObject(link, "arriving") : NULL;
    return arriving && add_count(queue, "operations", status->queue_ops) &&
           add_count(queue, "files", status->queue_files) &&
           add_count(queue, "bytes", status->queue_bytes) &&
           add_count(link, "offered", status->offered) &&
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

/* Any bytes; NULL: null. */
static bool add_path(cJSON *object, const char *name, const char *path)
{
    struct ftx_json json = {0};
    if (!path)
        return cJSON_AddNullToObject(object, name) != NULL;
    ftx_json_string(&json, path, strlen(path));
    json = (struct ftx_json){.out = malloc(json.size + 1), .room = json.size};
    if (!json.out)
        return false;
    ftx_json_string(&json, path, strlen(path));
    json.out[json.size] = '\0';
    bool added = cJSON_AddRawToObject(object, name, json.out) != NULL;
    free(json.out);
    return added;
}

static bool add_surroundings(const struct ftx_mount *mount, cJSON *root)
{
    const struct ftx_mount_surroundings *around = &mount->surroundings;
    bool ok = add_path(root, "store", mount->store->path) &&
              (around->port ? add_count(root, "port", around->port)
                            : cJSON_AddNullToObject(root, "port") != NULL);
    cJSON *relays = ok ? cJSON_AddArrayToObject(root, "relays") : NULL;
    for (size_t i = 0; relays && i < around->n_relays; i++)
        if (!cJSON_AddItemToArray(relays, cJSON_CreateString(around->relays[i])))
            return false;
    return relays && add_path(root, "relay_token", around->relay_token) &&
           add_path(root, "relay_ca", around->relay_ca);
}

static bool add_queue(cJSON *parent, uint64_t files, uint64_t bytes)
{
    cJSON *queue = cJSON_AddObjectToObject(parent, "queue");
    return queue && add_count(queue, "files", files) && add_count(queue, "bytes", bytes);
}

static bool add_group(cJSON *groups, const struct ftx_group_status *status)
{
    cJSON *group = add_object(groups);
    cJSON *members = group && add_text(group, "name", status->name) &&
                             add_queue(group, status->files, status->bytes)
                         ? cJSON_AddArrayToObject(group, "members")
                         : NULL;
    bool ok = members != NULL;
    for (size_t i = 0; i < status->n_members && ok; i++) {
        const struct ftx_group_member *at = &status->members[i];
        cJSON *member = add_object(members);
        ok = member && add_text(member, "name", at->name) && add_text(member, "state", at->state) &&
             add_queue(member, at->files, at->bytes);
    }
    return ok;
}

static bool add_groups(struct ftx_mount *mount, cJSON *groups)
{
    size_t n = ftx_groups_status(mount->store, NULL, 0), capacity = n + 1;
    struct ftx_group_status *status = calloc(capacity, sizeof *status);
    if (!status)
        return false;
    n = ftx_groups_status(mount->store, status, capacity);
    bool ok = true;
    for (size_t i = 0; i < n && i < capacity && ok; i++)
        ok = add_group(groups, &status[i]);
    free(status);
    return ok;
}

static bool add_mount(struct ftx_mount *mount, cJSON *root)
{
    uint64_t first, last;
    char started[FTX_JSON_TIME_SIZE];
    struct ftx_link_settings all;
    ftx_feed_range(mount->store, &first, &last);
    ftx_links_settings(mount->store, &all);
    ftx_json_time_text((int64_t)mount->started.tv_sec * 1000000000 + mount->started.tv_nsec,
                       started);
    bool ok = add_count(root, "format", 1) && add_text(root, "version", FTX_VERSION_TEXT) &&
              add_count(root, "pid", (uint64_t)getpid()) && add_text(root, "started", started) &&
              add_surroundings(mount, root);
    cJSON *events = ok ? cJSON_AddObjectToObject(root, "events") : NULL;
    return events && add_count(events, "first", first) && add_count(events, "last", last) &&
           add_limit(root, &all);
}

static char *status_text(struct ftx_mount *mount, size_t *out_size)
{
    char *text = NULL;
    cJSON *root = cJSON_CreateObject();
    cJSON *links = root && add_mount(mount, root) ? cJSON_AddArrayToObject(root, "links") : NULL;
    cJSON *groups =
        links && add_links(mount, links) ? cJSON_AddArrayToObject(root, "groups") : NULL;
    if (groups && add_groups(mount, groups))
        text = cJSON_Print(root);
    cJSON_Delete(root);
    if (text) {
        *out_size = strlen(text);
        text[(*out_size)++] = '\n'; /* takes the place of the NUL */
    }
    return text;
}

static int open_status(struct ftx_mount *mount, struct ftx_control_handle **out_handle)
{
    struct text *text = calloc(1, sizeof *text);
    if (text)
        text->bytes = status_text(mount, &text->size);
    if (!text || !text->bytes) {
        free(text);
        return -ENOMEM;
    }
    *out_handle = &text->handle;
    return 0;
}

static void read_status(fuse_req_t req, struct ftx_control_handle *handle, size_t size,
                        off_t offset, const struct fuse_file_info *fi)
{
    const struct text *text = (const struct text *)handle;
    (void)fi;
    ftx_control_reply(req, text->bytes, text->size, size, (uint64_t)offset);
}

static void close_status(struct ftx_mount *mount, struct ftx_control_handle *handle)
{
    struct text *text = (struct text *)handle;
    (void)mount;
    free(text->bytes);
    free(text);
}

const struct ftx_control ftx_control_status = {.ino = FTX_ID_STATUS,
                                               .name = "status",
                                               .mode = 0400,
                                               .open = open_status,
                                               .read = read_status,
                                               .close = close_status};
