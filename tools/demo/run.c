// SPDX-License-Identifier: MIT
/*
 * Measuring one model: a server process, pinned to one CPU, counted from its
 * exec; a load generator process on another CPU. After a warm-up, everything
 * is read once at the beginning and once at the end of the measured time, at
 * moments when the load is running: the difference divided by the requests
 * completed in between is the cost of one.
 */
#define _GNU_SOURCE
#include "../../uring_rt/ring/ring.h"
#include "../launch.h"
#include "../load.h"
#include "../net.h"
#include "demo.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WARM_UP_NS (700 * NS_PER_MS)
#define START_MS   10000
#define CONNECT_NS (20 * NS_PER_S)

/* All that is read at one moment. */
struct moment {
	int64_t time_ns;
	uint64_t completed, errors;
	struct counts counts;
	struct user_stats user;
	uint64_t nvcsw, nivcsw;
	int64_t cpu_ns, load_cpu_ns;
};

struct experiment {
	struct demo *demo;
	struct demo_row *row;
	struct launch server;
	int port;
	pid_t load;
	struct load_shared *shared;
	struct urt__stats_page *page;
};

static void failed(struct demo_row *row, const char *reason)
{
	row->status = DEMO_FAILED;
	snprintf(row->reason, sizeof(row->reason), "%s", reason);
}

static int64_t process_cpu_ns(pid_t pid)
{
	struct timespec ts;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &ts))
		return 0;
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static long status_number(pid_t pid, const char *field)
{
	char path[64], line[256];
	long value = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, field, strlen(field)))
			value = strtol(line + strlen(field), NULL, 10);
	if (f)
		fclose(f);
	return value;
}

static bool ended(pid_t pid)
{
	return waitpid(pid, NULL, WNOHANG) == pid;
}

static char **server_command(struct experiment *e)
{
	static char port[16], backend[16];
	static char *argv[8];
	char **p = argv;

	if (e->row->model->peer)
		return peer_command(e->row->model, e->port,
				    e->demo->backend_port);
	snprintf(port, sizeof(port), "%d", e->port);
	snprintf(backend, sizeof(backend), "%d", e->demo->backend_port);
	*p++ = "/proc/self/exe";
	*p++ = "serve";
	*p++ = (char *)e->row->model->name;
	*p++ = "--port";
	*p++ = port;
	*p++ = "--backend";
	*p++ = backend;
	*p = NULL;
	return argv;
}

static bool server_start(struct experiment *e)
{
	char **argv;
	int null, err;

	e->port = net_free_port();
	argv = e->port < 0 ? NULL : server_command(e);
	if (!argv) {
		failed(e->row, "it could not be built");
		return false;
	}
	null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	err = launch(&e->server, argv, NULL, e->demo->server_cpu, null);
	close(null);
	/* Ctrl-C is for us: we stop it when it has been looked at. */
	if (!err)
		setpgid(e->server.pid, 0);
	if (!err && e->demo->counter)
		counter_start_at_exec(e->demo->counter, e->server.pid);
	if (!err)
		err = launch_go(&e->server);
	if (err) {
		failed(e->row, strerror(-err));
		e->server.pid = 0;
		return false;
	}
	if (net_wait_listening(e->port, START_MS))
		return true;
	failed(e->row, ended(e->server.pid)
			       ? "the server ended at once (see above)"
			       : "the server did not listen within 10 s");
	return false;
}

static void load_start(struct experiment *e)
{
	struct load_options o = {
		.server = net_loopback(e->port),
		.path = e->row->path,
		.connections = e->demo->options.connections,
	};

	pid_t parent = getpid();

	e->load = fork();
	if (e->load)
		return;
	launch_die_with(parent);
	signal(SIGINT, SIG_IGN);
	if (e->demo->load_cpu >= 0) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET(e->demo->load_cpu, &set);
		sched_setaffinity(0, sizeof(set), &set);
	}
	_exit(load_run(&o, e->shared) ? 1 : 0);
}

static bool load_connected(struct experiment *e)
{
	int64_t until = now_ns() + CONNECT_NS;

	while (!__atomic_load_n(&e->shared->connected_ns, __ATOMIC_ACQUIRE)) {
		if (ended(e->load)) {
			e->load = 0;
			failed(e->row, "the load generator could not connect");
			return false;
		}
		if (now_ns() > until || demo_stop) {
			failed(e->row, demo_stop ? "interrupted"
						 : "connecting took too long");
			return false;
		}
		sleep_ns(NS_PER_MS);
	}
	return true;
}

static void look(struct experiment *e, struct moment *m)
{
	memset(m, 0, sizeof(*m));
	m->time_ns = now_ns();
	m->completed = __atomic_load_n(&e->shared->completed, __ATOMIC_RELAXED);
	m->errors = __atomic_load_n(&e->shared->errors, __ATOMIC_RELAXED);
	if (e->demo->counter)
		counter_read(e->demo->counter, &m->counts);
	if (e->page)
		user_stats_add(&m->user, e->page);
	m->cpu_ns = process_cpu_ns(e->server.pid);
	m->load_cpu_ns = process_cpu_ns(e->load);
	m->nvcsw = status_number(e->server.pid, "voluntary_ctxt_switches:");
	m->nivcsw = status_number(e->server.pid, "nonvoluntary_ctxt_switches:");
}

static void measured_wait(struct experiment *e, int64_t ns)
{
	int64_t until = now_ns() + ns;

	while (now_ns() < until && !demo_stop && e->row->status == DEMO_OK) {
		sleep_ns(20 * NS_PER_MS);
		if (ended(e->server.pid)) {
			e->server.pid = 0;
			failed(e->row, "the server died");
		}
	}
}

static void difference(struct experiment *e, const struct moment *a,
		       const struct moment *b)
{
	struct demo_row *row = e->row;

	row->seconds = (b->time_ns - a->time_ns) / 1e9;
	row->requests = b->completed - a->completed;
	row->errors = b->errors - a->errors;
	row->has_counts = e->demo->counter;
	row->counts = b->counts;
	counts_subtract(&row->counts, &a->counts);
	row->has_user = e->page;
	row->user = b->user;
	user_stats_subtract(&row->user, &a->user);
	row->nvcsw = b->nvcsw - a->nvcsw;
	row->nivcsw = b->nivcsw - a->nivcsw;
	row->cpu_ns = b->cpu_ns - a->cpu_ns;
	row->load_cpu = (double)(b->load_cpu_ns - a->load_cpu_ns) /
			(b->time_ns - a->time_ns);
	memcpy(&row->latency, &e->shared->latency, sizeof(row->latency));
	if (!row->requests && row->status == DEMO_OK)
		failed(row, "no request was answered");
}

static void measure_under_load(struct experiment *e)
{
	static struct moment a, b; /* large */

	measured_wait(e, WARM_UP_NS);
	if (e->row->status != DEMO_OK || demo_stop)
		return;
	e->page = user_stats_map(e->server.pid);
	__atomic_store_n(&e->shared->recording, 1, __ATOMIC_RELAXED);
	look(e, &a);
	measured_wait(e, e->demo->options.seconds * NS_PER_S);
	if (e->row->status != DEMO_OK)
		return;
	look(e, &b);
	__atomic_store_n(&e->shared->recording, 0, __ATOMIC_RELAXED);
	e->row->threads = status_number(e->server.pid, "Threads:");
	e->row->rss = status_number(e->server.pid, "VmRSS:") * 1024;
	difference(e, &a, &b);
}

static void stop(pid_t pid, int sig)
{
	if (pid <= 0)
		return;
	kill(pid, sig);
	waitpid(pid, NULL, 0);
}

/* Why a model cannot run here, or NULL. */
static const char *cannot_run(const struct model *m)
{
	static struct urt__stats_slot stats;
	struct urt__ring ring;

	if (strcmp(m->waits_in, "io_uring"))
		return peer_missing(m);
	if (urt__ring_init(&ring, 8, URT__FEATURES_ALL, &stats))
		return "io_uring cannot be used here: `urt doctor` says why "
		       "and what to do";
	urt__ring_destroy(&ring);
	return NULL;
}

void demo_measure(struct demo *d, struct demo_row *row)
{
	struct experiment e = { .demo = d, .row = row };
	const char *missing = cannot_run(row->model);

	row->status = DEMO_OK;
	if (missing) {
		row->status = DEMO_SKIPPED;
		snprintf(row->reason, sizeof(row->reason), "%s", missing);
		return;
	}
	e.shared = load_shared_new();
	if (!e.shared) {
		failed(row, "out of memory");
		return;
	}
	if (server_start(&e)) {
		load_start(&e);
		if (load_connected(&e))
			measure_under_load(&e);
	}
	__atomic_store_n(&e.shared->stop, 1, __ATOMIC_RELAXED);
	stop(e.load, SIGTERM);
	stop(e.server.pid, SIGKILL);
	user_stats_unmap(e.page);
	load_shared_free(e.shared);
	if (demo_stop && !row->requests)
		row->status = DEMO_NOT_RUN;
}
