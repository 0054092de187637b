/* SPDX-License-Identifier: MIT */
/* TLS by OpenSSL between two memory BIOs. */
#include "transport/net/tls.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdlib.h>
#include <uv.h>

#include "transport/base/err.h"

struct ftx_tls {
    SSL_CTX *context;
    SSL *ssl;
    BIO *from_server, *to_server; /* ssl owns them */
};

static int trust(SSL_CTX *context, const char *ca_file)
{
    int ok = ca_file ? SSL_CTX_load_verify_locations(context, ca_file, NULL)
                     : SSL_CTX_set_default_verify_paths(context);

    return ok == 1 ? 0 : -ENOENT;
}

/* Which name or address the certificate has to carry. */
static int expect(SSL *ssl, const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];
    bool is_address = inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address);
    int ok;

    if (is_address)
        ok = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host);
    else
        ok = SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
    return ok ? 0 : -ENOMEM;
}

int ftx_tls_new(const char *host, const char *ca_file, struct ftx_tls **out_tls)
{
    struct ftx_tls *tls = calloc(1, sizeof(*tls));
    int err = -ENOMEM;

    if (!tls || !(tls->context = SSL_CTX_new(TLS_client_method())))
        goto fail;
    SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION);
    SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(tls->context, SSL_MODE_RELEASE_BUFFERS);
    err = trust(tls->context, ca_file);
    if (err < 0)
        goto fail;
    err = -ENOMEM;
    if (!(tls->ssl = SSL_new(tls->context)))
        goto fail;
    tls->from_server = BIO_new(BIO_s_mem());
    tls->to_server = BIO_new(BIO_s_mem());
    SSL_set_bio(tls->ssl, tls->from_server, tls->to_server);
    if (!tls->from_server || !tls->to_server || (err = expect(tls->ssl, host)) < 0)
        goto fail;
    SSL_set_connect_state(tls->ssl);
    *out_tls = tls;
    return 0;

fail:
    ERR_clear_error();
    ftx_tls_free(tls);
    return err;
}

void ftx_tls_free(struct ftx_tls *tls)
{
    if (!tls)
        return;
    SSL_free(tls->ssl);
    SSL_CTX_free(tls->context);
    free(tls);
}

int ftx_tls_feed(struct ftx_tls *tls, const uint8_t *bytes, size_t size)
{
    assert(size <= INT_MAX);
    return BIO_write(tls->from_server, bytes, (int)size) == (int)size ? 0 : -ENOMEM;
}

/* What a call that brought `result` <= 0 means. */
static int reason(struct ftx_tls *tls, int result)
{
    int why = SSL_get_error(tls->ssl, result);

    ERR_clear_error();
    switch (why) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return UV_EAGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return UV_EOF;
    default:
        return SSL_get_verify_result(tls->ssl) == X509_V_OK ? FTX_EPROTO : FTX_EAUTH;
    }
}

int ftx_tls_shake_hands(struct ftx_tls *tls)
{
    int result = SSL_do_handshake(tls->ssl);

    return result == 1 ? 0 : reason(tls, result);
}

int ftx_tls_read(struct ftx_tls *tls, uint8_t *bytes, size_t size)
{
    int result = SSL_read(tls->ssl, bytes, size < INT_MAX ? (int)size : INT_MAX);

    return result > 0 ? result : reason(tls, result);
}

int ftx_tls_write(struct ftx_tls *tls, const uint8_t *bytes, size_t size)
{
    int result = SSL_write(tls->ssl, bytes, (int)size);

    assert(size > 0 && size <= INT_MAX);
    if (result > 0)
        return 0; /* a memory BIO takes all */
    (void)reason(tls, result);
    return FTX_EPROTO;
}

size_t ftx_tls_take(struct ftx_tls *tls, uint8_t *bytes, size_t size)
{
    int result = BIO_read(tls->to_server, bytes, size < INT_MAX ? (int)size : INT_MAX);

    return result > 0 ? (size_t)result : 0;
}
