// SPDX-License-Identifier: MIT
/*
 * Contexts: the thread's pointer leads to the running coroutine's record at
 * every moment, while others start, move or end; and the process's announcement
 * can be read as OTEP 4719 and 4947 specify.
 */
#define _GNU_SOURCE
#include "../../uring_rt/sched/sched.h"
#include "../lib/test.h"
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>
#undef errno

extern __thread struct urt_context *otel_thread_ctx_v1;

static __attribute__((noinline)) struct urt_context *shown(void)
{
	struct urt_context *volatile *slot = &otel_thread_ctx_v1;

	__asm__ volatile("" ::: "memory");
	return *slot;
}

static struct urt_context numbered(uint32_t n)
{
	struct urt_context ctx = { .trace_id = { 1 }, .span_id = { 1 } };
	char text[32];

	memcpy(ctx.span_id + 4, &n, sizeof(n));
	snprintf(text, sizeof(text), "route %u", n % 7);
	ck_assert_int_eq(urt_context_add(&ctx, urt_context_key("route"), text),
			 0);
	return ctx;
}

/* 0: none. */
static uint32_t number(const struct urt_context *ctx)
{
	uint32_t n = 0;

	if (ctx)
		memcpy(&n, ctx->span_id + 4, sizeof(n));
	return n;
}

static void run(urt_fn *fn, void *arg, unsigned workers)
{
	struct urt_options o = { .workers = workers };

	ck_assert_int_eq(urt_run_with(fn, arg, &o), 0);
}

/* ---- records ---- */

START_TEST(traceparent_is_read_as_w3c_says)
{
	static const char *const good[] = {
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what",
	};
	static const char *const bad[] = {
		"",
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
		"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x",
		"00-00000000000000000000000000000000-b7ad6b7169203331-01",
		"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
		"00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	};
	struct urt_context ctx = { 0 }, none = { 0 };
	char text[56];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		ck_assert_msg(urt_context_from_traceparent(&ctx, bad[i]) ==
				      -EINVAL,
			      "\"%s\" was taken", bad[i]);
		ck_assert_mem_eq(&ctx, &none, sizeof(ctx));
	}
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		ck_assert_int_eq(urt_context_from_traceparent(&ctx, good[i]),
				 0);
		ck_assert_int_eq(ctx.trace_id[0], 0x0a);
		ck_assert_int_eq(ctx.span_id[7], 0x31);
		ck_assert_int_eq(ctx.trace_flags, 1);
	}
	urt_context_to_traceparent(&ctx, text);
	ck_assert_str_eq(text, good[0]);
}
END_TEST

START_TEST(attribute_replaces_the_one_with_its_key)
{
	static char large[300];
	struct urt_context ctx = { 0 };
	int a = urt_context_key("a"), b = urt_context_key("b");

	ck_assert_int_ne(a, b);
	ck_assert_int_eq(urt_context_key("a"), a);
	ck_assert_int_eq(urt_context_add(&ctx, a, "first"), 0);
	ck_assert_int_eq(urt_context_add(&ctx, b, "other"), 0);
	ck_assert_int_eq(urt_context_add(&ctx, a, "2"), 0);
	ck_assert_uint_eq(ctx.attrs_size, 7 + 3);
	ck_assert_int_eq(ctx.attrs[0], b);
	ck_assert_int_eq(ctx.attrs[7], a);
	ck_assert_int_eq(ctx.attrs[9], '2');
	memset(large, 'x', 256);
	ck_assert_int_eq(urt_context_add(&ctx, a, large), -ENOSPC);
	large[255] = '\0';
	ck_assert_int_eq(urt_context_add(&ctx, a, large), 0);
	ck_assert_int_eq(urt_context_add(&ctx, b, large), 0);
	ck_assert_int_eq(urt_context_add(&ctx, urt_context_key("c"), large),
			 -ENOSPC);
	ck_assert_int_eq(urt_context_add(&ctx, 256, "x"), -EINVAL);
	ck_assert_int_eq(urt_context_key(""), -EINVAL);
}
END_TEST

START_TEST(keys_end_at_256)
{
	char name[16];

	for (int i = 0; i < 256; i++) {
		snprintf(name, sizeof(name), "key %d", i);
		ck_assert_int_eq(urt_context_key(name), i);
	}
	ck_assert_int_eq(urt_context_key("one more"), -ENOSPC);
	ck_assert_int_eq(urt_context_key("key 255"), 255);
}
END_TEST

/* ---- coroutines ---- */

static void child(void *arg)
{
	uint32_t *seen = arg;
	struct urt_context ctx, own = numbered(99);

	ck_assert(urt_context_get(&ctx));
	*seen = number(&ctx);
	ck_assert_uint_eq(number(shown()), *seen);
	ck_assert_int_eq(urt_context_set(&own), 0);
	ck_assert_uint_eq(number(shown()), 99);
}

static int member(void *arg)
{
	struct urt_context ctx;

	urt_context_get(&ctx);
	*(uint32_t *)arg = number(&ctx);
	return 0;
}

static int64_t on_pool(void *arg)
{
	(void)arg;
	return number(shown());
}

static void inherit(void *arg)
{
	struct urt_context ctx = numbered(5), bad = numbered(6);
	uint32_t seen = 0, in_scope = 0;
	struct urt_scope scope;

	(void)arg;
	ck_assert(!urt_context_get(&bad));
	ck_assert_ptr_null(shown());
	ck_assert_int_eq(urt_context_set(&ctx), 0);
	ck_assert_int_eq(shown()->valid, 1);
	ck_assert_mem_eq(shown()->attrs, ctx.attrs, ctx.attrs_size);
	urt_join(urt_spawn(child, &seen));
	ck_assert_uint_eq(seen, 5);
	ck_assert_uint_eq(number(shown()), 5);
	urt_scope_open(&scope, URT_NEVER);
	urt_scope_go(&scope, member, &in_scope);
	urt_scope_close(&scope);
	ck_assert_uint_eq(in_scope, 5);
	ck_assert_int_eq(urt_blocking(on_pool, NULL), 5);
	bad = ctx;
	bad.attrs_size--;
	ck_assert_int_eq(urt_context_set(&bad), -EINVAL);
	bad.attrs_size = 613;
	ck_assert_int_eq(urt_context_set(&bad), -EINVAL);
	ck_assert_uint_eq(number(shown()), 5);
	ck_assert_int_eq(urt_context_set(NULL), 0);
	ck_assert_ptr_null(shown());
	ck_assert_int_eq(urt_blocking(on_pool, NULL), 0);
}

START_TEST(coroutines_inherit_the_context_of_their_starter)
{
	struct urt_context ctx = numbered(1);

	ck_assert_int_eq(urt_context_set(&ctx), -EPERM);
	run(inherit, NULL, 1);
	ck_assert_ptr_null(shown());
	run(inherit, NULL, 3); /* a new run does not know that another had
				  contexts */
}
END_TEST

#define ROUNDS 300

static uint64_t state;
static struct urt_chan *chan;
static _Atomic unsigned wrong;

static void look(uint32_t n)
{
	if (number(shown()) != n)
		atomic_fetch_add(&wrong, 1);
}

static void wander(void *arg)
{
	uint32_t n = (uintptr_t)arg;
	uint64_t own = n * UINT64_C(0x9E3779B97F4A7C15) ^ state;
	struct urt_context ctx;

	for (unsigned i = 0; i < ROUNDS; i++) {
		look(n);
		switch (rnd(&own) % 5) {
		case 0:
			urt_sleep(rnd(&own) % 100000);
			break;
		case 1: /* in place, as nobody shares it */
			ctx = numbered(++n);
			urt_context_set(&ctx);
			break;
		case 2:
			urt_chan_send(chan, &n, urt_after(50000));
			break;
		case 3:
			urt_chan_recv(chan, NULL, urt_after(50000));
			break;
		default:
			urt_yield();
		}
		look(n);
	}
}

static void inheritor(void *arg)
{
	uint32_t n = (uintptr_t)arg;
	struct urt_coro *c;

	look(n);
	c = urt_spawn(wander, arg);
	urt_yield();
	look(n);
	urt_join(c);
	look(n);
}

static void plain(void *arg)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		look(0);
		if (i % 3)
			urt_yield();
		else
			urt_sleep(10000);
	}
}

static void wandering(void *arg)
{
	struct urt_coro *c[60];
	struct urt_context ctx;

	chan = urt_chan_new(sizeof(uint32_t), 1);
	for (unsigned i = 0; i < ARRAY_LEN(c); i++) {
		uint32_t n = 1 + 10000 * i;

		if (i % 5 == 0) {
			urt_context_set(NULL);
			c[i] = urt_spawn(plain, NULL);
			continue;
		}
		ctx = numbered(n);
		urt_context_set(&ctx);
		c[i] = urt_spawn(inheritor, (void *)(uintptr_t)n);
	}
	for (unsigned i = 0; i < ARRAY_LEN(c); i++)
		urt_join(c[i]);
	urt_chan_free(chan);
}

START_TEST(threads_pointer_always_shows_the_running_coroutines_record)
{
	static const unsigned workers[] = { 1, 2, 5 };

	state = seed();
	for (unsigned i = 0; i < ARRAY_LEN(workers); i++)
		run(wandering, NULL, workers[i]);
	ck_assert_uint_eq(wrong, 0);
}
END_TEST

/* ---- the process's announcement ---- */

static const char *find_mapping(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];
	unsigned long at;
	const char *found = NULL;

	while (fgets(line, sizeof(line), f))
		if ((strstr(line, "[anon_shmem:OTEL_CTX]") ||
		     strstr(line, "[anon:OTEL_CTX]") ||
		     strstr(line, "/memfd:OTEL_CTX")) &&
		    sscanf(line, "%lx", &at) == 1)
			found = (const char *)at;
	fclose(f);
	return found;
}

/* The payload decoded by protoc without a schema. */
static void decode(const char *mapping, char *text, size_t size)
{
	char name[] = "/tmp/urt-otel.XXXXXX", command[128];
	uint32_t payload_size;
	const char *payload;
	int fd = mkstemp(name);
	size_t n;
	FILE *p;

	memcpy(&payload_size, mapping + 12, 4);
	memcpy(&payload, mapping + 24, 8);
	ck_assert_int_eq(write(fd, payload, payload_size), payload_size);
	close(fd);
	/* Newer ones say on stderr that they are deprecated. */
	snprintf(command, sizeof(command),
		 "protoc-c --decode_raw <%s 2>/dev/null", name);
	p = popen(command, "r");
	n = fread(text, 1, size - 1, p);
	text[n] = '\0';
	ck_assert_msg(!pclose(p), "protoc-c: %s", text);
	unlink(name);
}

static void announce(void *arg)
{
	struct urt_context ctx = { 0 };

	urt_context_add(&ctx, urt_context_key("http.route"), "/");
	ck_assert_int_eq(urt_context_set(&ctx), 0);
}

static void announce_more(void *arg)
{
	struct urt_context ctx = { 0 };

	urt_context_set(&ctx);
	urt_context_key("later");
}

START_TEST(keys_are_announced_as_a_process_context)
{
	static char text[4096];
	const char *m;
	uint32_t version;
	uint64_t first_ns, then_ns;

	ck_assert_ptr_null(find_mapping());
	run(announce, NULL, 1);
	m = find_mapping();
	ck_assert_ptr_nonnull(m);
	ck_assert(!memcmp(m, "OTEL_CTX", 8));
	memcpy(&version, m + 8, 4);
	ck_assert_uint_eq(version, 2);
	memcpy(&first_ns, m + 16, 8);
	ck_assert_uint_gt(first_ns, 0);
	decode(m, text, sizeof(text));
	ck_assert_str_eq(text, "2 {\n"
			       "  1: \"threadlocal.schema_version\"\n"
			       "  2 {\n"
			       "    1: \"tlsdesc_v1_dev\"\n"
			       "  }\n"
			       "}\n"
			       "2 {\n"
			       "  1: \"threadlocal.attribute_key_map\"\n"
			       "  2 {\n"
			       "    5 {\n"
			       "      1 {\n"
			       "        1: \"http.route\"\n"
			       "      }\n"
			       "    }\n"
			       "  }\n"
			       "}\n");
	run(announce_more, NULL, 1);
	ck_assert_ptr_eq(find_mapping(), m);
	memcpy(&then_ns, m + 16, 8);
	ck_assert_uint_gt(then_ns, first_ns);
	decode(m, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "\"later\""));
}
END_TEST

START_TEST(forked_child_announces_its_own)
{
	int status;

	if (TSANITIZED)
		SKIP("TSan gives up on threads in a forked child");
	run(announce, NULL, 1);
	if (!fork()) {
		if (find_mapping())
			_exit(1);
		if (urt_run(announce_more, NULL) || !find_mapping())
			_exit(2);
		_exit(0);
	}
	wait(&status);
	ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(programs_with_the_static_library_export_the_pointer)
{
	ck_assert_msg(!system("readelf -W --dyn-syms examples/echo | "
			      "grep -q 'TLS.*otel_thread_ctx_v1'"),
		      "examples/echo does not export otel_thread_ctx_v1");
}
END_TEST

Suite *context_suite(void)
{
	Suite *s = suite_create("context");
	TCase *t = tcase_create("records");

	tcase_add_test(t, traceparent_is_read_as_w3c_says);
	tcase_add_test(t, attribute_replaces_the_one_with_its_key);
	tcase_add_test(t, keys_end_at_256);
	suite_add_tcase(s, t);
	t = tcase_create("coroutines");
	tcase_add_test(t, coroutines_inherit_the_context_of_their_starter);
	tcase_add_test(
		t, threads_pointer_always_shows_the_running_coroutines_record);
	suite_add_tcase(s, t);
	t = tcase_create("announced");
	tcase_add_test(t, keys_are_announced_as_a_process_context);
	tcase_add_test(t, forked_child_announces_its_own);
	tcase_add_test(t, programs_with_the_static_library_export_the_pointer);
	suite_add_tcase(s, t);
	return s;
}
