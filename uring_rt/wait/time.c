// SPDX-License-Identifier: MIT
/* The time, and sleeping until one. */
#include "wait.h"
#undef errno

int64_t urt_now(void)
{
	return urt__clock_ns();
}

int64_t urt_after(int64_t ns)
{
	int64_t now_ns = urt__clock_ns();

	return ns > URT_NEVER - now_ns ? URT_NEVER : now_ns + ns;
}

int urt_sleep_until(int64_t deadline_ns)
{
	struct urt__worker *w = urt__enter(true);
	uint64_t seq;
	int err;

	if (!w)
		return -EPERM;
	err = urt__wait_begin(w, URT__TRY_IO, deadline_ns, &seq);
	if (!err)
		err = urt__park(w, URT__R_SLEEP, URT__WAITING, NULL, NULL);
	/* The scope's deadline may have been the earlier one. */
	if (err == -ETIME && urt__current()->deadline_ns >= deadline_ns)
		err = 0;
	urt__leave();
	return err;
}

int urt_sleep(int64_t ns)
{
	return urt_sleep_until(urt_after(ns));
}
