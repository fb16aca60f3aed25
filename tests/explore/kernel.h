/* SPDX-License-Identifier: MIT */
/* The model of the system; kernel.c and kring.c. */
#ifndef EXPLORE_KERNEL_H
#define EXPLORE_KERNEL_H

#include "explore_in.h"
#include <sys/types.h>

extern size_t
	k_stack_stride; /* of the coroutines' stacks, before they are made */
extern bool k_no_membarrier;
extern int64_t k_clock_step_ns; /* at each look at the clock */

/* The time so long from now; INT64_MAX: never. */
int64_t k_after(int64_t s, int64_t ns);

/* Maps a ring's memory, if fd is a ring. */
bool k_ring_mmap(void **out, size_t size, int fd, off_t offset);

/* A thread body: becomes the next thread that the runtime makes. _no_more:
 * threads that still wait to become one end. */
void k_new_thread(void);
void k_no_more_threads(void);

/* kprocess.c: sends a signal to the thread of that number. */
long k_signal(long tid, const void *pc);
void k_take_signals(void); /* from now on, the thread takes signals */

/* Descriptors of the model are 3 to 3 + K_FILES - 1: each a stream of bytes. */
#define K_FILES 4
/* Bytes come, and complete reads that wait. From any thread. */
void k_bytes_come(int fd, unsigned n);
/* The thread sleeps. */
void k_sleep(int64_t ns);
void k_set_bytes(int fd, unsigned n); /* in a setup */
/* In a setup: the first cancellation of a read there gets EALREADY. */
void k_set_stubborn(int fd);
/* The next n calls to enter a ring find no room in the kernel. */
void k_refuse(unsigned n);
/* A thread body: the first timeout in a ring passes, at any moment. */
void k_timeout_passes(void);
/* Buffers that the kernel has got to lend, by the group's tail. */
unsigned k_buffers_given(void);
/* A thread body: uses the number for another file as soon as it is closed. _files_of:
 * how many files have had the number. */
void k_reuse(int fd, unsigned bytes);
unsigned k_files_of(int fd);
/* How many operations are in the kernel; closed: the number was closed. */
unsigned k_in_kernel(int fd);
bool k_is_closed(int fd);

/* How often the monitor has polled; waiting until it has polled so often, which orders
 * nothing. */
unsigned k_polls(void);
void k_await_polls(unsigned n);
/* Whether some worker that counts as asleep has requests that the kernel has not taken,
 * and the monitor sleeps. */
bool k_none_looks(void);

/* Backtraces that were taken. */
extern unsigned k_backtraces;

#endif
