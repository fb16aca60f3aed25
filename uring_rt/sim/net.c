// SPDX-License-Identifier: MIT
/*
 * The network between the coroutines of one program.
 *
 * A socket of AF_INET or AF_INET6 is one of AF_UNIX, whose abstract name gives
 * its address and port. So queues, waiting and errors are the kernel's own,
 * with nothing outside the process and no timers. Every host that a program
 * names is a socket of its own; where no socket listens, the connection is
 * refused. Delay comes from the rings (ring.c).
 *
 * Faults: a connection is refused, or reset for both sides; a datagram is lost;
 * a port is cut off for a while, as by a partition. During a partition nothing
 * is received and no connection is made; data that connections send arrive
 * after it, and datagrams are lost.
 */
#define _GNU_SOURCE
#include "sim.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define FDS	     65536
#define FIRST_PORT   40000
#define CUT_MAX_NS   2000000000
#define CUT_LEAST_NS 1000000

struct address {
	uint8_t ip[16]; /* IPv4 as ::ffff:a.b.c.d; any: all 0 */
	uint16_t port;	/* 0: none */
};

struct end {
	sa_family_t family; /* 0: not ours */
	int type;
	struct address local, peer;
	bool reset, said; /* said: the program has got the error */
};

static struct end ends[FDS];
static int nr_ends; /* entries from here on were never used */
static uint16_t next_port = FIRST_PORT;
static uint16_t cut_port; /* 0: none */
static int64_t cut_until_ns;

static struct end *end_of(int fd)
{
	return (unsigned)fd < FDS && ends[fd].family ? &ends[fd] : NULL;
}

static struct end *end_new(int fd)
{
	if (fd >= nr_ends)
		nr_ends = fd + 1;
	return &ends[fd];
}

bool sim_is_net(int fd)
{
	return end_of(fd);
}

/* ---- addresses --------------------------------------------------------- */

static bool get_address(struct address *a, const struct sockaddr *s,
			socklen_t len)
{
	const struct sockaddr_in *v4 = (const void *)s;
	const struct sockaddr_in6 *v6 = (const void *)s;

	memset(a, 0, sizeof(*a));
	if (s->sa_family == AF_INET && len >= sizeof(*v4)) {
		a->port = ntohs(v4->sin_port);
		if (!v4->sin_addr.s_addr)
			return true;
		a->ip[10] = a->ip[11] = 0xff;
		memcpy(a->ip + 12, &v4->sin_addr, 4);
		return true;
	}
	if (s->sa_family != AF_INET6 || len < sizeof(*v6))
		return false;
	a->port = ntohs(v6->sin6_port);
	memcpy(a->ip, &v6->sin6_addr, 16);
	return true;
}

static void put_address(const struct address *a, sa_family_t family,
			struct sockaddr *s, socklen_t *len)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET,
				  .sin_port = htons(a->port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
				   .sin6_port = htons(a->port) };
	socklen_t size = family == AF_INET ? sizeof(v4) : sizeof(v6);
	const void *from = family == AF_INET ? (void *)&v4 : (void *)&v6;

	if (!s || !len)
		return;
	memcpy(&v4.sin_addr, a->ip + 12, 4);
	memcpy(&v6.sin6_addr, a->ip, 16);
	memcpy(s, from, *len < size ? *len : size);
	*len = size;
}

static socklen_t name_of(const struct address *a, int type,
			 struct sockaddr_un *un)
{
	char *p = un->sun_path + 1;
	int n = sprintf(p, "urt-sim.%d.%d.%u.", getpid(), type, a->port);

	un->sun_family = AF_UNIX;
	un->sun_path[0] = '\0';
	for (unsigned i = 0; i < sizeof(a->ip); i++)
		n += sprintf(p + n, "%02x", a->ip[i]);
	return offsetof(struct sockaddr_un, sun_path) + 1 + n;
}

static bool parse_name(const struct sockaddr_un *un, socklen_t len,
		       struct address *a)
{
	unsigned port, byte;
	int type, pid, n = 0;

	memset(a, 0, sizeof(*a));
	if (len < offsetof(struct sockaddr_un, sun_path) + 20 ||
	    sscanf(un->sun_path + 1, "urt-sim.%d.%d.%u.%n", &pid, &type, &port,
		   &n) != 3)
		return false;
	a->port = port;
	for (unsigned i = 0; i < sizeof(a->ip); i++) {
		if (sscanf(un->sun_path + 1 + n + 2 * i, "%2x", &byte) != 1)
			return false;
		a->ip[i] = byte;
	}
	return true;
}

static bool is_any(const struct address *a)
{
	static const uint8_t any[16];

	return !memcmp(a->ip, any, sizeof(any));
}

static int bind_to(int fd, struct end *e, struct address a)
{
	struct sockaddr_un un;
	bool chosen = a.port;
	int err;

	do {
		if (!chosen)
			a.port = next_port++;
		if (next_port < FIRST_PORT)
			next_port = FIRST_PORT;
		err = sim_call(SYS_bind, fd, &un, name_of(&a, e->type, &un));
	} while (err == -EADDRINUSE && !chosen);
	if (!err)
		e->local = a;
	return err;
}

/* Makes the call with the address's name; if no socket has that, with the name of
 * all addresses and that port. */
static long call_named(long nr, int fd, const struct end *e, struct address a)
{
	struct sockaddr_un un;
	long err = sim_call(nr, fd, &un, name_of(&a, e->type, &un));

	if (err != -ECONNREFUSED)
		return err;
	memset(a.ip, 0, sizeof(a.ip));
	return sim_call(nr, fd, &un, name_of(&a, e->type, &un));
}

/* ---- calls ------------------------------------------------------------- */

int sim_socket(int domain, int type, int protocol)
{
	int base = type & ~(SOCK_CLOEXEC | SOCK_NONBLOCK), fd;

	if (domain != AF_INET && domain != AF_INET6)
		return sim_call(SYS_socket, domain, type, protocol);
	if (base != SOCK_STREAM && base != SOCK_DGRAM) {
		sim_not_simulated("a raw socket", "EPERM");
		return -EPERM;
	}
	fd = sim_call(SYS_socket, AF_UNIX, type, 0);
	if (fd >= FDS) {
		sim_call(SYS_close, fd);
		fd = -EMFILE;
	}
	if (fd >= 0)
		*end_new(fd) = (struct end){ .family = domain, .type = base };
	return fd;
}

int sim_bind(int fd, const struct sockaddr *s, socklen_t len)
{
	struct end *e = end_of(fd);
	struct address a;

	if (!e)
		return sim_call(SYS_bind, fd, s, len);
	if (!get_address(&a, s, len))
		return -EINVAL;
	if (e->local.port)
		return -EINVAL;
	return bind_to(fd, e, a);
}

/* -EAGAIN: connect would wait for room in the listener's queue. */
static long connect_now(int fd, struct end *e, const struct sockaddr *s,
			socklen_t len)
{
	long flags = sim_call(SYS_fcntl, fd, F_GETFL), err;

	sim_call(SYS_fcntl, fd, F_SETFL, flags | O_NONBLOCK);
	err = e ? call_named(SYS_connect, fd, e, e->peer)
		: sim_call(SYS_connect, fd, s, len);
	sim_call(SYS_fcntl, fd, F_SETFL, flags);
	return err;
}

int sim_connect(int fd, const struct sockaddr *s, socklen_t len)
{
	struct end *e = end_of(fd);
	struct address a;
	long err;

	if (!e)
		return connect_now(fd, NULL, s, len);
	if (!get_address(&a, s, len))
		return -EAFNOSUPPORT;
	if (sim_net_cut_to_ns(fd, s, len))
		return -EAGAIN;
	if (e->type == SOCK_STREAM && sim_fault(SIM_NET))
		return -ECONNREFUSED;
	if (is_any(&a)) { /* as Linux: this host */
		a.ip[10] = a.ip[11] = 0xff;
		a.ip[12] = 127;
		a.ip[15] = 1;
	}
	if (!e->local.port) {
		struct address local = a;

		local.port = 0;
		err = bind_to(fd, e, local);
		if (err)
			return err;
	}
	e->peer = a;
	err = connect_now(fd, e, NULL, 0);
	if (err)
		e->peer.port = 0;
	return err;
}

/* The address by which the other side of an accepted connection named us. */
static struct address called(const struct end *e, const struct end *listener)
{
	for (struct end *o = ends; o < ends + nr_ends; o++)
		if (o->family && o->type == SOCK_STREAM && o->peer.port &&
		    o->local.port == e->peer.port)
			return o->peer;
	return listener->local;
}

int sim_accept(int fd, struct sockaddr *s, socklen_t *len, int flags)
{
	struct end *listener = end_of(fd), *e;
	struct sockaddr_un un;
	socklen_t un_len = sizeof(un);
	int new;

	if (!listener)
		return sim_call(SYS_accept4, fd, s, len, flags);
	new = sim_call(SYS_accept4, fd, &un, &un_len, flags);
	if (new < 0 || new >= FDS)
		return new;
	e = end_new(new);
	*e = (struct end){ .family = listener->family, .type = listener->type };
	parse_name(&un, un_len, &e->peer);
	e->local = called(e, listener);
	put_address(&e->peer, e->family, s, len);
	return new;
}

int sim_name(int fd, struct sockaddr *s, socklen_t *len, bool peer)
{
	struct end *e = end_of(fd);

	if (!e)
		return sim_call(peer ? SYS_getpeername : SYS_getsockname, fd, s,
				len);
	if (peer && !e->peer.port)
		return -ENOTCONN;
	put_address(peer ? &e->peer : &e->local, e->family, s, len);
	return 0;
}

/* ---- partitions --------------------------------------------------------- */

static bool is_cut(const struct end *e, uint16_t peer)
{
	return cut_port && cut_until_ns > sim_now_ns &&
	       (e->local.port == cut_port || peer == cut_port);
}

/* May begin a partition between these two, of the port that most likely listens. */
static void may_cut(const struct end *e, uint16_t peer)
{
	if (!peer || cut_until_ns > sim_now_ns || !sim_fault(SIM_PART))
		return;
	cut_port = peer < e->local.port ? peer : e->local.port;
	cut_until_ns =
		sim_after(CUT_LEAST_NS + sim_random(SIM_FAULT, CUT_MAX_NS));
}

int64_t sim_net_cut_ns(int fd, bool writes)
{
	struct end *e = end_of(fd);

	if (!e || e->type != SOCK_STREAM)
		return 0;
	may_cut(e, e->peer.port);
	return !writes && is_cut(e, e->peer.port) ? cut_until_ns : 0;
}

int64_t sim_net_cut_to_ns(int fd, const struct sockaddr *s, socklen_t len)
{
	struct end *e = end_of(fd);
	struct address a;

	if (!e || e->type != SOCK_STREAM || !get_address(&a, s, len) ||
	    !is_cut(e, a.port))
		return 0;
	return cut_until_ns;
}

/* ---- messages ----------------------------------------------------------- */

/* After a reset: the error, or 1: end of input; 0: there was no reset. */
static long broken(struct end *e, bool sends)
{
	if (!e->reset)
		return 0;
	if (!e->said) {
		e->said = true;
		return -ECONNRESET;
	}
	return sends ? -EPIPE : 1;
}

static ssize_t total(const struct msghdr *m)
{
	ssize_t n = 0;

	for (size_t i = 0; i < m->msg_iovlen; i++)
		n += m->msg_iov[i].iov_len;
	return n;
}

ssize_t sim_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	struct end *e = end_of(fd);
	struct msghdr m = *msg;
	struct sockaddr_un un;
	struct address a;
	long n;

	if (!e)
		return sim_call(SYS_sendmsg, fd, msg, (long)flags);
	n = broken(e, true);
	if (n)
		return n;
	a = e->peer;
	if (e->type == SOCK_DGRAM && m.msg_name &&
	    !get_address(&a, m.msg_name, m.msg_namelen))
		return -EINVAL;
	if (e->type == SOCK_DGRAM && !e->local.port)
		bind_to(fd, e, (struct address){ 0 });
	if (e->type == SOCK_DGRAM)
		may_cut(e, a.port);
	if (e->type == SOCK_DGRAM && (sim_fault(SIM_NET) || is_cut(e, a.port)))
		return total(msg);
	if (!m.msg_name || e->type == SOCK_STREAM) {
		m.msg_name = NULL;
		m.msg_namelen = 0;
		return sim_call(SYS_sendmsg, fd, &m, (long)flags);
	}
	m.msg_name = &un;
	m.msg_namelen = name_of(&a, e->type, &un);
	n = sim_call(SYS_sendmsg, fd, &m, (long)flags);
	if (n == -ECONNREFUSED) {
		memset(a.ip, 0, sizeof(a.ip));
		m.msg_namelen = name_of(&a, e->type, &un);
		n = sim_call(SYS_sendmsg, fd, &m, (long)flags);
	}
	return n == -ECONNREFUSED ? total(msg) : n; /* UDP learns of it later */
}

ssize_t sim_recvmsg(int fd, struct msghdr *msg, int flags)
{
	struct end *e = end_of(fd);
	struct sockaddr_un un;
	struct msghdr m = *msg;
	struct address from;
	long n;

	if (!e)
		return sim_call(SYS_recvmsg, fd, msg, (long)flags);
	n = broken(e, false);
	if (n)
		return n > 0 ? 0 : n;
	m.msg_name = &un;
	m.msg_namelen = sizeof(un);
	n = sim_call(SYS_recvmsg, fd, &m, (long)flags);
	if (n < 0)
		return n;
	msg->msg_controllen = m.msg_controllen;
	msg->msg_flags = m.msg_flags;
	if (msg->msg_name && parse_name(&un, m.msg_namelen, &from))
		put_address(&from, e->family, msg->msg_name, &msg->msg_namelen);
	else
		msg->msg_namelen = 0;
	return n;
}

void sim_net_close(int fd)
{
	struct end *e = end_of(fd);

	if (e)
		e->family = 0;
}

void sim_net_copy(int from, int to)
{
	struct end *e = end_of(from);

	sim_net_close(to);
	if (e && to < FDS)
		*end_new(to) = *e;
}

/* ---- resets ------------------------------------------------------------- */

static bool same_ports(const struct end *e, const struct address *local,
		       const struct address *peer)
{
	return e->local.port == local->port && e->peer.port == peer->port;
}

void sim_net_reset(int fd)
{
	struct end *e = end_of(fd);

	for (int i = 0; i < nr_ends; i++) {
		struct end *o = &ends[i];

		if (!o->family || o->type != SOCK_STREAM ||
		    (!same_ports(o, &e->local, &e->peer) &&
		     !same_ports(o, &e->peer, &e->local)))
			continue;
		o->reset = true;
		sim_call(SYS_shutdown, i, (long)SHUT_RDWR);
	}
}
