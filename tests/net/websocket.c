/* SPDX-License-Identifier: MIT */
/*
 * Dialling through a real relay, and to what is none: waiting, cancelling, every refusal, whom TLS
 * trusts, proxies. What a pipe does once it stands is the conformance suite's.
 */
#include "tests/net/loop.h"

#include <errno.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/net/relay.h"
#include "tests/net/sockets.h"
#include "transport/base/err.h"
#include "transport/net/websocket.h"

struct end {
    struct ftx_websocket *dial;
    size_t n_waiting, n_dialled;
    uint16_t seen_port;
    bool cancels_when_waiting;
    int err;
    struct ftx_pipe *pipe;
};

static struct test_loop loop;
static struct test_relay relay;

static void on_seen(void *owner, const struct ftx_ip *ip, uint16_t port)
{
    struct end *end = owner;

    assert_true(ftx_ip_is_loopback(ip));
    assert_int_equal(end->n_waiting, 0);
    end->seen_port = port;
}

static void on_waiting(void *owner)
{
    struct end *end = owner;

    assert_int_equal(end->n_dialled, 0);
    end->n_waiting++;
    if (end->cancels_when_waiting)
        ftx_websocket_cancel(end->dial);
}

static void on_dialled(void *owner, int err, struct ftx_pipe *pipe)
{
    struct end *end = owner;

    assert_int_equal(err == 0, pipe != NULL);
    end->n_dialled++;
    end->err = err;
    end->pipe = pipe;
}

static const struct ftx_websocket_events told = {
    .seen = on_seen, .waiting = on_waiting, .dialled = on_dialled};

static struct ftx_listener *from; /* where it is dialled from, if not NULL */

static void dial(struct end *end, const char *url, const char *room, char role, const char *token)
{
    const struct ftx_websocket_target target = {.url = url,
                                                .room = room,
                                                .role = role,
                                                .token = token,
                                                .ca_file = test_relay_cert(),
                                                .from = from};

    memset(end, 0, sizeof(*end));
    assert_int_equal(ftx_websocket_dial(&loop.uv, &target, &told, end, &end->dial), 0);
    assert_int_equal(end->n_dialled, 0);
}

static const char *url_of(const char *scheme, const char *host, uint16_t port)
{
    static char url[64];

    (void)snprintf(url, sizeof(url), "%s://%s:%u", scheme, host, port);
    return url;
}

static const char *relay_url(void)
{
    return url_of("ws", "127.0.0.1", relay.port);
}

static int dial_fails(const char *url, const char *room, char role, const char *token)
{
    struct end end;

    dial(&end, url, room, role, token);
    test_loop_await(&loop, end.n_dialled == 1);
    assert_int_equal(end.n_waiting, 0);
    return end.err;
}

static void close_pair(struct end *one, struct end *other)
{
    ftx_pipe_close(one->pipe);
    ftx_pipe_close(other->pipe);
}

static void waits_for_the_other_end(void **state)
{
    struct end s, r;

    (void)state;
    dial(&s, relay_url(), "7", 's', NULL);
    test_loop_await(&loop, s.n_waiting == 1);
    assert_int_equal(s.n_dialled, 0);
    dial(&r, relay_url(), "7", 'r', NULL);
    test_loop_await(&loop, s.n_dialled == 1 && r.n_dialled == 1);
    assert_int_equal(s.err, 0);
    assert_int_equal(r.err, 0);
    assert_int_equal(r.n_waiting, 0);
    assert_string_equal(s.pipe->address, relay_url() + strlen("ws://"));
    close_pair(&s, &r);
}

static void on_accepted(void *owner, struct ftx_pipe *pipe)
{
    (void)owner;
    ftx_pipe_close(pipe);
}

/* Of whom it knows that the port is that of the listener. */
static void a_relay_says_how_it_sees_the_port(void **state)
{
    const struct ftx_address address = {.host = ""};
    struct end s, r;

    (void)state;
    assert_int_equal(ftx_tcp_listen(&loop.uv, &address, on_accepted, NULL, &from), 0);
    dial(&s, relay_url(), "11", 's', NULL);
    test_loop_await(&loop, s.n_waiting == 1);
    assert_int_equal(s.seen_port, ftx_listener_port(from));
    dial(&r, relay_url(), "11", 'r', NULL);
    test_loop_await(&loop, s.n_dialled == 1 && r.n_dialled == 1);
    assert_int_equal(r.seen_port, 0); /* the other connection has it */
    close_pair(&s, &r);
    ftx_listener_stop(from);
    from = NULL;
}

struct reader {
    size_t n_received;
    int err;
    uint8_t bytes[16];
};

static void on_alloc(void *owner, uint8_t **out_bytes, size_t *out_size)
{
    struct reader *reader = owner;

    *out_bytes = reader->bytes;
    *out_size = sizeof(reader->bytes);
}

static void on_received(void *owner, size_t size)
{
    ((struct reader *)owner)->n_received += size;
}

static void on_ended(void *owner, int err)
{
    ((struct reader *)owner)->err = err;
}

static const struct ftx_pipe_events reader_events = {on_alloc, on_received, on_ended};

/* A client that joins and then says nothing more: the relay gives it up by a Close. */
static int join_silently(uint16_t port)
{
    static const char request[] = "GET /v1/room/silent?role=s HTTP/1.1\r\nHost: relay\r\n"
                                  "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                                  "Sec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    int fd = socket_call("127.0.0.1", port);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, request, strlen(request)), strlen(request));
    return fd;
}

static bool was_given_up(int fd)
{
    char bytes[256];
    ssize_t size = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

    return size > 0 && memchr(bytes, 0x88, (size_t)size);
}

static void answers_pings_while_it_waits(void **state)
{
    const char *const options[] = {"--ping", "1", NULL};
    struct test_relay impatient;
    char url[64];
    struct end s, r;
    int silent;

    (void)state;
    test_relay_open(&impatient, options);
    (void)snprintf(url, sizeof(url), "ws://127.0.0.1:%u", impatient.port);
    silent = join_silently(impatient.port);
    dial(&s, url, "7", 's', NULL);
    test_loop_await(&loop, was_given_up(silent));
    assert_int_equal(s.n_dialled, 0);
    dial(&r, url, "7", 'r', NULL);
    test_loop_await(&loop, s.n_dialled == 1 && r.n_dialled == 1);
    close_pair(&s, &r);
    close(silent);
    test_relay_close(&impatient);
}

static void cancels_at_every_step(void **state)
{
    struct end end;

    (void)state;
    for (size_t n_turns = 0; n_turns < 12; n_turns++) {
        dial(&end, url_of("wss", "127.0.0.1", relay.port), "8", 's', NULL);
        for (size_t i = 0; i < n_turns && !end.n_waiting; i++)
            test_loop_turn(&loop, "a turn");
        ftx_websocket_cancel(end.dial);
        assert_int_equal(end.n_dialled, 0);
        test_loop_await(&loop, end.n_dialled == 1);
        assert_int_equal(end.err, UV_ECANCELED);
    }
}

static void cancels_inside_waiting(void **state)
{
    struct end end;

    (void)state;
    dial(&end, relay_url(), "9", 's', NULL);
    end.cancels_when_waiting = true;
    test_loop_await(&loop, end.n_dialled == 1);
    assert_int_equal(end.err, UV_ECANCELED);
}

static void a_second_s_is_refused(void **state)
{
    struct end s;

    (void)state;
    dial(&s, relay_url(), "10", 's', NULL);
    test_loop_await(&loop, s.n_waiting == 1);
    assert_int_equal(dial_fails(relay_url(), "10", 's', NULL), UV_EBUSY);
    ftx_websocket_cancel(s.dial);
    test_loop_await(&loop, s.n_dialled == 1);
}

static void wants_its_token(void **state)
{
    static const char tokens[] = FTX_SCRATCH "/relay-tokens";
    const char *const options[] = {"--token", tokens, NULL};
    struct test_relay guarded;
    char url[64];
    struct end s, r;
    FILE *file = fopen(tokens, "w");

    (void)state;
    assert_non_null(file);
    assert_true(fputs("right\nalso-right\n", file) > 0 && fclose(file) == 0);
    test_relay_open(&guarded, options);
    (void)snprintf(url, sizeof(url), "ws://127.0.0.1:%u", guarded.port);
    assert_int_equal(dial_fails(url, "7", 's', NULL), UV_EACCES);
    assert_int_equal(dial_fails(url, "7", 's', "wrong"), UV_EACCES);
    dial(&s, url, "7", 's', "right");
    dial(&r, url, "7", 'r', "also-right");
    test_loop_await(&loop, s.n_dialled == 1 && r.n_dialled == 1);
    close_pair(&s, &r);
    test_relay_close(&guarded);
}

static void too_many_joins_are_told_to_come_again(void **state)
{
    const char *const options[] = {"--joins", "1", NULL};
    struct test_relay strict;
    char url[64];
    struct end s;

    (void)state;
    test_relay_open(&strict, options);
    (void)snprintf(url, sizeof(url), "ws://127.0.0.1:%u", strict.port);
    dial(&s, url, "7", 's', NULL);
    test_loop_await(&loop, s.n_waiting == 1);
    assert_int_equal(dial_fails(url, "7", 'r', NULL), UV_EAGAIN);
    ftx_websocket_cancel(s.dial);
    test_loop_await(&loop, s.n_dialled == 1);
    test_relay_close(&strict);
}

static void a_relay_that_drains_lets_go_who_waits(void **state)
{
    const char *const options[] = {NULL};
    struct test_relay other;
    char url[64];
    struct end s;

    (void)state;
    test_relay_open(&other, options);
    (void)snprintf(url, sizeof(url), "ws://127.0.0.1:%u", other.port);
    dial(&s, url, "7", 's', NULL);
    test_loop_await(&loop, s.n_waiting == 1);
    assert_int_equal(kill(other.pid, SIGTERM), 0);
    test_loop_await(&loop, s.n_dialled == 1);
    assert_int_equal(s.err, UV_EAGAIN);
    assert_int_equal(waitpid(other.pid, NULL, 0), other.pid);
}

static void a_killed_relay_ends_the_dial(void **state)
{
    const char *const options[] = {NULL};
    struct test_relay other;
    char url[64];
    struct end s;

    (void)state;
    test_relay_open(&other, options);
    (void)snprintf(url, sizeof(url), "ws://127.0.0.1:%u", other.port);
    dial(&s, url, "7", 's', NULL);
    test_loop_await(&loop, s.n_waiting == 1);
    assert_int_equal(kill(other.pid, SIGKILL), 0);
    test_loop_await(&loop, s.n_dialled == 1);
    assert_true(s.err == UV_EOF || s.err == UV_ECONNRESET);
    assert_int_equal(waitpid(other.pid, NULL, 0), other.pid);
    assert_int_equal(dial_fails(url, "7", 's', NULL), UV_ECONNREFUSED);
}

static void trusts_only_its_authorities(void **state)
{
    struct ftx_websocket_target target = {.room = "7", .role = 's'};
    struct end end;

    (void)state;
    target.url = url_of("wss", "127.0.0.1", relay.port);
    memset(&end, 0, sizeof(end));
    assert_int_equal(ftx_websocket_dial(&loop.uv, &target, &told, &end, &end.dial), 0);
    test_loop_await(&loop, end.n_dialled == 1);
    assert_int_equal(end.err, FTX_EAUTH);
}

static void trusts_the_systems_authorities_when_none_are_named(void **state)
{
    struct ftx_websocket_target target = {.room = "7", .role = 's'};
    struct end end;

    (void)state;
    target.url = url_of("wss", "127.0.0.1", relay.port);
    memset(&end, 0, sizeof(end));
    assert_int_equal(setenv("SSL_CERT_FILE", test_relay_cert(), 1), 0); /* OpenSSL's own word */
    assert_int_equal(ftx_websocket_dial(&loop.uv, &target, &told, &end, &end.dial), 0);
    unsetenv("SSL_CERT_FILE");
    test_loop_await(&loop, end.n_waiting == 1);
    ftx_websocket_cancel(end.dial);
    test_loop_await(&loop, end.n_dialled == 1);
}

static void a_certificate_must_name_the_host(void **state)
{
    (void)state;
    assert_int_equal(dial_fails(url_of("wss", "localhost", relay.port), "7", 's', NULL), FTX_EAUTH);
}

static void tls_to_what_has_none_fails(void **state)
{
    const char *const options[] = {NULL};
    struct test_relay plain;
    int err;

    (void)state;
    test_relay_open(&plain, options);
    err = dial_fails(url_of("wss", "127.0.0.1", plain.port), "7", 's', NULL);
    assert_true(err == FTX_EPROTO || err == UV_EOF || err == UV_ECONNRESET);
    test_relay_close(&plain);
}

static void refuses_bad_targets(void **state)
{
    struct ftx_websocket_target target = {.url = "ws://127.0.0.1:1", .room = "7", .role = 's'};
    struct ftx_websocket *out;
    struct end end;

    (void)state;
#define REFUSES(field, value, want)                                                                \
    do {                                                                                           \
        struct ftx_websocket_target bad = target;                                                  \
        bad.field = value;                                                                         \
        assert_int_equal(ftx_websocket_dial(&loop.uv, &bad, &told, &end, &out), want);             \
    } while (0)
    REFUSES(url, "http://127.0.0.1", -EINVAL);
    REFUSES(room, "", -EINVAL);
    REFUSES(room, "A", -EINVAL);
    REFUSES(room, "a/b", -EINVAL);
    REFUSES(role, 'x', -EINVAL);
    REFUSES(role, '\0', -EINVAL);
    REFUSES(token, "two words", -EINVAL);
    REFUSES(token, "x\r\nX: y", -EINVAL);
    target.url = "wss://127.0.0.1:1";
    REFUSES(ca_file, "/nowhere.pem", -ENOENT);
#undef REFUSES
    assert_int_equal(ftx_websocket_check_url("wss://relay.example"), 0);
    assert_int_equal(ftx_websocket_check_url("relay.example"), -EINVAL);
}

/* A server in a thread of its own that answers its one caller with this, and then ends: or, if that
 * is NULL, like a relay up to its words, and with these. */
struct liar {
    int fd;
    uint16_t port;
    uv_thread_t thread;
    const char *answer;
    const char *words;
    size_t n_words;
};

/* What RFC 6455 wants for the key in this request. */
static void upgrade(int fd, const char *request)
{
    static const char name[] = "Sec-WebSocket-Key: ";
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char joined[24 + sizeof(guid)] = "", accept_key[32], answer[256];
    const char *key = strstr(request, name);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n_digest = 0;
    int size;

    if (!key)
        return;
    memcpy(joined, key + strlen(name), 24);
    strcat(joined, guid);
    (void)EVP_Digest(joined, strlen(joined), digest, &n_digest, EVP_sha1(), NULL);
    (void)EVP_EncodeBlock((unsigned char *)accept_key, digest, (int)n_digest);
    size = snprintf(answer, sizeof(answer),
                    "HTTP/1.1 101 ok\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    "Sec-WebSocket-Accept: %s\r\n\r\n",
                    accept_key);
    (void)!write(fd, answer, (size_t)size);
}

static void lie(void *argument)
{
    struct liar *liar = argument;
    char request[4096] = "";
    int fd = accept(liar->fd, NULL, NULL);

    if (read(fd, request, sizeof(request) - 1) > 0) {
        if (liar->answer)
            (void)!write(fd, liar->answer, strlen(liar->answer));
        else
            upgrade(fd, request);
        (void)!write(fd, liar->words, liar->n_words);
        (void)shutdown(fd, SHUT_WR);
        (void)!read(fd, request, sizeof(request)); /* until the client has left */
    }
    close(fd);
}

static int dial_liar(const char *answer)
{
    struct liar liar = {.answer = answer};
    int err;

    liar.fd = socket_listening("127.0.0.1", &liar.port);
    assert_int_equal(uv_thread_create(&liar.thread, lie, &liar), 0);
    err = dial_fails(url_of("ws", "127.0.0.1", liar.port), "7", 's', NULL);
    uv_thread_join(&liar.thread);
    close(liar.fd);
    return err;
}

static void knows_a_relay_from_what_is_none(void **state)
{
    (void)state;
    assert_int_equal(dial_liar("HTTP/1.1 200 OK\r\n\r\nhello"), FTX_EPROTO);
    assert_int_equal(dial_liar("SSH-2.0-OpenSSH_9.2\r\n\r\n"), FTX_EPROTO);
    assert_int_equal(dial_liar("HTTP/1.1 503 Service Unavailable\r\n\r\n"), UV_EAGAIN);
    assert_int_equal(dial_liar("HTTP/1.1 101 ok\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                               "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"),
                     FTX_EPROTO);
}

/* How a dial ends at a relay that says this, or else the pipe that came of it. */
static int hear(const char *words, size_t n_words)
{
    struct liar liar = {.words = words, .n_words = n_words};
    struct end end;
    int err;

    liar.fd = socket_listening("127.0.0.1", &liar.port);
    assert_int_equal(uv_thread_create(&liar.thread, lie, &liar), 0);
    dial(&end, url_of("ws", "127.0.0.1", liar.port), "7", 's', NULL);
    test_loop_await(&loop, end.n_dialled == 1);
    err = end.err;
    if (end.pipe) {
        struct reader reader = {.err = 0};

        ftx_pipe_own(end.pipe, &reader_events, &reader);
        ftx_pipe_read_start(end.pipe);
        test_loop_await(&loop, reader.err < 0);
        assert_int_equal(reader.n_received, 3);
        err = reader.err;
        ftx_pipe_close(end.pipe);
    }
    uv_thread_join(&liar.thread);
    close(liar.fd);
    return err;
}

#define HEAR(words) hear(words, sizeof(words) - 1)
#define WAITING     "\x81\x07waiting"
#define PAIRED      "\x81\x06paired"

static void knows_an_honest_relay_from_others(void **state)
{
    (void)state;
    assert_int_equal(HEAR(""), UV_EOF);
    assert_int_equal(HEAR(WAITING), UV_EOF);
    assert_int_equal(HEAR(WAITING "\x88\x02\x03\xe9"), UV_EAGAIN);
    assert_int_equal(HEAR(WAITING WAITING), FTX_EPROTO);
    assert_int_equal(HEAR("\x81\x05hello"), FTX_EPROTO);
    assert_int_equal(HEAR("\x01\x06paired"), FTX_EPROTO);
    assert_int_equal(HEAR("\x81\x7e\x00\x7e"), FTX_EPROTO);
    assert_int_equal(HEAR("\x81\x86"
                          "abcdpaired"),
                     FTX_EPROTO);
    assert_int_equal(HEAR(WAITING "\x82\x01x"), FTX_EPROTO);
}

/* Each begins with three bytes that arrive. */
#define ABC                                                                                        \
    PAIRED "\x89\x01?\x02\x01"                                                                     \
           "a\x80\x02"                                                                             \
           "bc"

static void an_open_pipe_ends_with_what_is_no_stream(void **state)
{
    (void)state;
    assert_int_equal(HEAR(ABC), UV_EOF);
    assert_int_equal(HEAR(ABC "\x88\x00"), UV_EOF);
    assert_int_equal(HEAR(ABC "\x88\x02\x03\xe8\x82\x01x"), UV_EOF);
    assert_int_equal(HEAR(ABC "\x81\x01x"), FTX_EPROTO);
    assert_int_equal(HEAR(ABC "\x80\x01x"), FTX_EPROTO);
    assert_int_equal(HEAR(ABC "\x02\x00\x82\x01x"), FTX_EPROTO);
    assert_int_equal(HEAR(ABC "\x82\x81"
                              "abcdx"),
                     FTX_EPROTO);
    assert_int_equal(HEAR(ABC "\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00"), FTX_EPROTO);
    assert_int_equal(HEAR(ABC "\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"), UV_EOF);
    assert_int_equal(HEAR(ABC "\x82\x7e\x01"), UV_EOF); /* cut in a head */
}

/* tinyproxy, or a liar that says it is one. */

static pid_t start_tinyproxy(uint16_t *out_port)
{
    static const char path[] = FTX_SCRATCH "/tinyproxy.conf";
    int probe = socket_refusing("127.0.0.1", out_port);
    FILE *file = fopen(path, "w");
    pid_t pid;

    assert_non_null(file);
    (void)fprintf(file, "Listen 127.0.0.1\nPort %u\nTimeout 60\nLogLevel Critical\n", *out_port);
    assert_int_equal(fclose(file), 0);
    close(probe);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* also when the test fails */
        (void)execlp("tinyproxy", "tinyproxy", "-d", "-c", path, NULL);
        _exit(127);
    }
    for (int fd = -1; fd < 0; usleep(1000))
        if ((fd = socket_call("127.0.0.1", *out_port)) >= 0)
            close(fd);
    return pid;
}

static void set_proxy(const char *variable, uint16_t port)
{
    char value[64];

    (void)snprintf(value, sizeof(value), "http://127.0.0.1:%u", port);
    assert_int_equal(setenv(variable, value, 1), 0);
}

static void goes_through_a_proxy(void **state)
{
    static const struct {
        const char *scheme, *variable;
    } ways[] = {{"ws", "http_proxy"}, {"wss", "https_proxy"}};
    uint16_t port;
    pid_t pid = start_tinyproxy(&port);

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const char *url = url_of(ways[i].scheme, "127.0.0.1", relay.port);
        struct end s, r;

        set_proxy(ways[i].variable, port);
        dial(&s, url, "11", 's', NULL);
        unsetenv(ways[i].variable);
        dial(&r, url, "11", 'r', NULL);
        test_loop_await(&loop, s.n_dialled == 1 && r.n_dialled == 1);
        assert_int_equal(s.err, 0);
        assert_int_equal(r.err, 0);
        close_pair(&s, &r);
    }
    assert_int_equal(kill(pid, SIGTERM), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static int dial_by_liar(const char *answer)
{
    struct liar liar = {.answer = answer};
    int err;

    liar.fd = socket_listening("127.0.0.1", &liar.port);
    assert_int_equal(uv_thread_create(&liar.thread, lie, &liar), 0);
    set_proxy("http_proxy", liar.port);
    err = dial_fails("ws://relay.invalid", "7", 's', NULL);
    unsetenv("http_proxy");
    uv_thread_join(&liar.thread);
    close(liar.fd);
    return err;
}

static void a_proxy_that_refuses_is_told(void **state)
{
    (void)state;
    assert_int_equal(dial_by_liar("HTTP/1.1 407 Who are you?\r\n\r\n"), UV_EACCES);
    assert_int_equal(dial_by_liar("HTTP/1.0 502 No\r\n\r\n"), UV_ECONNREFUSED);
    assert_int_equal(dial_by_liar("HTTP/1.0 200 ok\r\n\r\nmore"), FTX_EPROTO);
    assert_int_equal(dial_by_liar("what\r\n\r\n"), FTX_EPROTO);
}

static void no_proxy_goes_straight(void **state)
{
    struct end end;
    uint16_t port;
    int fd = socket_refusing("127.0.0.1", &port);

    (void)state;
    set_proxy("http_proxy", port);
    assert_int_equal(dial_fails(relay_url(), "12", 's', NULL), UV_ECONNREFUSED);
    assert_int_equal(setenv("no_proxy", "localhost,127.0.0.1", 1), 0);
    dial(&end, relay_url(), "12", 's', NULL);
    test_loop_await(&loop, end.n_waiting == 1);
    ftx_websocket_cancel(end.dial);
    test_loop_await(&loop, end.n_dialled == 1);
    unsetenv("http_proxy");
    unsetenv("no_proxy");
    close(fd);
}

static int open_loop(void **state)
{
    (void)state;
    test_loop_open(&loop);
    return 0;
}

static int close_loop(void **state)
{
    (void)state;
    test_loop_close(&loop);
    return 0;
}

static int open_relay(void **state)
{
    const char *const options[] = {"--joins", "1000",           "--cert", test_relay_cert(),
                                   "--key",   test_relay_key(), NULL};

    (void)state;
    unsetenv("http_proxy");
    unsetenv("https_proxy");
    unsetenv("no_proxy");
    test_relay_open(&relay, options);
    return 0;
}

static int close_relay(void **state)
{
    (void)state;
    test_relay_close(&relay);
    return 0;
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_loop, close_loop)
    const struct CMUnitTest tests[] = {
        CASE(waits_for_the_other_end),
        CASE(a_relay_says_how_it_sees_the_port),
        CASE(answers_pings_while_it_waits),
        CASE(cancels_at_every_step),
        CASE(cancels_inside_waiting),
        CASE(a_second_s_is_refused),
        CASE(wants_its_token),
        CASE(too_many_joins_are_told_to_come_again),
        CASE(a_relay_that_drains_lets_go_who_waits),
        CASE(a_killed_relay_ends_the_dial),
        CASE(trusts_only_its_authorities),
        CASE(trusts_the_systems_authorities_when_none_are_named),
        CASE(a_certificate_must_name_the_host),
        CASE(tls_to_what_has_none_fails),
        CASE(refuses_bad_targets),
        CASE(knows_a_relay_from_what_is_none),
        CASE(knows_an_honest_relay_from_others),
        CASE(an_open_pipe_ends_with_what_is_no_stream),
        CASE(goes_through_a_proxy),
        CASE(a_proxy_that_refuses_is_told),
        CASE(no_proxy_goes_straight),
    };
#undef CASE

    return cmocka_run_group_tests_name("websocket", tests, open_relay, close_relay);
}
