/* SPDX-License-Identifier: MIT */
/* ftx_timetable_parse on any text: what it takes holds at every minute, and says itself again. */
#include "fs/store/timetable.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ftx_timetable table, again;
    char text[FTX_TIMETABLE_TEXT], *exact = malloc(size + 1);
    check(exact != NULL);
    if (size)
        memcpy(exact, data, size);
    if (ftx_timetable_parse(exact, size, &table) == 0) {
        check(table.n <= FTX_TIMES_MAX);
        ftx_timetable_text(&table, text);
        check(strnlen(text, sizeof text) < sizeof text);
        check(ftx_timetable_parse(text, strlen(text), &again) == 0);
        for (unsigned minute = 0; minute < FTX_DAY_MINUTES; minute++)
            check(ftx_timetable_rate(&table, minute) == ftx_timetable_rate(&again, minute));
    }
    free(exact);
    return 0;
}
