// SPDX-License-Identifier: MIT
/*
 * Names to addresses.
 *
 * getaddrinfo(3) blocks, for seconds if a name server is silent, and nothing
 * can interrupt it. So it runs on the thread pool, on a request in memory of
 * its own, which the caller and the thread hold together: the last to release
 * it frees it. The caller waits for a write to an eventfd, which is an
 * operation like any other, with a deadline and cancellation. If the caller
 * gives up, it takes a job back that no thread has begun; a thread that has
 * begun ends when getaddrinfo does.
 *
 * Rejected: that the thread wakes the coroutine itself, as in urt_blocking.
 * There, the wait for a job that has begun is firm, but this wait must end at
 * its deadline. Also rejected: a resolver of our own over the ring.
 * nsswitch.conf, /etc/hosts, mDNS, search lists and extensions of a
 * distribution belong to libc, and names must mean the same as in other
 * programs. For the same reason there is no cache: the machine may have one.
 */
#define _GNU_SOURCE
#include "../wait/pool.h"
#include "resolve.h"
#include "../base/sys.h"
#include "fd.h"
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#undef errno

struct urt__resolver urt__resolver = { getaddrinfo, freeaddrinfo };

/* The thread writes these before `done`; the caller reads them after. */
struct request {
	char host[URT__HOST_MAX + 1];
	int type;
	int done_fd; /* eventfd: written once the result is there */
	struct addrinfo *list;
	int error;
	_Atomic bool done;
	_Atomic int holders; /* the caller, the thread */
};

static int error_of(int eai, int saved_errno)
{
	switch (eai) {
	case 0:
		return 0;
	case EAI_NONAME:
	case EAI_NODATA:
	case EAI_ADDRFAMILY:
		return -ENOENT;
	case EAI_AGAIN:
		return -EAGAIN;
	case EAI_FAIL:
		return -EIO;
	case EAI_MEMORY:
		return -ENOMEM;
	case EAI_SYSTEM:
		return saved_errno ? -saved_errno : -EIO;
	default:
		return -EINVAL;
	}
}

static void let_go(void *arg)
{
	struct request *r = arg;

	if (atomic_fetch_sub(&r->holders, 1) > 1)
		return;
	if (r->list)
		urt__resolver.free(r->list);
	if (r->done_fd >= 0)
		close(r->done_fd);
	free(r);
}

/* On a thread of the pool. */
static int64_t look_up(void *arg)
{
	struct request *r = arg;
	struct addrinfo hints = { .ai_socktype = r->type };
	int eai;

	if (atomic_load(&r->holders) > 1) { /* else the caller has given up */
		eai = urt__resolver.get(r->host, NULL, &hints, &r->list);
		r->error = error_of(eai, *urt_errno_location());
		atomic_store(&r->done, true);
		eventfd_write(r->done_fd, 1);
	}
	let_go(r);
	return 0;
}

static int take(const struct addrinfo *list, int type, uint16_t port,
		struct urt_addr *out, size_t n)
{
	size_t count = 0;

	for (; list && count < n; list = list->ai_next) {
		const struct sockaddr_in *in4 = (void *)list->ai_addr;
		const struct sockaddr_in6 *in6 = (void *)list->ai_addr;

		if (list->ai_family == AF_INET)
			urt__addr_set(&out[count++], type, AF_INET,
				      &in4->sin_addr, 0, port);
		else if (list->ai_family == AF_INET6)
			urt__addr_set(&out[count++], type, AF_INET6,
				      &in6->sin6_addr, in6->sin6_scope_id,
				      port);
	}
	return count ? (int)count : -ENOENT;
}

/* Until it is done. */
static int wait_for(struct request *r, int64_t deadline_ns)
{
	int ret = urt_poll(r->done_fd, POLLIN, deadline_ns);

	if (atomic_load(&r->done))
		return r->error;
	return ret < 0 ? ret : -EIO;
}

static int start(struct request *r, const struct urt__address *a)
{
	int err;

	strcpy(r->host, a->host);
	r->type = a->addr.type;
	r->holders = 1;
	r->done_fd = urt__sys_eventfd();
	if (r->done_fd < 0)
		return r->done_fd;
	r->holders = 2;
	err = urt__blocking_start(look_up, r, let_go);
	if (err)
		r->holders = 1;
	return err;
}

static int by_name(const struct urt__address *a, struct urt_addr *out, size_t n,
		   int64_t deadline_ns)
{
	struct urt_addr all[URT__ADDRS_MAX];
	struct request *r;
	int ret = urt__given_up(deadline_ns);

	if (ret)
		return ret;
	r = urt__sys_zalloc(sizeof(*r));
	if (!r)
		return -ENOMEM;
	ret = start(r, a);
	if (!ret)
		ret = wait_for(r, deadline_ns);
	if (ret == -ETIME || ret == -ECANCELED)
		urt__blocking_stop(r);
	if (!ret)
		ret = take(r->list, a->addr.type, a->port, all, URT__ADDRS_MAX);
	let_go(r);
	if (ret < 0)
		return ret;
	urt__addrs_interleave(all, ret);
	if ((size_t)ret > n)
		ret = n;
	memcpy(out, all, ret * sizeof(*all));
	return ret;
}

int urt__resolve(const struct urt__address *a, struct urt_addr *out, size_t n,
		 int64_t deadline_ns)
{
	struct in_addr in4 = { htonl(INADDR_LOOPBACK) };
	int type = a->addr.type;

	if (!n)
		return -EINVAL;
	if (a->addr.len) {
		out[0] = a->addr;
		return 1;
	}
	if (a->host[0])
		return by_name(a, out, n, deadline_ns);
	urt__addr_set(&out[0], type, AF_INET, &in4, 0, a->port);
	if (n == 1)
		return 1;
	urt__addr_set(&out[1], type, AF_INET6, &in6addr_loopback, 0, a->port);
	return 2;
}

int urt_resolve(const char *address, struct urt_addr *out, size_t n,
		int64_t deadline_ns)
{
	struct urt__address a;
	int err = urt__address_parse(address, &a);

	return err ? err : urt__resolve(&a, out, n, deadline_ns);
}
