/* SPDX-License-Identifier: MIT */
/* Two rows of modules in a line of half blocks; light is drawn, as most terminals are dark. */
#include "tools/ftx/qr.h"

#include "tools/ftx/print.h"
#include "tools/ftx/terminal.h"

#include <qrencode.h>
#include <stdio.h>

enum { QUIET = 2 }; /* light modules around it: enough for every reader that was tried */

static bool is_light(const QRcode *qr, int x, int y)
{
    if (x < 0 || y < 0 || x >= qr->width || y >= qr->width)
        return true;
    return !(qr->data[y * qr->width + x] & 1);
}

static void draw(const QRcode *qr)
{
    static const char *const blocks[] = {" ", "\u2584", "\u2580", "\u2588"};
    bool coloured = *ftx_print_colour(FTX_PLAIN);
    for (int y = -QUIET; y < qr->width + QUIET; y += 2) {
        fputs(coloured ? "    \033[38;5;231;48;5;16m" : "    ", stdout);
        for (int x = -QUIET; x < qr->width + QUIET; x++)
            fputs(blocks[2 * is_light(qr, x, y) + is_light(qr, x, y + 1)], stdout);
        printf("%s\n", ftx_print_colour(FTX_PLAIN));
    }
    putchar('\n');
}

void ftx_qr_show(const char *text)
{
    QRcode *qr = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_L);
    if (qr && qr->width + 2 * QUIET + 4 <= ftx_terminal_columns())
        draw(qr);
    QRcode_free(qr);
}
