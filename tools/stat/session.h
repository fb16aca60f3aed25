/* SPDX-License-Identifier: MIT */
/* The parts of one measurement of `urt stat` to each other; see stat_run.c. */
#ifndef URT_STAT_SESSION_H
#define URT_STAT_SESSION_H

#include "../lib/launch.h"
#include "aide.h"
#include "control.h"
#include "stat.h"
#include "../lib/proc.h"
#include <signal.h>
#include <sys/resource.h>

/* All that is read at one time. */
struct look {
	int64_t at_ns;
	struct counts counts;
	struct urt_open_times open; /* not in counts */
	struct user_stats user;
	struct perf_totals perf;
	uint64_t nvcsw, nivcsw;
	int64_t reads, writes;	    /* < 0: not known */
	int64_t user_ns, system_ns; /* CPU time; < 0: not known */
	uint64_t ops;		    /* that `urt load` counted */
};

struct session {
	const struct stat_options *o;
	struct stat_result *r;
	stat_tell *tell;
	void *arg;
	struct counter *counter; /* NULL: on a lower rung */
	struct perf_counts *perf;
	struct launch child; /* the command */
	pid_t child_pid;     /* 0: there is none */
	int status;	     /* of its end */
	struct rusage usage; /* of its whole life, from the fork on */
	uint64_t own_nvcsw, own_nivcsw; /* the part of that before its exec */
	bool child_ended;
	bool ending;	   /* we have sent it a signal to end */
	bool asked_to_end; /* a user or signal has; the next one kills it */
	struct aide *aide; /* NULL: none */
	struct user_pages *user_pages; /* of the processes that we start */
	struct user_page *page[STAT_PIDS_MAX];
	const char *why_no_page;      /* one of them is invalid */
	int pidfd[STAT_PIDS_MAX + 1]; /* the last: of the command */
	unsigned alive;		      /* of the processes given */
	uint64_t ended;		      /* bit n: pid[n] has */
	uint64_t polled;    /* bit n: pid[n] is a thread that has no pidfd */
	struct launch post; /* waits at its gate; pid 0: none */
	long intervals;	    /* printed so far */
	bool last_told;	    /* ... and no further one follows */
	int signal_fd;
	sigset_t old_mask;
	bool enabled, was_enabled; /* now; at any time */
	bool stop, *stopped;
	int control_fd; /* or -1: closed by the other side */
	struct control_line control_line;
	struct look base, last; /* of this window; of this interval */
	struct urt_thread *thread_base;
	struct proc_switches switches[STAT_PIDS_MAX]; /* without BPF */
	int64_t begin_ns, interval_at, delay_at, timeout_at, cost_at, look_at;
	/* --by context (contexts.c): the counted processes; the last number
	 * seen; whether one has contexts; their requests; when to look again;
	 * why the last one has none. */
	struct session_image *image;
	size_t images, image_next;
	uint32_t image_seen;
	bool by_found;
	struct stat_requests *by_requests;
	int64_t by_at;
	char by_key[72], by_why[256];
	bool costing;	     /* the kernel measures the cost now */
	int64_t cost_since;  /* ... since */
	uint64_t runs0, ns0; /* when we began */
};

#define SESSION_NEVER INT64_MAX

/* ---- windows, intervals, cost (run.c) ---- */

void session_enable(struct session *);
/* As of that look; NULL: now. */
void session_disable(struct session *, const struct look *);
void session_tell_interval(struct session *);
void session_cost_toggle(struct session *, int64_t now);

/* ---- waiting (wait.c) ---- */

void session_signals_open(struct session *);
void session_signals_close(struct session *);
/* Waits for the next event, and handles it. */
void session_wait(struct session *);
/* The command or all processes have ended, or we were told to stop. */
bool session_over(struct session *);
void session_reap(struct session *);

/* ---- looking at the counts (stat_look.c) ---- */

void session_look(struct session *, struct look *);
/* Only at /proc, so that no process that ends is missed. */
void session_look_at_proc(struct session *, struct look *);
/* Adds the counts between two looks. */
void session_add(struct session *, struct stat_result *,
		 const struct look *from, const struct look *to);

/* ---- the measured processes, and the rung (target.c) ---- */

/* For all: false: not possible; an error message was printed. */
bool session_find_processes(struct session *);
void session_choose_rung(struct session *);
bool session_prepare_command(struct session *);
void session_choose_perf(struct session *); /* the second rung */
bool session_attach(struct session *);
/* What was read of pid[i] in /proc is not another's, which has its number now. */
bool session_was_there(const struct session *, unsigned i);
/* Finds the counters pages of running processes. */
void session_find_pages(struct session *);
/* After that: whether all processes were there all the time. */
bool session_found_all(struct session *);
/* 0 or the exit code. */
int session_start_command(struct session *);
/* --post */
void session_after(struct session *);
void session_forget_post(struct session *); /* it has not run */

/* ---- --by context (contexts.c) ---- */

/* Looks into the processes whose contexts are not found yet, and adds up the
 * requests that have ended. */
void session_find_contexts(struct session *);

#endif
