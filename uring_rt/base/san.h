/* SPDX-License-Identifier: MIT */
/*
 * Telling the sanitizers and Valgrind that the stack changes. All of it is
 * nothing in a plain build.
 *
 * ASan must know the bounds of the stack that is switched to, and returns the
 * bounds of the stack that was left: so a worker learns those of its own stack.
 * TSan keeps a shadow context per coroutine.
 */
#ifndef URT_BASE_SAN_H
#define URT_BASE_SAN_H

#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define URT__ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define URT__ASAN 1
#endif
#endif

#if defined(__SANITIZE_THREAD__)
#define URT__TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define URT__TSAN 1
#endif
#endif

#ifdef URT__ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif
#ifdef URT__TSAN
#include <sanitizer/tsan_interface.h>
#endif

/* The data that a switch needs of each side; a single byte in plain builds. */
struct urt__san {
#ifdef URT__ASAN
	const void *bottom;
	size_t size;
	void *fake_stack;
#endif
#ifdef URT__TSAN
	void *fiber;
#endif
	char unused;
};

/* A context with a stack of its own. */
static inline void urt__san_create(struct urt__san *s, void *bottom,
				   size_t size)
{
	(void)s, (void)bottom, (void)size;
#ifdef URT__ASAN
	s->bottom = bottom;
	s->size = size;
	s->fake_stack = NULL;
	__asan_unpoison_memory_region(bottom, size);
#endif
#ifdef URT__TSAN
	s->fiber = __tsan_create_fiber(0);
#endif
}

static inline void urt__san_destroy(struct urt__san *s)
{
	(void)s;
#ifdef URT__TSAN
	__tsan_destroy_fiber(s->fiber);
#endif
}

/* The context the calling thread started with. */
static inline void urt__san_thread(struct urt__san *s)
{
	(void)s;
#ifdef URT__TSAN
	s->fiber = __tsan_get_current_fiber();
#endif
}

/* Just before the switch. dying: `from` will never run again. */
static inline void urt__san_leave(struct urt__san *from, struct urt__san *to,
				  int dying)
{
	(void)from, (void)to, (void)dying;
#ifdef URT__ASAN
	__sanitizer_start_switch_fiber(dying ? NULL : &from->fake_stack,
				       to->bottom, to->size);
#endif
#ifdef URT__TSAN
	__tsan_switch_to_fiber(to->fiber, 0);
#endif
#ifdef URT__EXPLORE /* as the switch writes and reads the registers */
	from->unused = to->unused = 0;
#endif
}

/*
 * Just after the switch, on the side that runs now. from: the side that was
 * left, which learns its bounds if it was a thread's own stack.
 */
static inline void urt__san_enter(struct urt__san *now, struct urt__san *from)
{
	(void)now, (void)from;
#ifdef URT__ASAN
	const void *bottom;
	size_t size;

	__sanitizer_finish_switch_fiber(now->fake_stack, &bottom, &size);
	if (from && !from->bottom) {
		from->bottom = bottom;
		from->size = size;
	}
#endif
}

#endif
