// SPDX-License-Identifier: MIT
/*
 * The runtime as a guest in a process: its descriptors and memory, limits of resources,
 * the identity of threads.
 */
#define _GNU_SOURCE
#include "../../uring_rt/watch/watch.h"
#include "../lib/child.h"
#include "../lib/workers.h"
#include <grp.h>
#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/resource.h>

/* ---- what surrounds the process ---------------------------------------- */

static int failed;

static void write_to_standard(void *arg)
{
	static const char text[] = "to whom it may concern";

	(void)arg;
	for (int i = 0; i < 100; i++)
		for (int fd = 0; fd < 3; fd++)
			failed |= write(fd, text, sizeof(text)) >= 0;
	urt_sleep(MS);
}

static int run_without_standard_descriptors(void)
{
	struct urt_options o = { .workers = 2 };

	for (int fd = 0; fd < 3; fd++)
		close(fd);
	return urt_run_with(write_to_standard, NULL, &o) || failed;
}

START_TEST(runtime_leaves_closed_standard_descriptors_alone)
{
	in_child(run_without_standard_descriptors);
}
END_TEST

static int before;

static void look_at_descriptors(void *arg)
{
	int signals = urt_signal_open(SIGUSR1, 0), own = 0;

	(void)arg;
	for (int fd = 0; fd < 1024; fd++) {
		int flags = fcntl(fd, F_GETFD);

		if (flags < 0)
			continue;
		own++;
		failed |= fd > 2 && fd >= before && !(flags & FD_CLOEXEC);
	}
	/* A ring for each thread, two pages, the monitor's bell and timer, its sockets
	 * for `urt assist` and what it reads in /proc, and a pipe for the
	 * signals. */
	failed |= own - before > 10 + (int)urt__rt.nr_workers;
	urt_signal_close(signals);
}

static int look_in_run(void)
{
	struct urt_options o = { .workers = 2 };

	closefrom(3);
	before = descriptors();
	return urt_run_with(look_at_descriptors, NULL, &o) || failed ||
	       descriptors() != before;
}

START_TEST(own_descriptors_are_few_and_closed_by_exec)
{
	in_child(look_in_run);
}
END_TEST

static long resident, writable;

static void touch_little(void *arg)
{
	char perms[8];
	unsigned long from, to;
	FILE *f;

	(void)arg;
	resident = status_of("VmRSS:");
	f = fopen("/proc/self/maps", "r");
	while (f && fscanf(f, "%lx-%lx %7s%*[^\n]", &from, &to, perms) == 3)
		if (perms[1] == 'w' && perms[3] == 'p')
			writable += (to - from) / 1024;
	if (f)
		fclose(f);
}

static int run_locked(void)
{
	struct urt_options o = { .workers = 1 };
	pthread_attr_t small;
	long rss;

	/* They belong to the C library, and on a busy machine are many. */
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 256 << 10);
	pthread_setattr_default_np(&small);
	mallopt(M_ARENA_MAX, 1);
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		return SKIPPED;
	rss = status_of("VmRSS:");
	if (urt_run_with(touch_little, NULL, &o))
		return 1;
	return resident - rss > 64 * 1024;
}

START_TEST(reservations_are_not_filled_in_a_process_that_locks_its_memory)
{
	if (SANITIZED)
		SKIP("the sanitizers' own memory would be locked");
	in_child(run_locked);
}
END_TEST

static long dumped_shared; /* kB that a core dump would have */

static void look_at_shared(void *arg)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	char line[512], perms[8] = "";
	long kb = 0;

	touch_little(arg);
	while (f && fgets(line, sizeof(line), f)) {
		sscanf(line, "%*x-%*x %7s", perms);
		sscanf(line, "Size: %ld", &kb);
		if (!strncmp(line, "VmFlags:", 8) && !strcmp(perms, "rw-s") &&
		    !strstr(line, " dd"))
			dumped_shared += kb;
	}
	if (f)
		fclose(f);
}

static int look_at_mappings(void)
{
	if (urt_run(look_at_shared, NULL))
		return 1;
	/* A core dump contains the one with holes, and fills the other. */
	return writable > 1024 * 1024 || dumped_shared > 4096;
}

START_TEST(reserved_memory_is_not_in_a_core_dump)
{
	if (SANITIZED)
		SKIP("the sanitizers reserve terabytes themselves");
	in_child(look_at_mappings);
}
END_TEST

/* ---- what the kernel keeps for each thread ----------------------------- */

/* A file server's thread, as urt.h recommends: other coroutines keep their
 * identity. */
struct job {
	const char *path;
	int fd; /* or -errno */
};

static struct urt_chan *jobs, *done;

static void *open_as_user(void *arg)
{
	struct job j;

	(void)arg;
	setfsuid(65532);
	while (!urt_chan_recv(jobs, &j, URT_NEVER)) {
		j.fd = open(j.path, O_RDONLY | O_CLOEXEC);
		if (j.fd < 0)
			j.fd = -errno;
		urt_chan_send(done, &j, URT_NEVER);
	}
	return NULL;
}

static int64_t join_thread(void *t)
{
	return pthread_join(*(pthread_t *)t, NULL);
}

static void use_both(void *arg)
{
	struct job j = { arg, 0 };
	pthread_t t;

	jobs = urt_chan_new(sizeof(j), 0);
	done = urt_chan_new(sizeof(j), 0);
	pthread_create(&t, NULL, open_as_user, NULL);
	for (int i = 0; i < 100; i++) {
		int fd = urt_openat(AT_FDCWD, arg, O_RDONLY | O_CLOEXEC, 0,
				    URT_NEVER);

		failed |= fd < 0 || urt_chan_send(jobs, &j, URT_NEVER) ||
			  urt_chan_recv(done, &j, URT_NEVER) || j.fd != -EACCES;
		urt_close(fd);
	}
	urt_chan_close(jobs);
	failed |= urt_blocking(join_thread, &t) != 0;
}

static int serve_as_user(void)
{
	char path[] = "/tmp/urt-limits.XXXXXX";
	struct urt_options o = { .workers = 2 };
	int fd = mkstemp(path), err;

	if (geteuid())
		return SKIPPED;
	fchmod(fd, 0600);
	err = urt_run_with(use_both, path, &o);
	unlink(path);
	return err || failed;
}

START_TEST(thread_with_an_identity_of_its_own_serves_coroutines)
{
	in_child(serve_as_user);
}
END_TEST

/* ---- a burst ----------------------------------------------------------- */

#define BURST 20000
static struct urt_sem gate = URT_SEM_INIT(0);

static struct urt_waitgroup burst = URT_WAITGROUP_INIT;

static void one_of_many(void *arg)
{
	char b[3000];

	(void)arg;
	b[0] = 1;
	__asm__ volatile("" ::"r"(b) : "memory");
	urt_sem_wait(&gate, URT_NEVER);
	urt_waitgroup_done(&burst);
}

/* In kB: their largest memory. */
static long make_burst(void)
{
	uint64_t waiting = counter(URT__STAT_PARKS_LOCK);
	long rss = status_of("VmRSS:");

	urt_waitgroup_add(&burst, BURST);
	for (int i = 0; i < BURST; i++) {
		ck_assert_int_eq(urt_go(one_of_many, NULL), 0);
		if (i % 500 == 0)
			urt_yield();
	}
	wait_for_count(URT__STAT_PARKS_LOCK, waiting + BURST);
	rss = status_of("VmRSS:") - rss;
	for (int i = 0; i < BURST; i++)
		urt_sem_post(&gate);
	urt_waitgroup_wait(&burst, URT_NEVER);
	return rss;
}

static void bursts(void *arg)
{
	long rss = status_of("VmRSS:"), most;

	(void)arg;
	for (int i = 0; i < 2; i++) {
		most = make_burst();
		while (status_of("VmRSS:") - rss > most / 4)
			urt_sleep(50 * MS);
	}
}

START_TEST(memory_of_a_burst_goes_back_to_the_system)
{
	struct urt_options o = { .workers = 1 + _i };

	if (SANITIZED)
		SKIP("the sanitizers keep shadow memory");
	ck_assert_int_eq(urt_run_with(bursts, NULL, &o), 0);
}
END_TEST

/* ---- limits ------------------------------------------------------------ */

static void nap(void *arg)
{
	(void)arg;
	urt_sleep(MS / 10);
}

static void become_a_user(void)
{
	if (!geteuid() &&
	    (setgroups(0, NULL) || setgid(65532) || setuid(65532)))
		_exit(SKIPPED);
}

/* Room for the rings of one run and a half. On a busy machine the kernel may return it
 * later than a run waits for it. */
static int run_after_run(void)
{
	struct rlimit l = { 256 << 10, 256 << 10 };
	struct urt_options o = { .workers = 2 };
	int err;

	setrlimit(RLIMIT_MEMLOCK, &l);
	become_a_user();
	for (int i = 0; i < 50; i++)
		while ((err = urt_run_with(nap, NULL, &o))) {
			fprintf(stderr, "run %d: %s\n", i, urt_why());
			if (err != -ENOMEM)
				return 1;
			usleep(100000);
		}
	return 0;
}

START_TEST(runs_one_after_another_share_little_locked_memory)
{
	in_child(run_after_run);
}
END_TEST

static int run_without_locked_memory(void)
{
	struct rlimit l = { 4 << 10, 4 << 10 };

	setrlimit(RLIMIT_MEMLOCK, &l);
	become_a_user();
	if (!urt_run(nap, NULL))
		return SKIPPED; /* kernels that do not count rings */
	return !strstr(urt_why(), "ulimit -l is 4 KiB");
}

START_TEST(lack_of_locked_memory_is_called_that)
{
	in_child(run_without_locked_memory);
}
END_TEST

/* The number that urt.h requires is enough, and with fewer, the limit is named
 * as the cause. */
static int run_with_few_descriptors(void)
{
	struct urt_options o = { .workers = 2 };
	int needed = 3 + 2 + 6;

	closefrom(3);
	for (int n = 3; n <= needed; n++) {
		struct rlimit l = { n, 64 };
		int err;

		setrlimit(RLIMIT_NOFILE, &l);
		err = urt_run_with(nap, NULL, &o);
		if (err ? err != -EMFILE || !strstr(urt_why(), "ulimit -n")
			: descriptors() != 3)
			return n;
		if (err && n == needed)
			return n;
	}
	return 0;
}

START_TEST(lack_of_descriptors_is_called_that)
{
	in_child(run_with_few_descriptors);
}
END_TEST

/* The coroutine that unblocks another one continues only if the monitor finds
 * that the other one blocks. */
static sem_t unblock;

static void wait_for_unblock(void *arg)
{
	(void)arg;
	while (sem_wait(&unblock))
		;
}

static void unblock_without(void *arg)
{
	struct rlimit none = { 3, 3 };
	bool *descriptors = arg;
	struct urt_coro *c;

	if (*descriptors)
		failed |= setrlimit(RLIMIT_NOFILE, &none);
	else
		failed |= chroot("/sys") || chdir("/");
	sem_init(&unblock, 0, 0);
	c = urt_spawn(wait_for_unblock, NULL);
	urt_sleep(MS);
	sem_post(&unblock);
	urt_join(c);
}

static int block_without(bool descriptors)
{
	struct urt_options o = { .workers = 1 };

	return urt_run_with(unblock_without, &descriptors, &o) || failed;
}

static int block_without_descriptors(void)
{
	return block_without(true);
}

static int block_without_proc(void)
{
	return geteuid() ? SKIPPED : block_without(false);
}

START_TEST(blocked_coroutine_is_found_without_a_descriptor)
{
	in_child(block_without_descriptors);
}
END_TEST

START_TEST(blocked_coroutine_is_found_without_proc)
{
	in_child(block_without_proc);
}
END_TEST

static int run_without_threads(void)
{
	struct rlimit l = { 1, 1 };
	struct urt_options o = { .workers = 2 };

	setrlimit(RLIMIT_NPROC, &l);
	become_a_user();
	return urt_run_with(nap, NULL, &o) != -EAGAIN ||
	       !strstr(urt_why(), "ulimit -u");
}

START_TEST(lack_of_threads_is_called_that)
{
	if (TSANITIZED)
		SKIP("TSan starts threads of its own");
	in_child(run_without_threads);
}
END_TEST

/* The counters page is a file in memory, and may be as long as any file. */
static int run_without_files(void)
{
	struct rlimit l = { 0, 0 };
	struct urt_options o = { .workers = 2 };

	setrlimit(RLIMIT_FSIZE, &l);
	return urt_run_with(nap, NULL, &o);
}

START_TEST(runtime_needs_no_file_size)
{
	in_child(run_without_files);
}
END_TEST

/* Room for the stacks of some threads, and of none. */
static int run_with_little_data(void)
{
	struct urt_options o = { .workers = 2 };

	for (rlim_t mb = 64; mb; mb /= 2) {
		struct rlimit l = { mb << 20, RLIM_INFINITY };

		setrlimit(RLIMIT_DATA, &l);
		if (urt_run_with(nap, NULL, &o) &&
		    !strstr(urt_why(), "ulimit -d")) {
			fprintf(stderr, "%s\n", urt_why());
			return 1;
		}
	}
	return 0;
}

START_TEST(lack_of_data_is_called_that)
{
	if (SANITIZED)
		SKIP("the sanitizers' own memory is more");
	in_child(run_with_little_data);
}
END_TEST

static int run_in_little_space(void)
{
	struct rlimit l = { 800 << 20, 800 << 20 };
	struct urt_options o = { .workers = 2 };

	setrlimit(RLIMIT_AS, &l);
	if (urt_run_with(nap, NULL, &o)) {
		fprintf(stderr, "%s\n", urt_why());
		return 1;
	}
	if (!strstr(urt_why(), "ulimit -v"))
		return 2;
	l.rlim_cur = l.rlim_max = 64 << 20;
	setrlimit(RLIMIT_AS, &l);
	return urt_run_with(nap, NULL, &o) != -ENOMEM ||
	       !strstr(urt_why(), "ulimit -v is 65536 KiB");
}

START_TEST(address_space_that_is_limited_is_enough_or_is_blamed)
{
	if (SANITIZED)
		SKIP("the sanitizers reserve terabytes themselves");
	in_child(run_in_little_space);
}
END_TEST

START_TEST(cgroup_that_limits_threads_is_found)
{
	static const struct {
		const char *text, *path;
	} c[] = {
		{ "0::/a/b\n", "/sys/fs/cgroup/a/b" },
		{ "0::/\n", "/sys/fs/cgroup/" },
		{ "9:cpu,cpuacct:/x\n8:pids:/a:b\n1:name=systemd:/y\n0::/z\n",
		  "/sys/fs/cgroup/pids/a:b" },
		{ "0::/z\n8:pids:/a\n", "/sys/fs/cgroup/pids/a" },
		{ "1:name=systemd:/y\n", NULL },
		{ "\n", NULL },
	};
	FILE *f = fmemopen((void *)c[_i].text, strlen(c[_i].text), "r");
	char path[100] = "";

	ck_assert(urt__pids_group(f, path, sizeof(path)) == !!c[_i].path);
	ck_assert_str_eq(path, c[_i].path ? c[_i].path : "");
	fclose(f);
}
END_TEST

/* ---- room for descriptors ---------------------------------------------- */

/* For how many descriptors the kernel's table has room (proc(5)). */
static long room(void)
{
	return status_of("FDSize");
}

static int use_pipes(int n)
{
	for (int i = 0; i < n; i++) {
		int fd[2];
		char c;

		if (pipe(fd) || urt_write(fd[1], "x", 1, URT_NEVER) != 1 ||
		    urt_read(fd[0], &c, 1, URT_NEVER) != 1)
			return -1;
	}
	return 0;
}

/* The table grows before it must, so that no thread has to wait for that. */
static void use_many_descriptors(void *arg)
{
	(void)arg;
	failed = use_pipes(1);
	while (room() < 4096)
		urt_sleep(MS);
	failed |= use_pipes(600);
	while (room() < 16384)
		urt_sleep(MS);
}

static int run_with_many_descriptors(void)
{
	struct rlimit l = { 20000, 20000 };

	if (setrlimit(RLIMIT_NOFILE, &l))
		return SKIPPED; /* the hard limit is lower */
	return urt_run_with(use_many_descriptors, NULL, NULL) || failed;
}

START_TEST(room_for_descriptors_comes_before_they_do)
{
	in_child(run_with_many_descriptors);
}
END_TEST

Suite *limits_suite(void)
{
	Suite *s = suite_create("limits");
	TCase *limits = tcase_create("limits");

	tcase_add_test(limits,
		       runtime_leaves_closed_standard_descriptors_alone);
	tcase_add_test(limits, own_descriptors_are_few_and_closed_by_exec);
	tcase_add_test(
		limits,
		reservations_are_not_filled_in_a_process_that_locks_its_memory);
	tcase_add_test(limits, reserved_memory_is_not_in_a_core_dump);
	tcase_add_test(limits,
		       thread_with_an_identity_of_its_own_serves_coroutines);
	tcase_add_loop_test(limits, memory_of_a_burst_goes_back_to_the_system,
			    0, 2);
	tcase_add_test(limits,
		       runs_one_after_another_share_little_locked_memory);
	tcase_add_test(limits, lack_of_locked_memory_is_called_that);
	tcase_add_test(limits, lack_of_descriptors_is_called_that);
	tcase_add_test(limits, blocked_coroutine_is_found_without_a_descriptor);
	tcase_add_test(limits, blocked_coroutine_is_found_without_proc);
	tcase_add_test(limits, room_for_descriptors_comes_before_they_do);
	tcase_add_test(limits, lack_of_threads_is_called_that);
	tcase_add_loop_test(limits, cgroup_that_limits_threads_is_found, 0, 6);
	tcase_add_test(limits, runtime_needs_no_file_size);
	tcase_add_test(limits, lack_of_data_is_called_that);
	tcase_add_test(limits,
		       address_space_that_is_limited_is_enough_or_is_blamed);
	suite_add_tcase(s, limits);
	return s;
}
