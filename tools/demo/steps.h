/* SPDX-License-Identifier: MIT */
/* A step of the plan, and its kinds. */
#ifndef URT_DEMO_STEPS_H
#define URT_DEMO_STEPS_H

#include "measure/lab.h"

/* One measurement. */
struct step {
	void (*run)(struct lab *, struct step *);
	double estimate_s;
	enum demo_part part; /* that is complete after it, for step_finished */
	unsigned index;	     /* of its row, hold, burst or scale */
	unsigned round;	     /* of those before it; see is_due in steps.c */
	enum unit_kind unit; /* or that */
	long n;		     /* of units */
	char what[160];	     /* for people */
};

void step_row(struct lab *, struct step *);
void step_load(struct lab *, struct step *);
void step_finished(struct lab *, struct step *);
void step_yields(struct lab *, struct step *);
void step_stop_counting(struct lab *, struct step *);
void step_switches(struct lab *, struct step *);
void step_unit(struct lab *, struct step *);
void step_hold(struct lab *, struct step *);
void step_burst(struct lab *, struct step *);
void step_scale(struct lab *, struct step *);
void step_second(struct lab *, struct step *);
void step_stall(struct lab *, struct step *);
void step_timeline(struct lab *, struct step *);

#endif
