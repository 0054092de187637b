/* SPDX-License-Identifier: MIT */
/* JSON of the control files to cJSON and back: in it, a string is a name's own bytes. */
#ifndef FTX_TOOLS_VALUE_H
#define FTX_TOOLS_VALUE_H

#include <cjson/cJSON.h>
#include <stddef.h>

/* Reads one value. Lone surrogates \udc80..\udcff, which cJSON refuses, become the bytes that they
 * stand for. `text` (`size` bytes, no NUL needed) is not changed. NULL: no JSON, or no memory. */
cJSON *ftx_value_read(const char *text, size_t size);

/* One line with its end, to be freed: bytes that are no UTF-8 as lone surrogates, what a terminal
 * could interpret as \uXXXX. NULL: no memory. */
char *ftx_value_line(const cJSON *value);

/* A member of an object: "" or 0 where it is not there, null, or of another kind. */
const char *ftx_value_text(const cJSON *object, const char *name);
double ftx_value_number(const cJSON *object, const char *name);

#endif
