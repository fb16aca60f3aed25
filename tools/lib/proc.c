// SPDX-License-Identifier: MIT
/* Reading the small text files of /proc and /sys; see proc.h for what each
 * function promises. */
#define _GNU_SOURCE
#include "proc.h"
#include "tool.h"
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE 4096

char *proc_next_line(FILE *f, char *buf, size_t size)
{
	size_t len;

	if (!f || !fgets(buf, size, f))
		return NULL;
	len = strcspn(buf, "\n");
	for (int c = buf[len]; c != '\n' && c != EOF;)
		c = getc(f);
	buf[len] = '\0';
	return buf;
}

bool proc_line(const char *path, char *buf, size_t size)
{
	return proc_field(path, "", buf, size);
}

bool proc_field(const char *path, const char *field, char *buf, size_t size)
{
	char line[LINE];
	bool found = false;
	FILE *f = fopen(path, "re");

	buf[0] = '\0';
	while (!found && proc_next_line(f, line, sizeof(line))) {
		const char *value = line + strlen(field);

		if (strncmp(line, field, strlen(field)))
			continue;
		snprintf(buf, size, "%s", value + strspn(value, " \t"));
		found = true;
	}
	if (f)
		fclose(f);
	return found;
}

bool proc_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t n = 0;
	ssize_t got = 0;

	do {
		n += got;
		got = fd < 0 ? 0 : read(fd, text + n, size - 1 - n);
	} while (got > 0);
	if (fd >= 0)
		close(fd);
	text[n] = '\0';
	return n;
}

pid_t proc_own_number(const char *status)
{
	char line[256];
	const char *last;

	if (!proc_field(status, "NSpid:", line, sizeof(line)))
		return -1;
	last = strrchr(line, '\t');
	return atoi(last ? last + 1 : line);
}

long proc_field_number(const char *path, const char *field, int base,
		       long otherwise)
{
	char text[64], *end;
	long n;

	if (!proc_field(path, field, text, sizeof(text)))
		return otherwise;
	n = strtol(text, &end, base);
	return end == text ? otherwise : n;
}

long proc_number(const char *path, long otherwise)
{
	return proc_field_number(path, "", 10, otherwise);
}

long proc_status(pid_t pid, const char *field)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	return proc_field_number(path, field, 10, 0);
}

unsigned proc_children(pid_t pid, pid_t *children, unsigned max)
{
	char path[64];
	unsigned n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	f = fopen(path, "re");
	while (f && n < max && fscanf(f, "%d", &children[n]) == 1)
		n++;
	if (f)
		fclose(f);
	return n;
}

long proc_meminfo(const char *field)
{
	return proc_field_number("/proc/meminfo", field, 10, 0) * 1024;
}

bool proc_has(const char *path, const char *what)
{
	char line[LINE];
	bool has = false;
	FILE *f = fopen(path, "re");

	while (f && !has && fgets(line, sizeof(line), f))
		has = strstr(line, what);
	if (f)
		fclose(f);
	return has;
}

long proc_lines(const char *path)
{
	FILE *f = fopen(path, "re");
	long n = 0;
	int c;

	while (f && (c = getc(f)) != EOF)
		n += c == '\n';
	if (f)
		fclose(f);
	return n;
}

struct proc_thread {
	pid_t tid;
	unsigned long voluntary, involuntary;
};

/* False: it has ended. A thread with many groups has a long status. */
static bool thread_switches(pid_t pid, struct proc_thread *t)
{
	static const char first[] = "\nvoluntary_ctxt_switches:";
	static char text[1 << 20];
	char path[64];
	const char *at;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", pid, t->tid);
	at = proc_text(path, text, sizeof(text)) ? strstr(text, first) : NULL;
	return at && sscanf(at,
			    "\nvoluntary_ctxt_switches: %lu "
			    "nonvoluntary_ctxt_switches: %lu",
			    &t->voluntary, &t->involuntary) == 2;
}

/* The same thread at the last look. Both lists are in the order in which the
 * threads began, so it is usually the next one. */
static const struct proc_thread *last_seen(const struct proc_switches *s,
					   pid_t tid, unsigned *next)
{
	for (unsigned i = 0; i < s->threads; i++) {
		unsigned at = (*next + i) % s->threads;

		if (s->thread[at].tid == tid) {
			*next = at + 1;
			return &s->thread[at];
		}
	}
	return NULL;
}

/* The thread's switches since the last look; all of them if its number belonged
 * to another thread then. */
static void add_thread(struct proc_switches *s, const struct proc_thread *t,
		       const struct proc_thread *was)
{
	bool same = was && was->voluntary <= t->voluntary &&
		    was->involuntary <= t->involuntary;

	s->voluntary += t->voluntary - (same ? was->voluntary : 0);
	s->involuntary += t->involuntary - (same ? was->involuntary : 0);
}

bool proc_switches_look(struct proc_switches *s, pid_t pid, bool alone)
{
	struct proc_thread *now = NULL, *more, t;
	unsigned n = 0, size = 0, next = 0;
	char path[64];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	if (!d)
		return false;
	while ((e = readdir(d))) {
		t.tid = atoi(e->d_name);
		if (!t.tid || (alone && t.tid != pid) ||
		    !thread_switches(pid, &t))
			continue;
		if (n == size) {
			size = 2 * size + 16;
			more = realloc(now, size * sizeof(t));
			if (!more)
				break;
			now = more;
		}
		now[n++] = t;
		add_thread(s, &t, last_seen(s, t.tid, &next));
	}
	closedir(d);
	free(s->thread);
	s->thread = now;
	s->threads = n;
	return !e;
}

void proc_switches_free(struct proc_switches *s)
{
	free(s->thread);
	*s = (struct proc_switches){ 0 };
}

bool proc_is_ours(void)
{
	char self[32] = "";
	struct stat st;

	if (readlink("/proc/self", self, sizeof(self) - 1) > 0)
		return atol(self) == getpid();
	/* The link leads nowhere where that namespace does not know us. */
	return lstat("/proc/self", &st) != 0;
}

bool sysfs_is_mounted(void)
{
	return !access("/sys/kernel", R_OK);
}

/* The fields after the name, which may hold any characters, even ')' and newlines. */
static const char *fields_of(const char *stat)
{
	const char *end = strrchr(stat, ')');

	return end ? end + 1 : "";
}

bool proc_cpu(const char *stat, int64_t *user_ns, int64_t *system_ns)
{
	unsigned long user, sys;
	long hz = sysconf(_SC_CLK_TCK);

	if (sscanf(fields_of(stat),
		   " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
		   &user, &sys) != 2)
		return false;
	*user_ns = user * NS_PER_S / hz;
	*system_ns = sys * NS_PER_S / hz;
	return true;
}

bool proc_program(const char *stat, uint64_t *end_code, uint64_t *start_stack)
{
	const char *p = fields_of(stat);

	for (int field = 3; p && field < 26; field++) /* proc(5) */
		p = strchr(p + 1, ' ');
	return p && sscanf(p, " %*u %" SCNu64 " %" SCNu64, end_code,
			   start_stack) == 2;
}

bool proc_transfers(const char *io, int64_t *reads, int64_t *writes)
{
	const char *p = strstr(io, "syscr:");

	return p && sscanf(p, "syscr: %" SCNd64 " syscw: %" SCNd64, reads,
			   writes) == 2;
}

bool cgroup_cpu(const char *directory, int64_t *user_ns, int64_t *system_ns)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/cpu.stat", directory);
	*user_ns = proc_field_number(path, "user_usec", 10, -1) * 1000;
	*system_ns = proc_field_number(path, "system_usec", 10, -1) * 1000;
	return *user_ns >= 0 && *system_ns >= 0;
}

double proc_busy_s(void)
{
	static const bool counts[] = { true,
				       true,
				       true,
				       false, /* idle */
				       false /* iowait */,
				       true,
				       true,
				       true };
	char line[256], *p = line;
	double ticks = 0;

	if (!proc_field("/proc/stat", "cpu ", line, sizeof(line)))
		return NAN;
	for (unsigned i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		unsigned long n = strtoul(p, &p, 10);

		ticks += counts[i] ? n : 0;
	}
	return ticks / sysconf(_SC_CLK_TCK);
}
