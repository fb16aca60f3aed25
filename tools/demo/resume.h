/* SPDX-License-Identifier: MIT */
/* `urt demo --resume FILE`: each function does nothing without the option. */
#ifndef URT_DEMO_RESUME_H
#define URT_DEMO_RESUME_H

#include "results.h"

/* Reads the file, if it exists. False: it has no result; an error message was
 * printed. */
bool resume_open(const struct demo_options *);
/* Whether the file's result and this run belong to one experiment; if not, the
 * difference was printed. Call it when the host is known. */
bool resume_fits(const struct demo *);

/* Call it when the experiments are known: fills in those that the file has. */
void resume_planned(struct demo *);
/* Call it after each measurement: writes the result so far from time to
 * time. */
void resume_measured(struct demo *);
/* Call it when the run has ended: sums up its time, and the CPUs that others
 * used, over all its parts. */
void resume_add_time(struct demo *);
/* Call it when all was measured: writes the whole result. */
void resume_complete(struct demo *);

#endif
