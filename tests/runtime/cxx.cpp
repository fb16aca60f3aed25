// SPDX-License-Identifier: MIT
/*
 * A C++ program: exceptions across every kind of wait. Each check is a word on
 * the command line; exit status 1 and a line on standard error where it fails.
 *
 *	cxx CHECK WORKERS
 */
#include "../../uring_rt/urt.h"
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>
#include <unistd.h>

#ifdef __SANITIZE_THREAD__
/* As in tests/lib/main.c: TSan does not see descriptors that the ring closes. */
extern "C" const char *__tsan_default_suppressions();
extern "C" const char *__tsan_default_suppressions()
{
	return "race:urt__sys_mmap\n"
	       "race:^__interceptor_pipe2$\n"
	       "race:^__interceptor_socketpair$\n";
}
#endif

namespace
{

std::atomic<int> wrong{ 0 };

void check(bool right, const char *what)
{
	if (!right && !wrong++)
		std::fprintf(stderr, "cxx: %s\n", what);
}

/* ---- ways to wait ------------------------------------------------------ */

urt_chan *to, *back;
urt_mutex mutex = URT_MUTEX_INIT;
urt_sem sem = URT_SEM_INIT(0);
urt_cond cond = URT_COND_INIT;

void nothing(void *)
{
}

int nothing_failed(void *)
{
	return 0;
}

int64_t nap(void *)
{
	usleep(100);
	return 0;
}

void by_yield()
{
	urt_yield();
}

void by_sleep()
{
	urt_sleep(100000);
}

void by_channel()
{
	int v = 1;

	urt_chan_send(to, &v, URT_NEVER);
	urt_chan_recv(back, &v, URT_NEVER);
}

void by_select()
{
	int v = 1;
	urt_case cases[] = { { to, URT_SEND, &v, 0 },
			     { back, URT_RECV, &v, 0 } };

	urt_select(cases, 2, URT_NEVER);
}

void by_mutex()
{
	urt_mutex_lock(&mutex, URT_NEVER);
	urt_yield();
	urt_mutex_unlock(&mutex);
}

void by_sem()
{
	urt_sem_wait(&sem, urt_after(100000));
}

void by_cond()
{
	urt_mutex_lock(&mutex, URT_NEVER);
	urt_cond_wait(&cond, &mutex, urt_after(100000));
	urt_mutex_unlock(&mutex);
}

void by_join()
{
	urt_join(urt_spawn(nothing, nullptr));
}

void by_scope()
{
	urt_scope s;

	urt_scope_open(&s, URT_NEVER);
	urt_scope_go(&s, nothing_failed, nullptr);
	urt_scope_close(&s);
}

void by_read()
{
	int fds[2];
	char c;

	check(!urt_pipe(fds, 0), "a pipe");
	urt_read(fds[0], &c, 1, urt_after(100000));
	urt_close(fds[0]);
	urt_close(fds[1]);
}

void by_pool()
{
	urt_blocking(nap, nullptr);
}

/* Longer than a time slice: it is preempted, or loses its processor. */
void by_preemption()
{
	for (int64_t until = urt_now() + 15000000; urt_now() < until;)
		for (volatile int i = 0; i < 1000; i++)
			;
}

struct {
	const char *name;
	void (*wait)();
} const ways[] = {
	{ "yield", by_yield },	   { "sleep", by_sleep },
	{ "channel", by_channel }, { "select", by_select },
	{ "mutex", by_mutex },	   { "semaphore", by_sem },
	{ "condition", by_cond },  { "join", by_join },
	{ "scope", by_scope },	   { "read", by_read },
	{ "pool", by_pool },	   { "preemption", by_preemption },
};

/* ---- coroutines that throw --------------------------------------------- */

void (*wait_somehow)();

struct guard {
	int before, *seen;

	explicit guard(int *seen)
	    : before(std::uncaught_exceptions()), seen(seen)
	{
	}
	~guard()
	{
		wait_somehow();
		*seen = std::uncaught_exceptions() - before;
	}
};

int caught_is(std::exception_ptr p)
{
	try {
		std::rethrow_exception(p);
	} catch (int v) {
		return v;
	}
}

void thrower(void *arg)
{
	int me = (int)(long)arg, unwinding = 0;

	for (int round = 0; round < 5; round++) {
		try {
			guard g(&unwinding);

			throw me;
		} catch (int caught) {
			check(caught == me, "catches its own");
			check(unwinding == 1, "its destructor sees it unwind");
			wait_somehow();
			check(std::uncaught_exceptions() == 0, "none unwinds");
			check(caught_is(std::current_exception()) == me,
			      "current_exception() is its own");
			try {
				wait_somehow();
				throw;
			} catch (int again) {
				check(again == me, "rethrows its own");
			}
		}
		check(!std::current_exception(), "nothing is caught any more");
	}
}

/* For those that wait on channels. */
void partner(void *)
{
	int v;

	while (!urt_chan_recv(to, &v, URT_NEVER))
		urt_chan_send(back, &v, URT_NEVER);
}

void waits(void *)
{
	urt_coro *c[6];

	to = urt_chan_new(sizeof(int), 4);
	back = urt_chan_new(sizeof(int), 64);
	urt_go(partner, nullptr);
	for (long i = 0; i < 6; i++)
		c[i] = urt_spawn(thrower, (void *)(i + 1));
	for (auto *x : c)
		urt_join(x);
}

/* ---- exceptions that travel -------------------------------------------- */

urt_chan *pointers;

void sender(void *)
{
	for (int i = 0; i < 1000; i++) {
		std::exception_ptr *p = nullptr;

		try {
			throw std::runtime_error(std::to_string(i));
		} catch (...) {
			p = new std::exception_ptr(std::current_exception());
		}
		urt_chan_send(pointers, &p, URT_NEVER);
	}
	urt_chan_close(pointers);
}

void travel(void *)
{
	std::exception_ptr *p;
	int n = 0;

	pointers = urt_chan_new(sizeof(p), 3);
	urt_go(sender, nullptr);
	for (; !urt_chan_recv(pointers, &p, URT_NEVER); delete p)
		try {
			std::rethrow_exception(*p);
		} catch (const std::runtime_error &e) {
			urt_yield();
			check(e.what() == std::to_string(n++), "in order");
		}
	check(n == 1000, "all of them");
}

/* ---- the caller's ------------------------------------------------------ */

void inside(void *)
{
	check(!std::current_exception(), "the run begins without one");
	thrower((void *)7L);
}

void run_in_catch(const urt_options *o)
{
	wait_somehow = by_sleep;
	try {
		throw 42;
	} catch (int) {
		check(!urt_run_with(inside, nullptr, o), urt_why());
		try {
			throw;
		} catch (int v) {
			check(v == 42, "the caller has its own again");
		}
	}
}

/* ---- the threads' variables -------------------------------------------- */

std::atomic<int> made, destroyed;

struct counted {
	int use = 0;

	counted()
	{
		made++;
	}
	~counted()
	{
		destroyed++;
		check(urt_yield_from_destructor() == -EPERM,
		      "no run in the destructor of a thread's variable");
	}
	static int urt_yield_from_destructor()
	{
		return urt_sleep(1);
	}
};

thread_local counted of_thread;

/* Its address must not be kept across a call that may suspend. */
__attribute__((noinline)) void use_of_thread()
{
	of_thread.use++;
	asm volatile("" ::: "memory");
}

void touch(void *)
{
	for (int i = 0; i < 100; i++) {
		use_of_thread();
		urt_sleep(10000);
	}
}

void threads_variables(void *)
{
	urt_coro *c[8];

	for (auto *&x : c)
		x = urt_spawn(touch, nullptr);
	for (auto *x : c)
		urt_join(x);
}

/* ---- not caught -------------------------------------------------------- */

void not_caught(void *)
{
	throw std::runtime_error("leaves its coroutine");
}

} /* namespace */

int main(int argc, char **argv)
{
	urt_options o = {};
	std::string name = argc > 1 ? argv[1] : "";
	urt_fn *fn = nullptr;

	o.workers = argc > 2 ? std::atoi(argv[2]) : 1;
	for (auto &w : ways)
		if (name == w.name) {
			wait_somehow = w.wait;
			fn = waits;
		}
	if (name == "travel")
		fn = travel;
	if (name == "thread_local")
		fn = threads_variables;
	if (name == "not_caught")
		fn = not_caught;
	if (name == "in_catch")
		run_in_catch(&o);
	else if (!fn)
		return 2;
	else
		check(!urt_run_with(fn, nullptr, &o), urt_why());
	/* The first worker is this thread, whose variables live on. */
	if (name == "thread_local")
		check(made > 0 && destroyed >= made - 1,
		      "threads' variables end with their threads");
	return wrong != 0;
}
