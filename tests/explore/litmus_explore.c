// SPDX-License-Identifier: MIT
/*
 * The explorer itself: small programs whose outcomes under C11 are known. A
 * scenario's outcomes must be those of its list, no more and no fewer.
 */
#include "explore.h"
#include <stdatomic.h>

static _Atomic int x, y;
static int plain;
static int r[4];

#define RLX memory_order_relaxed
#define ACQ memory_order_acquire
#define REL memory_order_release
#define SC  memory_order_seq_cst

static void store(_Atomic int *at, memory_order order)
{
	atomic_store_explicit(at, 1, order);
}

static int load(_Atomic int *at, memory_order order)
{
	return atomic_load_explicit(at, order);
}

static void two_values(void)
{
	explore_outcome("%d%d", r[0], r[1]);
}

static void four_values(void)
{
	explore_outcome("%d%d%d%d", r[0], r[1], r[2], r[3]);
}

/* ---- store buffering --------------------------------------------------- */

static void sb_1(void)
{
	store(&x, REL);
	r[0] = load(&y, ACQ);
}

static void sb_2(void)
{
	store(&y, REL);
	r[1] = load(&x, ACQ);
}

SCENARIO(litmus_store_buffering,
	 "Release and acquire do not order a store and a later load.",
	 .thread = { sb_1, sb_2 }, .check = two_values,
	 .outcomes = "00 01 10 11");

static void sb_sc_1(void)
{
	store(&x, SC);
	r[0] = load(&y, SC);
}

static void sb_sc_2(void)
{
	store(&y, SC);
	r[1] = load(&x, SC);
}

SCENARIO(litmus_store_buffering_sc, "seq_cst operations do.",
	 .thread = { sb_sc_1, sb_sc_2 }, .check = two_values,
	 .outcomes = "01 10 11");

static void sb_fence_1(void)
{
	store(&x, RLX);
	atomic_thread_fence(SC);
	r[0] = load(&y, RLX);
}

static void sb_fence_2(void)
{
	store(&y, RLX);
	atomic_thread_fence(SC);
	r[1] = load(&x, RLX);
}

SCENARIO(litmus_store_buffering_fences, "seq_cst fences do.",
	 .thread = { sb_fence_1, sb_fence_2 }, .check = two_values,
	 .outcomes = "01 10 11");

SCENARIO(litmus_store_buffering_one_fence, "One fence alone does not.",
	 .thread = { sb_fence_1, sb_2 }, .check = two_values,
	 .outcomes = "00 01 10 11");

/* ---- message passing --------------------------------------------------- */

static void mp_writes(void)
{
	store(&x, RLX);
	store(&y, REL);
}

static void mp_writes_relaxed(void)
{
	store(&x, RLX);
	store(&y, RLX);
}

static void mp_reads(void)
{
	r[0] = load(&y, ACQ);
	r[1] = load(&x, RLX);
}

static void mp_reads_relaxed(void)
{
	r[0] = load(&y, RLX);
	r[1] = load(&x, RLX);
}

static void mp_reads_with_fence(void)
{
	r[0] = load(&y, RLX);
	atomic_thread_fence(ACQ);
	r[1] = load(&x, RLX);
}

SCENARIO(litmus_message, "Release and acquire pass a message on.",
	 .thread = { mp_writes, mp_reads }, .check = two_values,
	 .outcomes = "00 01 11");

SCENARIO(litmus_message_fence, "An acquire fence after a relaxed load does.",
	 .thread = { mp_writes, mp_reads_with_fence }, .check = two_values,
	 .outcomes = "00 01 11");

SCENARIO(litmus_message_relaxed_store, "A relaxed store does not.",
	 .thread = { mp_writes_relaxed, mp_reads }, .check = two_values,
	 .outcomes = "00 01 10 11");

SCENARIO(litmus_message_relaxed_load, "A relaxed load does not.",
	 .thread = { mp_writes, mp_reads_relaxed }, .check = two_values,
	 .outcomes = "00 01 10 11");

/* ---- coherence, and release sequences ---------------------------------- */

static void twice(void)
{
	store(&x, RLX);
	atomic_store_explicit(&x, 2, RLX);
}

static void reads_twice(void)
{
	r[0] = load(&x, RLX);
	r[1] = load(&x, RLX);
}

SCENARIO(litmus_coherence, "A thread never sees an older store afterwards.",
	 .thread = { twice, reads_twice }, .check = two_values,
	 .outcomes = "00 01 02 11 12 22");

static void writes_plain(void)
{
	plain = 1;
	store(&x, REL);
}

static void adds(void)
{
	atomic_fetch_add_explicit(&x, 1, RLX);
}

static void reads_sum(void)
{
	r[0] = load(&x, ACQ);
	if (r[0] == 2)
		r[1] = plain;
}

SCENARIO(litmus_release_sequence,
	 "A relaxed addition continues the release sequence of a store.",
	 .thread = { writes_plain, adds, reads_sum }, .check = two_values,
	 .outcomes = "00 10 21");

/* ---- two readers of two writers ---------------------------------------- */

static void writes_x(void)
{
	store(&x, SC);
}

static void writes_y(void)
{
	store(&y, SC);
}

static void reads_xy(void)
{
	r[0] = load(&x, SC);
	r[1] = load(&y, SC);
}

static void reads_yx(void)
{
	r[2] = load(&y, SC);
	r[3] = load(&x, SC);
}

SCENARIO(litmus_iriw_sc, "Readers agree on the order of seq_cst stores.",
	 .thread = { writes_x, writes_y, reads_xy, reads_yx },
	 .check = four_values,
	 .outcomes = "0000 0001 0010 0011 0100 0101 0110 0111 1000 1001 1011 "
		     "1100 1101 1110 1111");

static void reads_xy_acq(void)
{
	r[0] = load(&x, ACQ);
	r[1] = load(&y, ACQ);
}

static void reads_yx_acq(void)
{
	r[2] = load(&y, ACQ);
	r[3] = load(&x, ACQ);
}

SCENARIO(litmus_iriw_acquire, "With acquire loads they need not.",
	 .thread = { writes_x, writes_y, reads_xy_acq, reads_yx_acq },
	 .check = four_values,
	 .outcomes = "0000 0001 0010 0011 0100 0101 0110 0111 1000 1001 1010 "
		     "1011 1100 1101 1110 1111");
