/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* An event, shared by the BPF programs that record and the tool. */
#ifndef URT_RECORD_H
#define URT_RECORD_H

enum urt_event_type {
	URT_EV_THREAD, /* it is traced from now on, or has a new name. arg: 1 if
			  * it begins: its number may have been another's */
	URT_EV_OUT,    /* it leaves the CPU. arg: its system call or
			  * URT_EV_NO_SYSCALL; op: how, see below */
	URT_EV_IN,     /* it runs. arg: the CPU */
	URT_EV_WAKE,   /* it is woken. arg: the waker's PID; 0: by a timer if op
			  * is not 0, else by another interrupt */
	URT_EV_SUBMIT, /* a: the request; b: its user_data; op: its opcode */
	URT_EV_PUNT,   /* a: the request goes to a worker thread */
	URT_EV_COMPLETE, /* a: the request; 0: one that continues */
	URT_EV_OVERFLOW, /* a completion that found the queue full. a: 0; b: the
			  * user_data of its request */
};

#define URT_EV_NO_SYSCALL 513

/* How a thread left the CPU, as bits. */
#define URT_EV_VOLUNTARY 1
#define URT_EV_DEAD	 2
#define URT_EV_32_BIT	 4 /* its system call is of the 32-bit table */
#define URT_EV_KERNEL	 8 /* a kernel thread: it is in no system call */

struct urt_event {
	__u64 ns; /* CLOCK_BOOTTIME, as in Perfetto; 0: see below */
	__u16 type, op;
	__u32 arg;
	__u32 pid, tid; /* the thread that the event is about */
	union {
		char comm[16]; /* up to URT_EV_WAKE: its name, or the waker's */
		struct {
			__u64 a, b; /* of a request */
		};
	};
};

_Static_assert(sizeof(struct urt_event) == 40, "shared with BPF");

/*
 * The events lie in rings of equal size, a power of two; CPU n writes to ring n %
 * the number of rings. Several writers may have one ring: programs that interrupt
 * others, and CPUs with the same ring.
 *
 * A writer takes the place `head`, adds 1 to it, then takes the time, then fills the
 * place, ns last: so a place whose ns is 0 is not yet filled. The reader makes ns 0
 * again before it moves `tail` on. A writer that finds a ring full drops the event. Since
 * it takes its place before the time, an event from before T is in a place before the
 * head that is read after T.
 */
struct urt_event_ring {
	__u64 head; /* of all writers */
	__u64 unused[7];
	__u64 tail; /* the reader's */
	__u64 unused_too[7];
};

_Static_assert(sizeof(struct urt_event_ring) == 128, "two cache lines");

#endif
