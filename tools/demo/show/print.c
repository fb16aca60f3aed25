// SPDX-License-Identifier: MIT
/* The result of `urt demo` for people, on a terminal of 100 columns. */
#define _GNU_SOURCE
#include "print.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *print_cell(char buf[16], double v)
{
	if (isnan(v))
		return "n/a";
	if (v == 0)
		return "0";
	if (v < 0.001)
		snprintf(buf, 16, "<.001");
	else if (v < 9.9995)
		snprintf(buf, 16, "%.3f", v);
	else if (v < 99.95)
		snprintf(buf, 16, "%.1f", v);
	else
		snprintf(buf, 16, "%.0f", v);
	return buf;
}

static void print_host(FILE *f, const struct demo *d)
{
	const struct demo_host *h = &d->host;
	char versions[600];

	fprintf(f, "\nuring_rt: one HTTP service in %u models of concurrency\n",
		d->options.nr_models);
	fprintf(f, "%s, %ld CPUs (%s), %s, %.1f GB; %s\n", h->kernel, h->cpus,
		h->cpu_model, h->hardware, h->memory / 1e9, h->time);
	fprintf(f, "%s\n", demo_versions(h, versions, sizeof(versions)));
	fprintf(f, "Mitigations: %s\n", h->mitigations);
	fprintf(f,
		"Limits: pid_max %ld, threads-max %ld, max_map_count %ld; "
		"cgroup: cpu %s, memory %s, pids %s\n",
		h->pid_max, h->threads_max, h->max_map_count, h->cgroup_cpu,
		h->cgroup_memory, h->cgroup_pids);
	if (d->server_cpu >= 0)
		fprintf(f,
			"Servers run on CPU %d, the load generator and the "
			"backend on CPU %d; keep-alive, the same socket\n"
			"options and 4096 bytes of read buffer for all.\n",
			d->server_cpu, d->load_cpu);
	else
		fprintf(f, "One CPU: servers and load share it.\n");
	fputs("All models parse the same minimal HTTP/1.1 on plain TCP "
	      "sockets: models are compared, not HTTP libraries.\n",
	      f);
	if (d->options.redis_port)
		fprintf(f,
			"GET /wait asks Redis on port %d (%s): SET and GET of "
			"a key, over %d connections\nthat all clients of a "
			"server share.\n",
			d->options.redis_port,
			d->redis_ours ? "started by the demo"
				      : "it was running",
			BACKEND_POOL);
	if (d->counted)
		fputs("Counting by BPF slows each system call and switch a "
		      "little; the figures of GET include it, no others do.\n",
		      f);
	else
		fprintf(f, "Counted by /proc only: %s\n", d->why_no_bpf);
}

/* ---- under load ---- */

static void print_row_head(FILE *f, const struct demo *d,
			   const struct demo_row *r)
{
	long rounds = r->nr_rounds ? (long)r->nr_rounds : d->options.rounds;
	char title[96];

	fprintf(f,
		"\n%s, closed loop, %ld round%s of %g s\n"
		"  %-11s %8s %5s %7s %7s | %44s | %6s\n"
		"  %-11s %8s %5s %7s %7s | %8s %8s %8s %8s %8s |\n",
		demo_row_title(r, title), rounds, rounds == 1 ? "" : "s",
		d->options.seconds, "", "requests", "", "p50", "p99",
		"per request          ", "threads", "model", "/s", "+-%", "ms",
		"ms", "switches", "syscalls", "uring op", "user sw", "CPU us");
}

static void print_row(FILE *f, const struct demo_row *r)
{
	struct demo_per_request p;
	char b[6][16], spread[16] = "", rps[24];

	if (!demo_ok(&r->outcome)) {
		fprintf(f, "  %-11s %s: %s\n", r->model->name,
			demo_status_names[r->outcome.status],
			r->outcome.reason);
		return;
	}
	p = demo_per_request(r);
	if (r->nr_rounds > 1)
		snprintf(spread, sizeof(spread), "%.0f",
			 ROW_SPREAD(r, rps) * 100);
	snprintf(rps, sizeof(rps), "%s%.0f", demo_load_was_limit(r) ? ">" : "",
		 ROW_MEDIAN(r, rps));
	fprintf(f, "  %-11s %8s %5s %7.2f %7.2f | %8s %8s %8s %8s %8s | %6ld",
		r->model->name, rps, spread, ROW_MEDIAN(r, p50_ns) / 1e6,
		ROW_MEDIAN(r, p99_ns) / 1e6, print_cell(b[0], p.switches),
		print_cell(b[1], p.syscalls), print_cell(b[2], p.uring_ops),
		print_cell(b[3], p.user_switches),
		print_cell(b[4], ROW_MEDIAN(r, cpu_ns) / 1e3), r->threads);
	if (r->errors)
		fprintf(f, "  %llu errors", (unsigned long long)r->errors);
	fputc('\n', f);
}

/* In lines of at most 95 characters, two spaces in. */
static void print_wrapped(FILE *f, const char *text)
{
	while (*text) {
		size_t n = strlen(text);

		if (n > 93)
			for (n = 93; n && text[n] != ' ';)
				n--;
		fprintf(f, "  %.*s\n", (int)n, text);
		text += n;
		text += strspn(text, " ");
	}
}

static void print_rows(FILE *f, const struct demo *d)
{
	const struct demo_row *last = NULL;
	char *note, *notes;

	for (unsigned i = 0; i < d->nr_rows; i++) {
		const struct demo_row *r = &d->row[i];

		if (r->outcome.status == DEMO_NOT_RUN)
			continue;
		if (!last || !demo_same_table(last, r))
			print_row_head(f, d, r);
		print_row(f, r);
		last = r;
	}
	if (!last)
		return;
	note = demo_user_note(d);
	if (asprintf(&notes,
		     "switches: of threads, by the kernel. uring op: requests "
		     "to io_uring, which batching hides from the system calls. "
		     "user sw: %s. +-: the furthest round from the median. >: "
		     "the load generator was the limit: the server can do "
		     "more, and CPU us still compares the servers.",
		     note) < 0)
		abort();
	fputc('\n', f);
	print_wrapped(f, notes);
	free(notes);
	free(note);
}

static void print_load(FILE *f, const struct demo_row *r)
{
	struct demo_per_request p = demo_per_request(r);
	const struct histogram *h = &r->latency;
	char b[5][16], name[16];

	fprintf(f,
		"  %-5s %8.0f %8.0f | %7.2f %7.2f %7.2f %7.1f | %7s %7s %7s "
		"%7s %7s",
		demo_load_name(r->share, name),
		r->rate ? r->rate : ROW_MEDIAN(r, rps), ROW_MEDIAN(r, rps),
		histogram_percentile(h, 0.5) / 1e6,
		histogram_percentile(h, 0.99) / 1e6,
		histogram_percentile(h, 0.999) / 1e6, h->max / 1e6,
		print_cell(b[0], p.switches), print_cell(b[1], p.syscalls),
		print_cell(b[2], p.uring_ops),
		print_cell(b[3], p.user_switches),
		print_cell(b[4], ROW_MEDIAN(r, cpu_ns) / 1e3));
	if (r->errors)
		fprintf(f, "  %llu errors", (unsigned long long)r->errors);
	fputc('\n', f);
}

static void print_model_loads(FILE *f, const struct demo *d,
			      const struct model *m)
{
	bool head = false;

	for (unsigned i = 0; i < d->options.loads->len; i++) {
		const struct demo_row *r = demo_load(d, m, i);

		if (r && !head)
			fprintf(f, "  %s\n", m->name);
		head |= r != NULL;
		if (r)
			print_load(f, r);
	}
	for (unsigned i = 0; i < d->nr_loads; i++) {
		const struct demo_row *r = &d->load[i];

		if (r->model != m || r->outcome.status == DEMO_NOT_RUN ||
		    demo_ok(&r->outcome))
			continue;
		fprintf(f, "  %s: %s: %s\n", m->name,
			demo_status_names[r->outcome.status],
			r->outcome.reason);
		break;
	}
}

static void print_loads(FILE *f, const struct demo *d)
{
	bool any = false;

	for (unsigned i = 0; i < d->nr_loads; i++)
		any |= d->load[i].outcome.status != DEMO_NOT_RUN;
	if (!any)
		return;
	fprintf(f,
		"\nKernel work by load: GET /, %d connections; idle to 90 %% "
		"are open loops, latencies from when a\nrequest was due; full "
		"is a closed loop\n"
		"  %-5s %8s %8s | %7s %7s %7s %7s | %7s %7s %7s %7s %7s\n"
		"  %-5s %8s %8s | %7s %7s %7s %7s | %39s\n",
		DEMO_LOADS_CONNS, "load", "due/s", "done/s", "p50", "p99",
		"p99.9", "max", "kernel", "system", "uring", "user", "CPU", "",
		"", "", "ms", "ms", "ms", "ms",
		"switch   calls     ops  switch us/req");
	for (unsigned i = 0; i < d->options.nr_models; i++)
		print_model_loads(f, d, d->options.model[i]);
}

/* ---- the other measurements ---- */

static void print_second(FILE *f, const struct demo_second *m)
{
	unsigned n = m->nr_rounds;
	double load = demo_median_of(m->load.rps, n);
	double wrk = demo_median_of(m->wrk.rps, n);
	char b[80];

	if (!demo_ok(&m->outcome) || !n) {
		fprintf(f, "  %-14s %s: %s\n", m->model->name,
			demo_status_names[m->outcome.status],
			m->outcome.reason);
		return;
	}
	fprintf(f,
		"  %-14s %8.0f %8.0f %5.2f | %5.1f %5.1f | %4.0f %4.0f  %s\n",
		m->model->name, load, wrk, wrk / load,
		demo_median_of(m->load.server_cpu_ns, n) / 1e3,
		demo_median_of(m->wrk.server_cpu_ns, n) / 1e3,
		demo_median_of(m->load.cpu, n) * 100,
		demo_median_of(m->wrk.cpu, n) * 100, demo_second_verdict(m, b));
}

static void print_seconds(FILE *f, const struct demo *d)
{
	bool head = false;

	for (unsigned i = 0; i < d->nr_seconds; i++) {
		const struct demo_second *m = &d->second[i];

		if (m->outcome.status == DEMO_NOT_RUN)
			continue;
		if (!head)
			fprintf(f,
				"\nThe same by a second generator: GET /, %ld "
				"connections, alternating rounds, not counted\n"
				"  %-14s %8s %8s %5s | %11s | %9s\n"
				"  %-14s %8s %8s %5s | %5s %5s | %4s %4s  %s\n",
				m->connections, "", "urt load", "wrk", "",
				"CPU us/req", "its CPU %", "model", "/s", "/s",
				"times", "load", "wrk", "load", "wrk",
				"the difference");
		head = true;
		print_second(f, m);
	}
}

/* Of one request, or n/a. */
static const char *kb(char buf[24], const struct demo_hold *h, double bytes)
{
	if (isnan(bytes))
		return "n/a";
	snprintf(buf, 24, "%.2f", bytes / h->waiting / 1e3);
	return buf;
}

static void print_hold(FILE *f, const struct demo_hold *h)
{
	char process[24], kernel[24], both[24] = "n/a";
	double bytes = h->process_bytes + h->kernel_bytes;

	if (!demo_ok(&h->outcome)) {
		fprintf(f, "  %-11s %s: %s\n", h->model->name,
			demo_status_names[h->outcome.status],
			h->outcome.reason);
		return;
	}
	if (!isnan(bytes))
		snprintf(both, sizeof(both), "%.1f", bytes / 1e6);
	fprintf(f, "  %-11s %8ld %8ld %8ld %8.2f %8.2f %9s %9s %9s\n",
		h->model->name, h->waiting, h->answered, h->threads,
		h->connect_ns / 1e9, h->answer_ns / 1e9,
		kb(process, h, h->process_bytes),
		kb(kernel, h, h->kernel_bytes), both);
	if (*h->memory_reason)
		fprintf(f, "  %11s n/a: %s\n", "", h->memory_reason);
	if (*h->limit)
		fprintf(f, "  %11s stopped: %s\n", "", h->limit);
}

/* How many requests shared a number of switches or calls: those that were not
 * tried do not say. */
static unsigned processes(const struct demo *d, long wanted)
{
	unsigned most = 1;

	for (unsigned i = 0; i < d->nr_holds; i++)
		if (d->hold[i].wanted == wanted && d->hold[i].processes > most)
			most = d->hold[i].processes;
	return most;
}

static void print_holds(FILE *f, const struct demo *d)
{
	long last = 0;

	for (unsigned i = 0; i < d->nr_holds; i++) {
		const struct demo_hold *h = &d->hold[i];

		if (h->outcome.status == DEMO_NOT_RUN)
			continue;
		if (h->wanted != last)
			fprintf(f,
				"\n%ld requests that wait at the same time, "
				"in %u process%s\n"
				"  %-11s %8s %8s %8s %8s %8s %9s %9s %9s\n"
				"  %-11s %8s %8s %8s %8s %8s %9s %9s %9s\n",
				h->wanted, processes(d, h->wanted),
				processes(d, h->wanted) > 1
					? "es (as many as the limit "
					  "of open descriptors makes "
					  "necessary)"
					: "",
				"", "", "", "", "connect", "answer", "process",
				"kernel", "both", "model", "waiting",
				"answered", "threads", "s", "s", "KB each",
				"KB each", "MB in all");
		last = h->wanted;
		print_hold(f, h);
	}
	if (last)
		fputs("\n  kernel: slab, stacks and page tables of the whole "
		      "kernel, with both ends of all sockets,\n  which are the "
		      "same for each model.\n",
		      f);
}

static void print_bursts(FILE *f, const struct demo *d)
{
	bool head = false;

	for (unsigned i = 0; i < d->nr_bursts; i++) {
		const struct demo_burst *b = &d->burst[i];
		const struct histogram *l = &b->latency;

		if (b->outcome.status == DEMO_NOT_RUN)
			continue;
		if (!head)
			fprintf(f,
				"\nLight requests, 1000/s due (open loop), with a 200 ms burst of CPU each second, one CPU\n"
				"  %-12s %8s %8s %8s %8s %10s\n",
				"model", "p50 ms", "p90 ms", "p99 ms", "max ms",
				"burst ms");
		head = true;
		if (demo_ok(&b->outcome))
			fprintf(f, "  %-12s %8.2f %8.2f %8.2f %8.1f %10.0f\n",
				b->model->name,
				histogram_percentile(l, 0.5) / 1e6,
				histogram_percentile(l, 0.9) / 1e6,
				histogram_percentile(l, 0.99) / 1e6,
				l->max / 1e6, b->burst_ns / 1e6);
		else
			fprintf(f, "  %-12s %s: %s\n", b->model->name,
				demo_status_names[b->outcome.status],
				b->outcome.reason);
	}
}

static void print_stall(FILE *f, const struct demo_stall *m)
{
	const struct histogram *a = &m->plain, *b = &m->loop;
	char t[4][16];

	if (!demo_ok(&m->outcome) || !m->nr_rounds) {
		fprintf(f, "  %-15s %-10s %s: %s\n", stall_cases[m->nth].name,
			m->model->name, demo_status_names[m->outcome.status],
			m->outcome.reason);
		return;
	}
	fprintf(f, "  %-15s %-10s %8.0f | %7s %7s | %7s %7s\n",
		stall_cases[m->nth].name, m->model->name,
		demo_median_of(m->rate, m->nr_rounds),
		print_cell(t[0], demo_ms(a, 0.99)),
		print_cell(t[1], demo_ms(a, 0.999)),
		print_cell(t[2], demo_ms(b, 0.99)),
		print_cell(t[3], demo_ms(b, 0.999)));
}

static void print_stalls(FILE *f, const struct demo *d)
{
	bool head = false;

	for (unsigned i = 0; i < d->nr_stalls; i++) {
		const struct demo_stall *m = &d->stall[i];

		if (m->outcome.status == DEMO_NOT_RUN)
			continue;
		if (!head)
			fprintf(f,
				"\nMessages of which some carry a busy loop, "
				"one CPU, the load on another; ms\n"
				"  %-15s %-10s %8s | %15s | %15s\n"
				"  %-15s %-10s %8s | %7s %7s | %7s %7s\n",
				"loops ask for", "", "answers",
				"without a loop", "with one", "% of the CPU",
				"model", "/s", "p99", "p99.9", "p99", "p99.9");
		head = true;
		print_stall(f, m);
	}
}

static void print_scales(FILE *f, const struct demo *d)
{
	bool head = false;

	for (unsigned i = 0; i < d->nr_scales; i++) {
		const struct demo_scale *m = &d->scale[i];

		if (m->outcome.status == DEMO_NOT_RUN)
			continue;
		if (!head)
			fprintf(f,
				"\nRequests that burn 5 ms of CPU, requests/s\n"
				"  %-12s %8s %8s %8s\n",
				"model", "1 CPU", "all", "speed-up");
		head = true;
		if (demo_ok(&m->outcome))
			fprintf(f, "  %-12s %8.0f %8.0f %8.2f\n",
				m->model->name, demo_scale_median(m, false),
				demo_scale_median(m, true), demo_speedup(m));
		else
			fprintf(f, "  %-12s %s: %s\n", m->model->name,
				demo_status_names[m->outcome.status],
				m->outcome.reason);
	}
}

void demo_print_part(FILE *f, const struct demo *d, enum demo_part part)
{
	static void (*const parts[DEMO_PARTS])(FILE *, const struct demo *) = {
		[PART_HOST] = print_host,
		[PART_LOADS] = print_loads,
		[PART_ROWS] = print_rows,
		[PART_SECOND] = print_seconds,
		[PART_HOLDS] = print_holds,
		[PART_BURSTS] = print_bursts,
		[PART_STALLS] = print_stalls,
		[PART_SCALES] = print_scales,
		[PART_CONCLUSIONS] = print_conclusions,
	};

	parts[part](f, d);
}
