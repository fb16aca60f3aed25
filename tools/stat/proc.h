/* SPDX-License-Identifier: MIT */
/* What the kernel tells of a process without BPF: /proc and perf events. */
#ifndef URT_STAT_PROC_H
#define URT_STAT_PROC_H

#include "stat.h"

/* Sums over the threads that are there now. False: the process is gone. */
bool proc_switches(pid_t pid, uint64_t *nvcsw, uint64_t *nivcsw);
bool proc_cpu(pid_t pid, int64_t *user_ns, int64_t *system_ns);
bool cgroup_cpu(const char *directory, int64_t *user_ns, int64_t *system_ns);

struct perf_counts;

/*
 * Counters of a process's threads and of what they start; pid 0: of all CPUs.
 * at_exec: from its next exec on. Adds to *p, which begins as NULL; false: not
 * possible, and why says so.
 */
bool perf_open(struct perf_counts **p, pid_t pid, bool at_exec, char *why,
	       size_t why_size);
void perf_read(const struct perf_counts *, struct stat_perf *);
void perf_close(struct perf_counts *);

#endif
