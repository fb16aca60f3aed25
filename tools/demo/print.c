// SPDX-License-Identifier: MIT
/* The result of `urt demo`, for people and as urt.demo.v1. */
#define _GNU_SOURCE
#include "../peers/peers.h"
#include "demo.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static const char *const status_names[] = { "ok", "skipped", "failed",
					    "not run" };
static const char *const verdict_names[] = { "holds", "does not hold",
					     "not measured" };

/* ---- the machine ---- */

static void cpu_field(const char *field, char *buf, size_t size)
{
	char line[4096];
	FILE *f = fopen("/proc/cpuinfo", "re");

	snprintf(buf, size, "unknown");
	while (f && fgets(line, sizeof(line), f)) {
		char *value = strchr(line, ':');

		if (strncmp(line, field, strlen(field)) || !value)
			continue;
		value[strcspn(value, "\n")] = '\0';
		snprintf(buf, size, "%s", value + 1 + (value[1] == ' '));
		break;
	}
	if (f)
		fclose(f);
}

/* x86 says so in the CPU's flags; elsewhere nothing simple does. */
static const char *hardware(void)
{
	char flags[4096];

	cpu_field("flags", flags, sizeof(flags));
	if (!strcmp(flags, "unknown"))
		return "virtual or not: unknown";
	return strstr(flags, " hypervisor") ? "virtual machine"
					    : "real hardware";
}

static void versions(char node[64], char go[64])
{
	peer_version("node --version 2>/dev/null", node, 64);
	peer_version("go version 2>/dev/null", go, 64);
}

/* ---- text ---- */

/* A number in six columns, or n/a. */
static const char *cell(char buf[16], double v)
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

static void print_row(FILE *f, const struct demo_row *r)
{
	struct demo_per_request p;
	char b[7][16];

	if (r->status != DEMO_OK) {
		fprintf(f, "  %-11s %s: %s\n", r->model->name,
			status_names[r->status], r->reason);
		return;
	}
	p = demo_per_request(r);
	fprintf(f, "  %-11s %8.0f %8.2f %8.2f | %8s %8s %8s %8s %8s | %6ld",
		r->model->name, r->requests / r->seconds,
		histogram_percentile(&r->latency, 0.5) / 1e6,
		histogram_percentile(&r->latency, 0.99) / 1e6,
		cell(b[0], p.switches), cell(b[1], p.syscalls),
		cell(b[2], p.uring_ops), cell(b[3], p.user_switches),
		cell(b[4], p.cpu_ns / 1e3), r->threads);
	if (r->errors)
		fprintf(f, "  %llu errors", (unsigned long long)r->errors);
	fputc('\n', f);
}

static void print_table(FILE *f, const struct demo *d, const char *path)
{
	bool head = false;

	for (unsigned i = 0; i < d->nr_rows; i++) {
		const struct demo_row *r = &d->row[i];

		if (strncmp(r->path, path, strlen(path)) ||
		    r->path[strlen(path)] > '?')
			continue;
		if (!head)
			fprintf(f,
				"\nGET %s, %ld connections\n"
				"  %-11s %8s %8s %8s | %44s | %6s\n"
				"  %-11s %8s %8s %8s | %8s %8s %8s %8s %8s |\n",
				r->path, d->options.connections, "", "requests",
				"p50", "p99", "per request          ",
				"threads", "model", "/s", "ms", "ms",
				"switches", "syscalls", "uring op", "user sw",
				"CPU us");
		head = true;
		print_row(f, r);
	}
}

static void print_host(FILE *f, const struct demo *d)
{
	struct utsname u;
	char cpu[128], node[64], go[64];

	uname(&u);
	cpu_field("model name", cpu, sizeof(cpu));
	versions(node, go);
	fprintf(f, "\nuring_rt: one HTTP service in %u models of concurrency\n",
		d->options.nr_models);
	fprintf(f, "%s %s, %ld CPUs (%s), %s\n", u.sysname, u.release,
		sysconf(_SC_NPROCESSORS_ONLN), cpu, hardware());
	fprintf(f, "Node: %s; Go: %s\n", *node ? node : "not installed",
		*go ? go : "not installed");
	if (d->server_cpu >= 0)
		fprintf(f,
			"Servers run on CPU %d, the load generator and the "
			"backend on CPU %d; closed loop, keep-alive.\n",
			d->server_cpu, d->load_cpu);
	else
		fprintf(f, "One CPU: servers and load share it.\n");
	fputs("All models parse the same minimal HTTP/1.1 on plain TCP "
	      "sockets: models are compared, not HTTP libraries.\n",
	      f);
	if (d->counted)
		fputs("Counting by BPF slows each system call and switch a "
		      "little; all figures include it.\n",
		      f);
	else
		fprintf(f, "Counted by /proc only: %s\n", d->why_no_bpf);
}

static void print_claims(FILE *f, const struct demo *d)
{
	fputs("\nClaims\n", f);
	for (int i = 0; i < DEMO_CLAIMS; i++) {
		const struct demo_claim *c = &d->claim[i];

		fprintf(f, "  %d. %s: %s\n", c->id, c->text,
			verdict_names[c->verdict]);
		fprintf(f, "     %s\n",
			c->verdict == CLAIM_NOT_MEASURED ? c->reason
							 : c->measured);
	}
}

static void print_warnings(FILE *f, const struct demo *d)
{
	for (unsigned i = 0; i < d->nr_rows; i++) {
		const struct demo_row *r = &d->row[i];

		if (r->status == DEMO_OK && r->load_cpu > 0.95 &&
		    r->cpu_ns < 0.9 * r->seconds * 1e9)
			fprintf(f,
				"warning: %s on %s: the load generator was the "
				"bottleneck (%.0f %% of its CPU)\n",
				r->model->name, r->path, r->load_cpu * 100);
		if (r->status == DEMO_OK && r->counts.lost)
			fprintf(f, "warning: %s on %s: %llu events lost\n",
				r->model->name, r->path,
				(unsigned long long)r->counts.lost);
	}
	if (d->interrupted)
		fputs("Interrupted: this is what was measured until then.\n",
		      f);
}

void demo_print_text(FILE *f, const struct demo *d)
{
	print_host(f, d);
	print_table(f, d, "/");
	print_table(f, d, "/wait");
	fputs("\n  switches: of threads, by the kernel. uring op: requests to "
	      "io_uring, which batching hides\n  from the system calls. user "
	      "sw: switches of coroutines, in user space.\n",
	      f);
	print_claims(f, d);
	print_warnings(f, d);
	fprintf(f, "\n%.0f s in all.\n", (now_ns() - d->begin_ns) / 1e9);
}

/* ---- urt.demo.v1 ---- */

static void json_host(struct json *j)
{
	struct utsname u;
	char cpu[128], node[64], go[64];

	uname(&u);
	cpu_field("model name", cpu, sizeof(cpu));
	versions(node, go);
	json_object(j, "host");
	json_string(j, "kernel", u.release);
	json_string(j, "machine", u.machine);
	json_int(j, "cpus", sysconf(_SC_NPROCESSORS_ONLN));
	json_string(j, "cpu_model", cpu);
	json_string(j, "hardware", hardware());
	json_object(j, "versions");
	json_string(j, "urt", "0.1.0");
	if (*node)
		json_string(j, "node", node);
	else
		json_null(j, "node");
	if (*go)
		json_string(j, "go", go);
	else
		json_null(j, "go");
	json_end_object(j);
	json_end_object(j);
}

static void json_per_request(struct json *j, const struct demo_row *r)
{
	struct demo_per_request p = demo_per_request(r);

	json_object(j, "per_request");
	json_double(j, "switches", p.switches);
	json_double(j, "voluntary", p.voluntary);
	json_double(j, "involuntary", p.involuntary);
	json_double(j, "syscalls", p.syscalls);
	json_double(j, "uring_ops", p.uring_ops);
	json_double(j, "user_switches", p.user_switches);
	json_double(j, "cpu_ns", p.cpu_ns);
	json_end_object(j);
}

static void json_row(struct json *j, const struct demo *d,
		     const struct demo_row *r)
{
	json_object(j, NULL);
	json_string(j, "model", r->model->name);
	json_string(j, "unit", r->model->unit);
	json_string(j, "waits_in", r->model->waits_in);
	json_string(j, "path", r->path);
	json_string(j, "status", status_names[r->status]);
	if (r->status != DEMO_OK) {
		json_string(j, "reason", r->reason);
		json_end_object(j);
		return;
	}
	json_null(j, "reason");
	json_int(j, "connections", d->options.connections);
	json_int(j, "requests", r->requests);
	json_int(j, "errors", r->errors);
	json_double(j, "rps", r->requests / r->seconds);
	json_object(j, "latency_ns");
	json_int(j, "p50", histogram_percentile(&r->latency, 0.5));
	json_int(j, "p90", histogram_percentile(&r->latency, 0.9));
	json_int(j, "p99", histogram_percentile(&r->latency, 0.99));
	json_int(j, "p999", histogram_percentile(&r->latency, 0.999));
	json_int(j, "max", r->latency.max);
	json_end_object(j);
	json_per_request(j, r);
	json_int(j, "threads", r->threads);
	json_int(j, "rss", r->rss);
	json_null(j, "memory_per_connection");
	json_double(j, "load_cpu", r->load_cpu);
	json_int(j, "lost", r->counts.lost);
	json_end_object(j);
}

static void json_claim(struct json *j, const struct demo_claim *c)
{
	json_object(j, NULL);
	json_int(j, "id", c->id);
	json_string(j, "text", c->text);
	json_object(j, "measured");
	for (unsigned i = 0; i < c->nr_figures; i++)
		json_double(j, c->figure[i].name, c->figure[i].value);
	json_end_object(j);
	json_string(j, "verdict", verdict_names[c->verdict]);
	if (c->verdict == CLAIM_NOT_MEASURED)
		json_string(j, "reason", c->reason);
	else
		json_null(j, "reason");
	json_end_object(j);
}

void demo_print_json(FILE *f, const struct demo *d)
{
	struct json j = { .out = f };

	json_object(&j, NULL);
	json_string(&j, "schema", "urt.demo.v1");
	json_host(&j);
	json_object(&j, "settings");
	json_int(&j, "connections", d->options.connections);
	json_int(&j, "seconds", d->options.seconds);
	json_int(&j, "wait_ms", d->options.wait_ms);
	json_int(&j, "server_cpu", d->server_cpu);
	json_int(&j, "load_cpu", d->load_cpu);
	json_string(&j, "source", d->counted ? "bpf" : "proc");
	json_end_object(&j);
	json_string(&j, "interrupted", d->interrupted ? "yes" : "no");
	json_array(&j, "models");
	for (unsigned i = 0; i < d->nr_rows; i++)
		json_row(&j, d, &d->row[i]);
	json_end_array(&j);
	json_array(&j, "claims");
	for (int i = 0; i < DEMO_CLAIMS; i++)
		json_claim(&j, &d->claim[i]);
	json_end_array(&j);
	json_object(&j, "unavailable");
	json_string(&j, "memory_per_connection",
		    "its experiment is not built yet in this version");
	if (!d->counted)
		json_string(&j, "per_request", d->why_no_bpf);
	json_end_object(&j);
	json_end_object(&j);
}
