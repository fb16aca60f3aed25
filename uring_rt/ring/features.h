/* SPDX-License-Identifier: MIT */
/*
 * Features of the running kernel beyond the required minimum (Linux 5.19:
 * IORING_ASYNC_CANCEL_ANY; made for and tested on 6.1 and later). Probed, never
 * assumed from a version; each can be masked by URT_FEATURES=-name,-name in the
 * environment, so that every fallback can be tested on one machine.
 */
#ifndef URT_RING_FEATURES_H
#define URT_RING_FEATURES_H

#include "../base/base.h"

/* X(symbol, name, first kernel, what it gives) */
#define URT__FEATURES(X)                                                       \
	X(SUBMIT_ALL, "submit_all", "5.18",                                    \
	  "a bad request does not stop the batch behind it")                   \
	X(COOP_TASKRUN, "coop_taskrun", "5.19",                                \
	  "completions wait for the worker's next system call")                \
	X(NO_SQARRAY, "no_sqarray", "6.6", "one indirection less per request") \
	X(REG_RING, "reg_ring", "5.18",                                        \
	  "entering the ring needs no descriptor look-up")                     \
	X(NO_IOWAIT, "no_iowait", "6.15",                                      \
	  "an idle worker does not count as waiting for a disk")               \
	X(MSG_RING, "msg_ring", "6.13",                                        \
	  "any thread can wake a worker without an eventfd")                   \
	X(BUFFER_PIECES, "buffer_pieces", "6.12",                              \
	  "urt_recv_lent lends only as much memory as arrived")                \
	X(OPTIONAL_OPS, "optional_ops", "5.6",                                 \
	  "files, futexes, waitid and epoll without the thread pool (ops.h)")  \
	X(MEMBARRIER, "membarrier", "4.14",                                    \
	  "stuck workers' coroutines go to other threads; parking is cheap")   \
	X(GUARD_INSTALL, "guard_install", "6.13",                              \
	  "a million stack guards in one mapping")

enum urt__feature_bit {
#define X(symbol, name, kernel, what) URT__FEATURE_BIT_##symbol,
	URT__FEATURES(X)
#undef X
		URT__FEATURE_COUNT,
};

enum urt__feature {
#define X(symbol, name, kernel, what) \
	URT__F_##symbol = 1u << URT__FEATURE_BIT_##symbol,
	URT__FEATURES(X)
#undef X
};

#define URT__FEATURES_ALL ((1u << URT__FEATURE_COUNT) - 1)

struct urt__feature_info {
	const char *name, *kernel, *what;
};
extern const struct urt__feature_info urt__feature_info[URT__FEATURE_COUNT];

/*
 * All features less those that URT_FEATURES masks. -EINVAL: it names one that
 * does not exist, which *bad then points at.
 */
int urt__features_wanted(unsigned *features, const char **bad);

#endif
