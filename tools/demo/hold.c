// SPDX-License-Identifier: MIT
/*
 * N requests that wait at the same time (claims 3, 4 and 5): each connection
 * sends one `/wait`, the backend keeps all of them until it is told to let go.
 * While they wait, the server's threads and memory are read; then it must
 * answer every one.
 *
 * Memory is what has come since the server had served a few requests: of its
 * process (VmRSS), and, since a thread or an operation in flight costs memory
 * that no process is charged with, of the kernel as a whole. The latter holds
 * the sockets of server, generator and backend, too: the same for every model,
 * so that differences between models are the models'.
 *
 * Where a model takes in less than N, the limit that it ran into is looked for
 * while it stands there, since nothing tells a program which of the many it
 * was.
 */
#define _GNU_SOURCE
#include "stage.h"
#include "../net.h"
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define WARM_UP_CONNECTIONS 20
#define SETTLE_NS	    (100 * NS_PER_MS)
#define STUCK_NS	    (3 * NS_PER_S) /* without progress: no more comes */
#define PER_REQUEST	    (64 * 1024)	   /* bytes, by caution */
#define TELL_MS		    20000

/* ---- before ---- */

/* Why so many cannot be tried at all, or true. */
static bool possible(struct demo_hold *h)
{
	long allowed, needed = 2 * h->wanted + 128;
	double memory = stage_meminfo("MemAvailable:");

	if (!net_need_descriptors(needed, &allowed)) {
		stage_failed(&h->outcome,
			     "%ld open descriptors are allowed and %ld needed "
			     "(ulimit -n)",
			     allowed, needed);
		return false;
	}
	if (memory < (double)PER_REQUEST * h->wanted) {
		stage_failed(&h->outcome,
			     "%.1f GB of memory are free, and %.1f may be "
			     "needed",
			     memory / 1e9,
			     (double)PER_REQUEST * h->wanted / 1e9);
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

/* ---- what Node and Go tell of their memory ---- */

struct told {
	double heap, stack; /* bytes; NaN: not told */
};

static struct told ask_memory(struct stage *s)
{
	struct told t = { NAN, NAN };
	struct pollfd p = { .fd = s->out, .events = POLLIN };
	char text[128], *at;
	ssize_t n;

	if (!s->model->peer || kill(s->server.pid, SIGUSR2) ||
	    poll(&p, 1, TELL_MS) != 1)
		return t;
	n = read(s->out, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
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

/* ---- which limit it was ---- */

/* pids.max and pids.current of the process's group, the nearest limit. */
static bool pids_limit(pid_t pid, long *max, long *current)
{
	char path[64], line[512], file[700], *group;
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	f = fopen(path, "re");
	while (f && !found && fgets(line, sizeof(line), f)) {
		bool v2 = !strncmp(line, "0::", 3);

		line[strcspn(line, "\n")] = '\0';
		if (!v2 && !strstr(line, ":pids:"))
			continue;
		group = strchr(strchr(line, ':') + 1, ':') + 1;
		snprintf(file, sizeof(file), "/sys/fs/cgroup%s%s/pids.max",
			 v2 ? "" : "/pids", group);
		*max = stage_number_in(file);
		snprintf(file, sizeof(file), "/sys/fs/cgroup%s%s/pids.current",
			 v2 ? "" : "/pids", group);
		*current = stage_number_in(file);
		found = *max > 0 && *current > 0;
	}
	if (f)
		fclose(f);
	return found;
}

static long lines_of(pid_t pid, const char *name)
{
	char path[64];
	long n = 0;
	FILE *f;
	int c;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	f = fopen(path, "re");
	while (f && (c = getc(f)) != EOF)
		n += c == '\n';
	if (f)
		fclose(f);
	return n;
}

static long tasks_in_all(void)
{
	FILE *f = fopen("/proc/loadavg", "re");
	long n = 0;

	if (f && fscanf(f, "%*f %*f %*f %*d/%ld", &n) != 1)
		n = 0;
	if (f)
		fclose(f);
	return n;
}

/* Used up to the last percent: that one it was. */
static bool reached(long used, long limit)
{
	return limit > 0 && used >= limit - limit / 100;
}

static void find_limit(struct stage *s, struct demo_hold *h)
{
	pid_t pid = s->server.pid;
	long tasks = tasks_in_all(), maps = lines_of(pid, "maps");
	long pid_max = stage_number_in("/proc/sys/kernel/pid_max");
	long threads_max = stage_number_in("/proc/sys/kernel/threads-max");
	long map_max = stage_number_in("/proc/sys/vm/max_map_count");
	long max, current;
	int len = snprintf(h->limit, sizeof(h->limit),
			   "refused after %ld waited, with %ld threads: ",
			   h->waiting, h->threads);
	char *to = h->limit + len;
	size_t size = sizeof(h->limit) - len;

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
	else if (stage_meminfo("MemAvailable:") < 256L << 20)
		snprintf(to, size, "memory is used up");
	else
		snprintf(to, size, "no limit was found that explains it");
}

/* ---- holding ---- */

static long waiting(const struct stage *s)
{
	return __atomic_load_n(s->demo->backend_waiting, __ATOMIC_RELAXED);
}

/* Until all wait, or nothing moves any more. */
static bool gather(struct stage *s, struct demo_hold *h)
{
	int64_t begin = now_ns(), moved = begin;

	while (h->waiting < h->wanted && now_ns() - moved < STUCK_NS) {
		if (!stage_wait(s, NS_PER_MS) || demo_stop)
			return false;
		if (waiting(s) > h->waiting) {
			h->waiting = waiting(s);
			moved = now_ns();
		}
	}
	h->connect_ns = moved - begin;
	return true;
}

/* Lets go, and counts the answers. */
static void release(struct stage *s, struct demo_hold *h)
{
	int64_t begin = now_ns(), moved = begin;
	long answered = 0;

	kill(s->demo->backend, SIGUSR1);
	while (answered < h->waiting && now_ns() - moved < STUCK_NS) {
		if (!stage_wait(s, NS_PER_MS))
			break;
		if ((long)s->shared->completed > answered) {
			answered = s->shared->completed;
			moved = now_ns();
		}
	}
	h->answered = answered;
	h->answer_ns = s->shared->last_answer_ns - begin;
}

static void hold(struct stage *s, struct demo_hold *h)
{
	char path[32];
	struct load_options o = { .path = path,
				  .connections = h->wanted,
				  .hold = true,
				  .waiting = s->demo->backend_waiting };
	struct told before = ask_memory(s), after;
	long rss = stage_status(s->server.pid, "VmRSS:") * 1024;
	long kernel = stage_kernel_bytes();

	snprintf(path, sizeof(path), "/wait?ms=%d", HTTP_MAX_MS);
	stage_load(s, &o);
	if (!s->shared || !gather(s, h) || !stage_wait(s, SETTLE_NS))
		return;
	h->threads = stage_status(s->server.pid, "Threads:");
	h->process_bytes = stage_status(s->server.pid, "VmRSS:") * 1024 - rss;
	h->kernel_bytes = stage_kernel_bytes() - kernel;
	if (h->waiting < h->wanted)
		find_limit(s, h);
	after = ask_memory(s);
	h->heap_bytes = after.heap - before.heap;
	h->stack_bytes = after.stack - before.stack;
	release(s, h);
}

void demo_measure_hold(struct demo *d, struct demo_hold *h)
{
	struct stage s;

	h->heap_bytes = h->stack_bytes = NAN;
	if (possible(h)) {
		if (stage_begin(&s, d, &h->outcome, h->model, d->server_cpu) &&
		    warm_up(&s))
			hold(&s, h);
		stage_end(&s);
	}
	if (demo_ok(&h->outcome) && !h->waiting)
		stage_failed(&h->outcome, "no request reached the backend");
	/* What is left at the backend goes before the next one begins. */
	for (int i = 0; i < 2000 && waiting(&s) && !demo_stop; i++)
		sleep_ns(NS_PER_MS);
	sleep_ns(SETTLE_NS);
	if (demo_stop)
		h->outcome.status = DEMO_NOT_RUN;
}

const struct demo_hold *demo_hold(const struct demo *d, const char *model,
				  long wanted)
{
	const struct demo_hold *best = NULL;

	for (unsigned i = 0; i < d->nr_holds; i++) {
		const struct demo_hold *h = &d->hold[i];

		if (!demo_ok(&h->outcome) || strcmp(h->model->name, model))
			continue;
		if (wanted ? h->wanted == wanted
			   : !best || h->wanted > best->wanted)
			best = h;
	}
	return best;
}
