/* SPDX-License-Identifier: MIT */
/* From the database to the index, at start. Private to fs/store. */
#ifndef FTX_STORE_LOAD_H
#define FTX_STORE_LOAD_H

#include "fs/store/store.h"

/* Fills links and index; before the database thread runs. FTX_ECORRUPT, -ENOMEM, -EIO. */
int ftx_store_load(struct ftx_store *store);

#endif
