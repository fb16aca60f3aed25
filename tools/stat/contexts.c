// SPDX-License-Identifier: MIT
/*
 * --by context: where the counted processes have their contexts. Any of them may
 * announce contexts at any time: the ones given, their descendants, and what
 * they execute. The BPF programs number each image of a process; this looks into
 * it at once, then every 20 ms, then less often the longer it has announced
 * none. What it did before it was found is in the row "none". One call looks for a
 * bounded time, and the next call goes on with the next process.
 */
#define _GNU_SOURCE
#include "session.h"
#include "../measure/context_find.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#define LOOK_NS	  (20 * NS_PER_MS)
#define SELDOM_NS NS_PER_S
#define CALL_NS	  (200 * NS_PER_MS)
#define AGE_SHARE 4 /* wait for this part of the time since the first look */

struct session_image {
	pid_t pid;
	uint32_t number;
	int64_t since_ns, look_ns;
	bool found;
};

static void add(struct session *s, pid_t pid)
{
	int64_t now = now_ns();
	struct session_image *i;
	size_t n = 0;

	while (n < s->images && s->image[n].pid != pid)
		n++; /* it has executed another program */
	if (n == s->images) {
		i = realloc(s->image, (n + 1) * sizeof(*i));
		if (!i)
			return;
		s->image = i;
		s->images++;
	}
	s->image[n] = (struct session_image){ .pid = pid,
					      .number = s->image_seen,
					      .since_ns = now,
					      .look_ns = now };
}

static void look(struct session *s, struct session_image *i, int64_t now)
{
	int64_t rest = (now - i->since_ns) / AGE_SHARE;
	struct urt_by_where w;

	if (!i->found &&
	    context_find(i->pid, s->o->by_key, &w, s->by_key, sizeof(s->by_key),
			 s->by_why, sizeof(s->by_why))) {
		w.number = i->number;
		i->found = !counter_by_where(s->counter, i->pid, &w);
		s->by_found |= i->found;
	}
	if (i->found || rest > SELDOM_NS)
		rest = SELDOM_NS;
	i->look_ns = now + (rest > LOOK_NS ? rest : LOOK_NS);
}

void session_find_contexts(struct session *s)
{
	int64_t now;
	pid_t pid;

	if (!*s->by_why)
		snprintf(s->by_why, sizeof(s->by_why),
			 "no process that was counted for %d ms "
			 "announces contexts of threads",
			 (int)(LOOK_NS / NS_PER_MS));
	if (!s->by_requests)
		s->by_requests = stat_requests_new();
	stat_requests_take(s->by_requests, s->counter, false);
	while ((pid = counter_by_started(s->counter, &s->image_seen)))
		add(s, pid);
	now = now_ns();
	for (size_t n = s->images; n && now_ns() < now + CALL_NS; n--) {
		struct session_image *image;

		if (s->image_next >= s->images)
			s->image_next = 0;
		image = &s->image[s->image_next];

		if (image->look_ns <= now && kill(image->pid, 0) &&
		    errno == ESRCH) {
			counter_by_ended(s->counter, image->pid);
			/* the last one takes its place */
			*image = s->image[--s->images];
			continue;
		}
		if (image->look_ns <= now)
			look(s, image, now);
		s->image_next++;
	}
	s->by_at = now_ns() + LOOK_NS;
}
