// SPDX-License-Identifier: MIT
/* The programs of faults.h; those of connections are in faults_net.c. */
#define _GNU_SOURCE
#include "faults.h"
#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <unistd.h>

atomic_int fault_errors;

int fault_write_all(int fd, const char *buf, size_t len)
{
	for (size_t done = 0; done < len;)
		done += TRY(urt_write(fd, buf + done, len - done, never));
	return 0;
}

/* ---- copying a file ---------------------------------------------------- */

#define FILE_SIZE 20000

static char dir[] = "/dev/shm/urt-faults.XXXXXX"; /* fsync costs nothing */
static int dir_fd;

static void check_copy(const char *name)
{
	static char a[FILE_SIZE + 1], b[FILE_SIZE + 1];
	int from = openat(dir_fd, "from", O_RDONLY | O_CLOEXEC);
	int to = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);

	NEVER(read(from, a, sizeof(a)) != FILE_SIZE);
	NEVER(read(to, b, sizeof(b)) != FILE_SIZE);
	NEVER(memcmp(a, b, FILE_SIZE));
	close(from);
	close(to);
}

static int copy_by_buffer(int from, int to)
{
	char buf[8192];
	ssize_t n;

	while ((n = TRY(urt_read(from, buf, sizeof(buf), never))))
		TRY(fault_write_all(to, buf, n));
	TRY(urt_fsync(to, never));
	return 0;
}

static int copy_through(int from, int to, const int *pipe)
{
	ssize_t n;

	while ((n = TRY(urt_splice(from, NULL, pipe[1], NULL, 8192, 0, never))))
		while (n)
			n -= TRY(urt_splice(pipe[0], NULL, to, NULL, n, 0,
					    never));
	return 0;
}

static int copy_by_pipe(int from, int to)
{
	int pipe[2], ret;

	NEVER(pipe2(pipe, O_CLOEXEC));
	ret = copy_through(from, to, pipe);
	close(pipe[0]);
	close(pipe[1]);
	return ret;
}

static int copy_with(const char *name, int (*how)(int from, int to))
{
	int from =
		TRY(urt_openat(dir_fd, "from", O_RDONLY | O_CLOEXEC, 0, never));
	int to = urt_openat(dir_fd, name,
			    O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600,
			    never);
	int ret = to < 0 ? to : how(from, to);

	urt_close(from);
	if (to < 0)
		TRY(to);
	urt_close(to);
	TRY(ret);
	check_copy(name);
	return 0;
}

static int copy(void)
{
	TRY(copy_with("a", copy_by_buffer));
	TRY(copy_with("b", copy_by_pipe));
	return 0;
}

/* ---- resolving a name -------------------------------------------------- */

static int64_t look_up(void *arg)
{
	struct addrinfo hints = { .ai_family = AF_INET,
				  .ai_socktype = SOCK_STREAM };

	return getaddrinfo("127.0.0.1", "80", &hints, arg) ? -ENOENT : 0;
}

static int resolve(void)
{
	struct addrinfo *a = NULL;

	TRY(urt_blocking(look_up, &a));
	NEVER(ntohs(((struct sockaddr_in *)a->ai_addr)->sin_port) != 80);
	freeaddrinfo(a);
	return 0;
}

/* ---- running a process ------------------------------------------------- */

extern char **environ;

/* Reads its output, until it has closed its end. */
static int read_hello(int fd)
{
	char buf[16] = { 0 };
	size_t len = 0;
	ssize_t n;

	while ((n = TRY(urt_read(fd, buf + len, sizeof(buf) - 1 - len, never))))
		len += n;
	NEVER(strcmp(buf, "hello\n"));
	return 0;
}

static int run_process(void)
{
	char *argv[] = { "sh", "-c", "echo hello; exit 3", NULL };
	posix_spawn_file_actions_t actions;
	siginfo_t info = { 0 };
	int fds[2], ret, wait;
	pid_t pid;

	NEVER(pipe2(fds, O_CLOEXEC));
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fds[1], 1);
	NEVER(posix_spawn(&pid, "/bin/sh", &actions, NULL, argv, environ));
	posix_spawn_file_actions_destroy(&actions);
	close(fds[1]);
	ret = read_hello(fds[0]);
	close(fds[0]);
	wait = urt_waitid(P_PID, pid, &info, WEXITED, never);
	if (wait < 0)
		waitpid(pid, NULL, 0);
	TRY(ret);
	TRY(wait);
	NEVER(info.si_pid != pid || info.si_status != 3);
	return 0;
}

/* ---- coordination ------------------------------------------------------ */

static struct urt_chan *chan;

static int produce(void *arg)
{
	for (int i = 0; i < 20; i++)
		TRY(urt_chan_send(chan, &i, urt_after(20000 * MS)));
	urt_chan_close(chan);
	return 0;
}

/* More cases than a select keeps on its stack. */
static int consume(void *arg)
{
	struct urt_case cases[20] = { 0 };
	int sum = 0, got;

	cases[19] = (struct urt_case){ chan, URT_RECV, &got, 0 };
	for (;;) {
		TRY(urt_select(cases, ARRAY_LEN(cases), urt_after(20000 * MS)));
		if (cases[19].result == -EPIPE)
			break;
		sum += got;
	}
	NEVER(sum != 190 && !atomic_load(&fault_errors));
	return 0;
}

static int sleep_some(void *arg)
{
	struct urt_sem s = URT_SEM_INIT(0);
	int ret;

	TRY(urt_sleep(MS));
	ret = urt_sem_wait(&s, urt_after(MS));
	if (ret != -ETIME)
		TRY(ret);
	return 0;
}

static void set_local(void *arg)
{
	int err = urt_local_set(*(int *)arg, &fault_errors);

	NEVER(err && err != -ENOMEM);
	NEVER(!err && urt_local_get(*(int *)arg) != &fault_errors);
}

/* From a plain thread, on a stack of another size. */
static void *plain(void *arg)
{
	struct urt_coro *c = urt_spawn_with(
		set_local, arg, &(struct urt_spawn_options){ 200000 });

	if (!c)
		atomic_fetch_add(&fault_errors, 1);
	else
		NEVER(urt_join(c));
	return NULL;
}

static int64_t join_plain(void *arg)
{
	return -pthread_join(*(pthread_t *)arg, NULL);
}

static int coordinate(void)
{
	static int key = -1;
	struct urt_scope s;
	pthread_t t;
	int err = 0;

	if (key < 0)
		key = urt_local_key(NULL);
	chan = urt_chan_new(sizeof(int), 4);
	if (!chan)
		return atomic_fetch_add(&fault_errors, 1), -ENOMEM;
	NEVER(pthread_create(&t, NULL, plain, &key));
	NEVER(urt_scope_open(&s, never));
	err = urt_scope_go(&s, produce, NULL);
	err = err ?: urt_scope_go(&s, consume, NULL);
	for (int i = 0; i < 3; i++)
		err = err ?: urt_scope_go(&s, sleep_some, NULL);
	if (err) {
		atomic_fetch_add(&fault_errors, 1);
		urt_scope_cancel(&s);
	}
	err = urt_scope_close(&s) ?: err;
	if (urt_blocking(join_plain, &t) == -EAGAIN) /* not even one thread */
		pthread_join(t, NULL);
	urt_chan_free(chan);
	return err;
}

/* ---- streams, processes, files, signals -------------------------------- */

/* Waits for two processes, one after the other. */
static int processes(void)
{
	struct urt_process p;
	char *output;
	size_t len;
	int status;

	status = TRY(urt_process_run(
		&(struct urt_command){
			.argv = (const char *[]){ "sh", "-c",
						  "echo hello; exit 3",
						  NULL } },
		&output, &len, 1000, never));
	NEVER(!WIFEXITED(status) || WEXITSTATUS(status) != 3);
	NEVER(len != 6 || strcmp(output, "hello\n"));
	free(output);
	TRY(urt_process_start(
		&p,
		&(struct urt_command){ .argv = (const char *[]){ "cat", NULL },
				       .in = URT_PIPE,
				       .out = URT_NULL }));
	status = urt_write(p.in, "x", 1, never);
	NEVER(urt_process_close(&p) < 0);
	TRY(status);
	return 0;
}

/* The old contents or the new, and nothing else in the directory. */
static void check_replaced(int err)
{
	DIR *d;
	int fd = openat(dir_fd, "whole", O_RDONLY | O_CLOEXEC);
	char c[3] = "";

	NEVER(read(fd, c, 3) != 3);
	NEVER(memcmp(c, "new", 3) && (!err || memcmp(c, "old", 3)));
	close(fd);
	d = opendir(dir);
	for (struct dirent *e; (e = readdir(d));)
		NEVER(!strstr(" . .. from a b whole ", e->d_name));
	closedir(d);
}

static int replace(void)
{
	int fd = openat(dir_fd, "whole", O_CREAT | O_TRUNC | O_WRONLY, 0600);
	char path[64], *data;
	int err;

	NEVER(write(fd, "old", 3) != 3);
	close(fd);
	snprintf(path, sizeof(path), "%s/whole", dir);
	err = urt_write_file(path, "new", 3, 0600, never);
	check_replaced(err);
	TRY(err);
	NEVER(TRY(urt_read_file(path, &data, 100, never)) != 3);
	NEVER(strcmp(data, "new"));
	free(data);
	return 0;
}

static int copy_by_call(int from, int to)
{
	uint64_t copied;

	TRY(urt_copy(from, to, SIZE_MAX, &copied, never));
	NEVER(copied != FILE_SIZE);
	return 0;
}

static int send_by_call(int from, int to)
{
	off_t offset = 0;

	while (offset < FILE_SIZE)
		TRY(urt_sendfile(to, from, &offset, SIZE_MAX, never));
	return 0;
}

static int whole(void)
{
	TRY(replace());
	TRY(copy_with("a", copy_by_call));
	TRY(copy_with("b", send_by_call));
	return 0;
}

static int signals(void)
{
	int fd = TRY(urt_signal_open(SIGUSR1, 0)), ret;

	kill(getpid(), SIGUSR1);
	ret = urt_signal_wait(fd, NULL, never);
	NEVER(urt_signal_close(fd));
	NEVER(ret >= 0 && ret != SIGUSR1);
	return TRY(ret) - SIGUSR1;
}

/* ---- waits that are given up ------------------------------------------- */

static int idle[2];	    /* a pipe that nobody writes to */
static atomic_bool hung_up; /* it has been closed */

/* Ends cancelled, late, or with an error of its own, but never with data. */
static int read_idle(void *arg)
{
	int64_t deadline_ns = *(int64_t *)arg;
	char c;
	int ret = urt_read(idle[0], &c, 1, deadline_ns);

	NEVER(ret > 0 || (ret == 0 && !atomic_load(&hung_up)));
	NEVER(ret == -ETIME && urt_now() < deadline_ns);
	if (ret != -ETIME && ret != -ECANCELED)
		TRY(ret);
	return 0;
}

static void read_on(void *arg)
{
	read_idle(arg);
}

static int cancel_one(void)
{
	struct urt_coro *c = urt_spawn(read_on, (void *)&never);

	if (!c)
		TRY(-ENOMEM);
	urt_sleep(MS);
	NEVER(urt_cancel(c));
	NEVER(urt_join(c));
	return 0;
}

static int give_up(void)
{
	int64_t soon_ns = urt_after(2 * MS);
	struct urt_scope s;
	int err, ret;

	atomic_store(&hung_up, false);
	NEVER(pipe2(idle, O_CLOEXEC));
	NEVER(urt_scope_open(&s, never));
	err = urt_scope_go(&s, read_idle, &soon_ns);
	err = err ?: urt_scope_go(&s, read_idle, (void *)&never);
	err = err ?: cancel_one();
	if (err)
		atomic_fetch_add(&fault_errors, 1);
	urt_scope_cancel(&s);
	ret = urt_scope_close(&s);
	/* A coroutine that is still reading when the run ends. */
	err = err ?: urt_go(read_on, (void *)&never);
	urt_yield();
	/* Another thread may run that coroutine while this one is closing. */
	atomic_store(&hung_up, true);
	close(idle[0]);
	close(idle[1]);
	if (err)
		atomic_fetch_add(&fault_errors, 1);
	return err ?: ret == -ECANCELED ? 0 : ret;
}

/* ---- all of them ------------------------------------------------------- */

const struct program fault_programs[] = {
#define OLD "-msg_ring,-coop_taskrun,-membarrier,-guard_install,-optional_ops"
	{ "echo", fault_echo, "" },
	{ "echo, old kernel", fault_echo, OLD },
	{ "echo, lent", fault_echo_lent, "" },
	{ "echo, lent, old kernel", fault_echo_lent, OLD ",-buffer_pieces" },
	{ "copy", copy, "" },
	{ "copy, old kernel", copy, OLD },
	{ "resolve", resolve, "" },
	{ "waitid", run_process, "" },
	{ "waitid, old kernel", run_process, OLD },
	{ "coordinate", coordinate, "" },
	{ "coordinate, old kernel", coordinate, OLD },
	{ "lines", fault_lines, "" },
	{ "lines, old kernel", fault_lines, OLD },
	{ "processes", processes, "" },
	{ "processes, old kernel", processes, OLD },
	{ "whole files", whole, "" },
	{ "whole files, old kernel", whole, OLD },
	{ "signals", signals, "" },
	{ "give up", give_up, "" },
	{ "give up, old kernel", give_up, OLD },
#undef OLD
};
const unsigned fault_programs_nr = ARRAY_LEN(fault_programs);
const struct program fault_copy = { "copy", copy, "" };

void fault_setup(void)
{
	static char data[FILE_SIZE];
	uint64_t state = 1;
	int fd;

	signal(SIGPIPE, SIG_IGN);
	mallopt(M_ARENA_MAX, 1); /* no mappings but those of the test */
	NEVER(!mkdtemp(dir));
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = rnd(&state);
	fd = openat(dir_fd, "from", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	NEVER(write(fd, data, sizeof(data)) != sizeof(data));
	close(fd);
}

void fault_teardown(void)
{
	unlinkat(dir_fd, "from", 0);
	unlinkat(dir_fd, "a", 0);
	unlinkat(dir_fd, "b", 0);
	unlinkat(dir_fd, "whole", 0);
	rmdir(dir);
}
