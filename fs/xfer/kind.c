/* SPDX-License-Identifier: MIT */
/* One handle of libmagic, loaded when something is looked at first. */
#include "fs/xfer/kind.h"

#include "transport/base/log.h"

#include <magic.h>
#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static magic_t handle; /* NULL: not loaded */
static bool told;      /* that it cannot be */

static void limit(int parameter, size_t value)
{
    (void)magic_setparam(handle, parameter, &value);
}

static bool load(void)
{
    if (handle)
        return true;
    handle = magic_open(MAGIC_MIME_TYPE | MAGIC_ERROR | MAGIC_NO_CHECK_COMPRESS |
                        MAGIC_NO_CHECK_ELF | MAGIC_NO_CHECK_CDF);
    if (handle && magic_load(handle, NULL) == 0) {
        limit(MAGIC_PARAM_BYTES_MAX, FTX_KIND_LOOKED);
        limit(MAGIC_PARAM_INDIR_MAX, 10);
        limit(MAGIC_PARAM_NAME_MAX, 50);
        limit(MAGIC_PARAM_REGEX_MAX, 4096);
        return true;
    }
    if (!told)
        ftx_log(FTX_LOG_ERROR,
                "kinds of content cannot be told: %s; nothing is taken by a link with "
                "allow_mime or deny_mime",
                handle ? magic_error(handle) : "out of memory");
    told = true;
    ftx_kind_close();
    return false;
}

bool ftx_kind_taken(const struct ftx_rules *rules, const void *bytes, size_t size)
{
    pthread_mutex_lock(&lock);
    const char *kind =
        load() ? magic_buffer(handle, bytes, size < FTX_KIND_LOOKED ? size : FTX_KIND_LOOKED)
               : NULL;
    bool taken = kind && ftx_rules_take_mime(rules, kind);
    pthread_mutex_unlock(&lock);
    return taken;
}

void ftx_kind_close(void)
{
    if (handle)
        magic_close(handle);
    handle = NULL;
}
