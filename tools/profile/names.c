// SPDX-License-Identifier: MIT
/*
 * Names of functions by their addresses. Those of programs come from their files,
 * as measure/modules.c finds them; those of the kernel come from /proc/kallsyms. A
 * program may have ended when its stacks are printed, so each stack is named soon
 * after it was first seen, and kept as text.
 *
 * None of this input is trusted: processes, stacks and bytes have bounds.
 */
#define _GNU_SOURCE
#include "profile.h"
#include "../lib/text.h"
#include "../measure/modules.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PROCESSES_MAX 128
#define PLACES	      65536 /* of stacks; power of two */
#define STACKS_MAX    49152
#define BYTES_MAX     (UINT64_C(128) << 20)
/* The time until maps are read again; doubled each time that this finds nothing. */
#define AGAIN_NS (100 * NS_PER_MS)

struct process {
	pid_t tgid;
	struct modules *modules;
	int64_t read_ns, again_ns;
};

struct stack {
	pid_t tgid;
	int id;
	char *text;
};

struct kernel_symbol {
	uint64_t at;
	uint32_t name; /* offset in kernel_names */
};

struct names {
	struct process process[PROCESSES_MAX];
	unsigned n;
	struct stack stack[PLACES];
	unsigned stacks;
	uint64_t bytes;
	struct kernel_symbol *kernel;
	size_t kernel_n;
	char *kernel_names;
};

/* ---- the kernel ---- */

static int by_address(const void *a, const void *b)
{
	uint64_t x = ((const struct kernel_symbol *)a)->at;
	uint64_t y = ((const struct kernel_symbol *)b)->at;

	return (x > y) - (x < y);
}

static bool add_symbol(struct names *s, uint64_t at, const char *name,
		       size_t *bytes)
{
	size_t n = strlen(name) + 1;

	if (!(s->kernel_n & (s->kernel_n - 1))) {
		size_t room = s->kernel_n ? 2 * s->kernel_n : 1;
		void *more = realloc(s->kernel, room * sizeof(*s->kernel));

		if (!more)
			return false;
		s->kernel = more;
	}
	if (*bytes / (1 << 20) != (*bytes + n) / (1 << 20) || !*bytes) {
		char *more = realloc(s->kernel_names,
				     ((*bytes + n) / (1 << 20) + 1) << 20);

		if (!more)
			return false;
		s->kernel_names = more;
	}
	memcpy(s->kernel_names + *bytes, name, n);
	s->kernel[s->kernel_n++] = (struct kernel_symbol){ at, *bytes };
	*bytes += n;
	return true;
}

/* Finds no symbols if the user may not see kernel addresses. */
static void read_kernel(struct names *s)
{
	FILE *f = fopen("/proc/kallsyms", "re");
	char line[512], name[256], type;
	size_t bytes = 0;
	uint64_t at;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%" SCNx64 " %c %255s", &at, &type, name) ==
			    3 &&
		    at && strchr("tTwW", type) &&
		    !add_symbol(s, at, name, &bytes))
			break;
	if (f)
		fclose(f);
	qsort(s->kernel, s->kernel_n, sizeof(*s->kernel), by_address);
}

static void kernel_name(const struct names *s, uint64_t pc, char *to,
			size_t size)
{
	size_t low = 0, high = s->kernel_n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (s->kernel[mid].at <= pc)
			low = mid + 1;
		else
			high = mid;
	}
	snprintf(to, size, "%s",
		 low ? s->kernel_names + s->kernel[low - 1].name : "kernel");
}

/* ---- programs ---- */

static struct process *process_of(struct names *s, pid_t tgid)
{
	struct process *p;

	for (unsigned i = 0; i < s->n; i++)
		if (s->process[i].tgid == tgid)
			return &s->process[i];
	if (s->n == PROCESSES_MAX)
		return NULL;
	p = &s->process[s->n++];
	*p = (struct process){ .tgid = tgid, .again_ns = AGAIN_NS };
	return p;
}

/* The process's maps. They are read again if they lack the address, because the
 * process may have mapped more. Code compiled at run time is in none of them. */
struct modules *names_modules(struct names *s, pid_t tgid, uint64_t pc)
{
	struct process *p = process_of(s, tgid);
	struct modules *fresh;

	if (!p || (p->modules && modules_at(p->modules, pc)) ||
	    (p->read_ns && now_ns() - p->read_ns < p->again_ns))
		return p ? p->modules : NULL;
	p->read_ns = now_ns();
	fresh = modules_open(tgid);
	if (!fresh)
		return p->modules;
	p->again_ns = modules_at(fresh, pc) ? AGAIN_NS : 2 * p->again_ns;
	if (p->modules && !modules_at(fresh, pc)) {
		modules_close(fresh);
		return p->modules;
	}
	modules_hold(fresh);
	modules_close(p->modules);
	return p->modules = fresh;
}

/* Cleans the frame for folded stacks and for terminals. */
void frame_add(char text[FRAMES_MAX], const char *frame, const char *ending)
{
	size_t len = strlen(text);
	char *at = text + len;

	snprintf(at, FRAMES_MAX - len, "%s%s%s", len ? ";" : "", frame, ending);
	if (!*at) /* no more room */
		return;
	text_clean(at);
	for (at += len > 0; *at; at++)
		if (*at == ';')
			*at = ':';
}

void names_one(struct names *s, pid_t tgid, uint64_t pc, char *to, size_t size)
{
	struct modules *m;

	if (!tgid) {
		kernel_name(s, pc, to, size);
		return;
	}
	m = names_modules(s, tgid, pc);
	if (m)
		modules_name(m, pc, to, size);
	else
		snprintf(to, size, "%#" PRIx64, pc);
}

/* ---- stacks ---- */

static struct stack *place_of(const struct names *s, pid_t tgid, int id)
{
	uint64_t h = ((uint64_t)tgid << 32 | (uint32_t)id) *
		     UINT64_C(0x9e3779b97f4a7c15);
	size_t i = h >> 48;

	while (s->stack[i].text &&
	       (s->stack[i].tgid != tgid || s->stack[i].id != id))
		i = (i + 1) % PLACES;
	return (struct stack *)&s->stack[i];
}

bool names_has(const struct names *s, pid_t tgid, int id)
{
	return place_of(s, tgid, id)->text;
}

/* Skips the kernel's frames that lead into the BPF program that took the stack. */
static unsigned first_frame(struct names *s, const uint64_t *pc, unsigned n)
{
	char name[128];

	for (unsigned i = 0; i < n && i < 16; i++) {
		kernel_name(s, pc[i], name, sizeof(name));
		if (!strncmp(name, "__traceiter_", 12))
			return i + 1;
	}
	for (unsigned i = 0; i < n; i++) {
		kernel_name(s, pc[i], name, sizeof(name));
		if (strncmp(name, "bpf_", 4) && strncmp(name, "__bpf_", 6))
			return i;
	}
	return 0;
}

void names_stack(struct names *s, char text[FRAMES_MAX], pid_t tgid, int id,
		 const uint64_t *pc, unsigned n)
{
	struct stack *at = place_of(s, tgid, id);
	char one[FRAMES_MAX] = "", name[320];
	unsigned from;

	if (!at->text) {
		from = tgid ? 0 : first_frame(s, pc, n);
		/* A caller's frame holds its return address, after the call. */
		for (unsigned i = n; i > from; i--) {
			/* Code without frame pointers leads to anything. */
			if (tgid && pc[i - 1] >> 56)
				continue;
			names_one(s, tgid, i > 1 ? pc[i - 1] - 1 : pc[0], name,
				  sizeof(name));
			frame_add(one, name, tgid ? "" : "_[k]");
		}
		if (s->stacks < STACKS_MAX &&
		    s->bytes + strlen(one) < BYTES_MAX &&
		    (at->text = strdup(one))) {
			at->tgid = tgid;
			at->id = id;
			s->stacks++;
			s->bytes += strlen(one) + 1;
		}
	}
	snprintf(text + strlen(text), FRAMES_MAX - strlen(text), "%s%s",
		 *text && (at->text ? *at->text : *one) ? ";" : "",
		 at->text ? at->text : one);
}

struct names *names_new(void)
{
	struct names *s = calloc(1, sizeof(*s));

	if (s)
		read_kernel(s);
	return s;
}

void names_free(struct names *s)
{
	for (unsigned i = 0; s && i < s->n; i++)
		modules_close(s->process[i].modules);
	for (unsigned i = 0; s && i < PLACES; i++)
		free(s->stack[i].text);
	if (s) {
		free(s->kernel);
		free(s->kernel_names);
	}
	free(s);
}
