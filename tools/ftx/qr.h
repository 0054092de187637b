/* SPDX-License-Identifier: MIT */
/* QR codes in a terminal. */
#ifndef FTX_TOOLS_QR_H
#define FTX_TOOLS_QR_H

/* Draws the text with half blocks, if the terminal has room for it. */
void ftx_qr_show(const char *text);

#endif
