/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* An event, shared by the BPF programs that record and the tool. */
#ifndef URT_RECORD_H
#define URT_RECORD_H

enum urt_event_type {
	URT_EV_THREAD,	 /* it is traced from now on, or has a new name. a: 1 if
			  * it begins: its number may have been another's */
	URT_EV_OUT,	 /* it leaves the CPU. a: its system call or
			  * URT_EV_NO_SYSCALL; b: how, see below */
	URT_EV_IN,	 /* it runs */
	URT_EV_WAKE,	 /* it is woken. a: the waker's PID; 0: by a timer if b
			  * is not 0, else by another interrupt */
	URT_EV_SUBMIT,	 /* a: the request; b: its user_data */
	URT_EV_PUNT,	 /* a: the request goes to a worker thread */
	URT_EV_COMPLETE, /* a: the request; 0: one that continues */
};

#define URT_EV_NO_SYSCALL 513

/* How a thread left the CPU, as bits. */
#define URT_EV_VOLUNTARY 1
#define URT_EV_DEAD	 2
#define URT_EV_32_BIT	 4 /* its system call is of the 32-bit table */
#define URT_EV_KERNEL	 8 /* a kernel thread: it is in no system call */

struct urt_event {
	__u64 ns; /* CLOCK_BOOTTIME, as in Perfetto */
	__u16 type;
	__u16 op; /* with URT_EV_SUBMIT, its opcode */
	__u32 cpu;
	__u32 pid, tid; /* the thread that the event is about */
	__u64 a, b;
	char comm[16]; /* its name; with URT_EV_WAKE, the waker's */
};

_Static_assert(sizeof(struct urt_event) == 56, "shared with BPF");

#endif
