/* SPDX-License-Identifier: MIT */
/*
 * A small process that accompanies a measurement, started while urt still has
 * its privileges, for the two tasks that urt itself cannot do:
 *
 * Switching the kernel's statistics of BPF programs on and off, which needs
 * CAP_SYS_ADMIN, when urt has given that up. It takes single bytes for it, so a
 * program that took over urt would gain nothing by it.
 *
 * Telling whether a signal that urt got went to the whole process group. A
 * terminal's do, which the kernel says; kill(0, ...) and kill(-group, ...) do,
 * which it does not say. The aide is of the same group and blocks all signals:
 * what is pending there was sent to the group, and so to the command, too.
 */
#ifndef URT_STAT_AIDE_H
#define URT_STAT_AIDE_H

#include <stdbool.h>

struct aide;

/* NULL: not possible. */
struct aide *aide_start(void);
void aide_measure_cost(struct aide *, bool on);
bool aide_got_signal(struct aide *, int signal);
void aide_end(struct aide *);

#endif
