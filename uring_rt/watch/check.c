// SPDX-License-Identifier: MIT
/*
 * URT_DEBUG=check: mistakes of the program that no result tells. Each ends the
 * program and says where it is, as a sanitizer does.
 *
 *   - A pthread lock held across a call that suspends, or by a coroutine that
 *     ends: the next one on the thread that wants it blocks the thread, and the
 *     unlock may happen on another thread. locks.c counts them; the check is
 *     part of the switch, which looks at one word for all that it has to tell.
 *     Locks that the caller of urt_run holds do not count.
 *   - A deadline from before the run began: no call of this run can have made
 *     it, so it is a duration, or -1 as poll(2) has it. 0 means not to wait.
 *
 * The third mistake of this kind, the address of a thread-local variable kept
 * across a suspension, cannot be told from a stale word on the stack.
 */
#include "watch.h"

#define SLACK_NS INT64_C(1000000000) /* a deadline made just before the run */

static int64_t begun_ns;
static __thread unsigned held_before __attribute__((tls_model("initial-exec")));

static void check_switch(struct urt__worker *w, bool dying)
{
	unsigned held = urt__locks_held() - held_before;
	char name[128];

	if (urt__likely(!held) ||
	    atomic_load(&w->current->reason) == URT__R_PREEMPTED)
		return;
	held_before = urt__locks_held(); /* said once: the report locks, too */
	urt__mistake("%s %s and holds %u pthread lock%s; use urt_mutex, or "
		     "unlock it before",
		     urt__report_name(w->current, name, sizeof(name)),
		     dying ? "ends" : "suspends", held, held > 1 ? "s" : "");
}

static void check_deadline(int64_t deadline_ns)
{
	if (!deadline_ns || deadline_ns >= begun_ns - SLACK_NS)
		return;
	if (deadline_ns < 0)
		urt__mistake("a deadline of %lld: for no deadline, give "
			     "URT_NEVER; for one that has passed, 0",
			     (long long)deadline_ns);
	urt__mistake("a deadline of %lld ns was over before the run began: "
		     "for a duration, give urt_after(%lld)",
		     (long long)deadline_ns, (long long)deadline_ns);
}

void urt__check_open(void)
{
	if (!urt__debug.check)
		return;
	begun_ns = urt__clock_ns();
	urt__rt.check_switch = check_switch;
	urt__rt.check_deadline = check_deadline;
}

void urt__check_enter(struct urt__worker *w)
{
	if (!urt__rt.check_switch)
		return;
	held_before = urt__locks_held();
	__atomic_fetch_or(&w->tracing, URT__TELL_CHECK, __ATOMIC_RELAXED);
}
