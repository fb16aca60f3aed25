/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Part of count.bpf.c, included once there: the maps, the settings, and the choice of
 * the traced threads.
 */
#ifndef URT_TRACK_BPF_H
#define URT_TRACK_BPF_H

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct urt_task);
} tasks SEC(".maps");

/* With rows, this has the entry of `tasks`, too: a look for an entry takes 8 ns. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct urt_by_task);
} by_tasks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, u32);
	__type(value, struct urt_task);
} io_threads SEC(".maps");

/* By CPU * URT_CLASSES + class. The tool sets the sizes of these maps. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, URT_CLASSES);
	__type(key, u32);
	__type(value, struct urt_counts);
} counts SEC(".maps");

/* By CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct urt_calls);
} calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct urt_thread);
} threads SEC(".maps");

/*
 * Requests that were not done at once, by address. Bit 0: the request waited for its
 * file; bit 1: a worker thread had it. An entry stays until the next submission at
 * the same address.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 20);
	__type(key, u64);
	__type(value, u32);
} requests SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64[STACK_DEPTH]);
} stacks SEC(".maps");

/* Set by the tool before loading. */
const volatile int nr_execve = 59;
const volatile int no_inherit = URT_COUNT_STARTED;
const volatile bool want_children = false; /* also attach to its descendants */
const volatile bool want_times = false;
const volatile bool want_threads = false;
const volatile int by = URT_BY_NOTHING; /* rows */
const volatile bool empty = false;	/* calls and switches are not counted */
const volatile unsigned int max_threads = 1;
/* The range of code that each page fault passes through; 0: not known. */
const volatile unsigned long long fault_from = 0, fault_to = 0;

/* Set by the tool at any time. attach_tgid is only set while the tool looks for its
 * threads: when the process has ended, the number may become another's. */
bool stopped = false;	   /* with rows: neither totals nor rows change */
int start_tgid = 0;	   /* this process counts from its exec on */
int attach_tgid = 0;	   /* this process runs already */
int attach_tid = 0;	   /* only this thread counts */
bool attach_all = false;   /* all processes count */
int attach_io_threads = 0; /* find_threads: 1: io_uring's, 0: others */
unsigned long long cgroup_id = 0; /* it and those below count; 0: none */

/* Events that could not be counted: a map was full. */
unsigned long long lost = 0;
unsigned int next_thread = 0;
unsigned int last_entry = 0;	  /* of `tasks` */
struct urt_open_times open_times; /* by sum_open */

/* The process that the tool started or attached to: threads of it that have not made
 * their last switch. */
int command_tgid = 0; /* in the initial namespace; 0: none was started */
int command_threads = 0;

/* parent: the state of the thread that started t; 0: t was found. */
static __always_inline bool is_command(struct task_struct *t,
				       const struct urt_task *parent)
{
	if (parent)
		return parent->command && t->pid != t->tgid && !attach_tid;
	return t->tgid == command_tgid ||
	       (attach_tgid && has_tgid(t, attach_tgid)) ||
	       (attach_tid && has_pid(t, attach_tid));
}

static __always_inline struct urt_counts *counts_of(u32 class)
{
	u32 i = bpf_get_smp_processor_id() * URT_CLASSES + class;

	return bpf_map_lookup_elem(&counts, &i);
}

static __always_inline struct urt_calls *calls_here(void)
{
	u32 i = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&calls, &i);
}

static __always_inline struct urt_thread *thread_at(u32 i)
{
	return bpf_map_lookup_elem(&threads, &i);
}

static __always_inline struct urt_task *task_find(struct task_struct *t)
{
	struct urt_by_task *b;

	if (!t->bpf_storage)
		return 0;
	if (!by)
		return bpf_task_storage_get(&tasks, t, 0, 0);
	b = bpf_task_storage_get(&by_tasks, t, 0, 0);
	return b && b->task.entry ? &b->task : 0;
}

/* st: found by task_find, or 0. */
static __always_inline struct urt_by_task *by_of(struct urt_task *st)
{
	return by ? (struct urt_by_task *)st : 0;
}

static __always_inline void task_forget(struct task_struct *t)
{
	if (by)
		bpf_task_storage_delete(&by_tasks, t);
	else
		bpf_task_storage_delete(&tasks, t);
}

/* Takes a free slot for a thread's own counts; 0: none is free. */
static __always_inline u32 thread_take(struct task_struct *t, u32 class)
{
	if (!want_threads)
		return 0;
	for (int tries = 0; tries < 32; tries++) {
		u32 i = __sync_fetch_and_add(&next_thread, 1);
		struct urt_thread *th;

		i = 1 + i % (max_threads - 1);
		th = thread_at(i);
		if (!th || th->state != URT_THREAD_FREE ||
		    __sync_val_compare_and_swap(&th->state, URT_THREAD_FREE,
						URT_THREAD_TAKEN) !=
			    URT_THREAD_FREE)
			continue;
		th->pid = pid_of(t);
		th->tgid = tgid_of(t);
		th->class = class;
		th->born = BPF_CORE_READ(t, group_leader, start_time);
		th->cgroup = BPF_CORE_READ(t, cgroups, dfl_cgrp, kn, id);
		th->voluntary = th->involuntary = th->syscalls = 0;
		th->submitted = th->completed = 0;
		th->on_cpu_ns = th->in_ns = 0;
		bpf_probe_read_kernel(th->comm, sizeof(th->comm), t->comm);
		return i;
	}
	return 0;
}

/* The state of a thread at the first look. */
static __always_inline struct urt_task first_look(struct task_struct *t,
						  u32 class)
{
	struct urt_task first = {};

	first.nvcsw = t->nvcsw;
	first.nivcsw = t->nivcsw;
	first.thread = thread_take(t, class);
	return first;
}

/* Another has made the thread's entry. */
static __always_inline void thread_give_back(u32 thread)
{
	struct urt_thread *th = want_threads ? thread_at(thread) : 0;

	if (th && thread)
		th->state = URT_THREAD_FREE;
}

/* A thread that was found, not born: its time on or off the CPU counts from now. */
static __always_inline void since_now(struct task_struct *t,
				      struct urt_task *st)
{
	u64 now = want_times || want_threads ? bpf_ktime_get_ns() : 0;
	struct urt_thread *th = want_threads ? thread_at(st->thread) : 0;
	bool runs = is_on_cpu(t);

	st->in_ns = runs ? now : 0;
	st->out_ns = runs ? 0 : now;
	if (th && st->thread)
		th->in_ns = st->in_ns;
}

static __always_inline void by_image(struct task_struct *t); /* by.bpf.h */

/* The system call of a thread was not counted, or its context is another's now. */
static __always_inline void by_forget_call(struct urt_by_task *b)
{
	if (b)
		b->call_row = 0;
}

static __always_inline u32 task_class(struct task_struct *t)
{
	return t->flags & PF_KTHREAD ? URT_CLASS_KERNEL : URT_CLASS_APP;
}

/*
 * Makes the entry of t; false: another has made it, or there is no room. The entry must
 * be complete at once: t may switch on another CPU. With rows it is too large to be
 * copied, and counts from when its number is set.
 */
static __always_inline bool task_store(struct task_struct *t,
				       struct urt_task *first)
{
	u32 entry = first->entry;
	struct urt_by_task *b;
	struct urt_task *st;

	if (!by) {
		st = bpf_task_storage_get(&tasks, t, first,
					  BPF_LOCAL_STORAGE_GET_F_CREATE);
		if (st)
			return st->entry == entry;
	} else {
		b = bpf_task_storage_get(&by_tasks, t, 0,
					 BPF_LOCAL_STORAGE_GET_F_CREATE);
		if (b && __sync_val_compare_and_swap(&b->claimed, 0, 1))
			return false;
		if (b) {
			first->entry = 0;
			b->task = *first;
			__sync_fetch_and_add(&b->task.entry, entry);
			return true;
		}
	}
	if (!task_find(t))
		__sync_fetch_and_add(&lost, 1);
	return false;
}

/*
 * A new thread may be found by the iterator before its fork is announced, so that both
 * add it: one makes the entry, and only that one counts it. The iterator can be
 * preempted, so it must add to the count in one step.
 */
static __always_inline void task_add(struct task_struct *t,
				     const struct urt_task *parent, bool fresh)
{
	struct urt_counts *c = counts_of(task_class(t));
	struct urt_task first;

	if (!c || task_find(t))
		return;
	first = first_look(t, task_class(t));
	first.fresh = fresh;
	first.command = task_class(t) == URT_CLASS_APP && is_command(t, parent);
	first.entry = __sync_fetch_and_add(&last_entry, 1) + 1;
	if (fresh)
		since_now(t, &first);
	if (!task_store(t, &first)) {
		thread_give_back(first.thread);
		return;
	}
	if (by == URT_BY_CONTEXT && (t->pid == t->tgid || attach_tid))
		by_image(t);
	__sync_fetch_and_add(&c->tasks, 1);
	if (first.command)
		__sync_fetch_and_add(&command_threads, 1);
}

/* The class of an io_uring thread, by its name: iou-wrk-PID or iou-sqp-PID. */
static __always_inline int io_thread_class(struct task_struct *t)
{
	return t->comm[4] == 's' ? URT_CLASS_IOU_SQP : URT_CLASS_IOU_WRK;
}

/* The class of an io_uring thread of a traced process, or -1. */
static __always_inline int io_class(struct task_struct *t)
{
	if (!(t->flags & PF_IO_WORKER) || !task_find(t->group_leader))
		return -1;
	return io_thread_class(t);
}

static __always_inline struct urt_task *io_thread(struct task_struct *t,
						  u32 class)
{
	u32 pid = t->pid;
	struct urt_task *st = bpf_map_lookup_elem(&io_threads, &pid);
	struct urt_task born = {};
	struct urt_counts *c;

	if (st)
		return st;
	c = counts_of(class);
	if (c)
		c->tasks++;
	born.thread = thread_take(t, class);
	bpf_map_update_elem(&io_threads, &pid, &born, BPF_ANY);
	return bpf_map_lookup_elem(&io_threads, &pid);
}

#endif
