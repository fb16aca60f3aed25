// SPDX-License-Identifier: MIT
/*
 * N requests that wait at the same time (claims 3, 4 and 5): each connection sends one
 * `/wait`, the backend keeps all of them until it is told to answer. While they wait,
 * the server's threads and memory are read; then it must answer every one.
 *
 * Memory is the growth since the server had served a few requests: of its
 * process (VmRSS) and of the kernel as a whole, since a thread or an operation
 * in flight costs memory with which no process is charged. The latter includes
 * the sockets of server, generator and backend, which are the same for every
 * model, so that differences come from the models. A process may give back
 * memory of the first requests meanwhile, and other programs that of the
 * kernel: a difference that is not positive means nothing, and is n/a.
 *
 * A process needs two descriptors for each request. If the limit cannot be
 * raised that far, several servers, generators and backends share the requests,
 * since a limit on one process is not the subject of this experiment. Threads
 * and memory are the sums of all of them.
 *
 * If a model holds fewer than N, this searches for the limit that it reached
 * while the server still runs, since no error tells which of the many limits it
 * was.
 */
#define _GNU_SOURCE
#include "stage.h"
#include "../../../uring_rt/watch/watch.h"
#include "../../lib/net.h"
#include <math.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define WARM_UP_CONNECTIONS 20
#define SETTLE_NS	    (100 * NS_PER_MS)
/* Without progress: nothing more comes. The client sends a SYN that the server
 * dropped again after 1, 3, 7, 15 and 31 s. */
#define STUCK_S	    20
#define STUCK_NS    (STUCK_S * NS_PER_S)
#define PER_REQUEST (64 * 1024) /* bytes, by caution; with TLS, twice that */
#define TELL_MS	    20000
#define SPARE	    256 /* descriptors for other uses */

/* The servers that share the requests. */
struct fleet {
	struct lab *lab;
	struct demo_hold *hold;
	struct stage stage[DEMO_FLEET_MAX];
	unsigned n;	/* of them */
	unsigned begun; /* of those */
	long each;	/* requests for one */
};

/* ---- before ---- */

/* Chooses the number of processes; false: impossible, with the reason. */
static bool deal(struct fleet *f)
{
	struct demo_hold *h = f->hold;
	double memory = proc_meminfo("MemAvailable:");
	double enough = PER_REQUEST * (double)h->wanted;
	long allowed, needed = 2 * h->wanted + SPARE;

	f->n = 1;
	if (!net_need_descriptors(needed, &allowed)) {
		net_need_descriptors(allowed, &allowed);
		f->n = 2 * h->wanted / (allowed - SPARE) + 1;
	}
	f->each = (h->wanted + f->n - 1) / f->n;
	h->processes = f->n;
	if (f->n > DEMO_FLEET_MAX) {
		stage_failed(&h->outcome,
			     "%ld open descriptors are allowed and %ld needed "
			     "(ulimit -n)",
			     allowed, needed);
		return false;
	}
	if (model_is(h->model, MODEL_TLS))
		enough *= 2;
	if (memory < enough) {
		stage_failed(&h->outcome,
			     "%.1f GB of memory are free, and %.1f may be "
			     "needed",
			     memory / 1e9, enough / 1e9);
		return false;
	}
	return true;
}

static bool warm_up(struct stage *s)
{
	struct load_options o = { .path = "/wait?ms=1",
				  .connections = WARM_UP_CONNECTIONS };
	bool fine;

	stage_load(s, &o);
	fine = stage_connected(s) && stage_wait(s, SETTLE_NS);
	stage_load_stop(s);
	return fine && stage_wait(s, SETTLE_NS);
}

/* ---- memory that a server reports ---- */

struct told {
	double heap, stack; /* bytes; NaN: not reported */
};

static struct told ask_memory(struct stage *s)
{
	struct told t = { NAN, NAN };
	char text[128], *at;

	if (!model_is(s->model, MODEL_TELLS_MEMORY) ||
	    !stage_ask(s, SIGUSR2, TELL_MS, text, sizeof(text)))
		return t;
	if ((at = strstr(text, "heap=")))
		sscanf(at, "heap=%lf", &t.heap);
	if ((at = strstr(text, "outside="))) {
		double outside = 0;

		sscanf(at, "outside=%lf", &outside);
		t.heap += outside;
	}
	if ((at = strstr(text, "stack=")))
		sscanf(at, "stack=%lf", &t.stack);
	return t;
}

/* ---- the limit that was reached ---- */

/* pids.max and pids.current of the process's group. */
static bool pids_limit(pid_t pid, long *max, long *current)
{
	char path[64], group[400], file[450];
	bool found;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	f = fopen(path, "re");
	found = f && urt__pids_group(f, group, sizeof(group));
	if (f)
		fclose(f);
	if (!found)
		return false;
	snprintf(file, sizeof(file), "%s/pids.max", group);
	*max = proc_number(file, -1);
	snprintf(file, sizeof(file), "%s/pids.current", group);
	*current = proc_number(file, -1);
	return *max > 0 && *current > 0;
}

static long mappings_of(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	return proc_lines(path);
}

static long tasks_in_all(void)
{
	char line[128];
	long n;

	return proc_line("/proc/loadavg", line, sizeof(line)) &&
			       sscanf(line, "%*f %*f %*f %*d/%ld", &n) == 1
		       ? n
		       : 0;
}

/* Whether the limit is used up to the last percent: then it was this one. */
static bool reached(long used, long limit)
{
	return limit > 0 && used >= limit - limit / 100;
}

static void explain(pid_t pid, char *to, size_t size)
{
	long tasks = tasks_in_all(), maps = mappings_of(pid);
	long pid_max = proc_number("/proc/sys/kernel/pid_max", -1);
	long threads_max = proc_number("/proc/sys/kernel/threads-max", -1);
	long map_max = proc_number("/proc/sys/vm/max_map_count", -1);
	long max, current;

	if (reached(tasks, pid_max))
		snprintf(to, size, "%ld tasks in all, kernel.pid_max is %ld",
			 tasks, pid_max);
	else if (reached(maps, map_max))
		snprintf(to, size, "%ld mappings, vm.max_map_count is %ld",
			 maps, map_max);
	else if (reached(tasks, threads_max))
		snprintf(to, size,
			 "%ld tasks in all, kernel.threads-max is %ld", tasks,
			 threads_max);
	else if (pids_limit(pid, &max, &current) && reached(current, max))
		snprintf(to, size, "%ld tasks in its cgroup, pids.max is %ld",
			 current, max);
	else if (proc_meminfo("MemAvailable:") < 256L << 20)
		snprintf(to, size, "memory is used up");
	else
		snprintf(to, size, "no limit was found that explains it");
}

/* ---- holding ---- */

static long waiting(const struct fleet *f)
{
	long n = 0;

	for (unsigned i = 0; i < f->n; i++)
		if (f->lab->backend[i].pid > 0)
			n += __atomic_load_n(
				&f->lab->backend[i].counts->waiting,
				__ATOMIC_RELAXED);
	return n;
}

/* Connections that were refused or broken. */
static long refused(const struct fleet *f)
{
	long n = 0;

	for (unsigned i = 0; i < f->n; i++)
		n += __atomic_load_n(&f->stage[i].shared->broken,
				     __ATOMIC_RELAXED);
	return n;
}

static long completed(const struct fleet *f)
{
	long n = 0;

	for (unsigned i = 0; i < f->n; i++)
		n += __atomic_load_n(&f->stage[i].shared->completed,
				     __ATOMIC_RELAXED);
	return n;
}

static long status_of_all(const struct fleet *f, const char *field)
{
	long n = 0;

	for (unsigned i = 0; i < f->n; i++)
		n += stage_status(f->stage[i].server.pid, field);
	return n;
}

static struct told ask_all(struct fleet *f)
{
	struct told sum = { 0, 0 };

	for (unsigned i = 0; i < f->n; i++) {
		struct told one = ask_memory(&f->stage[i]);

		sum.heap += one.heap;
		sum.stack += one.stack;
	}
	return sum;
}

static bool all_wait(struct fleet *f, int64_t ns)
{
	for (unsigned i = 1; i < f->n; i++)
		if (!stage_wait(&f->stage[i], 0))
			return false;
	return stage_wait(&f->stage[0], ns) && !demo_stop;
}

/* The last one may get fewer. */
static long share(const struct fleet *f, unsigned i)
{
	long left = f->hold->wanted - f->each * i;

	return left < f->each ? left : f->each;
}

/* Whether the backends keep requests: 100,000 handshakes of TLS take longer than
 * the longest wait that a request may ask for. */
static void keep(struct fleet *f, int on)
{
	for (unsigned i = 0; i < f->begun; i++)
		if (f->stage[i].backend)
			__atomic_store_n(&f->stage[i].backend->counts->keep, on,
					 __ATOMIC_RELAXED);
}

static bool load_all(struct fleet *f)
{
	char path[32];

	keep(f, 1);
	snprintf(path, sizeof(path), "/wait?ms=%d", HTTP_MAX_MS);
	for (unsigned i = 0; i < f->n; i++) {
		struct load_options o = {
			.path = path,
			.connections = share(f, i),
			.hold = true,
			.waiting = &f->stage[i].backend->counts->waiting
		};

		stage_load(&f->stage[i], &o);
		if (!f->stage[i].shared)
			return false;
	}
	return true;
}

/* Waits until all wait, or are refused, or there is no more progress. */
static bool gather(struct fleet *f)
{
	struct demo_hold *h = f->hold;
	int64_t begin = now_ns(), moved = begin;

	while (h->waiting + refused(f) < h->wanted &&
	       now_ns() - moved < STUCK_NS) {
		if (!all_wait(f, NS_PER_MS))
			return false;
		if (waiting(f) > h->waiting) {
			h->waiting = waiting(f);
			moved = now_ns();
		}
	}
	h->connect_ns = moved - begin;
	return true;
}

/* Makes the backend answer, and counts the answers. */
static void release(struct fleet *f)
{
	struct demo_hold *h = f->hold;
	int64_t begin = now_ns(), moved = begin;

	keep(f, 0);
	for (unsigned i = 0; i < f->n; i++)
		kill(f->stage[i].backend->pid, SIGUSR1);
	while (h->answered < h->waiting && now_ns() - moved < STUCK_NS) {
		if (!all_wait(f, NS_PER_MS))
			break;
		if (completed(f) > h->answered) {
			h->answered = completed(f);
			moved = now_ns();
		}
	}
	h->answer_ns = moved - begin;
}

static void find_limit(struct fleet *f)
{
	struct demo_hold *h = f->hold;
	long n = refused(f);
	int len = n ? snprintf(h->limit, sizeof(h->limit),
			       "%ld refused after %ld waited, with %ld "
			       "threads: ",
			       n, h->waiting, h->threads)
		    : snprintf(h->limit, sizeof(h->limit),
			       "no more in %d s after %ld waited, with %ld "
			       "threads: ",
			       STUCK_S, h->waiting, h->threads);

	explain(f->stage[0].server.pid, h->limit + len, sizeof(h->limit) - len);
}

/* The growth in bytes, or NaN. */
static double came(struct demo_hold *h, const char *whose, double bytes)
{
	size_t len = strlen(h->memory_reason);

	if (bytes > 0)
		return bytes;
	snprintf(h->memory_reason + len, sizeof(h->memory_reason) - len,
		 "%sthe %s had no more memory than before (%+.1f MB)",
		 len ? "; " : "", whose, bytes / 1e6);
	return NAN;
}

static void hold(struct fleet *f)
{
	struct demo_hold *h = f->hold;
	struct told before = ask_all(f), after;
	long rss = status_of_all(f, "VmRSS:") * 1024;
	long kernel = stage_kernel_bytes();

	if (!load_all(f) || !gather(f) || !all_wait(f, SETTLE_NS))
		return;
	h->threads = status_of_all(f, "Threads:");
	h->process_bytes =
		came(h, "process", status_of_all(f, "VmRSS:") * 1024 - rss);
	h->kernel_bytes = came(h, "kernel", stage_kernel_bytes() - kernel);
	if (h->waiting < h->wanted)
		find_limit(f);
	after = ask_all(f);
	h->heap_bytes = after.heap - before.heap;
	h->stack_bytes = after.stack - before.stack;
	release(f);
}

static bool begin_all(struct fleet *f)
{
	while (f->begun < f->n) {
		unsigned i = f->begun++;

		if (!stage_begin_nth(&f->stage[i], f->lab, &f->hold->outcome,
				     f->hold->model, f->lab->demo->server_cpu,
				     i) ||
		    !warm_up(&f->stage[i]))
			return false;
	}
	return !demo_stop;
}

void demo_measure_hold(struct lab *lab, struct demo_hold *h)
{
	struct fleet f = { .lab = lab, .hold = h };

	h->outcome.status = DEMO_OK;
	h->process_bytes = h->kernel_bytes = NAN;
	h->heap_bytes = h->stack_bytes = NAN;
	if (deal(&f)) {
		if (begin_all(&f))
			hold(&f);
		keep(&f, 0);
		while (f.begun)
			stage_end(&f.stage[--f.begun]);
	}
	if (demo_ok(&h->outcome) && !h->waiting)
		stage_failed(&h->outcome, "no request reached the backend");
	/* Waits until the backends have no connection left, before the next one
	 * begins. */
	for (int i = 0; i < 2000 && waiting(&f) && !demo_stop; i++)
		sleep_ns(NS_PER_MS);
	sleep_ns(SETTLE_NS);
	if (demo_stop)
		h->outcome.status = DEMO_NOT_RUN;
}
