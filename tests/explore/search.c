// SPDX-License-Identifier: MIT
/*
 * Trying all executions: the choices, depth first.
 *
 * An execution is a list of choices: of threads, of values that a load may
 * return, of what the kernel may do. The first execution takes the first
 * alternative everywhere. Each next one repeats the last up to the last choice
 * that has another alternative left, and takes that. Which threads are
 * alternatives at a choice turns out later in the execution (engine.c).
 *
 * The list, written as a line of digits, is what repeats an execution.
 */
#include "explore_in.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BRANCHES 65536u

static struct x_branch branches[BRANCHES];
static unsigned nr_branches; /* to be repeated from the last execution */
static unsigned depth;	     /* choices made in this execution */
static uint8_t forced[BRANCHES];
static unsigned nr_forced;
static uint64_t random_state; /* 0: depth first */

struct x_options x_options = { .bound = 3, .stale = 2 };

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* The choice to be repeated from the last execution; NULL: the choice is new. */
static struct x_branch *known(enum x_branch_kind kind)
{
	struct x_branch *b = &branches[depth];

	if (depth >= nr_branches)
		return NULL;
	if (b->kind != kind) {
		fprintf(stderr,
			"explore: an execution differs when it is "
			"repeated (choice %u)\n",
			depth);
		abort();
	}
	depth++;
	return b;
}

static struct x_branch *new_branch(enum x_branch_kind kind, unsigned first)
{
	struct x_branch *b = &branches[depth];

	if (depth == BRANCHES)
		explore_fail("too many choices in one execution");
	*b = (struct x_branch){ .kind = kind, .chosen = first };
	if (depth < nr_forced)
		b->chosen = forced[depth];
	nr_branches = ++depth;
	return b;
}

unsigned x_choose(unsigned n)
{
	struct x_branch *b;

	if (n <= 1 || !x_self)
		return 0;
	b = known(X_A_VALUE);
	if (!b) {
		b = new_branch(X_A_VALUE, random_state ? next_random() % n : 0);
		b->n = n;
	}
	return b->chosen < n ? b->chosen : 0;
}

unsigned explore_choose(unsigned n)
{
	return x_choose(n);
}

unsigned x_first_of(unsigned set, unsigned from)
{
	for (unsigned i = 0;; i++)
		if (set & 1u << (from + i) % x_nr_threads)
			return (from + i) % x_nr_threads;
}

static unsigned favourite(unsigned set, unsigned from, bool goes_on)
{
	if (random_state && (!goes_on || !(next_random() % 8)))
		return x_first_of(set, next_random() % x_nr_threads);
	return goes_on ? from : x_first_of(set, (from + 1) % x_nr_threads);
}

struct x_branch *x_choose_thread(unsigned set, unsigned from, bool goes_on)
{
	struct x_branch *b = known(X_A_THREAD);

	if (!b) {
		b = new_branch(X_A_THREAD, favourite(set, from, goes_on));
		b->enabled = set;
		b->todo = x_options.all ? set : 1u << b->chosen;
	} else if (b->enabled != set) {
		fprintf(stderr,
			"explore: other threads can go on when an "
			"execution is repeated (choice %u)\n",
			depth - 1);
		abort();
	}
	b->done |= 1u << b->chosen;
	if (!(set & 1u << b->chosen))
		explore_fail("this is no execution of the scenario");
	return b;
}

int32_t x_branch_number(const struct x_branch *b)
{
	return b ? b - branches : -1;
}

void x_note(int32_t branch, unsigned thread)
{
	struct x_branch *b = &branches[branch];

	if (b->enabled & 1u << thread)
		b->todo |= 1u << thread;
	else
		b->todo |= b->enabled;
}

/* Sets the choices of the next execution; false: all have been tried. */
static bool advance(void)
{
	for (; nr_branches; nr_branches--) {
		struct x_branch *b = &branches[nr_branches - 1];
		unsigned left = b->todo & ~b->done;

		if (b->kind == X_A_VALUE && ++b->chosen < b->n)
			return true;
		if (b->kind == X_A_THREAD && left) {
			b->chosen = __builtin_ctz(left);
			return true;
		}
	}
	return false;
}

/* ---- repeating an execution -------------------------------------------- */

static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";

/* Each choice is a digit; "*n." after it repeats it n times. */
static void write_replay(char *out, size_t size)
{
	size_t len = snprintf(out, size, "%u/%u:", x_bound, x_stale);
	unsigned end = depth, n;

	while (end && !branches[end - 1].chosen)
		end--; /* choices left out are the first alternative */
	for (unsigned i = 0; i < end && len + 16 < size; i += n) {
		for (n = 1; i + n < end &&
			    branches[i + n].chosen == branches[i].chosen;)
			n++;
		out[len++] = digits[branches[i].chosen];
		if (n > 1)
			len += snprintf(out + len, size - len, "*%u.", n);
	}
	out[len] = '\0';
}

static bool read_replay(const char *s)
{
	nr_forced = 0;
	while (*s) {
		const char *d = strchr(digits, *s++);
		unsigned long n = 1;

		if (!d)
			return false;
		if (*s == '*')
			n = strtoul(s + 1, (char **)&s, 10);
		if (*s == '.')
			s++;
		while (n-- && nr_forced < BRANCHES)
			forced[nr_forced++] = d - digits;
	}
	/* Choices left out are 0, even where a search would try another one first. */
	memset(forced + nr_forced, 0, BRANCHES - nr_forced);
	nr_forced = BRANCHES;
	return true;
}

/* ---- a scenario -------------------------------------------------------- */

/* CPU time, so that a busy machine does not make a search shorter. */
static int64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static void run(struct x_result *r)
{
	depth = 0;
	r->executions++;
	r->failed = !x_execute(r->message, sizeof(r->message), &r->steps);
	if (depth > r->depth)
		r->depth = depth;
	if (r->failed)
		write_replay(r->replay, sizeof(r->replay));
}

/* Runs all executions within the bounds, until end_ns; whether all were tried. */
static bool search(struct x_result *r, int64_t end_ns)
{
	nr_branches = 0;
	do {
		if (random_state)
			nr_branches = 0;
		run(r);
		if (r->failed || clock_ns() > end_ns ||
		    (x_options.max && r->executions >= x_options.max))
			return false;
	} while (random_state || advance());
	return true;
}

/* Searches first with one preemption, then with more: most faults need few. */
static void deepen(const struct explore_scenario *s, struct x_result *r,
		   int64_t end_ns)
{
	unsigned bound = s->bound ? s->bound : x_options.bound;
	unsigned stale = s->stale ? s->stale : x_options.stale;

	for (x_bound = 1; x_bound <= bound; x_bound++) {
		x_stale = x_bound < stale ? x_bound : stale;
		if (x_bound == bound)
			x_stale = stale;
		if (!search(r, end_ns))
			return;
		r->bound = x_bound;
	}
	r->complete = true;
}

static bool read_bounds(const char **s)
{
	int n = 0;

	if (sscanf(*s, "%u/%u:%n", &x_bound, &x_stale, &n) != 2 || !n)
		return false;
	*s += n;
	return true;
}

void x_search(const struct explore_scenario *s, struct x_result *r)
{
	int64_t begin_ns = clock_ns(), end_ns = INT64_MAX;
	const char *replay = x_options.replay;

	*r = (struct x_result){ 0 };
	if (x_options.max_ns)
		end_ns = begin_ns + x_options.max_ns;
	nr_forced = nr_branches = 0;
	x_outcomes_begin();
	random_state = x_options.seed;
	if (replay) {
		if (!read_bounds(&replay) || !read_replay(replay))
			explore_fail("no replay: %s", x_options.replay);
		run(r);
	} else {
		deepen(s, r, end_ns);
	}
	r->ns = clock_ns() - begin_ns;
	if (r->complete && s->outcomes)
		r->failed = !x_outcomes_are(s->outcomes, r->message,
					    sizeof(r->message));
}
