/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The few kernel types that the BPF programs need, for a build without BTF from
 * which to generate vmlinux.h. Field offsets do not matter: libbpf relocates each
 * access to the offsets of the running kernel.
 */
#ifndef __VMLINUX_H__ /* the name that libbpf's headers look for */
#define __VMLINUX_H__

typedef signed char __s8;
typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;
typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef int pid_t;
typedef _Bool bool;

enum { false, true };

enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_HASH = 5,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_STACK_TRACE = 7,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_MAP_TYPE_TASK_STORAGE = 29,
};

enum {
	BPF_ANY,
	BPF_NOEXIST,
	BPF_EXIST,
};

enum {
	BPF_F_NO_PREALLOC = 1,
	BPF_F_USER_STACK = 256,
	BPF_F_MMAPABLE = 1024,
};

enum {
	BPF_LOCAL_STORAGE_GET_F_CREATE = 1,
};

enum {
	BPF_RB_NO_WAKEUP = 1,
	BPF_RB_FORCE_WAKEUP = 2,
	BPF_RB_AVAIL_DATA = 0,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), \
			     apply_to = record)

struct thread_info {
	unsigned long flags;
	unsigned long syscall_work;
	__u32 status;
};

struct kernfs_node {
	__u64 id;
};

struct cgroup {
	int level;
	struct kernfs_node *kn;
	struct cgroup *ancestors[];
};

struct css_set {
	struct cgroup *dfl_cgrp;
};

struct bpf_local_storage;

struct ns_common {
	unsigned int inum;
};

struct pid_namespace {
	struct ns_common ns;
};

struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	unsigned int level;
	struct upid numbers[1];
};

struct signal_struct {
	int nr_threads;
	struct pid *pids[4];
};

typedef struct {
	__s64 counter;
} atomic64_t;

typedef struct {
	__u64 ctx_id;
	atomic64_t tlb_gen;
} mm_context_t;

struct mm_struct {
	unsigned long *pgd;
	mm_context_t context;
	unsigned long end_code;
	unsigned long start_stack;
};

#if defined(__TARGET_ARCH_x86)
struct thread_struct {
	unsigned long fsbase;
};
#else
struct thread_struct {
	struct {
		unsigned long tp_value;
	} uw;
};
#endif

struct rq {
	__u64 clock;
};

struct cfs_rq {
	struct rq *rq;
};

struct sched_entity {
	struct cfs_rq *cfs_rq;
	__u64 sum_exec_runtime;
};

struct sched_info {
	__u64 run_delay;
};

struct seq_file;
struct bpf_iter_meta {
	struct seq_file *seq;
};

/*
 * clang puts types that a program only points to into its BTF in the order of their
 * places in clang's heap, and these depend on the name of the directory. Inside of
 * task_struct, which all programs use, they are there in the order below: the same
 * sources give the same bytes.
 */
struct pointed_to {
	struct kernfs_node kernfs_node;
	struct css_set css_set;
	struct cfs_rq cfs_rq;
	struct rq rq;
	struct pid_namespace pid_namespace;
	struct mm_struct mm_struct;
	struct pid pid;
	struct signal_struct signal_struct;
	struct bpf_iter_meta bpf_iter_meta;
	struct cgroup cgroup; /* last, for the length of its array */
};

struct task_struct {
	struct thread_info thread_info;
	struct css_set *cgroups;
	struct bpf_local_storage *bpf_storage;
	unsigned int __state;
	unsigned int flags;
	unsigned int ptrace;
	int on_cpu;
	pid_t pid;
	pid_t tgid;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	__u64 start_time;
	struct mm_struct *mm;
	struct pid *thread_pid;
	struct signal_struct *signal;
	unsigned long nvcsw;
	unsigned long nivcsw;
	char comm[16];
	struct sched_entity se;
	struct sched_info sched_info;
	struct thread_struct thread;
	struct pointed_to pointed_to; /* not the kernel's */
};

struct trace_event_raw_sys_enter {
	long id;
};

struct trace_event_raw_sys_exit {
	long ret;
};

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long ip;
	unsigned long orig_ax;
};
#elif defined(__TARGET_ARCH_arm64)
struct user_pt_regs {
	__u64 regs[31];
	__u64 sp;
	__u64 pc;
	__u64 pstate;
};
struct pt_regs {
	union {
		struct user_pt_regs user_regs;
		struct {
			u64 regs[31];
			u64 sp;
			u64 pc;
			u64 pstate;
		};
	};
	s32 syscallno;
};
#endif

struct linux_binprm;
struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

#pragma clang attribute pop

/* From uapi/linux/bpf.h. */
struct bpf_pidns_info {
	__u32 pid;
	__u32 tgid;
};

#endif
