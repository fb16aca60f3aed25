/* SPDX-License-Identifier: MIT */
/* The parts of `urt export` to each other; see export.c. */
#ifndef URT_METRICS_H
#define URT_METRICS_H

#include <linux/types.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include "../measure/cgroups.h"
#include "export.h" /* in bpf/: the layout of the maps */

/* ---- counts by label (collect.c) ---- */

#define EXPORT_NAMES_MAX 64

/* The counts of cgroups. */
struct tally {
	struct export_counts counts;
	uint64_t call[EXPORT_NAMES_MAX]; /* by admitted name */
	uint64_t other_calls;		 /* of other names */
};

/* System calls of one number in one cgroup. */
struct call_read {
	struct export_call key;
	uint64_t n;
};

/* The system calls with rows of their own, in the order of tally.call (calls.c). */
struct call_names {
	uint32_t nr[EXPORT_NAMES_MAX];
	char name[EXPORT_NAMES_MAX][32];
	unsigned n;
};

/* Fills the places up to max from calls that were read. */
void call_names_admit(struct call_names *, unsigned max,
		      const struct call_read *, unsigned n);
/* EXPORT_NAMES_MAX: the call has no row. */
unsigned call_names_place(const struct call_names *, uint32_t nr);

/* All figures of one label. */
struct series {
	char label[CGROUP_LABEL_MAX];
	struct tally now;  /* past counts included */
	struct tally past; /* of cgroups that are gone */
	uint64_t user_switches;
	bool on_uring_rt; /* some program is: user_switches has a meaning */
	bool live;	  /* a cgroup has this label */
};

enum export_label { EXPORT_CGROUP, EXPORT_UNIT };

struct collector_options {
	enum export_label label;
	long max_groups; /* labels; the rest is "other" */
	long max_calls;	 /* names of system calls; the rest is "other" */
	bool no_times;
};

struct collector;

/* NULL: not possible here, and why says so. */
struct collector *collector_open(const struct collector_options *, char *why,
				 size_t why_size);
void collector_close(struct collector *);

/* Reads all counts. The result is the collector's, until the next call. */
const struct series *collector_read(struct collector *, unsigned *n);
const struct call_names *collector_call_names(const struct collector *);
bool collector_has_times(const struct collector *);

/* ---- text (metrics.c) ---- */

/* openmetrics: OpenMetrics 1.0; else Prometheus's text format 0.0.4. */
void metrics_write(FILE *, struct collector *, bool openmetrics);

/* ---- answering (http.c) ---- */

/* Serves GET /metrics until a signal ends it. The exit code. */
int http_serve(const char *address, struct collector *);

#endif
