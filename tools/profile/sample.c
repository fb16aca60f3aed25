// SPDX-License-Identifier: MIT
/*
 * Threads on and off the CPU: loads bpf/profile.bpf.c, opens its perf events, and
 * turns its sums into folded stacks.
 *
 * A folded stack of a thread off the CPU consists of the thread's name, its user
 * frames, its kernel frames, and then "woken by NAME" with the frames of the waker.
 */
#define _GNU_SOURCE
#include "profile.h"
#include "../lib/privileges.h"
#include "../measure/bpf_setup.h"
#include "profile.skel.h"
#include "../../bpf/profile.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CPUS_MAX 4096

struct sampler {
	struct profile_bpf *bpf;
	struct bpf_link *link[5 + CPUS_MAX];
	unsigned links;
	int stacks, sums, off; /* descriptors of the maps */
	uint64_t lost;
};

static int attach(struct sampler *s, struct bpf_program *p)
{
	return bpf_attach(p, s->link, &s->links);
}

static int load(struct sampler *s, const struct profile_options *o)
{
	struct profile_bpf *b = s->bpf;
	int err;

	b->rodata->ns_inum = pid_namespace();
	b->rodata->want_tids = o->threads;
	b->rodata->want_children = true;
	b->rodata->period_ns = NS_PER_S / o->rate;
	err = bpf_load(b->skeleton);
	if (err)
		return err;
	s->stacks = bpf_map__fd(b->maps.stacks);
	s->sums = bpf_map__fd(b->maps.sums);
	s->off = bpf_map__fd(b->maps.off);
	err = attach(s, b->progs.on_switch);
	err = err ? err : attach(s, b->progs.on_waking);
	err = err ? err : attach(s, b->progs.on_fork);
	err = err ? err : attach(s, b->progs.on_exec);
	err = err ? err : attach(s, b->progs.on_free);
	return err ? err
		   : bpf_attach_samples(b->progs.on_sample, NS_PER_S / o->rate,
					s->link, &s->links, ARRAY_LEN(s->link));
}

struct sampler *sampler_open(const struct profile_options *o)
{
	struct sampler *s = calloc(1, sizeof(*s));
	int err = -ENOMEM;
	char why[256];

	bpf_setup();
	s->bpf = s ? profile_bpf__open() : NULL;
	if (s && s->bpf)
		err = load(s, o);
	if (!err)
		return s;
	bpf_explain(err, why, sizeof(why));
	fail("profile needs BPF and perf events: %s", why);
	sampler_close(s);
	return NULL;
}

static void detach(struct sampler *s)
{
	for (unsigned i = 0; i < s->links; i++)
		bpf_link__destroy(s->link[i]);
	s->links = 0;
}

void sampler_close(struct sampler *s)
{
	if (!s)
		return;
	detach(s);
	profile_bpf__destroy(s->bpf);
	free(s);
}

int sampler_attach(struct sampler *s, pid_t pid, bool runs)
{
	struct bpf_link *link;
	int err;

	s->bpf->bss->attach_tgid = pid;
	s->bpf->bss->attach_armed = runs;
	link = bpf_program__attach_iter(s->bpf->progs.find_sleepers, NULL);
	if (libbpf_get_error(link))
		return (int)libbpf_get_error(link);
	err = bpf_iterate(link);
	bpf_link__destroy(link);
	return err;
}

/* ---- folded stacks ---- */

static void add_stack(struct sampler *s, struct names *names,
		      char text[FRAMES_MAX], struct image image, int id)
{
	uint64_t pc[PROFILE_FRAMES] = { 0 };
	uint32_t key = id;
	unsigned n = 0;

	if (id < 0)
		return;
	if (!names_has(names, image, id) &&
	    !bpf_map_lookup_elem(s->stacks, &key, pc))
		while (n < PROFILE_FRAMES && pc[n])
			n++;
	names_stack(names, text, image, id, pc, n);
}

static const struct image kernel;

static struct image image_of(const struct profile_key *k)
{
	return (struct image){ k->tgid, k->program };
}

static struct image waker_of(const struct profile_key *k)
{
	return (struct image){ k->waker_tgid, k->waker_program };
}

/* The frames from the first one on that only interrupts pass through. The frames
 * outside of it were interrupted by chance. NULL: there is no such frame. */
static const char *interrupt_in(const char *frames)
{
	static const char *const names[] = {
		"asm_sysvec_",	"asm_common_inter",  "handle_softirqs",
		"__do_softirq", "hrtimer_interrupt", "el1h_64_irq",
		"el0t_64_irq"
	};
	const char *first = NULL, *at;

	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		at = strstr(frames, names[i]);
		if (at && (!first || at < first))
			first = at;
	}
	return first;
}

static void add_waker(struct sampler *s, struct names *names,
		      char text[FRAMES_MAX], const struct profile_key *k)
{
	char name[64], frames[FRAMES_MAX] = "";
	const char *from;

	if (!k->waker_tgid && !k->waker[0])
		return;
	add_stack(s, names, frames, kernel, k->waker_kernel);
	from = interrupt_in(frames);
	if (from) {
		frame_add(text, "woken by an interrupt", "");
	} else {
		snprintf(name, sizeof(name), "woken by %.16s", k->waker);
		frame_add(text, name, "");
		if (*frames) /* else an interrupt may have been the waker */
			add_stack(s, names, text, waker_of(k), k->waker_user);
		from = frames;
	}
	snprintf(text + strlen(text), FRAMES_MAX - strlen(text), "%s%s",
		 *from ? ";" : "", from);
}

/* asleep: the number of a thread that has not run since profiling began; or 0. */
static void fold_text(struct sampler *s, struct names *names,
		      char text[FRAMES_MAX], const struct profile_key *k,
		      pid_t asleep)
{
	char name[64];

	*text = '\0';
	if (k->tid)
		snprintf(name, sizeof(name), "%.16s (%u)", k->comm, k->tid);
	else
		snprintf(name, sizeof(name), "%.16s", k->comm);
	frame_add(text, name, "");
	if (k->user == PROFILE_NOT_SEEN &&
	    (!asleep || !asleep_add(names, text, image_of(k), asleep)))
		frame_add(text, "[slept when profiling began]", "");
	add_stack(s, names, text, image_of(k), k->user);
	add_stack(s, names, text, kernel, k->kernel);
	if (k->kind == PROFILE_OFF_CPU)
		add_waker(s, names, text, k);
}

void sampler_learn(struct sampler *s, struct names *names)
{
	struct profile_key k, *last = NULL;
	char text[FRAMES_MAX];

	while (!bpf_map_get_next_key(s->sums, last, &k)) {
		if (!names_has(names, image_of(&k), k.user) ||
		    (k.waker_user >= 0 &&
		     !names_has(names, waker_of(&k), k.waker_user)))
			fold_text(s, names, text, &k, 0);
		last = &k;
	}
}

/* Counts the waits that have not ended, up to now. */
static void finish_open(struct sampler *s, struct names *names,
			struct folds *folds, int64_t now)
{
	char text[FRAMES_MAX];
	struct profile_off o;
	uint32_t pid, *last = NULL;

	while (!bpf_map_get_next_key(s->off, last, &pid)) {
		last = &pid;
		if (bpf_map_lookup_elem(s->off, &pid, &o) ||
		    now <= (int64_t)o.since_ns)
			continue;
		o.key.waker_tgid = 0; /* it has not run since */
		o.key.waker[0] = '\0';
		fold_text(s, names, text, &o.key, o.tid);
		folds_add(folds, FOLD_OFF_CPU, text, now - o.since_ns);
	}
}

void sampler_finish(struct sampler *s, struct names *names, struct folds *folds)
{
	struct profile_key k, *last = NULL;
	struct profile_sum sum;
	char text[FRAMES_MAX];
	int64_t now = now_ns();

	detach(s);
	s->lost = s->bpf->bss->lost;
	while (!bpf_map_get_next_key(s->sums, last, &k)) {
		last = &k;
		if (bpf_map_lookup_elem(s->sums, &k, &sum))
			continue;
		fold_text(s, names, text, &k, 0);
		folds_add(folds,
			  k.kind == PROFILE_ON_CPU ? FOLD_ON_CPU : FOLD_OFF_CPU,
			  text, sum.ns);
	}
	finish_open(s, names, folds, now);
}

uint64_t sampler_lost(const struct sampler *s)
{
	return s->lost;
}
