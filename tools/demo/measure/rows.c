// SPDX-License-Identifier: MIT
/*
 * One round of one model under load: a server counted from its exec, a load
 * generator on another CPU. After a warm-up, everything is read once at the
 * beginning and once at the end of the measured time, at moments when the load
 * is running: the difference divided by the requests completed in between is
 * the cost of one. Rounds are interleaved with those of the other models, so
 * that a slow minute of the machine strikes all of them.
 */
#define _GNU_SOURCE
#include "stage.h"
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define WARM_UP_NS	 (400 * NS_PER_MS)
#define WARM_UP_QUICK_NS (200 * NS_PER_MS)
#define PATIENCE	 100 /* times 20 ms */
#define TELL_MS		 1000

/* All that is read at one moment. */
struct moment {
	int64_t time_ns;
	uint64_t completed, errors;
	struct counts counts;
	struct user_stats user;
	uint64_t nvcsw, nivcsw;
	int64_t cpu_ns, load_cpu_ns;
	double told, told_at; /* by the server, at so many requests; NaN */
};

/*
 * The user switches that the server counts itself. It is asked before the first
 * look and after the last, so that its answer is in no other figure; under load
 * it takes a while, so requests are counted on both sides of it.
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

static void look(const struct stage *s, struct user_page *page,
		 struct moment *m)
{
	memset(m, 0, sizeof(*m));
	m->time_ns = now_ns();
	m->completed = __atomic_load_n(&s->shared->completed, __ATOMIC_RELAXED);
	m->errors = __atomic_load_n(&s->shared->errors, __ATOMIC_RELAXED);
	if (s->demo->counter)
		counter_read(s->demo->counter, &m->counts);
	if (page)
		user_stats_add(&m->user, page);
	m->cpu_ns = stage_cpu_ns(s->server.pid);
	m->load_cpu_ns = stage_cpu_ns(s->load);
	m->nvcsw = stage_status(s->server.pid, "voluntary_ctxt_switches:");
	m->nivcsw = stage_status(s->server.pid, "nonvoluntary_ctxt_switches:");
}

static void add_counts(struct counts *to, const struct counts *from)
{
	static const struct counts zero;
	struct counts minus = zero;

	counts_subtract(&minus, from);
	counts_subtract(to, &minus);
}

static void add_user(struct user_stats *to, const struct user_stats *from)
{
	for (unsigned i = 0; i < from->n; i++) {
		if (i >= to->n)
			to->counter[to->n++] = from->counter[i];
		else
			to->counter[i].value += from->counter[i].value;
	}
}

static void add_sample(struct demo_row *row, const struct moment *a,
		       const struct moment *b, const struct histogram *latency)
{
	double seconds = (b->time_ns - a->time_ns) / 1e9;
	double n = b->completed - a->completed;

	row->round[row->nr_rounds++] = (struct demo_sample){
		.rps = n / seconds,
		.p50_ns = histogram_percentile(latency, 0.5),
		.p99_ns = histogram_percentile(latency, 0.99),
		.cpu_ns = (b->cpu_ns - a->cpu_ns) / n,
		.load_cpu = (b->load_cpu_ns - a->load_cpu_ns) / 1e9 / seconds,
	};
	row->seconds += seconds;
	row->requests += n;
	row->errors += b->errors - a->errors;
	row->cpu_ns += b->cpu_ns - a->cpu_ns;
	row->nvcsw += b->nvcsw - a->nvcsw;
	row->nivcsw += b->nivcsw - a->nivcsw;
	histogram_merge(&row->latency, latency);
}

static void add_round(struct stage *s, struct demo_row *row, struct moment *a,
		      struct moment *b, bool has_user)
{
	if (b->completed == a->completed) {
		stage_failed(&row->outcome, "no request was answered");
		return;
	}
	add_sample(row, a, b, &s->shared->latency);
	row->has_counts = s->demo->counter;
	counts_subtract(&b->counts, &a->counts);
	add_counts(&row->counts, &b->counts);
	row->has_user = has_user;
	user_stats_subtract(&b->user, &a->user);
	add_user(&row->user, &b->user);
	if (!isnan(a->told) && !isnan(b->told)) {
		row->told += b->told - a->told;
		row->told_requests += b->told_at - a->told_at;
	}
}

/* A machine that stands still for a moment is not a server that is stuck: a
 * round without an answer goes on for a while, and its length is measured. */
static bool wait_for_answers(struct stage *s, uint64_t before)
{
	bool fine = stage_wait(s, s->demo->options.seconds * NS_PER_S);

	for (int i = 0; fine && i < PATIENCE && !demo_stop; i++) {
		if (__atomic_load_n(&s->shared->completed, __ATOMIC_RELAXED) !=
		    before)
			break;
		fine = stage_wait(s, 20 * NS_PER_MS);
	}
	return fine;
}

static void measure_under_load(struct stage *s, struct demo_row *row)
{
	static struct moment a, b, asked; /* large */
	struct user_page *page;
	bool quick = s->demo->options.mode == DEMO_QUICK, fine;

	if (!stage_wait(s, quick ? WARM_UP_QUICK_NS : WARM_UP_NS) || demo_stop)
		return;
	page = user_page_of(s->server.pid, NULL);
	__atomic_store_n(&s->shared->recording, 1, __ATOMIC_RELAXED);
	ask(s, &asked);
	look(s, page, &a);
	a.told = asked.told;
	a.told_at = asked.told_at;
	fine = wait_for_answers(s, a.completed);
	if (fine) {
		look(s, page, &b);
		__atomic_store_n(&s->shared->recording, 0, __ATOMIC_RELAXED);
		row->threads = stage_status(s->server.pid, "Threads:");
		row->rss = stage_status(s->server.pid, "VmRSS:") * 1024;
		ask(s, &b);
		add_round(s, row, &a, &b, page);
	}
	user_page_free(page);
}

void demo_measure_row(struct demo *d, struct demo_row *row)
{
	struct load_options o = { .path = row->path,
				  .connections = row->connections };
	struct stage s;

	d->use_redis = d->options.redis_port && row->path[1];
	if (stage_begin(&s, d, &row->outcome, row->model, d->server_cpu)) {
		stage_load(&s, &o);
		if (stage_connected(&s))
			measure_under_load(&s, row);
	}
	stage_end(&s);
	d->use_redis = false;
	if (demo_stop) /* a round that was cut short tells as much as it can */
		row->outcome.status = row->nr_rounds ? DEMO_OK : DEMO_NOT_RUN;
}

/* ---- looking at rows ---- */

const struct demo_row *demo_row(const struct demo *d, const struct model *model,
				const char *path, long connections)
{
	const struct demo_row *best = NULL;

	for (unsigned i = 0; i < d->nr_rows; i++) {
		const struct demo_row *r = &d->row[i];
		size_t len = strcspn(r->path, "?");

		if (!demo_ok(&r->outcome) || !r->nr_rounds ||
		    r->model != model || strlen(path) != len ||
		    strncmp(r->path, path, len))
			continue;
		if (connections ? r->connections == connections
				: !best || r->connections > best->connections)
			best = r;
	}
	return best;
}

static double sample_field(const struct demo_row *r, unsigned i, size_t offset)
{
	return *(const double *)((const char *)&r->round[i] + offset);
}

double demo_median(const struct demo_row *r, size_t offset)
{
	double v[DEMO_ROUNDS_MAX];

	if (!r->nr_rounds)
		return NAN;
	for (unsigned i = 0; i < r->nr_rounds; i++)
		v[i] = sample_field(r, i, offset);
	sort_doubles(v, r->nr_rounds);
	return (v[(r->nr_rounds - 1) / 2] + v[r->nr_rounds / 2]) / 2;
}

double demo_spread(const struct demo_row *r, size_t offset)
{
	double middle = demo_median(r, offset), most = 0;

	if (r->nr_rounds < 2)
		return NAN;
	for (unsigned i = 0; i < r->nr_rounds; i++)
		most = fmax(most, fabs(sample_field(r, i, offset) - middle));
	return most / middle;
}

struct demo_per_request demo_per_request(const struct demo_row *r)
{
	struct demo_per_request p;
	double n = r->requests;
	uint64_t voluntary = 0, involuntary = 0;

	for (int i = 0; i < URT_CLASSES; i++) {
		voluntary += r->counts.class[i].voluntary;
		involuntary += r->counts.class[i].involuntary;
	}
	if (!r->has_counts) {
		/* /proc knows the main thread's only: right for one thread. */
		bool whole = r->threads == 1;

		p.voluntary = whole ? r->nvcsw / n : NAN;
		p.involuntary = whole ? r->nivcsw / n : NAN;
		p.syscalls = p.uring_ops = NAN;
	} else {
		p.voluntary = voluntary / n;
		p.involuntary = involuntary / n;
		p.syscalls = counts_syscalls(&r->counts) / n;
		p.uring_ops = counts_submitted(&r->counts) / n;
	}
	p.switches = p.voluntary + p.involuntary;
	p.user_switches = r->has_user ? user_stats_get(&r->user, "switches") / n
			  : r->told_requests > 0 ? r->told / r->told_requests
						 : NAN;
	p.cpu_ns = r->cpu_ns / n;
	return p;
}

char *demo_user_note(const struct demo *d)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		abort();
	fputs("in user space, by each runtime's own count", f);
	for (unsigned i = 0; i < d->options.nr_models; i++)
		if (d->options.model[i]->switches_are)
			fprintf(f, "; %s: %s", d->options.model[i]->name,
				d->options.model[i]->switches_are);
	fclose(f);
	return text;
}

const char *demo_user_switches(const struct demo_row *r)
{
	const struct model *m = r->model;
	bool got = r->has_user || r->told_requests > 0;

	return got && m->switches_are ? m->switches_are : m->no_switches;
}
