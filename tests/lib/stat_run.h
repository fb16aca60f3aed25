/* SPDX-License-Identifier: MIT */
/* Running `urt stat` on the probe. */
#ifndef URT_STAT_RUN_H
#define URT_STAT_RUN_H

#include "tool_run.h"

/* Leaves the probe's output in probe2.out and the document in text; the exit code.
 * stat_ok: expects 0 and no lost events. */
int stat_json(const char *options, const char *args);
void stat_ok(const char *options, const char *args);

/* Expects the counts of switches to be the kernel's own. */
void kernel_agrees(void);

#endif
