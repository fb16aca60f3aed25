/* SPDX-License-Identifier: MIT */
/*
 * The messages that the benchmarks of waiting send to a server
 * (service/messages.h), and its answers: the same 64 bytes, on a connection of
 * TCP, one at a time.
 */
#ifndef URT_MESSAGE_H
#define URT_MESSAGE_H

#include <stdint.h>

#define MESSAGE_TIMES 7

struct message {
	uint32_t ask; /* enum message_ask */
	uint32_t n;
	int64_t value[MESSAGE_TIMES]; /* answers, in ns unless another unit is
				    named */
};
_Static_assert(sizeof(struct message) == 64, "also in the Go server");

enum message_ask {
	/* The message itself, after a busy loop of n ns of CPU time. */
	MESSAGE_ECHO,
	/* 1000 reads of 4 KiB of a cached file in a row: their time. */
	MESSAGE_READS,
	/* n coroutines sleep 100 ms in libc while one sleeps 1 ms in the
	 * runtime: the time of that one, and the time until all had ended. */
	MESSAGE_BLOCKED,
	/* n new coroutines compute for 30 ms each while one sleeps 1 ms, 20
	 * times: the longest of these sleeps. */
	MESSAGE_NEW,
	/* n coroutines touch all pages of the file that $URT_BENCH_FILE names,
	 * mapped and cold, while one sleeps 1 ms at a time: the sleeps' 50th
	 * and 99th percentile and the longest, then pages touched per
	 * second. */
	MESSAGE_FAULTS,
	/* From now on, n coroutines block in libc for 10 ms again and again: in
	 * nanosleep, poll or, in C, sem_timedwait. Sent again with n = 0: the
	 * number of these calls that returned early (value[0]), and of all
	 * (value[1]). */
	MESSAGE_BLOCKERS,
	MESSAGE_ASKS
};

#endif
