// SPDX-License-Identifier: MIT
/*
 * The JSON documents of urt against their schemas (tools/schemas), by
 * python3-jsonschema, a common validator.
 */
#include "../lib/tool_run.h"

#define SCHEMAS "../../tools/schemas/"

static bool have_validator;

static void find_validator(void)
{
	have_validator = !sh("python3 -c 'import jsonschema' 2>&1");
}

#define NEED_VALIDATOR()                                             \
	do {                                                         \
		if (!have_validator)                                 \
			SKIP("python3-jsonschema is not installed"); \
	} while (0)

/* The documents in schema*.json; 0: all are valid. Else text says why. */
static int validate(const char *schema)
{
	return sh("python3 -W ignore -m jsonschema $(printf -- '-i %%s ' "
		  "schema*.json) " SCHEMAS "%s.json 2>&1; code=$?; "
		  "rm -f schema*.json; exit $code",
		  schema);
}

static void is_valid(const char *schema, const char *command)
{
	ck_assert_msg(!sh("%s 2>&1", command), "%s: %.1000s", command, text);
	ck_assert_msg(!validate(schema), "%s: %.1000s", command, text);
}

START_TEST(stat_document_follows_its_schema_on_every_rung)
{
	static const char *const options[] = {
		"",
		"--no-bpf",
		"--no-bpf --no-perf --ops 3",
		"--times --per-thread --cost off --no-syscalls",
		"--latency --errors --by thread",
	};

	NEED_VALIDATOR();
	for (unsigned i = 0; i < ARRAY_LEN(options); i++) {
		char command[256];

		if (!strstr(options[i], "--no-bpf") && !have_bpf())
			continue;
		snprintf(command, sizeof(command),
			 "./urt stat --json -o schema%u.json %s -- "
			 "examples/sieve >/dev/null",
			 i, options[i]);
		ck_assert_msg(!sh("%s 2>&1", command), "%s: %.1000s", command,
			      text);
	}
	ck_assert_msg(!validate("urt.stat.v1"), "%.1000s", text);
}
END_TEST

START_TEST(stat_document_of_running_processes_follows_its_schema)
{
	NEED_VALIDATOR();
	ck_assert_int_eq(sh("./urt stat --json -o schema1.json -p $$ --no-bpf "
			    "--timeout 100 2>&1"),
			 0);
	if (have_bpf())
		ck_assert_int_eq(
			sh("./urt stat --json -o schema2.json -a --by comm "
			   "--times --latency --errors --timeout 100 2>&1"),
			0);
	ck_assert_msg(!validate("urt.stat.v1"), "%.1000s", text);
}
END_TEST

START_TEST(report_document_follows_its_schema)
{
	NEED_VALIDATOR();
	NEED_BPF();
	is_valid("urt.report.v1",
		 "./urt record -o schema.pftrace -- examples/sieve >/dev/null "
		 "&& ./urt report --slices schema.pftrace >schema.json");
	sh("rm schema.pftrace");
}
END_TEST

START_TEST(report_document_of_requests_follows_its_schema)
{
	NEED_VALIDATOR();
	NEED_BPF();
	if (sh("tests/probe nops 1") == 77)
		SKIP("no io_uring here");
	is_valid("urt.report.v1",
		 "./urt record -o schema.pftrace -- tests/probe requests 2 "
		 ">/dev/null && ./urt report --json schema.pftrace "
		 ">schema.json && grep -q '\"what\":\"in the kernel\"' "
		 "schema.json");
	sh("rm schema.pftrace");
}
END_TEST

START_TEST(dump_document_follows_its_schema)
{
	static const char *const of[][2] = {
		{ "tests/leaker select", "--leaked" },
		{ "tests/leaker deadlines", "--longer 3600000" },
		{ "tests/probe requests-stay", "" },
	};

	NEED_VALIDATOR();
	if (sh("tests/probe nops 1") == 77)
		SKIP("no io_uring here");
	for (unsigned i = 0; i < ARRAY_LEN(of); i++) {
		char command[512];

		snprintf(
			command, sizeof(command),
			"rm -f schema.out; %s >schema.out & pid=$!; until test "
			"-s schema.out; do sleep 0.01; done; ./urt dump -p "
			"$pid --json %s >schema.json; code=$?; kill $pid; exit "
			"$code",
			of[i][0], of[i][1]);
		is_valid("urt.dump.v1", command);
	}
	sh("rm schema.out");
}
END_TEST

START_TEST(compare_document_follows_its_schema)
{
	NEED_VALIDATOR();
	is_valid("urt.compare.v1", "./urt compare -r 1 --json -o schema.json "
				   "-- true -- true a -- true b");
}
END_TEST

START_TEST(bench_document_follows_its_schema)
{
	NEED_VALIDATOR();
	is_valid("urt.bench.v1",
		 "./urt bench -r 1 -w 1 --json yield >schema.json");
}
END_TEST

START_TEST(demo_document_follows_its_schema)
{
	NEED_VALIDATOR();
	is_valid("urt.demo.v1", "./urt demo --quick --only 1,2,3 -m "
				"thread,coroutine --json -o schema.json");
}
END_TEST

/* Otherwise the tests above could not fail. */
START_TEST(schema_refuses_a_document_that_breaks_it)
{
	static const char *const breaks[] = {
		"s/\"source\":\"[a-z]*\",//", "s/\"source\":\"/&x/",
		"s/\"exit_code\":0/\"exit_code\":\"0\"/",
		"s/urt.stat.v1/urt.stat.v0/"
	};

	NEED_VALIDATOR();
	is_valid("urt.stat.v1", "./urt stat --json -o schema.json -- true; "
				"cp schema.json valid.json");
	for (unsigned i = 0; i < ARRAY_LEN(breaks); i++) {
		ck_assert_int_eq(
			sh("sed '%s' valid.json >schema.json", breaks[i]), 0);
		ck_assert_msg(validate("urt.stat.v1"), "%s: still valid",
			      breaks[i]);
	}
	sh("rm valid.json");
}
END_TEST

Suite *schema_suite(void)
{
	Suite *s = suite_create("schema");
	TCase *t = tcase_create("documents");

	tcase_add_unchecked_fixture(t, find_validator, NULL);
	tcase_add_test(t, stat_document_follows_its_schema_on_every_rung);
	tcase_add_test(t,
		       stat_document_of_running_processes_follows_its_schema);
	tcase_add_test(t, report_document_follows_its_schema);
	tcase_add_test(t, report_document_of_requests_follows_its_schema);
	tcase_add_test(t, dump_document_follows_its_schema);
	tcase_add_test(t, compare_document_follows_its_schema);
	tcase_add_test(t, bench_document_follows_its_schema);
	tcase_add_test(t, demo_document_follows_its_schema);
	tcase_add_test(t, schema_refuses_a_document_that_breaks_it);
	suite_add_tcase(s, t);
	return s;
}
