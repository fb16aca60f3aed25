/* SPDX-License-Identifier: MIT */
#ifndef URT_NET_SIGNAL_H
#define URT_NET_SIGNAL_H

/* The end of a run, and a forked child: closes those that are still open. */
void urt__signals_close(void);
void urt__signals_forget(void);

#endif
