// SPDX-License-Identifier: MIT
/* The end of the text for people: tables over all models, verdicts, advice. */
#define _GNU_SOURCE
#include "print.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NAME_COLUMNS 38
#define CELL_COLUMNS 15

/* For the models that have a column of their own. */
static void print_cells(FILE *f, const struct demo *d, const unsigned *model,
			unsigned n)
{
	fprintf(f, "  %-36s", "");
	for (unsigned i = 0; i < n; i++)
		fprintf(f, " %14s", d->options.model[model[i]]->name);
	fputc('\n', f);
	for (unsigned row = 0; row < TABLE_ROWS; row++) {
		fprintf(f, "  %-36s", d->table[row].name);
		for (unsigned i = 0; i < n; i++)
			fprintf(f, " %14s", d->table[row].cell[model[i]]);
		fputc('\n', f);
	}
}

/* As many models side by side as there is room for. */
static void print_table(FILE *f, const struct demo *d)
{
	unsigned *shown = calloc(d->options.nr_models, sizeof(*shown));
	unsigned width = print_width(f), n = 0;
	unsigned room = width > NAME_COLUMNS + 2 * CELL_COLUMNS
				? (width - NAME_COLUMNS) / CELL_COLUMNS
				: 2;

	if (!shown)
		abort();
	for (unsigned i = 0; i < d->options.nr_models; i++)
		if (!model_is(d->options.model[i],
			      MODEL_CPU_VARIANT | MODEL_STEP))
			shown[n++] = i;
	fputs("\nUnit of scheduling, measured\n", f);
	for (unsigned i = 0; i < n; i += room) {
		if (i)
			fputc('\n', f);
		print_cells(f, d, shown + i, n - i < room ? n - i : room);
	}
	free(shown);
}

static void print_claim_text(FILE *f, const struct demo_claim *c)
{
	char *line, number[16];

	snprintf(number, sizeof(number), "  %d. ", c->id);
	if (asprintf(&line, "%s: %s", c->text, demo_verdict_names[c->verdict]) <
	    0)
		abort();
	print_hanging(f, number, "     ", line);
	free(line);
}

#define EVIDENCE_NAME 20 /* columns of the models' names, indent included */

static int evidence_columns(const struct demo_evidence *e, unsigned column)
{
	size_t most = strlen(e->column[column]);

	for (unsigned i = 0; i < e->nr_rows; i++)
		if (strlen(e->row[i].cell[column]) > most)
			most = strlen(e->row[i].cell[column]);
	return most < 4 ? 5 : most + 1;
}

/* As many columns as there is room for, the rest below them. */
static void print_evidence(FILE *f, const struct demo_evidence *e)
{
	unsigned width = print_width(f), from = 0, to, room;

	for (; from < e->nr_columns; from = to) {
		room = EVIDENCE_NAME;
		for (to = from; to < e->nr_columns; to++) {
			room += evidence_columns(e, to);
			if (room > width && to > from)
				break;
		}
		fprintf(f, "%*s", EVIDENCE_NAME, "");
		for (unsigned k = from; k < to; k++)
			fprintf(f, "%*s", evidence_columns(e, k), e->column[k]);
		for (unsigned i = 0; i < e->nr_rows; i++) {
			fprintf(f, "\n     %-15s", e->row[i].model->name);
			for (unsigned k = from; k < to; k++)
				fprintf(f, "%*s", evidence_columns(e, k),
					*e->row[i].cell[k] ? e->row[i].cell[k]
							   : "n/a");
		}
		fputc('\n', f);
	}
}

static void print_claims(FILE *f, const struct demo *d)
{
	fputs("\nClaims\n", f);
	for (int i = 0; i < DEMO_CLAIMS; i++) {
		const struct demo_claim *c = &d->claim[i];

		if (!demo_wants(d, i + 1))
			continue;
		print_claim_text(f, c);
		if (*c->headline)
			print_folded(f, "     ", c->headline);
		if (c->verdict == CLAIM_NOT_MEASURED)
			print_folded(f, "     ", c->reason);
		print_folded(f, "     ", c->measured);
		print_evidence(f, &c->evidence);
	}
}

static void print_advice(FILE *f, const struct demo *d)
{
	fputs("\nWhen to pick which, by these figures\n", f);
	for (unsigned i = 0; i < ADVICE_PARTS; i++) {
		fprintf(f, "  %s\n", d->advice[i].name);
		print_folded(f, "     ", d->advice[i].text);
	}
}

static int choice_columns(const struct demo_choice *c, unsigned m)
{
	int len = strlen(c->model[m]->name);

	return len > 8 ? len : 8;
}

static void print_choice(FILE *f, const struct demo *d)
{
	const struct demo_choice *c = &d->choice;

	if (!c->measured)
		return;
	fprintf(f, "\nNode or Go? (*: the best)\n  %-34s", "");
	for (unsigned m = 0; m < CHOICE_MODELS; m++)
		fprintf(f, "%*s ", choice_columns(c, m), c->model[m]->name);
	for (unsigned i = 0; i < CHOICE_ROWS; i++) {
		const struct demo_choice_row *r = &c->row[i];

		fprintf(f, "\n  %-34s", r->name);
		for (unsigned m = 0; m < CHOICE_MODELS; m++) {
			char b[16];

			fprintf(f, "%*s%s", choice_columns(c, m),
				print_cell(b, r->value[m]),
				r->value[m] == r->best ? "*" : " ");
		}
	}
	fputc('\n', f);
	for (unsigned i = 0; i < CHOICE_CASES; i++)
		print_folded(f, "  ", c->sentence[i]);
}

static void print_bounds(FILE *f, const struct demo *d)
{
	if (!demo_has_bounds(d))
		return;
	fputs("\nBounds of the model coroutine\n", f);
	for (unsigned i = 0; i < BOUNDS; i++) {
		const struct demo_bound *b = &d->bound[i];
		char t[4][16];

		fprintf(f, "  %s: %s %s\n     %s", b->name,
			b->at_least ? "at least" : "at most",
			print_cell(t[0], b->limit), print_cell(t[1], b->value));
		if (!isnan(b->low))
			fprintf(f, " (%s to %s)", print_cell(t[2], b->low),
				print_cell(t[3], b->high));
		fprintf(f, "%s%s, of %llu: %s\n", *b->unit ? " " : "", b->unit,
			(unsigned long long)b->samples,
			demo_verdict_names[b->verdict]);
	}
}

void print_conclusions(FILE *f, const struct demo *d)
{
	print_bounds(f, d);
	print_choice(f, d);
	if (!d->options.only)
		print_table(f, d);
	print_claims(f, d);
	if (!d->options.only)
		print_advice(f, d);
	fputc('\n', f);
	if (!isnan(d->most_load_cpu))
		fprintf(f,
			"The load generator took at most %.0f %% of its "
			"CPU.\n",
			d->most_load_cpu * 100);
	for (unsigned i = 0; i < d->nr_warnings; i++)
		print_hanging(f, "warning: ", "         ", d->warning[i]);
	if (d->interrupted)
		fputs("Interrupted: these are the results so far.\n", f);
	fprintf(f, "%.0f s in all.\n", (d->end_ns - d->begin_ns) / 1e9);
}
