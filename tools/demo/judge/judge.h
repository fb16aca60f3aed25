/* SPDX-License-Identifier: MIT */
/* The conclusions from the measurements. */
#ifndef URT_DEMO_JUDGE_H
#define URT_DEMO_JUDGE_H

#include "../results.h"

/* Fills in all conclusions: claims, table, advice, warnings. */
void demo_judge(struct demo *);
/* --assert: 0, EXIT_BAD (an invalid assertion) or EXIT_ASSERT (one does not
 * hold); a message was printed. */
int demo_assert(const struct demo *);

/* ---- its parts ---- */

void judge_table(struct demo *);
void judge_advice(struct demo *);
void judge_choice(struct demo *);
void judge_bounds(struct demo *);
void judge_warnings(struct demo *);

void judge_headline(struct demo_claim *);

/* ---- the judges of the claims: each fills in one ---- */

/* A figure by a printf-formatted name. */
void claim_figure(struct demo_claim *, double value, const char *name, ...)
	__attribute__((format(printf, 3, 4)));

/* Appends to its text. */
void claim_say(struct demo_claim *, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* A cell of its table, by model and the head of the column, which are added if
 * they are new. */
void claim_cell(struct demo_claim *, const struct model *, const char *column,
		const char *format, ...) __attribute__((format(printf, 4, 5)));

void claim_not_measured(struct demo_claim *, const char *reason, ...)
	__attribute__((format(printf, 2, 3)));
void claim_judge(struct demo_claim *, bool holds);

void judge_switch_enters_no_kernel(const struct demo *, struct demo_claim *);
void judge_switch_is_cheap(const struct demo *, struct demo_claim *);
void judge_waiting_holds_no_thread(const struct demo *, struct demo_claim *);
void judge_threads_collapse(const struct demo *, struct demo_claim *);
void judge_captured_bytes(const struct demo *, struct demo_claim *);
void judge_cpu_freezes_loops(const struct demo *, struct demo_claim *);
void judge_uses_all_cpus(const struct demo *, struct demo_claim *);
void judge_kernel_per_request(const struct demo *, struct demo_claim *);
void judge_kernel_by_load(const struct demo *, struct demo_claim *);
void judge_many_sleepers(const struct demo *, struct demo_claim *);

#endif
