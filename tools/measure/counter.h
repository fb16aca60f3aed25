/* SPDX-License-Identifier: MIT */
/*
 * Counting what programs ask of the kernel; the user side of bpf/. One choice
 * at a time: a program that is about to be started (launch.h), processes that
 * are running, a cgroup, or all. Processes that they start later are counted
 * with them.
 */
#ifndef URT_COUNTER_H
#define URT_COUNTER_H

#include <linux/types.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "count.h"

struct counter;

/* The processes to count; what is not wanted is not even loaded. */
struct counter_options {
	bool no_syscalls; /* spares all tasks the kernel's traced entry */
	bool times;	  /* histograms of times on and off the CPU */
	unsigned threads; /* room for counts by thread; 0: none wanted */
	enum urt_by by;	  /* also by rows of this */
	bool latency;	  /* how long system calls take, and their errors */
	enum urt_count_started inherit;
	bool children;	       /* for counter_attach_children */
	const cpu_set_t *cpus; /* what happens on these only; NULL: on all */
};

/* One count of a row. key: NULL: one of those that have none. */
typedef void counter_by_fn(uint32_t row, const struct urt_by_key *key,
			   const struct urt_by_count *, uint64_t n, void *arg);

/* All that has been counted so far; two of them give a difference. */
struct counts {
	struct urt_counts class[URT_CLASSES];
	struct urt_calls calls;
	uint64_t lost; /* events that could not be counted */
};

/*
 * Loads and attaches the programs. NULL: not possible here, and why says so in
 * one line, with what to do. options: NULL for system calls and io_uring.
 */
struct counter *counter_open_with(const struct counter_options *options,
				  char *why, size_t why_size);
struct counter *counter_open(char *why, size_t why_size);
void counter_close(struct counter *);

/* From pid's next exec on, that included. Before it is let go. */
void counter_start_at_exec(struct counter *, pid_t pid);

/*
 * A running process, all its threads, besides those already attached, and also
 * the processes that descend from it; one thread; all there are; a cgroup (its
 * directory in a cgroup2 mount) and those below. 0 or -errno.
 */
int counter_attach(struct counter *, pid_t pid);
int counter_attach_children(struct counter *, pid_t pid);
int counter_attach_thread(struct counter *, pid_t tid);
int counter_attach_all(struct counter *);
int counter_attach_cgroup(struct counter *, const char *directory);

/* 0 or -errno. */
int counter_read(struct counter *, struct counts *);

/* Of the threads that are counted, times that have not ended. False: times are
 * not wanted. */
bool counter_open_times(struct counter *, struct urt_open_times *);

/* The threads that were seen: n slots, of which slot 0 is those that found
 * none, in shared memory: they change as one reads. NULL: not wanted. */
struct urt_thread *counter_threads(struct counter *, unsigned *n);

/* No more is counted from here on: all that is read then belongs together. */
void counter_stop(struct counter *);

/* By rows: where the contexts of a process are; and all counts so far. */
int counter_by_where(struct counter *, pid_t, const struct urt_by_where *);
bool counter_by_faults(struct counter *); /* are counted by row */
void counter_by_read(struct counter *, counter_by_fn *, void *arg);

/* Of the system call of that number, all CPUs; and each of its errors. */
void counter_latency(struct counter *, uint32_t nr, struct urt_latency *);
void counter_errnos(struct counter *,
		    void (*f)(const struct urt_errno *, uint64_t n, void *arg),
		    void *arg);

/* False: this kernel has no io_uring, or not its tracepoints. */
bool counter_has_uring(const struct counter *);

/*
 * The cost of counting: the kernel measures it while that is on,
 * which costs two looks at the clock a run; runs of the programs in that time,
 * by all processes on all CPUs, and their time. 0 where it never was.
 */
void counter_measure_cost(struct counter *, bool on);
void counter_cost(struct counter *, uint64_t *runs, uint64_t *ns);

/* a - b, into a. */
void counts_subtract(struct counts *a, const struct counts *b);
void counts_add(struct counts *a, const struct counts *b);

/*
 * Whether every thread of the program that was started has made its last
 * switch; whether every thread that was counted has. How many have not.
 */
bool counter_command_ended(struct counter *);
bool counter_all_ended(struct counter *);
uint64_t counts_not_ended(const struct counts *);

uint64_t counts_switches(const struct counts *, enum urt_class);
uint64_t counts_syscalls(const struct counts *);
uint64_t counts_submitted(const struct counts *);
uint64_t counts_completed(const struct counts *);

#endif
