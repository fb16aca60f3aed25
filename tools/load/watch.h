/* SPDX-License-Identifier: MIT */
/* The generators of one `urt load`, and the watch over them. */
#ifndef URT_LOAD_WATCH_H
#define URT_LOAD_WATCH_H

#include "report.h"
#include <sys/types.h>

#define THREADS_MAX 64

/* The options of `urt load`, and its generators. */
struct run {
	struct load_result result;
	double seconds, wait_s, timeout_s;
	long rate; /* 0: a closed loop */
	bool json;
	const char *ops_file, *hdr; /* NULL: none */
	int ops_dir;		    /* of ops_file */
	const char *ops_name;	    /* in it */
	struct load_shared *shared[THREADS_MAX];
	pid_t pid[THREADS_MAX]; /* 0: has ended */
	int64_t progress;	/* connections and answers seen so far */
	int64_t progress_ns;	/* when that was more than before */
	int64_t ops_ns;		/* when the file was written */
};

/* Starts the generators, measures, and prints the result. The exit code. */
int load_watch(struct run *);

#endif
