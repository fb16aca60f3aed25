/* SPDX-License-Identifier: MIT */
/* The results of `urt load`, and their presentation. */
#ifndef URT_LOAD_REPORT_H
#define URT_LOAD_REPORT_H

#include "load.h"

struct load_result {
	struct load_options load; /* all generators together */
	long threads;		  /* generators */
	double wall;		  /* seconds measured */
	double cpu;	    /* share of a CPU that the busiest generator took */
	int64_t connect_ns; /* that opening all connections took */
	bool interrupted;
	bool gave_up;		/* the server stopped answering */
	struct load_shared sum; /* of all generators */
};

void load_print_text(const struct load_result *);
void load_print_json(const struct load_result *);

/*
 * The percentiles in the format of HdrHistogram's outputPercentileDistribution,
 * in ms, which its plotting tools read. 0, or EXIT_BAD; the error was printed.
 */
int load_write_hdr(const char *path, const struct histogram *);

/* Prints to stderr why the figures may be wrong. */
void load_warn(const struct load_result *);

#endif
