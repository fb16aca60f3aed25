// SPDX-License-Identifier: MIT
/*
 * Files and names that deceive the tool: links and FIFOs where files are expected, names
 * that a terminal would obey, ELF files that exhaust memory. Hostile pages of
 * counters and of events are in hostile_test.c.
 */
#define _GNU_SOURCE
#include "../../tools/measure/symbols.h"
#include "../lib/child.h"
#include "../lib/cgroups.h"
#include "../lib/tool_run.h"
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

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

START_TEST(fifo_named_as_a_page_is_not_opened)
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
	sh("rm -rf host.d host.e; mkdir host.d; echo keep >host.d/victim; "
	   "ln -s victim host.d/link; mkfifo host.d/fifo; "
	   "ln host.d/victim host.d/hard; mkdir host.e; ln -s ../host.e "
	   "host.d/dir");
	refuses("./urt record -o host.d/link -- true", "it is a link");
	refuses("./urt stat -o host.d/link -- true", "it is a link");
	refuses("./urt compare -r 1 -o host.d/link -- true -- true",
		"it is a link");
	refuses("./urt dump -p $$ -o host.d/link", "it is a link");
	refuses("./urt demo --quick -o host.d/link", "it is a link");
	refuses("./urt demo --quick --report host.d/dir", "it is a link");
	refuses("./urt demo --quick --report host.d/dir/", "it is a link");
	refuses("./urt sim --library host.d/link", "it is a link");
	refuses("./urt sim --seeds 1 --trace host.d/link -- true",
		"it is a link");
	refuses("timeout 90 ./urt record -o host.d/fifo -- true",
		"not a regular file");
	/* A new file takes the name; the old file stays unchanged. */
	ck_assert_int_eq(sh("./urt stat -o host.d/hard -- true; "
			    "cat host.d/victim; ls -A host.d | wc -l"),
			 0);
	ck_assert_str_eq(text, "keep\n5\n");
	/* All users may write there, although the path begins with /dev. */
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
	ck_assert_int_eq(sh("rmdir host.e; c=$?; rm -rf host.d; exit $c"), 0);
}
END_TEST

/* Where a path leads cannot be changed by another user, who owns a directory on it. */
START_TEST(links_of_others_on_the_way_to_a_file_are_not_followed)
{
	static const char *const commands[] = {
		"./urt record -o host.d/theirs/x -- true",
		"./urt stat --append -o host.d/theirs/../x -- true",
		"./urt stat -o host.d/to_theirs/x -- true",
		"./urt demo --quick --report host.d/theirs/x",
		"./urt demo --quick --resume host.d/theirs/x",
		"./urt export --textfile host.d/theirs/",
		"./urt load --ops-file host.d/theirs/x http://127.0.0.1:1/",
	};

	NEED_BPF();
	if (geteuid())
		SKIP("only root can make another user's link");
	sh("rm -rf host.d host.e; mkdir host.d host.e; "
	   "ln -s ../host.e host.d/theirs && chown -h %d host.d/theirs; "
	   "ln -s \"$PWD/host.d/theirs\" host.d/to_theirs; "
	   "ln -s ours/../host.e host.d/to_ours; ln -s . host.d/ours; "
	   "ln -s loop host.d/loop; mkfifo host.d/fifo",
	   NOBODY);
	for (unsigned i = 0; i < ARRAY_LEN(commands); i++)
		refuses(commands[i], "a link of another user's is on the way");
	refuses("timeout 90 ./urt demo --quick --resume host.d/fifo",
		"not a regular file");
	refuses("./urt stat -o host.d/loop/x -- true", "symbolic links");
	refuses("./urt stat -o host.d/fifo/x -- true", "Not a directory");
	ck_assert_int_eq(sh("./urt stat -o host.d/to_ours/x -- true && "
			    "./urt stat --append -o /proc/self/cwd/host.e/x "
			    "-- true && grep -c elapsed host.e/x && "
			    "rm host.e/x && rmdir host.e && rm -r host.d"),
			 0);
	ck_assert_str_eq(text, "2\n");
}
END_TEST

/* ---- compilers ---- */

/* Each tells its directory and its arguments. Anybody may put files into /tmp. */
START_TEST(compilers_obey_no_files_around_them)
{
	ck_assert_int_eq(
		sh("rm -rf host.d && mkdir -p host.d/bin host.d/home && "
		   "echo 'JAVA_VERSION=\"21\"' >host.d/release && "
		   "cat >host.d/bin/go <<'EOF' && chmod +x host.d/bin/go && "
		   "ln host.d/bin/go host.d/bin/javac && "
		   "ln host.d/bin/go host.d/bin/cargo && "
		   "ln host.d/bin/go host.d/bin/node || exit 1\n"
		   "#!/bin/sh\n"
		   "[ \"$1\" != --version ] || echo cargo 1.80.0\n"
		   "echo \"${0##*/} in $PWD: $* $CARGO_HOME\" >>$LOG\n"
		   "exit 1\nEOF\n"
		   "unset XDG_CACHE_HOME; export JAVA_HOME=$PWD/host.d "
		   "LOG=$PWD/host.d/log PATH=$PWD/host.d/bin:$PATH\n"
		   "for home in $PWD/host.d/home ''; do for l in go java tokio node; "
		   "do HOME=$home ./urt serve $l 2>&1; done; done; "
		   "echo; sed \"s:$PWD:HERE:g\" host.d/log; rm -r host.d"),
		0);
	ck_assert_ptr_nonnull(strstr(
		text, "\ngo in HERE/host.d/home/.cache/urt: build -o HERE/"));
	ck_assert_ptr_nonnull(strstr(text, "\ngo in /tmp/urt-cache-"));
	ck_assert_ptr_nonnull(strstr(text, "\njavac in /: -proc:none -cp /"));
	ck_assert_ptr_nonnull(strstr(text, "\ncargo in /: --version \n"));
	ck_assert_ptr_nonnull(strstr(text, "\ncargo in /: build "));
	ck_assert_ptr_nonnull(strstr(text, "/target /tmp/urt-cache-"));
	/* Around such a file, Node looks for no package.json. */
	ck_assert_ptr_nonnull(strstr(text, "-node.cjs "));
	ck_assert_ptr_null(strstr(text, "go in HERE:"));
	ck_assert_ptr_null(strstr(text, "javac in HERE:"));
	ck_assert_ptr_null(strstr(text, "cargo in HERE:"));
}
END_TEST

/* ---- names ---- */

static void be_named(const char *name)
{
	prctl(PR_SET_NAME, name);
	for (;;)
		usleep(2000);
}

/* Only text and newlines. */
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
		"./urt stat --per-thread --json -o host.json -p %d "
		"--timeout 300 >&2 && cat host.json",
		"./urt report --json host.pftrace; : %d",
	};
	pid_t pid;

	NEED_BPF();
	pid = liar(be_named, "\033]0;H\a)\n\xff\x9b\x7f\xc2\x9b\"");
	for (unsigned i = 0; i < ARRAY_LEN(commands); i++) {
		char command[256];

		snprintf(command, sizeof(command), commands[i], pid);
		ck_assert_int_eq(sh("%s", command), 0);
		is_harmless(command);
		/* A newline in the name hides nothing of the process. */
		if (i == 4)
			ck_assert_ptr_nonnull(strstr(text, "\"cpu_ns\":{"));
		if (i < 4 || sh("command -v python3 >/dev/null"))
			continue;
		/* Read by another parser. */
		ck_assert_msg(!sh("(%s) | python3 -c 'import json, sys; "
				  "json.loads(sys.stdin.buffer.read()"
				  ".decode(\"utf-8\", \"strict\"))'",
				  command),
			      "%s", text);
	}
	stop(pid);
}
END_TEST

/* The owner of a part of the hierarchy names the cgroups in it. */
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

/* 1 MB; all symbols share a name, so the names read one by one would be 4
 * GB. */
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

/* The largest memory, in kB, of this process or of one that it has waited
 * for. */
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

START_TEST(elf_file_cannot_take_more_memory_than_it_is_large)
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

/* A process in a container, where /tmp is an absolute link to a place that the host has,
 * too. */
START_TEST(absolute_link_in_a_container_leads_to_a_file_there)
{
	struct symbols *out, *in;
	char name[64], there[64];
	pid_t pid;

	if (geteuid())
		SKIP("only root can change its root");
	snprintf(there, sizeof(there), "/dev/shm/urt-link.%d", getpid());
	sh("rm -rf host.d %s && mkdir -p %s host.d/root%s && "
	   "ln -s %s host.d/root/tmp",
	   there, there, there, there);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (chroot("host.d/root") || chdir("/"))
			_exit(1);
		for (;;)
			pause();
	}
	while (sh("readlink /proc/%d/root | grep -q 'host.d/root$'", pid))
		;
	sh("echo 1000 10 theirs >%s/perf-%d.map", there, pid);
	out = symbols_open_map(pid);
	sh("mv %s/* host.d/root%s", there, there);
	in = symbols_open_map(pid);
	symbols_name(in, 0x1008, name, sizeof(name));
	stop(pid);
	sh("rm -r host.d %s", there);
	ck_assert_ptr_null(out);
	ck_assert_str_eq(name, "theirs");
	symbols_close(in);
}
END_TEST

/* Not "this libbpf cannot read the types of Linux 6.0". */
START_TEST(lack_of_files_is_the_reason_why_bpf_does_not_load)
{
	NEED_BPF();
	ck_assert_int_eq(
		sh("ulimit -n 20; ./urt profile --duration 100 -- true "
		   "2>&1"),
		1);
	ck_assert_msg(strstr(text, "Too many open files") != NULL, "%s", text);
}
END_TEST

/* The other side of --control may be another user, in a directory of its own. */
START_TEST(answers_of_control_go_through_no_link_and_only_into_a_fifo)
{
	static const char *const answers[] = { "link", "file", "to_fifo" };

	NEED_BPF();
	ck_assert_int_eq(
		sh("rm -rf ctl; mkdir ctl && mkfifo ctl/fifo ctl/ack && "
		   "echo kept >ctl/file && ln -s file ctl/link && "
		   "ln -s ack ctl/to_fifo"),
		0);
	for (unsigned i = 0; i < ARRAY_LEN(answers); i++) {
		ck_assert_int_eq(sh("./urt stat --control fifo:ctl/fifo,ctl/%s "
				    "-- true 2>&1",
				    answers[i]),
				 1);
		ck_assert_msg(strstr(text, "FIFOs that are not symbolic links"),
			      "%s", text);
		ck_assert_int_eq(sh("./urt stat --control fifo:ctl/%s -- true "
				    "2>&1",
				    answers[i]),
				 1);
	}
	ck_assert_int_eq(
		sh("./urt stat --control fifo:ctl/fifo,ctl/ack -- true "
		   "2>&1"),
		0);
	ck_assert_int_eq(sh("cat ctl/file; rm -r ctl"), 0);
	ck_assert_str_eq(text, "kept\n");
}
END_TEST

START_TEST(fifo_in_the_place_of_a_count_is_not_waited_for)
{
	NEED_BPF();
	ck_assert_int_eq(sh("rm -f ops; timeout -s KILL 90 ./urt stat "
			    "--ops-from file:ops -- mkfifo ops 2>&1; "
			    "code=$?; rm ops; exit $code"),
			 0);
	ck_assert_msg(strstr(text, "it holds no number") != NULL, "%s", text);
}
END_TEST

START_TEST(commands_that_come_without_end_hold_nothing_up)
{
	NEED_BPF();
	for (int lines = 0; lines < 2; lines++)
		ck_assert_msg(
			sh("rm -f ctl; mkfifo ctl; %s >ctl & writer=$!\n"
			   "timeout -s KILL 90 ./urt stat --timeout 300 "
			   "--control fifo:ctl -- sleep 90 2>&1; code=$?\n"
			   "kill $writer; rm ctl; exit $code",
			   lines ? "yes ping" : "cat /dev/zero") == 0,
			"%s", text);
}
END_TEST

/* ---- the files of a killed urt ---- */

START_TEST(killed_urt_leaves_its_command_alive)
{
	NEED_BPF();
	ck_assert_int_eq(
		sh("rm -f host.out; mkfifo host.out\n"
		   "setsid ./urt stat -- sh -c 'echo $$; exec sleep 300' >host.out & "
		   "read child <host.out; kill -9 $!\n"
		   "wait $! 2>/dev/null; kill -0 $child && kill $child"),
		0);
}
END_TEST

Suite *hostile_files_suite(void)
{
	Suite *s = suite_create("hostile_files");
	TCase *t = tcase_create("hostile_files");

	tcase_set_timeout(t, 240);
	tcase_add_test(t, fifo_named_as_a_page_is_not_opened);
	tcase_add_test(t,
		       output_goes_neither_through_links_nor_into_other_files);
	tcase_add_test(t,
		       links_of_others_on_the_way_to_a_file_are_not_followed);
	tcase_add_test(
		t, answers_of_control_go_through_no_link_and_only_into_a_fifo);
	tcase_add_test(t, names_cannot_reach_the_terminal_nor_break_json);
	tcase_add_test(t, names_of_cgroups_cannot_reach_the_terminal);
	tcase_add_test(t, compilers_obey_no_files_around_them);
	tcase_add_test(t, elf_file_cannot_take_more_memory_than_it_is_large);
	tcase_add_test(t, absolute_link_in_a_container_leads_to_a_file_there);
	tcase_add_test(t, lack_of_files_is_the_reason_why_bpf_does_not_load);
	tcase_add_test(t, fifo_in_the_place_of_a_count_is_not_waited_for);
	tcase_add_test(t, commands_that_come_without_end_hold_nothing_up);
	tcase_add_test(t, killed_urt_leaves_its_command_alive);
	suite_add_tcase(s, t);
	return s;
}
