// SPDX-License-Identifier: MIT
/*
 * The same requests by a second load generator: wrk, of the distribution. Each
 * round has a new server; in even rounds, urt load comes first and wrk second,
 * in odd rounds the other way round. Both run on the same CPU, with the same
 * number of connections. For each, the server's CPU time per request and the
 * generator's CPU are kept, which explain most differences (judge/).
 */
#define _GNU_SOURCE
#include "stage.h"
#include "../../lib/tool.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define WARM_UP_NS (150 * NS_PER_MS)

static bool by_load(struct stage *s, const struct demo_second *m,
		    struct demo_generator *g)
{
	struct load_options o = { .path = "/", .connections = m->connections };
	int64_t begin, cpu, own;
	uint64_t before;
	double n = 0;

	stage_load(s, &o);
	if (stage_connected(s) && stage_wait(s, WARM_UP_NS)) {
		before = s->shared->completed;
		begin = now_ns();
		cpu = stage_cpu_ns(s->server.pid);
		own = stage_cpu_ns(s->load);
		if (stage_wait_for_answers(s, &s->shared->completed))
			n = s->shared->completed - before;
		g->rps[m->nr_rounds] = n * 1e9 / (now_ns() - begin);
		g->cpu[m->nr_rounds] = (double)(stage_cpu_ns(s->load) - own) /
				       (now_ns() - begin);
		g->server_cpu_ns[m->nr_rounds] =
			(stage_cpu_ns(s->server.pid) - cpu) / n;
	}
	stage_load_stop(s);
	return n > 0;
}

/* CPU time of the children that have ended. */
static double children_ns(void)
{
	struct rusage ru;

	getrusage(RUSAGE_CHILDREN, &ru);
	return (ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1e9 +
	       (ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) * 1e3;
}

/* The figures in its output: "  N requests in ..." and "Requests/sec: N". */
static bool understood(const char *out, double *requests, double *rps)
{
	const char *in = strstr(out, " requests in "), *line = in;
	const char *rate = strstr(out, "Requests/sec:");

	while (line && line > out && line[-1] != '\n')
		line--;
	*requests = line ? atof(line) : 0;
	*rps = rate ? atof(rate + strlen("Requests/sec:")) : 0;
	return *requests > 0 && *rps > 0;
}

static bool by_wrk(struct stage *s, const struct demo_second *m,
		   struct demo_generator *g)
{
	char connections[24], seconds[24], url[64], out[4096] = "";
	char *argv[] = { "wrk", "-t1",	 "-c", connections,
			 "-d",	seconds, url,  NULL };
	double wanted = ceil(s->lab->demo->options.seconds);
	double requests, rps, own = children_ns();
	int64_t cpu = stage_cpu_ns(s->server.pid);
	struct launch l;
	int fd, err;

	snprintf(connections, sizeof(connections), "%ld", m->connections);
	snprintf(seconds, sizeof(seconds), "%.0fs", wanted);
	snprintf(url, sizeof(url), "http%s://127.0.0.1:%d/",
		 model_is(s->model, MODEL_TLS) ? "s" : "", s->port);
	err = launch_piped(&l, argv, s->lab->demo->load_cpu, &fd);
	if (!err)
		err = launch_read(&l, fd, out, sizeof(out));
	if (err == -ENOENT) {
		s->outcome->status = DEMO_SKIPPED;
		strcpy(s->outcome->reason, "wrk is not installed");
		return false;
	}
	if (err || !understood(out, &requests, &rps)) {
		stage_failed(s->outcome, "wrk failed");
		return false;
	}
	g->rps[m->nr_rounds] = rps;
	g->cpu[m->nr_rounds] = (children_ns() - own) / 1e9 / (requests / rps);
	g->server_cpu_ns[m->nr_rounds] =
		(stage_cpu_ns(s->server.pid) - cpu) / requests;
	return true;
}

void demo_measure_second(struct lab *lab, struct demo_second *m)
{
	bool wrk_first = m->nr_rounds & 1, fine = false;
	struct stage s;

	if (stage_begin(&s, lab, &m->outcome, m->model,
			lab->demo->server_cpu)) {
		fine = wrk_first ? by_wrk(&s, m, &m->wrk)
				 : by_load(&s, m, &m->load);
		if (fine && !demo_stop)
			fine = wrk_first ? by_load(&s, m, &m->load)
					 : by_wrk(&s, m, &m->wrk);
	}
	stage_end(&s);
	if (fine && !demo_stop)
		m->nr_rounds++;
	else if (demo_stop)
		m->outcome.status = m->nr_rounds ? DEMO_OK : DEMO_NOT_RUN;
	else if (demo_ok(&m->outcome))
		stage_failed(&m->outcome, "no request was answered");
}
