// SPDX-License-Identifier: MIT
/* Opening and closing the laboratory: CPUs, the counter, backends, Redis. */
#define _GNU_SOURCE
#include "lab.h"
#include "../../lib/launch.h"
#include "../../lib/proc.h"
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

volatile int demo_stop;

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

static bool start_backend(const struct demo *d, struct demo_backend *b)
{
	b->counts = mmap(NULL, sizeof(*b->counts), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (b->counts == MAP_FAILED)
		return !fail("out of memory");
	b->pid = backend_start(&b->port, d->load_cpu, b->counts);
	return b->pid > 0;
}

const struct demo_backend *lab_backend(struct lab *lab, unsigned nth)
{
	struct demo_backend *b = &lab->backend[nth];

	if (b->pid <= 0 && !start_backend(lab->demo, b))
		return NULL;
	return b;
}

static void stop_backends(struct lab *lab)
{
	for (unsigned i = 0; i < DEMO_FLEET_MAX; i++) {
		if (lab->backend[i].pid <= 0)
			continue;
		kill(lab->backend[i].pid, SIGKILL);
		waitpid(lab->backend[i].pid, NULL, 0);
	}
}

void lab_stop_counting(struct lab *lab)
{
	counter_close(lab->counter);
	lab->counter = NULL;
}

/* CPU seconds that the machine spent on other programs; ours are those of this
 * process and its ended children. */
static double others_s(void)
{
	double own = 0;

	for (int who = 0; who < 2; who++) {
		struct rusage ru;

		getrusage(who ? RUSAGE_CHILDREN : RUSAGE_SELF, &ru);
		own += ru.ru_utime.tv_sec + ru.ru_stime.tv_sec +
		       (ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6;
	}
	return proc_busy_s() - own;
}

bool lab_open(struct lab *lab, struct demo *d)
{
	*lab = (struct lab){ .demo = d, .busy_s = others_s() };
	demo_look_at_host(d);
	choose_cpus(d);
	lab->counter = counter_open(d->why_no_bpf, sizeof(d->why_no_bpf));
	d->counted = lab->counter;
	if (!lab_backend(lab, 0) || !lab_redis(lab))
		return false;
	for (unsigned i = 0; i < d->options.nr_servers; i++)
		if (!demo_check_server(lab, d->options.server[i]))
			return false;
	return true;
}

void lab_close(struct lab *lab)
{
	lab_stop_counting(lab);
	stop_backends(lab);
	lab_redis_stop(lab);
	lab->demo->others = (others_s() - lab->busy_s) * 1e9 /
			    (now_ns() - lab->demo->begin_ns);
}
