// SPDX-License-Identifier: MIT
/* The end of the text for people: tables over all models, verdicts, advice. */
#define _GNU_SOURCE
#include "print.h"
#include <math.h>
#include <string.h>

static void print_table(FILE *f, const struct demo *d)
{
	fprintf(f, "\nUnit of scheduling, measured\n  %-36s", "");
	for (unsigned i = 0; i < d->options.nr_models; i++)
		if (!model_is(d->options.model[i],
			      MODEL_CPU_VARIANT | MODEL_STEP))
			fprintf(f, " %14s", d->options.model[i]->name);
	fputc('\n', f);
	for (unsigned row = 0; row < TABLE_ROWS; row++) {
		fprintf(f, "  %-36s", d->table[row].name);
		for (unsigned i = 0; i < d->options.nr_models; i++) {
			const struct model *m = d->options.model[i];

			if (model_is(m, MODEL_CPU_VARIANT | MODEL_STEP))
				continue;
			fprintf(f, " %14s", d->table[row].cell[i]);
		}
		fputc('\n', f);
	}
}

/* Breaks at blanks, so that lines have at most 100 columns. */
static void print_folded(FILE *f, const char *indent, const char *text)
{
	size_t room = 100 - strlen(indent);

	while (*text) {
		size_t len = strlen(text);

		if (len > room) {
			len = room;
			while (len && text[len] != ' ')
				len--;
			if (!len)
				len = room;
		}
		fprintf(f, "%s%.*s\n", indent, (int)len, text);
		text += len;
		text += *text == ' ';
	}
}

static void print_claims(FILE *f, const struct demo *d)
{
	fputs("\nClaims\n", f);
	for (int i = 0; i < DEMO_CLAIMS; i++) {
		const struct demo_claim *c = &d->claim[i];

		if (!demo_wants(d, i + 1))
			continue;
		fprintf(f, "  %d. %s: %s\n", c->id, c->text,
			demo_verdict_names[c->verdict]);
		if (*c->headline)
			print_folded(f, "     ", c->headline);
		if (c->verdict == CLAIM_NOT_MEASURED)
			print_folded(f, "     ", c->reason);
		print_folded(f, "     ", c->measured);
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

static void print_choice(FILE *f, const struct demo *d)
{
	const struct demo_choice *c = &d->choice;

	if (!c->measured)
		return;
	fprintf(f, "\nNode or Go? (*: the best)\n  %-35s", "");
	for (unsigned m = 0; m < CHOICE_MODELS; m++)
		fprintf(f, " %12s", c->model[m]->name);
	for (unsigned i = 0; i < CHOICE_ROWS; i++) {
		const struct demo_choice_row *r = &c->row[i];

		fprintf(f, "\n  %-35s", r->name);
		for (unsigned m = 0; m < CHOICE_MODELS; m++) {
			char b[16];

			fprintf(f, "%12s%s", print_cell(b, r->value[m]),
				r->value[m] == r->best ? "*" : " ");
		}
	}
	fputc('\n', f);
	for (unsigned i = 0; i < CHOICE_CASES; i++)
		print_folded(f, "  ", c->sentence[i]);
}

void print_conclusions(FILE *f, const struct demo *d)
{
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
		fprintf(f, "warning: %s\n", d->warning[i]);
	if (d->interrupted)
		fputs("Interrupted: these are the results until then.\n", f);
	fprintf(f, "%.0f s in all.\n", (d->end_ns - d->begin_ns) / 1e9);
}
