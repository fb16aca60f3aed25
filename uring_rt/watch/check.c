// SPDX-License-Identifier: MIT
/*
 * URT_DEBUG=check: mistakes of the program that no result reports. Each ends
 * the program with a report of its place, as in a sanitizer.
 *
 *   - A pthread lock held across a call that suspends, or by a coroutine that
 *     ends: the next coroutine on the thread that wants the lock blocks the
 *     thread, and the unlock may happen on another thread. locks.c counts the
 *     locks; the check is part of the switch, which reads one word for all its
 *     extra work. Locks that the caller of urt_run holds do not count.
 *   - A deadline from before the run began: no call of this run can have made
 *     it, so it is a duration, or -1 as poll(2) has it. 0 means not to wait.
 *   - Attributes of the thread that the coroutine changed and did not change
 *     back: the file system's user and group, the personality, the mount and
 *     network namespaces. Other coroutines would run with them.
 *
 * Also checked without URT_DEBUG: a coroutine that ends its thread.
 *
 * One mistake of this kind is not found: the address of a thread-local
 * variable, kept across a suspension. It cannot be told from a stale word on
 * the stack.
 */
#include "watch.h"
#include <pthread.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/personality.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLACK_NS INT64_C(1000000000) /* a deadline made just before the run */

static int64_t begun_ns;
static __thread unsigned held_before __attribute__((tls_model("initial-exec")));

/* Attributes that the kernel keeps for each thread and that a coroutine may have
 * changed. */
static const char *const attributes[] = {
	"file system user id (setfsuid)", "file system group id (setfsgid)",
	"personality", "mount namespace (setns, unshare)",
	"network namespace (setns, unshare)"
};
#define ATTRIBUTES URT__ARRAY_LEN(attributes)

static __thread uint64_t thread_had[ATTRIBUTES];

static uint64_t inode(const char *path)
{
	struct stat st;

	return stat(path, &st) ? 0 : st.st_ino;
}

static void look_at_thread(uint64_t has[ATTRIBUTES])
{
	/* -1 changes nothing. seteuid(3) changes both, and in all threads. */
	has[0] = setfsuid(-1) - geteuid();
	has[1] = setfsgid(-1) - getegid();
	has[2] = personality(0xffffffff);
	has[3] = inode("/proc/thread-self/ns/mnt");
	has[4] = inode("/proc/thread-self/ns/net");
}

static void check_thread(struct urt__worker *w, bool dying)
{
	uint64_t has[ATTRIBUTES];
	char name[128];
	size_t i = 0;

	look_at_thread(has);
	while (i < ATTRIBUTES && has[i] == thread_had[i])
		i++;
	if (i == ATTRIBUTES)
		return;
	memcpy(thread_had, has, sizeof(has)); /* said once */
	urt__mistake("%s %s and has changed its thread's %s: other coroutines "
		     "would run with it; do this in a thread of "
		     "pthread_create's",
		     urt__report_name(w->current, name, sizeof(name)),
		     dying ? "ends" : "suspends", attributes[i]);
}

static void check_switch(struct urt__worker *w, bool dying)
{
	unsigned held = urt__locks_held() - held_before;
	char name[128];

	if (atomic_load(&w->current->reason) == URT__R_PREEMPTED)
		return;
	check_thread(w, dying);
	if (urt__likely(!held))
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

/* ---- always ------------------------------------------------------------ */

static pthread_key_t ends;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* libc calls this if a thread ends without urt__check_leave. */
static void thread_ends(void *arg)
{
	struct urt__worker *w = arg;
	char name[128];

	if (urt__tls_worker == w) /* not so in a forked child */
		urt__mistake("%s ends its thread, which is other coroutines', "
			     "too, by pthread_exit or pthread_cancel; let its "
			     "function return",
			     w->current ? urt__report_name(w->current, name,
							   sizeof(name))
					: "a coroutine");
}

static void make_key(void)
{
	pthread_key_create(&ends, thread_ends);
}

void urt__check_leave(void)
{
	pthread_setspecific(ends, NULL);
}

void urt__check_enter(struct urt__worker *w)
{
	pthread_once(&once, make_key);
	pthread_setspecific(ends, w);
	if (!urt__rt.check_switch)
		return;
	held_before = urt__locks_held();
	look_at_thread(thread_had);
	__atomic_fetch_or(&w->tracing, URT__TELL_CHECK, __ATOMIC_RELAXED);
}
