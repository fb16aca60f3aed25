// SPDX-License-Identifier: MIT
/* Beginning a wait: deadlines and cancellation (wait.h). */
#include "wait.h"

/* Apart, so that a wait without a deadline saves no registers. */
static URT__NOINLINE int begin_timed(struct urt__worker *w,
				     enum urt__wait_flags flags,
				     int64_t deadline_ns, uint64_t seq)
{
	if (urt__unlikely(deadline_ns <= w->now_ns)) {
		if (urt__rt.check_deadline)
			urt__rt.check_deadline(deadline_ns);
		if (!(flags & URT__TRY_IO))
			return -ETIME;
	}
	return urt__timers_add(&w->proc->timers, deadline_ns,
			       urt__timer_word(w->current, seq));
}

int urt__wait_begin(struct urt__worker *w, enum urt__wait_flags flags,
		    int64_t deadline_ns, uint64_t *seq)
{
	struct urt_coro *self = w->current;

	if (!(flags & URT__FIRM)) {
		if (urt__unlikely(atomic_load_explicit(&self->cancelled,
						       memory_order_relaxed)))
			return urt__cancel_error(self);
		if (urt__unlikely(self->deadline_ns < deadline_ns))
			deadline_ns = self->deadline_ns;
	}
	*seq = urt__park_prepare(self, flags & URT__FIRM);
	if (deadline_ns == URT_NEVER)
		return 0;
	return begin_timed(w, flags, deadline_ns, *seq);
}
