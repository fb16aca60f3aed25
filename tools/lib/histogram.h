/* SPDX-License-Identifier: MIT */
/*
 * A histogram of times with a bounded relative error, after Gil Tene's
 * HdrHistogram: a row for each power of two, each row cut into 64 equal
 * parts. A value is thus known to within 1/64 (1.6 %), at any size, in a fixed
 * 29 KiB. Percentiles give the upper end of the part, so they never flatter.
 */
#ifndef URT_HISTOGRAM_H
#define URT_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_PARTS 64
#define HISTOGRAM_ROWS	58

struct histogram {
	uint64_t count;
	uint64_t max; /* exact */
	uint64_t sum;
	uint64_t part[HISTOGRAM_ROWS * HISTOGRAM_PARTS];
};

/* Row 0 holds [0, 64) one by one, row r holds [64 << (r-1), 64 << r). */
static inline unsigned histogram_index(uint64_t v)
{
	unsigned row;

	if (v < HISTOGRAM_PARTS)
		return v;
	row = 64 - __builtin_clzll(v) - 6;
	if (row >= HISTOGRAM_ROWS)
		return HISTOGRAM_ROWS * HISTOGRAM_PARTS - 1;
	return row * HISTOGRAM_PARTS + ((v >> (row - 1)) - HISTOGRAM_PARTS);
}

/* The largest value that has this index. */
static inline uint64_t histogram_upper(unsigned index)
{
	unsigned row = index / HISTOGRAM_PARTS;
	uint64_t part = index % HISTOGRAM_PARTS;

	if (!row)
		return part;
	return ((part + HISTOGRAM_PARTS + 1) << (row - 1)) - 1;
}

static inline void histogram_add(struct histogram *h, uint64_t v)
{
	h->part[histogram_index(v)]++;
	h->count++;
	h->sum += v;
	if (v > h->max)
		h->max = v;
}

static inline void histogram_merge(struct histogram *to,
				   const struct histogram *from)
{
	to->count += from->count;
	to->sum += from->sum;
	if (from->max > to->max)
		to->max = from->max;
	for (unsigned i = 0; i < HISTOGRAM_ROWS * HISTOGRAM_PARTS; i++)
		to->part[i] += from->part[i];
}

/* The value that a share p (0 to 1) of all values do not exceed; 0 if empty. */
static inline uint64_t histogram_percentile(const struct histogram *h, double p)
{
	uint64_t wanted = (uint64_t)(p * h->count + 0.999999);
	uint64_t seen = 0;

	for (unsigned i = 0; h->count && i < HISTOGRAM_ROWS * HISTOGRAM_PARTS;
	     i++) {
		seen += h->part[i];
		if (seen >= wanted && seen)
			return histogram_upper(i) < h->max ? histogram_upper(i)
							   : h->max;
	}
	return h->max;
}

#endif
