// SPDX-License-Identifier: MIT
/* Floor 6: addresses, names, dial and listen. */
#define _GNU_SOURCE
#include "../../uring_rt/net/dial.h"
#include "../../uring_rt/net/resolve.h"
#include "../../uring_rt/wait/pool.h"
#include "../lib/net.h"
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>

/* ---- addresses ---- */

START_TEST(address_is_printed_as_it_was_written)
{
	static const char *const same[] = {
		"127.0.0.1:80",	     "255.255.255.255:65535",
		"0.0.0.0:0",	     "[::1]:80",
		"[2001:db8::1]:443", "[::ffff:1.2.3.4]:1",
		"[fe80::1%lo]:80",   "udp:127.0.0.1:53",
		"udp:[::]:53",	     "unix:/run/x.sock",
		"unix:relative",     "unix:@abstract",
		"unixgram:/run/y",
	};
	struct urt__address a;
	char text[URT_ADDR_TEXT];

	for (size_t i = 0; i < ARRAY_LEN(same); i++) {
		ck_assert_msg(!urt__address_parse(same[i], &a), "%s", same[i]);
		ck_assert_int_eq(urt_addr_text(&a.addr, text, sizeof(text)),
				 strlen(same[i]));
		ck_assert_str_eq(text, same[i]);
		ck_assert_int_eq(urt_addr_text(&a.addr, text, strlen(same[i])),
				 -ENOSPC);
		ck_assert_str_eq(text, "");
	}
}
END_TEST

START_TEST(names_and_missing_hosts_are_left_to_the_resolver)
{
	struct urt__address a;

	ck_assert_int_eq(urt__address_parse("example.org:80", &a), 0);
	ck_assert_str_eq(a.host, "example.org");
	ck_assert_int_eq(a.port, 80);
	ck_assert_int_eq(a.addr.len, 0);
	ck_assert_int_eq(a.addr.type, SOCK_STREAM);
	ck_assert_int_eq(urt__address_parse("udp:a-b_c.d.:9", &a), 0);
	ck_assert_str_eq(a.host, "a-b_c.d.");
	ck_assert_int_eq(a.addr.type, SOCK_DGRAM);
	ck_assert_int_eq(urt__address_parse("tcp:unix:80", &a), 0);
	ck_assert_str_eq(a.host, "unix");
	ck_assert_int_eq(urt__address_parse(":8080", &a), 0);
	ck_assert_str_eq(a.host, "");
	ck_assert_int_eq(a.port, 8080);
}
END_TEST

START_TEST(text_that_is_no_address_is_refused)
{
	static const char *const bad[] = {
		"",
		":",
		"localhost",
		"a:",
		"a:65536",
		"a:080",
		"a:-1",
		"a:+1",
		"a: 1",
		"a:1 ",
		"a:http",
		"1.2.3:80",
		"1.2.3.4.:80",
		"127.1:80",
		"256.1.1.1:80",
		"01.2.3.4:80",
		"::1:80",
		"[::1]",
		"[::1]80",
		"[::1:80",
		"::1]:80",
		"[]:80",
		"[1.2.3.4]:80",
		"[::1]x:80",
		"a..b:1",
		".a:1",
		".:1",
		"a b:1",
		"a/b:1",
		"http://a:80",
		"[g::]:1",
		"[::1%]:1",
		"unix:",
		"unix:@",
		"unixgram:",
		"udp:1",
		"tcp:",
		"\xff:1",
		"user@host:1",
	};
	struct urt__address a;
	char longer[400];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		int err = urt__address_parse(bad[i], &a);

		ck_assert_msg(err == -EINVAL || err == -ENODEV, "%s: %d",
			      bad[i], err);
	}
	memset(longer, 'a', sizeof(longer));
	strcpy(longer + 254, ":80");
	ck_assert_int_eq(urt__address_parse(longer, &a), -ENAMETOOLONG);
	ck_assert_int_eq(urt__address_parse(longer + 1, &a), 0);
	memcpy(longer, "unix:", 5);
	longer[5 + 108] = '\0';
	ck_assert_int_eq(urt__address_parse(longer, &a), -ENAMETOOLONG);
	longer[5 + 107] = '\0';
	ck_assert_int_eq(urt__address_parse(longer, &a), 0);
}
END_TEST

/* Of families given as a string of 4 and 6; numbered by their ports. */
static void check_turns(const char *families, const char *expected)
{
	struct urt_addr a[8];
	size_t n = strlen(families);
	char order[9] = "";

	for (size_t i = 0; i < n; i++)
		urt__addr_set(&a[i], SOCK_STREAM,
			      families[i] == '4' ? AF_INET : AF_INET6,
			      &in6addr_any, 0, 'a' + i);
	urt__addrs_interleave(a, n);
	for (size_t i = 0; i < n; i++)
		order[i] = ntohs(((struct sockaddr_in *)&a[i].sa)->sin_port);
	ck_assert_str_eq(order, expected);
}

START_TEST(families_take_turns_and_keep_their_order)
{
	check_turns("", "");
	check_turns("6", "a");
	check_turns("666", "abc");
	check_turns("66644", "adbec");
	check_turns("44466", "adbec");
	check_turns("46464", "abcde");
	check_turns("644", "abc");
	check_turns("64444466", "abgchdef");
}
END_TEST

/* ---- names ---- */

static _Atomic int looked_up, freed;
static int eai;	     /* the result of the look-up */
static sem_t let_go; /* the look-up waits for that, if it should */
static bool waits;
static useconds_t takes_us;

/* ::1, ::2, 10.0.0.1 and 10.0.0.2, in that order, in one block. */
static int fake_get(const char *host, const char *service,
		    const struct addrinfo *hints, struct addrinfo **out)
{
	struct entry {
		struct addrinfo info;
		struct sockaddr_storage addr;
	} * e;

	atomic_fetch_add(&looked_up, 1);
	while (waits && sem_wait(&let_go))
		;
	if (takes_us)
		usleep(takes_us);
	*__errno_location() = EBADMSG;
	if (eai)
		return eai;
	e = calloc(4, sizeof(*e));
	for (int i = 0; i < 4; i++) {
		struct sockaddr_in *in4 = (void *)&e[i].addr;
		struct sockaddr_in6 *in6 = (void *)&e[i].addr;

		e[i].info.ai_family = i < 2 ? AF_INET6 : AF_INET;
		e[i].info.ai_addr = (void *)&e[i].addr;
		e[i].info.ai_next = i < 3 ? &e[i + 1].info : NULL;
		if (i < 2)
			in6->sin6_addr.s6_addr[15] = i + 1;
		else
			in4->sin_addr.s_addr = htonl(0x0a000000 + i - 1);
	}
	*out = &e->info;
	return 0;
}

static void fake_free(struct addrinfo *list)
{
	atomic_fetch_add(&freed, 1);
	free(list);
}

static void use_fake(void)
{
	urt__resolver = (struct urt__resolver){ fake_get, fake_free };
	sem_init(&let_go, 0, 0);
}

RUN_TEST(text_that_is_no_name_is_not_looked_up)
{
	struct urt_addr a[4];
	char text[URT_ADDR_TEXT];

	use_fake();
	ck_assert_int_eq(urt_resolve("127.0.0.1:80", a, 4, 0), 1);
	ck_assert_int_eq(urt_resolve("[::1]:80", a, 4, 0), 1);
	ck_assert_int_eq(urt_resolve("unix:/x", a, 4, 0), 1);
	ck_assert_int_eq(urt_resolve(":80", a, 4, 0), 2);
	urt_addr_text(&a[0], text, sizeof(text));
	ck_assert_str_eq(text, "127.0.0.1:80");
	urt_addr_text(&a[1], text, sizeof(text));
	ck_assert_str_eq(text, "[::1]:80");
	ck_assert_int_eq(urt_resolve(":80", a, 1, 0), 1);
	ck_assert_int_eq(urt_resolve("1.2:80", a, 4, 0), -EINVAL);
	ck_assert_int_eq(urt_resolve("a:80", a, 0, 0), -EINVAL);
	ck_assert_int_eq(looked_up, 0);
	ck_assert_uint_eq(urt__blocking_threads(), 0);
}

RUN_TEST(name_gives_its_addresses_in_turn)
{
	static const char *const expected[] = { "[::1]:7", "10.0.0.1:7",
						"[::2]:7", "10.0.0.2:7" };
	struct urt_addr a[8];
	char text[URT_ADDR_TEXT];

	use_fake();
	ck_assert_int_eq(urt_resolve("some.where:7", a, 8, never), 4);
	for (int i = 0; i < 4; i++) {
		urt_addr_text(&a[i], text, sizeof(text));
		ck_assert_str_eq(text, expected[i]);
	}
	ck_assert_int_eq(urt_resolve("some.where:7", a, 3, never), 3);
}

RUN_TEST(localhost_is_known)
{
	struct urt_addr a[8];
	char text[URT_ADDR_TEXT];
	int n = urt_resolve("localhost:7", a, 8, never);

	ck_assert_int_ge(n, 1);
	urt_addr_text(&a[0], text, sizeof(text));
	ck_assert(!strcmp(text, "127.0.0.1:7") || !strcmp(text, "[::1]:7"));
}

RUN_TEST(failed_look_ups_say_why)
{
	static const int map[][2] = {
		{ EAI_NONAME, -ENOENT },  { EAI_NODATA, -ENOENT },
		{ EAI_AGAIN, -EAGAIN },	  { EAI_FAIL, -EIO },
		{ EAI_MEMORY, -ENOMEM },  { EAI_SYSTEM, -EBADMSG },
		{ EAI_SERVICE, -EINVAL },
	};
	struct urt_addr a;

	use_fake();
	for (size_t i = 0; i < ARRAY_LEN(map); i++) {
		eai = map[i][0];
		ck_assert_int_eq(urt_resolve("a:1", &a, 1, never), map[i][1]);
		ck_assert_int_eq(urt_dial("a:1", never), map[i][1]);
		ck_assert_int_eq(urt_listen("a:1", never), map[i][1]);
	}
	ck_assert_int_eq(freed, 0);
}

/* The deadline comes while getaddrinfo is stuck, and its memory outlives the
 * caller's. */
static void ask_late(void *arg)
{
	struct urt_addr a;

	use_fake();
	waits = true;
	for (int ms = 5; !looked_up; ms *= 2) /* until a thread is in it */
		ck_assert_int_eq(urt_resolve("a:1", &a, 1, urt_after(ms * MS)),
				 -ETIME);
	ck_assert_int_eq(urt_resolve("a:1", &a, 1, 0), -ETIME);
	ck_assert_int_eq(looked_up, 1);
	ck_assert_int_eq(freed, 0);
	sem_post(&let_go);
}

START_TEST(look_up_ends_at_its_deadline)
{
	ck_assert_int_eq(urt_run(ask_late, NULL), 0);
	ck_assert_int_eq(looked_up, 1);
	ck_assert_int_eq(freed, 1);
}
END_TEST

static int asked;

static void ask(void *arg)
{
	struct urt_addr a;

	asked = urt_resolve("a:1", &a, 1, never);
}

/* With one thread for blocking calls the second look-up has not begun, and
 * never does: the end of the run drops it. */
static void cancel_two(void *arg)
{
	struct urt_coro *c[2];

	use_fake();
	waits = true;
	for (int i = 0; i < 2; i++)
		c[i] = urt_spawn(ask, NULL);
	while (looked_up != 1)
		urt_sleep(MS / 10);
	for (int i = 0; i < 2; i++) {
		urt_cancel(c[i]);
		urt_join(c[i]);
		ck_assert_int_eq(asked, -ECANCELED);
	}
	sem_post(&let_go);
}

START_TEST(look_up_can_be_cancelled)
{
	struct urt_options o = { .max_blocking = 1 };

	ck_assert_int_eq(urt_run_with(cancel_two, NULL, &o), 0);
	ck_assert_int_eq(looked_up, 1);
	ck_assert_int_eq(freed, 1);
}
END_TEST

/* The result and the deadline arrive at about the same time. */
static void race_deadline(void *arg)
{
	struct urt_addr a;
	int n;

	use_fake();
	takes_us = 100;
	/* Where threads are slow, the deadlines become later. */
	for (int i = 0; i < FEWER(1000) || !freed; i++) {
		n = urt_resolve("a:1", &a, 1,
				urt_after(i % 100 * (3000 + i / 1000 * 3000)));
		ck_assert(n == 1 || n == -ETIME);
	}
}

START_TEST(look_up_that_races_its_deadline_leaks_nothing)
{
	ck_assert_int_eq(urt_run(race_deadline, NULL), 0);
	ck_assert_int_eq(freed, looked_up);
}
END_TEST

Suite *net_suite(void)
{
	Suite *s = suite_create("net");
	TCase *t = tcase_create("addresses");

	tcase_add_test(t, address_is_printed_as_it_was_written);
	tcase_add_test(t, names_and_missing_hosts_are_left_to_the_resolver);
	tcase_add_test(t, text_that_is_no_address_is_refused);
	tcase_add_test(t, families_take_turns_and_keep_their_order);
	suite_add_tcase(s, t);
	t = tcase_create("names");
	tcase_add_test(t, text_that_is_no_name_is_not_looked_up);
	tcase_add_test(t, name_gives_its_addresses_in_turn);
	tcase_add_test(t, localhost_is_known);
	tcase_add_test(t, failed_look_ups_say_why);
	tcase_add_test(t, look_up_ends_at_its_deadline);
	tcase_add_test(t, look_up_can_be_cancelled);
	tcase_add_test(t, look_up_that_races_its_deadline_leaks_nothing);
	suite_add_tcase(s, t);
	return s;
}
