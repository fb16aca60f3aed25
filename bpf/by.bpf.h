/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Part of count.bpf.c, included once there: the same events once more, by rows of
 * a table: by thread, program name, cgroup, CPU, or context.
 *
 * A context is OpenTelemetry's (OTEP 4947): the thread's pointer is read where
 * the tool found it, then the record, then the value of one attribute. Calls
 * that serve many requests at once, io_uring_enter and the switches in it, are
 * in the row "shared"; requests of a program on uring_rt belong to the
 * coroutine that made them, which user_data leads to, and not to the thread
 * that enters.
 *
 * Each event adds to one row in the same program that adds it to the total, so
 * the rows' sums are the totals.
 */
#ifndef URT_BY_BPF_H
#define URT_BY_BPF_H

#define BY_ENTRIES 12  /* attributes of a record that are looked at */
#define BY_ENTER   426 /* io_uring_enter, on every machine */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, URT_BY_ROWS);
	__type(key, struct urt_by_key);
	__type(value, u32);
} by_rows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, URT_BY_COUNTS);
	__type(key, struct urt_by_count);
	__type(value, u64);
} by_counts SEC(".maps");

/* By process. The tool adds to it when a process has announced contexts. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, u32);
	__type(value, struct urt_by_where);
} by_where SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct urt_by_last);
} by_last SEC(".maps");

const volatile int by = URT_BY_NOTHING;
unsigned int by_next_row = URT_BY_FIRST_ROW;

static __always_inline void by_add(u32 row, u16 what, u16 nr, u64 n)
{
	struct urt_by_count key = { .row = row, .what = what, .nr = nr };
	u64 *sum = bpf_map_lookup_elem(&by_counts, &key);

	if (!sum) {
		u64 zero = 0;

		bpf_map_update_elem(&by_counts, &key, &zero, BPF_NOEXIST);
		sum = bpf_map_lookup_elem(&by_counts, &key);
	}
	if (sum)
		*sum += n;
	else
		__sync_fetch_and_add(&lost, 1);
}

/* Keys that find no room are in the row "other". */
static __always_inline u32 by_row_of(const struct urt_by_key *key)
{
	u32 *row = bpf_map_lookup_elem(&by_rows, key), fresh;

	if (row)
		return *row;
	fresh = __sync_fetch_and_add(&by_next_row, 1);
	bpf_map_update_elem(&by_rows, key, &fresh, BPF_NOEXIST);
	row = bpf_map_lookup_elem(&by_rows, key); /* or another CPU's */
	return row ? *row : URT_BY_ROW_OTHER;
}

/* ---- contexts ---- */

#if defined(__TARGET_ARCH_x86)
static __always_inline u64 thread_pointer(struct task_struct *t)
{
	return t->thread.fsbase;
}
#else
static __always_inline u64 thread_pointer(struct task_struct *t)
{
	return 0; /* the tool does not offer it */
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

/* The row of the first 64 bytes of a record, or of its whole, at `record`. */
static __always_inline u32 by_parse(const struct urt_by_where *w,
				    const u8 *head, u64 record)
{
	struct urt_by_key key = {};
	u64 at = record + 28, end;
	u8 entry[2];

	end = at + (head[26] | head[27] << 8);
	for (int i = 0; i < BY_ENTRIES && at + 2 <= end; i++) {
		if (bpf_probe_read_user(entry, 2, (void *)at))
			return URT_BY_ROW_NONE;
		if (entry[0] == w->key) {
			u32 n = entry[1];

			if (n > sizeof(key.text) - 1)
				n = sizeof(key.text) - 1;
			if (at + 2 + entry[1] > end ||
			    bpf_probe_read_user(key.text, n, (void *)(at + 2)))
				return URT_BY_ROW_NONE;
			return by_row_of(&key);
		}
		at += 2 + entry[1];
	}
	return by_row_of(&key); /* a context without the key: "" */
}

/*
 * A record of uring_rt has room for 64 bytes; another's may end at a page that
 * is not there. Records of which these 64 bytes, ids included, and the key are
 * the same are of the same row if no attribute continues behind them.
 */
static __always_inline u32 by_row_of_record(const struct urt_by_where *w,
					    u64 record)
{
	u32 zero = 0;
	struct urt_by_last *last = bpf_map_lookup_elem(&by_last, &zero);
	union {
		u64 word[URT_BY_HEAD / 8];
		u8 byte[URT_BY_HEAD];
	} head = {};
	bool same = true;

	if (!record || !last)
		return URT_BY_ROW_NONE;
	if (bpf_probe_read_user(&head, sizeof(head), (void *)record) &&
	    bpf_probe_read_user(&head, 28, (void *)record))
		return URT_BY_ROW_NONE;
	if (head.byte[24] != 1)
		return URT_BY_ROW_NONE;
	for (int i = 0; i < URT_BY_HEAD / 8; i++)
		same &= head.word[i] == last->record[i];
	if (same && last->key == w->key && last->row >= URT_BY_FIRST_ROW &&
	    28 + (head.byte[26] | head.byte[27] << 8) <= URT_BY_HEAD)
		return last->row;
	__builtin_memcpy(last->record, head.word, sizeof(head));
	last->key = w->key;
	return last->row = by_parse(w, head.byte, record);
}

static __always_inline struct urt_by_where *where_of(struct task_struct *t)
{
	u32 tgid = tgid_of(t);

	return bpf_map_lookup_elem(&by_where, &tgid);
}

static __always_inline u32 by_context(struct task_struct *t)
{
	struct urt_by_where *w = where_of(t);
	u64 slot, record = 0;

	if (t->flags & (PF_IO_WORKER | PF_KTHREAD))
		return URT_BY_ROW_KERNEL;
	if (!w)
		return URT_BY_ROW_NONE;
	slot = by_slot(t, w);
	if (!slot || bpf_probe_read_user(&record, 8, (void *)slot))
		return URT_BY_ROW_NONE;
	return by_row_of_record(w, record);
}

/* The block that the operation says, if that says the operation, too. */
static __always_inline u64 by_coroutine(const struct urt_by_where *w, u64 op)
{
	u64 block = 0, back = 0;

	if (bpf_probe_read_user(&block, 8, (void *)(op + w->op_coro)) ||
	    bpf_probe_read_user(&back, 8, (void *)(block + w->block_op)) ||
	    back != op)
		return 0;
	return block;
}

/* The row of a request: its coroutine's, else "shared": kicks, timeouts. */
static __always_inline u32 by_request(struct task_struct *t, u64 user_data)
{
	struct urt_by_where *w = where_of(t);
	u64 block, op = 0, record = 0;

	if (!w || !w->runtime)
		return by_context(t);
	block = by_coroutine(w, user_data);
	if (!block) { /* a request to cancel another lies in the block */
		block = user_data - w->block_cancel_op;
		if (bpf_probe_read_user(&op, 8,
					(void *)(block + w->block_op)) ||
		    by_coroutine(w, op) != block)
			return URT_BY_ROW_SHARED;
	}
	if (bpf_probe_read_user(&record, 8, (void *)(block + w->block_context)))
		return URT_BY_ROW_NONE;
	return by_row_of_record(w, record);
}

/* ---- rows ---- */

/* t is the current task; st: what is known of it, or 0. */
static __always_inline u32 by_row(struct task_struct *t, struct urt_task *st)
{
	struct urt_by_key key = {};

	if (by == URT_BY_CONTEXT)
		return by_context(t);
	if (by == URT_BY_CPU) {
		key.number = bpf_get_smp_processor_id();
		return by_row_of(&key);
	}
	if (st && st->by_own)
		return st->by_own;
	if (by == URT_BY_CGROUP)
		key.number = bpf_get_current_cgroup_id();
	if (by == URT_BY_THREAD)
		key.number = pid_of(t);
	if (by == URT_BY_COMM || by == URT_BY_THREAD)
		bpf_probe_read_kernel(key.text, sizeof(t->comm), t->comm);
	if (by == URT_BY_CGROUP || !st)
		return by_row_of(&key);
	return st->by_own = by_row_of(&key);
}

static __always_inline void by_syscall(struct task_struct *t,
				       struct urt_task *st, u64 nr, u16 what)
{
	u32 row =
		by == URT_BY_CONTEXT && nr == BY_ENTER && what == URT_BY_SYSCALL
			? URT_BY_ROW_SHARED
			: by_row(t, st);

	by_add(row, what, nr, 1);
}

/* ns: how long it ran. */
static __always_inline void by_switch(struct task_struct *t,
				      struct urt_task *st, u64 at, u32 cause,
				      bool voluntary, u64 ns)
{
	u32 row = by == URT_BY_CONTEXT && at == BY_ENTER ? URT_BY_ROW_SHARED
							 : by_row(t, st);

	by_add(row, voluntary ? URT_BY_VOLUNTARY : URT_BY_INVOLUNTARY, cause,
	       1);
	/* Which context has run how long, switches in user space hide. */
	if (ns && by != URT_BY_CONTEXT)
		by_add(row, URT_BY_ON_CPU, 0, ns);
	st->by_row = row;
}

static __always_inline void by_submit(struct urt_task *st, u8 op, u64 user_data)
{
	struct task_struct *t = bpf_get_current_task_btf();

	by_add(by == URT_BY_CONTEXT ? by_request(t, user_data) : by_row(t, st),
	       URT_BY_SUBMITTED, op, 1);
}

#endif
