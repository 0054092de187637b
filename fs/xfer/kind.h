/* SPDX-License-Identifier: MIT */
/* What kind of content bytes are: a MIME type, by libmagic. The bytes are a stranger's: only the first
 * 64 KiB are looked at, and what of libmagic unpacks or follows structures stays off. */
#ifndef FTX_XFER_KIND_H
#define FTX_XFER_KIND_H

#include "fs/store/rules.h"

#include <stddef.h>

enum { FTX_KIND_LOOKED = 64 << 10 };

/* May a link with these rules take content that begins like this? Workers; one at a time looks. What
 * cannot be told is not taken. */
bool ftx_kind_taken(const struct ftx_rules *rules, const void *bytes, size_t size);

/* Nobody looks any more. */
void ftx_kind_close(void);

#endif
