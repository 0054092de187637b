/* SPDX-License-Identifier: MIT */
/* Name rules. */
#include "fs/store/names.h"

#include "transport/wire/limits.h"

#include <errno.h>
#include <string.h>

int ftx_name_check(const char *name, size_t size, bool at_root)
{
    if (size > FTX_NAME_MAX)
        return -ENAMETOOLONG;
    if (size == 0 || (size == 1 && name[0] == '.') || (size == 2 && memcmp(name, "..", 2) == 0))
        return -EINVAL;
    if (at_root && size == 4 && memcmp(name, ".ftx", 4) == 0)
        return -EINVAL;
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)name[i];
        if (byte < 0x20 || byte == 0x7f || byte == '/')
            return -EINVAL;
    }
    return 0;
}

int ftx_xattr_name_check(const char *name, size_t size)
{
    if (size > FTX_XATTR_NAME_MAX)
        return -ERANGE;
    if (size == 0 || memchr(name, '\0', size))
        return -EINVAL;
    return size >= 4 && memcmp(name, "ftx.", 4) == 0 ? -EINVAL : 0;
}

static bool begins(const char *name, size_t size, const char *with)
{
    size_t n = strlen(with);
    return size >= n && memcmp(name, with, n) == 0;
}

bool ftx_name_is_local(const char *name, size_t size)
{
    static const char *const whole[] = {".DS_Store", "Thumbs.db", "desktop.ini"};
    static const char *const first[] = {".Trash-", ".nfs", ".fuse_hidden"};
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        if (size == strlen(whole[i]) && begins(name, size, whole[i]))
            return true;
    for (size_t i = 0; i < sizeof first / sizeof *first; i++)
        if (begins(name, size, first[i]))
            return true;
    return false;
}

int ftx_target_check(const char *target, size_t size)
{
    if (size > FTX_TARGET_MAX)
        return -ENAMETOOLONG;
    return size == 0 || memchr(target, '\0', size) ? -EINVAL : 0;
}

bool ftx_target_inside(const char *target, size_t size, unsigned depth)
{
    bool down = false; /* has gone into a folder, which may be a symlink to one higher up */
    if (size == 0 || target[0] == '/')
        return false;
    for (size_t at = 0; at < size;) {
        const char *slash = memchr(target + at, '/', size - at);
        size_t n = slash ? (size_t)(slash - target) - at : size - at;
        if (n == 2 && memcmp(target + at, "..", 2) == 0) {
            if (down || depth == 0)
                return false;
            depth--;
        } else if (n > 0 && !(n == 1 && target[at] == '.')) {
            down = true;
        }
        at += n + 1;
    }
    return true;
}
