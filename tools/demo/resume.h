/* SPDX-License-Identifier: MIT */
/* `urt demo --resume FILE`: each function does nothing without the option. */
#ifndef URT_DEMO_RESUME_H
#define URT_DEMO_RESUME_H

#include "results.h"

/* Reads the file, if it is there. False: it holds no result; an error message
 * was printed. */
bool resume_open(const struct demo_options *);
/* Whether its result and this run are of one experiment: if not, the difference
 * was printed. The machine must have been looked at. */
bool resume_fits(const struct demo *);

/* The experiments are known: fills in those that the file has. */
void resume_planned(struct demo *);
/* One was measured: from time to time, the result so far is written. */
void resume_measured(struct demo *);
/* The run has ended: its time, and the CPUs that others used, are those of all
 * its parts. */
void resume_add_time(struct demo *);
/* All was measured: the file gets the whole result. */
void resume_complete(struct demo *);

#endif
