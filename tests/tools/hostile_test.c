// SPDX-License-Identifier: MIT
/*
 * Programs that lie to the tool: pages of counters and of events whose headers
 * change, shrink, claim what cannot be; names that a terminal would obey; links
 * and FIFOs where files are expected; ELF files made to exhaust memory. The
 * liars are children of the test, without privileges where the test has some.
 * The tool must end in time, with what is true or "n/a".
 */
#define _GNU_SOURCE
#include "../../uring_rt/base/outside.h"
#include "../../uring_rt/base/share.h"
#include "../../uring_rt/base/stats.h"
#include "../../uring_rt/base/trace.h"
#include "../../tools/measure/symbols.h"
#include "../lib/cgroups.h"
#include "../lib/fuse.h"
#include "../lib/tool_run.h"
#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LIE_US 2000 /* from one lie to the next */
#define NOBODY 65534

static int64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

/* ---- pages of counters ---- */

static struct urt__stats_page *counters_page(size_t size, bool sealed, int *fd)
{
	struct urt__stats_page *p;

	*fd = sealed ? urt__share_new(URT__STATS_NAME, size)
		     : memfd_create(URT__STATS_NAME, 0);
	if (*fd < 0 || (!sealed && ftruncate(*fd, size)))
		_exit(1);
	p = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	p->header_size = 4096;
	p->slot_size = 1024;
	p->slots = 4;
	p->counters = 22;
	p->ops = 64;
	p->pid = getpid();
	strcpy(p->name[0], "switches");
	urt__stats_slot(p, 0)->counter[0] = 1000;
	__atomic_store_n(&p->magic, URT__STATS_MAGIC, __ATOMIC_RELEASE);
	return p;
}

/* Each lie is told and taken back without end: a check and a use of the same
 * word see different ones. */
static void lie_in_counters(const char *mode)
{
	bool sealed = strcmp(mode, "truncate") && strcmp(mode, "unsealed");
	size_t size = !strcmp(mode, "huge") ? (size_t)1 << 40 : 1 << 16;
	int fd;
	struct urt__stats_page *p = counters_page(size, sealed, &fd);

	for (unsigned i = 0;; i++) {
		bool lies = i & 1;

		if (!strcmp(mode, "truncate"))
			(void)!ftruncate(fd, lies ? 0 : size);
		else if (!strcmp(mode, "slots"))
			p->slots = lies ? 1 << 30 : 4;
		else if (!strcmp(mode, "counters"))
			p->counters = lies ? 1 << 30 : 22;
		else if (!strcmp(mode, "header"))
			p->header_size = lies ? 1 << 30 : 4096;
		else if (!strcmp(mode, "slot_size"))
			p->slot_size = lies ? 0 : 1024;
		else if (!strcmp(mode, "huge"))
			p->slots = UINT32_MAX;
		else if (!strcmp(mode, "sum"))
			p->ops = -p->counters;
		else if (!strcmp(mode, "back"))
			urt__stats_slot(p, 0)->counter[0]--;
		usleep(i % 8 ? 0 : LIE_US);
	}
}

/* ---- pages of events ---- */

static struct urt__trace_page *trace_page(unsigned rings, unsigned events)
{
	size_t head = (sizeof(struct urt__trace_page) +
		       4096 * sizeof(struct urt__trace_ring) + 4095) &
		      ~(size_t)4095;
	size_t size = head + (size_t)rings * events * 40;
	int fd = urt__share_new(URT__TRACE_NAME, size);
	struct urt__trace_page *p;

	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
		 fd, 0);
	if (fd < 0 || p == MAP_FAILED)
		_exit(1);
	p->rings = rings;
	p->events = events;
	p->event_size = sizeof(struct urt__trace_event);
	p->events_offset = head;
	p->pid = getpid();
	p->entry = getauxval(AT_ENTRY);
	strcpy(p->exe, "/proc/self/exe");
	strcpy(p->reason[3], "io\033[2J\xff");
	__atomic_store_n(&p->magic, URT__TRACE_MAGIC, __ATOMIC_RELEASE);
	return p;
}

static void write_event(struct urt__trace_page *p, unsigned ring, int64_t ns,
			uint64_t coro)
{
	struct urt__trace_event e = { .ns = ns,
				      .kind = URT__TRACE_SWITCH,
				      .coro = coro,
				      .fn = 0x41414141,
				      .how = URT__TRACE_PARKED,
				      .reason = 3 };

	urt__trace_write(p, ring, &e);
}

static void lie_in_events(const char *mode)
{
	bool bomb = !strcmp(mode, "bomb");
	struct urt__trace_page *p =
		trace_page(bomb ? 4096 : 2, bomb ? 1 << 16 : 1024);
	uint32_t offset = p->events_offset;

	for (int i = 0; !strcmp(mode, "many") && i < 70; i++)
		trace_page(2, 1024);
	for (unsigned i = 0;; i++) {
		bool lies = i & 1;

		if (!bomb) { /* we need them, too */
			p->events = 1024;
			p->events_offset = offset;
		}
		if (!bomb && strcmp(mode, "jump"))
			write_event(p, 1, now(), 1 + i % 2);
		for (int k = 0; bomb && k < 4096; k++)
			__atomic_fetch_add(&p->ring[k].head, 1000,
					   __ATOMIC_RELEASE);
		if (!strcmp(mode, "rings"))
			p->rings = lies ? 4096 : 2;
		else if (!strcmp(mode, "events"))
			p->events = lies ? 1 << 30 : 1024;
		else if (!strcmp(mode, "offset"))
			p->events_offset = lies ? 1u << 31 : 0;
		else if (!strcmp(mode, "jump"))
			p->ring[1].head += UINT64_C(1) << 40;
		else if (!strcmp(mode, "past"))
			write_event(p, 1, 1, 7);
		else if (!strcmp(mode, "future"))
			write_event(p, 1, INT64_MAX, 7);
		usleep(LIE_US);
	}
}

/* ---- the liars ---- */

static pid_t liar(void (*lie)(const char *), const char *mode)
{
	pid_t parent = getpid(), pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	if (!geteuid() && setresuid(NOBODY, NOBODY, NOBODY))
		_exit(1);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 1);
	lie(mode);
	_exit(0);
}

static void stop(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* Memory of its counters page, in kB: holes have none. */
static long page_kb(pid_t pid)
{
	ck_assert_int_eq(
		sh("for f in /proc/%d/fd/*; do case $(readlink $f) in "
		   "*urt-stats*) stat -L -c %%b $f; break;; esac; done",
		   pid),
		0);
	return atol(text) / 2;
}

START_TEST(counters_pages_that_lie_are_not_available_or_bounded)
{
	static const char *const modes[] = {
		"truncate",  "unsealed", "slots", "counters", "header",
		"slot_size", "huge",	 "sum",	  "back"
	};
	const char *mode = modes[_i];
	pid_t pid;

	NEED_BPF();
	pid = liar(lie_in_counters, mode);
	ck_assert_msg(sh("timeout 90 ./urt stat --json -o host.json -p %d "
			 "--timeout 300 2>&1; code=$?; cat host.json; "
			 "exit $code",
			 pid) == 0,
		      "%s: %s", mode, text);
	if (!strcmp(mode, "unsealed") || !strcmp(mode, "truncate"))
		ck_assert_msg(strstr(text, "not sealed"), "%s: %s", mode, text);
	if (!strcmp(mode, "back"))
		ck_assert_msg(strstr(text, "went back"), "%s: %s", mode, text);
	/* Whatever it says: no figure that wrapped. */
	ck_assert_msg(number("user", "switches") < 1000000, "%s: %s", mode,
		      text);
	ck_assert_msg(sh("timeout 90 ./urt top -b -n 2 -d 200 2>&1") == 0,
		      "%s: %s", mode, text);
	ck_assert_msg(!strstr(text, "18446744"), "%s: %s", mode, text);
	ck_assert_int_lt(page_kb(pid), 5 << 10);
	stop(pid);
}
END_TEST

START_TEST(event_pages_that_lie_make_no_timeline_long_or_urt_large)
{
	static const char *const modes[] = { "rings", "events", "offset",
					     "jump",  "past",	"future",
					     "many",  "bomb" };
	const char *mode = modes[_i];
	long long ns;
	pid_t pid;

	NEED_BPF();
	pid = liar(lie_in_events, mode);
	/* Memory: 256 MiB of buffers at most, and what urt has otherwise. */
	ck_assert_msg(sh("%s timeout 90 ./urt record -p %d --duration 400 "
			 "-o host.pftrace 2>&1",
			 SANITIZED ? "" : "ulimit -d 700000;", pid) == 0,
		      "%s: %s", mode, text);
	ck_assert_msg(sh("timeout 90 ./urt report --json host.pftrace") == 0,
		      "%s: %s", mode, text);
	ns = number(NULL, "duration_ns");
	ck_assert_msg(ns >= 0 && ns < 30000 * MS, "%s: %lld ns", mode, ns);
	ck_assert_ptr_null(strchr(text, '\033'));
	stop(pid);
}
END_TEST

/* ---- FIFOs and links ---- */

static void have_fifo_open(const char *mode)
{
	char dir[] = "/tmp/urt-hostile.XXXXXX", path[64];

	snprintf(path, sizeof(path), "%s/urt-stats", mkdtemp(dir));
	mkfifo(path, 0666);
	open(path, O_RDONLY | O_NONBLOCK);
	unlink(path);
	rmdir(dir);
	for (;;)
		usleep(1000);
}

START_TEST(a_fifo_named_as_a_page_is_not_opened)
{
	pid_t pid;

	NEED_BPF();
	pid = liar(have_fifo_open, "");
	ck_assert_int_eq(
		sh("timeout 90 ./urt stat -p %d --timeout 300 2>&1", pid), 0);
	ck_assert_int_eq(sh("timeout 90 ./urt top -b -n 1 -d 100 2>&1"), 0);
	stop(pid);
}
END_TEST

START_TEST(output_goes_neither_through_links_nor_into_other_files)
{
	int links = 0;

	NEED_BPF();
	sh("rm -rf host.d; mkdir host.d; echo keep >host.d/victim; "
	   "ln -s victim host.d/link; mkfifo host.d/fifo; "
	   "ln host.d/victim host.d/hard");
	refuses("./urt record -o host.d/link -- true", "it is a link");
	refuses("./urt stat -o host.d/link -- true", "it is a link");
	refuses("./urt compare -r 1 -o host.d/link -- true -- true",
		"it is a link");
	refuses("./urt dump -p $$ -o host.d/link", "it is a link");
	refuses("./urt demo --quick -o host.d/link", "it is a link");
	refuses("./urt sim --library host.d/link", "it is a link");
	refuses("./urt sim --seeds 1 --trace host.d/link -- true",
		"it is a link");
	refuses("timeout 90 ./urt record -o host.d/fifo -- true",
		"not a regular file");
	/* A new file takes the name's place: what had it stays as it was. */
	ck_assert_int_eq(sh("./urt stat -o host.d/hard -- true; "
			    "cat host.d/victim; ls -A host.d | wc -l"),
			 0);
	ck_assert_str_eq(text, "keep\n4\n");
	/* All may write there, and /dev is nothing but a beginning. */
	ck_assert_int_eq(sh("d=$(mktemp -d /dev/shm/urt.XXXXXX) && "
			    "cp host.d/victim $d/v && ln -s v $d/link && "
			    "for o in '' --append; do "
			    "./urt stat $o -o $d/link -- true 2>&1; "
			    "./urt stat $o -o /dev/../$d/link -- true 2>&1; "
			    "done; ./urt stat -o $d/new -- true && "
			    "./urt stat --append -o $d/new -- true && "
			    "cat $d/v && grep -c elapsed $d/new; rm -r $d"),
			 0);
	for (const char *p = text; links < 4; links++, p++) {
		p = strstr(p, "it is a link");
		ck_assert_msg(p != NULL, "%s", text);
	}
	ck_assert_ptr_nonnull(strstr(text, "\nkeep\n2\n"));
	sh("rm -rf host.d");
}
END_TEST

/* ---- memory that does not answer ---- */

static struct fuse fuse;
static int fuse_file;

/* A run whose control blocks are in a file of a FUSE mount. */
static void have_coroutines_in_a_file(const char *mode)
{
	void *file =
		mmap(NULL, FUSE_FILE_SIZE, PROT_READ, MAP_SHARED, fuse_file, 0);
	int fd;
	struct urt__stats_page *p = counters_page(1 << 16, true, &fd);
	struct urt__outside *o =
		(struct urt__outside *)((char *)p +
					urt__stats_outside_at(p->counters));

	(void)mode;
	*o = (struct urt__outside){ .size = sizeof(*o),
				    .stacks = (uintptr_t)file,
				    .workers = (uintptr_t)file,
				    .nr_workers = (uintptr_t)file,
				    .nr_stacks = 1,
				    .stacks_size = 24,
				    .stacks_stride = 8,
				    .stacks_used = 16,
				    .colours = 1,
				    .block_size = 256,
				    .reasons = 1 };
	__atomic_store_n(&o->version, URT__OUTSIDE_VERSION, __ATOMIC_RELEASE);
	for (;;)
		usleep(1000);
}

/* A thread that reads there ends by SIGKILL only. */
START_TEST(memory_that_does_not_answer_is_not_waited_for)
{
	const char *why = fuse_start(&fuse);
	pid_t pid;

	if (why)
		SKIP("%s", why);
	NEED_BPF();
	fuse_file = open(fuse.path, O_RDONLY);
	ck_assert_int_ge(fuse_file, 0);
	fuse_hold(&fuse, FUSE_HOLD_READ);
	pid = liar(have_coroutines_in_a_file, "");
	sh("for c in dump 'dump --leaked' 'top -b -n 1 -c' "
	   "'profile --duration 500'; do (timeout -s INT -k 5 90 ./urt $c -p %d "
	   "2>&1; echo \"$c ends: $?\") & done; wait",
	   pid);
	ck_assert_msg(strstr(text, "does not answer") != NULL, "%s", text);
	ck_assert_msg(strstr(text, "dump ends: 1\n") != NULL, "%s", text);
	ck_assert_msg(strstr(text, "--leaked ends: 1\n") != NULL, "%s", text);
	ck_assert_msg(strstr(text, "-c ends: 1\n") != NULL, "%s", text);
	ck_assert_msg(strstr(text, "profile --duration 500 ends: 0\n") != NULL,
		      "%s", text);
	stop(pid);
	fuse_stop(&fuse);
}
END_TEST

/* ---- names ---- */

static void be_named(const char *name)
{
	prctl(PR_SET_NAME, name);
	for (;;)
		usleep(2000);
}

/* Nothing but text and newlines. */
static void is_harmless(const char *what)
{
	for (const unsigned char *c = (unsigned char *)text; *c; c++)
		ck_assert_msg(*c == '\n' || *c == '\t' ||
				      (*c >= ' ' && *c < 0x7f) || *c >= 0xc3,
			      "%s prints byte %#x", what, *c);
}

START_TEST(names_cannot_reach_the_terminal_nor_break_json)
{
	static const char *const commands[] = {
		"./urt stat --per-thread -p %d --timeout 300 2>&1",
		"./urt record -p %d --duration 300 -o host.pftrace 2>&1",
		"./urt report host.pftrace; : %d",
		"./urt top -b -n 1 -d 300; : %d",
		"./urt stat --per-thread --json -p %d --timeout 300 2>&1",
		"./urt report --json host.pftrace; : %d",
	};
	pid_t pid;

	NEED_BPF();
	pid = liar(be_named, "\033]0;H\a\xff\x9b\x7f\xc2\x9b\"");
	for (unsigned i = 0; i < ARRAY_LEN(commands); i++) {
		char command[256];

		snprintf(command, sizeof(command), commands[i], pid);
		ck_assert_int_eq(sh("%s", command), 0);
		is_harmless(command);
		if (i < 4 || sh("command -v python3 >/dev/null"))
			continue;
		/* By a parser that is not ours. */
		ck_assert_msg(!sh("(%s) | python3 -c 'import json, sys; "
				  "json.loads(sys.stdin.buffer.read()"
				  ".decode(\"utf-8\", \"strict\"))'",
				  command),
			      "%s", text);
	}
	stop(pid);
}
END_TEST

/* Whoever has a part of the hierarchy names the cgroups in it. */
START_TEST(names_of_cgroups_cannot_reach_the_terminal)
{
	pid_t pid;

	NEED_BPF();
	if (!have_cgroups() ||
	    sh("g=\"%s/$(printf 'urt-\\033]0;H\\a\\377\\233\"%d')\" && "
	       "rm -f host.group && mkdir \"$g\" && ln -s \"$g\" host.group",
	       cgroup_mount, getpid()))
		SKIP("no cgroup (v2) can be made here");
	pid = liar(be_named, "liar");
	ck_assert_int_eq(sh("echo %d >host.group/cgroup.procs; "
			    "./urt stat --by cgroup -p %d --timeout 300 2>&1; "
			    "./urt stat --by unit -p %d --timeout 300 2>&1; "
			    "./urt stat -G host.group/ --timeout 100 2>&1",
			    pid, pid, pid),
			 0);
	stop(pid);
	ck_assert_ptr_nonnull(strstr(text, "/urt-?]0;H"));
	is_harmless("--by");
	sh("until rmdir \"$(readlink host.group)\" 2>/dev/null; do :; done; "
	   "rm host.group");
}
END_TEST

/* ---- ELF files ---- */

#define SYMBOLS	  40000
#define LONG_NAME 100000

static struct {
	Elf64_Ehdr head;
	Elf64_Shdr section[3]; /* none, symbols, their names */
	Elf64_Sym symbol[SYMBOLS];
	char names[1 + LONG_NAME + 1];
} elf;

/* 1 MB; all symbols share a name, which read one by one would be 4 GB. */
static int elf_of_long_names(void)
{
	int fd = memfd_create("elf", MFD_CLOEXEC);

	memcpy(elf.head.e_ident, ELFMAG, SELFMAG);
	elf.head.e_ident[EI_CLASS] = ELFCLASS64;
	elf.head.e_ident[EI_DATA] = ELFDATA2LSB;
	elf.head.e_ident[EI_VERSION] = EV_CURRENT;
	elf.head.e_version = EV_CURRENT;
	elf.head.e_ehsize = sizeof(elf.head);
	elf.head.e_shoff = offsetof(typeof(elf), section);
	elf.head.e_shentsize = sizeof(Elf64_Shdr);
	elf.head.e_shnum = 3;
	elf.section[1] =
		(Elf64_Shdr){ .sh_type = SHT_SYMTAB,
			      .sh_offset = offsetof(typeof(elf), symbol),
			      .sh_size = sizeof(elf.symbol),
			      .sh_entsize = sizeof(Elf64_Sym),
			      .sh_link = 2 };
	elf.section[2] =
		(Elf64_Shdr){ .sh_type = SHT_STRTAB,
			      .sh_offset = offsetof(typeof(elf), names),
			      .sh_size = sizeof(elf.names) };
	for (int i = 0; i < SYMBOLS; i++)
		elf.symbol[i] = (Elf64_Sym){
			.st_name = 1,
			.st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
			.st_value = 16 * (i + 1),
			.st_size = 16,
		};
	memset(elf.names + 1, 'x', LONG_NAME);
	ck_assert_int_eq(write(fd, &elf, sizeof(elf)), sizeof(elf));
	return fd;
}

/* In kB: the most that this process, or one that it has waited for, had. */
static long most_memory(void)
{
	struct rusage self, children;

	while (waitpid(-1, NULL, 0) > 0)
		;
	getrusage(RUSAGE_SELF, &self);
	getrusage(RUSAGE_CHILDREN, &children);
	return self.ru_maxrss > children.ru_maxrss ? self.ru_maxrss
						   : children.ru_maxrss;
}

START_TEST(an_elf_file_cannot_take_more_memory_than_it_is_large)
{
	int fd = elf_of_long_names();
	long before = most_memory();
	struct symbols *s = symbols_open(fd, "", 0);
	char name[SYMBOL_NAME], expected[SYMBOL_NAME];

	ck_assert_ptr_nonnull(s);
	memset(expected, 'x', sizeof(expected) - 1);
	expected[sizeof(expected) - 1] = '\0';
	symbols_name(s, 16 * SYMBOLS + 1, name, sizeof(name));
	ck_assert_str_eq(name, expected);
	ck_assert_int_lt(most_memory() - before, 64 << 10);
	symbols_close(s);
	close(fd);
}
END_TEST

/* ---- what a killed urt leaves ---- */

START_TEST(a_killed_urt_leaves_its_command_alive)
{
	NEED_BPF();
	ck_assert_int_eq(
		sh("rm -f host.out; mkfifo host.out\n"
		   "setsid ./urt stat -- sh -c 'echo $$; sleep 300' >host.out & "
		   "read child <host.out; kill -9 $!\n"
		   "wait $! 2>/dev/null; kill -0 $child && kill $child"),
		0);
}
END_TEST

Suite *hostile_suite(void)
{
	Suite *s = suite_create("hostile");
	TCase *t = tcase_create("hostile");

	tcase_set_timeout(t, 240);
	tcase_add_loop_test(
		t, counters_pages_that_lie_are_not_available_or_bounded, 0, 9);
	tcase_add_loop_test(
		t, event_pages_that_lie_make_no_timeline_long_or_urt_large, 0,
		8);
	tcase_add_test(t, a_fifo_named_as_a_page_is_not_opened);
	tcase_add_test(t,
		       output_goes_neither_through_links_nor_into_other_files);
	tcase_add_test(t, names_cannot_reach_the_terminal_nor_break_json);
	tcase_add_test(t, names_of_cgroups_cannot_reach_the_terminal);
	tcase_add_test(t, an_elf_file_cannot_take_more_memory_than_it_is_large);
	tcase_add_test(t, a_killed_urt_leaves_its_command_alive);
	suite_add_tcase(s, t);
	t = tcase_create("memory");
	tcase_add_test(t, memory_that_does_not_answer_is_not_waited_for);
	suite_add_tcase(s, t);
	return s;
}
