// SPDX-License-Identifier: MIT
/* Operations on descriptors: close, cancellation, completion (wait/fds.c, io.c,
 * sched/cancel.c, ring/ring.c). */
#include "../../uring_rt/ring/abi.h"
#include "../../uring_rt/wait/fds.h"
#include "kernel.h"
#include "world.h"
#include <errno.h>
#undef errno

#define FD	     3
#define FEW_LOOKS_NS 400000 /* until an operation goes ahead during a close */

static int got, cancelled, bad;
static struct urt_coro *reader;

static void reads(void *arg)
{
	static char buf[8];
	ssize_t n = urt_read(FD, buf, sizeof(buf), URT_NEVER);

	(void)arg;
	CHECK(n == 4 || n == -ECANCELED || n == -EBADF);
	*(n > 0 ? &got : n == -EBADF ? &bad : &cancelled) += 1;
	CHECK(n != -ECANCELED || !k_in_kernel(FD));
	world_done(2);
}

static void closes(void *arg)
{
	(void)arg;
	CHECK(!urt_close(FD));
	world_done(2);
}

static void close_against_begin(void)
{
	world(2, 0);
	k_clock_step_ns = FEW_LOOKS_NS;
	world_coro(0, closes, NULL);
	world_coro(1, reads, NULL);
}

static void it_ended(void)
{
	CHECK(got + bad + cancelled == 1);
}

SCENARIO(
	close_against_begin,
	"A read that begins during the close ends, and not on a closed number.",
	.setup = close_against_begin,
	.thread = { world_worker_0, world_worker_1 }, .check = it_ended,
	.stale = 1);

static void bytes_come(void)
{
	k_bytes_come(FD, 4);
}

SCENARIO(close_against_completion,
	 "A read that completes while its descriptor is closed ends once.",
	 .setup = close_against_begin,
	 .thread = { world_worker_0, world_worker_1, bytes_come },
	 .check = it_ended, .stale = 1);

static void cancels(void *arg)
{
	(void)arg;
	urt_cancel(reader);
	world_done(2);
}

static void cancel_against_read(void)
{
	world(2, 0);
	world_coro(0, cancels, NULL);
	reader = world_coro(1, reads, NULL);
}

SCENARIO(cancel_against_read,
	 "A read that is cancelled from another worker ends, whenever it is.",
	 .setup = cancel_against_read,
	 .thread = { world_worker_0, world_worker_1 }, .check = it_ended);

static void one_worker(void)
{
	world(1, 0);
	world_coro(0, closes, NULL);
	world_coro(0, reads, NULL);
}

SCENARIO(close_against_read_on_one, "A worker's own close ends its own read.",
	 .setup = one_worker, .thread = { world_worker_0 }, .check = it_ended);

/* ---- the number is used again ------------------------------------------ */

static bool listed; /* before the close began */
static int new_file;

static bool has_operation(int number)
{
	struct urt__fd *fd = urt__fd(number);
	bool has;

	urt__lock(&fd->lock);
	has = fd->ios;
	urt__unlock(&fd->lock);
	return has;
}

static void looks_and_closes(void *arg)
{
	(void)arg;
	listed = has_operation(FD);
	CHECK(!urt_close(FD));
	world_done(2);
}

/* A file that is opened during the close has 8 bytes. */
static void reads_one_file(void *arg)
{
	static char buf[8];
	ssize_t n = urt_read(FD, buf, sizeof(buf), URT_NEVER);

	(void)arg;
	CHECK(n == 8 || n == -ECANCELED || n == -EBADF);
	*(n > 0 ? &new_file : n == -EBADF ? &bad : &cancelled) += 1;
	world_done(2);
}

static void opens_a_file(void)
{
	k_reuse(FD, 8);
}

static void close_against_reuse(void)
{
	world_other_threads = true;
	world(2, 0);
	k_clock_step_ns = FEW_LOOKS_NS;
	world_coro(0, looks_and_closes, NULL);
	world_coro(1, reads_one_file, NULL);
}

static void it_read_the_right_file(void)
{
	CHECK(new_file + bad + cancelled == 1);
	CHECK(!listed || cancelled);
	explore_outcome(new_file ? "new" : bad ? "closed" : "cancelled");
}

SCENARIO(close_against_reuse,
	 "A read that began before a close does not read the file that has the "
	 "number then.",
	 .setup = close_against_reuse, .check = it_read_the_right_file,
	 .thread = { world_worker_0, world_worker_1, opens_a_file }, .stale = 1,
	 .outcomes = "new closed cancelled");

static int closes_done;

static void closes_both(void *arg)
{
	(void)arg;
	CHECK(!urt_close(FD));
	__atomic_fetch_add(&closes_done, 1, __ATOMIC_RELAXED);
	world_done(2);
}

/* Closes the number after its reuse, while the first closer may still be at work. */
static void closes_the_next(void *arg)
{
	int ret;

	(void)arg;
	while (k_files_of(FD) < 2) {
		urt_yield();
		explore_relax();
	}
	ret = urt_close(FD);
	CHECK(!ret);
	__atomic_fetch_add(&closes_done, 1, __ATOMIC_RELAXED);
	world_done(2);
}

static void close_against_next_close(void)
{
	world_other_threads = true;
	world(2, 0);
	k_clock_step_ns = FEW_LOOKS_NS;
	world_coro(0, closes_both, NULL);
	world_coro(1, closes_the_next, NULL);
}

static void none_is_closing(void)
{
	CHECK(closes_done == 2);
	CHECK(!urt__fd(FD)->closing);
}

SCENARIO(
	close_against_next_close,
	"A file that has the number of one that is being closed is closed, too.",
	.setup = close_against_next_close, .check = none_is_closing,
	.thread = { world_worker_0, world_worker_1, opens_a_file }, .stale = 1);

/* The close may end its first read; the next one reads another file. */
static void reads_again(void *arg)
{
	static char buf[8];
	ssize_t n = urt_read(FD, buf, sizeof(buf), URT_NEVER);

	(void)arg;
	CHECK(n == 8 || n == -ECANCELED || n == -EBADF);
	while (k_files_of(FD) < 2) {
		urt_yield();
		explore_relax();
	}
	if (n != 8)
		CHECK(urt_read(FD, buf, sizeof(buf), URT_NEVER) == 8);
	world_done(2);
}

static void close_and_read_again(void)
{
	world_other_threads = true;
	world(1, 0);
	world_coro(0, closes, NULL);
	world_coro(0, reads_again, NULL);
}

SCENARIO(
	close_against_later_read,
	"A read of the next file of a number does not wake who closed the last.",
	.setup = close_and_read_again,
	.thread = { world_worker_0, opens_a_file }, .stale = 1);

/* ---- a request that is left to a worker's inbox ------------------------ */

#define SEQ UINT64_C(6)

static struct urt_coro *coro;

static void runs_inbox(void)
{
	urt__tls_worker = urt__rt.worker[0];
	urt__inbox_run(urt__tls_worker);
}

/* As in begin() in io.c and publish() in sched.c. */
static void waits_again(void)
{
	uint64_t park = SEQ << 2 | URT__IO;

	urt__tls_worker = urt__rt.worker[1];
	atomic_store_explicit(&coro->op_worker, urt__tls_worker,
			      memory_order_release);
	atomic_store_explicit(&coro->park, park, memory_order_release);
	atomic_signal_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&coro->cancelled, memory_order_relaxed))
		urt__wait_end(coro, park, -ECANCELED);
}

static void cancels_coro(void)
{
	atomic_store(&coro->cancelled, true);
	urt__cancel_fence();
	urt__cancel_marked(coro);
}

/* The coroutine is in the inbox for a wait that is over. */
static void in_an_inbox(void)
{
	world(2, 0);
	coro = explore_alloc(sizeof(*coro));
	explore_name(coro, sizeof(*coro), "coroutine");
	coro->park = (SEQ - 1) << 2;
	coro->op_worker = urt__rt.worker[0];
	coro->in_inbox = true;
	urt__rt.worker[0]->inbox = coro;
}

static void it_is_asked_for(void)
{
	CHECK(coro->cancel_asked || urt__rt.worker[1]->inbox == coro);
}

SCENARIO(inbox_against_next_wait,
	 "A cancellation that finds its coroutine in an inbox is not lost, "
	 "though that waits for another operation by now.",
	 .setup = in_an_inbox, .check = it_is_asked_for,
	 .thread = { runs_inbox, waits_again, cancels_coro });

/* ---- deadlines --------------------------------------------------------- */

static void reads_in_time(void *arg)
{
	static char buf[8];
	ssize_t n = urt_read(FD, buf, sizeof(buf), urt_after(200000));

	(void)arg;
	CHECK(n == 4 || n == -ETIME);
	*(n > 0 ? &got : &cancelled) += 1;
	CHECK(n > 0 || !k_in_kernel(FD));
	world_done(1);
}

static void bytes_come_then(void)
{
	k_sleep(200000);
	if (explore_choose(2))
		k_bytes_come(FD, 4);
}

static void a_deadline(void)
{
	world(2, 0);
	world_coro(0, reads_in_time, NULL);
}

SCENARIO(deadline_against_completion,
	 "A read whose deadline passes while bytes come ends once.",
	 .setup = a_deadline, .check = it_ended,
	 .thread = { world_worker_0, world_worker_1, bytes_come_then },
	 .stale = 1);

/* ---- lent buffers ------------------------------------------------------ */

#define WHOLE 65536u

static struct urt_chan *chan;

static void receives_two(void *arg)
{
	void *first = NULL, *second = NULL;

	(void)arg;
	CHECK(urt_recv_lent(FD, &first, 0, URT_NEVER) == WHOLE);
	CHECK(!urt_chan_send(chan, &first, URT_NEVER));
	CHECK(urt_recv_lent(FD, &second, 0, URT_NEVER) == WHOLE);
	CHECK(second != first);
	urt_lent_return(second);
	world_done(2);
}

static void gives_back(void *arg)
{
	void *piece;

	(void)arg;
	CHECK(!urt_chan_recv(chan, &piece, URT_NEVER));
	urt_lent_return(piece);
	world_done(2);
}

static void lending(void)
{
	world(2, 0);
	chan = urt_chan_new(sizeof(void *), 1);
	k_set_bytes(FD, 2 * WHOLE);
	world_coro(0, receives_two, NULL);
	world_coro(1, gives_back, NULL);
}

static void all_came_back(void)
{
	/* A group has 64; the receiver may have used those of two workers. */
	CHECK(k_buffers_given() % 64 == 2);
}

SCENARIO(lend_against_return,
	 "Buffers that two workers give back at once come back to the kernel.",
	 .setup = lending, .check = all_came_back,
	 .thread = { world_worker_0, world_worker_1 }, .stale = 1);

/* ---- completions ------------------------------------------------------- */

static int firsts, laters;

static void queue(struct urt__op *op)
{
	struct io_uring_sqe *sqe = urt__ring_sqe(&urt__rt.worker[0]->ring);

	sqe->opcode = IORING_OP_NOP;
	sqe->user_data = (uintptr_t)op;
}

static void is_later(struct urt__op *op, int32_t res, uint32_t flags)
{
	(void)op, (void)res, (void)flags;
	laters++;
}

static struct urt__op later = { .done = is_later };

/* Like a cancellation that is repeated (sched/cancel.c). */
static void asks_again(struct urt__op *op, int32_t res, uint32_t flags)
{
	(void)op, (void)res, (void)flags;
	CHECK(!firsts++);
	queue(&later);
}

static struct urt__op first = { .done = asks_again };

/* The queue is full, and the kernel takes its requests only after a reap. */
static void reaps(void)
{
	struct urt__ring *r = &urt__rt.worker[0]->ring;

	queue(&first);
	urt__ring_submit(r);
	while (!urt__ring_full(r))
		queue(&later);
	k_refuse(1);
	urt__ring_reap(r);
	urt__ring_enter(r, 0);
}

static void a_ring(void)
{
	world(1, 0);
}

static void each_came_once(void)
{
	CHECK(firsts == 1);
	CHECK(laters == (int)urt__rt.worker[0]->ring.sq_entries + 1);
}

SCENARIO(reap_in_a_completion,
	 "A completion whose handling has others reaped is not handled again.",
	 .setup = a_ring, .thread = { reaps }, .check = each_came_once);
