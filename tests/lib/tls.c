// SPDX-License-Identifier: MIT
#ifdef URT_HAVE_TLS
#define _GNU_SOURCE
#include "tls.h"
#include "tool_run.h"

char tls_directory[] = "/tmp/urt-tls.XXXXXX";
char ca[64], other_ca[64], certificate[64], key[64];

void make_certificates(void)
{
	static const char *const ec = "-newkey ec -pkeyopt "
				      "ec_paramgen_curve:P-256 -nodes -days 2";

	new_directory(tls_directory);
	snprintf(ca, sizeof(ca), "%s/ca.pem", tls_directory);
	snprintf(other_ca, sizeof(other_ca), "%s/other.pem", tls_directory);
	snprintf(certificate, sizeof(certificate), "%s/cert.pem",
		 tls_directory);
	snprintf(key, sizeof(key), "%s/key.pem", tls_directory);
	ck_assert_msg(
		!sh("cd %s && for n in ca other; do openssl req -x509 %s -subj "
		    "/CN=$n -keyout $n.key -out $n.pem || exit 1; done && "
		    "openssl req %s -subj /CN=localhost -keyout key.pem -out "
		    "c.csr && echo subjectAltName=DNS:localhost,IP:127.0.0.1 "
		    ">ext && openssl x509 -req -in c.csr -CA ca.pem -CAkey "
		    "ca.key -days 2 -extfile ext -out cert.pem 2>&1",
		    tls_directory, ec, ec),
		"%s", text);
}

void remove_certificates(void)
{
	sh("rm -rf %s", tls_directory);
}

struct urt_tls *server_tls;
int listener;
char address[64];
static void (*server_does)(struct urt_stream *);
int server_result;

static struct urt_tls *made[8];
static unsigned nr_made;
bool in_kernel;

struct urt_tls *new_tls(const struct urt_tls_options *options)
{
	struct urt_tls_options o = *options;
	struct urt_tls *t = NULL;

	o.kernel = in_kernel;
	ck_assert_msg(!urt_tls_new(&t, &o), "%s", urt_tls_why());
	ck_assert_uint_lt(nr_made, ARRAY_LEN(made));
	made[nr_made++] = t;
	return t;
}

void free_made(void)
{
	while (nr_made)
		urt_tls_free(made[--nr_made]);
}

static void serve(void *arg)
{
	int fd = urt_accept(listener, NULL, NULL, 0, SOON);
	struct urt_stream *s;

	(void)arg;
	ck_assert_int_ge(fd, 0);
	server_result = urt_tls_server(server_tls, fd, 0, &s, SOON);
	if (server_result) {
		urt_close(fd);
		return;
	}
	server_does(s);
}

struct urt_coro *serve_with(const struct urt_tls_options *more,
			    void (*does)(struct urt_stream *))
{
	struct urt_tls_options o = more ? *more : (struct urt_tls_options){ 0 };
	struct urt_addr a;

	o.certificate = certificate;
	o.key = key;
	if (!server_tls)
		server_tls = new_tls(&o);
	server_does = does;
	if (listener <= 0) {
		listener = urt_listen("127.0.0.1:0", SOON);
		ck_assert_int_ge(listener, 0);
		urt_addr_local(listener, &a);
		urt_addr_text(&a, address, sizeof(address));
	}
	return urt_spawn(serve, NULL);
}

struct urt_tls *client_tls(void)
{
	struct urt_tls_options o = { .authorities = ca };

	return new_tls(&o);
}

struct urt_stream *dial(struct urt_tls *t)
{
	struct urt_stream *s = NULL;
	int err = urt_tls_dial(t, address, 0, &s, SOON);

	ck_assert_msg(!err, "%s: %s", strerror(-err), urt_tls_why());
	return s;
}

void echo_lines(struct urt_stream *s)
{
	char *line;

	while (urt_stream_read_line(s, &line, NULL, SOON) == 1) {
		urt_stream_printf(s, SOON, "%s\n", line);
		ck_assert_int_eq(urt_stream_flush(s, SOON), 0);
	}
	urt_stream_close(s, SOON);
}

void hear_line(struct urt_stream *s, const char *what)
{
	char *line;

	ck_assert_int_eq(urt_stream_read_line(s, &line, NULL, SOON), 1);
	ck_assert_str_eq(line, what);
}

void say(struct urt_stream *s, const char *what)
{
	ck_assert_int_gt(urt_stream_printf(s, SOON, "%s\n", what), 0);
	ck_assert_int_eq(urt_stream_flush(s, SOON), 0);
}

void use_kernel(void)
{
	in_kernel = true;
}

bool kernel_has_tls(void)
{
	char ulps[256] = "";
	FILE *f = fopen("/proc/sys/net/ipv4/tcp_available_ulp", "r");

	if (f && !fgets(ulps, sizeof(ulps), f))
		ulps[0] = '\0';
	if (f)
		fclose(f);
	return strstr(ulps, "tls");
}

#endif
