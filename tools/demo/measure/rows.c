// SPDX-License-Identifier: MIT
/*
 * One round of one model under load: a server counted from its exec, a load
 * generator on another CPU. After a warm-up, everything is read at the
 * beginning and at the end of the measured time, while the load runs: the
 * difference divided by the requests completed in between is the cost of one.
 * Rounds are interleaved with those of the other models, so that a slow minute
 * of the machine affects all of them.
 */
#define _GNU_SOURCE
#include "stage.h"
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* By mode; the row of a model whose compiler needs more has its own time. */
static const int64_t warm_up_ns[] = {
	[DEMO_QUICK] = 200 * NS_PER_MS,
	[DEMO_DEFAULT] = 250 * NS_PER_MS,
	[DEMO_FULL] = 400 * NS_PER_MS,
	[DEMO_BOUNDS] = 400 * NS_PER_MS,
};

#define TELL_MS 5000

/* All that is read at one moment. */
struct moment {
	int64_t time_ns;
	uint64_t completed, errors;
	struct counts counts;
	struct user_stats user;
	uint64_t nvcsw, nivcsw;
	int64_t cpu_ns, load_cpu_ns;
	double told, told_at; /* reported by the server, after told_at requests;
				 NaN */
};

/*
 * The user switches that the server counts itself. It is asked before the first
 * look and after the last, so that its answer affects no other figure; under
 * load, the answer takes a while, so requests are counted before and after it.
 */
static void ask(struct stage *s, struct moment *m)
{
	uint64_t before =
		__atomic_load_n(&s->shared->completed, __ATOMIC_RELAXED);
	char text[128];

	m->told = NAN;
	if (s->model->switches != SWITCHES_SIGNAL ||
	    !stage_ask(s, SIGHUP, TELL_MS, text, sizeof(text)) ||
	    sscanf(text, "user=%lf", &m->told) != 1)
		return;
	m->told_at = (before + __atomic_load_n(&s->shared->completed,
					       __ATOMIC_RELAXED)) /
		     2.0;
}

/* Requests continue during the look. The number in the middle of reading the
 * counters counts, so that an interrupted look errs by half. */
static void look(const struct stage *s, struct user_page *page,
		 struct moment *m)
{
	memset(m, 0, sizeof(*m));
	m->time_ns = now_ns();
	m->completed = __atomic_load_n(&s->shared->completed, __ATOMIC_RELAXED);
	m->errors = __atomic_load_n(&s->shared->errors, __ATOMIC_RELAXED);
	if (s->lab->counter)
		counter_read(s->lab->counter, &m->counts);
	if (page)
		user_stats_add(&m->user, page);
	m->time_ns += (now_ns() - m->time_ns) / 2;
	m->completed +=
		(__atomic_load_n(&s->shared->completed, __ATOMIC_RELAXED) -
		 m->completed) /
		2;
	m->cpu_ns = stage_cpu_ns(s->server.pid);
	m->load_cpu_ns = stage_cpu_ns(s->load);
	m->nvcsw = stage_status(s->server.pid, "voluntary_ctxt_switches:");
	m->nivcsw = stage_status(s->server.pid, "nonvoluntary_ctxt_switches:");
}

/* The difference of two moments, as a row of one round. */
static void subtract(struct demo_row *one, const struct stage *s,
		     const struct moment *a, const struct moment *b)
{
	one->requests = b->completed - a->completed;
	one->errors = b->errors - a->errors;
	one->unanswered = s->shared->charged;
	one->seconds = (b->time_ns - a->time_ns) / 1e9;
	one->cpu_ns = b->cpu_ns - a->cpu_ns;
	one->nvcsw = b->nvcsw - a->nvcsw;
	one->nivcsw = b->nivcsw - a->nivcsw;
	one->latency = s->shared->latency;
	one->has_counts = s->lab->counter;
	one->counts = b->counts;
	counts_subtract(&one->counts, &a->counts);
	one->user = b->user;
	user_stats_subtract(&one->user, &a->user);
	if (!isnan(a->told) && !isnan(b->told)) {
		one->told = b->told - a->told;
		one->told_requests = b->told_at - a->told_at;
	}
}

static void add_sample(struct demo_row *row, const struct demo_row *one,
		       double load_cpu)
{
	struct demo_per_request p = demo_per_request(one);

	row->round[row->nr_rounds++] = (struct demo_sample){
		.rps = one->requests / one->seconds,
		.p50_ns = histogram_percentile(&one->latency, 0.5),
		.p99_ns = histogram_percentile(&one->latency, 0.99),
		.cpu_ns = p.cpu_ns,
		.load_cpu = load_cpu,
		.switches = p.switches,
		.syscalls = p.syscalls,
		.uring_ops = p.uring_ops,
		.user_switches = p.user_switches,
	};
}

static void add_sums(struct demo_row *row, const struct demo_row *one)
{
	row->requests += one->requests;
	row->errors += one->errors;
	row->unanswered += one->unanswered;
	row->seconds += one->seconds;
	row->cpu_ns += one->cpu_ns;
	row->nvcsw += one->nvcsw;
	row->nivcsw += one->nivcsw;
	histogram_merge(&row->latency, &one->latency);
	row->has_counts = one->has_counts;
	counts_add(&row->counts, &one->counts);
	row->has_user = one->has_user;
	user_stats_sum(&row->user, &one->user);
	row->told += one->told;
	row->told_requests += one->told_requests;
}

static void add_round(struct stage *s, struct demo_row *row,
		      const struct moment *a, const struct moment *b,
		      bool has_user)
{
	static struct demo_row one; /* large */

	if (b->completed == a->completed) {
		stage_failed(&row->outcome, "no request was answered");
		return;
	}
	memset(&one, 0, sizeof(one));
	one.has_user = has_user;
	one.threads = row->threads;
	subtract(&one, s, a, b);
	add_sample(row, &one,
		   (b->load_cpu_ns - a->load_cpu_ns) / 1e9 / one.seconds);
	add_sums(row, &one);
}

static void measure_under_load(struct stage *s, struct demo_row *row)
{
	static struct moment a, b, asked; /* large */
	struct user_page *page;
	int64_t warm_up = warm_up_ns[s->lab->demo->options.mode];
	bool fine;

	if (s->model->warm_up_ms)
		warm_up = s->model->warm_up_ms * NS_PER_MS;
	if (!stage_wait(s, warm_up) || demo_stop)
		return;
	page = user_page_of(s->server.pid, NULL);
	s->shared->recording_ns = now_ns();
	__atomic_store_n(&s->shared->recording, 1, __ATOMIC_RELEASE);
	ask(s, &asked);
	look(s, page, &a);
	a.told = asked.told;
	a.told_at = asked.told_at;
	fine = stage_wait_for_answers(s, &s->shared->completed);
	if (fine) {
		look(s, page, &b);
		__atomic_store_n(&s->shared->recording, 0, __ATOMIC_RELAXED);
		row->threads = stage_status(s->server.pid, "Threads:");
		row->rss = stage_status(s->server.pid, "VmRSS:") * 1024;
		ask(s, &b);
		if (row->rate)
			stage_load_end(s);
		add_round(s, row, &a, &b, page);
	}
	user_page_free(page);
}

void demo_measure_row(struct lab *lab, struct demo_row *row)
{
	struct load_options o = { .path = row->path,
				  .connections = row->connections,
				  .per_connection = row->per_connection,
				  .rate = row->rate };
	struct stage s;

	lab->use_redis = lab->demo->options.redis_port &&
			 !strncmp(row->path, "/wait", 5);
	if (stage_begin(&s, lab, &row->outcome, row->model,
			model_is(row->model, MODEL_ALL_CPUS)
				? -1
				: lab->demo->server_cpu)) {
		stage_load(&s, &o);
		if (stage_connected(&s))
			measure_under_load(&s, row);
	}
	stage_end(&s);
	lab->use_redis = false;
	if (demo_stop) /* a round that was cut short is still used */
		row->outcome.status = row->nr_rounds ? DEMO_OK : DEMO_NOT_RUN;
}
