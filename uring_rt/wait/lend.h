/* SPDX-License-Identifier: MIT */
/*
 * Buffers that rings lend (lend.c).
 */
#ifndef URT_WAIT_LEND_H
#define URT_WAIT_LEND_H

/* The end of a run: all that is lent is gone. In a forked child: likewise. */
void urt__lend_close(void);
void urt__lend_forget(void);

#endif
