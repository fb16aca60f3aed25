// SPDX-License-Identifier: MIT
/*
 * Where a coroutine may be stopped.
 *
 * A signal interrupts it anywhere. It is safe to stop a coroutine that holds no
 * lock that another one could need. If another one needs such a lock all the
 * same, its thread blocks and its processor is handed on; so these rules prevent
 * not deadlocks, but long waits for a stopped coroutine:
 *
 *   - the program counter is in the program's own text, or that of a library
 *     that was registered, or in libm, which takes no locks;
 *   - no word above on the stack points into another library: so the code is
 *     neither inside a library nor a callback of one (qsort, a tree walk under
 *     the library's lock). All words are checked, as frames cannot be told from
 *     data; a stale word only prevents the preemption;
 *   - the coroutine holds no pthread lock (locks.c) and has not disabled
 *     preemption;
 *   - its stack has room for the registers and the way to the scheduler.
 *
 * _dl_find_object (glibc 2.35) tells which library an address belongs to, in a
 * signal handler and without locks. If it is missing, or if malloc is part of
 * the program itself, no place is safe; nor is any under ThreadSanitizer, which
 * runs handlers later.
 *
 * Invariant: an entry of `allowed` is written before the first run, or before
 * nr_allowed counts it, and does not change after, so a handler may read it at
 * any time. Threads add entries in turn, by a lock.
 */
#define _GNU_SOURCE
#include "../base/sys.h"
#include "../exec/preempt.h"
#include "watch.h"
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <string.h>
#include <ucontext.h>

#if !defined(URT__TSAN) && __GLIBC_PREREQ(2, 35)

#define REGISTERED_MAX 16
#define SCAN_MAX       (64 * 1024) /* bytes of stack that are checked */
#define NEED_BESIDES   8192	   /* bytes of stack below the registers */

/* The addresses of an object, or of one of its segments if other mappings lie
 * between these (as in programs on aarch64). */
struct range {
	uintptr_t start, end;
	const struct link_map *object;
};

/* Objects whose text may be preempted: the program, which is empty before the first
 * run, and the registered. */
static struct range allowed[1 + REGISTERED_MAX];
static _Atomic unsigned nr_allowed = 1;
static struct range runtime;	  /* the object that holds the runtime */
static struct range program_text; /* executable part of the program */

extern int _dl_find_object(void *, struct dl_find_object *)
	__attribute__((weak));

static bool object_of(uintptr_t address, struct range *r)
{
	struct dl_find_object o;

	if (_dl_find_object((void *)address, &o))
		return false;
	r->start = (uintptr_t)o.dlfo_map_start;
	r->end = (uintptr_t)o.dlfo_map_end;
	r->object = o.dlfo_link_map;
	return true;
}

/* For the first object only, which is the program. */
static int find_text(struct dl_phdr_info *info, size_t size, void *arg)
{
	bool *dynamic = arg;

	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *h = &info->dlpi_phdr[i];

		*dynamic |= h->p_type == PT_INTERP;
		if (h->p_type != PT_LOAD || !(h->p_flags & PF_X))
			continue;
		program_text.start = info->dlpi_addr + h->p_vaddr;
		program_text.end = program_text.start + h->p_memsz;
	}
	return 1;
}

static bool within(const struct range *r, uintptr_t a)
{
	return a >= r->start && a < r->end;
}

static bool is_allowed(uintptr_t a)
{
	unsigned n = atomic_load_explicit(&nr_allowed, memory_order_acquire);
	struct range r = { 0 };

	for (unsigned i = 0; i < n; i++)
		if (within(&allowed[i], a))
			return true;
	if (object_of(a, &r))
		for (unsigned i = 0; i < n; i++)
			if (allowed[i].object == r.object)
				return true;
	return false;
}

/* Its functions take no locks, and change only the thread's own state. */
static void allow_libm(void)
{
	const void *sine = dlsym(RTLD_DEFAULT, "sin");
	struct range r;

	if (sine && !is_allowed((uintptr_t)sine) &&
	    object_of((uintptr_t)sine, &r) &&
	    strstr(r.object->l_name, "/libm.so"))
		urt_preempt_register(sine);
}

bool urt__safe_open(void)
{
	bool dynamic = false;

	dl_iterate_phdr(find_text, &dynamic);
	if (!dynamic || !_dl_find_object ||
	    !object_of(program_text.start, &allowed[0]) ||
	    !object_of((uintptr_t)urt__preempt_entry, &runtime))
		return false;
	/* A malloc of the program's own would be taken for the program. */
	if (is_allowed((uintptr_t)dlsym(RTLD_DEFAULT, "malloc")))
		return false;
	allow_libm();
	return urt__preempt_init();
}

static bool is_foreign(uintptr_t a)
{
	struct range r;

	if (a < 65536)
		return false;
	for (unsigned i = 0; i < URT__CLASSES; i++) {
		const struct urt__stacks *s = &urt__rt.stacks[i];

		if (s->base && a >= (uintptr_t)s->base &&
		    a < (uintptr_t)s->base + s->max * s->stride)
			return false;
	}
	return object_of(a, &r) && r.object != runtime.object && !is_allowed(a);
}

/* Reads dead and poisoned words of the stack, on purpose. */
__attribute__((no_sanitize_address)) static bool stack_is_own(uintptr_t sp,
							      uintptr_t top)
{
	if (top - sp > SCAN_MAX)
		return false;
	for (const uintptr_t *p = (const uintptr_t *)(sp & ~7ul);
	     (uintptr_t)p < top; p++)
		if (is_foreign(*p))
			return false;
	return true;
}

bool urt__is_safe(const struct urt__worker *w, const ucontext_t *u)
{
	uintptr_t pc = urt__context_pc(u), sp = urt__context_sp(u);
	const struct urt_coro *c = w->current;
	size_t need = urt__preempt_room(u) + NEED_BESIDES;

	if (!c || c->no_preempt || urt__locks_held())
		return false;
	if (sp > (uintptr_t)c || sp < (uintptr_t)c->stack_lowest + need)
		return false;
	if (pc >= (uintptr_t)urt__preempt_entry &&
	    pc < (uintptr_t)urt__preempt_end)
		return false;
	if (!is_allowed(pc) ||
	    (within(&allowed[0], pc) && !within(&program_text, pc)))
		return false;
	return !is_foreign(urt__context_link(u)) &&
	       stack_is_own(sp, (uintptr_t)c);
}

static int allow(uintptr_t address)
{
	unsigned n = atomic_load(&nr_allowed);

	if (n == URT__ARRAY_LEN(allowed))
		return -ENOSPC;
	if (!object_of(address, &allowed[n]))
		return -ENOENT;
	atomic_store_explicit(&nr_allowed, n + 1, memory_order_release);
	return 0;
}

/* The caller may be a coroutine; it is not stopped while it has the lock. */
int urt_preempt_register(const void *address_in_library)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	int ret;

	if (!_dl_find_object)
		return 0; /* nothing is preempted by signal at all */
	pthread_mutex_lock(&lock);
	ret = allow((uintptr_t)address_in_library);
	pthread_mutex_unlock(&lock);
	return ret;
}

#else

bool urt__safe_open(void)
{
	return false;
}

bool urt__is_safe(const struct urt__worker *w, const ucontext_t *u)
{
	(void)w, (void)u;
	return false;
}

int urt_preempt_register(const void *address_in_library)
{
	(void)address_in_library;
	return 0; /* nothing is preempted by signal at all */
}

#endif
