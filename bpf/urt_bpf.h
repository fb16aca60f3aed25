/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What the BPF programs and the tool share: the layout of the maps. Included
 * by both sides, so plain types only; __u64 and friends come from vmlinux.h
 * there and linux/types.h here.
 */
#ifndef URT_BPF_H
#define URT_BPF_H

/* Thread classes. Kernel threads that io_uring makes for a process share its
 * thread group; they are its cost too, and shown apart. */
enum urt_class {
	URT_CLASS_APP,
	URT_CLASS_IOU_WRK,
	URT_CLASS_IOU_SQP,
	URT_CLASSES,
};

#define URT_SYSCALLS	  512 /* numbers below are counted by name */
#define URT_SYSCALL_OTHER 512 /* the rest */
#define URT_NO_SYSCALL	  513 /* switches outside system calls */
#define URT_SYSCALL_SLOTS 514

#define URT_URING_OPS 64

/*
 * One CPU's counts for one class. All are plain counts of events; each CPU
 * adds to its own copy, with preemption off, so nothing is lost and nothing
 * is atomic.
 */
struct urt_counts {
	__u64 voluntary; /* switches, by the kernel's own rule */
	__u64 involuntary;
	__u64 nvcsw;  /* growth of the kernel's own counters of these */
	__u64 nivcsw; /* threads, as seen at each of their switches */
	__u64 switches_in[URT_SYSCALL_SLOTS]; /* by system call */
	__u64 syscalls[URT_SYSCALL_SLOTS];
	__u64 submitted[URT_URING_OPS]; /* io_uring requests by opcode */
	__u64 punted[URT_URING_OPS];	/* ... given to a worker thread */
	__u64 completed;		/* completions posted */
	__u64 tasks;			/* threads seen */
	__u64 ended;			/* ... making their last switch */
};

/* What is known of one traced thread. */
struct urt_task {
	__u64 nvcsw, nivcsw; /* the kernel's counters when last looked at */
	__u64 syscall_ip;    /* user address of the last system call */
	__u32 syscall;	     /* its number */
	__u32 unused;
};

#endif
