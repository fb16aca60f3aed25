/* SPDX-License-Identifier: MIT */
/* What counter.c, which loads and attaches the BPF programs, shares with
 * counter_read.c. */
#ifndef URT_COUNTER_PARTS_H
#define URT_COUNTER_PARTS_H

#include "counter.h"
#include "count.skel.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

/* A map's entries, mapped into this process; the kernel adds to them. */
struct mapped {
	void *base;
	size_t size;   /* of all, bytes */
	size_t stride; /* from one entry to the next, bytes */
};

struct counter {
	struct count_bpf *bpf;
	struct bpf_link *link[32]; /* one for each program */
	unsigned nr_links;
	struct bpf_link **sample; /* for each CPU, with rows by context */
	unsigned samples;
	bool sampled;
	struct bpf_link *open_link; /* adds up times that have not ended; or
				       NULL */
	bool has_uring; /* the kernel has the tracepoints of io_uring */
	int stats_fd;	/* keeps the kernel's run-time statistics on; or < 0 */
	int nr_cpus;
	bool some_cpus; /* only these CPUs are read: */
	cpu_set_t cpus;
	struct mapped counts, calls, threads, spans, open_spans;
	struct ring_buffer *spans_ended; /* NULL: spans are not counted */
	void (*span)(const struct urt_span *, void *);
	void *span_arg;
	unsigned max_threads;
};

/* Runs the programs of an iterator once. 0 or -errno. */

#endif
