/* SPDX-License-Identifier: MIT */
/* ftx verify CODE: the SHA-256 of each file here beside that of the other end's, which computes it
 * when it is asked. */
#include "tools/ftx/look.h"
#include "tools/ftx/place.h"
#include "tools/ftx/print.h"
#include "tools/ftx/value.h"

#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TRIES = 3 }; /* a file may get another version between one digest and the other */

enum verdict { EQUAL, DIFFERENT, GONE_HERE, GONE_THERE, UNDELIVERED, N_VERDICTS, NO_ANSWER };

static const struct {
    const char *text, *name; /* in a line, and as a member of JSON's last one */
    enum ftx_colour colour;
} verdicts[] = {
    [EQUAL] = {"equal", "equal", FTX_GREEN},
    [DIFFERENT] = {"different", "different", FTX_RED},
    [GONE_HERE] = {"not here any more", "gone_here", FTX_DIM},
    [GONE_THERE] = {"not there any more", "gone_there", FTX_DIM},
    [UNDELIVERED] = {"not delivered", "not_delivered", FTX_YELLOW},
};

struct verify {
    const struct ftx_look *look;
    bool json;
    size_t n[N_VERDICTS];
};

/* What is delivered is complete there, and known to be. */
static bool is_finished(const char *path)
{
    return ftx_look_is(path, "delivered") || ftx_look_is(path, "complete");
}

/* *out_hash: of the file here, to be freed; NULL: it is not known. */
static enum verdict compare(const char *path, char **out_hash)
{
    enum verdict verdict = UNDELIVERED;
    *out_hash = NULL;
    for (int i = 0; i < TRIES; i++) {
        free(*out_hash);
        *out_hash = NULL;
        if (!is_finished(path))
            return UNDELIVERED;
        *out_hash = ftx_look_xattr(path, "sha256");
        if (!*out_hash)
            return errno == EAGAIN ? UNDELIVERED : GONE_HERE; /* open for writing; released */
        char *theirs = ftx_look_xattr(path, "peer_sha256");
        if (!theirs && errno != EBUSY)
            return errno == ENODATA ? GONE_THERE : NO_ANSWER;
        verdict = !theirs ? UNDELIVERED : strcmp(*out_hash, theirs) == 0 ? EQUAL : DIFFERENT;
        free(theirs);
        if (verdict == EQUAL)
            break;
    }
    return verdict;
}

static void show(const struct verify *v, enum verdict verdict, const char *path, const char *hash)
{
    if (!v->json) {
        ftx_print_cell(verdicts[verdict].text, 20, verdicts[verdict].colour);
        ftx_print_name(path);
        putchar('\n');
        return;
    }
    cJSON *line = cJSON_CreateObject();
    cJSON_AddStringToObject(line, "path", path);
    cJSON_AddStringToObject(line, "verdict", verdicts[verdict].name);
    if (hash)
        cJSON_AddStringToObject(line, "sha256", hash);
    ftx_print_json(line);
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* Every file of one box. 0, or an exit status after one line. */
static int verify_box(struct verify *v, const char *box, const char *code)
{
    char *top = ftx_place_join(v->look->mount, box, code);
    FTS *tree = fts_open((char *[]){top, NULL}, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
    int status = 0;
    for (FTSENT *entry; !status && tree && (entry = fts_read(tree));) {
        char *hash;
        if (entry->fts_info != FTS_F || ftx_look_is(entry->fts_path, "local"))
            continue;
        const char *path = entry->fts_path + strlen(v->look->mount) + 1;
        enum verdict verdict = compare(entry->fts_path, &hash);
        if (verdict == NO_ANSWER) {
            status = ftx_fail("%s: the other end does not answer: %s", path, strerror(errno));
        } else {
            v->n[verdict]++;
            show(v, verdict, path, hash);
        }
        free(hash);
    }
    if (tree)
        fts_close(tree);
    free(top);
    return status;
}

static void sum_up(const struct verify *v)
{
    if (v->json) {
        cJSON *line = cJSON_CreateObject();
        for (int i = 0; i < N_VERDICTS; i++)
            cJSON_AddNumberToObject(line, verdicts[i].name, (double)v->n[i]);
        ftx_print_json(line);
        return;
    }
    size_t rest = v->n[GONE_HERE] + v->n[GONE_THERE] + v->n[UNDELIVERED];
    printf("%zu equal, %zu different", v->n[EQUAL], v->n[DIFFERENT]);
    if (rest)
        printf(", %zu not compared", rest);
    putchar('\n');
}

int ftx_cmd_verify(struct ftx_call *call)
{
    const char *code = call->words[0];
    struct ftx_look look;
    struct verify v = {.look = &look, .json = call->json};
    int status = ftx_look_open(call, code, &look);
    if (!status && !ftx_look_paired(look.link)) {
        ftx_fail("%s: not paired yet", code);
        status = FTX_EXIT_NO_LINK;
    } else if (!status && strcmp(ftx_value_text(look.link, "state"), "connected") != 0) {
        status = ftx_fail("%s: the link is %s: the other end cannot be asked", code,
                          ftx_value_text(look.link, "state"));
    }
    if (!status)
        status = verify_box(&v, "outbox", code);
    if (!status)
        status = verify_box(&v, "inbox", code);
    if (!status) {
        sum_up(&v);
        status = v.n[DIFFERENT] ? FTX_EXIT_FAILED : 0;
    }
    ftx_look_close(&look);
    return status;
}
