/* SPDX-License-Identifier: MIT */
/* Preparing BPF objects for the running kernel. Includes no skeleton. */
#ifndef URT_BPF_SETUP_H
#define URT_BPF_SETUP_H

#include <bpf/libbpf.h>

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

/* Attaches a program; its link is added to the array. 0 or -errno. */
int bpf_attach(struct bpf_program *, struct bpf_link **link, unsigned *links);

/* The number of a tracepoint's arguments; 0: the kernel lacks it. */
unsigned bpf_tracepoint_args(const char *tracepoint);

#endif
