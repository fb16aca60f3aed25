// SPDX-License-Identifier: MIT
/*
 * Whole programs on a system that fails.
 *
 * Each program runs again and again in a child of its own, and each time the
 * next call of a kind fails (base/sys.h), until one run has ended before that
 * call. After any failure, a run ends with success and all data in place, or
 * with an error that one of the program's own calls returned. It never hangs or
 * crashes, and leaves nothing behind: descriptors, threads, mappings, or, under
 * AddressSanitizer, memory.
 *
 * URT_FAULT="OPERATION EINTR x 1" is for one kind, URT_FAULT_STEP=1 for every
 * call; URT_VERBOSE says how many calls there were.
 */
#define _GNU_SOURCE
#include "../../uring_rt/base/sys.h"
#include "../lib/faults.h"
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_S 60 /* times slower() */
#define MANY	   40 /* failures in a row */

/* ---- leftovers --------------------------------------------------------- */

struct left {
	int descriptors, threads;
	int ring_threads; /* the kernel's, for requests that wait */
	long mapped;	  /* bytes; not the heap, nor stacks kept for threads */
};

static int count_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void count_threads(struct left *l)
{
	DIR *d = opendir("/proc/self/task");
	char path[300], comm[16] = "";
	struct dirent *e;

	while ((e = readdir(d))) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm",
			 e->d_name);
		f = fopen(path, "re");
		if (!f)
			continue;
		if (fgets(comm, sizeof(comm), f) && !strncmp(comm, "iou-", 4))
			l->ring_threads++;
		else
			l->threads++;
		fclose(f);
	}
	closedir(d);
}

static long mapped(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	unsigned long start, end;
	char line[512];
	long sum = 0;

	while (fgets(line, sizeof(line), f))
		if (!strstr(line, "[heap]") && !strstr(line, "[stack]") &&
		    sscanf(line, "%lx-%lx", &start, &end) == 2)
			sum += end - start;
	fclose(f);
	return sum;
}

static struct left look(void)
{
	struct left l = { .descriptors = count_descriptors(),
			  .mapped = SANITIZED ? 0 : mapped() };

	count_threads(&l);
	return l;
}

/* libc keeps the stacks of some threads that have ended, with their guards. */
static bool only_thread_stacks(long bytes)
{
	pthread_attr_t attr;
	size_t stack, guard;
	long n;

	pthread_attr_init(&attr);
	pthread_attr_getstacksize(&attr, &stack);
	pthread_attr_getguardsize(&attr, &guard);
	pthread_attr_destroy(&attr);
	n = bytes / (long)stack;
	return bytes == n * (long)stack || bytes == n * (long)(stack + guard);
}

static bool same(const struct left *a, const struct left *b, bool rings)
{
	return a->descriptors == b->descriptors && b->threads <= a->threads &&
	       only_thread_stacks(b->mapped - a->mapped) &&
	       (!rings || b->ring_threads <= a->ring_threads);
}

int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

/* Threads that were told to end disappear a little later. */
static bool anything_left(const struct left *before, bool rings)
{
	struct left now = look();

	for (int i = 0; i < 20000 && !same(before, &now, rings); i++) {
		usleep(1000);
		now = look();
	}
	if (!same(before, &now, rings)) {
		fprintf(stderr,
			"left: %d descriptors, %d threads, %d of rings, "
			"%ld bytes\n",
			now.descriptors - before->descriptors,
			now.threads - before->threads,
			now.ring_threads - before->ring_threads,
			now.mapped - before->mapped);
		return true;
	}
	return __lsan_do_recoverable_leak_check &&
	       __lsan_do_recoverable_leak_check();
}

/* ---- running them ------------------------------------------------------ */

struct kind {
	const char *name;
	enum urt__sys_kind kind;
	int err, times;
	bool harmless; /* the program still ends with success */
};

#define HARMLESS true
#define FAULT(kind, err, times, ...)                                      \
	{                                                                 \
#kind " " #err " x " #times, URT__SYS_##kind, err, times, \
			__VA_ARGS__ + 0                                   \
	}

static const struct kind kinds[] = {
	FAULT(RING_SETUP, ENOMEM, 1),
	FAULT(RING_ENTER, EINTR, 1, HARMLESS),
	FAULT(RING_ENTER, ENOMEM, 1, HARMLESS),
	FAULT(RING_ENTER, 0, 1, HARMLESS),
	FAULT(RING_ENTER, EINTR, MANY, HARMLESS),
	FAULT(RING_ENTER, EBUSY, MANY, HARMLESS),
	FAULT(RING_REGISTER, ENOMEM, 1),
	FAULT(RING_REGISTER, EAGAIN, 3),
	FAULT(OPERATION, EINTR, 1, HARMLESS),
	FAULT(OPERATION, ECANCELED, 1, HARMLESS),
	FAULT(OPERATION, ECANCELED, 3, HARMLESS),
	FAULT(OPERATION, EAGAIN, 1),
	FAULT(OPERATION, ENOMEM, 1),
	FAULT(OPERATION, 0, 1, HARMLESS),
	FAULT(OPERATION, EINTR, 3, HARMLESS),
	FAULT(OPERATION, EAGAIN, 3),
	FAULT(OPERATION, 0, MANY, HARMLESS),
	FAULT(MMAP, ENOMEM, 1),
	FAULT(MMAP, ENOMEM, MANY),
	FAULT(MADVISE, EINVAL, 1),
	FAULT(MADVISE, ENOMEM, 1),
	FAULT(PROCESS_MADVISE, EPERM, 1),
	FAULT(MPROTECT, ENOMEM, 1),
	FAULT(MEMFD, EMFILE, 1),
	FAULT(FTRUNCATE, ENOSPC, 1),
	FAULT(EVENTFD, EMFILE, 1),
	FAULT(PIDFD, EMFILE, 1),
	FAULT(MEMBARRIER, ENOMEM, 3),
	FAULT(SIGALTSTACK, ENOMEM, 1),
	FAULT(THREAD, EAGAIN, 1),
	FAULT(PIPE, EMFILE, 1),
	FAULT(SOCKET, EMFILE, 1),
	FAULT(SPAWN, EAGAIN, 1),
	FAULT(THREAD, EAGAIN, MANY),
	FAULT(MEMORY, ENOMEM, 1),
	FAULT(MEMORY, ENOMEM, MANY),
};

static atomic_int outcome; /* of the program */

static void first(void *arg)
{
	const struct program *p = arg;

	atomic_store(&outcome, p->run());
}

/* 0, or the failure, which a call has returned. */
static int run_program(const struct program *p)
{
	struct urt_options o = { .workers = 2, .ring_entries = 16 };
	int err;

	atomic_store(&fault_errors, 0);
	err = urt_run_with(first, (void *)p, &o);
	if (err) {
		NEVER(strstr(urt_why(), "no run has failed"));
		NEVER(strstr(urt_why(), "no io_uring"));
		return err;
	}
	err = atomic_load(&outcome);
	NEVER(err > 0);
	NEVER(err < 0 && !atomic_load(&fault_errors));
	return err;
}

/*
 * Whether the kernel's threads end 50 ms after the last ring. Linux 6.1 keeps
 * one for the process.
 */
static bool ring_threads_end;

static bool no_ring_threads(void)
{
	for (int i = 0; i < 1000; i++) {
		if (!look().ring_threads)
			return true;
		usleep(1000);
	}
	return false;
}

enum { NOT_REACHED = 10, ENDED_WELL, ENDED_WITH_ERROR, LEFT_SOMETHING };

static int child(const struct program *p, const struct kind *k, long nth)
{
	struct urt__sys_fault *f = &urt__sys_faults[k->kind];
	struct left before;
	int err;

	/* Check's own handler would kill the whole test, without a name. */
	signal(SIGALRM, SIG_DFL);
	alarm(PATIENCE_S * slower());
	if (TSANITIZED) /* TSan then starts a thread of its own */
		run_program(p);
	before = look();
	f->err = k->err;
	f->times = k->times;
	atomic_store(&f->countdown, nth);
	err = run_program(p);
	atomic_store(&f->countdown, 0);
	if (anything_left(&before, ring_threads_end &&
					   (k->kind == URT__SYS_RING_REGISTER ||
					    nth == 1)))
		return LEFT_SOMETHING;
	NEVER(err && (k->harmless || !atomic_load(&f->hits)));
	if (!atomic_load(&f->hits))
		return NOT_REACHED;
	return err ? ENDED_WITH_ERROR : ENDED_WELL;
}

/* Whether the program reached that call. */
static bool run_with(const struct program *p, const struct kind *k, long nth)
{
	int status, said = memfd_create("said", 0);
	pid_t pid = fork();
	char text[4096] = "";

	if (!pid) {
		dup2(said, 2);
		close(said);
		_exit(child(p, k, nth));
	}
	NEVER(waitpid(pid, &status, 0) != pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status) < NOT_REACHED ||
	    WEXITSTATUS(status) > ENDED_WITH_ERROR) {
		if (pread(said, text, sizeof(text) - 1, 0) >= 0)
			fprintf(stderr, "%s, %s at call %ld: status %#x: %s\n",
				p->name, k->name, nth, status, text);
		_exit(EXIT_FAILURE);
	}
	close(said);
	return WEXITSTATUS(status) != NOT_REACHED;
}

/* The programs mostly wait, so as many processes share the kinds of faults. */
#define LANES 4

static int lane(const struct program *p, unsigned first, uint64_t state)
{
	const char *only = getenv("URT_FAULT"), *s = getenv("URT_FAULT_STEP");
	long step = s ? atol(s) : SANITIZED ? 48 : 4;
	unsigned share = s ? 1 : SANITIZED ? 3 : 2; /* of the kinds */

	fault_setup();
	if (!TSANITIZED) { /* TSan forbids threads after a fork in a process
			      with threads */
		NEVER(run_program(p));
		NEVER(run_program(&fault_copy));
		ring_threads_end = no_ring_threads();
	}
	for (size_t i = first; i < ARRAY_LEN(kinds); i += LANES) {
		const struct kind *k = &kinds[i];
		/* At random, so that in time all have their turn. */
		long n = 1 + rnd(&state) % step;

		if (only ? strcmp(only, k->name) != 0
			 : rnd(&state) % share != 0)
			continue;
		while (run_with(p, k, n))
			n += step;
		if (getenv("URT_VERBOSE"))
			fprintf(stderr, "%s, %s: %ld\n", p->name, k->name,
				n - 1);
	}
	fault_teardown();
	return EXIT_SUCCESS;
}

START_TEST(whatever_call_fails_a_program_ends_well_or_with_an_error)
{
	const struct program *p = &fault_programs[_i];
	uint64_t state = seed();
	pid_t pid[LANES];
	int failed = 0, status;

	setenv("URT_FEATURES", p->features, 1);
	for (unsigned i = 0; i < LANES; i++) {
		rnd(&state);
		pid[i] = fork();
		if (!pid[i])
			_exit(lane(p, i, state));
	}
	for (unsigned i = 0; i < LANES; i++) {
		ck_assert_int_eq(waitpid(pid[i], &status, 0), pid[i]);
		failed += status != 0;
	}
	ck_assert_msg(!failed, "%s: what failed stands above", p->name);
}
END_TEST

Suite *faults_suite(void)
{
	Suite *s = suite_create("faults");
	TCase *t = tcase_create("whole programs");

	tcase_add_loop_test(
		t, whatever_call_fails_a_program_ends_well_or_with_an_error, 0,
		fault_programs_nr);
	suite_add_tcase(s, t);
	return s;
}
