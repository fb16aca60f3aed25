/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The layout of the maps, shared by the BPF programs that count and the tool. Both
 * sides include this, so it uses plain types only: __u64 and friends come from
 * vmlinux.h in the BPF programs and from linux/types.h in the tool.
 */
#ifndef URT_COUNT_H
#define URT_COUNT_H

/* Thread classes. Threads that io_uring makes for a process belong to the process's
 * thread group; they are part of its cost, but are shown separately. */
enum urt_class {
	URT_CLASS_APP,
	URT_CLASS_IOU_WRK,
	URT_CLASS_IOU_SQP,
	URT_CLASS_KERNEL, /* other kernel threads: only if all processes count */
	URT_CLASSES,
};

/* Whether the threads and processes that counted ones start count, too. */
enum urt_count_started {
	URT_COUNT_STARTED,
	URT_COUNT_NO_PROCESSES,
	URT_COUNT_NO_THREADS, /* nor processes */
};

/* The cause of a switch: what the thread was executing. */
enum urt_cause {
	URT_CAUSE_SYSCALL,    /* it waited in a system call */
	URT_CAUSE_FAULT,      /* ... for a page */
	URT_CAUSE_PREEMPTION, /* it could have continued: involuntary */
	URT_CAUSE_EXIT,	      /* its last switch */
	URT_CAUSE_OTHER,      /* stopped, or waiting in a kernel thread */
	URT_CAUSES,
};

#define URT_SYSCALLS	  512 /* numbers below are counted by name */
#define URT_SYSCALL_OTHER 512 /* all other system calls */
#define URT_NO_SYSCALL	  513 /* switches outside system calls */
#define URT_SYSCALL_SLOTS 514
#define URT_SYSCALLS_32	  512 /* of the 32-bit table: numbers modulo this */

/* io_uring opcodes, then all that no kernel has. With 128, clang would test a sign, in
 * which the verifier sees no bound. */
#define URT_URING_OP_OTHER 100
#define URT_URING_OPS	   101

#define URT_TIME_LOGS 44 /* slot n: times of [2^n, 2^(n+1)) ns */

/*
 * One CPU's counts for one class. Each CPU adds to its own copy, with preemption
 * off, so plain additions lose nothing.
 */
struct urt_counts {
	__u64 voluntary; /* switches, by the kernel's own rule */
	__u64 involuntary;
	__u64 nvcsw;  /* growth of the kernel's counters of these threads, */
	__u64 nivcsw; /* ... as seen at each of their switches */
	__u64 cause[URT_CAUSES];
	__u64 submitted[URT_URING_OPS]; /* io_uring requests by opcode, */
	__u64 refused;			/* ... with those not begun */
	__u64 punted[URT_URING_OPS];	/* ... handed to a worker thread */
	__u64 polled[URT_URING_OPS];	/* ... that waited for their file */
	__u64 deferred[URT_URING_OPS];	/* ... of either kind, counted once */
	__u64 completed;		/* completions, also on overflow */
	__u64 tasks;			/* threads seen */
	__u64 ended;			/* ... making their last switch */
	__u64 on_cpu[URT_TIME_LOGS];	/* bursts; only if times are wanted */
	__u64 off_cpu[URT_TIME_LOGS];	/* from a switch to the next run */
	__u64 on_cpu_ns;		/* sums of the two */
	__u64 off_cpu_ns;
};

/* Times that have not ended yet. */
struct urt_open_times {
	__u64 on_cpu[URT_TIME_LOGS], off_cpu[URT_TIME_LOGS];
	__u64 on_cpu_ns, off_cpu_ns;
};

/* One CPU's counts of system calls, of application threads. */
struct urt_calls {
	__u64 made[URT_SYSCALL_SLOTS];	/* by number */
	__u64 made_32[URT_SYSCALLS_32]; /* by number in the 32-bit table */
	__u64 switches_in[URT_SYSCALL_SLOTS]; /* switches while in it */
	/* No count: the traced task that runs here, once it has made a call; or 0. */
	__u64 running;
};

/* The state of one traced thread; it exists as long as the thread. */
struct urt_task {
	__u64 nvcsw, nivcsw; /* the kernel's counters when last looked at */
	__u64 in_ns, out_ns; /* last switched in, out; 0: not known */
	__u32 thread;	     /* its slot of struct urt_thread; 0: none */
	__u16 fresh;	     /* found, not born: skip its first growth */
	__u16 command;	     /* the tool was given its process */
	__u64 enter_ns;	     /* its system call began then; 0: none */
	__u32 enter_nr;	     /* the number of that call */
	__u32 by_row;	     /* the row of its last switch */
	__u32 entry;	     /* its number among all that were made; 0: it is
				being made */
	__u32 in_ktime; /* in_ns is bpf_ktime_get_ns's, whatever others are */
};

/* ---- how long system calls take (latency.bpf.h) ---- */

/* One CPU's counts and times of one system call; calls that have returned. */
struct urt_latency {
	__u64 calls, errors;
	__u64 ns, max_ns;
	__u64 log[URT_TIME_LOGS]; /* slot n: [2^n, 2^(n+1)) ns */
};

struct urt_errno {
	__u16 nr;    /* system call */
	__u16 error; /* errno */
};

#define URT_ERRNOS 4096

/* ---- the same events by rows (by.bpf.h) ---- */

enum urt_by {
	URT_BY_NOTHING,
	URT_BY_THREAD,
	URT_BY_COMM,
	URT_BY_CGROUP,
	URT_BY_CPU,
	URT_BY_CONTEXT,
};

/* Rows that have no key; the others are numbered from URT_BY_FIRST_ROW. */
enum urt_by_row {
	URT_BY_ROW_OTHER,  /* keys that found no room for a row of their own */
	URT_BY_ROW_NONE,   /* threads without a context */
	URT_BY_ROW_SHARED, /* calls that serve many requests at once */
	URT_BY_ROW_KERNEL, /* kernel threads */
	URT_BY_FIRST_ROW,
};

#define URT_BY_ROWS	 4096
#define URT_BY_COUNTS	 65536
#define URT_BY_TEXT	 64
#define URT_BY_PROCESSES 16384
#define URT_BY_STARTED	 4096 /* a power of two */

struct urt_by_key {
	char text[URT_BY_TEXT]; /* a value, or a thread's name */
	__u64 number;		/* a PID, a cgroup's id, a CPU */
};

enum urt_by_what {
	URT_BY_VOLUNTARY,   /* switches, by enum urt_cause */
	URT_BY_INVOLUNTARY, /* likewise */
	URT_BY_SYSCALL,	    /* by number */
	URT_BY_SYSCALL_32,
	URT_BY_SUBMITTED, /* io_uring requests by opcode */
	URT_BY_ON_CPU,	  /* ns */
	URT_BY_OFF_CPU,	  /* ns, from a switch of the row to the next run */
	URT_BY_RUN_DELAY, /* ns of these in which the thread could have run */
	URT_BY_FAULT,	  /* page faults in user mode */
};

struct urt_by_count {
	__u32 row;
	__u16 what; /* enum urt_by_what */
	__u16 nr;
};

#define URT_BY_HEAD \
	64 /* bytes of a record that are read at once; its ids, then */
#define URT_BY_IDS   24 /* ... from `valid` on, what tells its row */
#define URT_BY_HEADS 4
#define URT_BY_SUMS  8
#define URT_BY_PAGES 4
/* Each of these has a place of its own there: they occur at each switch. */
#define URT_BY_ALONE (URT_BY_RUN_DELAY - URT_BY_ON_CPU + 1)

/* Where a process shows the contexts of its threads. */
struct urt_by_where {
	__s64 offset;  /* of the context pointer, from the thread pointer; */
	__u64 module;  /* ... if not 0: in this module's thread-local block */
	__u32 key;     /* the number of the attribute to count by */
	__u32 runtime; /* 1: on uring_rt, and the rest is set; outside.h */
	__u16 op_coro, block_op, block_cancel_op, block_context;
	__u32 number; /* of the process's image, by which this holds */
	__u32 unused;
};

/* ---- the same events by requests (span.bpf.h) ---- */

/* What is counted of each request. */
enum urt_of_span {
	URT_OF_SWITCHES,
	URT_OF_SYSCALLS,
	URT_OF_SUBMITTED, /* io_uring requests */
	URT_OF_FAULTS,
	URT_OF_TIMES, /* ns, as in enum urt_by_what */
	URT_OF_OFF_CPU = URT_OF_TIMES,
	URT_OF_RUN_DELAY,
	URT_OF_SPAN,
};

#define URT_SPAN_WAYS	  4 /* a power of two */
#define URT_SPAN_SET_BITS 15
#define URT_SPANS_ENDED	  (4 << 20) /* bytes */

/* A request: one span of a trace, in one row. */
struct urt_span {
	__u64 id[3]; /* trace and span */
	__u32 row;   /* 0: this place is free */
	__u32 used;  /* span_clock at its last event */
	__u64 n[URT_OF_SPAN];
};

/* What a CPU has counted of the request that it counted last, but not yet added to
 * span_sets; a cache line of its own, or two. */
struct urt_span_open {
	struct urt_span span;
	__u64 unused[6];
};

/* The set of a request is given by the upper bits, its mark in `left` by the lower. */
static inline __u64 urt_span_hash(const __u64 *id, __u32 row)
{
	return (id[0] * 0xff51afd7ed558ccdULL ^ id[1] * 0xc4ceb9fe1a85ec53ULL ^
		id[2] ^ (__u64)row << 32) *
	       0x9e3779b97f4a7c15ULL;
}

static inline _Bool urt_span_is(const struct urt_span *s, const __u64 *id,
				__u32 row)
{
	return s->id[2] == id[2] && s->id[1] == id[1] && s->id[0] == id[0] &&
	       s->row == row;
}

/* The events of s; times are none. */
static inline __u64 urt_span_events(const struct urt_span *s)
{
	__u64 n = 0;

	for (int i = 0; i < URT_OF_TIMES; i++)
		n += s->n[i];
	return n;
}

/* What is lost with s: its events, and each time. */
static inline __u64 urt_span_lost(const struct urt_span *s)
{
	__u64 n = urt_span_events(s);

	for (int i = URT_OF_TIMES; i < URT_OF_SPAN; i++)
		n += s->n[i] != 0;
	return n;
}

/* The requests of one hash. `left` keeps the hashes of some that made room. */
struct urt_span_set {
	__u32 lock, unused;
	__u32 left[URT_SPAN_WAYS];
	struct urt_span way[URT_SPAN_WAYS];
};

/* A page of user memory: where the kernel has it, for as long as the address space has
 * this number and tlb_gen (user.bpf.h). */
struct urt_by_page {
	__u64 number; /* address / 4096 */
	__u64 place;
	__u64 space, gen; /* space 0: not known */
};

/* A thread's cache of rows and counts. `page`, `head` and `sum` are indexed by a hash;
 * their sizes are powers of two. */
struct urt_by_task {
	struct urt_task task; /* first: with rows, this is the thread's state */
	__u32 claimed;	      /* 1: another adds the thread, or has added it */
	__u32 own;	  /* by anything but context: its row; 0: not known */
	__u32 generation; /* by_generation when `slot` and `where` were set */
	__u64 number;	  /* by CPU or cgroup: the one that `own` belongs to */
	__u32 looked;	  /* 1: run_delay is set */
	__u64 run_delay;  /* the kernel's, at the last look, ns */
	__u32 call_row;	  /* by context: that of its last system call; 0: not
			     known */
	__u32 call_nr;	  /* ... whose number this is */
	__u64 tp, slot;	  /* thread pointer; where its context's pointer is */
	struct urt_by_where where; /* of its process */
	struct urt_by_page page[URT_BY_PAGES];
	__u64 id[3], out_id[3]; /* trace and span of its last record, and of
				      its last switch */
	struct {
		__u32 row;
		__u64 word[(URT_BY_HEAD - URT_BY_IDS) / 8];
	} head[URT_BY_HEADS]; /* a record with these bytes has this row */
	struct {
		struct urt_by_count key;
		__u32 at; /* in by_sums; 0: not known */
	} sum[URT_BY_SUMS + URT_BY_ALONE];
};

enum urt_thread_state {
	URT_THREAD_FREE,  /* may be taken */
	URT_THREAD_TAKEN, /* written by BPF */
	URT_THREAD_ENDED, /* made its last switch; freed by the tool */
};

/*
 * Counts of one thread, if counts by thread are wanted. All threads that found no
 * slot share slot 0. Only the thread itself adds, while it runs.
 */
struct urt_thread {
	__u32 state; /* enum urt_thread_state */
	__u32 class; /* enum urt_class */
	__u32 pid, tgid;
	char comm[16];
	__u64 cgroup; /* the id of its cgroup at its last switch */
	__u64 born;   /* its process was, ns: numbers are used again */
	__u64 voluntary, involuntary;
	__u64 syscalls;
	__u64 submitted, completed; /* io_uring requests */
	__u64 on_cpu_ns;	    /* since it was first seen */
	__u64 in_ns;		    /* runs since then; 0: does not run */
};

/* Both sides must see the same layout. */
_Static_assert(sizeof(struct urt_counts) ==
		       8 * (10 + URT_CAUSES + 4 * URT_URING_OPS +
			    2 * URT_TIME_LOGS),
	       "shared with BPF");
_Static_assert(sizeof(struct urt_open_times) == 8 * (2 + 2 * URT_TIME_LOGS),
	       "shared with BPF");
_Static_assert(sizeof(struct urt_calls) ==
		       8 * (2 * URT_SYSCALL_SLOTS + URT_SYSCALLS_32 + 1),
	       "shared with BPF");
_Static_assert(sizeof(struct urt_latency) == 8 * (4 + URT_TIME_LOGS),
	       "shared with BPF");
_Static_assert(sizeof(struct urt_errno) == 4, "shared with BPF");
_Static_assert(sizeof(struct urt_by_key) == URT_BY_TEXT + 8, "shared with BPF");
_Static_assert(sizeof(struct urt_by_count) == 8, "shared with BPF");
_Static_assert(sizeof(struct urt_by_where) == 40, "shared with BPF");
_Static_assert(sizeof(struct urt_span) == 8 * (4 + URT_OF_SPAN),
	       "shared with BPF");
_Static_assert(sizeof(struct urt_span_open) == 128, "shared with BPF");
_Static_assert(sizeof(struct urt_span_set) ==
		       8 + URT_SPAN_WAYS * (4 + sizeof(struct urt_span)),
	       "shared with BPF");
_Static_assert(sizeof(struct urt_thread) == 104, "shared with BPF");

#endif
