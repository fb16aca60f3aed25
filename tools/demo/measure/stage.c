// SPDX-License-Identifier: MIT
/*
 * A server in a process of its own, started for one measurement and killed
 * after it, and a load generator in another process on another CPU. Rejected:
 * servers that live for the whole demo, because their memory would carry one
 * experiment over to the next.
 */
#define _GNU_SOURCE
#include "stage.h"
#include "../../../uring_rt/ring/ring.h"
#include "../../lib/net.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Limits after which a measurement is given up; generous, since a busy machine
 * can be very slow. */
#define START_MS   60000
#define LOOK_MS	   100 /* at whether the server has ended */
#define CONNECT_NS (60 * NS_PER_S)
#define ANSWER_NS  (30 * NS_PER_S)

void stage_failed(struct demo_outcome *o, const char *format, ...)
{
	va_list ap;

	o->status = DEMO_FAILED;
	va_start(ap, format);
	vsnprintf(o->reason, sizeof(o->reason), format, ap);
	va_end(ap);
}

/* ---- looking at processes ---- */

#define FAMILY_MAX 256

/* Finds the process and its descendants. Returns their number. */
static unsigned family(pid_t pid, pid_t all[FAMILY_MAX])
{
	unsigned n = 1;

	all[0] = pid;
	for (unsigned i = 0; i < n; i++)
		n += proc_children(all[i], &all[n], FAMILY_MAX - n);
	return n;
}

int64_t stage_cpu_ns(pid_t pid)
{
	pid_t all[FAMILY_MAX];
	int64_t sum = 0;
	struct timespec ts;
	clockid_t clock;

	for (unsigned i = family(pid, all); i--;)
		if (!clock_getcpuclockid(all[i], &clock) &&
		    !clock_gettime(clock, &ts))
			sum += ts.tv_sec * NS_PER_S + ts.tv_nsec;
	return sum;
}

long stage_status(pid_t pid, const char *field)
{
	pid_t all[FAMILY_MAX];
	long sum = 0;

	for (unsigned i = family(pid, all); i--;)
		sum += proc_status(all[i], field);
	return sum;
}

long stage_kernel_bytes(void)
{
	return proc_meminfo("Slab:") + proc_meminfo("KernelStack:") +
	       proc_meminfo("PageTables:");
}

static bool ended(pid_t pid)
{
	return waitpid(pid, NULL, WNOHANG) == pid;
}

/* ---- the server ---- */

/* Why a model cannot run here, or NULL. */
static const char *cannot_run(const struct model *m)
{
	static struct urt__stats_slot stats;
	const char *missing = model_missing(m);
	struct urt__ring ring;

	if (missing || !model_is(m, MODEL_NEEDS_RING))
		return missing;
	if (urt__ring_init(&ring, 8, URT__FEATURES_ALL, &stats))
		return "io_uring cannot be used here: `urt doctor` says why "
		       "and what to do";
	urt__ring_destroy(&ring);
	return NULL;
}

static int backend_port(const struct stage *s)
{
	return s->lab->use_redis ? s->lab->demo->options.redis_port
				 : s->backend->port;
}

static int launch_server(struct stage *s, char **argv, int cpu)
{
	int fds[2], err;

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	err = launch(&s->server, argv, NULL, cpu, fds[1]);
	close(fds[1]);
	if (err) {
		close(fds[0]);
		s->server.pid = 0;
		return err;
	}
	s->out = fds[0];
	/* Ctrl-C is for us: we stop the server after the last look. */
	setpgid(s->server.pid, 0);
	if (s->lab->counter)
		counter_start_at_exec(s->lab->counter, s->server.pid);
	err = launch_go(&s->server);
	if (err)
		s->server.pid = 0;
	return err;
}

bool stage_begin(struct stage *s, struct lab *lab, struct demo_outcome *o,
		 const struct model *m, int cpu)
{
	return stage_begin_nth(s, lab, o, m, cpu, 0);
}

bool stage_begin_nth(struct stage *s, struct lab *lab, struct demo_outcome *o,
		     const struct model *m, int cpu, unsigned nth)
{
	const char *missing = cannot_run(m);
	char **argv;
	int err;

	*s = (struct stage){ .lab = lab, .outcome = o, .model = m, .out = -1 };
	o->status = DEMO_OK;
	if (missing) {
		o->status = DEMO_SKIPPED;
		snprintf(o->reason, sizeof(o->reason), "%s", missing);
		return false;
	}
	s->backend = lab_backend(lab, nth);
	if (!s->backend) {
		stage_failed(o, "its backend could not be started");
		return false;
	}
	s->port = net_free_port();
	argv = s->port < 0 ? NULL
			   : model_command(m, s->port, backend_port(s),
					   lab->use_redis);
	if (!argv) {
		stage_failed(o, "it could not be built");
		return false;
	}
	err = launch_server(s, argv, cpu);
	if (err)
		stage_failed(o, "%s: %s", argv[0], strerror(-err));
	command_free(argv);
	if (err)
		return false;
	for (int ms = 0; ms < START_MS; ms += LOOK_MS) {
		if (net_wait_listening(s->port, LOOK_MS))
			return true;
		if (ended(s->server.pid)) {
			kill(-s->server.pid, SIGKILL);
			s->server.pid = 0;
			stage_failed(o, "the server ended at once (see above)");
			return false;
		}
	}
	stage_failed(o, "the server did not listen within a minute");
	return false;
}

static void kill_and_wait(pid_t pid, int sig)
{
	if (pid <= 0)
		return;
	kill(pid, sig);
	waitpid(pid, NULL, 0);
}

bool stage_ask(struct stage *s, int sig, int ms, char *answer, size_t size)
{
	struct pollfd p = { .fd = s->out, .events = POLLIN };
	ssize_t n;

	if (kill(s->server.pid, sig) || poll(&p, 1, ms) != 1)
		return false;
	n = read(s->out, answer, size - 1);
	answer[n > 0 ? n : 0] = '\0';
	return n > 0;
}

void stage_end(struct stage *s)
{
	stage_load_stop(s);
	/* It leads a process group, so its children end with it. */
	if (s->server.pid > 0)
		kill(-s->server.pid, SIGKILL);
	kill_and_wait(s->server.pid, SIGKILL);
	if (s->out >= 0)
		close(s->out);
	if (demo_stop && s->outcome->status == DEMO_FAILED)
		s->outcome->status = DEMO_NOT_RUN;
}

/* ---- the load ---- */

void stage_load(struct stage *s, struct load_options *o)
{
	pid_t parent = getpid();

	o->server = net_loopback(s->port);
	o->tls = model_is(s->model, MODEL_TLS);
	s->shared = load_shared_new();
	if (!s->shared)
		return;
	s->load = fork();
	if (s->load)
		return;
	launch_die_with(parent);
	signal(SIGINT, SIG_IGN);
	launch_pin(s->lab->demo->load_cpu);
	_exit(load_run(o, s->shared) ? 1 : 0);
}

void stage_load_end(struct stage *s)
{
	__atomic_store_n(&s->shared->stop, 1, __ATOMIC_RELEASE);
	if (s->load > 0)
		waitpid(s->load, NULL, 0);
	s->load = 0;
}

void stage_load_stop(struct stage *s)
{
	if (!s->shared)
		return;
	__atomic_store_n(&s->shared->stop, 1, __ATOMIC_RELAXED);
	kill_and_wait(s->load, SIGTERM);
	load_shared_free(s->shared);
	s->shared = NULL;
	s->load = 0;
}

bool stage_connected(struct stage *s)
{
	int64_t until = now_ns() + CONNECT_NS;

	if (!s->shared || s->load < 0) {
		stage_failed(s->outcome, "out of memory");
		return false;
	}
	while (!__atomic_load_n(&s->shared->connected_ns, __ATOMIC_ACQUIRE)) {
		if (ended(s->load)) {
			s->load = 0;
			stage_failed(s->outcome, "connecting failed: %s",
				     strerror(s->shared->failed_errno));
			return false;
		}
		if (now_ns() > until || demo_stop) {
			stage_failed(s->outcome,
				     demo_stop ? "interrupted"
					       : "connecting took too long");
			return false;
		}
		sleep_ns(NS_PER_MS);
	}
	return true;
}

bool stage_wait(struct stage *s, int64_t ns)
{
	int64_t until = now_ns() + ns, left;

	while ((left = until - now_ns()) > 0 && !demo_stop) {
		sleep_ns(left < 10 * NS_PER_MS ? left : 10 * NS_PER_MS);
		if (!ended(s->server.pid))
			continue;
		s->server.pid = 0;
		stage_failed(s->outcome, "the server died");
		return false;
	}
	return true;
}

bool stage_wait_longer(struct stage *s, const uint64_t *n, uint64_t before)
{
	int64_t until = now_ns() + ANSWER_NS;
	bool fine = true;

	while (fine && now_ns() < until && !demo_stop &&
	       __atomic_load_n(n, __ATOMIC_RELAXED) == before)
		fine = stage_wait(s, 20 * NS_PER_MS);
	return fine;
}

bool stage_wait_for_answers(struct stage *s, const uint64_t *n)
{
	uint64_t before = __atomic_load_n(n, __ATOMIC_RELAXED);

	return stage_wait(s, s->lab->demo->options.seconds * NS_PER_S) &&
	       stage_wait_longer(s, n, before);
}
