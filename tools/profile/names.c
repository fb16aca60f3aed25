// SPDX-License-Identifier: MIT
/*
 * Names of functions by their addresses. Those of programs come from their files,
 * as measure/modules.c finds them; those of the kernel come from /proc/kallsyms. A
 * program may have ended when its stacks are printed, so each stack is named soon
 * after it was first seen, and kept as text.
 *
 * A process may run several programs one after another (exec), and its number may
 * become another's. So names belong to a program in a process (struct image), and
 * mappings are read only while it still runs.
 *
 * None of this input is trusted: processes, stacks and bytes have bounds.
 */
#define _GNU_SOURCE
#include "profile.h"
#include "../lib/proc.h"
#include "../lib/text.h"
#include "../measure/modules.h"
#include "../measure/remote.h"
#include <inttypes.h>
#include <linux/types.h>
#include <stdlib.h>
#include <string.h>
#include "../../bpf/profile.h"

#define PROCESSES_MAX 128
#define PLACES	      65536 /* of stacks; power of two */
#define STACKS_MAX    49152
#define BYTES_MAX     (UINT64_C(128) << 20)
/* The time until maps are read again; doubled each time that this finds nothing. */
#define AGAIN_NS (100 * NS_PER_MS)

struct process {
	struct image image;
	struct modules *modules;
	int64_t read_ns, again_ns;
};

struct stack {
	struct image image;
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

static bool is_same(struct image a, struct image b)
{
	return a.tgid == b.tgid && a.program == b.program;
}

static struct process *process_of(struct names *s, struct image image)
{
	struct process *p;

	for (unsigned i = 0; i < s->n; i++)
		if (is_same(s->process[i].image, image))
			return &s->process[i];
	if (s->n == PROCESSES_MAX)
		return NULL;
	p = &s->process[s->n++];
	*p = (struct process){ .image = image, .again_ns = AGAIN_NS };
	return p;
}

/* Another process that runs it, too: the one that this one was forked from, or is
 * forked from it. */
static struct modules *of_relative(const struct names *s, struct image image)
{
	for (unsigned i = 0; i < s->n; i++)
		if (s->process[i].image.program == image.program &&
		    s->process[i].modules)
			return s->process[i].modules;
	return NULL;
}

static struct modules *open_modules(struct image image)
{
	struct modules *m = modules_open(image.tgid);
	uint64_t end_code, start_stack;
	char text[1024];

	/* It was the same before, because no program comes back. */
	if (m && remote_text(image.tgid, "stat", text, sizeof(text)) &&
	    proc_program(text, &end_code, &start_stack) &&
	    PROFILE_PROGRAM(start_stack, end_code) == image.program)
		return m;
	modules_close(m);
	return NULL;
}

/* The process's maps. They are read again if they lack the address, because the
 * process may have mapped more. Code compiled at run time is in none of them. */
struct modules *names_modules(struct names *s, struct image image, uint64_t pc)
{
	struct process *p = process_of(s, image);
	struct modules *known = p ? p->modules : NULL, *fresh;

	if (!known)
		known = of_relative(s, image);
	if (!p || (p->modules && modules_at(p->modules, pc)) ||
	    (p->read_ns && now_ns() - p->read_ns < p->again_ns))
		return known;
	p->read_ns = now_ns();
	fresh = open_modules(image);
	if (!fresh)
		return known;
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

void names_one(struct names *s, struct image image, uint64_t pc, char *to,
	       size_t size)
{
	struct modules *m;

	if (!image.tgid) {
		kernel_name(s, pc, to, size);
		return;
	}
	m = names_modules(s, image, pc);
	if (m)
		modules_name(m, pc, to, size);
	else
		snprintf(to, size, "%#" PRIx64, pc);
}

/* ---- stacks ---- */

static struct stack *place_of(const struct names *s, struct image image, int id)
{
	uint64_t h =
		(image.program ^ ((uint64_t)image.tgid << 32 | (uint32_t)id)) *
		UINT64_C(0x9e3779b97f4a7c15);
	size_t i = h >> 48;

	while (s->stack[i].text &&
	       (!is_same(s->stack[i].image, image) || s->stack[i].id != id))
		i = (i + 1) % PLACES;
	return (struct stack *)&s->stack[i];
}

bool names_has(const struct names *s, struct image image, int id)
{
	return place_of(s, image, id)->text;
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

void names_stack(struct names *s, char text[FRAMES_MAX], struct image image,
		 int id, const uint64_t *pc, unsigned n)
{
	struct stack *at = place_of(s, image, id);
	bool kernel = !image.tgid;
	char one[FRAMES_MAX] = "", name[320];
	unsigned from;

	if (!at->text) {
		from = kernel ? first_frame(s, pc, n) : 0;
		/* A caller's frame holds its return address, after the call. */
		for (unsigned i = n; i > from; i--) {
			/* Code without frame pointers leads to anything. */
			if (!kernel && pc[i - 1] >> 56)
				continue;
			names_one(s, image, i > 1 ? pc[i - 1] - 1 : pc[0], name,
				  sizeof(name));
			frame_add(one, name, kernel ? "_[k]" : "");
		}
		if (s->stacks < STACKS_MAX &&
		    s->bytes + strlen(one) < BYTES_MAX &&
		    (at->text = strdup(one))) {
			at->image = image;
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
