/* SPDX-License-Identifier: MIT */
/* Functions on descriptors, shared by files of this floor. */
#ifndef URT_NET_FD_H
#define URT_NET_FD_H

#include "../wait/wait.h"

static inline bool urt__is_socket(int fd)
{
	int type;
	socklen_t len = sizeof(type);

	return !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len);
}

/* Whether to begin something that cannot be interrupted. 0; -ETIME; -ECANCELED;
 * -EPERM. */
static inline int urt__given_up(int64_t deadline_ns)
{
	const struct urt_coro *self = urt__current();

	if (!self)
		return -EPERM;
	if (atomic_load_explicit(&self->cancelled, memory_order_relaxed))
		return urt__cancel_error(self);
	if (self->deadline_ns < deadline_ns)
		deadline_ns = self->deadline_ns;
	return deadline_ns == URT_NEVER || urt_now() < deadline_ns ? 0 : -ETIME;
}

/* As urt_read_file, of a descriptor. */
ssize_t urt__read_to_end(int fd, char **data, size_t max, int64_t deadline_ns);

#endif
