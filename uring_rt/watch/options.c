// SPDX-License-Identifier: MIT
/*
 * The settings of a run, from its options and the environment, checked and with
 * defaults filled in; and messages for people about why it does not start.
 */
#define _GNU_SOURCE
#include "watch.h"
#include <errno.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#undef errno

#define STACK_DEFAULT	     (128 * 1024)
#define COROUTINES_DEFAULT   (2u << 20) /* urt_coro.number has 21 bits */
#define RING_ENTRIES_DEFAULT 256
#define RING_ENTRIES_MAX     4096
#define BLOCKING_DEFAULT     64
#define REGISTERED_MAX	     1024

struct urt__debug urt__debug;

static char why[256] = "no run has failed";

const char *urt_why(void)
{
	return why;
}

int urt__because(int err, const char *text)
{
	snprintf(why, sizeof(why), "%s", text);
	return err;
}

/* Bytes of a ring with that many entries: requests, and 16 completions each. */
static size_t ring_size(unsigned entries)
{
	return (size_t)entries * (64 + 16 * 16 + 4) + 4096;
}

size_t urt__options_locked(const struct urt_options *o)
{
	return o->workers * ring_size(o->ring_entries) +
	       ring_size(URT__SPARE_RING);
}

static int because_locked(int err)
{
	struct urt_options o = { .workers = urt__rt.nr_procs,
				 .ring_entries = urt__rt.ring_entries };
	size_t need = urt__options_locked(&o);
	struct rlimit l;

	if (getrlimit(RLIMIT_MEMLOCK, &l) || l.rlim_cur == RLIM_INFINITY)
		return urt__because(err, "io_uring_setup: out of memory");
	snprintf(why, sizeof(why),
		 "io_uring_setup: out of memory, or over the limit of locked "
		 "memory: ulimit -l is %llu KiB for all programs of the user, "
		 "and the rings of %u workers need %zu KiB",
		 (unsigned long long)l.rlim_cur / 1024, urt__rt.nr_procs,
		 need / 1024);
	return err;
}

/* pthread_create fails with EAGAIN, too, if there is no room for the stack. */
int urt__because_thread(int err, const char *whose)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	size_t size = 8 << 20;
	void *p = mmap(NULL, size, PROT_NONE, flags, -1, 0);
	bool data = true; /* there may be that much */

	if (p != MAP_FAILED) {
		data = !mprotect(p, size, PROT_READ | PROT_WRITE);
		munmap(p, size);
	}
	snprintf(why, sizeof(why), "cannot start a thread for %s: %s", whose,
		 p == MAP_FAILED ? "no address space for its stack (ulimit -v)"
		 : !data	 ? "no memory for its stack (ulimit -d)"
		 : err == -EAGAIN
			 ? "too many processes and threads (ulimit -u, the "
			   "cgroup's pids.max, or kernel.threads-max)"
		 : err == -EMFILE ? "too many open descriptors (ulimit -n)"
				  : strerror(-err));
	return err;
}

int urt__because_space(int err, const char *what)
{
	struct rlimit space, data;
	bool no_space = !getrlimit(RLIMIT_AS, &space) &&
			space.rlim_cur != RLIM_INFINITY;
	bool no_data = !getrlimit(RLIMIT_DATA, &data) &&
		       data.rlim_cur != RLIM_INFINITY;
	int n = snprintf(why, sizeof(why), "no address space for %s", what);

	if (no_space || no_data)
		snprintf(why + n, sizeof(why) - n, ": ulimit -%c is %llu KiB",
			 no_space ? 'v' : 'd',
			 (unsigned long long)(no_space ? space.rlim_cur
						       : data.rlim_cur) /
				 1024);
	else if (err == -EAGAIN)
		snprintf(why + n, sizeof(why) - n,
			 " (over the limit of locked memory, ulimit -l, since "
			 "all of it is to be locked: mlockall)");
	else
		snprintf(why + n, sizeof(why) - n, " (vm.overcommit_memory?)");
	return err;
}

void urt__because_fewer(size_t room, size_t wanted)
{
	snprintf(why, sizeof(why),
		 "there is room for %zu coroutines at once, not %zu: address "
		 "space (ulimit -v), or locked memory (ulimit -l, after "
		 "mlockall), is limited",
		 room, wanted);
}

int urt__because_ring(int err)
{
	int disabled = 0;
	FILE *f = fopen("/proc/sys/kernel/io_uring_disabled", "re");

	if (f) {
		if (fscanf(f, "%d", &disabled) != 1)
			disabled = 0;
		fclose(f);
	}
	/* Podman's default profile returns ENOSYS for calls that it forbids. */
	if (err == -ENOSYS &&
	    prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != SECCOMP_MODE_FILTER)
		return urt__because(err,
				    "this kernel has no io_uring (Linux 6.1 or "
				    "later is needed)");
	if (err == -EPERM && disabled)
		return urt__because(err,
				    "io_uring is switched off: as root, run "
				    "`sysctl kernel.io_uring_disabled=0`");
	if (err == -EPERM || err == -EACCES || err == -ENOSYS)
		return urt__because(
			err,
			"io_uring is forbidden here, probably by a "
			"container's seccomp profile: run docker or podman "
			"with `--security-opt seccomp=FILE`, where FILE "
			"is uring_rt's share/uring_rt/seccomp.json");
	if (err == -EBADF)
		return urt__because(err,
				    "urt_options.files: not all of them are "
				    "open descriptors");
	if (err == -EFAULT)
		return urt__because(err,
				    "urt_options.buffers: not all of that is "
				    "memory");
	if (err == -ENOMEM && urt__rt.nr_buffers)
		return urt__because(err,
				    "urt_options.buffers: over the limit of "
				    "locked memory (ulimit -l)");
	if (err == -ENOMEM)
		return because_locked(err);
	if (err == -EMFILE)
		return urt__because(err, "io_uring_setup: too many open "
					 "descriptors (ulimit -n)");
	snprintf(why, sizeof(why), "io_uring_setup: %s", strerror(-err));
	return err;
}

/* ---- options ----------------------------------------------------------- */

/* CPUs' worth of time that the cgroup or one above it allows; 0: no limit. */
static unsigned cgroup_cpus(void)
{
	char line[4096], path[4200], *slash;
	long quota, period;
	unsigned least = 0;
	FILE *f = fopen("/proc/self/cgroup", "re");
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = !strncmp(line, "0::", 3);
	if (f)
		fclose(f);
	if (!found)
		return 0;
	line[strcspn(line, "\n")] = '\0';
	while ((slash = strrchr(line + 3, '/'))) {
		snprintf(path, sizeof(path), "/sys/fs/cgroup%s/cpu.max",
			 line + 3);
		f = fopen(path, "re");
		if (f && fscanf(f, "%ld %ld", &quota, &period) == 2 &&
		    quota > 0 && period > 0) {
			unsigned n = (quota + period - 1) / period;

			least = !least || n < least ? n : least;
		}
		if (f)
			fclose(f);
		*slash = '\0';
	}
	return least;
}

static unsigned usable_cpus(void)
{
	cpu_set_t set;
	unsigned n = 1, limit = cgroup_cpus();

	if (!sched_getaffinity(0, sizeof(set), &set))
		n = CPU_COUNT(&set);
	if (limit && n > limit)
		n = limit;
	return n < URT__PROCS_MAX ? n : URT__PROCS_MAX;
}

static int workers_wanted(unsigned *n)
{
	const char *s = getenv("URT_WORKERS");
	char *end;
	long v;

	if (*n)
		return 0;
	if (!s || !*s) {
		*n = usable_cpus();
		return 0;
	}
	v = strtol(s, &end, 10);
	if (*end || v < 1 || v > URT__PROCS_MAX)
		return urt__because(-EINVAL,
				    "URT_WORKERS: a number from 1 to 256");
	*n = v;
	return 0;
}

int urt__options_check(struct urt_options *o)
{
	int err = workers_wanted(&o->workers);

	if (err)
		return err;
	if (!o->stack_size)
		o->stack_size = STACK_DEFAULT;
	if (!o->max_coroutines)
		o->max_coroutines = COROUTINES_DEFAULT;
	if (!o->ring_entries)
		o->ring_entries = RING_ENTRIES_DEFAULT;
	if (!o->max_blocking)
		o->max_blocking = BLOCKING_DEFAULT;
	if (o->workers > URT__PROCS_MAX)
		return urt__because(-EINVAL,
				    "urt_options.workers: at most 256");
	if (o->stack_size < URT__STACK_MIN)
		return urt__because(
			-EINVAL,
			"urt_options.stack_size: at least 16384 bytes");
	if (o->max_coroutines > COROUTINES_DEFAULT)
		return urt__because(
			-EINVAL, "urt_options.max_coroutines: at most 2097152");
	if (o->nr_files > REGISTERED_MAX || o->nr_buffers > REGISTERED_MAX)
		return urt__because(-EINVAL,
				    "urt_options.nr_files, nr_buffers: at "
				    "most 1024");
	if (o->ring_entries > RING_ENTRIES_MAX)
		return urt__because(-EINVAL,
				    "urt_options.ring_entries: at most 4096");
	return 0;
}

int urt__options_features(unsigned *f)
{
	const char *bad;

	if (!urt__features_wanted(f, &bad))
		return 0;
	snprintf(why, sizeof(why),
		 "URT_FEATURES: no such feature at \"%s\"; write "
		 "-name,-name with names from `urt doctor`",
		 bad);
	return -EINVAL;
}

/* Any other value would silently mean the default. */
int urt__options_switches(void)
{
	static const char *const names[] = { "URT_PREEMPT", "URT_ASSIST" };

	for (int i = 0; i < 2; i++) {
		const char *s = getenv(names[i]);

		if (!s || !*s || !strcmp(s, "on") || !strcmp(s, "off"))
			continue;
		snprintf(why, sizeof(why), "%s: \"%.20s\": expected on or off",
			 names[i], s);
		return -EINVAL;
	}
	return 0;
}

/* "sched=1000,stall=100,leak,check", times in ms. */
int urt__options_debug(void)
{
	const char *s = getenv("URT_DEBUG");
	struct urt__debug d = { 0 };

	while (s && *s) {
		size_t len = strcspn(s, ",");
		long long ms = 0;

		if (len == 4 && !strncmp(s, "leak", 4))
			d.leak = true;
		else if (len == 5 && !strncmp(s, "check", 5))
			d.check = true;
		else if (sscanf(s, "sched=%lld", &ms) == 1 && ms > 0)
			d.sched_ns = ms * 1000000;
		else if (sscanf(s, "stall=%lld", &ms) == 1 && ms > 0)
			d.stall_ns = ms * 1000000;
		else
			return urt__because(-EINVAL,
					    "URT_DEBUG: a list of "
					    "sched=MS, stall=MS, leak, check");
		s += len + (s[len] == ',');
	}
	urt__debug = d;
	return 0;
}
