/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Shared by the BPF program that reports sleeping workers, its loader, and the
 * runtime that reads the reports.
 */
#ifndef URT_ASSIST_BPF_H
#define URT_ASSIST_BPF_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

/* Bytes of the ring buffer: room for 1638 workers that went to sleep and whose
 * events were not read yet. An event that finds the buffer full is dropped; the
 * monitor then finds the worker. */
#define URT_TOLD_RING (64 * 1024)

/* A worker's thread went to sleep outside the runtime, with its processor. */
struct urt_told {
	__u64 ns;     /* CLOCK_MONOTONIC */
	__u64 ran_ns; /* CPU time of the thread so far */
	__u32 index;  /* of the worker, from its word */
	__u32 tid;    /* in the program's PID namespace */
	__u64 unused;
};

/* Sent to a program, with the ring buffer's descriptor. */
#define URT_TOLD_MAGIC 0x31646c6f742d7275 /* "ur-told1" */
struct urt_told_offer {
	__u64 magic;
	__u32 ring;  /* bytes of its data */
	__u32 entry; /* sizeof(struct urt_told) */
};

#endif
