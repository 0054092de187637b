/* SPDX-License-Identifier: MIT */
/* Fuzz: any bytes as a record's plain text; a message that decodes encodes to the same bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "transport/base/err.h"
#include "transport/wire/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int holds)
{
    if (!holds)
        abort();
}

static void check_list(const struct ftx_message *m)
{
    uint8_t entry[FTX_HAVE_ENTRY];
    for (uint32_t i = 0; i < m->as.list.n; i++) {
        if (m->type == FTX_MSG_HAVE) {
            struct ftx_extent extent;
            ftx_have_entry(m, i, &extent);
            check(extent.offset + extent.length <= FTX_OFFSET_MAX && extent.length > 0);
            ftx_have_encode(&extent, entry);
            check(memcmp(entry, m->as.list.entries + (size_t)i * FTX_HAVE_ENTRY, FTX_HAVE_ENTRY) ==
                  0);
        } else {
            struct ftx_range range;
            ftx_range_entry(m, i, &range);
            check(range.offset + range.length <= FTX_OFFSET_MAX && range.length > 0);
            ftx_range_encode(&range, entry);
            check(memcmp(entry, m->as.list.entries + (size_t)i * FTX_RANGE_ENTRY,
                         FTX_RANGE_ENTRY) == 0);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *again = malloc(size + 1);
    check(again != NULL);
    for (size_t offset = 0; offset < size;) {
        size_t start = offset;
        struct ftx_message m;
        int err = ftx_message_decode(data, size, &offset, &m);
        if (err) {
            check(err == FTX_EPROTO && offset == start);
            break;
        }
        check(offset > start && offset <= size);
        if (m.type == FTX_MSG_HAVE || m.type == FTX_MSG_MISSING)
            check_list(&m);
        size_t encoded = ftx_message_encode(&m, again, offset - start);
        if (m.type == FTX_MSG_EXTENT || m.type == FTX_MSG_FETCHED) {
            check(encoded + m.as.content.data_size == offset - start);
            if (m.as.content.data_size)
                memcpy(again + encoded, m.as.content.data, m.as.content.data_size);
            encoded += m.as.content.data_size;
        }
        check(encoded == offset - start && memcmp(again, data + start, encoded) == 0);
    }
    free(again);
    return 0;
}
