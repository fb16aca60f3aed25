// SPDX-License-Identifier: MIT
/* The Hodges-Lehmann shift and its interval; see shift.h. */
#include "shift.h"
#include "tool.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Up to this number of values together, the distribution is exact. */
#define EXACT_MAX 40

static double median(const double *sorted, size_t n)
{
	return (sorted[(n - 1) / 2] + sorted[n / 2]) / 2;
}

static double *sorted_copy(const double *v, size_t n)
{
	double *s = malloc(n * sizeof(*s));

	if (!s)
		abort();
	memcpy(s, v, n * sizeof(*s));
	sort_doubles(s, n);
	return s;
}

/*
 * The number of ways in which the Mann-Whitney statistic is 0, 1, ... na * nb:
 * the coefficients of the Gaussian binomial, the product of
 * (1 - q^(nb+i)) / (1 - q^i) for i from 1 to na.
 */
static void ways(double *w, size_t na, size_t nb)
{
	size_t all = na * nb;

	memset(w, 0, (all + 1) * sizeof(*w));
	w[0] = 1;
	for (size_t i = 1; i <= na; i++) {
		for (size_t u = all; u >= nb + i; u--)
			w[u] -= w[u - nb - i];
		for (size_t u = i; u <= all; u++)
			w[u] += w[u - i];
	}
}

/* The number of differences outside the interval at each end, and its
 * confidence. */
static size_t outside_exact(size_t na, size_t nb, double *confidence)
{
	double w[EXACT_MAX * EXACT_MAX / 4 + 1], sum = 0, tail;
	size_t k = 0;

	ways(w, na, nb);
	for (size_t u = 0; u <= na * nb; u++)
		sum += w[u];
	tail = w[0];
	while (1 - 2 * (tail + w[k + 1]) / sum >= SHIFT_CONFIDENCE)
		tail += w[++k];
	*confidence = fmax(0, 1 - 2 * tail / sum);
	return k;
}

static size_t outside(size_t na, size_t nb, double *confidence)
{
	double all = (double)na * nb;
	double k = all / 2 - 1.96 * sqrt(all * (na + nb + 1.0) / 12);

	if (na + nb <= EXACT_MAX)
		return outside_exact(na, nb, confidence);
	*confidence = k >= 1 ? SHIFT_CONFIDENCE : 0;
	return k >= 1 ? floor(k) - 1 : 0;
}

struct shift shift_of(const double *a, size_t na, const double *b, size_t nb)
{
	double *sa = sorted_copy(a, na), *sb = sorted_copy(b, nb);
	size_t all = na * nb, k;
	double *d = malloc(all * sizeof(*d));
	struct shift s;

	if (!d)
		abort();
	for (size_t x = 0; x < na; x++)
		for (size_t y = 0; y < nb; y++)
			d[x * nb + y] = b[y] - a[x];
	sort_doubles(d, all);
	k = outside(na, nb, &s.confidence);
	s.a = median(sa, na);
	s.b = median(sb, nb);
	s.shift = median(d, all);
	s.low = d[k];
	s.high = d[all - 1 - k];
	free(d);
	free(sa);
	free(sb);
	return s;
}
