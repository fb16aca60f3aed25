// SPDX-License-Identifier: MIT
/*
 * The stack of a thread that slept before profiling began and has not run since: no
 * event showed it, but it lies in memory, and /proc tells the stack pointer, the
 * program counter and the system call. The frames are found by .eh_frame (unwind.c);
 * without the frame pointer, which /proc does not tell, some stacks end early.
 *
 * /proc is read again afterwards: if it says the same, the thread still slept there.
 * The program may say anything, so there are limits of bytes and of time.
 */
#define _GNU_SOURCE
#include "profile.h"
#include "../measure/remote.h"
#include "../measure/unwind.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE   4096
#define PAGES  4 /* most that are read of a stack */
#define ALL_NS (3 * NS_PER_S)

struct place {
	long nr; /* of the system call; -1: none */
	uint64_t sp, pc;
};

/* "NUMBER ARGUMENT... STACK-POINTER PROGRAM-COUNTER"; "running" is none. */
static bool read_place(const char *line, struct place *p)
{
	const char *at = strrchr(line, ' ');

	if (!at || sscanf(line, "%ld", &p->nr) != 1)
		return false;
	p->pc = strtoull(at, NULL, 16);
	while (at > line && at[-1] != ' ')
		at--;
	p->sp = strtoull(at, NULL, 16);
	return p->sp && p->pc;
}

/* The bytes from the stack pointer up to the end of the mapping, if it is near. */
static size_t read_stack(pid_t pid, uint64_t sp, uint8_t *to)
{
	struct remote_piece p[PAGES];
	size_t n = 0;

	for (uint64_t i = 0, at = sp; i < PAGES;
	     i++, at = at / PAGE * PAGE + PAGE)
		p[i] = (struct remote_piece){ at, to + (at - sp),
					      PAGE - at % PAGE };
	if (remote_read_all(pid, p, PAGES))
		return 0;
	for (unsigned i = 0; i < PAGES && p[i].size; i++)
		n += p[i].size;
	return n;
}

static unsigned walk(struct names *names, struct image image,
		     const struct place *p, uint64_t pc[UNWIND_FRAMES])
{
	static uint8_t bytes[PAGES * PAGE];
	struct modules *m = names_modules(names, image, p->pc);
	struct unwind *u = m ? unwind_new(m) : NULL;
	struct unwind_stack s = {
		.from = p->sp, .bytes = bytes, .sp = p->sp, .pc = p->pc
	};
	unsigned n = 0;
	bool whole;

	if (u) {
		s.size = read_stack(image.tgid, p->sp, bytes);
		n = unwind(u, &s, pc, &whole);
	}
	unwind_free(u);
	return n;
}

static bool add(struct names *names, char text[FRAMES_MAX], struct image image,
		pid_t tid)
{
	char file[48], before[256], after[256], name[320], call[32];
	uint64_t pc[UNWIND_FRAMES];
	struct place p;
	unsigned n;

	snprintf(file, sizeof(file), "task/%d/syscall", tid);
	if (!remote_text(image.tgid, file, before, sizeof(before)) ||
	    !read_place(before, &p))
		return false;
	n = walk(names, image, &p, pc);
	if (!n || !remote_text(image.tgid, file, after, sizeof(after)) ||
	    strcmp(before, after))
		return false;
	while (n--) {
		names_one(names, image, pc[n] - !!n, name, sizeof(name));
		frame_add(text, name, "");
	}
	snprintf(name, sizeof(name), "[in %s]",
		 p.nr < 0	       ? "no system call"
		 : (p.sp | p.pc) >> 32 ? syscall_name(p.nr, call)
				       : syscall_name_32(p.nr, call));
	frame_add(text, name, "");
	return true;
}

bool asleep_add(struct names *names, char text[FRAMES_MAX], struct image image,
		pid_t tid)
{
	static int64_t spent_ns;
	int64_t begin = now_ns();
	bool added = spent_ns < ALL_NS && add(names, text, image, tid);

	spent_ns += now_ns() - begin;
	return added;
}
