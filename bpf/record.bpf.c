// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Recording in the kernel: each switch, wake-up and io_uring request of the
 * traced threads goes into a ring of its CPU (record.h). The traced threads are found
 * as in count.bpf.c. The traced program never waits for the recorder: if a ring is full,
 * events are dropped and counted.
 *
 * Events that happen while another thread is current may be missing, uncounted: that a
 * thread is woken, or is switched to. See "Times" in count.bpf.c.
 *
 * The kernel's own ring buffer takes and gives back a lock with interrupts off for each
 * event. The reader looks now and then: if events woke it, it would take the CPU from
 * the very program that it records.
 */
#ifdef URT_NO_BTF
#include "vmlinux_min.h"
#else
#include "vmlinux.h"
#endif
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "record.h"
#include "ns.bpf.h"
#include "request.bpf.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define TASK_DEAD    0x00000080
#define PF_IO_WORKER 0x00000010
#define PF_KTHREAD   0x00200000

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, u64); /* its nvcsw when last looked at */
} tasks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* the tool sets it */
	__type(key, u32);
	__type(value, struct urt_event);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct urt_event_ring);
} rings SEC(".maps");

/* Set before loading: the number of rings, minus 1; of places in a ring, as a power of
 * two; and of events that a ring takes. The rest is for writers that all find the last
 * place free. */
const volatile unsigned int ring_mask = 0, ring_bits = 0, ring_events = 0;

/* Of this CPU. */
struct here {
	u64 running;	/* the traced thread that runs; 0: not known */
	u32 interrupts; /* bits of IN_... */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct here);
} cpus SEC(".maps");

static __always_inline struct here *here(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&cpus, &zero);
}

int start_tgid = 0;
int attach_tgid = 0;
bool attach_all = false;
unsigned long long dropped = 0;

static __always_inline u64 *task_find(struct task_struct *t)
{
	if (!t->bpf_storage)
		return 0;
	return bpf_task_storage_get(&tasks, t, 0, 0);
}

/* Whether the thread is traced; a thread of io_uring is if its process is. */
static __always_inline bool traced(struct task_struct *t)
{
	if (t->flags & PF_IO_WORKER)
		return task_find(t->group_leader) != 0;
	return task_find(t) != 0;
}

/* Whether the thread that runs here is traced. Its storage is looked for once while it
 * runs. */
static __always_inline bool current_traced(struct task_struct *t)
{
	struct here *h = here();

	if (!h)
		return false;
	if (h->running == (u64)t)
		return true;
	if (!traced(t))
		return false;
	h->running = (u64)t;
	return true;
}

/* Releases the event: all else was written before. */
static __always_inline void publish(struct urt_event *e, u64 ns)
{
#if defined(__TARGET_ARCH_x86)
	asm volatile("" ::: "memory");
	*(volatile u64 *)&e->ns = ns;
#else
	__sync_lock_test_and_set(&e->ns, ns);
#endif
}

/* A new event about a thread; NULL: there is no room. *ns: its time. */
static __always_inline struct urt_event *event_new(struct task_struct *of,
						   u32 type, u64 *ns)
{
	u32 i = bpf_get_smp_processor_id() & ring_mask, at;
	struct urt_event_ring *r = bpf_map_lookup_elem(&rings, &i);
	struct urt_event *e;

	if (!r)
		return 0;
	/* A program that was held up between the two reads may see a head before the
	 * tail: that is not a full ring. */
	if ((long)(*(volatile u64 *)&r->head - *(volatile u64 *)&r->tail) >=
	    (long)ring_events) {
		__sync_fetch_and_add(&dropped, 1);
		return 0;
	}
	at = __sync_fetch_and_add(&r->head, 1) & ((1 << ring_bits) - 1);
	at |= i << ring_bits;
	e = bpf_map_lookup_elem(&events, &at);
	if (!e)
		return 0;
	*ns = bpf_ktime_get_boot_ns();
	e->type = type;
	e->pid = tgid_of(of);
	e->tid = pid_of(of);
	return e;
}

/* An event of the scheduler. */
static __always_inline void emit(struct task_struct *of,
				 struct task_struct *named, u32 type, u16 op,
				 u32 arg)
{
	u64 ns;
	struct urt_event *e = event_new(of, type, &ns);

	if (!e)
		return;
	e->op = op;
	e->arg = arg;
	__builtin_memcpy(e->comm, named->comm, sizeof(e->comm));
	publish(e, ns);
}

static __always_inline void task_add(struct task_struct *t, bool begins)
{
	u64 nvcsw = t->nvcsw;

	if (task_find(t))
		return;
	if (!bpf_task_storage_get(&tasks, t, &nvcsw,
				  BPF_LOCAL_STORAGE_GET_F_CREATE))
		__sync_fetch_and_add(&dropped, 1);
	emit(t, t, URT_EV_THREAD, 0, begins);
}

#if defined(__TARGET_ARCH_x86)
#define SYSCALL_OF(regs) ((regs)->orig_ax)
#define IS_32_BIT(t)	 ((t)->thread_info.status & 2) /* TS_COMPAT */
#else
#define SYSCALL_OF(regs) ((regs)->syscallno)
#define IS_32_BIT(t)	 ((t)->thread_info.flags & (1 << 22)) /* TIF_32BIT */
#endif

static __always_inline u32 where(struct task_struct *t)
{
	struct pt_regs *regs;
	int nr;

	if (t->flags & (PF_IO_WORKER | PF_KTHREAD))
		return URT_EV_NO_SYSCALL;
	regs = (struct pt_regs *)bpf_task_pt_regs(t);
	nr = (int)SYSCALL_OF(regs);
	return nr < 0 ? URT_EV_NO_SYSCALL : nr;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(rec_switch, bool preempt, struct task_struct *prev,
	     struct task_struct *next)
{
	struct here *h = here();

	if (h)
		h->running = 0;
	if (traced(prev)) {
		u64 how = prev->__state & TASK_DEAD ? URT_EV_DEAD : 0;
		u64 *nvcsw = task_find(prev);

		if (nvcsw ? *nvcsw != prev->nvcsw : !preempt && prev->__state)
			how |= URT_EV_VOLUNTARY;
		if (nvcsw)
			*nvcsw = prev->nvcsw;
		if (prev->flags & (PF_IO_WORKER | PF_KTHREAD))
			how |= URT_EV_KERNEL;
		else if (IS_32_BIT(prev))
			how |= URT_EV_32_BIT;
		emit(prev, prev, URT_EV_OUT, how, where(prev));
	}
	if (traced(next))
		emit(next, next, URT_EV_IN, 0, bpf_get_smp_processor_id());
	return 0;
}

/*
 * The waker is the thread that runs on this CPU, except in interrupts: an expired
 * timer or a device has nothing to do with the thread that it interrupts. Soft
 * interrupts as such are not excluded, because one also delivers the packets that the
 * current thread sends. The kernel's own count of interrupts cannot be read on kernels
 * without KALLSYMS_ALL, so these programs track timers and devices themselves.
 */
enum { IN_HRTIMER = 1, IN_TIMER = 2, IN_DEVICE = 4 };

#define INTERRUPT(tracepoint, bit)              \
	SEC("tp_btf/" #tracepoint "_entry")     \
	int rec_##tracepoint##_entry(void *ctx) \
	{                                       \
		struct here *h = here();        \
                                                \
		if (h)                          \
			h->interrupts |= bit;   \
		return 0;                       \
	}                                       \
	SEC("tp_btf/" #tracepoint "_exit")      \
	int rec_##tracepoint##_exit(void *ctx)  \
	{                                       \
		struct here *h = here();        \
                                                \
		if (h)                          \
			h->interrupts &= ~bit;  \
		return 0;                       \
	}

INTERRUPT(hrtimer_expire, IN_HRTIMER)
INTERRUPT(timer_expire, IN_TIMER)
INTERRUPT(irq_handler, IN_DEVICE)

SEC("tp_btf/sched_waking")
int BPF_PROG(rec_waking, struct task_struct *t)
{
	struct task_struct *by = bpf_get_current_task_btf();
	struct here *h;

	if (!traced(t))
		return 0;
	h = here();
	if (h && h->interrupts)
		emit(t, by, URT_EV_WAKE,
		     h->interrupts & (IN_HRTIMER | IN_TIMER), 0);
	else
		emit(t, by, URT_EV_WAKE, 0, pid_of(by));
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(rec_fork, struct task_struct *parent, struct task_struct *child)
{
	if (attach_all || task_find(parent) ||
	    (attach_tgid && has_tgid(parent, attach_tgid)))
		task_add(child, true);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(rec_exec, struct task_struct *p, int old_pid,
	     struct linux_binprm *bprm)
{
	if (start_tgid && has_tgid(p, start_tgid)) {
		start_tgid = 0;
		task_add(p, false);
		emit(p, p, URT_EV_IN, 0, bpf_get_smp_processor_id());
	} else if (task_find(p)) {
		emit(p, p, URT_EV_THREAD, 0, 0);
	}
	return 0;
}

SEC("iter/task")
int rec_find(struct bpf_iter__task *ctx)
{
	struct task_struct *t = ctx->task;

	if (t && !(t->flags & PF_IO_WORKER) &&
	    (attach_all || has_tgid(t, attach_tgid)))
		task_add(t, false);
	return 0;
}

static __always_inline void request_event(struct task_struct *t, void *req,
					  u32 type, u16 op, u64 data)
{
	struct urt_event *e;
	u64 ns;

	e = event_new(t, type, &ns);
	if (!e)
		return;
	e->op = op;
	e->a = (u64)req;
	e->b = data;
	publish(e, ns);
}

static __always_inline void request(void *req, u32 type)
{
	struct task_struct *t = bpf_get_current_task_btf();

	if (current_traced(t))
		request_event(t, req, type, 0, 0);
}

static __always_inline u64 user_data_of(struct io_kiocb___urt *r)
{
	return bpf_core_field_exists(r->cqe.user_data)
		       ? BPF_CORE_READ(r, cqe.user_data)
		       : 0;
}

static __always_inline void submitted(struct io_kiocb___urt *r)
{
	struct task_struct *t = bpf_get_current_task_btf();

	if (current_traced(t))
		request_event(t, r, URT_EV_SUBMIT, BPF_CORE_READ(r, opcode),
			      user_data_of(r));
}

/* The kernel knows the type of r: it is read without a call. */
static __always_inline void submitted_typed(struct io_kiocb___urt *r)
{
	struct task_struct *t = bpf_get_current_task_btf();

	if (current_traced(t))
		request_event(t, r, URT_EV_SUBMIT, r->opcode,
			      bpf_core_field_exists(r->cqe.user_data)
				      ? r->cqe.user_data
				      : 0);
}

SEC("tp_btf/io_uring_submit_req")
int BPF_PROG(rec_submit_req, struct io_kiocb___urt *req)
{
	submitted_typed(req);
	return 0;
}

SEC("tp/io_uring/io_uring_submit_req")
int rec_submit_req_event(struct trace_event_raw_io_uring_submit_req___urt *e)
{
	submitted(e->req);
	return 0;
}

SEC("tp_btf/io_uring_submit_sqe")
int BPF_PROG(rec_submit_sqe, void *req)
{
	submitted(req);
	return 0;
}

/* A request that the kernel refuses, which the others do not announce. */
static __always_inline void refused(void *req, u8 op)
{
	struct task_struct *t = bpf_get_current_task_btf();

	if (current_traced(t))
		request_event(t, req, URT_EV_SUBMIT, op,
			      user_data_of((struct io_kiocb___urt *)req));
}

SEC("tp_btf/io_uring_req_failed")
int BPF_PROG(rec_refused, struct io_uring_sqe___urt *sqe, void *req)
{
	refused(req, BPF_CORE_READ(sqe, opcode));
	return 0;
}

SEC("tp/io_uring/io_uring_req_failed")
int rec_refused_event(struct trace_event_raw_io_uring_req_failed___urt *e)
{
	refused(e->req, e->opcode);
	return 0;
}

SEC("tp_btf/io_uring_queue_async_work")
int BPF_PROG(rec_punt, void *req)
{
	request(req, URT_EV_PUNT);
	return 0;
}

SEC("tp/io_uring/io_uring_queue_async_work")
int rec_punt_event(struct trace_event_raw_io_uring_queue_async_work___urt *e)
{
	request(e->req, URT_EV_PUNT);
	return 0;
}

/* req is NULL if a multishot request continues, or for a message from another
 * ring. */
SEC("tp_btf/io_uring_complete")
int BPF_PROG(rec_complete, void *ctx_, void *req)
{
	request(req, URT_EV_COMPLETE);
	return 0;
}

SEC("tp/io_uring/io_uring_complete")
int rec_complete_event(struct trace_event_raw_io_uring_complete___urt *e)
{
	request(e->req, URT_EV_COMPLETE);
	return 0;
}

static __always_inline void overflowed(u64 user_data)
{
	struct task_struct *t = bpf_get_current_task_btf();

	if (current_traced(t))
		request_event(t, 0, URT_EV_OVERFLOW, 0, user_data);
}

SEC("tp_btf/io_uring_cqe_overflow")
int BPF_PROG(rec_overflow, void *ctx_, u64 user_data)
{
	overflowed(user_data);
	return 0;
}

SEC("tp/io_uring/io_uring_cqe_overflow")
int rec_overflow_event(struct trace_event_raw_io_uring_cqe_overflow___urt *e)
{
	overflowed(e->user_data);
	return 0;
}
