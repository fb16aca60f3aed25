/* SPDX-License-Identifier: MIT */
/*
 * Loading the BPF program that tells a run of workers that went to sleep
 * (bpf/assist.bpf.c), for the process itself or, by `urt assist`, for another one.
 *
 * By a light skeleton: the system calls that libbpf would make, as a program of their
 * own, so that the library needs no other one.
 */
#ifndef URT_BASE_ASSIST_H
#define URT_BASE_ASSIST_H

#include <stdint.h>
#include <sys/types.h>

/* Whom to tell of. */
struct urt__assisted {
	pid_t pid;	  /* in the PID namespace of which these are */
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
