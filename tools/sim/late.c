// SPDX-License-Identifier: MIT
/*
 * Whether a run is late. Its limit is one of real time, and must not depend on how busy
 * the machine is: a run at low priority was seen to wait 31 s for a CPU. So a run that
 * has used less of a CPU than the limit is not late while one of its threads waits for
 * a CPU, or is stopped. A late one is told with what its threads do in the kernel.
 */
#define _GNU_SOURCE
#include "sim.h"
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The first line of a file in /proc; "" if there is none. */
static char *line_of(char *buf, size_t size, pid_t pid, const char *task,
		     const char *name)
{
	char path[320];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d%s%s/%s", pid,
		 task ? "/task/" : "", task ? task : "", name);
	f = fopen(path, "re");
	if (!f || !fgets(buf, size, f))
		buf[0] = '\0';
	if (f)
		fclose(f);
	buf[strcspn(buf, "\n")] = '\0';
	return buf;
}

/* Behind the name, which may hold anything: proc_pid_stat(5). */
static const char *state_of(const char *stat)
{
	const char *p = strrchr(stat, ')');

	return p && p[1] ? p + 2 : "";
}

/* Of user and of system time, in the unit of clock ticks. */
static int64_t cpu_ns(pid_t pid)
{
	unsigned long user = 0, system = 0;
	char buf[1024];

	sscanf(state_of(line_of(buf, sizeof(buf), pid, NULL, "stat")),
	       "%*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %lu %lu", &user,
	       &system);
	return (int64_t)(user + system) * (NS_PER_S / sysconf(_SC_CLK_TCK));
}

/* Each thread, with its state's letter; until() is true: ends. */
static bool some_thread(pid_t pid,
			bool (*is)(FILE *, const char *tid, char state,
				   const char *in),
			FILE *to)
{
	char path[64], stat[1024], in[128];
	struct dirent *e;
	bool found = false;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	while (d && !found && (e = readdir(d)))
		if (e->d_name[0] != '.')
			found = is(to, e->d_name,
				   *state_of(line_of(stat, sizeof(stat), pid,
						     e->d_name, "stat")),
				   line_of(in, sizeof(in), pid, e->d_name,
					   "wchan"));
	if (d)
		closedir(d);
	return found;
}

static bool cannot_go_on(FILE *to, const char *tid, char state, const char *in)
{
	(void)to;
	(void)tid;
	(void)in;
	return state && strchr("RTt", state);
}

bool sim_waits_for_cpu(pid_t pid, int64_t limit_ns)
{
	return pid > 0 && cpu_ns(pid) < limit_ns &&
	       some_thread(pid, cannot_go_on, NULL);
}

static bool tell(FILE *to, const char *tid, char state, const char *in)
{
	fprintf(to, "  thread %s: state %c%s%s\n", tid, state,
		strcmp(in, "0") ? ", in " : "", strcmp(in, "0") ? in : "");
	return false;
}

void sim_tell_late(FILE *to, pid_t pid)
{
	fprintf(to, "urt sim: process %d is late, after %.2f s of CPU time:\n",
		pid, cpu_ns(pid) / 1e9);
	some_thread(pid, tell, to);
	fflush(to);
}
