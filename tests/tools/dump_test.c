// SPDX-License-Identifier: MIT
/*
 * `urt dump` against what is known of the program: a child of ours, whose
 * coroutines are counted and which wait where it says. And programs that lie.
 */
#define _GNU_SOURCE
#include "../../uring_rt/base/stats.h"
#include "../../uring_rt/urt.h"
#include "../lib/json_tree.h"
#include "../lib/test.h"
#include "../lib/tool_run.h"
#include "../lib/workers.h"
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>
#undef errno

#define NEVER_NS INT64_C(1000000000000)

static pid_t program;
static int told; /* the pipe's end, there */

static void say_ready(void)
{
	ck_assert_int_eq(write(told, "", 1), 1);
}

/* Runs fn in a child until it says that it is ready. */
static void start(urt_fn *fn, unsigned workers)
{
	struct urt_options o = { .workers = workers };
	int fds[2];
	char c;

	ck_assert_int_eq(pipe(fds), 0);
	program = fork();
	if (!program) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(fds[0]);
		told = fds[1];
		prctl(PR_SET_NAME, "dump;\t1");
		_exit(urt_run_with(fn, NULL, &o) ? 1 : 0);
	}
	close(fds[1]);
	ck_assert_int_eq(read(fds[0], &c, 1), 1);
	close(fds[0]);
}

static void stop(void)
{
	kill(program, SIGKILL);
	waitpid(program, NULL, 0);
}

static unsigned count(const char *what)
{
	unsigned n = 0;

	for (const char *p = text; (p = strstr(p, what)); p++)
		n++;
	return n;
}

/* ---- a known population ---- */

static struct urt_chan *chan;
static struct urt_mutex mutex = URT_MUTEX_INIT;
static int pipe_ends[2];

/* Without frame pointers, and with a frame of a size of its own. */
#if defined(__clang__)
#define NO_FRAME_POINTER
#else
#define NO_FRAME_POINTER __attribute__((optimize("omit-frame-pointer")))
#endif

static __attribute__((noinline)) NO_FRAME_POINTER void inner_sleep(int deeper)
{
	volatile char room[200] = { 0 };

	room[deeper] = room[0];
	if (deeper)
		inner_sleep(deeper - 1);
	else
		urt_sleep(NEVER_NS);
	room[deeper] = room[0]; /* so it is no tail call */
}

static void sleeps(void *arg)
{
	inner_sleep(3);
}

static void receives(void *arg)
{
	long v;

	urt_chan_recv(chan, &v, URT_NEVER);
}

static void reads(void *arg)
{
	char c;

	urt_read(pipe_ends[0], &c, 1, URT_NEVER);
}

static void locks(void *arg)
{
	urt_mutex_lock(&mutex, URT_NEVER);
}

static void works_for_a_route(void *arg)
{
	struct urt_context ctx = { .trace_id = { 0xab, 0xcd },
				   .span_id = { 1 } };

	urt_context_add(&ctx, urt_context_key("http.route"), arg);
	urt_context_set(&ctx);
	urt_sleep(NEVER_NS);
	urt_context_set(NULL);
}

static void nothing(void *arg)
{
}

static void populate(void *arg)
{
	chan = urt_chan_new(sizeof(long), 0);
	ck_assert_int_eq(urt_pipe(pipe_ends, 0), 0);
	urt_mutex_lock(&mutex, URT_NEVER);
	for (int i = 0; i < 300; i++)
		urt_go(sleeps, NULL);
	for (int i = 0; i < 20; i++)
		urt_go(receives, NULL);
	for (int i = 0; i < 7; i++)
		urt_go(reads, NULL);
	for (int i = 0; i < 3; i++)
		urt_go(locks, NULL);
	for (int i = 0; i < 5; i++)
		urt_go(works_for_a_route, i % 2 ? "/a" : "/b");
	urt_spawn(nothing, NULL);
	/* 305, and our own. */
	for (int own = 0; counter(URT__STAT_PARKS_SLEEP) < 305u + own; own++)
		urt_sleep(MS);
	wait_for_count(URT__STAT_PARKS_CHAN, 20);
	wait_for_count(URT__STAT_PARKS_IO, 7);
	wait_for_count(URT__STAT_PARKS_LOCK, 3);
	say_ready();
	urt_sleep(NEVER_NS);
	urt_mutex_unlock(&mutex);
}

START_TEST(dump_tells_each_coroutine_what_it_waits_for_and_where)
{
	unsigned workers = 1 + _i * 2;
	int tries = 0;

	start(populate, workers);
	do /* the first one may not have parked yet */
		ck_assert_int_eq(sh("./urt dump -p %d --json 2>&1", program),
				 0);
	while (number("states", "parked") < 336 && tries++ < 100);
	/* 300 + 20 + 7 + 3 + 5, the first one; and one that ended. */
	ck_assert_int_eq(number(NULL, "total"), 337);
	ck_assert_int_eq(number("states", "parked"), 336);
	ck_assert_int_eq(number("states", "ended"), 1);
	ck_assert_uint_eq(count("\"reason\":\"sleep\""), 306);
	ck_assert_uint_eq(count("\"reason\":\"chan receive\""), 20);
	ck_assert_uint_eq(count("\"reason\":\"mutex\""), 3);
	ck_assert_uint_eq(count("\"operation\":\"READ\""), 7);
	ck_assert_uint_eq(count("\"function\":\"inner_sleep\""), 1200);
	ck_assert_uint_eq(count("\"function\":\"urt_chan_recv\""), 20);
	ck_assert_uint_eq(count("\"http.route\":\"/b\""), 3);
	ck_assert_uint_eq(count("\"trace_id\":\"abcd00000000"), 5);
	ck_assert_uint_eq(count("\"stack_is_whole\":1"), 336);
	ck_assert_int_eq(number(NULL, "unreadable"), 0);
	stop();
}
END_TEST

START_TEST(dump_makes_those_that_wait_alike_one_entry)
{
	start(populate, 2);
	ck_assert_int_eq(sh("./urt dump -p %d 2>&1", program), 0);
	ck_assert_msg(strstr(text, "\n300 sleep, for ") != NULL, "%s", text);
	ck_assert_msg(strstr(text, "\n7 io READ, for ") != NULL, "%s", text);
	ck_assert_int_eq(sh("./urt dump -p %d -k http.route 2>&1", program), 0);
	ck_assert_msg(strstr(text, "\n3 sleep [/b], for ") != NULL, "%s", text);
	ck_assert_int_eq(sh("./urt dump -p %d --folded 2>&1", program), 0);
	ck_assert_msg(count("dump:?1;") == count("\n"), "%s", text);
	ck_assert_msg(
		strstr(text,
		       ";inner_sleep;inner_sleep;inner_sleep;inner_sleep;urt_sleep") !=
			NULL,
		"%s", text);
	ck_assert_int_eq(sh("./urt dump -p %d --longer 3600000 2>&1", program),
			 0);
	ck_assert_msg(strstr(text, "337 others have not waited"), "%s", text);
	stop();
}
END_TEST

/* Several chunks of the reader's, alike in themselves and mixed. */
static void populate_chunks(void *arg)
{
	static urt_fn *const kinds[] = { receives, works_for_a_route, reads,
					 sleeps };

	chan = urt_chan_new(sizeof(long), 0);
	ck_assert_int_eq(urt_pipe(pipe_ends, 0), 0);
	for (unsigned kind = 0; kind < ARRAY_LEN(kinds); kind++)
		for (int i = 0; i < 700; i++)
			urt_go(kinds[kind], "/a");
	for (int i = 0; i < 4 * 300; i++)
		urt_go(kinds[i % 4], "/a");
	wait_for_count(URT__STAT_PARKS_CHAN, 1000);
	wait_for_count(URT__STAT_PARKS_IO, 1000);
	for (int own = 0; counter(URT__STAT_PARKS_SLEEP) < 2000u + own; own++)
		urt_sleep(MS);
	say_ready();
	urt_sleep(NEVER_NS);
}

/* The sum of the counts at the ends of lines that have all three. */
static long folded(const char *context, const char *function,
		   const char *reason)
{
	long n = 0;

	for (char *p = text; *p; p += strcspn(p, "\n") + 1) {
		char line[4096];

		snprintf(line, sizeof(line), "%.*s", (int)strcspn(p, "\n"), p);
		if (strstr(line, context) && strstr(line, function) &&
		    strstr(line, reason))
			n += atol(strrchr(line, ' '));
	}
	return n;
}

START_TEST(dump_tells_coroutines_of_several_chunks_apart)
{
	int tries = 0;

	start(populate_chunks, 2);
	do {
		ck_assert_int_eq(sh("./urt dump -p %d -k http.route --folded "
				    "%s 2>&1",
				    program, _i ? "--no-stacks" : ""),
				 0);
		ck_assert_int_eq(folded("", "", ""), 4001);
	} while (folded("", "", "[r") && tries++ < 100); /* not parked yet */
	ck_assert_int_eq(folded("1;", "receives", "[chan receive]"), 1000);
	ck_assert_int_eq(folded("1;/a;", "works_for_a_route", "[sleep]"), 1000);
	ck_assert_int_eq(folded("1;", "reads", "[io READ]"), 1000);
	ck_assert_int_eq(
		folded("1;", _i ? "sleeps" : ";inner_sleep;", "[sleep]"), 1000);
	ck_assert_int_eq(folded("1;/a;", "", ""), 1000);
	stop();
}
END_TEST

START_TEST(top_counts_coroutines_by_what_they_wait_for)
{
	start(populate, 2);
	ck_assert_int_eq(
		sh("./urt top -b -n 1 -d 50 --coroutines -p %d -k http.route "
		   "2>&1",
		   program),
		0);
	ck_assert_msg(strstr(text, "337 coroutines: 336 parked") != NULL, "%s",
		      text);
	ck_assert_msg(strstr(text, " sleeps\n") != NULL, "%s", text);
	ck_assert_msg(strstr(text, " works_for_a_route  /b\n") != NULL, "%s",
		      text);
	stop();
	refuses("./urt top -b --coroutines", "go together");
}
END_TEST

/* ---- one that does not stand still ---- */

static __attribute__((noinline)) void waits_by_sleep(uint64_t *chance)
{
	urt_sleep(rnd(chance) % 50000);
	__asm__ volatile(""); /* so it is no tail call */
}

static __attribute__((noinline)) void waits_by_chan(uint64_t *chance)
{
	long v = 0;

	if (rnd(chance) % 2)
		urt_chan_send(chan, &v, urt_after(50000));
	else
		urt_chan_recv(chan, &v, urt_after(50000));
	__asm__ volatile("");
}

static uint64_t state;

static void moves(void *arg)
{
	uint64_t chance = state ^ ((uintptr_t)arg + 1) * 0x9E3779B97F4A7C15;

	for (;;) {
		if (rnd(&chance) % 2)
			waits_by_sleep(&chance);
		else
			waits_by_chan(&chance);
	}
}

static void move(void *arg)
{
	chan = urt_chan_new(sizeof(long), 0);
	for (uintptr_t i = 0; i < 300; i++)
		urt_go(moves, (void *)i);
	say_ready();
	urt_sleep(NEVER_NS);
}

static bool has_frame(json_t *stack, const char *function)
{
	json_t *frame;
	size_t i;

	json_array_foreach(stack, i, frame)
	{
		const char *name =
			json_string_value(json_object_get(frame, "function"));

		if (name && !strcmp(name, function))
			return true;
	}
	return false;
}

static void check_each(unsigned *whole)
{
	json_t *coro, *all = json_object_get(document(), "coroutines");
	size_t i;

	json_array_foreach(all, i, coro)
	{
		json_t *stack = json_object_get(coro, "stack");
		const char *why =
			json_string_value(json_object_get(coro, "reason"));

		if (!json_integer_value(
			    json_object_get(coro, "stack_is_whole")) ||
		    !has_frame(stack, "moves"))
			continue;
		++*whole;
		ck_assert_msg((why && !strcmp(why, "sleep")) ==
				      has_frame(stack, "waits_by_sleep"),
			      "%s", text);
		ck_assert_msg((why && !strncmp(why, "chan ", 5)) ==
				      has_frame(stack, "waits_by_chan"),
			      "%s", text);
	}
}

START_TEST(dump_never_mixes_two_waits_of_a_coroutine)
{
	unsigned whole = 0;

	state = seed();
	start(move, 2);
	for (int i = 0; i < 30 || whole <= 300; i++) {
		ck_assert_int_eq(sh("./urt dump -p %d --json 2>&1", program),
				 0);
		ck_assert_int_eq(number(NULL, "total"), 301);
		check_each(&whole);
	}
	stop();
}
END_TEST

/* ---- leaks ---- */

struct knot {
	struct urt_chan *wait, *hold;
	struct urt_mutex *mutex;
};

static struct knot *kept;	 /* a global, to a block of the heap */
static struct urt_mutex *locked; /* ... */

#define NOTHING_ELSE() __asm__ volatile("" ::: "memory")

static __attribute__((noinline)) void lost_receiver(void *arg)
{
	long v;

	urt_chan_recv(arg, &v, URT_NEVER);
	NOTHING_ELSE();
}

static __attribute__((noinline)) void kept_receiver(void *arg)
{
	long v;

	urt_chan_recv(arg, &v, URT_NEVER);
	NOTHING_ELSE();
}

static __attribute__((noinline)) void timed_receiver(void *arg)
{
	long v;

	urt_chan_recv(arg, &v, urt_after(NEVER_NS));
	NOTHING_ELSE();
}

static __attribute__((noinline)) void lost_locker(void *arg)
{
	urt_mutex_lock(arg, URT_NEVER);
	NOTHING_ELSE();
}

/* Waits on one channel, and alone has the other. */
static __attribute__((noinline)) void knotted(void *arg)
{
	struct knot k = *(struct knot *)arg;
	long v = 0;

	urt_chan_recv(k.wait, &v, URT_NEVER);
	urt_chan_send(k.hold, &v, URT_NEVER);
}

static __attribute__((noinline)) void lost_selector(void *arg)
{
	struct knot *k = arg;
	long v;
	struct urt_case cases[] = { { k->wait, URT_RECV, &v, 0 },
				    { k->hold, URT_RECV, &v, 0 } };

	urt_select(cases, 2, URT_NEVER);
	NOTHING_ELSE();
}

static __attribute__((noinline)) void lost_joiner(void *arg)
{
	urt_join(urt_spawn(lost_receiver, arg));
	NOTHING_ELSE();
}

/* The only pointer is on the stack of one that will continue. */
static __attribute__((noinline)) void holder(void *arg)
{
	struct urt_chan *volatile ch = urt_chan_new(sizeof(long), 0);
	long v = 0;

	urt_go(kept_receiver, ch);
	urt_sleep(NEVER_NS);
	urt_chan_send(ch, &v, URT_NEVER);
}

static struct urt_chan *new_chan(void)
{
	return urt_chan_new(sizeof(long), 0);
}

/* Ends, so that its stack holds nothing. */
static void lose(void *arg)
{
	struct knot *k = calloc(4, sizeof(*k));

	struct urt_mutex *m = calloc(1, sizeof(*m));

	for (int i = 0; i < 10; i++)
		urt_go(lost_receiver, new_chan());
	for (int i = 0; i < 5; i++)
		urt_go(timed_receiver, new_chan());
	urt_mutex_lock(m, URT_NEVER);
	urt_go(lost_locker, m);
	urt_mutex_lock(locked, URT_NEVER);
	urt_go(locks, locked);
	k[0] = (struct knot){ new_chan(), new_chan(), NULL };
	k[1] = (struct knot){ k[0].hold, k[0].wait, NULL };
	urt_go(knotted, &k[0]);
	urt_go(knotted, &k[1]);
	k[2] = (struct knot){ new_chan(), new_chan(), NULL };
	urt_go(lost_selector, &k[2]);
	urt_go(lost_joiner, new_chan());
	for (int i = 0; i < 4; i++) {
		kept[i].wait = new_chan();
		urt_go(kept_receiver, kept[i].wait);
	}
	urt_go(holder, NULL);
}

static void leak(void *arg)
{
	struct urt_coro *loser;

	kept = calloc(4, sizeof(*kept));
	locked = calloc(1, sizeof(*locked));
	loser = urt_spawn(lose, NULL);
	for (int64_t end = urt_now() + 5 * MS; urt_now() < end;)
		; /* so that another worker steals it, and with it an arena */
	urt_join(loser);
	wait_for_count(URT__STAT_PARKS_CHAN, 24);
	wait_for_count(URT__STAT_PARKS_LOCK, 1);
	for (int i = 0; i < 20; i++)
		urt_sleep(MS);
	say_ready();
	urt_sleep(NEVER_NS);
}

/* In a forked child, whose heap and arenas are several mappings each. */
START_TEST(leaked_are_those_that_nothing_can_reach)
{
	static const unsigned workers[] = { 1, 2, 5, 8 };

	start(leak, workers[_i]);
	ck_assert_msg(!sh("./urt dump -p %d --leaked --json 2>&1", program),
		      "%s", text);
	ck_assert_uint_eq(count("\"function\":\"kept_receiver\",\"state\""), 0);
	ck_assert_uint_eq(count("\"function\":\"timed_receiver\",\"state\""),
			  0);
	ck_assert_uint_eq(count("\"function\":\"locks\",\"state\""), 0);
	ck_assert_uint_eq(count("\"function\":\"holder\",\"state\""), 0);
	/* 10, one that is joined; a lock; two knotted; a select; a joiner. A
	 * stale value in the harness's heap may hide some. */
	ck_assert_msg(number("leaked", "count") >= 8 &&
			      number("leaked", "count") <= 16,
		      "%s", text);
	ck_assert_uint_ge(count("\"function\":\"lost_receiver\",\"state\""), 5);
	ck_assert_int_eq(number("leaked", "maybe"), 0);
	stop();
}
END_TEST

/* Some of leaker's populations, which says itself how many leaked. */
static const struct {
	const char *command, *arguments, *which;
	int populations;
} leakers[] = {
	{ "tests/leaker", "1", "", 29 },
	{ "tests/leaker", "2", "", 29 },
	{ "tests/leaker", "1 thread", "", 29 },
	{ "tests/leaker_asan", "2", "chan-receive condition circle heap maybe",
	  5 },
};

START_TEST(leaked_are_exactly_those_that_a_program_knows_of)
{
	const char *command = leakers[_i].command;
	int n = 0, want, got, maybe;
	char name[32];

	if (access(command, X_OK))
		SKIP("the compiler has no AddressSanitizer");
	ck_assert_int_eq(
		sh("all='%s'; all=${all:-$(%s)}\n"
		   "for c in $all; do %s $c %s >leak.$c & "
		   "echo $! >leak.$c.pid; done\n"
		   "for c in $all; do "
		   "until test -s leak.$c && ! grep -q running "
		   "/proc/$(cat leak.$c.pid)/task/*/syscall; "
		   "do sleep 0.01; done; "
		   "got=$(./urt dump --leaked -p $(cat leak.$c.pid) 2>&1 | "
		   "grep leaked); echo \"$c: $(cat leak.$c): $got\"; "
		   "kill $(cat leak.$c.pid); done; rm leak.*",
		   leakers[_i].which, command, command, leakers[_i].arguments),
		0);
	for (char *p = text, *end; (end = strchr(p, '\n')); p = end + 1) {
		maybe = 0;
		ck_assert_int_ge(sscanf(p,
					"%31[^:]: %d leaked: %d leaked, %d "
					"of them maybe",
					name, &want, &got, &maybe),
				 3);
		*end = '\0';
		ck_assert_msg(got == want, "%s", p);
		ck_assert_msg(maybe == (strcmp(name, "maybe") ? 0 : want), "%s",
			      p);
		ck_assert_msg(!strstr(p, "7 more may be leaked or not") ==
				      !!strcmp(name, "untold"),
			      "%s", p);
		n++;
	}
	ck_assert_int_eq(n, leakers[_i].populations);
}
END_TEST

START_TEST(leaked_are_none_of_those_that_are_known)
{
	start(populate, 2);
	ck_assert_int_eq(sh("./urt dump -p %d --leaked 2>&1", program), 0);
	ck_assert_msg(strstr(text, "\n0 leaked; ") != NULL, "%s", text);
	stop();
	state = seed();
	start(move, 2);
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(sh("./urt dump -p %d --leaked 2>&1", program),
				 0);
		ck_assert_msg(strstr(text, "\n0 leaked; ") != NULL, "%s", text);
	}
	stop();
}
END_TEST

/* ---- programs that lie ---- */

static void scramble(void *at, size_t size, uint64_t *chance, unsigned n)
{
	while (n--)
		((uint8_t *)at)[rnd(chance) % size] = rnd(chance);
}

/* A page that says nearly what is true, over memory that is nearly such. */
static _Noreturn void lie(uint64_t chance)
{
	struct urt__stats_page *page;
	size_t size = 1 << 20;
	uint8_t *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct urt__outside *o;
	int fd;
	uint64_t stacks[] = { (uintptr_t)memory, 4096, 200 };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (urt__stats_open(&page, &fd, 4) || fd < 0)
		_exit(1);
	for (size_t i = 0; i < size; i += 8)
		*(uint64_t *)(memory + i) =
			rnd(&chance) % 3
				? (uintptr_t)memory + rnd(&chance) % size
				: rnd(&chance) % 20;
	memcpy(memory, stacks, sizeof(stacks));
	o = urt__stats_outside(page);
	*o = (struct urt__outside){
		.version = URT__OUTSIDE_VERSION,
		.size = sizeof(*o),
		.stacks = (uintptr_t)memory,
		.nr_stacks = 1,
		.stacks_size = 24,
		.stacks_stride = 8,
		.stacks_used = 16,
		.colours = 1,
		.block_size = 160,
		.block_park = 16,
		.block_reason = 24,
		.block_id = 32,
		.block_ctx = 40,
		.block_context = 64,
		.block_op = 72,
		.op_what = 8,
		.workers = (uintptr_t)memory,
		.nr_workers = (uintptr_t)memory + 8,
		.reasons = 20,
	};
	if (rnd(&chance) % 4)
		scramble(o, sizeof(*o), &chance, 1 + rnd(&chance) % 6);
	say_ready();
	for (;;)
		scramble(memory + 24, size - 24, &chance, 1);
}

START_TEST(dump_survives_programs_that_lie)
{
	uint64_t chance = seed();
	unsigned told_something = 0;

	for (int i = 0; i < 24; i++) {
		int fds[2], code;
		char c;

		rnd(&chance);
		ck_assert_int_eq(pipe(fds), 0);
		program = fork();
		if (!program) {
			told = fds[1];
			lie(chance);
		}
		ck_assert_int_eq(read(fds[0], &c, 1), 1);
		close(fds[0]);
		close(fds[1]);
		code = sh("timeout 90 ./urt dump -p %d %s 2>&1", program,
			  i % 2 ? "--leaked" : "");
		ck_assert_msg(code == 0 || code == 1, "exit code %d: %s", code,
			      text);
		told_something += !code;
		stop();
	}
	ck_assert_uint_gt(told_something, 2);
}
END_TEST

/* Then /proc/PID has neither descriptors nor memory; its other threads have. */
START_TEST(process_whose_first_thread_has_exited_is_read)
{
	ck_assert_int_eq(
		sh("tests/probe leaderless & pid=$!\n"
		   "until grep -q '^State:.*zombie' /proc/$pid/status; do "
		   "sleep 0.01; done; n=0\n"
		   "until ./urt dump -p $pid >first.out 2>&1 || "
		   "[ $((n += 1)) -gt 200 ]; do sleep 0.05; done\n"
		   "cat first.out; ./urt stat --json -o first.json -p $pid "
		   "--timeout 100; code=$?; kill -9 $pid; exit $code"),
		0);
	ck_assert_msg(strstr(text, "urt_sleep_until") != NULL, "%s", text);
	ck_assert_int_eq(sh("cat first.json; rm first.json first.out"), 0);
	ck_assert_ptr_null(row(NULL, json_pack("{s:n}", "user")));
}
END_TEST

START_TEST(dump_says_why_it_cannot)
{
	refuses("./urt dump", "-p PID is missing");
	refuses("./urt dump -p 1", "runs no coroutines of uring_rt");
	refuses("./urt dump -p 4194304", "no process has the PID");
	refuses("./urt dump -p 0", "is not a number from 1");
	refuses("./urt dump -p 1 more", "unexpected argument \"more\"");
}
END_TEST

Suite *dump_suite(void)
{
	Suite *s = suite_create("dump");
	TCase *t = tcase_create("dump");

	tcase_add_loop_test(
		t, dump_tells_each_coroutine_what_it_waits_for_and_where, 0, 2);
	tcase_add_test(t, dump_makes_those_that_wait_alike_one_entry);
	tcase_add_loop_test(t, dump_tells_coroutines_of_several_chunks_apart, 0,
			    2);
	tcase_add_test(t, top_counts_coroutines_by_what_they_wait_for);
	tcase_add_test(t, dump_never_mixes_two_waits_of_a_coroutine);
	tcase_add_loop_test(t, leaked_are_exactly_those_that_a_program_knows_of,
			    0, ARRAY_LEN(leakers));
	tcase_add_test(t, leaked_are_none_of_those_that_are_known);
	tcase_add_test(t, dump_survives_programs_that_lie);
	tcase_add_test(t, process_whose_first_thread_has_exited_is_read);
	tcase_add_test(t, dump_says_why_it_cannot);
	suite_add_tcase(s, t);
	t = tcase_create("forked");
	tcase_add_loop_test(t, leaked_are_those_that_nothing_can_reach, 0, 4);
	suite_add_tcase(s, t);
	return s;
}
