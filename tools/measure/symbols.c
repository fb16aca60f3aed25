// SPDX-License-Identifier: MIT
/*
 * Names of functions: the symbol tables of a file, sorted. A stripped file has
 * at most its exported functions. Functions that a compiler makes at run time
 * are in no file; if the compiler writes /tmp/perf-PID.map for profilers, as
 * Node does with --perf-basic-prof, that file is read.
 *
 * The file belongs to another program: it may be a FIFO, lie on a file system
 * whose daemon never answers, or be made to confuse an ELF reader. So a child
 * process opens and reads it, without privileges and within limits, and sends
 * the symbols through a pipe, which is read for a bounded time. If the child
 * fails in any way, functions have no names, and nothing worse happens. The
 * symbols and the time of all files together are bounded, too: a program may
 * map thousands of files, each of which takes as long as it may.
 */
#define _GNU_SOURCE
#include "symbols.h"
#include "../lib/privileges.h"
#include "../lib/proc.h"
#include "../lib/text.h"
#include "../lib/tool.h"
#include "demangle.h"
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FUNCTIONS_MAX (1u << 20) /* of a file */
#define ALL_MAX	      (3u << 20) /* of all files that are open */
#define WAIT_NS	      (3 * NS_PER_S)
#define ALL_NS	      (15 * NS_PER_S) /* for all files, and later half the time */
#define MEMORY_MAX    (UINT64_C(2) << 30)

struct function {
	uint64_t at, size; /* in the file */
	uint64_t order;	   /* the last line of a map for an address counts */
	char name[SYMBOL_NAME];
};

/* The input: the ELF file that is open as exe, or named by path below the root of a
 * process (0: ours) if exe is -1; or, if map_of is not 0, that process's map. */
struct source {
	int exe;
	pid_t root_of;
	const char *path;
	uint64_t entry;
	pid_t map_of;
	const char *const *names; /* NULL: all functions */
};

struct symbols {
	bool any;
	uint64_t bias; /* added to addresses in the file */
	size_t n, room;
	struct function *function; /* by address */
};

/* ---- the child ---- */

static void tell(FILE *out, const GElf_Sym *sym, const char *name)
{
	struct function f = { .at = sym->st_value, .size = sym->st_size };

	if (!demangle(name, f.name, sizeof(f.name)))
		text_copy(f.name, sizeof(f.name), name, sizeof(f.name));
	fwrite(&f, sizeof(f), 1, out);
}

static bool is_one_of(const char *const *names, const char *name)
{
	for (; *names; names++)
		if (!strcmp(*names, name))
			return true;
	return false;
}

static void read_table(FILE *out, Elf *elf, Elf_Scn *scn, const GElf_Shdr *head,
		       const struct source *of)
{
	Elf_Data *data = elf_getdata(scn, NULL);
	GElf_Sym sym;

	for (int i = 0; data && gelf_getsym(data, i, &sym); i++) {
		const char *name = elf_strptr(elf, head->sh_link, sym.st_name);

		if (sym.st_value && name && *name &&
		    (of->names ? is_one_of(of->names, name)
			       : GELF_ST_TYPE(sym.st_info) == STT_FUNC))
			tell(out, &sym, name);
	}
}

static void read_section(FILE *out, Elf *elf, const GElf_Shdr *head,
			 const struct source *of)
{
	GElf_Sym sym = { .st_value = head->sh_addr, .st_size = head->sh_size };
	const char *name;
	size_t names;

	if (!of->names || elf_getshdrstrndx(elf, &names))
		return;
	name = elf_strptr(elf, names, head->sh_name);
	if (name && is_one_of(of->names, name))
		tell(out, &sym, name);
}

static void read_file(FILE *out, Elf *elf, const struct source *of)
{
	Elf_Scn *scn = NULL;
	GElf_Ehdr ehdr;
	GElf_Shdr head;
	struct function bias = { 0 };

	if (!gelf_getehdr(elf, &ehdr))
		return;
	bias.at = of->entry - ehdr.e_entry;
	if (bias.at & 0xfff)
		return; /* another program, by exec */
	fwrite(&bias, sizeof(bias), 1, out);
	while ((scn = elf_nextscn(elf, scn))) {
		if (!gelf_getshdr(scn, &head))
			continue;
		read_section(out, elf, &head, of);
		if (head.sh_type == SHT_SYMTAB || head.sh_type == SHT_DYNSYM)
			read_table(out, elf, scn, &head, of);
	}
}

static void limit(int what, rlim_t n)
{
	struct rlimit l = { n, n };

	setrlimit(what, &l);
}

/* A path as the process sees it: an absolute link in its container leads to a file
 * there, and not to one of ours. Opened by O_PATH. */
static int open_below(pid_t root_of, const char *path, int flags)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC | flags,
				.resolve = RESOLVE_IN_ROOT };
	char own[64];
	int root, at;

	snprintf(own, sizeof(own), "/proc/%d/root", root_of);
	root = open(own, O_PATH | O_CLOEXEC);
	at = syscall(SYS_openat2, root, path, &how, sizeof(how));
	close(root);
	return at;
}

/* By O_PATH first, because opening a device or a FIFO has effects. */
static int open_file(int exe, pid_t root_of, const char *path)
{
	int at = exe >= 0  ? exe
		 : root_of ? open_below(root_of, path, 0)
			   : open(path, O_PATH | O_CLOEXEC);
	struct stat st;
	char own[64];

	if (at < 0 || fstat(at, &st) || !S_ISREG(st.st_mode))
		return -1;
	snprintf(own, sizeof(own), "/proc/self/fd/%d", at);
	return open(own, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

/* In the process's own /tmp, under the PID of its own namespace. Anybody may
 * make a file there, so the file must belong to the process's user and must not
 * be a link. -1: there is none. */
static int open_map(pid_t pid)
{
	struct stat process, st;
	char path[64];
	pid_t own;
	int at, fd;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	own = proc_own_number(path);
	if (own < 0)
		return -1;
	snprintf(path, sizeof(path), "/proc/%d", pid);
	if (stat(path, &process))
		return -1;
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", own);
	at = open_below(pid, path, O_NOFOLLOW);
	if (at < 0 || fstat(at, &st) || st.st_uid != process.st_uid)
		return -1;
	fd = open_file(at, 0, NULL);
	close(at);
	return fd;
}

/* Lines of an address, a size, and a name. */
static void read_map(FILE *out, int fd)
{
	struct function f = { 0 };
	char line[1024], name[256];
	FILE *in = fdopen(fd, "r");

	fwrite(&f, sizeof(f), 1, out); /* the bias */
	while (in && fgets(line, sizeof(line), in)) {
		if (sscanf(line, "%" SCNx64 " %" SCNx64 " %255[^\n]", &f.at,
			   &f.size, name) != 3)
			continue;
		f.order++;
		text_copy(f.name, sizeof(f.name), name, sizeof(f.name) - 1);
		fwrite(&f, sizeof(f), 1, out);
	}
}

static void child(int out_fd, const struct source *of)
{
	FILE *out = fdopen(out_fd, "w");
	int fd = of->map_of ? open_map(of->map_of)
			    : open_file(of->exe, of->root_of, of->path);
	Elf *elf;

	privileges_none();
	limit(RLIMIT_CPU, 3);
#ifndef __SANITIZE_ADDRESS__ /* whose shadow is larger than any limit */
	limit(RLIMIT_AS, MEMORY_MAX);
#endif
	elf_version(EV_CURRENT);
	if (fd >= 0 && out && of->map_of)
		read_map(out, fd);
	elf = fd < 0 || !out || of->map_of
		      ? NULL
		      : elf_begin(fd, ELF_C_READ_MMAP, NULL);
	if (elf)
		read_file(out, elf, of);
	if (out)
		fflush(out);
	_exit(0);
}

/* ---- its reader ---- */

static size_t all_functions; /* kept, of all files */
static int64_t spent_ns;     /* on all files */

static bool add(struct symbols *s, const struct function *f)
{
	if (!s->any) { /* the first one gives the bias */
		s->any = true;
		s->bias = f->at;
		return true;
	}
	if (s->n == FUNCTIONS_MAX || all_functions == ALL_MAX)
		return false;
	if (s->n == s->room) {
		size_t room = s->room ? 2 * s->room : 1024;
		void *more = realloc(s->function, room * sizeof(*f));

		if (!more)
			return false;
		s->function = more;
		s->room = room;
	}
	s->function[s->n] = *f;
	/* Whatever the file did to the child: it ends, and is text. */
	s->function[s->n].name[SYMBOL_NAME - 1] = '\0';
	text_clean(s->function[s->n++].name);
	all_functions++;
	return true;
}

static void read_functions(struct symbols *s, int fd)
{
	static struct function buf[512];
	int64_t end = now_ns() + WAIT_NS, left;
	size_t have = 0;
	bool room = true;

	while (room && (left = end - now_ns()) > 0) {
		struct pollfd p = { fd, POLLIN, 0 };
		ssize_t got;
		size_t n;

		if (poll(&p, 1, left / NS_PER_MS + 1) <= 0)
			continue;
		got = read(fd, (char *)buf + have, sizeof(buf) - have);
		if (!got || (got < 0 && errno != EINTR))
			return;
		have += got > 0 ? got : 0;
		n = have / sizeof(*buf);
		for (size_t i = 0; i < n && room; i++)
			room = add(s, &buf[i]);
		have -= n * sizeof(*buf);
		memmove(buf, buf + n, have);
	}
}

static int by_address(const void *a, const void *b)
{
	const struct function *x = a, *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return (x->order > y->order) - (x->order < y->order);
}

/* It was killed and ends soon, unless it hangs in the kernel. */
static void reap(pid_t pid)
{
	for (int ms = 0; !waitpid(pid, NULL, WNOHANG) && ms < 100; ms++)
		sleep_ns(NS_PER_MS);
}

static struct symbols *read_source(const struct source *of)
{
	static int64_t first_ns;
	int64_t begin = now_ns();
	struct symbols *s = NULL;
	int fds[2];
	pid_t pid;

	first_ns = first_ns ? first_ns : begin;
	if (spent_ns < ALL_NS + (begin - first_ns) / 2)
		s = calloc(1, sizeof(*s));
	if (!s || pipe2(fds, O_CLOEXEC)) {
		free(s);
		return NULL;
	}
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		child(fds[1], of);
	}
	close(fds[1]);
	if (pid > 0) {
		read_functions(s, fds[0]);
		kill(pid, SIGKILL);
		reap(pid);
	}
	close(fds[0]);
	if (s->n)
		qsort(s->function, s->n, sizeof(*s->function), by_address);
	spent_ns += now_ns() - begin;
	if (s->n)
		return s;
	symbols_close(s);
	return NULL;
}

struct symbols *symbols_open(int exe, const char *path, uint64_t entry)
{
	return symbols_open_some(exe, 0, path, entry, NULL);
}

struct symbols *symbols_open_map(pid_t pid)
{
	return read_source(&(struct source){ .map_of = pid });
}

struct symbols *symbols_open_some(int exe, pid_t root_of, const char *path,
				  uint64_t entry, const char *const names[])
{
	return read_source(
		&(struct source){ exe, root_of, path, entry, 0, names });
}

uint64_t symbols_find(const struct symbols *s, const char *name, uint64_t *size)
{
	for (size_t i = 0; s && i < s->n; i++)
		if (!strcmp(s->function[i].name, name)) {
			*size = s->function[i].size;
			return s->function[i].at + s->bias;
		}
	return *size = 0;
}

void symbols_close(struct symbols *s)
{
	if (!s)
		return;
	all_functions -= s->n;
	free(s->function);
	free(s);
}

void symbols_name(const struct symbols *s, uint64_t address, char *buf,
		  size_t size)
{
	uint64_t at = s ? address - s->bias : address;
	size_t low = 0, high = s ? s->n : 0;

	while (low < high) { /* the last one that begins at or before it */
		size_t mid = (low + high) / 2;

		if (s->function[mid].at <= at)
			low = mid + 1;
		else
			high = mid;
	}
	if (low && at - s->function[low - 1].at < s->function[low - 1].size)
		snprintf(buf, size, "%s", s->function[low - 1].name);
	else
		snprintf(buf, size, "%#" PRIx64, at);
}
