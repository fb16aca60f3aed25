// SPDX-License-Identifier: MIT
/*
 * Scopes: coroutines that are started, cancelled and waited for together
 * (Sustrik's structured concurrency, Go's errgroup).
 *
 * A scope lies on its opener's stack. It lists its members, and the scopes that
 * were opened by its members or, inside it, by its opener: cancellation goes
 * down this tree. close waits until no member is left, even if its caller is
 * cancelled meanwhile: so a member may use data on the opener's stack.
 *
 * The deadline needs no timer of its own: each wait of a member ends by its
 * coroutine's deadline_ns (urt__wait_begin), which is the scope's: the earlier
 * one of the scope's own and its parent's.
 *
 * Invariants, under the scope's lock: members are linked until they have ended;
 * the member that brings their number to zero claims the closer. The closer
 * frees the scope only after it was claimed, or after it found zero under the
 * lock.
 *
 * Lock order: a parent's, then its children's. A lock here may be held while
 * others' park words are claimed, but never while parking.
 */
#include "thread.h"
#include "wait.h"
#undef errno

/* The scope to which a new scope of self belongs. */
static struct urt_scope *enclosing(const struct urt_coro *self)
{
	return self->inner ? self->inner : self->scope;
}

int urt_scope_open(struct urt_scope *s, int64_t deadline_ns)
{
	struct urt__worker *w = urt__enter(true);
	struct urt_coro *self;
	struct urt_scope *parent;

	if (!w)
		return -EPERM;
	self = w->current;
	parent = enclosing(self);
	*s = (struct urt_scope){ .parent = parent, .outer = self->inner };
	if (urt__unlikely(urt__rt.check_deadline != NULL))
		urt__rt.check_deadline(deadline_ns);
	s->deadline_ns = deadline_ns;
	if (s->deadline_ns > self->deadline_ns)
		s->deadline_ns = self->deadline_ns;
	if (parent) {
		if (s->deadline_ns > parent->deadline_ns)
			s->deadline_ns = parent->deadline_ns;
		urt__obj_lock(&parent->lock);
		s->next = parent->children;
		if (s->next)
			s->next->prev = s;
		parent->children = s;
		s->cancelled = parent->cancelled;
		urt__obj_unlock(&parent->lock);
	}
	self->inner = s;
	urt__leave();
	return 0;
}

/* With s->lock held. Marks before the fence, wakes after it. */
static void cancel_locked(struct urt_scope *s)
{
	s->cancelled = true;
	for (struct urt_coro *c = s->members; c; c = c->scope_next)
		atomic_store(&c->cancelled, true);
	urt__cancel_fence();
	for (struct urt_coro *c = s->members; c; c = c->scope_next)
		urt__cancel_marked(c);
	for (struct urt_scope *child = s->children; child;
	     child = child->next) {
		urt__obj_lock(&child->lock);
		if (!child->cancelled)
			cancel_locked(child);
		urt__obj_unlock(&child->lock);
	}
}

static void cancel(struct urt_scope *s)
{
	urt__obj_lock(&s->lock);
	if (!s->cancelled)
		cancel_locked(s);
	urt__obj_unlock(&s->lock);
}

static int64_t cancel_behalf(void *arg)
{
	urt_scope_cancel(arg);
	return 0;
}

void urt_scope_cancel(struct urt_scope *s)
{
	if (!urt__enter_often()) {
		urt__behalf(cancel_behalf, s);
		return;
	}
	cancel(s);
	urt__leave();
}

static void member_main(void *arg)
{
	struct urt_coro *self = urt__current();
	struct urt_scope *s = self->scope;
	int ret = self->scope_fn(arg);

	if (ret >= 0)
		return;
	urt__enter(false);
	urt__obj_lock(&s->lock);
	if (!s->error)
		s->error = ret;
	if (!s->cancelled)
		cancel_locked(s);
	urt__obj_unlock(&s->lock);
	urt__leave();
}

static void link_member(struct urt_scope *s, struct urt_coro *c)
{
	c->scope = s;
	c->at_end |= URT__END_SCOPE;
	c->scope_prev = NULL;
	c->scope_next = s->members;
	if (c->scope_next)
		c->scope_next->scope_prev = c;
	s->members = c;
}

int urt_scope_go(struct urt_scope *s, int (*fn)(void *arg), void *arg)
{
	struct urt__worker *w = urt__enter_often();
	struct urt__spawn spawn = { .fn = member_main,
				    .arg = arg,
				    .detached = true };
	struct urt_coro *c;
	bool cancelled;

	if (!w)
		return -EPERM;
	spawn.deadline_ns = s->deadline_ns;
	c = urt__spawn(w, &spawn);
	if (!c) {
		urt__leave();
		return -EAGAIN;
	}
	c->parent = w->current->id;
	c->scope_fn = fn;
	urt__obj_lock(&s->lock);
	cancelled = s->cancelled;
	if (!cancelled)
		link_member(s, c);
	urt__obj_unlock(&s->lock);
	if (cancelled)
		urt__coro_free(w, c);
	else
		urt__ready_new(w, c);
	urt__leave();
	return cancelled ? -ECANCELED : 0;
}

void urt__scope_ended(struct urt_coro *c)
{
	struct urt_scope *s = c->scope;
	struct urt_coro *closer = NULL;

	URT_MISTAKE_ON(
		c->inner,
		"a coroutine returned with an open scope: it must call urt_scope_close first");
	urt__obj_lock(&s->lock);
	if (c->scope_prev)
		c->scope_prev->scope_next = c->scope_next;
	else
		s->members = c->scope_next;
	if (c->scope_next)
		c->scope_next->scope_prev = c->scope_prev;
	c->scope = NULL;
	if (!s->members && s->closer && urt__claim(s->closer, s->closer_seq)) {
		closer = s->closer;
		closer->result = 0;
	}
	urt__obj_unlock(&s->lock);
	if (closer)
		urt__ready(closer);
}

/* Waits until no member is left. -ETIME or -ECANCELED: some still are. */
static int wait_for_members(struct urt_scope *s, enum urt__wait_flags flags,
			    int64_t deadline_ns)
{
	struct urt__worker *w = urt__worker();
	uint64_t seq;
	int err = 0;

	urt__obj_lock(&s->lock);
	if (s->members)
		err = urt__wait_begin(w, flags, deadline_ns, &seq);
	if (!s->members || err) {
		urt__obj_unlock(&s->lock);
		return err;
	}
	s->closer = w->current;
	s->closer_seq = seq;
	err = urt__park(w, URT__R_SCOPE, URT__WAITING, urt__commit_unlock,
			&s->lock);
	if (!err)
		return 0;
	urt__obj_lock(&s->lock);
	s->closer = NULL;
	urt__obj_unlock(&s->lock);
	return err;
}

static void leave_parent(struct urt_scope *s)
{
	struct urt_scope *parent = s->parent;

	if (!parent)
		return;
	urt__obj_lock(&parent->lock);
	if (s->prev)
		s->prev->next = s->next;
	else
		parent->children = s->next;
	if (s->next)
		s->next->prev = s->prev;
	urt__obj_unlock(&parent->lock);
}

int urt_scope_close(struct urt_scope *s)
{
	int err;

	if (!urt__enter(true))
		return -EPERM;
	URT_MISTAKE_ON(
		urt__current()->inner != s,
		"urt_scope_close of a scope that is not the innermost one of the coroutine");
	err = wait_for_members(s, 0, s->deadline_ns);
	if (err) {
		cancel(s);
		wait_for_members(s, URT__FIRM, URT_NEVER);
	}
	leave_parent(s);
	urt__current()->inner = s->outer;
	urt__leave();
	return s->error ? s->error : err;
}
