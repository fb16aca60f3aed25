/* SPDX-License-Identifier: MIT */
/* Preparing BPF objects for the running kernel. Includes no skeleton. */
#ifndef URT_BPF_SETUP_H
#define URT_BPF_SETUP_H

#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stdint.h>

/* Settings of libbpf for the process. Its messages are printed only with
 * URT_BPF_LOG in the environment. */
void bpf_setup(void);

/* The reason for this -errno of loading programs, and the remedy. */
void bpf_explain(int err, char *why, size_t size);

/* A program that loads only if the kernel has its tracepoint: io_uring may not
 * be built in, and names change. NULL: it does not load. */
struct bpf_optional {
	struct bpf_program *program;
	const char *tracepoint;
};
void bpf_choose(const struct bpf_optional *, unsigned n);

/* Loads a skeleton's object: 0 or -errno. Signals wait until it is loaded, because one
 * that is pending ends the kernel's verification, and libbpf tries only five times. */
int bpf_load(struct bpf_object_skeleton *);

/* Runs an iterator that is attached, and prints nothing, to its end, in spite of
 * signals: 0 or -errno. */
int bpf_iterate(struct bpf_link *);

/* Attaches a program; its link is added to the array. 0 or -errno. */
int bpf_attach(struct bpf_program *, struct bpf_link **link, unsigned *links);

/* Where the kernel may preempt programs on tracepoints, NAME_event does the work of NAME
 * with preemption off. Chooses which of these load, as their NAMEs do: once that is set. */
void bpf_choose_events(struct bpf_object *);

/* Attaches all loaded programs but iterators and samples; NAME only if NAME_event cannot
 * be attached, which perf_event_paranoid or a missing tracefs can prevent. */
int bpf_attach_all(struct bpf_object *, struct bpf_link **link,
		   unsigned *links);

/* Runs a program on each online CPU that is not idle, once in period_ns of the software
 * clock, which every machine has. 0 or -errno. */
int bpf_attach_samples(struct bpf_program *, int64_t period_ns,
		       struct bpf_link **link, unsigned *links, unsigned max);

/* Whether BPF programs on tracepoints may be preempted: Linux 7; see count.bpf.c. */
bool bpf_can_be_preempted(void);

/* How often the kernel did not run one of the programs because it was already running
 * on that CPU. Each time, an event was missed. */
uint64_t bpf_missed(struct bpf_object *);

/* The number of a tracepoint's arguments; 0: the kernel lacks it. */
unsigned bpf_tracepoint_args(const char *tracepoint);

#endif
