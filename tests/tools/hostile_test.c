// SPDX-License-Identifier: MIT
/*
 * Programs that lie to the tool: pages of counters and of events whose headers
 * change, shrink, or claim the impossible; names that a terminal would obey;
 * links and FIFOs where files are expected; ELF files made to exhaust memory.
 * The liars are children of the test, without privileges where the test has
 * some. The tool must end in time, with true figures or "n/a".
 */
#define _GNU_SOURCE
#include "../../uring_rt/base/share.h"
#include "../../uring_rt/base/stats.h"
#include "../../uring_rt/base/trace.h"
#include "../lib/child.h"
#include "../lib/json_tree.h"
#include "../lib/tool_run.h"
#include <elf.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#define LIE_US 2000 /* between two lies */

static int64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

/* ---- pages of counters ---- */

/* Each lie appears and disappears without end, so a check and a use of the same
 * word see different values. */
static void lie_in_counters(const char *mode)
{
	bool sealed = strcmp(mode, "truncate") && strcmp(mode, "unsealed");
	size_t size = !strcmp(mode, "huge") ? (size_t)1 << 40 : 1 << 16;
	int fd;
	struct urt__stats_page *p = counters_page(size, sealed, &fd);

	for (unsigned i = 0;; i++) {
		bool lies = i & 1;

		if (!strcmp(mode, "truncate"))
			(void)!ftruncate(fd, lies ? 0 : size);
		else if (!strcmp(mode, "slots"))
			p->slots = lies ? 1 << 30 : 4;
		else if (!strcmp(mode, "counters"))
			p->counters = lies ? 1 << 30 : 22;
		else if (!strcmp(mode, "header"))
			p->header_size = lies ? 1 << 30 : 4096;
		else if (!strcmp(mode, "slot_size"))
			p->slot_size = lies ? 0 : 1024;
		else if (!strcmp(mode, "huge"))
			p->slots = UINT32_MAX;
		else if (!strcmp(mode, "sum"))
			p->ops = -p->counters;
		else if (!strcmp(mode, "back"))
			urt__stats_slot(p, 0)->counter[0]--;
		usleep(i % 8 ? 0 : LIE_US);
	}
}

/* ---- pages of events ---- */

static struct urt__trace_page *trace_page(unsigned rings, unsigned events)
{
	size_t head = (sizeof(struct urt__trace_page) +
		       4096 * sizeof(struct urt__trace_ring) + 4095) &
		      ~(size_t)4095;
	size_t size = head + (size_t)rings * events * 40;
	int fd = urt__share_new(URT__TRACE_NAME, size);
	struct urt__trace_page *p;

	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
		 fd, 0);
	if (fd < 0 || p == MAP_FAILED)
		_exit(1);
	p->rings = rings;
	p->events = events;
	p->event_size = sizeof(struct urt__trace_event);
	p->events_offset = head;
	p->pid = getpid();
	p->entry = getauxval(AT_ENTRY);
	strcpy(p->exe, "/proc/self/exe");
	strcpy(p->reason[3], "io\033[2J\xff");
	__atomic_store_n(&p->magic, URT__TRACE_MAGIC, __ATOMIC_RELEASE);
	return p;
}

static void write_event(struct urt__trace_page *p, unsigned ring, int64_t ns,
			uint64_t coro)
{
	struct urt__trace_event e = { .ns = ns,
				      .kind = URT__TRACE_SWITCH,
				      .coro = coro,
				      .fn = 0x41414141,
				      .how = URT__TRACE_PARKED,
				      .reason = 3 };

	urt__trace_write(p, ring, &e);
}

static void lie_in_events(const char *mode)
{
	bool bomb = !strcmp(mode, "bomb");
	struct urt__trace_page *p = trace_page(bomb ? 4096 : 2, 1024);
	uint32_t offset = p->events_offset;

	for (int i = 0; !strcmp(mode, "many") && i < 70; i++)
		trace_page(2, 1024);
	for (unsigned i = 0;; i++) {
		bool lies = i & 1;

		if (!bomb) { /* we need them, too */
			p->events = 1024;
			p->events_offset = offset;
		}
		if (!bomb && strcmp(mode, "jump"))
			write_event(p, 1, now(), 1 + i % 2);
		for (int k = 0; bomb && k < 4096; k++)
			__atomic_fetch_add(&p->ring[k].head, 1000,
					   __ATOMIC_RELEASE);
		if (!strcmp(mode, "rings"))
			p->rings = lies ? 4096 : 2;
		else if (!strcmp(mode, "events"))
			p->events = lies ? 1 << 30 : 1024;
		else if (!strcmp(mode, "offset"))
			p->events_offset = lies ? 1u << 31 : 0;
		else if (!strcmp(mode, "jump"))
			p->ring[1].head += UINT64_C(1) << 40;
		else if (!strcmp(mode, "past"))
			write_event(p, 1, 1, 7);
		else if (!strcmp(mode, "future"))
			write_event(p, 1, INT64_MAX, 7);
		usleep(LIE_US);
	}
}

/* ---- the liars ---- */

/* Memory of its counters page, in kB: holes have none. */
static long page_kb(pid_t pid)
{
	ck_assert_int_eq(
		sh("for f in /proc/%d/fd/*; do case $(readlink $f) in "
		   "*urt-stats*) stat -L -c %%b $f; break;; esac; done",
		   pid),
		0);
	return atol(text) / 2;
}

START_TEST(counters_pages_that_lie_are_not_available_or_bounded)
{
	static const char *const modes[] = {
		"truncate",  "unsealed", "slots", "counters", "header",
		"slot_size", "huge",	 "sum",	  "back"
	};
	const char *mode = modes[_i];
	pid_t pid;

	NEED_BPF();
	pid = liar(lie_in_counters, mode);
	ck_assert_msg(sh("timeout 90 ./urt stat --json -o liar.json -p %d "
			 "--timeout 300 2>&1; code=$?; cat liar.json; "
			 "exit $code",
			 pid) == 0,
		      "%s: %s", mode, text);
	if (!strcmp(mode, "unsealed") || !strcmp(mode, "truncate"))
		ck_assert_msg(strstr(text, "not sealed"), "%s: %s", mode, text);
	if (!strcmp(mode, "back"))
		ck_assert_msg(strstr(text, "went back"), "%s: %s", mode, text);
	/* For each lie: no figure that wrapped. */
	ck_assert_msg(number("user", "switches") < 1000000, "%s: %s", mode,
		      text);
	ck_assert_msg(sh("timeout 90 ./urt top -b -n 2 -d 200 2>&1") == 0,
		      "%s: %s", mode, text);
	ck_assert_msg(!strstr(text, "18446744"), "%s: %s", mode, text);
	ck_assert_int_lt(page_kb(pid), 5 << 10);
	stop(pid);
}
END_TEST

START_TEST(event_pages_that_lie_make_no_timeline_long_or_urt_large)
{
	static const char *const modes[] = { "rings", "events", "offset",
					     "jump",  "past",	"future",
					     "many",  "bomb" };
	const char *mode = modes[_i];
	time_t begin;
	long long ns;
	pid_t pid;

	NEED_BPF();
	pid = liar(lie_in_events, mode);
	begin = time(NULL);
	/* Memory: at most 256 MiB of buffers, and urt's usual memory. */
	ck_assert_msg(sh("%s timeout 90 ./urt record -p %d --duration 400 "
			 "-o liar.pftrace 2>&1",
			 SANITIZED ? "" : "ulimit -d 700000;", pid) == 0,
		      "%s: %s", mode, text);
	ck_assert_msg(sh("timeout 90 ./urt report --json liar.pftrace") == 0,
		      "%s: %s", mode, text);
	ns = number(NULL, "duration_ns");
	/* No longer than the recording, which takes long on a busy machine. */
	ck_assert_msg(ns >= 0 && ns < (30 + time(NULL) - begin) * 1000 * MS,
		      "%s: %lld ns", mode, ns);
	ck_assert_ptr_null(strchr(text, '\033'));
	stop(pid);
}
END_TEST

/* ---- coroutines that are not there ---- */

#define LIES 1000

struct block {
	uint64_t park, reason, zero, object, ctx[3];
};

static char deep[32]; /* a directory */

/* Maps a file by a path longer than a buffer for a line of /proc/PID/maps. What follows
 * in it looks like a line, of memory in which a heap could begin anywhere. */
static void map_a_long_path(void)
{
	char part[256];

	snprintf(part, sizeof(part), "%200s%s", "",
		 "1000-fffffffffffff000 rw-p 00000000 00:00 0 [anon:x]");
	if (chdir(deep))
		_exit(1);
	for (int i = 0; i < 20; i++)
		if (mkdir(part, 0777) || chdir(part))
			_exit(1);
	if (mmap(NULL, 4096, PROT_READ, MAP_PRIVATE,
		 open("file", O_RDWR | O_CREAT, 0666), 0) == MAP_FAILED)
		_exit(1);
}

#define TABLES	   64
#define TABLE_SIZE (16 << 20) /* of each: the most that its kind may have */
#define CHAIN	   100000     /* symbols, none of them the one looked for */

/* A library with many symbols and a large unwind table, which are zero. */
static struct library {
	Elf64_Ehdr head;
	Elf64_Phdr part[4];
	Elf64_Dyn dynamic[4];
	uint32_t hash[4], bucket, chain[CHAIN];
	uint8_t table[12];
} library = {
	.head = { .e_ident = ELFMAG "\2",
		  .e_phoff = sizeof(Elf64_Ehdr),
		  .e_phentsize = sizeof(Elf64_Phdr),
		  .e_phnum = 4 },
	.part = { { .p_type = PT_LOAD },
		  { .p_type = PT_DYNAMIC,
		    .p_vaddr = offsetof(struct library, dynamic),
		    .p_memsz = 4 * sizeof(Elf64_Dyn) },
		  { .p_type = PT_TLS, .p_memsz = 8 },
		  { .p_type = PT_GNU_EH_FRAME,
		    .p_vaddr = offsetof(struct library, table),
		    .p_memsz = TABLE_SIZE + 12 } },
	.dynamic = { { .d_tag = DT_SYMTAB, .d_un.d_val = 8 },
		     { .d_tag = DT_STRTAB, .d_un.d_val = 8 },
		     { .d_tag = DT_GNU_HASH,
		       .d_un.d_val = offsetof(struct library, hash) } },
	.hash = { 1, 1 },
	.bucket = 1,
	.table = { 1, 0x1b, 3,
		   0x3b, [10] = 0x20 }, /* 2^21 entries of 8 bytes */
};

/* Its file, of that size. */
static int library_file(size_t size)
{
	int fd = memfd_create("library", MFD_CLOEXEC);

	if (write(fd, &library, sizeof(library)) != sizeof(library) ||
	    ftruncate(fd, size))
		_exit(1);
	return fd;
}

/* Each coroutine waits in another of many libraries with large unwind tables. */
static void map_tables(struct block *b)
{
	size_t size = sizeof(library) + TABLE_SIZE;
	int fd = library_file(size);

	for (unsigned i = 0; i < LIES; i++) {
		char *at = i < TABLES ? mmap(NULL, size, PROT_READ, MAP_SHARED,
					     fd, 0)
				      : (char *)b[i - TABLES].ctx[2];

		b[i].ctx[0] = (uintptr_t)(b + i) - 8;
		b[i].ctx[2] = (uintptr_t)at;
	}
}

static void have_coroutines(const char *mode)
{
	struct block *b = mmap(NULL, LIES * sizeof(*b), PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t stacks[3] = { (uintptr_t)b, sizeof(*b), LIES };
	uint64_t worker = 0;
	int fd;
	struct urt__stats_page *p = counters_page(1 << 16, true, &fd);
	struct urt__outside *o =
		(struct urt__outside *)((char *)p +
					urt__stats_outside_at(p->counters));

	for (unsigned i = 0; i < LIES; i++)
		b[i] = (struct block){ .park = 1 << 2 | 1,
				       .reason = 1,
				       .object = (uintptr_t)&b[i] };
	*o = (struct urt__outside){ .size = sizeof(*o),
				    .stacks = (uintptr_t)stacks,
				    .workers = (uintptr_t)&worker,
				    .nr_workers = (uintptr_t)&worker,
				    .nr_stacks = 1,
				    .stacks_size = sizeof(stacks),
				    .stacks_stride = 8,
				    .stacks_used = 16,
				    .colours = 1,
				    .block_size = sizeof(*b) };
	o->block_reason = offsetof(struct block, reason);
	o->block_scope = o->block_context = o->block_since_ns = o->block_op =
		o->block_lowest = offsetof(struct block, zero);
	o->block_object = offsetof(struct block, object);
	o->block_ctx = offsetof(struct block, ctx);
	o->reasons = 2;
	strcpy(o->reason[1], "mutex");
	if (!strcmp(mode, "path"))
		map_a_long_path();
	if (!strcmp(mode, "tables"))
		map_tables(b);
	/* Memory in which an arena could begin at half a million places. */
	if (!strcmp(mode, "space") &&
	    mmap(NULL, UINT64_C(1) << 45, PROT_READ,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		 0) == MAP_FAILED)
		_exit(1);
	__atomic_store_n(&o->version, URT__OUTSIDE_VERSION, __ATOMIC_RELEASE);
	for (;;)
		usleep(1000);
}

START_TEST(coroutines_that_lie_do_not_hold_up_a_search_for_leaks)
{
	static const char *const modes[] = { "space", "path" };
	pid_t pid;

	NEED_BPF();
	strcpy(deep, "/tmp/urt-hostile.XXXXXX");
	new_directory(deep);
	chmod(deep, 0777);
	pid = liar(have_coroutines, modes[_i]);
	do
		ck_assert_int_ne(sh("timeout -s KILL 90 ./urt dump --leaked "
				    "-p %d 2>&1",
				    pid),
				 137);
	while (strstr(text, "runs no coroutines")); /* not yet */
	ck_assert_msg(strstr(text, "1000 coroutines of ") ||
			      strstr(text, "cannot be searched in 30 s"),
		      "%s", text);
	stop(pid);
	sh("rm -r %s", deep);
}
END_TEST

START_TEST(unwind_tables_take_bounded_memory)
{
	struct rusage u;
	pid_t pid;

	NEED_BPF(); /* else it is another user's */
	pid = liar(have_coroutines, "tables");
	do
		sh("timeout -s KILL 90 ./urt dump -p %d 2>&1", pid);
	while (strstr(text, "runs no coroutines")); /* not yet */
	ck_assert_msg(strstr(text, "1000 coroutines of ") != NULL, "%s", text);
	stop(pid);
	getrusage(RUSAGE_CHILDREN, &u);
	ck_assert_msg(SANITIZED || u.ru_maxrss < 450 << 10, "%ld kB",
		      u.ru_maxrss);
}
END_TEST

/* ---- modules that take long ---- */

static void have_a_context(void *arg)
{
	struct urt_context ctx = { .span_id = { 1 } };

	urt_context_add(&ctx, urt_context_key("http.route"), "/");
	urt_context_set(&ctx);
	for (;;)
		urt_sleep(MS);
}

static void have_large_libraries(const char *mode)
{
	int fd = library_file(sizeof(library));

	(void)mode;
	for (uintptr_t at = 1 << 28; at < 3 << 28; at += 1 << 22)
		mmap((void *)at, sizeof(library), PROT_READ,
		     MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0);
	urt_run(have_a_context, NULL);
}

START_TEST(libraries_that_take_long_hold_up_no_search_for_contexts)
{
	pid_t pid;

	NEED_BPF();
	pid = liar(have_large_libraries, "");
	ck_assert_msg(sh("timeout -s KILL 90 ./urt stat --by context -p %d "
			 "--timeout 300 2>&1",
			 pid) == 0,
		      "%s", text);
	stop(pid);
}
END_TEST

/* ---- pages that are sent ---- */

START_TEST(pages_that_are_sent_without_end_hold_nothing_up)
{
	NEED_BPF();
	ck_assert_msg(sh("timeout -s KILL 90 ./urt stat --timeout 300 -- "
			 "tests/probe pages 2>&1") == 0,
		      "%s", text);
}
END_TEST

/* Each is 1 MB of holes; reading one would allocate it. */
START_TEST(pages_that_are_sent_take_bounded_memory)
{
	struct rusage u;

	NEED_BPF();
	ck_assert_int_eq(sh("./urt stat -- tests/probe pages 600 2>&1"), 0);
	ck_assert_msg(strstr(text, "too many programs") != NULL, "%s", text);
	getrusage(RUSAGE_CHILDREN, &u);
	ck_assert_msg(SANITIZED || u.ru_maxrss < 450 << 10, "%ld kB",
		      u.ru_maxrss);
}
END_TEST

/* Whether each has ended is asked for all at once, after many more. */
START_TEST(pages_of_one_that_lives_on_cost_little)
{
	NEED_BPF();
	ck_assert_msg(
		sh("./urt stat --assert 'syscalls:kill < 1M' -o liar.stat "
		   "-- ./urt stat -- tests/probe pages 6000 4096 2>&1") == 0,
		"%s", text);
	ck_assert_msg(strstr(text, "too many programs") != NULL, "%s", text);
}
END_TEST

#define THREADS 300

static void *sleeps(void *arg)
{
	while (usleep(20000) == 0)
		;
	return NULL;
}

static void have_threads(const char *mode)
{
	pthread_t thread;

	(void)mode;
	for (int i = 1; i < THREADS; i++)
		if (pthread_create(&thread, NULL, sleeps, NULL))
			_exit(1);
	sleeps(NULL);
}

/* Each row costs a few calls for itself and for each of its counts, however many other
 * rows there are: it was 450,000 calls here. */
START_TEST(rows_of_many_threads_are_read_once)
{
	pid_t pid;

	NEED_BPF();
	pid = liar(have_threads, "");
	ck_assert_int_eq(
		sh("while [ \"$(ls /proc/%d/task | wc -l)\" != %d ]; do :; "
		   "done; ./urt stat --json -o bpf.out -- "
		   "./urt stat --by thread -p %d --timeout 300 -o threads.out "
		   "&& grep -c 'urt_test (' threads.out >/dev/null && cat bpf.out; "
		   "c=$?; rm -f bpf.out threads.out; exit $c",
		   pid, THREADS, pid),
		0);
	stop(pid);
	ck_assert_int_gt(number("by_name", "bpf"), THREADS);
	ck_assert_int_lt(number("by_name", "bpf"), THREADS * 100);
}
END_TEST

/* A sum over some of the threads would look like one over all. */
START_TEST(event_without_a_file_for_each_thread_is_not_available)
{
	/* Without tracefs, the others lack that. */
	static const char *const as[] = {
		"unshare -m sh -c '[ -d /sys/kernel/tracing/events ] || "
		"mount -t tracefs none /sys/kernel/tracing && eval \"$0\"'",
		"unshare -m sh -c 'umount -a -t tracefs; eval \"$0\"'"
	};
	static const char *const lacks[] = { "too many open files", "tracefs" };
	const char *files, *syscalls;
	pid_t pid;

	NEED_BPF();
	if (sh("%s true 2>&1", as[_i]))
		SKIP("tracefs cannot be mounted or unmounted here");
	pid = liar(have_threads, "");
	ck_assert_int_eq(
		sh("while [ \"$(ls /proc/%d/task | wc -l)\" != %d ]; do :; "
		   "done; %s 'ulimit -n %d; ./urt stat --no-bpf --json -p %d "
		   "--timeout 100 -o threads.out'; c=$?; cat threads.out; "
		   "rm -f threads.out; exit $c",
		   pid, THREADS, as[_i], THREADS + THREADS / 2, pid),
		0);
	stop(pid);
	ck_assert_msg(strstr(text, "\"migrations\":null") != NULL, "%s", text);
	files = json_string_value(json_object_get(
		member(document(), "unavailable"), "migrations"));
	ck_assert_ptr_nonnull(files);
	ck_assert_ptr_nonnull(strstr(files, "too many open files"));
	syscalls = json_string_value(json_object_get(
		member(document(), "unavailable"), "syscalls.total"));
	ck_assert_msg(syscalls && strstr(syscalls, lacks[_i]), "%s", text);
}
END_TEST

/* Not for each of them: that was 12 files a thread, most of which do not exist. */
START_TEST(numbers_of_tracepoints_are_read_once_for_all_threads)
{
	pid_t pid;

	NEED_BPF();
	pid = liar(have_threads, "");
	ck_assert_int_eq(
		sh("while [ \"$(ls /proc/%d/task | wc -l)\" != %d ]; do :; "
		   "done; ./urt stat --json -o bpf.out -- ./urt stat --no-bpf "
		   "-p %d --timeout 100 -o /dev/null && cat bpf.out; c=$?; "
		   "rm -f bpf.out; exit $c",
		   pid, THREADS, pid),
		0);
	stop(pid);
	ck_assert_int_gt(number("by_name", "openat"), THREADS);
	ck_assert_int_lt(number("by_name", "openat"),
			 number("by_name", "read") * 7 / 10);
}
END_TEST

Suite *hostile_suite(void)
{
	Suite *s = suite_create("hostile");
	TCase *t = tcase_create("hostile");

	tcase_set_timeout(t, 240);
	tcase_add_loop_test(
		t, counters_pages_that_lie_are_not_available_or_bounded, 0, 9);
	tcase_add_loop_test(
		t, event_pages_that_lie_make_no_timeline_long_or_urt_large, 0,
		8);
	suite_add_tcase(s, t);
	t = tcase_create("memory");
	tcase_add_test(t, rows_of_many_threads_are_read_once);
	tcase_add_loop_test(
		t, event_without_a_file_for_each_thread_is_not_available, 0, 2);
	tcase_add_test(t, numbers_of_tracepoints_are_read_once_for_all_threads);
	tcase_add_loop_test(
		t, coroutines_that_lie_do_not_hold_up_a_search_for_leaks, 0, 2);
	tcase_add_test(t, unwind_tables_take_bounded_memory);
	tcase_add_test(t,
		       libraries_that_take_long_hold_up_no_search_for_contexts);
	tcase_add_test(t, pages_that_are_sent_without_end_hold_nothing_up);
	tcase_add_test(t, pages_that_are_sent_take_bounded_memory);
	tcase_add_test(t, pages_of_one_that_lives_on_cost_little);
	suite_add_tcase(s, t);
	return s;
}
