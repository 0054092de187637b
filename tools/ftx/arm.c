/* SPDX-License-Identifier: MIT */
/* A code is made of random words; mkdir arms it. */
#include "tools/ftx/arm.h"

#include "tools/ftx/place.h"
#include "tools/ftx/print.h"
#include "tools/ftx/qr.h"
#include "tools/ftx/terminal.h"
#include "transport/base/words.h"
#include "transport/crypto/identity.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

enum { LABELS = 10000 };

/* A number below `n`, each as likely. */
static uint32_t random_below(uint32_t n)
{
    uint32_t number, first = (uint32_t)(-n) % n; /* below: would favour the small ones */
    do
        if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
            abort();
    while (number < first);
    return number % n;
}

void ftx_arm_code(char out[FTX_CODE_MAX + 1])
{
    const char *words[3];
    unsigned label = random_below(LABELS);
    for (size_t i = 0; i < 3; i++)
        words[i] = ftx_words[random_below(FTX_WORDS)];
    snprintf(out, FTX_CODE_MAX + 1, "%04u-%s-%s-%s", label, words[0], words[1], words[2]);
}

int ftx_arm(const char *mount, const char *box, const char *code)
{
    char *path = ftx_place_join(mount, box, code);
    int err = mkdir(path, 0700) < 0 ? errno : 0;
    free(path);
    if (err == EEXIST)
        return ftx_fail("there is a link of that name already; see ftx links");
    if (err == ENOENT || err == ENOTDIR)
        return ftx_fail("%s: not the mount of an ftxfs; say which with --mount DIR", mount);
    return err ? ftx_fail("the code could not be armed: %s", strerror(err)) : 0;
}

int ftx_arm_new(const char *mount, char out[FTX_CODE_MAX + 1])
{
    ftx_arm_code(out);
    return ftx_arm(mount, "outbox", out);
}

int ftx_arm_ask(const struct ftx_call *call, const char *word, bool begun,
                char out[FTX_CODE_MAX + 1])
{
    int err = 0;
    if (word)
        snprintf(out, FTX_CODE_MAX + 1, "%.*s", FTX_CODE_MAX, word);
    else
        err = ftx_terminal_read_code(begun ? "Code (Enter goes on with what was begun): "
                                           : "Code (Tab completes words): ",
                                     out);
    if (err == -EINTR)
        return ftx_fail("no code given");
    if (err && err != -EMSGSIZE)
        return ftx_fail("the code could not be read: %s", strerror(-err));
    if (err || (word && strlen(word) > FTX_CODE_MAX))
        return ftx_usage(call, "a code has at most %d characters", FTX_CODE_MAX);
    if (!out[0] && begun)
        return 0;
    if (!out[0])
        return ftx_usage(call, "no code given");
    if (word || ftx_code_valid(out, strlen(out)))
        return word ? ftx_place_check_code(call, word) : 0;
    return ftx_usage(call, "a code has 4 to 64 of a-z 0-9 -"); /* it is nobody's to see */
}

void ftx_arm_show(const char *code, const char *command)
{
    printf("\n    %s", ftx_print_colour(FTX_BOLD));
    for (const char *at = code; *at; at++)
        printf(ftx_print_live() ? "%c " : "%c", *at);
    printf("%s\n\nOn the other end run\n\n    %s %s\n\n", ftx_print_colour(FTX_PLAIN), command,
           code);
    if (ftx_print_live())
        printf("or %s alone, which asks for the code and shows it to nobody.\n\n", command);
    if (ftx_print_live() && ftx_print_utf8())
        ftx_qr_show(code);
    fflush(stdout);
}
