/* SPDX-License-Identifier: MIT */
/* The client side of TLS as bytes in, bytes out: no sockets. Loop thread only. */
#ifndef FTX_NET_TLS_H
#define FTX_NET_TLS_H

#include <stddef.h>
#include <stdint.h>

struct ftx_tls;

/*
 * For a server whose certificate must name `host` (a name or an address) and descend from one of
 * `ca_file` (PEM), or of the system's where that is NULL. -ENOENT: no certificate there. -ENOMEM.
 */
int ftx_tls_new(const char *host, const char *ca_file, struct ftx_tls **out_tls);
void ftx_tls_free(struct ftx_tls *tls);

/* Gives what came from the server. -ENOMEM. */
int ftx_tls_feed(struct ftx_tls *tls, const uint8_t *bytes, size_t size);

/* 0: done; UV_EAGAIN: wants to send or receive; FTX_EAUTH: who is that?; FTX_EPROTO. */
int ftx_tls_shake_hands(struct ftx_tls *tls);

/* Plain bytes from the server: how many, UV_EAGAIN, UV_EOF, FTX_EPROTO. */
int ftx_tls_read(struct ftx_tls *tls, uint8_t *bytes, size_t size);

/* Takes plain bytes for the server, all of them. FTX_EPROTO: it broke. */
int ftx_tls_write(struct ftx_tls *tls, const uint8_t *bytes, size_t size);

/* What is to go to the server: how many bytes, 0: nothing. */
size_t ftx_tls_take(struct ftx_tls *tls, uint8_t *bytes, size_t size);

#endif
