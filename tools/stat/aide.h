/* SPDX-License-Identifier: MIT */
/*
 * A small process that accompanies a measurement, started while urt still has
 * its privileges, for the two tasks that urt itself cannot do:
 *
 * Switching the kernel's statistics of BPF programs on and off, which needs
 * CAP_SYS_ADMIN, when urt has given that up. It takes single bytes as commands,
 * so a program that took over urt would gain nothing from it.
 *
 * Telling whether a signal to urt went to the whole process group. A terminal's
 * signals do, and the kernel says so; signals by kill(0, ...) and kill(-group,
 * ...) do, too, but the kernel does not say so. The aide is in the same group
 * and blocks all signals: a signal that is pending there was sent to the group,
 * and so to the command, too.
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
