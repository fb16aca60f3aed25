// SPDX-License-Identifier: MIT
/*
 * `urt record` and `urt report`: the file is read back by a decoder of its own
 * here, which knows the wire format and Perfetto's field numbers only, and by
 * the command. Runs in the build directory.
 */
#define _GNU_SOURCE
#include "test.h"
#include "tool_run.h"
#include <signal.h>
#include <unistd.h>

/* What a decoder found. */
struct found {
	long packets, begins, ends, instants, tracks, flows, flow_ends;
	long requests, not_nested;
	bool whole; /* ended at the end of a packet */
};

static uint64_t varint(const uint8_t **p, const uint8_t *end)
{
	uint64_t v = 0;

	for (int shift = 0; *p < end && shift < 64; shift += 7) {
		uint8_t c = *(*p)++;

		v |= (uint64_t)(c & 0x7f) << shift;
		if (!(c & 0x80))
			break;
	}
	return v;
}

/* One field: its number; *value, or *size bytes at *data. 0: not possible. */
static unsigned field(const uint8_t **p, const uint8_t *end, uint64_t *value,
		      const uint8_t **data, size_t *size)
{
	uint64_t key = varint(p, end);

	*size = 0;
	switch (key & 7) {
	case 0:
		*value = varint(p, end);
		break;
	case 1:
		memcpy(value, *p, 8);
		*p += 8;
		break;
	case 2:
		*size = varint(p, end);
		*data = *p;
		*p += *size;
		break;
	default:
		return 0;
	}
	return *p <= end ? key >> 3 : 0;
}

static int depth[1 << 16];

static void decode_event(const uint8_t *p, size_t size, struct found *f)
{
	const uint8_t *end = p + size, *data;
	uint64_t value, type = 0, track = 0;
	bool ring = false;
	int *d;
	size_t n;

	while (p < end) {
		unsigned number_ = field(&p, end, &value, &data, &n);

		ck_assert_uint_ne(number_, 0);
		if (number_ == 9)
			type = value;
		if (number_ == 11)
			track = value;
		f->flows += number_ == 47;
		f->flow_ends += number_ == 48;
		if (number_ == 23 && n >= 7 && !memcmp(data, "submit ", 7))
			ring = true;
	}
	d = &depth[(track ^ track >> 40 << 15) & 0xffff];
	f->begins += type == 1;
	f->ends += type == 2;
	f->instants += type == 3;
	f->requests += ring;
	*d += type == 1 ? 1 : type == 2 ? -1 : 0;
	if (*d < 0 || *d > 1)
		f->not_nested++;
}

static void decode_packet(const uint8_t *p, size_t size, struct found *f)
{
	const uint8_t *end = p + size, *data;
	uint64_t value;
	size_t n;

	while (p < end) {
		unsigned number_ = field(&p, end, &value, &data, &n);

		ck_assert_uint_ne(number_, 0);
		if (number_ == 11)
			decode_event(data, n, f);
		f->tracks += number_ == 60;
	}
}

static struct found decode(const char *path)
{
	static uint8_t buf[64 << 20];
	struct found found = { 0 };
	const uint8_t *p = buf, *end, *data;
	FILE *f = fopen(path, "r");
	uint64_t value;
	size_t n;

	ck_assert_ptr_nonnull(f);
	end = buf + fread(buf, 1, sizeof(buf), f);
	fclose(f);
	memset(depth, 0, sizeof(depth));
	while (p < end) {
		ck_assert_uint_eq(field(&p, end, &value, &data, &n), 1);
		decode_packet(data, n, &found);
		found.packets++;
	}
	found.whole = p == end;
	return found;
}

static void record(const char *args)
{
	ck_assert_int_eq(sh("./urt record -o rec.pftrace -- tests/probe %s "
			    "2>&1 >/dev/null",
			    args),
			 0);
	ck_assert_msg(strstr(text, " 0 events dropped"), "%s", text);
}

START_TEST(a_timeline_has_each_request_from_start_to_end)
{
	struct found f;

	NEED_BPF();
	if (sh("tests/probe nops 1") == 77)
		SKIP("no io_uring here");
	record("punts 100");
	f = decode("rec.pftrace");
	ck_assert(f.whole);
	ck_assert_int_eq(f.requests, 100);
	ck_assert_int_eq(f.begins, f.ends);
	ck_assert_int_eq(f.not_nested, 0);
	ck_assert_int_ge(f.flows, 100);
	ck_assert_int_ge(f.flow_ends, 100);
	ck_assert_int_ge(f.tracks, 3);
	ck_assert_int_eq(sh("./urt report --json rec.pftrace"), 0);
	ck_assert_ptr_nonnull(strstr(text, "\"what\":\"READ\",\"times\":100,"));
	ck_assert_int_eq(number(NULL, "dropped"), 0);
}
END_TEST

START_TEST(a_report_says_who_waited_on_what)
{
	NEED_BPF();
	record("sleeps 100");
	ck_assert_int_eq(sh("./urt report --json rec.pftrace"), 0);
	ck_assert_ptr_nonnull(
		strstr(text, "\"what\":\"wait: clock_nanosleep\""));
	ck_assert_int_ge(number("wake_latency_ns", "count"), 90);
	/* 100 sleeps of 0.1 ms and more. */
	ck_assert_int_ge(number(NULL, "total_ns"), 100 * MS / 10);
	ck_assert_int_eq(sh("./urt report rec.pftrace"), 0);
	ck_assert_ptr_nonnull(strstr(text, "Who waited on what"));
	ck_assert_ptr_nonnull(strstr(text, "From being woken to running"));
}
END_TEST

START_TEST(a_full_buffer_drops_and_says_how_many)
{
	const char *dropped;

	NEED_BPF();
	/* A stopped recorder reads nothing; the program goes on all the same. */
	ck_assert_int_eq(
		sh("rm -f rec.pftrace; tests/probe hang >hang1 & pid=$!\n"
		   "until grep -q hanging hang1; do :; done\n"
		   "./urt record -a --buffer 1 -o rec.pftrace 2>rec.err & t=$!\n"
		   "until test -s rec.pftrace; do sleep 0.05; done\n"
		   "kill -STOP $t; tests/probe rounds 4 5000 >/dev/null\n"
		   "kill -CONT $t; kill -INT $t; wait $t; code=$?\n"
		   "kill $pid; cat rec.err; exit $code"),
		0);
	dropped = strstr(text, "MiB, ");
	ck_assert_ptr_nonnull(dropped);
	ck_assert_int_gt(atol(dropped + 5), 0);
	ck_assert_int_eq(sh("./urt report --json rec.pftrace"), 0);
	ck_assert_int_gt(number(NULL, "dropped"), 0);
}
END_TEST

START_TEST(a_recording_ends_by_time_by_size_and_by_a_signal)
{
	NEED_BPF();
	ck_assert_int_eq(
		sh("./urt record -a --duration 200 -o rec.pftrace 2>&1"), 0);
	ck_assert(decode("rec.pftrace").whole);
	ck_assert_int_eq(sh("./urt record -o rec.pftrace --duration 200 -- "
			    "tests/probe hang 2>&1 >/dev/null"),
			 0);
	sh("timeout 20 ./urt record --max-size 1 -o rec.pftrace -- "
	   "tests/probe rounds 8 100000 2>&1 >/dev/null");
	ck_assert_ptr_nonnull(strstr(text, "--max-size"));
	ck_assert(decode("rec.pftrace").whole);
}
END_TEST

START_TEST(a_file_that_was_cut_is_read_to_there)
{
	NEED_BPF();
	record("sleeps 100");
	ck_assert_int_eq(sh("head -c 1001 rec.pftrace >cut.pftrace && "
			    "./urt report --json cut.pftrace"),
			 0);
	ck_assert_ptr_nonnull(strstr(text, "\"cut\":\"yes\""));
	ck_assert_int_gt(number(NULL, "packets"), 5);
}
END_TEST

START_TEST(what_cannot_be_recorded_is_said)
{
	refuses("./urt record", "give a command");
	refuses("./urt record -o /no/such -- true", "cannot write");
	refuses("./urt record -p 4194300", "no process");
	refuses("./urt report /no/such", "cannot read");
	refuses("./urt report ./urt", "no timeline");
	if (have_bpf())
		refuses("./urt record -o rec.pftrace -- /no/such",
			"cannot run");
	if (!access("/dev/full", W_OK) && have_bpf()) {
		ck_assert_int_eq(sh("./urt record -o /dev/full -- true 2>&1"),
				 1);
		ck_assert_ptr_nonnull(strstr(text, "cannot write all of"));
	}
}
END_TEST

Suite *record_suite(void)
{
	Suite *s = suite_create("record");
	TCase *t = tcase_create("record");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_timeline_has_each_request_from_start_to_end);
	tcase_add_test(t, a_report_says_who_waited_on_what);
	tcase_add_test(t, a_full_buffer_drops_and_says_how_many);
	tcase_add_test(t, a_recording_ends_by_time_by_size_and_by_a_signal);
	tcase_add_test(t, a_file_that_was_cut_is_read_to_there);
	tcase_add_test(t, what_cannot_be_recorded_is_said);
	suite_add_tcase(s, t);
	return s;
}
