/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Part of count.bpf.c, included once there. It counts the same events again in the
 * rows of a table: by thread, program name, cgroup, CPU, or context.
 *
 * Contexts are those of OpenTelemetry (OTEP 4947). The program reads the thread's
 * pointer, whose place the tool has found, then the record, then the value of one
 * attribute. io_uring_enter and the switches in it serve many requests at once, so they
 * count in the row "shared". A request of a program on uring_rt belongs to the
 * coroutine that made it, to which user_data leads, and not to the thread that enters.
 *
 * The BPF program that adds an event to the total also adds it to one row, so the
 * rows sum up to the totals.
 *
 * Cost, on a machine where getppid takes 134 ns, and 202 when counted: a row by thread
 * adds 22 ns to a system call, by context 118, and 235 when bpf_probe_read_user read the
 * pointer and the record (user.bpf.h). Both reads are needed: a record may be rewritten
 * in place, and a later record may have a freed one's address, so neither the pointer
 * nor `valid` shows that the attributes are the same. A switch in a system call needs
 * neither: it has the row of the call (by_row_in_call). The time of a switch is the run
 * queue's (switch_clock), since to read a clock takes 32 ns, a fifth of what a row adds
 * to a switch.
 *
 * A thread's storage keeps the places of its last counts. Times, which each switch adds
 * to, have places of their own there: when a wait for a CPU and write() shared one,
 * each looked into by_counts again.
 */
#ifndef URT_BY_BPF_H
#define URT_BY_BPF_H

/* Attributes that are looked at, and their bytes. Each takes the verifier 4 ms. */
#define BY_ENTRIES 64
#define BY_BYTES   612

#define BY_ENTER 426 /* io_uring_enter, on every machine */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, URT_BY_ROWS);
	__type(key, struct urt_by_key);
	__type(value, u32);
} by_rows SEC(".maps");

/* The index of each count in by_sums. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, URT_BY_COUNTS);
	__type(key, struct urt_by_count);
	__type(value, u32);
} by_counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, URT_BY_COUNTS);
	__type(key, u32);
	__type(value, u64);
} by_sums SEC(".maps");

/* The number of each counted process's image: it gets the next one when it is first
 * seen and when it executes a program. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, URT_BY_PROCESSES);
	__type(key, u32);
	__type(value, u32);
} by_images SEC(".maps");

/* By process. The tool adds an entry when it has found the place of the contexts; it
 * holds for the image of that number. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, URT_BY_PROCESSES);
	__type(key, u32);
	__type(value, struct urt_by_where);
} by_where SEC(".maps");

/* The latest images, from which the tool learns where to look: the process, and the
 * number in the upper half. The place of a number is its remainder. */
unsigned long long by_started[URT_BY_STARTED];
unsigned int by_last_image = 0;

unsigned int by_next_row = URT_BY_FIRST_ROW;
unsigned int by_next_sum = 1;
unsigned int by_generation = 1; /* the tool adds 1 after a change of by_where */

/* The index of a count in by_sums; 0: no room. Not static: the verifier looks at it
 * once, not at each call. */
__noinline u32 by_place(const struct urt_by_count *of)
{
	struct urt_by_count key;
	u32 *at, fresh;

	if (!of)
		return 0;
	key = *of; /* Linux 6.1 takes no key from another function's stack */
	at = bpf_map_lookup_elem(&by_counts, &key);
	if (at)
		return *at;
	fresh = __sync_fetch_and_add(&by_next_sum, 1);
	if (fresh >= URT_BY_COUNTS)
		return 0;
	bpf_map_update_elem(&by_counts, &key, &fresh, BPF_NOEXIST);
	at = bpf_map_lookup_elem(&by_counts, &key); /* or another CPU's entry */
	return at ? *at : 0;
}

/* b: the thread's storage, which caches the places of its last counts; or 0. */
static __always_inline void by_add(struct urt_by_task *b, u32 row, u16 what,
				   u16 nr, u64 n)
{
	struct urt_by_count key = { .row = row, .what = what, .nr = nr };
	u32 alone = what - URT_BY_ON_CPU, at, i;
	u64 *sum;

	i = alone < URT_BY_ALONE ? URT_BY_SUMS + alone
				 : (row + what + nr * 5) & (URT_BY_SUMS - 1);

	if (b && b->sum[i].key.row == row && b->sum[i].key.what == what &&
	    b->sum[i].key.nr == nr) {
		at = b->sum[i].at;
	} else {
		at = by_place(&key);
		if (b) {
			b->sum[i].key = key;
			b->sum[i].at = at;
		}
	}
	sum = at ? bpf_map_lookup_elem(&by_sums, &at) : 0;
	if (sum)
		*sum += n;
	else
		__sync_fetch_and_add(&lost, 1);
}

/* The row of a key; without room for it, the row "other". */
static __always_inline u32 by_row_of(const struct urt_by_key *key)
{
	u32 *row = bpf_map_lookup_elem(&by_rows, key), fresh;

	if (row)
		return *row;
	fresh = __sync_fetch_and_add(&by_next_row, 1);
	bpf_map_update_elem(&by_rows, key, &fresh, BPF_NOEXIST);
	row = bpf_map_lookup_elem(&by_rows, key); /* or another CPU's entry */
	return row ? *row : URT_BY_ROW_OTHER;
}

#include "span.bpf.h"
#include "user.bpf.h"

/* ---- contexts ---- */

#if defined(__TARGET_ARCH_x86)
static __always_inline u64 thread_pointer(struct task_struct *t)
{
	return t->thread.fsbase;
}
#else
static __always_inline u64 thread_pointer(struct task_struct *t)
{
	return 0; /* the tool does not offer contexts here */
}
#endif

static __always_inline u64 by_slot(struct task_struct *t,
				   const struct urt_by_where *w)
{
	u64 tp = thread_pointer(t), dtv = 0, block = 0;

	if (!w->module)
		return tp + w->offset;
	/* glibc: tcbhead_t.dtv, whose entries are 16 bytes; x86-64. */
	if (bpf_probe_read_user(&dtv, 8, (void *)(tp + 8)) ||
	    bpf_probe_read_user(&block, 8, (void *)(dtv + 16 * w->module)) ||
	    block == ~0ULL)
		return 0;
	return block + w->offset;
}

/* The attributes of a record while they are parsed. A sample that interrupts the
 * kernel, which has no b, has the second one. */
struct by_attributes {
	u8 byte[2048]; /* a power of two, more than BY_BYTES + 2 * 256 */
	/* Where the value of the key is, and its bytes. Not local, and written without
	 * a branch, because the verifier would try all combinations. */
	u32 found, size;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, struct by_attributes);
} by_attributes SEC(".maps");

static __always_inline u8 by_byte(const struct by_attributes *a, u32 at)
{
	return a->byte[at & (sizeof(a->byte) - 1)];
}

/* The row of a record of which `size` bytes are attributes. The last one of the key
 * counts, so that a writer may add a new value; what does not fit is ignored (OTEP).
 * Not static: the verifier looks at it once. which: of by_attributes. */
__noinline u32 by_parse(u32 which, u32 of, u32 size, u64 record)
{
	u32 at = 0, found, n;
	struct urt_by_key key = {};
	struct by_attributes *a;

	a = bpf_map_lookup_elem(&by_attributes, &which);
	if (size > BY_BYTES)
		size = BY_BYTES;
	if (!a || bpf_probe_read_user(a->byte, size, (void *)(record + 28)))
		return URT_BY_ROW_NONE;
	a->found = a->size = 0;
	for (int i = 0; i < BY_ENTRIES; i++) {
		u32 next = at + 2 + by_byte(a, at + 1);
		u64 is = by_byte(a, at) ^ of; /* 0: of the key */

		if (next > size)
			break;
		is = (is - 1) >> 63;
		barrier_var(is);
		a->found += (at + 2 - a->found) * is;
		a->size += (next - at - 2 - a->size) * is;
		at = next;
	}
	found = a->found & 1023;
	n = a->size;
	if (n > sizeof(key.text) - 1)
		n = sizeof(key.text) - 1;
	if (n) /* a context without the key: "" */
		bpf_probe_read_kernel(key.text, n, &a->byte[found]);
	return by_row_of(&key);
}

/*
 * Equal attributes belong to the same row, whatever the ids are. The thread's cache
 * recognises attributes that end within the bytes that are read at once. A record of
 * uring_rt always has that many bytes; another record may end before an unmapped page.
 */
__noinline u32 by_row_of_record(struct urt_by_task *b, u32 key, u64 record)
{
	struct task_struct *t = bpf_get_current_task_btf();
	union {
		u64 word[URT_BY_HEAD / 8];
		u8 byte[URT_BY_HEAD];
	} head = {};
	const u64 *word = &head.word[URT_BY_IDS / 8];
	u64 differ = 0;
	u32 i, row;

	if (!record)
		return URT_BY_ROW_NONE;
	/* A record in memory that the kernel does not map is not valid: 0. */
	if ((!user_words(t, b, record, head.word, URT_BY_HEAD / 8) ||
	     head.byte[URT_BY_IDS] != 1) &&
	    bpf_probe_read_user(&head, sizeof(head), (void *)record) &&
	    bpf_probe_read_user(&head, 28, (void *)record))
		return URT_BY_ROW_NONE;
	if (head.byte[URT_BY_IDS] != 1)
		return URT_BY_ROW_NONE;
	i = (word[0] ^ word[1] ^ word[2]) * 0x9e3779b97f4a7c15ULL >> 62;
	if (b) {
		__builtin_memcpy(b->id, head.word, sizeof(b->id));
		for (int k = 0; k < (URT_BY_HEAD - URT_BY_IDS) / 8; k++)
			differ |= word[k] ^ b->head[i].word[k];
		if (!differ && b->head[i].row)
			return b->head[i].row;
	}
	row = by_parse(b ? 0 : 1, key, head.byte[26] | head.byte[27] << 8,
		       record);
	if (b && row >= URT_BY_FIRST_ROW &&
	    28 + (head.byte[26] | head.byte[27] << 8) <= URT_BY_HEAD) {
		__builtin_memcpy(b->head[i].word, word,
				 sizeof(b->head[i].word));
		b->head[i].row = row;
	}
	return row;
}

static __always_inline void by_image(struct task_struct *t)
{
	u32 tgid = tgid_of(t), number;

	if (t->flags & PF_KTHREAD)
		return;
	number = __sync_fetch_and_add(&by_last_image, 1) + 1;
	bpf_map_update_elem(&by_images, &tgid, &number, BPF_ANY);
	by_started[number & (URT_BY_STARTED - 1)] = (u64)number << 32 | tgid;
}

static __always_inline struct urt_by_where *where_of(struct task_struct *t)
{
	u32 tgid = tgid_of(t), *number = bpf_map_lookup_elem(&by_images, &tgid);
	struct urt_by_where *w = bpf_map_lookup_elem(&by_where, &tgid);

	return w && number && w->number == *number ? w : 0;
}

/* Finds the place of the thread's context pointer, and the attribute to count by.
 * False: the thread has no contexts. */
static __always_inline bool by_find(struct task_struct *t,
				    struct urt_by_task *b)
{
	u64 tp = thread_pointer(t);
	u32 generation = by_generation;
	struct urt_by_where *w;

	if (b->generation == generation && b->tp == tp)
		return b->slot;
	w = where_of(t);
	if (w)
		b->where = *w;
	else
		b->where.runtime = 0;
	b->slot = w ? by_slot(t, w) : 0;
	b->tp = tp;
	/* glibc makes a module's thread-local block when it is first used. */
	b->generation = w && !b->slot ? 0 : generation;
	__builtin_memset(b->head, 0, sizeof(b->head));
	return b->slot;
}

/* The record of the current task, whose storage b is; 0: it has none. Not static, as
 * by_place. */
__noinline u64 by_record(struct urt_by_task *b)
{
	struct task_struct *t = bpf_get_current_task_btf();
	u64 record = 0;

	return b && by_find(t, b) && user_read(t, b, b->slot, &record, 1)
		       ? record
		       : 0;
}

/* The row of the current task, t, whose storage b is, or 0. */
static __always_inline u32 by_context(struct task_struct *t,
				      struct urt_by_task *b)
{
	u64 record;

	if (t->flags & (PF_IO_WORKER | PF_KTHREAD))
		return URT_BY_ROW_KERNEL;
	record = by_record(b);
	return b ? by_row_of_record(b, b->where.key, record) : URT_BY_ROW_NONE;
}

/* The address of a coroutine's block, and two words of it. */
struct by_block {
	u64 at, context, op;
};

/* One read gets both words if they lie close to each other: a read costs as much as
 * all else that is done for an event. */
static __always_inline bool by_block(struct task_struct *t,
				     struct urt_by_task *own,
				     const struct urt_by_where *w, u64 at,
				     struct by_block *b)
{
	u32 from = w->block_context, to = w->block_op;
	u64 word[8];

	b->at = at;
	b->context = b->op = 0;
	if (to - from < sizeof(word) && !((to - from) & 7) &&
	    user_read(t, own, at + from, word, 8)) {
		b->context = word[0];
		for (u32 i = 0; i < 8; i++)
			if (i == (to - from) / 8)
				b->op = word[i];
		return true;
	}
	return user_read(t, own, at + from, &b->context, 1) &&
	       user_read(t, own, at + to, &b->op, 1);
}

/* The coroutine that the operation points at, if it points back. */
static __always_inline bool by_coroutine(struct task_struct *t,
					 struct urt_by_task *own,
					 const struct urt_by_where *w, u64 op,
					 struct by_block *b)
{
	u64 at = 0;

	return user_read(t, own, op + w->op_coro, &at, 1) &&
	       by_block(t, own, w, at, b) && b->op == op;
}

/* The row of a request: that of its coroutine. Requests of no coroutine, such as
 * kicks and timeouts, are "shared". */
static __always_inline u32 by_request(struct task_struct *t,
				      struct urt_by_task *b, u64 user_data)
{
	const struct urt_by_where *w;
	struct by_block block;
	u64 at;

	if (b)
		by_find(t, b);
	w = b ? &b->where : where_of(t);
	if (!w || !w->runtime)
		return by_context(t, b);
	if (!by_coroutine(t, b, w, user_data, &block)) {
		/* Is it a request to cancel another? It lies in the block. */
		at = user_data - w->block_cancel_op;
		if (!by_block(t, b, w, at, &block) ||
		    !by_coroutine(t, b, w, block.op, &block) || block.at != at)
			return URT_BY_ROW_SHARED;
	}
	return by_row_of_record(b, w->key, block.context);
}

/* ---- rows ---- */

/* t is the current task; b its storage, or 0. */
static __always_inline u32 by_row(struct task_struct *t, struct urt_by_task *b)
{
	struct urt_by_key key = {};
	u64 number = 0;

	if (by == URT_BY_CONTEXT)
		return by_context(t, b);
	if (by == URT_BY_CPU)
		number = bpf_get_smp_processor_id();
	if (by == URT_BY_CGROUP)
		number = t->cgroups->dfl_cgrp->kn->id;
	if (b && b->own && b->number == number)
		return b->own;
	key.number = number;
	if (by == URT_BY_THREAD)
		key.number = pid_of(t);
	if (by == URT_BY_COMM || by == URT_BY_THREAD)
		bpf_probe_read_kernel(key.text, sizeof(t->comm), t->comm);
	if (!b)
		return by_row_of(&key);
	b->number = number;
	return b->own = by_row_of(&key);
}

/* What may keep a thread in a system call before on_syscall sees it. */
#define WORK_SEEN (1 << 1 | 1 << 4 | 1 << 6) /* tracepoint, audit, exit trap */
static __always_inline bool call_is_seen(struct task_struct *t)
{
	return bpf_core_field_exists(t->thread_info.syscall_work) &&
	       !(t->thread_info.syscall_work & ~WORK_SEEN) && !t->ptrace;
}

/*
 * A thread in a system call cannot change its context: what on_syscall read as the
 * call began holds until the call returns. A call that a tracer or seccomp holds up
 * is an exception, as its thread waits before on_syscall has read anything.
 */
static __always_inline u32 by_row_in_call(struct task_struct *t,
					  struct urt_by_task *b, u64 nr)
{
	if (by != URT_BY_CONTEXT)
		return by_row(t, b);
	if (nr == BY_ENTER)
		return URT_BY_ROW_SHARED;
	if (b && b->call_row && b->call_nr == nr &&
	    b->generation == by_generation && call_is_seen(t))
		return b->call_row;
	return by_row(t, b);
}

static __always_inline void by_syscall(struct task_struct *t,
				       struct urt_by_task *b, u64 nr, u16 what)
{
	u32 row =
		by == URT_BY_CONTEXT && nr == BY_ENTER && what == URT_BY_SYSCALL
			? URT_BY_ROW_SHARED
			: by_row(t, b);

	if (b && by == URT_BY_CONTEXT) {
		b->call_row = what == URT_BY_SYSCALL ? row : 0;
		b->call_nr = nr;
	}
	by_add(b, row, what, nr, 1);
	span_count(b, false, row, URT_OF_SYSCALLS, 1);
}

/* The kernel adds to run_delay the time for which t waited for a CPU. The growth since
 * the last look belongs to the wait before this run, which began in the row of the last
 * switch. */
static __always_inline void
by_run_delay(struct task_struct *t, struct urt_by_task *b, struct urt_task *st)
{
	u64 now, ns;

	if (!b || !bpf_core_field_exists(t->sched_info.run_delay))
		return;
	now = t->sched_info.run_delay;
	ns = now - b->run_delay;
	if (ns && b->looked && st->out_ns) {
		by_add(b, st->by_row, URT_BY_RUN_DELAY, 0, ns);
		span_count(b, true, st->by_row, URT_OF_RUN_DELAY, ns);
	}
	b->run_delay = now;
	b->looked = 1;
}

/* ns: how long the thread ran. */
static __always_inline void by_switch(struct task_struct *t,
				      struct urt_task *st,
				      struct urt_by_task *b, u64 at, u32 cause,
				      bool voluntary, u64 ns)
{
	u32 row = by_row_in_call(t, b, at);

	by_run_delay(t, b, st);
	by_add(b, row, voluntary ? URT_BY_VOLUNTARY : URT_BY_INVOLUNTARY, cause,
	       1);
	span_count(b, false, row, URT_OF_SWITCHES, 1);
	/* Contexts also change by switches in user space, which are not seen here:
	 * by_sample. */
	if (ns && by != URT_BY_CONTEXT)
		by_add(b, row, URT_BY_ON_CPU, 0, ns);
	st->by_row = row;
	if (b)
		__builtin_memcpy(b->out_id, b->id, sizeof(b->id));
	span_close();
}

/* The thread runs again, after ns. */
static __always_inline void by_runs(struct urt_task *st, struct urt_by_task *b,
				    u64 ns)
{
	by_add(b, st->by_row, URT_BY_OFF_CPU, 0, ns);
	span_count(b, true, st->by_row, URT_OF_OFF_CPU, ns);
}

static __always_inline int user_fault(void)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct urt_by_task *b = by_of(task_find(t));

	if (b && !stopped) {
		u32 row = by_row(t, b);

		by_add(b, row, URT_BY_FAULT, 0, 1);
		span_count(b, false, row, URT_OF_FAULTS, 1);
	}
	return 0;
}

/* Not every machine has this tracepoint; only loaded if rows are wanted. */
SEC("tp_btf/page_fault_user")
int BPF_PROG(on_user_fault)
{
	return user_fault();
}

SEC("tp/exceptions/page_fault_user")
int on_user_fault_event(void *e)
{
	return user_fault();
}

static __always_inline void by_submit(u8 op, u64 user_data)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct urt_by_task *b = by_of(task_find(t));
	u32 row = by == URT_BY_CONTEXT ? by_request(t, b, user_data)
				       : by_row(t, b);

	by_add(b, row, URT_BY_SUBMITTED, op, 1);
	span_count(b, false, row, URT_OF_SUBMITTED, 1);
}

const volatile unsigned long long by_period_ns = 1000000;

/* The context of a thread that was interrupted in the kernel, where it may be in one of
 * these programs: its cache is not touched. */
static __always_inline u32 by_interrupted(struct task_struct *t,
					  const struct urt_by_task *b)
{
	u64 record = 0;

	if (where(t) == BY_ENTER)
		return URT_BY_ROW_SHARED;
	if (!b || b->generation != by_generation || !b->slot ||
	    bpf_probe_read_user(&record, 8, (void *)b->slot))
		return URT_BY_ROW_NONE;
	return by_row_of_record(0, b->where.key, record);
}

/* The time on the CPU by context, of which a sample is one period. */
SEC("perf_event")
int by_sample(struct pt_regs *regs)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct urt_by_task *b = by_of(task_find(t));
	u32 row = URT_BY_ROW_KERNEL;

	if (stopped || (!b && io_class(t) < 0))
		return 0;
	if (!(t->flags & (PF_IO_WORKER | PF_KTHREAD)))
		row = (long)PT_REGS_IP(regs) > 0 /* in user mode */
			      ? by_context(t, b)
			      : by_interrupted(t, b);
	by_add(0, row, URT_BY_ON_CPU, 0, by_period_ns);
	return 0;
}

#endif
