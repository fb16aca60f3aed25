/* SPDX-License-Identifier: MIT */
#ifndef URT_DEMO_PLAN_H
#define URT_DEMO_PLAN_H

#include "measure/lab.h"

/* Runs the wanted experiments, with progress on a terminal. */
void demo_run_plan(struct lab *);

#endif
