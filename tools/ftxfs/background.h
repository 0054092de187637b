/* SPDX-License-Identifier: MIT */
/* Going to the background once the mount is usable. */
#ifndef FTX_TOOLS_BACKGROUND_H
#define FTX_TOOLS_BACKGROUND_H

/*
 * Forks; the child returns and goes on in a session of its own, the parent waits until the child
 * has called ftx_background_ready (it exits 0) or has ended (with the child's status). A signal
 * that ends ftxfs ends both, the child first. -errno in the one process there is.
 */
int ftx_background_fork(void);

/* The child is usable: lets go of the terminal and of the parent. -errno: nobody waits for it any
 * more. Harmless without a fork. */
int ftx_background_ready(void);

#endif
