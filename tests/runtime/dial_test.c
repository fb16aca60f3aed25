// SPDX-License-Identifier: MIT
/* Floor 6: dial and listen, over loopback. */
#define _GNU_SOURCE
#include "../../uring_rt/net/dial.h"
#include "../../uring_rt/net/resolve.h"
#include "../lib/net.h"
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <unistd.h>

/* The address of the listener. */
static void text_of(int listener, char *text)
{
	struct urt_addr a;

	ck_assert_int_eq(urt_addr_local(listener, &a), 0);
	ck_assert_int_gt(urt_addr_text(&a, text, URT_ADDR_TEXT), 0);
}

static int option(int fd, int level, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);

	ck_assert_int_eq(getsockopt(fd, level, name, &v, &len), 0);
	return v;
}

static void check_talk(const char *address)
{
	char text[URT_ADDR_TEXT], buf[8] = "";
	int listener = urt_listen(address, never), fd, peer;
	struct urt_addr here, there;

	ck_assert_msg(listener >= 0, "%s: %d", address, listener);
	ck_assert_int_eq(fcntl(listener, F_GETFD), FD_CLOEXEC);
	text_of(listener, text);
	fd = urt_dial(text, never);
	ck_assert_msg(fd >= 0, "%s: %d", text, fd);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	peer = urt_accept(listener, NULL, NULL, SOCK_CLOEXEC, never);
	ck_assert_int_ge(peer, 0);
	ck_assert_int_eq(urt_send(fd, "hello", 5, 0, never), 5);
	ck_assert_int_eq(urt_recv(peer, buf, 8, 0, never), 5);
	ck_assert_str_eq(buf, "hello");
	ck_assert_int_eq(urt_addr_peer(fd, &there), 0);
	ck_assert_int_eq(urt_addr_local(listener, &here), 0);
	ck_assert_int_eq(there.len, here.len);
	if (here.sa.sa_family != AF_UNIX) {
		ck_assert_int_eq(option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
		ck_assert_int_eq(option(peer, IPPROTO_TCP, TCP_NODELAY), 1);
	}
	urt_close(fd);
	urt_close(peer);
	urt_close(listener);
}

RUN_TEST(listener_can_be_dialled)
{
	char path[64], name[64];

	/* The suite may run twice at the same time. */
	snprintf(path, sizeof(path), "unix:/tmp/urt-dial.%d", getpid());
	snprintf(name, sizeof(name), "unix:@urt-dial.%d", getpid());
	unlink(path + 5);
	check_talk("127.0.0.1:0");
	check_talk("[::1]:0");
	check_talk("localhost:0");
	check_talk(name);
	check_talk(path);
	ck_assert_int_eq(urt_listen(path, never), -EADDRINUSE);
	ck_assert_int_eq(urt_dial(path, never), -ECONNREFUSED);
	unlink(path + 5);
	ck_assert_int_eq(urt_dial(path, never), -ENOENT);
}

RUN_TEST(listener_without_a_host_takes_both_families)
{
	int listener = urt_listen(":0", never), fd;
	struct urt_addr a;
	char text[32];

	ck_assert_int_eq(urt_addr_local(listener, &a), 0);
	for (int i = 0; i < 3; i++) {
		snprintf(text, sizeof(text), "%s:%d",
			 (const char *[]){ "127.0.0.1", "[::1]", "" }[i],
			 ntohs(((struct sockaddr_in *)&a.sa)->sin_port));
		fd = urt_dial(text, never);
		ck_assert_msg(fd >= 0, "%s: %d", text, fd);
		urt_close(fd);
	}
	urt_close(listener);
}

RUN_TEST(datagrams_have_an_address_too)
{
	int server = urt_listen("udp:127.0.0.1:0", never), fd;
	char text[URT_ADDR_TEXT], buf[8] = "";
	struct urt_addr from;
	socklen_t len = sizeof(from.storage);

	text_of(server, text);
	ck_assert_int_eq(strncmp(text, "udp:", 4), 0);
	fd = urt_dial(text, never);
	ck_assert_int_eq(urt_send(fd, "one", 3, 0, never), 3);
	ck_assert_int_eq(urt_recvfrom(server, buf, 8, 0, &from.sa, &len, never),
			 3);
	ck_assert_int_eq(urt_sendto(server, "two", 3, 0, &from.sa, len, never),
			 3);
	ck_assert_int_eq(urt_recv(fd, buf, 8, 0, never), 3);
	ck_assert_str_eq(buf, "two");
	urt_close(fd);
	urt_close(server);
}

/* The client's end is the last to close, so the server's waits in TIME_WAIT. */
RUN_TEST(server_can_start_again_at_once)
{
	char text[URT_ADDR_TEXT], c;
	int listener = urt_listen("127.0.0.1:0", never), fd, peer;

	text_of(listener, text);
	fd = urt_dial(text, never);
	peer = urt_accept(listener, NULL, NULL, 0, never);
	urt_close(peer);
	ck_assert_int_eq(urt_recv(fd, &c, 1, 0, never), 0);
	urt_close(fd);
	ck_assert_int_eq(urt_listen(text, never), -EADDRINUSE);
	urt_close(listener);
	listener = urt_listen(text, never);
	ck_assert_int_ge(listener, 0);
	urt_close(listener);
}

/* ---- races ---- */

/* A listener that never answers: its queue is full, so requests are dropped. */
static struct hole {
	struct urt_addr addr;
	int fd, full[4];
} hole;

static void dig(const char *address)
{
	struct hole *h = &hole;

	h->fd = urt_listen(address, never);
	ck_assert_int_ge(h->fd, 0);
	ck_assert_int_eq(listen(h->fd, 0), 0);
	ck_assert_int_eq(urt_addr_local(h->fd, &h->addr), 0);
	for (int i = 0; i < 4; i++) {
		h->full[i] = socket(h->addr.sa.sa_family,
				    SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(h->full[i], &h->addr.sa, h->addr.len);
	}
}

static void fill_up(void)
{
	for (int i = 0; i < 4; i++)
		close(hole.full[i]);
	close(hole.fd);
}

static int closed[URT__ADDRS_MAX];
static unsigned nr_closed;

/* A port on which nobody listens, and which nobody else gets until free_ports. */
static struct urt_addr closed_port(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in any = { .sin_family = AF_INET };
	struct urt_addr a;

	any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&any, sizeof(any)), 0);
	ck_assert_int_eq(urt_addr_local(fd, &a), 0);
	closed[nr_closed++] = fd;
	return a;
}

static void free_ports(void)
{
	while (nr_closed)
		close(closed[--nr_closed]);
}

RUN_TEST(second_address_wins_where_the_first_is_silent)
{
	int listener = urt_listen("127.0.0.1:0", never), fd;
	int64_t begin = urt_now();
	struct urt_addr a[2], peer;

	dig("[::1]:0");
	a[0] = hole.addr;
	urt_addr_local(listener, &a[1]);
	fd = urt__dial_race(a, 2, never);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_ge(urt_now() - begin, URT__ATTEMPT_DELAY_NS);
	urt_addr_peer(fd, &peer);
	ck_assert_int_eq(peer.sa.sa_family, AF_INET);
	urt_close(fd);
	urt_close(listener);
	fill_up();
}

/* When one fails, the next begins at once, without a wait of 15 times 250
 * ms. */
RUN_TEST(address_that_refuses_costs_no_delay)
{
	int listener = urt_listen("127.0.0.1:0", never), fd;
	struct urt_addr a[URT__ADDRS_MAX];
	int64_t begin;

	for (int i = 0; i < URT__ADDRS_MAX; i++)
		a[i] = closed_port();
	urt_addr_local(listener, &a[URT__ADDRS_MAX - 1]);
	do { /* a busy machine may take as long */
		begin = urt_now();
		fd = urt__dial_race(a, URT__ADDRS_MAX, never);
		ck_assert_int_ge(fd, 0);
		urt_close(fd);
	} while (urt_now() - begin >= 10 * URT__ATTEMPT_DELAY_NS);
	urt_close(listener);
	free_ports();
}

RUN_TEST(dial_returns_the_first_error_if_no_address_connects)
{
	struct urt_addr a[3] = { closed_port(), closed_port(), closed_port() };

	ck_assert_int_eq(urt__dial_race(a, 3, never), -ECONNREFUSED);
	ck_assert_int_eq(urt_resolve("unix:/tmp/nobody/is/here", a, 1, never),
			 1);
	ck_assert_int_eq(urt__dial_race(a, 3, never), -ENOENT);
	ck_assert_int_eq(urt__dial_race(a + 1, 1, never), -ECONNREFUSED);
	free_ports();
}

RUN_TEST(race_ends_at_its_deadline)
{
	struct urt_addr a[2];

	dig("127.0.0.1:0");
	a[0] = a[1] = hole.addr;
	ck_assert_int_eq(urt__dial_race(a, 2, urt_after(10 * MS)), -ETIME);
	ck_assert_int_eq(urt__dial_race(a, 2, urt_after(300 * MS)), -ETIME);
	ck_assert_int_eq(urt__dial_race(a, 1, urt_after(10 * MS)), -ETIME);
	fill_up();
}

static _Atomic int result;

static void race_hole(void *arg)
{
	struct urt_addr a[3] = { hole.addr, hole.addr, hole.addr };

	result = urt__dial_race(a, 3, never);
}

RUN_TEST(race_can_be_cancelled_at_any_time)
{
	struct urt_coro *c;

	dig("127.0.0.1:0");
	for (int ms = 0; ms < 600; ms = ms * 3 + 1) {
		c = urt_spawn(race_hole, NULL);
		urt_sleep(ms * MS);
		urt_cancel(c);
		urt_join(c);
		ck_assert_int_eq(result, -ECANCELED);
	}
	fill_up();
}

/* All connect, so the sockets of further winners must be closed. */
RUN_TEST(dial_leaves_one_descriptor_of_many_winners)
{
	int listener = urt_listen("127.0.0.1:0", never), before;
	struct urt_addr a[2];

	urt_addr_local(listener, &a[1]);
	a[0] = closed_port();
	before = open_descriptors();
	for (int i = 0; i < 100; i++) {
		int fd = urt__dial_race(a, 2, never), peer;

		ck_assert_int_ge(fd, 0);
		peer = urt_accept(listener, NULL, NULL, 0, never);
		urt_close(peer);
		urt_close(fd);
		ck_assert_int_eq(open_descriptors(), before);
	}
	urt_close(listener);
	free_ports();
}

/* ---- serve ---- */

static void echo_one(int fd, void *arg)
{
	char c;

	atomic_fetch_add((_Atomic int *)arg, 1);
	while (urt_recv(fd, &c, 1, 0, never) == 1)
		urt_send(fd, &c, 1, MSG_NOSIGNAL, never);
}

static char ask_echo(int fd)
{
	char c = 0;

	ck_assert_int_eq(urt_send(fd, "x", 1, 0, never), 1);
	ck_assert_int_eq(urt_recv(fd, &c, 1, 0, never), 1);
	return c;
}

/* First without new connections, then without any. */
static void check_serving(const char *address)
{
	_Atomic int served = 0;
	char text[URT_ADDR_TEXT];
	struct urt_scope scope;
	int listener = urt_listen(address, never), fd[20];

	text_of(listener, text);
	urt_scope_open(&scope, never);
	ck_assert_int_eq(urt_serve(&scope, listener, echo_one, &served), 0);
	for (int i = 0; i < 20; i++) {
		fd[i] = urt_dial(text, never);
		ck_assert_int_ge(fd[i], 0);
	}
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(ask_echo(fd[i]), 'x');
	ck_assert_int_eq(served, 20);
	ck_assert_int_eq(urt_shutdown(listener, SHUT_RD, never), 0);
	ck_assert_int_eq(urt_dial(text, never), -ECONNREFUSED);
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(ask_echo(fd[i]), 'x');
	urt_scope_cancel(&scope);
	ck_assert_int_eq(urt_scope_close(&scope), 0);
	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(urt_recv(fd[i], text, 1, 0, never), 0);
		urt_close(fd[i]);
	}
	urt_close(listener);
}

RUN_TEST(serving_ends_by_shutdown_or_with_its_scope)
{
	char name[64];

	snprintf(name, sizeof(name), "unix:@urt-serve.%d", getpid());
	check_serving("127.0.0.1:0");
	check_serving("[::1]:0");
	check_serving(name);
}

/*
 * With no descriptor left, it waits, and continues when there is one again. No number
 * is allowed at all, as the monitor opens and closes files meanwhile; the kernel reads
 * the limit when an accept begins, so one more may be on its way.
 */
RUN_TEST(serving_survives_a_shortage_of_descriptors)
{
	struct rlimit before, none;
	_Atomic int served = 0;
	struct urt_scope scope;
	struct urt_addr a;
	int listener = urt_listen("127.0.0.1:0", never), fd[3];

	urt_scope_open(&scope, never);
	urt_serve(&scope, listener, echo_one, &served);
	for (int i = 0; i < 3; i++)
		fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(urt_addr_local(listener, &a), 0);
	getrlimit(RLIMIT_NOFILE, &before);
	none = before;
	none.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &none);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(urt_connect(fd[i], &a.sa, a.len, never), 0);
	urt_sleep(30 * MS);
	ck_assert_int_le(served, 1);
	setrlimit(RLIMIT_NOFILE, &before);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(ask_echo(fd[i]), 'x');
		urt_close(fd[i]);
	}
	ck_assert_int_eq(served, 3);
	urt_scope_cancel(&scope);
	ck_assert_int_eq(urt_scope_close(&scope), 0);
	urt_close(listener);
}

RUN_TEST(server_that_cannot_listen_is_an_error_of_its_scope)
{
	struct urt_scope scope;

	urt_scope_open(&scope, never);
	ck_assert_int_eq(urt_serve(&scope, 0x7fffffff, echo_one, NULL), 0);
	ck_assert_int_eq(urt_scope_close(&scope), -EBADF);
}

Suite *dial_suite(void)
{
	Suite *s = suite_create("dial");
	TCase *t = tcase_create("dial");

	tcase_add_test(t, listener_can_be_dialled);
	tcase_add_test(t, listener_without_a_host_takes_both_families);
	tcase_add_test(t, datagrams_have_an_address_too);
	tcase_add_test(t, server_can_start_again_at_once);
	tcase_add_test(t, second_address_wins_where_the_first_is_silent);
	tcase_add_test(t, address_that_refuses_costs_no_delay);
	tcase_add_test(t, dial_returns_the_first_error_if_no_address_connects);
	tcase_add_test(t, race_ends_at_its_deadline);
	tcase_add_test(t, race_can_be_cancelled_at_any_time);
	tcase_add_test(t, dial_leaves_one_descriptor_of_many_winners);
	suite_add_tcase(s, t);
	t = tcase_create("serve");
	tcase_add_test(t, serving_ends_by_shutdown_or_with_its_scope);
	tcase_add_test(t, serving_survives_a_shortage_of_descriptors);
	tcase_add_test(t, server_that_cannot_listen_is_an_error_of_its_scope);
	suite_add_tcase(s, t);
	return s;
}
