// SPDX-License-Identifier: MIT
/*
 * urt demo: the experiment. Each model in turn serves the same requests; then
 * the claims are judged by what was measured.
 */
#define _GNU_SOURCE
#include "demo.h"
#include "../service/backend.h"
#include "../lib/launch.h"
#include "../lib/net.h"
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

volatile int demo_stop;

const char *const demo_status_names[] = { "ok", "skipped", "failed",
					  "not run" };
const char *const demo_verdict_names[] = { "holds", "does not hold",
					   "not measured" };

static void on_interrupt(int sig)
{
	demo_stop = 1;
}

/* A client and a backend connection per connection, in one process. */
static bool check_descriptors(const struct demo_options *o)
{
	long most = o->connections.n[o->connections.len - 1];
	long allowed, needed = 2 * most + 64;

	if (net_need_descriptors(needed, &allowed))
		return true;
	return !fail("%ld connections need %ld open descriptors and %ld are "
		     "allowed: raise the limit (ulimit -n %ld), or use "
		     "--connections %ld",
		     most, needed, allowed, needed, (allowed - 64) / 2);
}

/* The first two CPUs that we may use; -1 if there is only one. */
static void choose_cpus(struct demo *d)
{
	cpu_set_t set;
	int found = 0;

	d->server_cpu = d->load_cpu = -1;
	if (sched_getaffinity(0, sizeof(set), &set))
		return;
	for (int i = 0; i < CPU_SETSIZE && found < 2; i++) {
		if (!CPU_ISSET(i, &set))
			continue;
		if (found++)
			d->load_cpu = i;
		else
			d->server_cpu = i;
	}
	if (found < 2)
		d->server_cpu = d->load_cpu = -1;
}

static void backend_process(const struct demo *d, pid_t parent, const int *fds,
			    uint64_t *waiting)
{
	cpu_set_t set;
	long allowed;

	launch_die_with(parent);
	signal(SIGINT, SIG_IGN);
	if (!net_need_descriptors(1 << 20, &allowed))
		net_need_descriptors(allowed, &allowed);
	CPU_ZERO(&set);
	CPU_SET(d->load_cpu, &set);
	if (d->load_cpu >= 0)
		sched_setaffinity(0, sizeof(set), &set);
	backend_serve(fds, waiting);
}

static bool backend_start(const struct demo *d, struct demo_backend *b)
{
	int fds[BACKEND_ADDRESSES];
	pid_t parent = getpid();

	b->waiting = mmap(NULL, sizeof(uint64_t), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (b->waiting == MAP_FAILED)
		return !fail("out of memory");
	if (!backend_listen(&b->port, fds))
		return false;
	b->pid = fork();
	if (!b->pid)
		backend_process(d, parent, fds, b->waiting);
	for (int i = 0; i < BACKEND_ADDRESSES; i++)
		close(fds[i]);
	return b->pid > 0 ||
	       !fail("cannot start the backend: %s", strerror(errno));
}

const struct demo_backend *demo_backend(struct demo *d, unsigned nth)
{
	struct demo_backend *b = &d->backend[nth];

	if (b->pid <= 0 && !backend_start(d, b))
		return NULL;
	return b;
}

static void stop_backends(struct demo *d)
{
	for (unsigned i = 0; i < DEMO_FLEET_MAX; i++) {
		if (d->backend[i].pid <= 0)
			continue;
		kill(d->backend[i].pid, SIGKILL);
		waitpid(d->backend[i].pid, NULL, 0);
	}
}

static bool anything_measured(const struct demo *d)
{
	bool any =
		d->costs.unit[UNIT_COROUTINE] > 0 || d->costs.has_switch_counts;

	for (unsigned i = 0; i < d->nr_rows; i++)
		any |= demo_ok(&d->row[i].outcome);
	for (unsigned i = 0; i < d->nr_holds; i++)
		any |= demo_ok(&d->hold[i].outcome);
	for (unsigned i = 0; i < d->nr_bursts; i++)
		any |= demo_ok(&d->burst[i].outcome);
	for (unsigned i = 0; i < d->nr_scales; i++)
		any |= demo_ok(&d->scale[i].outcome);
	for (unsigned i = 0; i < UNIT_KINDS; i++)
		any |= d->unit[i].count > 0;
	return any;
}

static int show(const struct demo *d, FILE *out)
{
	int assertion;

	if (d->options.json)
		demo_print_json(out, d);
	else
		demo_print_text(out, d);
	if (fflush(out) || ferror(out))
		return fail("cannot write the result: %s", strerror(errno));
	if (d->options.report && demo_write_report(d, d->options.report))
		return EXIT_BAD;
	assertion = demo_assert(d);
	if (assertion)
		return assertion;
	return anything_measured(d) ? 0 : EXIT_BAD;
}

int cmd_demo(int argc, char **argv)
{
	static struct demo d; /* large */
	struct sigaction stop = { .sa_handler = on_interrupt };
	FILE *out = stdout;

	if (argc > 1 && !strcmp(argv[1], "part"))
		return demo_part(argc, argv);
	if (!demo_parse(argc, argv, &d.options) ||
	    !check_descriptors(&d.options))
		return EXIT_BAD;
	if (d.options.out && !(out = fopen(d.options.out, "we")))
		return fail("cannot write %s: %s", d.options.out,
			    strerror(errno));
	d.begin_ns = now_ns();
	demo_look_at_host(&d.host);
	choose_cpus(&d);
	d.counter = counter_open(d.why_no_bpf, sizeof(d.why_no_bpf));
	d.counted = d.counter;
	if (!demo_backend(&d, 0) || !demo_redis(&d))
		return EXIT_BAD;
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	demo_run_plan(&d);
	stop_backends(&d);
	demo_redis_stop(&d);
	d.end_ns = now_ns();
	demo_judge(&d);
	return show(&d, out);
}
