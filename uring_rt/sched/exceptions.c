// SPDX-License-Identifier: MIT
/*
 * C++ exceptions in coroutines that take turns on a thread.
 *
 * The C++ library keeps two words for each thread: the exceptions that catch
 * blocks are handling now, which `throw;` and std::current_exception use, and
 * the number of those that unwind. A coroutine may suspend inside a catch
 * block, or in a destructor that runs while an exception unwinds, and another
 * coroutine may throw on the same thread meanwhile. So these words belong to
 * the coroutine: a switch saves them and loads those of the next one. The
 * unwinder itself keeps nothing outside the stack.
 *
 * Programs without a C++ library pay nothing: the switch reads one word for
 * this and for tracing (URT__TELL_*). The words are always swapped, since
 * testing them costs as much as copying.
 *
 * The library is found once, at the start of a run: by a weak symbol, which
 * also finds one that is linked statically, else among the libraries that the
 * program was started with.
 */
#define _GNU_SOURCE
#include "sched.h"
#include <dlfcn.h>

typedef struct urt__exceptions *get_globals(void);

extern struct urt__exceptions *__cxa_get_globals(void) __attribute__((weak));

static get_globals *globals;

void urt__exceptions_open(void)
{
	if (__cxa_get_globals)
		globals = __cxa_get_globals;
	else
		*(void **)&globals = dlsym(RTLD_DEFAULT, "__cxa_get_globals");
}

void urt__exceptions_enter(struct urt__worker *w)
{
	if (!globals)
		return;
	w->exceptions = globals();
	__atomic_fetch_or(&w->tracing, URT__TELL_CXX, __ATOMIC_RELAXED);
}

void urt__exceptions_switch(struct urt__worker *w, bool dying,
			    const struct urt_coro *next)
{
	struct urt_coro *self = w->current;

	if (self && dying)
		self->exceptions = (struct urt__exceptions){ NULL, 0 };
	else if (self)
		self->exceptions = *w->exceptions;
	else
		w->loop_exceptions = *w->exceptions;
	*w->exceptions = next ? next->exceptions : w->loop_exceptions;
}
