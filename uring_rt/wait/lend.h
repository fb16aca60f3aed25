/* SPDX-License-Identifier: MIT */
/*
 * Buffers that rings lend (lend.c).
 */
#ifndef URT_WAIT_LEND_H
#define URT_WAIT_LEND_H

/* At the end of a run, which frees all lent memory; in a forked child,
 * likewise. */
void urt__lend_close(void);
void urt__lend_forget(void);

#endif
