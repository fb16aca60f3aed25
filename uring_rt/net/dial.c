// SPDX-License-Identifier: MIT
/*
 * Dial and listen.
 *
 * A name often has an address of each family, and often one of them does not
 * work from here; trying one after the other can take minutes. So they race
 * (RFC 8305, "happy eyeballs"): one coroutine for each attempt, all in a scope,
 * begun when the previous one has failed, or after 250 ms. The first to connect
 * wins by a compare-and-swap and cancels the scope; closing the scope waits for
 * the losers, each of which closes its own socket. So when urt_dial returns,
 * nothing of the race is left, however it ended.
 *
 * Two parts of the RFC are left out: asking for both kinds of record separately
 * and starting before both are there (section 3), since getaddrinfo returns all
 * at once; and remembering the address that worked.
 */
#define _GNU_SOURCE
#include "../base/sys.h"
#include "dial.h"
#include "resolve.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>
#undef errno

#define BACKLOG 65535 /* the kernel cuts it to net.core.somaxconn */

static void no_delay(int fd, const struct urt_addr *a)
{
	int on = 1;

	if (a->type == SOCK_STREAM && a->sa.sa_family != AF_UNIX)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static int open_socket(const struct urt_addr *a)
{
	int fd = urt__sys_socket(a->sa.sa_family, a->type | SOCK_CLOEXEC, 0);

	if (fd >= 0)
		no_delay(fd, a);
	return fd;
}

/* ---- dial -------------------------------------------------------------- */

static int dial_one(const struct urt_addr *a, int64_t deadline_ns)
{
	int fd = open_socket(a), err;

	if (fd < 0)
		return fd;
	err = urt_connect(fd, &a->sa, a->len, deadline_ns);
	if (!err)
		return fd;
	close(fd); /* not connected, so close cannot linger */
	return err;
}

/* On the dialler's stack, until its scope is closed. */
struct race {
	const struct urt_addr *addrs;
	_Atomic size_t next;  /* index of the address that the next attempt
				 tries */
	_Atomic int winner;   /* descriptor; -1: none yet */
	_Atomic int error;    /* of the first address, else the first error */
	struct urt_sem ended; /* attempts that have ended */
	struct urt_scope scope;
};

static int attempt(void *arg)
{
	struct race *r = arg;
	size_t i = atomic_fetch_add(&r->next, 1);
	int fd = dial_one(&r->addrs[i], URT_NEVER), none = -1, no_error = 0;

	if (fd < 0) {
		if (!i)
			atomic_store(&r->error, fd);
		else
			atomic_compare_exchange_strong(&r->error, &no_error,
						       fd);
	} else if (atomic_compare_exchange_strong(&r->winner, &none, fd)) {
		urt_scope_cancel(&r->scope);
	} else {
		close(fd);
	}
	urt_sem_post(&r->ended);
	return 0;
}

/* Starts the attempts, each at its time, and waits until one wins or all have
 * ended. 0, or the error that ended the race. */
static int run_race(struct race *r, size_t n, int64_t deadline_ns)
{
	size_t started = 0, ended = 0;
	int err;

	while (ended < n && atomic_load(&r->winner) < 0) {
		int64_t until_ns = deadline_ns;

		if (started < n) {
			err = urt_scope_go(&r->scope, attempt, r);
			if (err)
				return atomic_load(&r->winner) < 0 ? err : 0;
			started++;
		}
		if (started < n)
			until_ns = urt_after(URT__ATTEMPT_DELAY_NS);
		if (until_ns > deadline_ns)
			until_ns = deadline_ns;
		err = urt_sem_wait(&r->ended, until_ns);
		if (!err)
			ended++;
		else if (err != -ETIME || until_ns == deadline_ns)
			return err;
	}
	return 0;
}

int urt__dial_race(const struct urt_addr *addrs, size_t n, int64_t deadline_ns)
{
	struct race r = { .addrs = addrs,
			  .winner = -1,
			  .ended = URT_SEM_INIT(0) };
	int err;

	if (n == 1)
		return dial_one(addrs, deadline_ns);
	err = urt_scope_open(&r.scope, deadline_ns);
	if (err)
		return err;
	/* The scope's own deadline is the earliest of all that apply here. */
	err = run_race(&r, n, r.scope.deadline_ns);
	urt_scope_cancel(&r.scope);
	urt_scope_close(&r.scope);
	if (r.winner >= 0)
		return r.winner;
	return err ? err : r.error;
}

int urt_dial(const char *address, int64_t deadline_ns)
{
	struct urt_addr addrs[URT__ADDRS_MAX];
	int n = urt_resolve(address, addrs, URT__ADDRS_MAX, deadline_ns);

	return n < 0 ? n : urt__dial_race(addrs, n, deadline_ns);
}

/* ---- listen ------------------------------------------------------------ */

static int listen_at(const struct urt_addr *a)
{
	int fd = open_socket(a), on = 1, off = 0, err;

	if (fd < 0)
		return fd;
	if (a->sa.sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (a->type == SOCK_STREAM && a->sa.sa_family != AF_UNIX)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (!bind(fd, &a->sa, a->len) &&
	    (a->type != SOCK_STREAM || !listen(fd, BACKLOG)))
		return fd;
	err = -*urt_errno_location();
	close(fd);
	return err;
}

/* All addresses of the machine. */
static int listen_any(int type, uint16_t port)
{
	struct in_addr any4 = { htonl(INADDR_ANY) };
	struct urt_addr a;
	int fd;

	urt__addr_set(&a, type, AF_INET6, &in6addr_any, 0, port);
	fd = listen_at(&a);
	if (fd != -EAFNOSUPPORT && fd != -EADDRNOTAVAIL)
		return fd;
	urt__addr_set(&a, type, AF_INET, &any4, 0, port);
	return listen_at(&a);
}

int urt_listen(const char *address, int64_t deadline_ns)
{
	struct urt__address parsed;
	struct urt_addr a;
	int n = urt__address_parse(address, &parsed);

	if (n < 0)
		return n;
	if (!parsed.addr.len && !parsed.host[0])
		return listen_any(parsed.addr.type, parsed.port);
	n = urt__resolve(&parsed, &a, 1, deadline_ns);
	return n < 0 ? n : listen_at(&a);
}

/* ---- a socket's addresses ---------------------------------------------- */

typedef int name_fn(int fd, struct sockaddr *, socklen_t *);

static int name_of(name_fn *name, int fd, struct urt_addr *a)
{
	socklen_t len = sizeof(a->storage), type_len = sizeof(a->type);

	if (name(fd, &a->sa, &len) ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &a->type, &type_len))
		return -*urt_errno_location();
	a->len = len;
	return 0;
}

int urt_addr_local(int fd, struct urt_addr *a)
{
	return name_of(getsockname, fd, a);
}

int urt_addr_peer(int fd, struct urt_addr *a)
{
	return name_of(getpeername, fd, a);
}
