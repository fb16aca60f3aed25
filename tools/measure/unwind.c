// SPDX-License-Identifier: MIT
/*
 * Walking stacks from outside: by .eh_frame (cfi.c), and by the frame pointer
 * for functions without tables, or with rules that are not followed.
 *
 * The rule for a program counter is searched for once. Coroutines wait in a few
 * places, so a million stacks need some dozen rules, and a stack costs one
 * table look-up per frame.
 *
 * Any program may have written this input: a frame must lie above the previous
 * one, and there are at most UNWIND_FRAMES.
 */
#include "unwind.h"
#include "cfi.h"
#include <stdlib.h>
#include <string.h>

#define RULES	 4096 /* power of two */
#define BIT(reg) (UINT64_C(1) << (reg))

/* What is known of a program counter. */
struct place {
	uint64_t pc; /* 0: a free place */
	bool found;  /* else the frame pointer is followed */
	struct cfi_rule rule;
};

struct unwind {
	struct modules *modules;
	struct place place[RULES];
};

struct unwind *unwind_new(struct modules *m)
{
	struct unwind *u = calloc(1, sizeof(*u));

	if (u)
		u->modules = m;
	return u;
}

void unwind_free(struct unwind *u)
{
	free(u);
}

/* pc lies inside its function, so for a caller it is 1 less than the return
 * address. */
static const struct place *place_of(struct unwind *u, uint64_t pc)
{
	uint64_t hash = pc * UINT64_C(0x9E3779B97F4A7C15) >> 52;
	struct place *p = NULL;

	for (unsigned i = 0; i < 8; i++) {
		p = &u->place[(hash + i) % RULES];
		if (p->pc == pc)
			return p;
		if (!p->pc)
			break;
	}
	*p = (struct place){ 0 };
	p->found = cfi_find(u->modules, pc, &p->rule);
	p->pc = pc;
	return p;
}

static bool word_at(const struct unwind_stack *s, uint64_t at, uint64_t *out)
{
	uint64_t i = at - s->from;

	if (at < s->from || s->size < 8 || i > s->size - 8)
		return false;
	memcpy(out, s->bytes + i, 8);
	return true;
}

struct frame {
	uint64_t reg[CFI_REGS];
	uint64_t known; /* BIT of each register */
};

/* Steps to the caller; false: there is none (*end), or it cannot be found. */
static bool by_rule(const struct cfi_rule *r, const struct unwind_stack *s,
		    struct frame *f, bool *end)
{
	struct frame up = *f;
	uint64_t cfa;

	if (!(f->known >> r->cfa_reg & 1))
		return false;
	cfa = f->reg[r->cfa_reg] + (int64_t)r->cfa_off;
	if (cfa <= f->reg[CFI_SP] || cfa > s->from + s->size)
		return false;
	if (r->how[CFI_RA] == CFI_UNKNOWN) {
		*end = true;
		return false;
	}
	for (unsigned i = 0; i < CFI_REGS; i++) {
		if (r->how[i] == CFI_UNKNOWN)
			up.known &= ~BIT(i);
		else if (r->how[i] == CFI_AT_CFA &&
			 word_at(s, cfa + (int64_t)r->off[i], &up.reg[i]))
			up.known |= BIT(i);
		else if (r->how[i] == CFI_AT_CFA)
			return false;
	}
	up.reg[CFI_SP] = cfa;
	up.known |= BIT(CFI_SP);
	*f = up;
	return up.known >> CFI_RA & 1;
}

static bool by_frame_pointer(const struct unwind_stack *s, struct frame *f)
{
	uint64_t fp = f->reg[CFI_FP], ra, up;

	if (!(f->known >> CFI_FP & 1) || fp < f->reg[CFI_SP] || fp % 8 ||
	    !word_at(s, fp, &up) || !word_at(s, fp + 8, &ra))
		return false;
	f->known = BIT(CFI_FP) | BIT(CFI_SP) | BIT(CFI_RA);
	f->reg[CFI_FP] = up;
	f->reg[CFI_SP] = fp + 16;
	f->reg[CFI_RA] = ra;
	return true;
}

unsigned unwind(struct unwind *u, const struct unwind_stack *s,
		uint64_t pc[UNWIND_FRAMES], bool *whole)
{
	struct frame f = { .known = BIT(CFI_FP) | BIT(CFI_SP) };
	uint64_t at = s->pc;
	unsigned n = 0;

	f.reg[CFI_FP] = s->fp;
	f.reg[CFI_SP] = s->sp;
	*whole = false;
	while (n < UNWIND_FRAMES && at) {
		const struct place *p = place_of(u, n ? at - 1 : at);

		pc[n++] = at;
		if (!(p->found ? by_rule(&p->rule, s, &f, whole)
			       : by_frame_pointer(s, &f)))
			break;
		at = f.reg[CFI_RA];
	}
	return n;
}
