/* SPDX-License-Identifier: MIT */
/* Burning CPU: an amount of work that takes a given time on this CPU. */
#ifndef URT_BURN_H
#define URT_BURN_H

#include <stdint.h>

/* Measures how much work a millisecond is. Once, at the start. */
void burn_calibrate(void);
void burn(int64_t ns);

#endif
