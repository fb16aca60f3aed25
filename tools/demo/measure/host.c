// SPDX-License-Identifier: MIT
/* The machine of the figures: all facts that could explain them. */
#define _GNU_SOURCE
#include "lab.h"
#include "../../lib/proc.h"
#include "../../service/language.h"
#include <gnu/libc-version.h>
#include <sched.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

static void cpu_field(const char *field, char *buf, size_t size)
{
	char value[4096];

	snprintf(buf, size, "unknown");
	if (proc_field("/proc/cpuinfo", field, value, sizeof(value)))
		snprintf(buf, size, "%s", value + strspn(value, ": \t"));
}

/* x86 has this in the CPU's flags; other machines have no simple sign. */
static const char *hardware(void)
{
	char flags[4096];

	cpu_field("flags", flags, sizeof(flags));
	if (!strcmp(flags, "unknown"))
		return "virtual or not: unknown";
	return strstr(flags, " hypervisor") ? "virtual machine"
					    : "real hardware";
}

/* The kernel's mitigation of each vulnerability of the CPU. */
static void mitigations(char *buf, size_t size)
{
	const char *dir = "/sys/devices/system/cpu/vulnerabilities";
	char path[400], line[200];
	struct dirent *e;
	DIR *d = opendir(dir);
	size_t len = 0;

	snprintf(buf, size, d ? "none needed" : "unknown");
	while (d && (e = readdir(d))) {
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (e->d_name[0] == '.' ||
		    !proc_line(path, line, sizeof(line)) ||
		    !strcmp(line, "Not affected"))
			continue;
		line[strcspn(line, ",;(")] = '\0';
		len += snprintf(buf + len, size - len, "%s%s: %s",
				len ? "; " : "", e->d_name, line);
		if (len >= size)
			break;
	}
	if (d)
		closedir(d);
}

/* The nearest limit of a cgroup controller on this process. */
static void cgroup_limit(const char *v1, const char *v1_file,
			 const char *v2_file, char *buf, size_t size)
{
	char line[300], path[700];
	FILE *f = fopen("/proc/self/cgroup", "re");

	snprintf(buf, size, "none");
	while (f && fgets(line, sizeof(line), f)) {
		char *group = strrchr(line, ':') + 1;
		char *controllers = strchr(line, ':') + 1;

		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, "0::", 3)) {
			snprintf(path, sizeof(path), "/sys/fs/cgroup%s/%s",
				 group, v2_file);
		} else {
			group[-1] = '\0';
			if (!strstr(controllers, v1))
				continue;
			snprintf(path, sizeof(path), "/sys/fs/cgroup/%s%s/%s",
				 v1, group, v1_file);
		}
		if (proc_line(path, buf, size))
			break;
	}
	if (f)
		fclose(f);
	/* The older controllers' form of "no limit". */
	if (!strcmp(buf, "-1") || !strncmp(buf, "92233720368547", 14))
		snprintf(buf, size, "none");
	if (!strncmp(buf, "max", 3))
		snprintf(buf, size, "none");
}

static long may_use_cpus(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set))
		return sysconf(_SC_NPROCESSORS_ONLN);
	return CPU_COUNT(&set);
}

static void limits(struct demo_host *h)
{
	struct rlimit r;

	getrlimit(RLIMIT_NOFILE, &r);
	h->nofile = r.rlim_max;
	h->pid_max = proc_number("/proc/sys/kernel/pid_max", -1);
	h->threads_max = proc_number("/proc/sys/kernel/threads-max", -1);
	h->max_map_count = proc_number("/proc/sys/vm/max_map_count", -1);
	h->somaxconn = proc_number("/proc/sys/net/core/somaxconn", -1);
	cgroup_limit("cpu", "cpu.cfs_quota_us", "cpu.max", h->cgroup_cpu,
		     sizeof(h->cgroup_cpu));
	cgroup_limit("memory", "memory.limit_in_bytes", "memory.max",
		     h->cgroup_memory, sizeof(h->cgroup_memory));
	cgroup_limit("pids", "pids.max", "pids.max", h->cgroup_pids,
		     sizeof(h->cgroup_pids));
}

/* The languages of the models, and of the units that are measured alone. */
static unsigned languages_in_use(const struct demo *d)
{
	bool units = demo_wants(d, 2) || demo_wants(d, 5) || demo_wants(d, 9);
	unsigned use = units ? 1u << LANGUAGE_NODE | 1u << LANGUAGE_GO : 0;

	for (unsigned i = 0; i < d->options.nr_models; i++)
		use |= 1u << d->options.model[i]->language;
	return use & ~(1u << LANGUAGE_C);
}

void demo_look_at_host(struct demo *d)
{
	struct demo_host *h = &d->host;
	time_t now = time(NULL);
	struct utsname u;

	uname(&u);
	snprintf(h->kernel, sizeof(h->kernel), "%s %s", u.sysname, u.release);
	snprintf(h->machine, sizeof(h->machine), "%s", u.machine);
	cpu_field("model name", h->cpu_model, sizeof(h->cpu_model));
	snprintf(h->hardware, sizeof(h->hardware), "%s", hardware());
	snprintf(h->libc, sizeof(h->libc), "glibc %s", gnu_get_libc_version());
	snprintf(h->compiler, sizeof(h->compiler), "%s", __VERSION__);
	if (!proc_line("/sys/devices/system/clocksource/clocksource0/"
		       "current_clocksource",
		       h->clocksource, sizeof(h->clocksource)))
		snprintf(h->clocksource, sizeof(h->clocksource), "unknown");
	mitigations(h->mitigations, sizeof(h->mitigations));
	h->language = calloc(nr_languages, sizeof(*h->language));
	h->languages = languages_in_use(d);
	language_versions(h->languages, h->language);
	command_first_line("redis-server --version 2>/dev/null", h->redis,
			   sizeof(h->redis));
	strftime(h->time, sizeof(h->time), "%Y-%m-%d %H:%M UTC", gmtime(&now));
	d->settings = calloc(d->options.nr_models, sizeof(*d->settings));
	for (unsigned i = 0; d->settings && i < d->options.nr_models; i++)
		model_settings(d->options.model[i], d->settings[i]);
	h->cpus = may_use_cpus();
	h->memory = proc_meminfo("MemTotal:");
	limits(h);
}
