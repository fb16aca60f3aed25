// SPDX-License-Identifier: MIT
/*
 * Whether a run is late. Its limit is one of real time, but must not depend on how busy
 * the machine is: a run at low priority was seen to wait 31 s for a CPU. So a run that
 * has used less CPU time than the limit is not late while one of its threads waits for
 * a CPU, or is stopped. The report of a late run says where its threads are in the
 * kernel.
 */
#define _GNU_SOURCE
#include "sim.h"
#include "../lib/proc.h"
#include <dirent.h>
#include <string.h>

static int64_t cpu_ns(pid_t pid)
{
	int64_t user_ns = 0, system_ns = 0;
	char path[64], stat[1024];

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (proc_text(path, stat, sizeof(stat)))
		proc_cpu(stat, &user_ns, &system_ns);
	return user_ns + system_ns;
}

/* Whether `is` holds for some thread. It gets the letter of the thread's state and the
 * kernel function in which the thread waits, and is called until it holds. */
static bool some_thread(pid_t pid,
			bool (*is)(FILE *, const char *tid, char state,
				   const char *in),
			FILE *to)
{
	char path[320], state[64], in[128];
	struct dirent *e;
	bool found = false;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	while (d && !found && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/status", pid,
			 e->d_name);
		proc_field(path, "State:", state, sizeof(state));
		snprintf(path, sizeof(path), "/proc/%d/task/%s/wchan", pid,
			 e->d_name);
		proc_line(path, in, sizeof(in));
		found = is(to, e->d_name, state[0], in);
	}
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
