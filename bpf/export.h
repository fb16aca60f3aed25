/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The layout of the maps, shared by export.bpf.c and `urt export`. __u64 and
 * friends come from vmlinux.h in the former and from linux/types.h in the latter.
 */
#ifndef URT_EXPORT_H
#define URT_EXPORT_H

#define EXPORT_OPS	  101 /* io_uring opcodes; the last: all others */
#define EXPORT_BUCKETS	  24  /* slot n: times below 1 us << n; the last: all */
#define EXPORT_GROUPS_MAX 4096 /* cgroups with rows of their own */
#define EXPORT_CALLS_MAX  65536
#define EXPORT_OTHER	  0 /* the "cgroup" of all cgroups that found no room */

/* One CPU's counts for one cgroup; plain additions, with preemption off. */
struct export_counts {
	__u64 voluntary, involuntary;  /* switches away from its threads */
	__u64 unnamed;		       /* system calls that found no entry */
	__u64 submitted[EXPORT_OPS];   /* io_uring requests by opcode */
	__u64 succeeded, failed;       /* completions with res >= 0, < 0 */
	__u64 off_cpu[EXPORT_BUCKETS]; /* from a voluntary switch to running */
	__u64 off_cpu_ns;
	__u64 queued[EXPORT_BUCKETS]; /* from runnable to running */
	__u64 queued_ns;
};

struct export_call {
	__u64 cgroup;
	__u32 nr; /* EXPORT_CALL_32: of the 32-bit table */
	__u32 pad;
};
#define EXPORT_CALL_32 0x10000u

_Static_assert(sizeof(struct export_call) == 16, "shared with BPF");
_Static_assert(sizeof(struct export_counts) ==
		       8 * (3 + EXPORT_OPS + 2 + 2 * (EXPORT_BUCKETS + 1)),
	       "shared with BPF");

#endif
