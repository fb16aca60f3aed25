/* SPDX-License-Identifier: MIT */
#ifndef URT_NET_SIGNAL_H
#define URT_NET_SIGNAL_H

/* At the end of a run and in a forked child: closes the collections that are
 * still open. */
void urt__signals_close(void);
void urt__signals_forget(void);

#endif
