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

const struct x_known x_unreached[] = {
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
	/* sched/sched.c: parking */
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
	{ "blocking_call_returns", X_DROP, "urt_blocking",
	  "atomic_fetch_add(&urt__rt.blocking" },
	/* sched/idle.c */
	{ "post_against_sleep", X_RELAX, "urt__post",
	  "atomic_fetch_add(&urt__rt.global_len" },
	/* sched/handoff.c */
	{ "handoff_against_enter", X_DROP, NULL, "membarrier(2)" },
	{ "handoff_against_enter", X_DROP, "while_out",
	  "atomic_fetch_or(&from->word.attention" },
	{ "handoff_against_enter", X_RELAX, "urt__leave",
	  "atomic_store_explicit" },
	{ "handoff_against_enter", X_RELAX, "where", "atomic_load_explicit" },
	{ "relieve_against_enter", X_DROP, NULL, "membarrier(2)" },
	{ 0 },
};
