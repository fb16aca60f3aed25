// SPDX-License-Identifier: MIT
/* `unsimulated NAME` does one thing that the simulator leaves to the real kernel, or
 * refuses, and must report. */
#define _GNU_SOURCE
#include "../../uring_rt/urt.h"
#include <fcntl.h>
#include <linux/futex.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>
#undef errno

static void need(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "cannot %s\n", what);
	exit(1);
}

static void runs_a_command(void *arg)
{
	need(!system("true"), "run a command");
}

static void forks(void *arg)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);
}

static void spawns(void *arg)
{
	char *const argv[] = { "true", NULL };
	pid_t pid;

	need(!posix_spawnp(&pid, "true", NULL, NULL, argv, environ),
	     "spawn true");
	waitpid(pid, NULL, 0);
}

static void selects(void *arg)
{
	struct timeval now = { 0, 0 };

	select(0, NULL, NULL, NULL, &now);
}

static void awaits_signal(void *arg)
{
	sigset_t set;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	pthread_kill(pthread_self(), SIGUSR1);
	sigwait(&set, &sig);
}

static void calls_directly(void *arg)
{
	struct timespec ns = { 0, 1 };

	syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &ns, NULL);
}

static void uses_timerfd(void *arg)
{
	urt_close(timerfd_create(CLOCK_MONOTONIC, 0));
}

static void uses_timer(void *arg)
{
	struct sigevent e = { .sigev_notify = SIGEV_NONE };
	timer_t t;

	timer_create(CLOCK_MONOTONIC, &e, &t);
}

static void resolves(void *arg)
{
	need(urt_dial("name.invalid:80", URT_NEVER) < 0, "fail to resolve");
}

static void opens_raw_socket(void *arg)
{
	need(urt_socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) == -EPERM,
	     "be refused a raw socket");
}

static void selects_with_mask(void *arg)
{
	struct timespec now = { 0, 0 };

	pselect(0, NULL, NULL, NULL, &now, NULL);
}

static void awaits_signal_until(void *arg)
{
	struct timespec now = { 0, 0 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigtimedwait(&set, NULL, &now);
}

static void sets_alarm(void *arg)
{
	alarm(1000);
}

static void reads_a_command(void *arg)
{
	FILE *f = popen("true", "r");

	need(f, "run a command");
	pclose(f);
}

static void waits_for_any_child(void *arg)
{
	wait(NULL);
}

static int returns(void *arg)
{
	return 0;
}

static void starts_c11_thread(void *arg)
{
	thrd_t t;

	need(thrd_create(&t, returns, NULL) == thrd_success, "start a thread");
	thrd_join(t, NULL);
}

static void asks_for_host(void *arg)
{
	gethostbyname("localhost");
}

static void opens_random_device(void *arg)
{
	int fd = urt_openat(AT_FDCWD, "/dev/urandom", O_RDONLY, 0, URT_NEVER);

	need(fd >= 0, "open it");
}

static void opens_random_device_itself(void *arg)
{
	need(open("/dev/random", O_RDONLY) >= 0, "open it");
}

static void begins_by_vfork(void *arg)
{
	pid_t pid = vfork();

	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);
}

static void becomes_another(void *arg)
{
	char *const argv[] = { "true", NULL };

	execvp("true", argv);
}

static void sleeps_as_c11_has_it(void *arg)
{
	thrd_sleep(&(struct timespec){ 0, 1 }, NULL);
}

static void reads_eventfd(void *arg)
{
	eventfd_t n;

	eventfd_read(eventfd(1, 0), &n);
}

static void moves_bytes(void *arg)
{
	int fds[2];

	need(!urt_pipe(fds, 0), "make a pipe");
	splice(fds[0], NULL, fds[1], NULL, 1, SPLICE_F_NONBLOCK);
}

static void locks_a_file(void *arg)
{
	int fd = open("/proc/self/exe", O_RDONLY);

	flock(fd, LOCK_SH);
}

static void locks_a_part_of_a_file(void *arg)
{
	struct flock part = { .l_type = F_RDLCK };
	int fd = open("/proc/self/exe", O_RDONLY);

	fcntl(fd, F_SETLKW, &part);
}

static void requeues_futex(void *arg)
{
	uint32_t from = 0, to = 0;

	syscall(SYS_futex, &from, FUTEX_REQUEUE, 1, NULL, &to, 0);
}

static const struct {
	const char *name;
	urt_fn *fn;
} things[] = {
	{ "runs_a_command", runs_a_command },
	{ "forks", forks },
	{ "spawns", spawns },
	{ "selects", selects },
	{ "awaits_signal", awaits_signal },
	{ "calls_directly", calls_directly },
	{ "uses_timerfd", uses_timerfd },
	{ "uses_timer", uses_timer },
	{ "resolves", resolves },
	{ "opens_raw_socket", opens_raw_socket },
	{ "begins_by_vfork", begins_by_vfork },
	{ "becomes_another", becomes_another },
	{ "sleeps_as_c11_has_it", sleeps_as_c11_has_it },
	{ "reads_eventfd", reads_eventfd },
	{ "moves_bytes", moves_bytes },
	{ "locks_a_file", locks_a_file },
	{ "locks_a_part_of_a_file", locks_a_part_of_a_file },
	{ "requeues_futex", requeues_futex },
	{ "selects_with_mask", selects_with_mask },
	{ "awaits_signal_until", awaits_signal_until },
	{ "sets_alarm", sets_alarm },
	{ "reads_a_command", reads_a_command },
	{ "waits_for_any_child", waits_for_any_child },
	{ "starts_c11_thread", starts_c11_thread },
	{ "asks_for_host", asks_for_host },
	{ "opens_random_device", opens_random_device },
	{ "opens_random_device_itself", opens_random_device_itself },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(things) / sizeof(*things); i++)
		if (argc > 1 && !strcmp(things[i].name, argv[1]))
			return -urt_run(things[i].fn, NULL);
	return 1;
}
