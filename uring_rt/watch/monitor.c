// SPDX-License-Identifier: MIT
/*
 * The monitor: a thread that watches over the workers (Go's sysmon).
 *
 * It never runs coroutines. It looks at the workers (look.c) and pauses
 * (pause.c) in turn. A pause ends when its time is over, when the bell rings,
 * when a ring without a processor has completions, or when the kernel reports
 * that a thread went to sleep (told.c). Between two looks, the monitor also
 * keeps spare threads (spares.c), prints the scheduler trace, and makes the
 * report on SIGQUIT (report.c).
 *
 * It must not wait for anything that others can hold for long, since no other
 * thread serves the rings of blocked threads. Its helper (helper.c) does the
 * work that takes malloc's locks or the lock of the address space.
 */
#define _GNU_SOURCE
#include "../base/sys.h"
#include "watch.h"
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

static pthread_t thread;
static int bell = -1; /* eventfd; rung to end a pause */
static atomic_bool stopping, quitting;

void urt__monitor_look(void)
{
	uint64_t one = 1;

	if (write(bell, &one, sizeof(one)) < 0)
		return; /* full: it rings already */
}

void urt__monitor_quit(void)
{
	atomic_store(&quitting, true);
	urt__monitor_look();
}

/* Until the bell rings, a detached ring has completions, or ns have passed.
 * Handles the kernel's reports meanwhile. */
static void pause_for(int64_t ns)
{
	int64_t until_ns = ns == INT64_MAX ? ns : urt__clock_ns() + ns;
	int alarm = urt__pause_alarm();
	struct pollfd p[] = {
		{ .fd = bell, .events = POLLIN },
		{ .fd = urt__look_fd(), .events = POLLIN },
		{ .fd = urt__told_socket(), .events = POLLIN },
		{ .fd = urt__told_fd(), .events = POLLIN },
		{ .fd = alarm, .events = POLLIN },
	};
	uint64_t rung;
	int n;

	do {
		struct timespec ts = { ns / 1000000000, ns % 1000000000 };

		n = ppoll(p, URT__ARRAY_LEN(p), ns == INT64_MAX ? NULL : &ts,
			  NULL);
		if (n > 0 && p[3].revents) {
			urt__told_read(urt__look_hear);
			urt__spares_look(urt__clock_ns());
		}
		if (ns != INT64_MAX)
			ns = until_ns - urt__clock_ns();
	} while (n == 1 && p[3].revents && ns > 0 && alarm < 0);
	if (n <= 0)
		return;
	if (p[2].revents)
		urt__told_offered();
	if (p[0].revents && read(bell, &rung, sizeof(rung)) < 0)
		return;
	if (p[1].revents)
		urt__look_ring();
}

static void trace(int64_t now_ns)
{
	static int64_t next_ns, begin_ns;
	char line[512];
	size_t len = 0;
	unsigned n = urt__rt.nr_procs;

	if (!begin_ns)
		begin_ns = now_ns;
	if (!urt__debug.sched_ns || now_ns < next_ns)
		return;
	next_ns = now_ns + urt__debug.sched_ns;
	for (unsigned i = 0; i < n && len < sizeof(line) - 16; i++)
		len += snprintf(line + len, sizeof(line) - len, " %u",
				urt__runq_len(&urt__rt.proc[i]->runq));
	urt__print("uring_rt: sched %lld ms: processors=%u idle=%u threads=%u "
		   "spare=%u spinning=%u blocking=%u global=%zu local=[%s ]\n",
		   (long long)(now_ns - begin_ns) / 1000000, n,
		   atomic_load(&urt__rt.idle.len),
		   atomic_load(&urt__rt.nr_workers),
		   atomic_load(&urt__rt.spare.len),
		   atomic_load(&urt__rt.spinning),
		   atomic_load(&urt__rt.blocking),
		   atomic_load(&urt__rt.global_len), line);
}

static void *monitor_main(void *arg)
{
	int64_t tidy_ns = INT64_MAX; /* when memory is to be given back */

	(void)arg;
	prctl(PR_SET_TIMERSLACK, 1); /* else each look is 50 us late */
	urt__sys_wake_first();
	while (!atomic_load(&stopping)) {
		int64_t ns = urt__pause_ns(), now_ns = urt__clock_ns();

		if (tidy_ns != INT64_MAX && tidy_ns - now_ns < ns)
			ns = tidy_ns > now_ns ? tidy_ns - now_ns : 0;
		if (atomic_load(&stopping))
			break;
		if (atomic_load(&quitting))
			urt__report_quit();
		pause_for(ns);
		urt__pause_end();
		tidy_ns = urt__helper_tidy(urt__clock_ns());
		urt__look(urt__clock_ns());
		trace(urt__clock_ns());
	}
	return NULL;
}

static void leave_nothing(void)
{
	urt__pause_close();
	urt__look_close();
	urt__told_close();
	if (bell >= 0)
		close(bell);
	bell = -1;
}

void urt__monitor_forget(void)
{
	leave_nothing();
	atomic_store(&quitting, false);
}

int urt__monitor_start(void)
{
	int err;

	atomic_store(&stopping, false);
	bell = urt__sys_eventfd();
	if (bell < 0)
		return bell;
	urt__pause_open();
	err = urt__look_open();
	if (!err) {
		urt__told_open();
		err = urt__sys_thread(&thread, NULL, monitor_main, NULL);
	}
	if (err)
		leave_nothing();
	return err;
}

void urt__monitor_stop(void)
{
	atomic_store(&stopping, true);
	urt__monitor_look();
	pthread_join(thread, NULL);
	leave_nothing();
}
