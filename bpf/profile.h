/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Shared by the BPF programs of `urt profile` and the tool. */
#ifndef URT_PROFILE_H
#define URT_PROFILE_H

enum profile_kind { PROFILE_ON_CPU, PROFILE_OFF_CPU };

#define PROFILE_FRAMES 127
#define PROFILE_STACKS 16384
#define PROFILE_SUMS   65536

/* Stack ids are those of the map `stacks`, or these. */
#define PROFILE_NO_STACK (-1) /* unknown, or no room was left for it */
#define PROFILE_NOT_SEEN (-2) /* it slept when profiling began */

/* Tells apart the programs that had the number of a process one after another: by
 * exec, or because the number was used again. Both values are in /proc/PID/stat,
 * too; where the stack begins is random. */
#define PROFILE_PROGRAM(start_stack, end_code) \
	((start_stack) ^ ((__u64)(end_code) << 16))

/* Waits, or samples, with equal keys are one sum. PIDs are those of the tool's
 * namespace. */
struct profile_key {
	__u64 program, waker_program; /* PROFILE_PROGRAM; 0: none */
	__u32 kind;		      /* enum profile_kind */
	__u32 tgid;
	__u32 tid; /* 0: threads of the same name are added up */
	__s32 user, kernel;
	/* Of the thread that woke it; waker_tgid 0: not known. */
	__u32 waker_tgid;
	__s32 waker_user, waker_kernel;
	char comm[16], waker[16];
};

struct profile_sum {
	__u64 n, ns;
};

/* A thread that is off the CPU. */
struct profile_off {
	struct profile_key key;
	__u64 since_ns;
	__u64 tid; /* of one that was not seen, as in its key */
};

_Static_assert(sizeof(struct profile_key) == 80, "shared with BPF");
_Static_assert(sizeof(struct profile_off) == 96, "shared with BPF");

#endif
