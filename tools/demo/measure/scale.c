// SPDX-License-Identifier: MIT
/*
 * Requests that only burn CPU, answered by a server on one CPU and by one that
 * may use all (claim 7). The work of a request is fixed (models/http.c), so
 * requests per second are CPUs in use. The load generator shares one of the
 * CPUs: a few hundred requests a second cost it too little to see.
 */
#include "stage.h"
#include <math.h>
#include <string.h>
#include <unistd.h>

#define CPU_PATH   "/cpu?ms=5"
#define PER_CPU	   8 /* connections: enough to keep each busy */
#define WARM_UP_NS (150 * NS_PER_MS)

/* CPU seconds so far of this process and all its descendants. */
static double own_s(void)
{
	return stage_cpu_ns(getpid()) / 1e9;
}

static double rate(struct lab *lab, struct demo_scale *m, int cpu)
{
	struct load_options o = { .path = CPU_PATH,
				  .connections =
					  PER_CPU * lab->demo->host.cpus };
	uint64_t before;
	double rps = 0, others;
	int64_t begin;
	struct stage s;

	if (stage_begin(&s, lab, &m->outcome, m->model, cpu)) {
		stage_load(&s, &o);
		if (stage_connected(&s) && stage_wait(&s, WARM_UP_NS)) {
			before = s.shared->completed;
			begin = now_ns();
			others = proc_busy_s() - own_s();
			if (stage_wait_for_answers(&s, &s.shared->completed))
				rps = (s.shared->completed - before) * 1e9 /
				      (now_ns() - begin);
			others = proc_busy_s() - own_s() - others;
			m->others = fmax(m->others,
					 others * 1e9 / (now_ns() - begin));
		}
	}
	stage_end(&s);
	if (demo_ok(&m->outcome) && !rps)
		stage_failed(&m->outcome, "no request was answered");
	return rps;
}

static void measure_round(struct lab *lab, struct demo_scale *m)
{
	double one, all = 0;

	one = rate(lab, m, lab->demo->server_cpu);
	if (demo_ok(&m->outcome) && !demo_stop)
		all = rate(lab, m, -1);
	if (!demo_ok(&m->outcome) || demo_stop)
		return;
	m->one[m->nr_rounds] = one;
	m->all[m->nr_rounds++] = all;
}

void demo_measure_scale(struct lab *lab, struct demo_scale *m)
{
	if (lab->demo->host.cpus < 2) {
		m->outcome.status = DEMO_SKIPPED;
		strcpy(m->outcome.reason, "there is only one CPU");
		return;
	}
	measure_round(lab, m);
	if (demo_stop) /* a round that was cut short does not count */
		m->outcome.status = m->nr_rounds ? DEMO_OK : DEMO_NOT_RUN;
}
