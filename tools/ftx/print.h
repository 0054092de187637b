/* SPDX-License-Identifier: MIT */
/* What ftx writes to stdout. Every byte that came from a name or a peer goes through here. */
#ifndef FTX_TOOLS_PRINT_H
#define FTX_TOOLS_PRINT_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ftx_colour { FTX_PLAIN, FTX_BOLD, FTX_DIM, FTX_RED, FTX_GREEN, FTX_YELLOW };

/* Once, before anything is printed: colours are for terminals, unless NO_COLOR is set. */
void ftx_print_open(bool json);

/* May we draw, move the cursor, ask? stdout is a terminal and JSON was not asked for. */
bool ftx_print_live(void);
/* May characters beyond ASCII be drawn? */
bool ftx_print_utf8(void);

/* What switches a colour on (FTX_PLAIN: off again); "" without colours. Static storage. */
const char *ftx_print_colour(enum ftx_colour colour);
/* For a state's word: good green, waiting yellow, wrong red. */
enum ftx_colour ftx_print_state_colour(const char *state);

/* The bytes of a name as ftx_escape makes them. Returned: their columns (one for a character). */
int ftx_print_name(const char *name);
/* The same, cut in its middle or filled with blanks to `width` columns; 0: neither. */
void ftx_print_cell(const char *name, int width, enum ftx_colour colour);

/* 1.4 MiB; 1.4 MB/s; 1:02:03. Into `out`, which is returned. */
enum { FTX_PRINT_MAX = 32 };
char *ftx_print_size(char out[FTX_PRINT_MAX], double bytes);
char *ftx_print_rate(char out[FTX_PRINT_MAX], double bytes_per_second);
char *ftx_print_span(char out[FTX_PRINT_MAX], double seconds);

/* A bar of `width` columns, `part` of 0..1 of it full. */
void ftx_print_bar(double part, int width);

/* One line of JSON, ASCII but for printable UTF-8; takes ownership of `value`. */
void ftx_print_json(cJSON *value);

#endif
