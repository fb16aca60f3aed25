/* SPDX-License-Identifier: MIT */
/*
 * Loading the BPF program that reports to a run which workers went to sleep
 * (bpf/assist.bpf.c), for this process or, in `urt assist`, for another one.
 *
 * A light skeleton does it: a program of its own that makes the system calls
 * which libbpf would make, so that the library does not need libbpf.
 */
#ifndef URT_BASE_ASSIST_H
#define URT_BASE_ASSIST_H

#include <stdint.h>
#include <sys/types.h>

/* The process to report about. */
struct urt__assisted {
	pid_t pid;	  /* in the PID namespace that the next two name */
	uint64_t ns_dev;  /* stat(2)'s of /proc/PID/ns/pid */
	uint64_t ns_ino;  /* ... */
	int64_t word_tls; /* struct urt__stats_slot */
};

/* Closed on exec; while both are open the program gets reports. */
struct urt__assist {
	int ring; /* the ring buffer: for the reader to map; or -1 */
	int link; /* the program's attachment; or -1 */
};

/* 0 or -errno of bpf(2). */
int urt__assist_load(struct urt__assist *, const struct urt__assisted *);
void urt__assist_unload(struct urt__assist *);

#endif
