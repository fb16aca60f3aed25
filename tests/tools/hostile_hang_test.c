// SPDX-License-Identifier: MIT
/*
 * Programs whose files in /proc, memory or paths do not answer: a FUSE file system of
 * the test holds up what the program waits for. The tool must go on, and say which
 * process is silent.
 */
#define _GNU_SOURCE
#include "../../uring_rt/base/stats.h"
#include "../lib/child.h"
#include "../lib/fuse.h"
#include "../lib/tool_run.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

static int64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

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

/* Why it cannot be made; NULL: it was made. */
static const char *fuse_file_open(void)
{
	const char *why = fuse_start(&fuse);

	if (why)
		return why;
	fuse_file = open(fuse.path, O_RDWR);
	ck_assert_int_ge(fuse_file, 0);
	return NULL;
}

/* Its exec waits for a page to be written. Meanwhile, it holds a lock for which most of
 * its files in /proc wait. */
static void exec_without_end(const char *mode)
{
	volatile char *last =
		(char *)mmap(NULL, FUSE_FILE_SIZE, PROT_READ | PROT_WRITE,
			     MAP_SHARED, fuse_file, 0) +
		FUSE_FILE_SIZE - 1;
	char c = *last;

	(void)mode;
	while (!(fuse.control->hold & FUSE_HOLD_WRITE))
		usleep(1000);
	*last = c + 1;
	execl("/bin/true", "true", NULL);
	_exit(1);
}

/* A thread that reads there ends by SIGKILL only. */
START_TEST(process_that_does_not_answer_is_not_waited_for)
{
	static const char *const ends[2][8] = {
		{ "dump -p %d ends: 1\n", "--leaked -p %d ends: 1\n",
		  "-c -p %d ends: 1\n",
		  "profile --duration 500 -p %d ends: 0\n", "does not answer" },
		{ "dump -p %d ends: 1\n", "stat -p %d ends: 1\n",
		  "assist -p %d ends: 1\n", " -o execs.pftrace -p %d ends: 0\n",
		  "profile --duration 9 -p %d ends: 0\n",
		  "export --once -i 1 ends: 0\n",
		  "top -b -n 1 -d 100 ends: 0\n" },
	};
	const char *why = fuse_file_open();
	pid_t pid, execs;

	if (why)
		SKIP("%s", why);
	NEED_BPF();
	pid = liar(have_coroutines_in_a_file, "");
	execs = liar(exec_without_end, "");
	/* Whoever has the file open would wait, too, as it closes it. */
	close(fuse_file);
	fuse_hold(&fuse, FUSE_HOLD_WRITE);
	while (!fuse_held(&fuse))
		usleep(1000);
	fuse_hold(&fuse, FUSE_HOLD_READ | FUSE_HOLD_WRITE);
	sh("run() { timeout -s INT -k 5 90 ./urt \"$@\" 2>&1; "
	   "echo \"$@ ends: $?\"; };"
	   "for c in dump 'dump --leaked' 'top -b -n 1 -c' "
	   "'profile --duration 500'; do run $c -p %d & done; "
	   "for c in stat 'record --duration 9 -o execs.pftrace' assist dump "
	   "'profile --duration 9'; do run $c -p %d & done; "
	   "for c in 'export --once -i 1' 'top -b -n 1 -d 100'; do "
	   "run $c | grep ends: & done; wait",
	   pid, execs);
	for (unsigned i = 0; i < 2; i++)
		for (const char *const *e = ends[i]; *e; e++) {
			char line[64];

			snprintf(line, sizeof(line), *e, i ? execs : pid);
			ck_assert_msg(strstr(text, line) != NULL, "%s: %.1500s",
				      line, text);
		}
	fuse_stop(&fuse);
	stop(pid);
	stop(execs);
}
END_TEST

/* ---- a process that hangs just then ---- */

/* Of a command that runs under a filter by which its calls of openat wait for us. */
struct watched {
	pid_t pid;
	int listener;
	unsigned opens; /* of the files that wait for the process */
};

static struct watched watch(char *const argv[])
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog p = { ARRAY_LEN(f), f };
	struct watched w = { 0 };
	int fds[2], pidfd, number = -1;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	w.pid = fork();
	if (!w.pid) {
		char c;

		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		number = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
				 SECCOMP_FILTER_FLAG_NEW_LISTENER, &p);
		/* Its listener is closed by exec, so we take it before. */
		if (write(fds[1], &number, sizeof(number)) < 0 ||
		    read(fds[1], &c, 1) != 1)
			_exit(1);
		execv(argv[0], argv);
		_exit(1);
	}
	close(fds[1]);
	ck_assert_int_eq(read(fds[0], &number, sizeof(number)), sizeof(number));
	pidfd = syscall(SYS_pidfd_open, w.pid, 0);
	w.listener =
		number < 0 ? -1 : syscall(SYS_pidfd_getfd, pidfd, number, 0);
	close(pidfd);
	ck_assert_int_eq(write(fds[0], "", 1), 1);
	close(fds[0]);
	return w;
}

/* Whether that path is one of a file for which the kernel takes locks of the process. */
static bool waits_for(pid_t pid, const char *path)
{
	char own[32];
	size_t len = snprintf(own, sizeof(own), "/proc/%d/", pid);

	if (strncmp(path, own, len))
		return false;
	return strcmp(path + len, "status") && strcmp(path + len, "comm") &&
	       strcmp(path + len, "cgroup") && strcmp(path + len, "task") &&
	       strcmp(path + strlen(path) - 7, "/status");
}

/* Lets the command call openat until it has ended, for at most 90 s. At the n-th file
 * that may wait for the process, the process begins to hang; at none if n is 0. */
static bool ends_though_it_hangs(struct watched *w, pid_t pid, unsigned n)
{
	int64_t end = now() + INT64_C(90000000000);
	struct seccomp_notif_resp go;
	struct seccomp_notif call;
	int status;

	while (now() < end) {
		struct pollfd p = { w->listener, POLLIN, 0 };
		char path[64] = "";
		struct iovec to = { path, sizeof(path) - 1 }, from;

		if (waitpid(w->pid, &status, WNOHANG))
			return true;
		memset(&call, 0, sizeof(call));
		if (poll(&p, 1, 100) != 1 || !(p.revents & POLLIN) ||
		    ioctl(w->listener, SECCOMP_IOCTL_NOTIF_RECV, &call))
			continue;
		from = (struct iovec){ (void *)(uintptr_t)call.data.args[1],
				       to.iov_len };
		process_vm_readv(call.pid, &to, 1, &from, 1, 0);
		if (waits_for(pid, path) && ++w->opens == n) {
			fuse_hold(&fuse, FUSE_HOLD_READ | FUSE_HOLD_WRITE);
			while (!fuse_held(&fuse))
				usleep(1000);
		}
		go = (struct seccomp_notif_resp){
			.id = call.id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE
		};
		ioctl(w->listener, SECCOMP_IOCTL_NOTIF_SEND, &go);
	}
	return false;
}

/* Runs the command on a process that begins to hang at the n-th file; returns the number
 * of files, or -1: there is no FUSE, or no filter can be watched. */
static int watch_it_hang(const char *command, unsigned n)
{
	char line[160], *argv[] = { "/bin/sh", "-c", line, NULL };
	struct watched w;
	pid_t pid;
	bool ends;

	if (fuse_file_open())
		return -1;
	pid = liar(exec_without_end, "");
	close(fuse_file);
	snprintf(line, sizeof(line), "exec %s %d >hangs.$$.out 2>&1", command,
		 pid);
	w = watch(argv);
	if (w.listener < 0)
		return -1;
	ends = ends_though_it_hangs(&w, pid, n);
	kill(w.pid, SIGKILL);
	ck_assert_msg(ends, "%s at file %u", command, n);
	close(w.listener);
	fuse_stop(&fuse);
	stop(pid);
	return w.opens;
}

/* Whether the command ends though the process begins to hang at any of its first four
 * files. 77: nothing was tried. */
static int ends_wherever_it_hangs(const char *command)
{
	int opens = watch_it_hang(command, 0), status, failed = 0, n;
	pid_t pid[4];

	if (opens < 0)
		return 77;
	for (n = 0; n < 4 && n < opens; n++) {
		pid[n] = fork();
		if (!pid[n]) {
			watch_it_hang(command, n + 1);
			_exit(0);
		}
	}
	while (n--)
		if (waitpid(pid[n], &status, 0) != pid[n] || status)
			failed = 1;
	return failed;
}

/* It is not enough to ask before each read whether the process answers. Each command
 * waits for some seconds, so all run at once. */
START_TEST(process_that_begins_to_hang_between_two_reads_is_not_waited_for)
{
	static const char *const commands[] = {
		"./urt stat --timeout 500 -p",
		"./urt stat --no-bpf --timeout 500 -p",
		"./urt record --duration 500 -o hangs.$$.pftrace -p",
		"./urt profile --duration 500 -p",
		"./urt dump -p",
		"./urt assist -p",
	};
	pid_t pid[ARRAY_LEN(commands)];
	unsigned skipped = 0;
	int status;

	NEED_BPF();
	for (unsigned i = 0; i < ARRAY_LEN(commands); i++) {
		pid[i] = fork();
		if (!pid[i])
			_exit(ends_wherever_it_hangs(commands[i]));
	}
	for (unsigned i = 0; i < ARRAY_LEN(commands); i++) {
		ck_assert_int_eq(waitpid(pid[i], &status, 0), pid[i]);
		skipped += WIFEXITED(status) && WEXITSTATUS(status) == 77;
		ck_assert_msg(!status || WEXITSTATUS(status) == 77,
			      "%s: status 0x%x", commands[i], status);
	}
	sh("rm -f hangs.*");
	if (skipped)
		SKIP("no FUSE, or no filter can be watched");
}
END_TEST

static void map_a_file(const char *mode)
{
	volatile char *file = mmap(NULL, FUSE_FILE_SIZE, PROT_READ, MAP_PRIVATE,
				   fuse_file, 0);

	(void)mode;
	(void)*file;
	fuse_hold(&fuse, FUSE_HOLD_LOOKUP);
	for (;;)
		getppid();
}

START_TEST(path_that_does_not_answer_is_not_waited_for)
{
	const char *why = fuse_file_open();
	pid_t pid;

	if (why)
		SKIP("%s", why);
	NEED_BPF();
	pid = liar(map_a_file, "");
	ck_assert_msg(sh("timeout -s INT -k 5 90 ./urt profile --duration 500 "
			 "-p %d 2>&1",
			 pid) == 0,
		      "%s", text);
	stop(pid);
	fuse_stop(&fuse);
}
END_TEST

Suite *hostile_hang_suite(void)
{
	Suite *s = suite_create("hostile_hang");
	TCase *t = tcase_create("hang");

	tcase_set_timeout(t, 240);
	tcase_add_test(t, process_that_does_not_answer_is_not_waited_for);
	tcase_add_test(
		t,
		process_that_begins_to_hang_between_two_reads_is_not_waited_for);
	tcase_add_test(t, path_that_does_not_answer_is_not_waited_for);
	suite_add_tcase(s, t);
	return s;
}
