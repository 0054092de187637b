/* SPDX-License-Identifier: MIT */
/* One WebSocket: websocket_dial.c brings it to its peer, websocket.c runs it. Only for these two. */
#ifndef FTX_NET_WEBSOCKET_PIPE_H
#define FTX_NET_WEBSOCKET_PIPE_H

#include "transport/net/frame.h"
#include "transport/net/http.h"
#include "transport/net/tls.h"
#include "transport/net/websocket.h"

enum {
    FTX_WEBSOCKET_IN = 64 << 10,  /* bytes read at once */
    FTX_WEBSOCKET_OUT = 64 << 10, /* bytes of the largest message we send */
};

enum ftx_websocket_state {
    FTX_WEBSOCKET_CONNECT,      /* TCP, to the relay or to a proxy */
    FTX_WEBSOCKET_EXPECT_PROXY, /* its answer to CONNECT */
    FTX_WEBSOCKET_SHAKE_HANDS,  /* TLS */
    FTX_WEBSOCKET_EXPECT_UPGRADE,
    FTX_WEBSOCKET_EXPECT_PEER, /* in the room */
    FTX_WEBSOCKET_OPEN,
    FTX_WEBSOCKET_OVER, /* the dial has failed */
};

struct ftx_websocket {
    struct ftx_pipe pipe;
    enum ftx_websocket_state state;
    struct ftx_pipe *below; /* TCP; NULL before it stands */
    struct ftx_tls *tls;    /* NULL: ws:// */
    uv_timer_t timer;       /* deadlines of the dial; when open, the step */

    /* The dial. */
    const struct ftx_websocket_events *told;
    void *told_owner;
    struct ftx_dial *tcp_dial; /* under way, or NULL */
    char *connect_request;     /* owned; NULL without a proxy */
    char *upgrade_request;     /* owned */
    char accept[32];           /* what the relay has to answer */
    uint16_t from_port;        /* where it is to be dialled from; 0: anywhere, or through a proxy */
    bool told_waiting;
    int err; /* of the dial */

    /* What comes in: plain bytes [in_start, in_end) of `in`, a payload under way in them. */
    bool reading;
    bool ended;
    int end_err; /* no more bytes come from below, and why */
    uint64_t n_payload;
    bool in_message; /* the next frame must be FTX_FRAME_MORE */
    size_t in_start, in_end;

    /* What goes out: one write below at a time. */
    struct ftx_list writes;
    size_t n_moved;  /* bytes of the first write that are gone */
    size_t n_moving; /* bytes of the writes in what is under way */
    bool sending;
    bool broken; /* a write below failed: nothing more is sent */
    struct ftx_pipe_write below_write;
    bool pong_due;
    size_t n_pong;
    uint8_t pong[FTX_FRAME_CONTROL_MAX];

    bool timer_closed;
    uint8_t in[FTX_WEBSOCKET_IN];
    uint8_t out[FTX_FRAME_HEAD_MAX + FTX_WEBSOCKET_OUT];
    struct ftx_websocket_cipher {
        uint8_t in[FTX_WEBSOCKET_IN];
        uint8_t out[FTX_WEBSOCKET_OUT];
    } * cipher; /* owned; NULL: ws:// */
};

/* Sends what is due and fits. */
void ftx_websocket_send(struct ftx_websocket *ws);

/* Sends bytes as they are, inside TLS where that stands. Only while dialling, nothing under way. */
void ftx_websocket_send_text(struct ftx_websocket *ws, const char *text);

/* More plain bytes into `in`: > 0, 0: none are there yet, or why there will be none. */
int ftx_websocket_refill(struct ftx_websocket *ws);

/*
 * Takes the head of the frame at in_start; of those that are short by nature (text, control) the
 * payload too. 1; 0: not all of that is there; FTX_EPROTO.
 */
int ftx_websocket_take_frame(struct ftx_websocket *ws, struct ftx_frame *out,
                             const uint8_t **out_payload);

/* Notes a PING; the answer goes out with the next send. */
void ftx_websocket_note_ping(struct ftx_websocket *ws, const struct ftx_frame *frame,
                             const uint8_t *payload);

/* Closes what stands; ftx_websocket_is_closing from then on. */
void ftx_websocket_start_close(struct ftx_websocket *ws);
bool ftx_websocket_is_closing(const struct ftx_websocket *ws);

/* websocket_dial.c: goes on with what has come. */
void ftx_websocket_advance(struct ftx_websocket *ws);

/* Frees what was never started, or has nothing under way. */
void ftx_websocket_free(struct ftx_websocket *ws);

/* Frees it once the last of timer, write and dial is gone, then reports what is to be reported. */
void ftx_websocket_maybe_free(struct ftx_websocket *ws);

extern const struct ftx_pipe_ops ftx_websocket_ops;
extern const struct ftx_pipe_events ftx_websocket_below;

#endif
