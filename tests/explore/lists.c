// SPDX-License-Identifier: MIT
/*
 * What is known of places in the source: races that are meant, operations that no
 * scenario reaches, and faults to plant, each named by a text in its line.
 */
#include "lists.h"
#include "explore_in.h"

const struct x_known x_races[] = {
	{ 0 },
};

#define REPORTS "reports of the state as it is just then, for people"
#define ALONE	"before the other threads are there, or after they have ended"
#define THERE	"threads of workers begin and end; in scenarios they are there"
#define TOLD	"tracing: written by one thread; readers: trace_read_against_write"
#define SIGNAL \
	"flags of the signal handler; what it leads to: preempted_goes_on"
#define GUESS	"a guess, made anew at the next look; either answer is safe"
#define FIGURE	"a measurement for people: one that is lost changes no run"
#define RETURNS "after seconds without need; in the model no memory returns"
#define OWN	"what the calling thread or coroutine alone changes"
#define AGAIN	"the wait that follows looks again"
#define KERNELS "the other side is the kernel"
#define ANYTIME \
	"decides when to hand off, relieve or ask: scenarios do so at any time"
#define AT_ONCE \
	"the model's time stands while a thread runs, so no worker wakes just then"
#define ONE_MORE "wakes a worker too many at worst, which sleeps again"

const struct x_known x_unreached[] = {
	{ "watch/report.c", NULL, REPORTS },
	{ "say_stall", "", REPORTS },
	{ "trace", "urt__rt", REPORTS },
	{ "say_limit", "", REPORTS },
	{ "watch/check.c", NULL, REPORTS },
	{ "watch/start.c", NULL, ALONE },
	{ "watch/threads.c", NULL, THERE },
	{ "base/stats.c", NULL, ALONE },
	{ "base/announce.c", NULL, ALONE },
	{ "watch/outside.c", NULL, ALONE },
	{ "urt__trace_open", "", ALONE },
	{ "urt__monitor_start", "", ALONE },
	{ "urt__monitor_forget", "", ALONE },
	{ "urt__fds_open", "", ALONE },
	{ "urt__lend_close", "", ALONE },
	{ "urt__worker_init", "", ALONE },
	{ "thread_is", "", ALONE },
	{ "find_objects", "", ALONE },
	{ "sched/trace.c", NULL, TOLD },
	{ "urt__trace_write", "", TOLD },
	{ "trace_stop", "", TOLD },
	{ "trace_go_on", "", TOLD },
	{ "urt__trace_look", "", TOLD },
	{ "watch/preempt.c", NULL, SIGNAL },
	{ "urt__runq_peek", "", "a prefetch, in runs of one processor" },
	{ "urt_chan_len", "", "a number that may be old" },
	{ "wait/local.c", NULL,
	  "keys are made once, values are a coroutine's" },
	{ "urt__fd_kind", "", "a guess, asked anew if it is not there" },
	{ "urt__was_closed", "", OWN },
	{ "sched/exceptions.c", NULL, OWN },
	{ "wait_in_slices", "", AGAIN },
	{ "by_call", "", AGAIN },
	{ "tell_workers", "", TOLD },
	{ "begin", "urt__rt.contexts", TOLD },
	{ "sched/probe.c", NULL, FIGURE },
	{ "urt__probe_given", "", FIGURE },
	{ "hand_off", "urt__rt", ANYTIME },
	{ "hear", "", ANYTIME },
	{ "see_to_stuck", "", ANYTIME },
	{ "cpu_time_ns", "", ANYTIME },
	{ "look_at_queues", "", ONE_MORE },
	{ "look_at_all", "global_len", ONE_MORE },
	{ "look_again", "", ONE_MORE },
	{ "tick_ns", "monitor_asleep, 0", AT_ONCE },
	{ "watch/told.c", NULL, KERNELS },
	{ "urt__fresh_share", "", GUESS },
	{ "note_waiting", "", GUESS },
	{ "urt__wake_hint", "", GUESS },
	{ "has_work", "", GUESS },
	{ "urt__pool_tidy", "", RETURNS },
	{ "urt__pool_take", "", RETURNS },
	{ "inbox_claim", "c->in_inbox, false", RETURNS },
	{ "inbox_claim", "while (atomic_load(&c->op_worker))", RETURNS },
	{ "urt__context_inherit", "", "by an owner, so that there is one" },
	{ "give_turns", "w->hogging", GUESS },
	{ "file_call", "", "a read's steps, for what the model has not" },
	{ "urt__ring_serve", "", "the model has no overflow" },
	{ 0 },
};

const struct x_fault x_faults[] = {
	/* sched/runq.h */
	{ "runq_is_stolen_from", X_RELAX, "urt__runq_push",
	  "atomic_store_explicit(&q->tail" },
	{ "runq_is_stolen_from", X_HOLD, "urt__runq_push",
	  "atomic_store_explicit(&q->slot" },
	{ "runq_two_thieves", X_SPLIT, "urt__runq_take",
	  "atomic_compare_exchange_weak_explicit" },
	{ "runq_is_stolen_from", X_RELAX, "urt__runq_take",
	  "atomic_load_explicit(&q->tail, memory_order_acquire)" },
	{ "runq_is_stolen_from", X_RELAX, "urt__runq_take",
	  "atomic_compare_exchange_weak_explicit" },
	/* sched/coro.h */
	{ "claim_against_claim", X_SPLIT, "urt__claim",
	  "atomic_compare_exchange_strong_explicit" },
	{ "claim_sees_the_parker", X_RELAX, "urt__claim",
	  "atomic_compare_exchange_strong_explicit" },
	{ "claim_sees_the_parker", X_RELAX, "parks", "atomic_store_explicit" },
	{ "join_against_end", X_RELAX, "commit_exit",
	  "atomic_compare_exchange_strong_explicit" },
	{ "join_against_end", X_SPLIT, "commit_exit",
	  "atomic_exchange(&c->joiner" },
	{ "join_against_end", X_DROP, "commit_join", "atomic_thread_fence" },
	{ "join_given_up", X_SPLIT, "join_park",
	  "atomic_compare_exchange_strong(&c->joiner, &other, NULL)" },
	/* base/lock.h */
	{ "chan_rendezvous", X_SPLIT, "urt_chan_send",
	  "__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE)" },
	{ "chan_rendezvous", X_RELAX, "urt_chan_send",
	  "__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE)" },
	{ "chan_rendezvous", X_RELAX, NULL, "__atomic_store_n(lock, 0" },
	/* sched/sched.c */
	{ "chan_rendezvous", X_HOLD, "publish",
	  "atomic_store_explicit(&c->park" },
	{ "cancel_against_park", X_DROP, NULL, "membarrier(2)" },
	{ "cancel_against_park", X_DROP, "publish",
	  "atomic_store_explicit(&c->park" },
	/* sync/ */
	{ "mutex_of_two", X_SPLIT, "cas", "__atomic_compare_exchange_n" },
	{ "mutex_of_two", X_RELAX, "cas", "__atomic_compare_exchange_n" },
	{ "mutex_hand_over", X_DROP, "clear_bits", "__atomic_fetch_and" },
	{ "once_of_two", X_RELAX, "urt_once_do",
	  "__atomic_store_n(&o->state, DONE, __ATOMIC_RELEASE)" },
	{ "once_of_two", X_RELAX, "urt_once_do",
	  "__atomic_load_n(&o->state, __ATOMIC_ACQUIRE)" },
	{ "waitgroup_is_freed", X_SPLIT, "urt_waitgroup_wait",
	  "__atomic_fetch_or(&wg->state" },
	{ "waitgroup_is_freed", X_SPLIT, "add", "__atomic_add_fetch" },
	{ "sem_post_against_wait", X_SPLIT, "urt_sem_post",
	  "__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE)" },
	{ "cond_with_its_mutex", X_DROP, "urt_cond_wait",
	  "__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE)" },
	{ "rwlock_of_three", X_SPLIT, "urt_rwlock_wrlock",
	  "__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE)" },
	{ "barrier_of_two", X_SPLIT, "urt_barrier_wait",
	  "__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE)" },
	{ "select_against_two_senders", X_SPLIT, "lock_all",
	  "__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE)" },
	/* wait/ */
	{ "scope_close_against_end", X_SPLIT, "urt__scope_ended",
	  "__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE)" },
	{ "close_against_begin", X_SPLIT, "urt__fd_list",
	  "__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE)" },
	{ "cancel_against_read", X_DROP, NULL, "membarrier(2)" },
	{ "behalf_of_a_thread", X_RELAX, "finish",
	  "atomic_store_explicit(done, 1" },
	{ "blocking_call_returns", X_DROP, "urt_blocking_until",
	  "atomic_fetch_add(&urt__rt.blocking" },
	/* sched/idle.c */
	{ "post_against_sleep", X_RELAX, "urt__post",
	  "atomic_fetch_add(&urt__rt.global_len" },
	/* sched/handoff.c */
	{ "handoff_against_enter", X_DROP, "while_out",
	  "atomic_fetch_or(&from->word.attention" },
	{ "handoff_against_enter", X_RELAX, "urt__leave",
	  "atomic_store_explicit" },
	{ "handoff_against_enter", X_RELAX, "where", "atomic_load_explicit" },
	{ "relieve_against_enter", X_DROP, NULL, "membarrier(2)" },
	/* sched/cancel.c; a load that is left out reads 0: OUT */
	{ "relieve_against_submit", X_DROP, "is_entering", "w->word.where" },
	{ "relieve_against_pause", X_DROP, "is_entering", "w->word.where" },
	{ "relieve_against_row", X_DROP, NULL, "membarrier(2)" },
	{ "deadline_against_handoff", X_DROP, NULL,
	  "atomic_store(&c->timed_out" },
	{ "deadline_against_handoff", X_DROP, "end_wanted",
	  "atomic_load(&c->timed_out" },
	{ "slice_ends_at_a_start", X_DROP, "urt__ask_to_yield",
	  "atomic_fetch_or(&w->word.attention" },
	{ "trace_read_against_write", X_DROP, "urt__trace_write",
	  "urt__trace_fence" },
	{ "trace_read_against_write", X_DROP, "torn", "urt__trace_fence" },
	{ "trace_read_against_write", X_RELAX, "urt__trace_read",
	  "__atomic_load_n(&p->ring[i].head, __ATOMIC_ACQUIRE)" },
	{ "monitor_against_wake", X_DROP, "urt__monitor_stop",
	  "atomic_store(&stopping" },
	{ "monitor_against_wake", X_DROP, "wake_monitor", "monitor_asleep" },
	{ "monitor_dozes_against_wake", X_DROP, "wake_monitor", "urt__fence" },
	{ "monitor_dozes_against_wake", X_RELAX, "tick_ns",
	  "atomic_store(&urt__rt.monitor_asleep, 1)" },
	{ "monitor_dozes_against_wake", X_RELAX, "is_asleep",
	  "atomic_load(&w->state)" },
	{ "monitor_dozes_against_submit", X_RELAX, "is_asleep",
	  "atomic_load(&w->state)" },
	/* watch/: SIGQUIT */
	{ "quit_stops_the_world", X_DROP, "urt__preempt_freeze",
	  "atomic_store(&w->parked_signal" },
	{ "quit_stops_the_world", X_RELAX, "freeze", "URT__FROZEN)" },
	{ "quit_stops_the_world", X_HOLD, "freeze", "URT__FREEZING)" },
	{ "quit_stops_the_world", X_RELAX, "stop_the_world",
	  "atomic_load(&w->parked_signal)" },
	{ "inbox_against_next_wait", X_RELAX, "urt__inbox_run",
	  "atomic_exchange(&c->in_inbox, false)" },
	{ "inbox_against_next_wait", X_DROP, NULL, "membarrier(2)" },
	/* wait/fds.c */
	{ "close_against_reuse", X_LOSE, "urt__fd_closing", "fd->closing++" },
	{ "close_against_reuse", X_DROP, "urt__op_close",
	  "atomic_store(&c->closed" },
	{ "close_against_reuse", X_LOSE, "urt__fd_list", "io->early =" },
	{ "close_against_next_close", X_LOSE, "urt__fd_closed",
	  "fd->closing--" },
	/* wait/pool.c, sched/context.c, idle.c */
	{ "cancel_against_job", X_SPLIT, "urt__claim_job",
	  "atomic_compare_exchange_strong_explicit" },
	{ "context_of_two", X_RELAX, "drop", "atomic_fetch_sub_explicit" },
	{ "context_of_two", X_RELAX, "set", "atomic_load_explicit" },
	{ "retire_against_handoff", X_SPLIT, "urt__spare_retire",
	  "__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE)" },
	{ "counts_without_slots", X_SPLIT, "urt__worker_vacate",
	  "__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE)" },
	{ "relieve_against_at_once", X_DROP, NULL, "membarrier(2)" },
	/* turns */
	{ "expose_against_pop", X_DROP, NULL, "membarrier(2)" },
	{ "expose_of_one_stuck", X_LOSE, "urt__proc_expose", "p->next = NULL" },
	{ "blocking_and_queue_take_turns", X_LOSE, "give_turns",
	  "p->passed =" },
	{ "blocking_and_queue_take_turns", X_DROP, "give_turns",
	  "urt__rt.waiting.len" },
	{ "timers_and_queue_take_turns", X_LOSE, "urt__worker_fire",
	  "p->due_left +=" },
	{ "timers_and_queue_take_turns", X_LOSE, "choose_slow", "p->looks++" },
	{ "yield_against_post", X_SPLIT, "urt__global_append",
	  "__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE)" },
	{ "yield_against_post", X_DROP, "urt__post",
	  "atomic_fetch_add(&urt__rt.global_len" },
	{ 0 },
};
