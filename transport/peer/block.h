/* SPDX-License-Identifier: MIT */
/* Record buffers (peer.h has ftx_block_free and ftx_block_size): private to transport/peer. */
#ifndef FTX_PEER_BLOCK_H
#define FTX_PEER_BLOCK_H

#include <stddef.h>
#include <stdint.h>

/* At least `size` <= FTX_RECORD_MAX bytes, aligned for any type; NULL without memory. Any thread.
 */
uint8_t *ftx_block_new(size_t size);

#endif
