/* SPDX-License-Identifier: MIT */
/*
 * Counting what a program asks of the kernel; the user side of bpf/. One
 * program at a time: one that is about to be started (launch.h), or one that
 * is running. What it starts later is counted with it.
 */
#ifndef URT_COUNTER_H
#define URT_COUNTER_H

#include <linux/types.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "urt_bpf.h"

struct counter;

/* All that has been counted so far; two of them give a difference. */
struct counts {
	struct urt_counts class[URT_CLASSES];
	uint64_t lost; /* events that could not be counted */
};

/*
 * Loads and attaches the programs. NULL: not possible here, and why says so in
 * one line, with what to do.
 */
struct counter *counter_open(char *why, size_t why_size);
void counter_close(struct counter *);

/* From pid's next exec on, that included. Before it is let go. */
void counter_start_at_exec(struct counter *, pid_t pid);

/* A running process, all its threads. 0 or -errno. */
int counter_attach(struct counter *, pid_t pid);

/* 0 or -errno. */
int counter_read(struct counter *, struct counts *);

/* False: this kernel has no io_uring, or not its tracepoints. */
bool counter_has_uring(const struct counter *);

/*
 * What the counting itself costs: switches on the kernel's measurement, which
 * costs two looks at the clock a run; and runs of the programs since then, by
 * all processes on all CPUs, and their time. 0 where it is off.
 */
void counter_measure_cost(struct counter *);
void counter_cost(struct counter *, uint64_t *runs, uint64_t *ns);

/* a - b, into a. */
void counts_subtract(struct counts *a, const struct counts *b);

/* Whether every thread that was counted has made its last switch. */
bool counts_all_ended(const struct counts *);

uint64_t counts_switches(const struct counts *, enum urt_class);
uint64_t counts_syscalls(const struct counts *);
uint64_t counts_submitted(const struct counts *);
uint64_t counts_punted(const struct counts *);
uint64_t counts_completed(const struct counts *);

#endif
