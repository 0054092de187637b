/* SPDX-License-Identifier: MIT */
/* Where a program of this user keeps what it needs. */
#ifndef FTX_TOOLS_PATHS_H
#define FTX_TOOLS_PATHS_H

/* $variable/name, if the variable is an absolute path, else HOME/otherwise/name; to be freed. NULL:
 * there is no home. */
char *ftx_paths_named(const char *variable, const char *otherwise, const char *name);
/* The same; makes the folders above it. */
char *ftx_paths_user(const char *variable, const char *otherwise, const char *name);

/* Absolute path of something below an existing folder; it need not exist yet, and may be a dead
 * mount. To be freed; NULL: the folder above it is not there. */
char *ftx_paths_absolute(const char *path);

#endif
