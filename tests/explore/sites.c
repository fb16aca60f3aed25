// SPDX-License-Identifier: MIT
/*
 * The place in the source of each call of the instrumentation. The Makefile has
 * objdump and addr2line write a table of them once (sites.sh). The table serves
 * the reports, the planted faults, which are named by the text of their line,
 * the list of intended races, and the coverage.
 */
#include "explore_in.h"
#include "lists.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SITES	32768u /* power of two */
#define FILES	128
#define SYMBOLS 2048

static struct x_site *table[SITES];
struct x_site *x_sites;
unsigned x_nr_sites;

static struct source {
	char *path;
	char **line;
	int lines;
} sources[FILES];

static struct symbol {
	uintptr_t at;
	size_t size;
	char *name;
} symbols[SYMBOLS];
static unsigned nr_symbols;

/* ---- source text ------------------------------------------------------- */

static void load(struct source *s, const char *path)
{
	FILE *f = fopen(path, "r");
	char text[512];

	s->path = strdup(path);
	s->line = calloc(8192, sizeof(*s->line));
	while (f && s->lines < 8190 && fgets(text, sizeof(text), f)) {
		text[strcspn(text, "\n")] = '\0';
		s->line[++s->lines] = strdup(text + strspn(text, " \t"));
	}
	if (f)
		fclose(f);
}

const char *x_source(const char *file, int line)
{
	struct source *s = sources;

	while (s->path && strcmp(s->path, file))
		if (++s == sources + FILES)
			return "";
	if (!s->path)
		load(s, file);
	return line > 0 && line <= s->lines ? s->line[line] : "";
}

/* The text from the line to the end of its statement. */
static void statement(const struct x_frame *f, char *out, size_t size)
{
	size_t len = 0;

	out[0] = '\0';
	for (int i = 0; i < 4 && len < size; i++) {
		const char *text = x_source(f->file, f->line + i);

		len += snprintf(out + len, size - len, "%s%s", i ? " " : "",
				text);
		if (strpbrk(text, ";{"))
			break;
	}
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* ---- the table --------------------------------------------------------- */

static struct x_site *find(uintptr_t pc, bool make)
{
	unsigned i = (pc * 2654435761u) >> 7 & (SITES - 1);

	while (table[i] && table[i]->pc != pc)
		i = (i + 1) & (SITES - 1);
	if (!table[i] && make) {
		table[i] = &x_sites[x_nr_sites++];
		table[i]->pc = pc;
	}
	return table[i];
}

struct x_site *x_site(const void *pc)
{
	return pc ? find((uintptr_t)pc, false) : NULL;
}

/* "@ PC OP", then lines "function file:line", innermost first. */
static void read_sites(FILE *f)
{
	char text[1024], a[512], b[512];
	struct x_site *s = NULL;
	unsigned long at, size;

	while (fgets(text, sizeof(text), f)) {
		if (sscanf(text, "@ %lx %511s", &at, a) == 2) {
			s = find(at, true);
			s->op = strdup(a);
		} else if (sscanf(text, "= %lx %lx %511s", &at, &size, a) ==
				   3 &&
			   nr_symbols < SYMBOLS) {
			symbols[nr_symbols++] =
				(struct symbol){ at, size, strdup(a) };
		} else if (s && sscanf(text, "%511s %511s", a, b) == 2 &&
			   strrchr(b, ':') && s->nr_frames < 8) {
			char *colon = strrchr(b, ':');

			*colon = '\0';
			s->frame[s->nr_frames++] =
				(struct x_frame){ strdup(a), strdup(b),
						  atoi(colon + 1) };
		}
	}
}

void x_sites_open(const char *file)
{
	FILE *f = fopen(file, "r");

	if (!f) {
		perror(file);
		exit(1);
	}
	x_sites = calloc(SITES / 2, sizeof(*x_sites));
	read_sites(f);
	fclose(f);
}

const char *x_symbol(uintptr_t addr, size_t *offset)
{
	for (unsigned i = 0; i < nr_symbols; i++)
		if (addr - symbols[i].at < symbols[i].size) {
			*offset = addr - symbols[i].at;
			return symbols[i].name;
		}
	return NULL;
}

const char *x_where(const void *pc)
{
	static char text[2][256];
	static unsigned turn;
	struct x_site *s = x_site(pc);
	char *out = text[turn++ % 2];
	size_t len;

	if (!s || !s->nr_frames) {
		snprintf(out, sizeof(text[0]), "%p", pc);
		return out;
	}
	len = snprintf(out, sizeof(text[0]), "%s:%d %s",
		       base_name(s->frame[0].file), s->frame[0].line,
		       s->frame[0].function);
	for (unsigned i = 1; i < s->nr_frames && len < sizeof(text[0]); i++)
		len += snprintf(out + len, sizeof(text[0]) - len, " < %s:%d",
				s->frame[i].function, s->frame[i].line);
	return out;
}

/* ---- planted faults and intended races --------------------------------- */

bool x_site_matches(const struct x_site *s, const char *function,
		    const char *text)
{
	bool in_function = !function, has_text = false;
	char line[1024];

	for (unsigned i = 0; i < s->nr_frames; i++) {
		in_function |=
			function && !strcmp(s->frame[i].function, function);
		statement(&s->frame[i], line, sizeof(line));
		has_text |= strstr(line, text) != NULL;
	}
	return in_function && has_text;
}

bool x_is_atomic(const struct x_site *s)
{
	return !strncmp(s->op, "__tsan_atomic", 13);
}

bool x_plain_planted;

static bool can_plant(enum x_mutation m, const struct x_site *s)
{
	if (m == X_LOSE)
		return strstr(s->op, "tsan_") && strstr(s->op, "_write");
	return m != X_AS_IS && x_is_atomic(s);
}

unsigned x_plant(enum x_mutation m, const char *function, const char *text)
{
	unsigned n = 0;

	x_plain_planted = m == X_LOSE;

	for (unsigned i = 0; i < x_nr_sites; i++) {
		x_sites[i].mutation = X_AS_IS;
		if (!can_plant(m, &x_sites[i]) ||
		    !x_site_matches(&x_sites[i], function, text))
			continue;
		x_sites[i].mutation = m;
		n++;
	}
	return n;
}

bool x_deliberate(const void *pc)
{
	struct x_site *s = x_site(pc);

	if (!s)
		return false;
	if (!s->deliberate) {
		s->deliberate = -1;
		for (const struct x_known *k = x_races; k->text; k++)
			if (x_site_matches(s, k->function, k->text))
				s->deliberate = 1;
	}
	return s->deliberate > 0;
}

/* ---- coverage ---------------------------------------------------------- */

static const char *const covered_rooms[] = { "/ring/", "/sched/", "/wait/",
					     "/sync/", "/watch/", "/base/" };

static bool is_covered_room(const struct x_site *s)
{
	for (unsigned i = 0; i < URT__ARRAY_LEN(covered_rooms); i++)
		for (unsigned j = 0; j < s->nr_frames; j++)
			if (strstr(s->frame[j].file, "uring_rt/") &&
			    strstr(s->frame[j].file, covered_rooms[i]))
				return true;
	return false;
}

static const char *excuse(const struct x_site *s)
{
	for (const struct x_known *k = x_unreached; k->reason; k++) {
		if (k->text && x_site_matches(s, k->function, k->text))
			return k->reason;
		if (!k->text && strstr(s->frame[0].file, k->function))
			return k->reason;
	}
	return NULL;
}

/* Copies of one operation, inlined at many places, count as one. */
static bool same_operation(const struct x_site *a, const struct x_site *b)
{
	return a->frame[0].line == b->frame[0].line &&
	       !strcmp(a->frame[0].function, b->frame[0].function) &&
	       !strcmp(a->op, b->op);
}

/* Whether the site is the first of its copies; *hit: one of these was reached. */
static bool is_first(unsigned at, bool *hit)
{
	*hit = false;
	for (unsigned i = 0; i < x_nr_sites; i++) {
		if (!same_operation(&x_sites[i], &x_sites[at]))
			continue;
		if (i < at)
			return false;
		*hit |= x_sites[i].hits > 0;
	}
	return true;
}

int x_coverage(bool verbose)
{
	unsigned all = 0, reached = 0, excused = 0;
	bool hit;

	for (unsigned i = 0; i < x_nr_sites; i++) {
		struct x_site *s = &x_sites[i];

		if (!x_is_atomic(s) || !s->nr_frames ||
		    strstr(s->op, "signal_fence") || !is_covered_room(s) ||
		    !is_first(i, &hit))
			continue;
		all++;
		reached += hit;
		if (hit)
			continue;
		if (excuse(s)) {
			excused++;
			continue;
		}
		if (verbose)
			printf("  not reached: %s %s\n      %s\n", s->op + 7,
			       x_where((void *)s->pc),
			       x_source(s->frame[0].file, s->frame[0].line));
	}
	printf("atomic operations: %u; reached by a scenario %u, with a reason "
	       "not to be %u, neither %u\n",
	       all, reached, excused, all - reached - excused);
	return all - reached - excused;
}
