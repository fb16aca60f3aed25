// SPDX-License-Identifier: MIT
/*
 * The table of languages, and how their programs are unpacked and built.
 *
 * Compilers obey files that they find in the current directory or above it, or above
 * the source: Cargo's config.toml and workspaces, rustup's toolchain files, javac's
 * class path with its processors, go.mod. Root may stand in another user's directory,
 * and anybody can put such files into /tmp. So compilers run in / or in a directory
 * that only we may write to, and are told to look nowhere else. Node looks for a
 * package.json above its program, unless that ends in .cjs.
 */
#define _GNU_SOURCE
#include "language.h"
#include "../lib/embed.h"
#include "../lib/tool.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

const struct language_info languages[] = {
	[LANGUAGE_C] = { .name = "C" },
	[LANGUAGE_NODE] = {
		.name = "Node",
		.command = "node",
		.version = "node --version 2>/dev/null",
		.packages = "apt:nodejs dnf:nodejs pacman:nodejs",
		/* gc: so that it can report its memory. */
		.run = { "node", "--expose-gc" },
	},
	[LANGUAGE_GO] = {
		.name = "Go",
		.command = "go",
		.version = "GOTOOLCHAIN=local go version 2>/dev/null",
		.packages = "apt:golang-go dnf:golang pacman:go",
		.build = "cd \"$URT_CACHE\" && GO111MODULE=off GOFLAGS= "
			 "GOTOOLCHAIN=local HOME=\"$URT_CACHE\" GOENV=off "
			 "GOCACHE=\"$URT_CACHE/go-build\" "
			 "go build -o '%s' '%s' >&2",
	},
	[LANGUAGE_PYTHON] = {
		.name = "Python",
		.command = "python3",
		.version = "python3 --version 2>/dev/null | cut -d ' ' -f 2",
		.packages = "apt:python3 dnf:python3 pacman:python",
		.run = { "python3", "-I" },
	},
	[LANGUAGE_JAVA] = {
		.name = "Java",
		.command = "javac",
		.wanted = "Java 21 or later, with virtual threads,",
		/* Its file `release` gives the version faster than java
		 * itself. */
		.find = "for d in \"$JAVA_HOME\" \"$(dirname \"$(dirname "
			"\"$(realpath \"$(command -v javac)\")\")\")\" "
			"/usr/lib/jvm/*; do v=$(sed -n "
			"'s/^JAVA_VERSION=\"\\([0-9]*\\).*/\\1/p' "
			"\"$d/release\"); [ \"${v:-0}\" -ge 21 ] && "
			"[ -x \"$d/bin/javac\" ] && echo \"$d/bin\" && "
			"exit; done 2>/dev/null",
		.version = "java -version 2>&1 | sed 's/.*\"\\(.*\\)\".*/\\1/'",
		.packages = "apt:openjdk-21-jdk-headless dnf:java-latest-openjdk-devel pacman:jdk-openjdk",
		.run = { "java", "-jar" },
		.build = "d=$(mktemp -d) && cd / && p='%s' && "
			 "javac -proc:none -cp \"$d\" -d \"$d\" '%s' >&2 "
			 "&& jar --create --file \"$p\" --main-class Server "
			 "-C \"$d\" . >&2 && chmod +x \"$p\"; e=$?; "
			 "rm -rf \"$d\"; exit $e",
	},
	[LANGUAGE_RUST] = {
		.name = "Rust",
		.command = "cargo",
		.wanted = "Rust 1.71 or later",
		.find = "v=$(cargo --version 2>/dev/null | sed -n "
			"'s/^cargo 1[.]\\([0-9]*\\).*/\\1/p'); "
			"[ \"${v:-0}\" -ge 71 ] && dirname \"$(command -v "
			"cargo)\"",
		.version = "cargo --version 2>/dev/null | cut -d ' ' -f 2",
		.packages = "apt:cargo dnf:cargo pacman:rust",
		/* Manifest and lock file are comments of the source. Cargo's
		 * own directory is used if it is ours, like the cache in HOME. */
		.build = "d=$(mktemp -d) && p='%s' && s='%s' && mkdir \"$d/src\""
			 " && cp \"$s\" \"$d/src/main.rs\" && "
			 "for f in Cargo.toml Cargo.lock; do sed -n "
			 "\"/^[/][*] $f/,/^[*][/]/p\" \"$s\" | sed '1d;$d' "
			 ">\"$d/$f\"; done && cd / && "
			 "case $URT_CACHE in \"${HOME:-no}\"/*) ;; "
			 "*) export CARGO_HOME=\"$URT_CACHE/cargo\" ;; esac && "
			 "cargo build --quiet --release --locked "
			 "--manifest-path \"$d/Cargo.toml\" "
			 "--target-dir \"$d/target\" >&2 && "
			 "mv \"$d/target/release/server\" \"$p\"; e=$?; "
			 "rm -rf \"$d\"; exit $e",
		.fetches = true,
	},
};
const unsigned nr_languages = ARRAY_LEN(languages);

/* FNV-1a, 64 bits (Fowler, Noll, Vo). */
static uint64_t hash(const char *p, const char *end)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	while (p < end)
		h = (h ^ (unsigned char)*p++) * UINT64_C(0x100000001b3);
	return h;
}

/*
 * Programs in the cache are run, so no other user may be able to put one there:
 * each directory on the path must belong to us or to root, and only its owner
 * may write to it, except in directories like /tmp (sticky), where other users
 * cannot replace our names. Such a path cannot change under us, so it is used
 * as a path from then on.
 */
static bool only_ours(const char *path)
{
	char part[PATH_MAX];
	struct stat st;

	if (!realpath(path, part))
		return false;
	for (;;) {
		bool shared;
		char *slash;

		if (lstat(part, &st) || !S_ISDIR(st.st_mode))
			return false;
		shared = st.st_mode & 022;
		if ((st.st_uid != geteuid() && st.st_uid != 0) ||
		    (shared && !(st.st_mode & S_ISVTX)))
			return false;
		slash = strrchr(part, '/');
		if (slash == part && !part[1])
			return true;
		slash[slash == part] = '\0';
	}
}

static char own_dir[] = "/tmp/urt-cache-XXXXXX";
static bool own_dir_made;

/*
 * A process in the background removes the directory when the last process that
 * has the pipe's other end is gone: this one, also if it became the server by
 * exec or was killed, and all that these start.
 */
static bool remove_own_dir_at_end(void)
{
	int fds[2];
	pid_t pid;
	char c;

	if (pipe(fds))
		return false;
	pid = fork();
	if (pid) {
		close(fds[0]);
		if (pid > 0)
			waitpid(pid, NULL, 0);
		return pid > 0;
	}
	if (fork())
		_exit(0);
	setsid();
	if (dup2(fds[0], 0) || dup2(open("/dev/null", O_RDWR), 1) != 1 ||
	    dup2(1, 2) != 2)
		_exit(1);
	closefrom(3);
	while (read(0, &c, 1) < 0 && errno == EINTR)
		;
	execlp("rm", "rm", "-rf", own_dir, NULL);
	_exit(127);
}

/* If there is no lasting directory of ours (no HOME, or another user's, as
 * under some sudo): one for this process. */
static bool cache_for_now(char *buf, size_t size)
{
	if (!own_dir_made) {
		if (!mkdtemp(own_dir))
			return false;
		own_dir_made = true;
		if (!remove_own_dir_at_end())
			fail("%s will not be removed: %s", own_dir,
			     strerror(errno));
	}
	snprintf(buf, size, "%s", own_dir);
	return true;
}

/* $XDG_CACHE_HOME/urt or ~/.cache/urt, made if need be. */
static bool cache_dir(char *buf, size_t size)
{
	const char *base = getenv("XDG_CACHE_HOME");
	const char *home = getenv("HOME");
	struct stat st;
	size_t len;

	if (base && *base == '/')
		snprintf(buf, size, "%s", base);
	else if (home && *home == '/')
		snprintf(buf, size, "%s/.cache", home);
	else
		return cache_for_now(buf, size);
	mkdir(buf, 0700);
	len = strlen(buf);
	if (!only_ours(buf) || len + sizeof("/urt") > size)
		return cache_for_now(buf, size);
	strcpy(buf + len, "/urt");
	if (mkdir(buf, 0700) && errno != EEXIST)
		return cache_for_now(buf, size);
	if (lstat(buf, &st) || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
	    st.st_mode & 022)
		return cache_for_now(buf, size);
	return true;
}

/* The path of the embedded text in the cache, written if it is not there yet:
 * the name has a hash of the text, so an old file is never used for it. */
static char *unpack(const char *source)
{
	const struct embedded *e = embedded(source);
	const char *name = strrchr(source, '/') + 1;
	char dir[512], tmp[600], *path;
	FILE *f;

	if (!cache_dir(dir, sizeof(dir))) {
		fail("no directory for the programs of other languages: %s; "
		     "set XDG_CACHE_HOME to one that only you may write to",
		     strerror(errno));
		return NULL;
	}
	setenv("URT_CACHE", dir, 1); /* for what is built there */
	if (asprintf(&path, "%s/%016llx-%s", dir,
		     (unsigned long long)hash(e->text, e->end), name) < 0)
		return NULL;
	if (!access(path, R_OK))
		return path;
	snprintf(tmp, sizeof(tmp), "%s.%d", path, getpid());
	f = fopen(tmp, "we");
	if (!f ||
	    fwrite(e->text, 1, e->end - e->text, f) !=
		    (size_t)(e->end - e->text) ||
	    fclose(f) || rename(tmp, path)) {
		fail("cannot write %s: %s", tmp, strerror(errno));
		free(path);
		return NULL;
	}
	return path;
}

static FILE *ask(const char *command)
{
	char *text;
	FILE *f = NULL;

	if (asprintf(&text, "cd /; %s", command) >= 0) {
		f = popen(text, "re");
		free(text);
	}
	return f;
}

/* The first line of a command's output; closes f. NULL: "". */
static void first_line_of(FILE *f, char *buf, size_t size)
{
	buf[0] = '\0';
	if (!f)
		return;
	if (!fgets(buf, size, f))
		buf[0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	pclose(f);
}

static char *program_of(const char *source)
{
	char *program;

	if (asprintf(&program, "%.*s", (int)(strrchr(source, '.') - source),
		     source) < 0)
		abort();
	return program;
}

/* The path of the program that is built from the source; frees the source's
 * path. */
static char *build(const struct language_info *l, char *source)
{
	char *program = program_of(source), *tmp = NULL, *command = NULL;
	bool built = false;

	if (asprintf(&tmp, "%s.%d", program, getpid()) < 0 ||
	    asprintf(&command, l->build, tmp, source) < 0)
		fail("out of memory");
	else if (!access(program, X_OK))
		built = true;
	else {
		if (isatty(STDERR_FILENO))
			fprintf(stderr, "building %s (once) ...\r", source);
		built = !system(command) && !rename(tmp, program);
		if (!built)
			fail("%s could not build %s", l->name, source);
	}
	free(command);
	free(tmp);
	free(source);
	if (built)
		return program;
	free(program);
	return NULL;
}

/* Puts the directory with the right version at the front of PATH, once. False:
 * there is none. */
static bool find(const struct language_info *l)
{
	static enum { UNKNOWN, FOUND, MISSING } state[ARRAY_LEN(languages)];
	unsigned i = l - languages;
	char dir[PATH_MAX], *path;

	if (!l->find || state[i])
		return state[i] != MISSING;
	command_first_line(l->find, dir, sizeof(dir));
	state[i] = *dir ? FOUND : MISSING;
	if (*dir &&
	    asprintf(&path, "%s:%s", dir, getenv("PATH") ?: "/usr/bin") > 0) {
		setenv("PATH", path, 1);
		free(path);
	}
	return *dir;
}

bool language_built(enum language language, const char *source)
{
	const struct language_info *l = &languages[language];
	char *file, *program;
	bool built;

	if (!l->fetches)
		return true;
	file = unpack(source);
	if (!file)
		return false;
	program = program_of(file);
	built = !access(program, X_OK);
	free(program);
	free(file);
	return built;
}

char **language_command(enum language language, const char *source,
			const char *const *args)
{
	const struct language_info *l = &languages[language];
	char *file, **argv;
	size_t n = 0, i = 0;

	find(l);
	file = unpack(source);
	if (file && l->build)
		file = build(l, file);
	if (!file)
		return NULL;
	while (args[n])
		n++;
	argv = calloc(LANGUAGE_ARGS + 1 + n + 1, sizeof(*argv));
	while (l->run[i]) {
		argv[i] = strdup(l->run[i]);
		i++;
	}
	argv[i++] = file;
	for (size_t k = 0; k < n; k++)
		argv[i++] = strdup(args[k]);
	return argv;
}

void command_free(char **argv)
{
	for (char **p = argv; p && *p; p++)
		free(*p);
	free(argv);
}

const char *language_missing(enum language language)
{
	static char text[120];
	const struct language_info *l = &languages[language];

	if (!l->command || (find(l) && command_exists(l->command)))
		return NULL;
	snprintf(text, sizeof(text),
		 "%s is not installed: `make peers` installs it",
		 l->wanted ? l->wanted : l->name);
	return text;
}

void language_version(enum language language, char *buf, size_t size)
{
	buf[0] = '\0';
	if (languages[language].version && find(&languages[language]))
		command_first_line(languages[language].version, buf, size);
}

void language_versions(unsigned wanted, char (*versions)[LANGUAGE_VERSION])
{
	FILE *asked[ARRAY_LEN(languages)] = { 0 };

	for (unsigned i = 0; i < ARRAY_LEN(languages); i++)
		if (wanted >> i & 1 && languages[i].version &&
		    find(&languages[i]))
			asked[i] = ask(languages[i].version);
	for (unsigned i = 0; i < ARRAY_LEN(languages); i++)
		first_line_of(asked[i], versions[i], LANGUAGE_VERSION);
}

bool command_exists(const char *command)
{
	char buf[128];

	snprintf(buf, sizeof(buf), "command -v %s >/dev/null 2>&1", command);
	return !system(buf);
}

void command_first_line(const char *command, char *buf, size_t size)
{
	first_line_of(ask(command), buf, size);
}
