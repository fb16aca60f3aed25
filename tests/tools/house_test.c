// SPDX-License-Identifier: MIT
/*
 * Keeps the pages for contributors true: paths exist, tables are complete,
 * recipes work. Runs in the build directory.
 */
#define _GNU_SOURCE
#include "../../tools/lib/embed.h"
#include "../../tools/lib/environment.h"
#include "../lib/service.h"

#define TOP "../../"

static const char *const pages[] = { "tools/README.md", "tests/README.md",
				     ".github/CONTRIBUTING.md" };

START_TEST(pages_name_only_paths_that_exist)
{
	for (unsigned i = 0; i < ARRAY_LEN(pages); i++) {
		ck_assert_int_eq(
			sh("cd " TOP " && grep -oE "
			   "'`(\\.ci|uring_rt|bpf|tools|tests)/[a-z_./0-9]*`' "
			   "%s | tr -d '`' | sort -u | while read -r p; do "
			   "[ -e \"$p\" ] || echo \"$p\"; done",
			   pages[i]),
			0);
		ck_assert_msg(!*text, "%s names what is not there: %s",
			      pages[i], text);
	}
}
END_TEST

START_TEST(readme_names_every_model)
{
	for (unsigned i = 0; i < nr_models; i++)
		ck_assert_msg(!sh("grep -qE '(^|[^a-z-])%s([^a-z-]|$)' " TOP
				  "README.md",
				  models[i].name),
			      "README.md does not name the model %s",
			      models[i].name);
}
END_TEST

START_TEST(models_have_complete_rows)
{
	for (unsigned i = 0; i < nr_models; i++) {
		const struct model *m = &models[i];

		ck_assert_ptr_eq(model_find(m->name), m);
		ck_assert(m->unit && m->lives && m->waits_in);
		ck_assert(m->light && m->dark);
		ck_assert_ptr_nonnull(m->settings);
		ck_assert(!m->run == !!m->source);
		ck_assert(!m->switches == !m->switches_are);
		if (m->source)
			ck_assert_ptr_nonnull(embedded(m->source)->text);
		for (unsigned k = 0; k < i; k++)
			ck_assert(strcmp(models[k].light, m->light) &&
				  strcmp(models[k].dark, m->dark));
	}
	ck_assert_ptr_nonnull(model_of(ROLE_THREADS));
	ck_assert_ptr_nonnull(model_of(ROLE_CALLBACKS));
	ck_assert_ptr_nonnull(model_of(ROLE_COROUTINES));
}
END_TEST

/* The recipes of tools/README.md, followed in a copy of the tree. */
static void copy_of_the_tree(void)
{
	ck_assert_int_eq(
		sh("rm -rf house && mkdir -p house/build/release && "
		   "cp -a " TOP "Makefile " TOP "uring_rt " TOP "bpf " TOP
		   "tools " TOP "tests house/ && "
		   "cp -a *.o *.a *.so pic tools uring_rt house/build/release/ "
		   "&& cp -a " TOP "build/gen house/build/"),
		0);
}

/* A server of ten lines and a row. */
static void add_model(void)
{
	static const char program[] =
		"import http.server, sys\\n"
		"class H(http.server.BaseHTTPRequestHandler):\\n"
		"    protocol_version = \"HTTP/1.1\"\\n"
		"    def do_GET(self):\\n"
		"        self.send_response(200)\\n"
		"        self.send_header(\"Content-Length\", \"3\")\\n"
		"        self.end_headers()\\n"
		"        self.wfile.write(b\"ok\\\\n\")\\n"
		"http.server.ThreadingHTTPServer((\"127.0.0.1\", "
		"int(sys.argv[1])), H).serve_forever()\\n";
	static const char row[] =
		"\\t{ .name = \"recipe\", .unit = \"thread\", .lives = \"a "
		"stack\", .waits_in = \"the kernel\", .alone = UNIT_OTHER, "
		".language = LANGUAGE_PYTHON, .source = "
		"\"service/models/recipe.py\", .no_switches = \"n/a\", .settings = \"none\", .light = "
		"\"#111111\", .dark = \"#eeeeee\" },";

	ck_assert_int_eq(
		sh("cd house && printf '%s' >tools/service/models/recipe.py && "
		   "sed -i 's|^const unsigned nr_models|&|; /^};$/{x;s/^/x/;"
		   "/^x$/{x;s|^|%s\\n|;b};x}' tools/service/models.c",
		   program, row),
		0);
}

/* One row. */
static void add_figure(void)
{
	ck_assert_int_eq(
		sh("cd house && sed -i 's|^const struct figure figures.*|&\\n"
		   "\\t{ .name = \"recipe\", .get = switches, .lacks = "
		   "needs_switches, .label = \"switches by the recipe\", "
		   ".place = IN_SWITCHES, .json = \"switches.recipe\" },|' "
		   "tools/stat/figure_table.c"),
		0);
}

/* A row, a function, and a declaration (whose other users are not built anew). */
static void add_operation(void)
{
	ck_assert_int_eq(
		sh("cd house/uring_rt && touch -r urt.h stamp && "
		   "sed -i 's|^.X(STATX,.*|\\tX(EPOLL_CTL, \"5.6\", POOL, "
		   "epoll_ctl) \\\\\\n&|' wait/ops.h && cat >>wait/files.c <<'EOF'\n"
		   "int urt_epoll_ctl(int ep, int op, int fd,\n"
		   "\t\t  struct epoll_event *event, int64_t deadline_ns)\n"
		   "{\n"
		   "\tstruct io_uring_sqe r = { .opcode = URT__OP_EPOLL_CTL,\n"
		   "\t\t\t\t  .fd = ep, .len = op, .off = fd,\n"
		   "\t\t\t\t  .addr = PTR(event) };\n"
		   "\tstruct urt__syscall c = { SYS_epoll_ctl,\n"
		   "\t\t\t  { ep, op, fd, PTR(event) } };\n"
		   "\n"
		   "\treturn either(&r, &c, deadline_ns);\n"
		   "}\n"
		   "EOF\n"
		   "sed -i 's|^URT_API int urt_epoll_wait|URT_API int "
		   "urt_epoll_ctl(int ep, int op, int fd, struct epoll_event "
		   "*, int64_t deadline_ns);\\n&|' urt.h && touch -r stamp urt.h"),
		0);
}

static const char program_with_the_operation[] =
	"#include <urt.h>\n"
	"#include <sys/epoll.h>\n"
	"static int ret[2];\n"
	"static void first(void *arg)\n"
	"{\n"
	"\tstruct epoll_event e = { .events = EPOLLIN };\n"
	"\tint ep = epoll_create1(0), p[2];\n"
	"\turt_pipe(p, 0);\n"
	"\tret[0] = urt_epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e, URT_NEVER);\n"
	"\tret[1] = urt_epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e, URT_NEVER);\n"
	"}\n"
	"int main(void)\n"
	"{\n"
	"\treturn urt_run(first, 0) || ret[0] || ret[1] != -EEXIST;\n"
	"}\n";

START_TEST(recipes_for_a_model_a_figure_and_an_operation_work)
{
	if (language_missing(LANGUAGE_PYTHON))
		SKIP("Python is not installed");
	copy_of_the_tree();
	add_model();
	add_figure();
	add_operation();
	ck_assert_msg(!sh("cd house && make -s -j2 WERROR=1 "
			  "build/release/urt 2>&1"),
		      "%s", text);
	ck_assert_int_eq(
		sh("cd house/build/release && port=%d && "
		   "{ timeout 90 ./urt serve recipe --port $port >/dev/null & } "
		   "&& for i in $(seq 100); do ./urt load -c 1 -n 1 "
		   "http://127.0.0.1:$port/ >/dev/null 2>&1 && break; "
		   "sleep 0.1; done; kill $!; ./urt serve --list | "
		   "grep -q ^recipe && [ $i -lt 100 ]",
		   net_free_port()),
		0);
	ck_assert_int_eq(
		sh("cd house/build/release && ./urt stat --list | "
		   "grep -w recipe && ./urt stat --json -- true 2>&1 | "
		   "grep -o '\"recipe\":[0-9]'"),
		0);
	ck_assert_msg(
		!sh("cd house && cat >x.c <<'EOF' && ${CC:-cc} -Iuring_rt "
		    "-o x x.c build/release/liburing_rt.a -lpthread -ldl "
		    "2>&1 && ./x && URT_FEATURES=-optional_ops ./x\n%sEOF",
		    program_with_the_operation),
		"%s", text);
	sh("rm -rf house");
}
END_TEST

START_TEST(environment_lists_every_variable_that_is_read)
{
	char *read, *name, *save;

	ck_assert_int_eq(
		sh("cd " TOP " && grep -rhoE "
		   "'(getenv\\(\"[A-Z_]+|_ENV \"[A-Z_]+)' uring_rt tools "
		   "--include=*.c --include=*.h --exclude-dir=examples | "
		   "grep -oE '[A-Z_]+$' | "
		   "sort -u"),
		0);
	read = strdup(text);
	ck_assert_int_eq(sh("./urt help environment"), 0);
	for (name = strtok_r(read, "\n", &save); name;
	     name = strtok_r(NULL, "\n", &save)) {
		char entry[80];

		snprintf(entry, sizeof(entry), "\n  %s=", name);
		ck_assert_msg(strstr(text, entry), "%s is not listed", name);
	}
	free(read);
}
END_TEST

START_TEST(urt_h_compiles_as_c11_c17_and_cxx)
{
	static const char *const how[] = { "${CC:-cc} -std=c11 -x c",
					   "${CC:-cc} -std=c17 -x c",
					   "${CC:-cc} -std=gnu17 -x c" };

	for (unsigned i = 0; i < ARRAY_LEN(how); i++)
		ck_assert_msg(
			!sh("printf '#include \"urt.h\"\\nint events = POLLIN;"
			    "\\n' | %s -pedantic -Wall -Wextra -Werror "
			    "-I" TOP "uring_rt -c -o /dev/null - 2>&1",
			    how[i]),
			"%s: %s", how[i], text);
}
END_TEST

START_TEST(manual_has_a_page_for_every_call)
{
	ck_assert_int_eq(
		sh("rm -rf man3 && mkdir man3 && cd " TOP "uring_rt && "
		   "for h in urt.h urt_tls.h; do awk -v dir=$OLDPWD/man3 "
		   "-f ../tools/man3.awk $h || exit 1; done; cd $OLDPWD; "
		   "grep -hoE '^URT_API [^(]*\\(' " TOP "uring_rt/urt*.h | "
		   "grep -oE 'urt_[a-z0-9_]+\\(' | tr -d '(' | "
		   "grep -v errno_location | "
		   "sort -u | while read -r f; do [ -s man3/$f.3 ] || "
		   "echo $f; done"),
		0);
	ck_assert_msg(!*text, "no page: %s", text);
	ck_assert_int_eq(sh("grep -c . man3/uring_rt.3 && "
			    "grep -q 'so man3/urt_read.3' man3/urt_recv.3 && "
			    "grep -q 'ssize_t urt_recv' man3/urt_read.3 && "
			    "grep -q 'include <urt_tls.h>' man3/uring_rt_tls.3 "
			    "&& grep -q 'handshake' man3/urt_tls_client.3; "
			    "e=$?; rm -rf man3; exit $e"),
			 0);
}
END_TEST

Suite *house_suite(void)
{
	Suite *s = suite_create("house");
	TCase *t = tcase_create("house");

	tcase_set_timeout(t, 300);
	tcase_add_test(t, pages_name_only_paths_that_exist);
	tcase_add_test(t, readme_names_every_model);
	tcase_add_test(t, models_have_complete_rows);
	tcase_add_test(t, recipes_for_a_model_a_figure_and_an_operation_work);
	tcase_add_test(t, environment_lists_every_variable_that_is_read);
	tcase_add_test(t, urt_h_compiles_as_c11_c17_and_cxx);
	tcase_add_test(t, manual_has_a_page_for_every_call);
	suite_add_tcase(s, t);
	return s;
}
