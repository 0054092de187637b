/* SPDX-License-Identifier: MIT */
/* As many codecs are kept as there are workers, in a process that has used so many. */
#include "transport/peer/codecs.h"

#include <pthread.h>

enum { IDLE_MAX = 4 }; /* libuv's workers, unless somebody asks for more */

static struct {
    pthread_mutex_t lock;
    struct ftx_codec *at[IDLE_MAX];
    unsigned n;
} idle = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct ftx_codec *take_idle(void)
{
    pthread_mutex_lock(&idle.lock);
    struct ftx_codec *codec = idle.n > 0 ? idle.at[--idle.n] : NULL;
    pthread_mutex_unlock(&idle.lock);
    return codec;
}

struct ftx_codec *ftx_codecs_take(void)
{
    struct ftx_codec *codec = take_idle();
    return codec ? codec : ftx_codec_new();
}

void ftx_codecs_give(struct ftx_codec *codec)
{
    pthread_mutex_lock(&idle.lock);
    bool kept = codec && idle.n < IDLE_MAX;
    if (kept)
        idle.at[idle.n++] = codec;
    pthread_mutex_unlock(&idle.lock);
    if (!kept)
        ftx_codec_free(codec);
}

void ftx_codecs_trim(void)
{
    for (struct ftx_codec *codec; (codec = take_idle());)
        ftx_codec_free(codec);
}
