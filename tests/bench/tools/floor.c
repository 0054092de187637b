/* SPDX-License-Identifier: MIT */
/* What no program can be faster than: bytes over one TCP connection, and bytes through the cipher, with nothing else done.
 *
 *     floor tcp-receive HOST PORT             says `ready`, takes one connection, reads to its end, answers with one byte
 *     floor tcp-send HOST PORT BYTES [CC]     connects, says `ready`, waits for a line; comes back with that byte; CC: with this congestion control (bbr) and a large buffer
 *     floor aead BYTES chacha|aes             ChaCha20-Poly1305, AES-256-GCM of libcrypto, on one core, a record of 256 KiB after the other */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 256 << 10 };

static unsigned char buffer[BUFFER];

static int fail(const char *what)
{
    fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    return 1;
}

static bool parse_address(const char *host, const char *port, struct sockaddr_in *out)
{
    *out = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    return inet_pton(AF_INET, host, &out->sin_addr) == 1;
}

static int receive(const struct sockaddr_in *address)
{
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (const struct sockaddr *)address, sizeof *address) || listen(listener, 1))
        return fail("listen");
    puts("ready");
    fflush(stdout);
    int fd = accept(listener, NULL, NULL);
    if (fd < 0)
        return fail("accept");
    ssize_t n;
    while ((n = read(fd, buffer, sizeof buffer)) > 0)
        continue;
    if (n < 0 || write(fd, "", 1) != 1)
        return fail("connection");
    return close(fd);
}

static int send_bytes(const struct sockaddr_in *address, uint64_t bytes, const char *congestion)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), room = 64 << 20;
    if (congestion) {
        if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion, (socklen_t)strlen(congestion)))
            return fail(congestion);
        setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
    }
    if (connect(fd, (const struct sockaddr *)address, sizeof *address))
        return fail("connect");
    puts("ready");
    fflush(stdout);
    if (getchar() == EOF)
        return fail("stdin");
    while (bytes) {
        ssize_t n = write(fd, buffer, bytes < sizeof buffer ? (size_t)bytes : sizeof buffer);
        if (n < 0)
            return fail("connection");
        bytes -= (uint64_t)n;
    }
    char answer;
    if (shutdown(fd, SHUT_WR) || read(fd, &answer, 1) != 1)
        return fail("answer");
    return close(fd);
}

static int seal(uint64_t bytes, bool aes)
{
    static unsigned char key[32], nonce[12], tag[16];
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    const EVP_CIPHER *cipher = aes ? EVP_aes_256_gcm() : EVP_chacha20_poly1305();
    bool ok = context && EVP_EncryptInit_ex(context, cipher, NULL, key, nonce);
    while (ok && bytes) {
        int n, size = bytes < sizeof buffer ? (int)bytes : BUFFER;
        nonce[0]++;
        ok = EVP_EncryptInit_ex(context, NULL, NULL, NULL, nonce) &&
             EVP_EncryptUpdate(context, buffer, &n, buffer, size) &&
             EVP_EncryptFinal_ex(context, buffer, &n) &&
             EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, sizeof tag, tag);
        bytes -= (uint64_t)size;
    }
    EVP_CIPHER_CTX_free(context);
    return ok ? 0 : fail("libcrypto");
}

int main(int argc, char **argv)
{
    struct sockaddr_in address;
    const char *what = argc > 1 ? argv[1] : "";
    if (argc == 4 && strcmp(what, "tcp-receive") == 0 && parse_address(argv[2], argv[3], &address))
        return receive(&address);
    if ((argc == 5 || argc == 6) && strcmp(what, "tcp-send") == 0 &&
        parse_address(argv[2], argv[3], &address))
        return send_bytes(&address, strtoull(argv[4], NULL, 10), argv[5]);
    bool aes = argc == 4 && strcmp(argv[3], "aes") == 0;
    if (argc == 4 && strcmp(what, "aead") == 0 && (aes || strcmp(argv[3], "chacha") == 0))
        return seal(strtoull(argv[2], NULL, 10), aes);
    fprintf(stderr, "usage: floor tcp-receive HOST PORT | tcp-send HOST PORT BYTES [CC] | aead "
                    "BYTES chacha|aes\n");
    return 2;
}
