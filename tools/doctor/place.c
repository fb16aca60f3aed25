// SPDX-License-Identifier: MIT
/*
 * The environment of the program: a container removes features of the machine
 * in many small ways, and each causes a different error. And the fallbacks for
 * io_uring operations that the running kernel lacks.
 */
#define _GNU_SOURCE
#include "../../uring_rt/wait/ops.h"
#include "doctor.h"
#include "../lib/privileges.h"
#include "../lib/proc.h"
#include "../lib/tool.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- operations ---- */

enum { NEED, POOL, PLAIN, POLL, SLICES, COPY };

static const char *const instead[] = {
	[NEED] = "nothing else does: runs do not start",
	[POOL] = "the system call, on the thread pool",
	[PLAIN] = "the system call, which does not wait",
	[POLL] = "the descriptor is polled, then the system call made",
	[SLICES] = "the system call on the thread pool, 50 ms at a time",
	[COPY] = "the operation that copies",
};

static const struct op {
	const char *name, *kernel, *call;
	uint8_t opcode, fallback;
} table[] = {
#define X(name, kernel, fallback, call) \
	{ #name, kernel, #call, URT__OP_##name, fallback },
	URT__OPS(X)
#undef X
};

/* One line for each fallback, with its operations. */
void doctor_look_at_operations(uint64_t ops)
{
	bool all = true;

	for (unsigned f = 0; f < ARRAY_LEN(instead); f++) {
		char list[1024] = "";
		unsigned n = 0;

		for (unsigned i = 0; i < ARRAY_LEN(table); i++) {
			const struct op *op = &table[i];

			if (op->fallback != f || ops >> op->opcode & 1)
				continue;
			snprintf(list + strlen(list),
				 sizeof(list) - strlen(list),
				 "%s%s (Linux %s; %s)", n++ ? ", " : "",
				 op->name, op->kernel, op->call);
		}
		if (n)
			doctor_found("operations", f != NEED,
				     "this kernel's io_uring lacks %s. "
				     "Instead: %s",
				     list, instead[f]);
		all &= !n;
	}
	if (all)
		doctor_found("operations", true,
			     "the kernel has all %zu that the runtime uses",
			     ARRAY_LEN(table));
}

/* ---- container ---- */

static void look_at_runtime(void)
{
	static const struct {
		const char *path, *what, *name;
	} signs[] = {
		{ "/.dockerenv", NULL, "Docker" },
		{ "/run/.containerenv", NULL, "Podman" },
		{ "/proc/1/cgroup", "kubepods", "Kubernetes" },
		{ "/proc/1/cgroup", "docker", "Docker" },
		{ "/proc/1/cgroup", "lxc", "LXC" },
		{ "/proc/1/environ", "container=", "a container" },
	};
	const char *name = NULL;

	for (unsigned i = 0; i < ARRAY_LEN(signs) && !name; i++)
		if (signs[i].what ? proc_has(signs[i].path, signs[i].what)
				  : !access(signs[i].path, F_OK))
			name = signs[i].name;
	if (name)
		doctor_found("container", true,
			     "%s: its restrictions are below", name);
	else
		doctor_found("container", true, "none that is known here");
}

static void look_at_namespaces(void)
{
	bool whole = !in_user_namespace();

	doctor_found("user ids", whole, "%s",
		     whole ? "no user namespace: root is root"
			   : "in a user namespace, where no capability allows "
			     "BPF: run it outside (docker run "
			     "--userns=host; podman: as root)");
	doctor_found("PIDs", true, "%s",
		     pid_namespace()
			     ? "in a PID namespace: PIDs are those in here, "
			       "and processes outside cannot be named "
			       "(docker run --pid=host)"
			     : "of the whole machine");
}

static void look_at_mounts(void)
{
	bool sys = sysfs_is_mounted();
	bool hidden = proc_has("/proc/self/mountinfo", "hidepid=") ||
		      proc_has("/proc/self/mountinfo", "subset=pid");
	bool proc = !access("/proc/1/stat", R_OK) &&
		    !access("/proc/sys/kernel/pid_max", R_OK);
	bool any = !access("/proc/self/status", R_OK);

	doctor_found(
		"sysfs", sys, "%s",
		sys ? "mounted"
		    : "no /sys/kernel, and so no BTF and no cgroups: mount "
		      "-t sysfs sysfs /sys");
	doctor_found(
		"procfs", proc && !hidden && proc_is_ours(), "%s",
		!proc_is_ours()	  ? "that of another PID namespace, where "
				    "numbers are other processes': as root, "
				    "mount -t proc proc /proc"
		: proc && !hidden ? "all processes can be looked at"
		: proc		  ? "mounted with hidepid or subset: other "
				    "users' processes are not to be seen; mount "
				    "-o remount,hidepid=0 /proc"
		: !any ? "not mounted, so most figures and the findings "
			 "about limits, namespaces and filters are missing: "
			 "as root, mount -t proc proc /proc"
		       : "parts of /proc are hidden: -p and the limits "
			 "need them (docker run --security-opt "
			 "systempaths=unconfined)");
}

static void look_at_lockdown(void)
{
	const char *path = "/sys/kernel/security/lockdown";
	bool locked = kernel_is_locked_down();

	doctor_found(
		"lockdown", !locked, "%s",
		locked		     ? "the kernel forbids all reads of its memory, which BPF needs here: boot with lockdown=integrity, or "
				       "without Secure Boot"
		: access(path, R_OK) ? "not visible here"
				     : "does not forbid BPF");
}

static void look_at_names(void)
{
#ifdef URT_STATIC
	doctor_found("names", true,
		     "this urt is static and loads no NSS plug-ins: it knows "
		     "the users of /etc/passwd, and hosts by /etc/hosts and "
		     "DNS");
#endif
}

void doctor_look_at_container(void)
{
	look_at_names();
	look_at_runtime();
	look_at_namespaces();
	look_at_mounts();
	look_at_lockdown();
}
