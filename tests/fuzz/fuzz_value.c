/* SPDX-License-Identifier: MIT */
/* ftx_value_read on any text: what it takes, and writes, it reads again as the same, and the line has
 * no byte that a terminal obeys. */
#include "tools/ftx/value.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cJSON *value = ftx_value_read((const char *)data, size);
    char *line = value ? ftx_value_line(value) : NULL;
    if (line) {
        size_t n = strlen(line);
        for (size_t i = 0; i < n - 1; i++)
            if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
                abort();
        cJSON *again = ftx_value_read(line, n);
        char *same = again ? ftx_value_line(again) : NULL;
        if (!same || strcmp(line, same) != 0)
            abort();
        free(same);
        cJSON_Delete(again);
    }
    free(line);
    cJSON_Delete(value);
    return 0;
}
