// SPDX-License-Identifier: MIT
/*
 * Prints the result of `urt profile`: a list of the heaviest stacks, folded stacks
 * for flamegraph.pl, a page that draws them, or pprof's form (pprof.c). Names have
 * no ';' and no control characters (names.c). In the page they are JSON, in which
 * '<' is always escaped, so that no name can end the script.
 */
#include "profile.h"
#include "../lib/embed.h"
#include "../lib/output.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define LINES	     12 /* of a stack in the list, at most */
#define KERNEL_LINES 3	/* ... of the kernel's frames, at most */

static const char *const kinds[] = { "on-cpu", "off-cpu", "coroutines" };

enum profile_form profile_form(const char *path)
{
	static const struct {
		const char *ending;
		enum profile_form form;
	} forms[] = { { ".folded", PROFILE_FOLDED },
		      { ".html", PROFILE_HTML },
		      { ".pb.gz", PROFILE_PPROF },
		      { ".pprof", PROFILE_PPROF } };
	size_t len = path ? strlen(path) : 0;

	for (unsigned i = 0; i < ARRAY_LEN(forms); i++) {
		size_t n = strlen(forms[i].ending);

		if (len > n && !strcmp(path + len - n, forms[i].ending))
			return forms[i].form;
	}
	return PROFILE_TEXT;
}

/* The value in the unit that is printed: us, or coroutines per look. */
static double value_of(const struct profile *p, enum fold_kind kind,
		       uint64_t value)
{
	if (kind == FOLD_CORO)
		return p->looks ? (double)value / p->looks : 0;
	return value / 1e3;
}

/* Rounds; at least 1, so that no stack vanishes. */
static uint64_t whole(double value)
{
	return value < 1 ? 1 : (uint64_t)(value + 0.5);
}

/* ---- the list ---- */

static const char waker_mark[] = "woken by ";

static bool is_kernel(const char *frame, size_t n)
{
	return n > 4 && !memcmp(frame + n - 4, "_[k]", 4);
}

/* Each switch off the CPU and each wake-up passes through these functions, so they
 * tell nothing. */
static bool is_way_off(const char *frame)
{
	return !strncmp(frame, "__schedule_[", 12) ||
	       !strncmp(frame, "schedule_[", 10) ||
	       !strncmp(frame, "try_to_wake_up_[", 16);
}

/* Prints the frames [from, end), innermost first as in a debugger; of the kernel's
 * frames, only the innermost few. */
static void print_frames(FILE *f, const char *from, const char *end, int indent)
{
	unsigned lines = 0, of_kernel = 0;
	const char *at;

	for (; end > from; end = at > from ? at - 1 : from) {
		for (at = end; at > from && at[-1] != ';'; at--)
			;
		if (is_kernel(at, end - at) &&
		    (is_way_off(at) || of_kernel++ >= KERNEL_LINES))
			continue;
		if (lines++ == LINES) {
			fprintf(f, "%*s...\n", indent, "");
			return;
		}
		fprintf(f, "%*s%.*s\n", indent, "", (int)(end - at), at);
	}
}

/* Prints the thread's own frames, then those of the thread that woke it. */
static void print_stack(FILE *f, const char *frames)
{
	const char *waker = strstr(frames, waker_mark), *end;

	if (!waker || waker == frames || waker[-1] != ';') {
		print_frames(f, frames, frames + strlen(frames), 20);
		return;
	}
	print_frames(f, frames, waker - 1, 20);
	end = waker + strcspn(waker, ";");
	fprintf(f, "%*s%.*s\n", 18, "", (int)(end - waker), waker);
	if (*end)
		print_frames(f, end + 1, end + strlen(end), 20);
}

static void print_kind(FILE *f, const struct profile *p, enum fold_kind kind)
{
	static const char *const titles[] = {
		"on the CPU: %.3f s, by samples\n",
		"off the CPU: %.3f s, summed over all threads\n",
		"coroutines: %.0f, the mean of %u looks\n",
	};
	uint64_t sum = folds_sum(p->folds, kind);
	double total = value_of(p, kind, sum);
	const struct fold *fold;
	size_t n;

	fold = folds_sorted(p->folds, kind, &n);
	fputc('\n', f);
	if (kind == FOLD_CORO)
		fprintf(f, titles[kind], total, p->looks);
	else
		fprintf(f, titles[kind], total / 1e6);
	for (size_t i = 0; i < n && (!p->o->limit || i < (size_t)p->o->limit);
	     i++) {
		double v = value_of(p, kind, fold[i].value);

		if (kind == FOLD_CORO)
			fprintf(f, "\n  %9.1f", v);
		else
			fprintf(f, "\n  %9.3f s", v / 1e6);
		fprintf(f, "  %5.1f %%\n", 100.0 * fold[i].value / sum);
		print_stack(f, fold[i].frames);
	}
	if (p->o->limit && n > (size_t)p->o->limit)
		fprintf(f, "\n  and %zu more stacks (--limit 0)\n",
			n - p->o->limit);
	if (folds_other(p->folds, kind))
		fprintf(f, "\n  and %.1f %% in stacks that found no room\n",
			100.0 * folds_other(p->folds, kind) / sum);
}

static void print_text(FILE *f, const struct profile *p)
{
	fprintf(f, "\n urt profile: %s   (%.3f s)\n", p->title,
		p->wall_ns / 1e9);
	print_kind(f, p, FOLD_ON_CPU);
	print_kind(f, p, FOLD_OFF_CPU);
	if (p->looks)
		print_kind(f, p, FOLD_CORO);
	if (p->lost)
		fprintf(f, "\n  LOST: %" PRIu64 " events found no room\n",
			p->lost);
	fputc('\n', f);
}

/* ---- folded ---- */

static void print_folded(FILE *f, const struct profile *p)
{
	for (int kind = 0; kind < FOLD_KINDS; kind++) {
		const struct fold *fold;
		uint64_t other = folds_other(p->folds, kind);
		size_t n;

		fold = folds_sorted(p->folds, kind, &n);
		for (size_t i = 0; i < n; i++)
			fprintf(f, "%s;%s %" PRIu64 "\n", kinds[kind],
				fold[i].frames,
				whole(value_of(p, kind, fold[i].value)));
		if (other)
			fprintf(f, "%s;[other] %" PRIu64 "\n", kinds[kind],
				whole(value_of(p, kind, other)));
	}
	if (p->lost)
		fprintf(f, "lost;[events] %" PRIu64 "\n", p->lost);
}

/* ---- the page ---- */

static void quote(FILE *f, const char *text)
{
	fputc('"', f);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\' || *text == '<' ||
		    *text == '>' || *text == '&' || (unsigned char)*text < 32)
			fprintf(f, "\\u%04x", (unsigned char)*text);
		else
			fputc(*text, f);
	}
	fputc('"', f);
}

static void page_data(FILE *f, const struct profile *p)
{
	fputs("{\"title\":", f);
	quote(f, p->title);
	fprintf(f, ",\"seconds\":%.3f,\"lost\":%" PRIu64 ",\"kinds\":[",
		p->wall_ns / 1e9, p->lost);
	for (int kind = 0; kind < FOLD_KINDS; kind++) {
		const struct fold *fold;
		size_t n;

		fold = folds_sorted(p->folds, kind, &n);
		fprintf(f, "%s{\"name\":\"%s\",\"unit\":\"%s\",\"stacks\":[",
			kind ? "," : "", kinds[kind],
			kind == FOLD_CORO ? "" : "us");
		for (size_t i = 0; i < n; i++) {
			fputs(i ? ",\n[" : "\n[", f);
			quote(f, fold[i].frames);
			fprintf(f, ",%.1f]", value_of(p, kind, fold[i].value));
		}
		fputs("]}", f);
	}
	fputs("]}", f);
}

static void print_page(FILE *f, const struct profile *p)
{
	const char *rest = embedded_begin(f, "profile/page.html");

	page_data(f, p);
	fputs(rest, f);
}

int profile_print(FILE *f, const char *name, const struct profile *p,
		  enum profile_form form)
{
	errno = 0;
	if (form == PROFILE_PPROF)
		return profile_print_pprof(f, p) ? 0 : output_failed(f, name);
	if (form == PROFILE_FOLDED)
		print_folded(f, p);
	else if (form == PROFILE_HTML)
		print_page(f, p);
	else
		print_text(f, p);
	return output_flush(f, name);
}
