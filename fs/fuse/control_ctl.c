/* SPDX-License-Identifier: MIT */
/* .ftx/ctl: lines are done in their order, up to the first that fails (docs/interface.md). Why it
 * failed is the next event. */
#include "fs/fuse/control.h"

#include "fs/fuse/command.h"
#include "fs/store/offer.h"
#include "fs/store/steer.h"
#include "transport/base/err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WRITE_MAX = 8192 };

static int open_ctl(struct ftx_mount *mount, struct ftx_control_handle **out_handle)
{
    (void)mount;
    *out_handle = calloc(1, sizeof **out_handle);
    return *out_handle ? 0 : -ENOMEM;
}

static void close_ctl(struct ftx_mount *mount, struct ftx_control_handle *handle)
{
    (void)mount;
    free(handle);
}

static int set(struct ftx_store *store, const struct ftx_command *command)
{
    int err = 0;
    for (size_t i = 0; i < command->n_settings && !err; i++)
        err = ftx_link_set(store, command->name, command->size, command->settings[i].setting,
                           &command->settings[i].value);
    return err;
}

static int cancel(struct ftx_store *store, const struct ftx_command *command)
{
    uint64_t id;
    int err = ftx_path_find(store, command->name, command->size, &id);
    return err ? err : ftx_item_cancel(store, id);
}

static int decide(struct ftx_store *store, const struct ftx_command *command)
{
    bool accept = command->kind == FTX_COMMAND_ACCEPT;
    uint64_t id;
    if (!command->path)
        return accept ? ftx_link_accept(store, command->name, command->size)
                      : ftx_link_reject(store, command->name, command->size);
    int err = ftx_path_find(store, command->name, command->size, &id);
    if (err)
        return err;
    if (accept)
        return ftx_item_accept(store, id);
    err = ftx_item_reject(store, id);
    return err == -EALREADY || err == -EINVAL ? ftx_item_cancel(store, id) : err; /* it arrives */
}

static int set_priority(struct ftx_store *store, const struct ftx_command *command)
{
    uint64_t id;
    char folder[sizeof "outbox/" + FTX_CODE_MAX];
    const char *path = command->name;
    size_t size = command->size;
    if (!command->path) {
        if (size > FTX_CODE_MAX)
            return -ENOENT;
        path = folder;
        size = (size_t)snprintf(folder, sizeof folder, "outbox/%.*s", (int)size, command->name);
    }
    int err = ftx_path_find(store, path, size, &id);
    return err ? err : ftx_item_set_priority(store, id, command->priority);
}

static int run(struct ftx_store *store, const struct ftx_command *command)
{
    const char *name = command->name;
    size_t size = command->size;
    switch (command->kind) {
    case FTX_COMMAND_PAUSE:
    case FTX_COMMAND_RESUME:
        return ftx_link_pause(store, name, size, command->kind == FTX_COMMAND_PAUSE);
    case FTX_COMMAND_UNPAIR:
        return ftx_link_unpair(store, name, size, command->force);
    case FTX_COMMAND_REARM:
        return ftx_link_rearm(store, name, size);
    case FTX_COMMAND_RETRY:
        return ftx_link_retry(store, name, size);
    case FTX_COMMAND_CANCEL:
        return cancel(store, command);
    case FTX_COMMAND_PRIORITY:
        return set_priority(store, command);
    case FTX_COMMAND_SET:
        return set(store, command);
    case FTX_COMMAND_GROUP:
        return ftx_group_change(store, &(struct ftx_word){name, size}, command->how,
                                command->members, command->n_members);
    case FTX_COMMAND_UNGROUP:
        return ftx_group_dissolve(store, name, size, command->force);
    case FTX_COMMAND_ACCEPT:
    case FTX_COMMAND_REJECT:
        return decide(store, command);
    default:
        return 0;
    }
}

static const char asking[] =
    "the other members are asked whether they still have what is not here; say it again";

static const char *group_reason(const struct ftx_command *command, int err)
{
    bool change = command->kind == FTX_COMMAND_GROUP;
    switch (err) {
    case -ENOENT:
        return change ? "no such group, or no such link; .ftx/status has their names"
                      : "no such group; .ftx/status has their names";
    case -EINVAL:
        return "a group is named like a code: 4 to 64 of a-z, 0-9 and -";
    case -EEXIST:
        return "a link has this name, or something of this name stands in a member's outbox";
    case -EALREADY:
        return command->how == FTX_GROUP_ADD ? "it is a member already" : "it is no member";
    case -EAGAIN:
        return asking;
    case -EBUSY:
        return change ? "bytes of it are at that member only, or at others that are not connected"
                      : "a member does not have all of it; `ungroup NAME force` gives it up";
    case -E2BIG:
        return "a group has at most 64 members";
    case -EOPNOTSUPP:
        return "a member is a link with an outbox, and no group";
    default:
        return ftx_err_text(err);
    }
}

/* Why a command that could be read failed. */
static const char *reason(const struct ftx_command *command, int err)
{
    if (command->kind == FTX_COMMAND_GROUP || command->kind == FTX_COMMAND_UNGROUP)
        return group_reason(command, err);
    bool offer = command->kind == FTX_COMMAND_ACCEPT || command->kind == FTX_COMMAND_REJECT;
    bool path = command->kind == FTX_COMMAND_CANCEL || command->kind == FTX_COMMAND_PRIORITY ||
                (offer && command->path);
    switch (err) {
    case -ENOENT:
        return path ? "no such item; a path begins with outbox/ or inbox/"
                    : "no such link; .ftx/status has their names";
    case -EAGAIN:
        return asking;
    case -EBUSY:
        return command->kind == FTX_COMMAND_UNPAIR
                   ? "something in its outbox is not delivered; `unpair CODE force` gives it up"
                   : "bytes of it are at the peer only; read it, and try again";
    case -ENOTEMPTY:
        return command->kind == FTX_COMMAND_UNPAIR
                   ? "something is in its inbox; take it out, or `unpair CODE force` removes it"
                   : "the folder is not empty";
    case -EINVAL:
        return "what stands in the inbox's own folder is accepted or rejected, as a whole";
    case -EALREADY:
        if (offer)
            return "nothing of it waits to be accepted";
        return command->kind == FTX_COMMAND_REARM ? "it is paired: its code is used up"
                                                  : "nothing of it is still to be delivered";
    case -EOPNOTSUPP:
        return "not for this kind of thing";
    default:
        return ftx_err_text(err);
    }
}

static int run_line(struct ftx_mount *mount, const char *line, size_t size)
{
    struct ftx_command command;
    const char *message = NULL;
    int err = ftx_command_parse(line, size, &command, &message);
    if (!err)
        err = run(mount->store, &command);
    if (err)
        ftx_tell_command_failed(mount->store, line, size, ftx_err_errno(err),
                                message ? message : reason(&command, err));
    return err;
}

static void write_ctl(fuse_req_t req, const char *bytes, size_t size)
{
    struct ftx_mount *mount = ftx_mount_of(req);
    size_t done = 0;
    int err = 0;
    if (size > WRITE_MAX) {
        err = -EMSGSIZE;
        ftx_tell_command_failed(mount->store, bytes, size, EMSGSIZE,
                                "at most 8192 bytes are written at once");
    }
    while (done < size && !err) {
        const char *end = memchr(bytes + done, '\n', size - done);
        size_t line = end ? (size_t)(end - bytes) - done : size - done;
        err = run_line(mount, bytes + done, line);
        if (!err)
            done += line + (end != NULL);
    }
    if (done || !err)
        fuse_reply_write(req, done);
    else
        ftx_reply_err(req, err);
}

const struct ftx_control ftx_control_ctl = {.ino = FTX_ID_CTL,
                                            .name = "ctl",
                                            .mode = 0200,
                                            .stream = true,
                                            .open = open_ctl,
                                            .write = write_ctl,
                                            .close = close_ctl};
