/* SPDX-License-Identifier: MIT */
/*
 * How far one sample lies from another: the Hodges-Lehmann shift, the median of
 * all differences between a value of b and one of a. Its interval comes from
 * the ranks of the Mann-Whitney test (Lehmann, Nonparametrics, 1975), so no
 * distribution is assumed, and a disturbed value does not matter.
 */
#ifndef URT_SHIFT_H
#define URT_SHIFT_H

#include <stdbool.h>
#include <stddef.h>

#define SHIFT_CONFIDENCE 0.95

struct shift {
	double a, b;	   /* medians */
	double shift;	   /* from a to b */
	double low, high;  /* of it */
	double confidence; /* that the shift lies in the interval: the least one
			      not below SHIFT_CONFIDENCE; with few values, the
			      confidence of the widest interval */
};

/* Of na and nb values, at least one each. */
struct shift shift_of(const double *a, size_t na, const double *b, size_t nb);

/* Whether 0 lies outside its interval. */
static inline bool shift_is_off(const struct shift *s)
{
	return s->low > 0 || s->high < 0;
}

#endif
