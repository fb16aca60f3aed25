/* SPDX-License-Identifier: MIT */
/*
 * Counting what programs ask of the kernel; the user side of bpf/. It counts
 * one of these: a program that is about to be started (launch.h), running
 * processes, a cgroup, or all processes. Their later children are counted with
 * them.
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

/* What to count; programs for other figures are not even loaded. */
struct counter_options {
	bool no_syscalls; /* saves all tasks the kernel's traced entry */
	bool times;	  /* histograms of times on and off the CPU */
	unsigned threads; /* room for counts by thread; 0: none wanted */
	enum urt_by by;	  /* also count by rows of this */
	bool latency;	  /* how long system calls take, and their errors */
	enum urt_count_started inherit;
	bool children;	       /* for counter_attach_children */
	const cpu_set_t *cpus; /* count on these only; NULL: on all */
	bool empty; /* attach to calls and switches, and count none of them */
};

/* Rows have smaller numbers. CPUs that find a key new at the same time use up several. */
#define COUNTER_BY_ROWS (2 * URT_BY_ROWS)

/* One count of a row. key: empty below URT_BY_FIRST_ROW. */
typedef void counter_by_fn(uint32_t row, const struct urt_by_key *key,
			   const struct urt_by_count *, uint64_t n, void *arg);

/* All counts so far; the difference of two is an interval's. */
struct counts {
	struct urt_counts class[URT_CLASSES];
	struct urt_calls calls;
	uint64_t lost; /* events that could not be counted */
};

/*
 * Loads and attaches the programs. NULL: not possible here, and why gives the
 * reason and the remedy in one line. options: NULL for system calls and
 * io_uring.
 */
struct counter *counter_open_with(const struct counter_options *options,
				  char *why, size_t why_size);
struct counter *counter_open(char *why, size_t why_size);
void counter_close(struct counter *);

/* Counts from pid's next exec on, including that. Call it before the process is
 * let go. */
void counter_start_at_exec(struct counter *, pid_t pid);

/*
 * Adds a running process with all its threads, and its descendants, too; one
 * thread; all processes; a cgroup (its directory in a cgroup2 mount) and those
 * below. 0 or -errno.
 */
int counter_attach(struct counter *, pid_t pid);
int counter_attach_children(struct counter *, pid_t pid);
int counter_attach_thread(struct counter *, pid_t tid);
int counter_attach_all(struct counter *);
int counter_attach_cgroup(struct counter *, const char *directory);

void counter_read(struct counter *, struct counts *);

/* The counted threads' times that have not ended. False: times are not
 * wanted. */
bool counter_open_times(struct counter *, struct urt_open_times *);

/* The threads that were seen: n slots in shared memory, which change while they
 * are read. Slot 0 counts the threads that found none. NULL: not wanted. */
struct urt_thread *counter_threads(struct counter *, unsigned *n);

/* Stops counting: all that is read afterwards belongs together. */
void counter_stop(struct counter *);

/*
 * By contexts: the next process that began to be counted, or executed a program,
 * after number *seen, which becomes its own; 0: none. The other two tell where
 * the process of that number has its contexts, or that it has ended.
 */
pid_t counter_by_started(struct counter *, uint32_t *seen);
int counter_by_where(struct counter *, pid_t, const struct urt_by_where *);
void counter_by_ended(struct counter *, pid_t);

/* By rows: all counts so far. */
bool counter_by_on_cpu(struct counter *); /* by context: in samples of 1 ms */
bool counter_by_faults(struct counter *); /* are counted by row */
/* By context: the programs read memory of processes in the fast way (user.bpf.h). */
bool counter_reads_map(const struct counter *);
void counter_by_read(struct counter *, counter_by_fn *, void *arg);

/* By request: those that made room for others since the last call; and, once counting
 * has stopped, the rest. False: requests are not counted. */
bool counter_spans(struct counter *, bool rest,
		   void (*f)(const struct urt_span *, void *arg), void *arg);

struct spans_lost {
	uint64_t missing; /* requests */
	uint64_t again;	  /* requests that count twice, at least */
	uint64_t events;  /* in no request */
};
struct spans_lost counter_spans_lost(const struct counter *);

/* Of the system call of that number, all CPUs; and each of its errors. */
void counter_latency(struct counter *, uint32_t nr, struct urt_latency *);
void counter_errnos(struct counter *,
		    void (*f)(const struct urt_errno *, uint64_t n, void *arg),
		    void *arg);

/* False: this kernel has no io_uring, or not its tracepoints. */
bool counter_has_uring(const struct counter *);

/*
 * The cost of counting: while this is on, the kernel measures it, which costs
 * two readings of the clock per run; then the number and the time of the
 * programs' runs, for all processes on all CPUs. 0 if it never was on.
 */
void counter_measure_cost(struct counter *, bool on);
void counter_cost(struct counter *, uint64_t *runs, uint64_t *ns);

/* a - b, into a. */
void counts_subtract(struct counts *a, const struct counts *b);
void counts_add(struct counts *a, const struct counts *b);

/*
 * Whether every thread of the started program has made its last switch; whether
 * every counted thread has. The number that have not.
 */
bool counter_command_ended(struct counter *);
bool counter_all_ended(struct counter *);
uint64_t counts_not_ended(const struct counts *);

uint64_t counts_switches(const struct counts *, enum urt_class);
uint64_t counts_syscalls(const struct counts *);
uint64_t counts_submitted(const struct counts *);
uint64_t counts_completed(const struct counts *);

#endif
