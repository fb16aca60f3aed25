// SPDX-License-Identifier: MIT
/*
 * Coroutine-local values: what thread-local variables are for threads. The
 * array is made at the first set; keys belong to the process and are never
 * freed, since few programs need more than a handful.
 */
#include "../base/sys.h"
#include "../sched/context.h"
#include "wait.h"
#include <stdlib.h>
#undef errno

struct urt__locals {
	void *value[URT_LOCAL_KEYS];
};

static void (*destroys[URT_LOCAL_KEYS])(void *);
static _Atomic int nr_keys;

int urt_local_key(void (*destroy)(void *value))
{
	int key = atomic_fetch_add(&nr_keys, 1);

	if (key >= URT_LOCAL_KEYS) {
		atomic_store(&nr_keys, URT_LOCAL_KEYS);
		return -EAGAIN;
	}
	destroys[key] = destroy;
	return key;
}

int urt_local_set(int key, void *value)
{
	struct urt_coro *self = urt__current();

	if (!self)
		return -EPERM;
	if (key < 0 || key >= atomic_load(&nr_keys))
		return -EINVAL;
	if (!self->locals) {
		self->locals = urt__sys_zalloc(sizeof(*self->locals));
		if (!self->locals)
			return -ENOMEM;
		self->at_end |= URT__END_LOCALS;
	}
	self->locals->value[key] = value;
	return 0;
}

void *urt_local_get(int key)
{
	struct urt_coro *self = urt__current();

	if (!self || !self->locals || key < 0 || key >= URT_LOCAL_KEYS)
		return NULL;
	return self->locals->value[key];
}

/* Outside the runtime, because destroy is the program's and may do anything
 * except set values again. */
void urt__locals_destroy(struct urt_coro *c)
{
	struct urt__locals *locals = c->locals;
	int n = atomic_load(&nr_keys);

	for (int i = 0; i < n && i < URT_LOCAL_KEYS; i++)
		if (locals->value[i] && destroys[i])
			destroys[i](locals->value[i]);
	c->locals = NULL;
	free(locals);
}

void urt__coro_ended(struct urt_coro *c)
{
	if (c->locals) {
		urt__leave();
		urt__locals_destroy(c);
		urt__enter(false);
	}
	if (c->scope)
		urt__scope_ended(c);
	if (c->context)
		urt__context_drop(c);
}

/* ---- errno ---- */

URT__NOINLINE int *urt_errno_location(void)
{
	return __errno_location();
}
