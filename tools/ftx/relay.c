/* SPDX-License-Identifier: MIT */
/* A loop of its own, on which the client that ftxfs uses goes to the relay. */
#include "tools/ftx/relay.h"

#include "tools/common/network_options.h"
#include "transport/base/err.h"
#include "transport/net/websocket.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <uv.h>

enum { ROOM_SIZE = 32 };

struct look {
    struct ftx_websocket *dial;
    bool waiting; /* we were let in */
    int err;
};

static void on_waiting(void *owner)
{
    struct look *look = owner;
    look->waiting = true;
    ftx_websocket_cancel(look->dial);
}

/* Somebody else in a room of a random name is no honest relay's doing. */
static void on_dialled(void *owner, int err, struct ftx_pipe *pipe)
{
    struct look *look = owner;
    look->err = pipe ? FTX_EPROTO : err;
    if (pipe)
        ftx_pipe_close(pipe);
}

static void name_room(char out[ROOM_SIZE])
{
    uint64_t number = 0;
    if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
        abort();
    snprintf(out, ROOM_SIZE, "doctor-%016llx", (unsigned long long)number);
}

static int dial(const struct ftx_websocket_target *target, struct look *look)
{
    static const struct ftx_websocket_events events = {.waiting = on_waiting,
                                                       .dialled = on_dialled};
    uv_loop_t loop;
    int err = uv_loop_init(&loop);
    if (err)
        return err;
    err = ftx_websocket_dial(&loop, target, &events, look, &look->dial);
    while (uv_run(&loop, UV_RUN_DEFAULT) || uv_loop_close(&loop) == UV_EBUSY)
        ;
    return err ? err : look->waiting ? 0 : look->err;
}

enum ftx_relay_health ftx_relay_explain(int err, bool token, char message[FTX_RELAY_MESSAGE])
{
    const char *text = message;
    switch (err) {
    case 0:
        text = "can be reached, and lets us in";
        break;
    case UV_EAGAIN:
        text = "takes nobody more for now, or is about to end; try again in a minute";
        break;
    case UV_EACCES:
        text = token ? "does not take the token; ask who runs it for another --relay_token"
                     : "wants a token (--relay_token FILE), or lets nobody in from here";
        break;
    case FTX_EAUTH:
        text = "its certificate is not for this host, or from nobody that is trusted here; see "
               "--relay_ca";
        break;
    case FTX_EPROTO:
        text = "what answers there is no relay of ftxfs; look at the URL";
        break;
    default:
        snprintf(message, FTX_RELAY_MESSAGE, "cannot be reached: %s; does it run there?",
                 ftx_err_text(err));
    }
    if (text != message)
        snprintf(message, FTX_RELAY_MESSAGE, "%s", text);
    return err == 0 ? FTX_RELAY_GOOD : err == UV_EAGAIN ? FTX_RELAY_BUSY : FTX_RELAY_BAD;
}

enum ftx_relay_health ftx_relay_look(const char *url, const char *token_file, const char *ca_file,
                                     char message[FTX_RELAY_MESSAGE])
{
    char room[ROOM_SIZE], *token = token_file ? ftx_network_options_token(token_file) : NULL;
    struct look look = {0};
    if (token_file && !token) {
        snprintf(message, FTX_RELAY_MESSAGE, "its token cannot be read from %s", token_file);
        return FTX_RELAY_BAD;
    }
    name_room(room);
    const struct ftx_websocket_target target = {
        .url = url, .room = room, .role = 's', .token = token, .ca_file = ca_file};
    int err = dial(&target, &look);
    if (token)
        explicit_bzero(token, strlen(token));
    free(token);
    return ftx_relay_explain(err, token_file != NULL, message);
}
