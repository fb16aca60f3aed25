// SPDX-License-Identifier: MIT
/* Beginning a wait that has a deadline (wait.h). */
#include "wait.h"

int urt__wait_timed(struct urt__worker *w, enum urt__wait_flags flags,
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
