/* SPDX-License-Identifier: MIT */
/* What `urt stat` has measured, and printing it. */
#ifndef URT_STAT_H
#define URT_STAT_H

#include "counter.h"
#include "tool.h"
#include "user_stats.h"

struct stat_result {
	char **command; /* NULL with -p */
	pid_t pid;
	int exit_code; /* of the command, as a shell gives it */
	int64_t wall_ns;
	int64_t user_ns, system_ns; /* CPU time; < 0: not known */

	const char *source; /* "bpf" or "proc" */
	char why_no_bpf[256];
	struct counts counts;	   /* with "bpf" */
	uint64_t nvcsw, nivcsw;	   /* the kernel's own counters */
	bool has_uring;		   /* io_uring was counted */
	uint64_t bpf_runs, bpf_ns; /* what counting cost, all processes' */

	bool has_user; /* it runs on uring_rt */
	struct user_stats user;
	long ops; /* to divide by; 0: none given */
};

void stat_print_text(FILE *, const struct stat_result *);
void stat_print_json(FILE *, const struct stat_result *);

#endif
