// SPDX-License-Identifier: MIT
/* The measurements other than those under load, for people. */
#define _GNU_SOURCE
#include "print.h"
#include <math.h>
#include <string.h>

static void print_second(FILE *f, const struct demo_second *m)
{
	unsigned n = m->nr_rounds;
	double load = demo_median_of(m->load.rps, n);
	double wrk = demo_median_of(m->wrk.rps, n);
	char b[80];

	if (!demo_ok(&m->outcome) || !n) {
		print_failed(f, 14, m->model, &m->outcome);
		return;
	}
	fprintf(f,
		"  %-14s %8.0f %8.0f %5.2f | %5.1f %5.1f | %4.0f %4.0f%s%s\n",
		m->model->name, load, wrk, wrk / load,
		demo_median_of(m->load.server_cpu_ns, n) / 1e3,
		demo_median_of(m->wrk.server_cpu_ns, n) / 1e3,
		demo_median_of(m->load.cpu, n) * 100,
		demo_median_of(m->wrk.cpu, n) * 100,
		print_narrow(f) ? "\n      " : "  ", demo_second_verdict(m, b));
}

void print_seconds(FILE *f, const struct demo *d)
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
		print_failed(f, 11, h->model, &h->outcome);
		return;
	}
	if (!isnan(bytes))
		snprintf(both, sizeof(both), "%.1f", bytes / 1e6);
	fprintf(f, "  %-11s %8ld %8ld %8ld", h->model->name, h->waiting,
		h->answered, h->threads);
	if (!print_narrow(f))
		fprintf(f, " %8.2f %8.2f", h->connect_ns / 1e9,
			h->answer_ns / 1e9);
	fprintf(f, " %9s %9s %9s\n", kb(process, h, h->process_bytes),
		kb(kernel, h, h->kernel_bytes), both);
	if (*h->memory_reason)
		fprintf(f, "  %11s n/a: %s\n", "", h->memory_reason);
	if (*h->limit)
		fprintf(f, "  %11s stopped: %s\n", "", h->limit);
}

/* The number of processes that shared the requests: the most of all models,
 * since a model that was not tried has none. */
static unsigned processes(const struct demo *d, long wanted)
{
	unsigned most = 1;

	for (unsigned i = 0; i < d->nr_holds; i++)
		if (d->hold[i].wanted == wanted && d->hold[i].processes > most)
			most = d->hold[i].processes;
	return most;
}

static void print_hold_head(FILE *f, long wanted, unsigned n)
{
	bool narrow = print_narrow(f);

	fprintf(f,
		"\n%ld requests that wait at the same time, in %u process%s\n",
		wanted, n,
		n == 1	 ? ""
		: narrow ? "es"
			 : "es (as many as the limit of open descriptors makes "
			   "necessary)");
	fprintf(f,
		"  %-11s %8s %8s %8s%s %9s %9s %9s\n"
		"  %-11s %8s %8s %8s%s %9s %9s %9s\n",
		"", "", "", "", narrow ? "" : "  connect   answer", "process",
		"kernel", "both", "model", "waiting", "answered", "threads",
		narrow ? "" : "        s        s", "KB each", "KB each",
		"MB in all");
}

void print_holds(FILE *f, const struct demo *d)
{
	long last = 0;

	for (unsigned i = 0; i < d->nr_holds; i++) {
		const struct demo_hold *h = &d->hold[i];

		if (h->outcome.status == DEMO_NOT_RUN)
			continue;
		if (h->wanted != last)
			print_hold_head(f, h->wanted, processes(d, h->wanted));
		last = h->wanted;
		print_hold(f, h);
	}
	if (last)
		print_folded(f, "  ",
			     "kernel: slab, stacks and page tables of the "
			     "whole kernel, with both ends of all sockets, "
			     "which are the same for each model.");
}

static void print_burst_head(FILE *f)
{
	fputc('\n', f);
	print_folded(f, "",
		     "Light requests, 1000/s due (open loop), with a 200 ms "
		     "burst of CPU each second, one CPU");
	fprintf(f, "  %-12s %8s %8s %8s %8s %10s\n", "model", "p50 ms",
		"p90 ms", "p99 ms", "max ms", "burst ms");
}

void print_bursts(FILE *f, const struct demo *d)
{
	bool head = false;

	for (unsigned i = 0; i < d->nr_bursts; i++) {
		const struct demo_burst *b = &d->burst[i];
		const struct histogram *l = &b->latency;

		if (b->outcome.status == DEMO_NOT_RUN)
			continue;
		if (!head)
			print_burst_head(f);
		head = true;
		if (demo_ok(&b->outcome))
			fprintf(f, "  %-12s %8.2f %8.2f %8.2f %8.1f %10.0f\n",
				b->model->name,
				histogram_percentile(l, 0.5) / 1e6,
				histogram_percentile(l, 0.9) / 1e6,
				histogram_percentile(l, 0.99) / 1e6,
				l->max / 1e6, b->burst_ns / 1e6);
		else
			print_failed(f, 12, b->model, &b->outcome);
	}
}

static void print_stall(FILE *f, const struct demo_stall *m)
{
	const struct histogram *a = &m->plain, *b = &m->loop;
	char t[4][16];

	if (!demo_ok(&m->outcome) || !m->nr_rounds) {
		fprintf(f, "  %-14s", stall_cases[m->nth].name);
		print_failed(f, 10, m->model, &m->outcome);
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

void print_stalls(FILE *f, const struct demo *d)
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

void print_scales(FILE *f, const struct demo *d)
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
			print_failed(f, 12, m->model, &m->outcome);
	}
}
