// SPDX-License-Identifier: MIT
/*
 * Spare threads: they continue with a processor that was taken from another
 * thread.
 *
 * One exists from the start, so that the first coroutine that blocks need not
 * wait for a thread to be made. When the last one is used, another is made, or
 * several at a time if coroutines block by the dozen, since making a thread
 * takes 50 us. Spares that were not needed for a second end, except the run's
 * first thread and threads whose rings have requests. The monitor does not wake
 * to check these again: the completions of the requests wake it. The monitor
 * decides, and its helper makes the spares.
 *
 * Reaching a limit is not an error: the program continues, although coroutines
 * that block then stop others. One message names the limit.
 */
#define _GNU_SOURCE
#include "../base/sys.h"
#include "watch.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#undef errno

#define KEEP_NS	     1000000000 /* after which an unneeded spare ends */
#define STOCK_MAX    8		/* spares that are made at a time */
#define TRY_AGAIN_NS 100000000	/* after one could not be made */

static int64_t unneeded_since_ns;
static uint64_t handoffs_seen;
static bool kept; /* unneeded spares are left, which cannot end yet */

/* Written by the helper. */
static bool said;
static _Atomic int64_t failed_ns;

bool urt__pids_group(FILE *f, char *path, size_t size)
{
	char line[400];
	bool v1 = false, found = false;

	while (!v1 && fgets(line, sizeof(line), f)) {
		char *names = strchr(line, ':');
		char *group = names ? strchr(names + 1, ':') : NULL;

		if (!group)
			continue;
		*group++ = '\0';
		v1 = !strcmp(names, ":pids");
		if (!v1 && strcmp(names, ":"))
			continue;
		group[strcspn(group, "\n")] = '\0';
		snprintf(path, size, "/sys/fs/cgroup%s%s", v1 ? "/pids" : "",
			 group);
		found = true;
	}
	return found;
}

static bool read_line(const char *path, char *line, size_t size)
{
	FILE *f = fopen(path, "re");
	bool got = f && fgets(line, size, f);

	if (f)
		fclose(f);
	return got;
}

/* Whether the limit of the process's cgroup is reached. */
static bool pids_max_reached(char *group, size_t size)
{
	FILE *f = fopen("/proc/self/cgroup", "re");
	bool found = f && urt__pids_group(f, group, size);
	char path[400], max[32], now[32];

	if (f)
		fclose(f);
	snprintf(path, sizeof(path), "%s/pids.max", found ? group : "");
	if (!read_line(path, max, sizeof(max)) || max[0] == 'm')
		return false;
	snprintf(path, sizeof(path), "%s/pids.current", group);
	return read_line(path, now, sizeof(now)) && atol(now) >= atol(max);
}

static void say_limit(int err)
{
	char limit[400], path[320];
	struct rlimit r;

	if (err == -EUSERS)
		snprintf(limit, sizeof(limit), "%u are the runtime's limit",
			 URT__SPARES_MAX);
	else if (err == -EAGAIN && pids_max_reached(path, sizeof(path)))
		snprintf(limit, sizeof(limit), "pids.max of %s is reached",
			 path);
	else if (err == -EAGAIN && !getrlimit(RLIMIT_NPROC, &r) &&
		 r.rlim_cur != RLIM_INFINITY)
		snprintf(
			limit, sizeof(limit),
			"RLIMIT_NPROC (ulimit -u: %llu) or kernel.pid_max is reached",
			(unsigned long long)r.rlim_cur);
	else if (err == -EAGAIN)
		snprintf(limit, sizeof(limit),
			 "kernel.threads-max or kernel.pid_max is reached");
	else if (err == -ENOMEM && !getrlimit(RLIMIT_MEMLOCK, &r) &&
		 r.rlim_cur != RLIM_INFINITY)
		snprintf(limit, sizeof(limit),
			 "no memory for its ring (ulimit -l: %llu KiB)",
			 (unsigned long long)r.rlim_cur / 1024);
	else if (err == -EMFILE || err == -ENFILE)
		snprintf(limit, sizeof(limit),
			 "no descriptor for its ring (ulimit -n)");
	else
		snprintf(limit, sizeof(limit), "%s", strerror(-err));
	urt__print(
		"uring_rt: coroutines that block will stop others: no thread can be created beyond %u: %s\n",
		atomic_load(&urt__rt.nr_workers), limit);
}

bool urt__spare_add(void)
{
	int err = urt__worker_add();

	if (!err || err == -ECANCELED)
		return !err;
	if (!said)
		say_limit(err);
	said = true;
	return false;
}

void urt__spares_look(int64_t now_ns)
{
	unsigned have = atomic_load(&urt__rt.spare.len), want = 1;
	uint64_t seen = handoffs_seen;

	if (have > want && unneeded_since_ns) {
		if (now_ns - unneeded_since_ns <= KEEP_NS)
			return;
		while (have > want && urt__spare_retire())
			have--;
		kept = have > want;
		return;
	}
	kept = false;
	unneeded_since_ns = have > want ? now_ns : 0;
	if (have || urt__helper_makes() ||
	    now_ns - atomic_load(&failed_ns) < TRY_AGAIN_NS)
		return;
	handoffs_seen = urt__counted_by_all(URT__STAT_HANDOFFS);
	want += handoffs_seen - seen < STOCK_MAX ? handoffs_seen - seen
						 : STOCK_MAX - 1;
	urt__helper_make(want);
}

void urt__spares_make(unsigned n)
{
	while (n--) {
		if (!urt__spare_add()) {
			atomic_store(&failed_ns, urt__clock_ns());
			return;
		}
		urt__monitor_look();
	}
}

int64_t urt__spares_linger_ns(void)
{
	return unneeded_since_ns && !kept ? KEEP_NS : INT64_MAX;
}

void urt__spares_reset(void)
{
	said = false;
	unneeded_since_ns = 0;
	handoffs_seen = 0;
	kept = false;
	atomic_store(&failed_ns, 0);
}
