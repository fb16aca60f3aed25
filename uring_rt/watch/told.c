// SPDX-License-Identifier: MIT
/*
 * Reports from the kernel: a BPF program on sched_switch (bpf/assist.bpf.c)
 * reports that a worker's thread went to sleep outside the runtime, and its
 * processor goes to another thread at once, instead of at the monitor's next
 * look.
 *
 *	worker blocks ---> BPF program ---> ring buffer ---> monitor ---> standby
 *	              switch          interrupt        wakes         kick
 *
 * The BPF program's events come in a ring buffer that is mapped here. The
 * monitor polls it together with its bell, and makes the hand-off. That is one
 * wake-up more than if the kernel woke the standby, but nothing in the kernel
 * could: a BPF program can only wake all readers of its ring buffer, no
 * particular thread; and only a thread of this process can keep the worker out
 * (membarrier).
 *
 * This process loads the BPF program if URT_ASSIST=on and it has the
 * privileges; or `urt assist`, the helper, does, and sends the ring buffer's
 * descriptor through a pair of sockets. The helper takes one end by
 * pidfd_getfd(2), which needs the right to trace this process, so no other
 * process can send anything. The monitor polls the other end, and answers
 * there. The helper writes nothing to this process's memory, and reads nothing
 * that this process writes to the ring.
 *
 * An event is only a hint: the thread may have continued since, so its CPU time
 * is compared with that in the event. The monitor's looks stay as they are, and
 * make up for lost events, and for all events if the helper is gone.
 */
#define _GNU_SOURCE
#include "../../bpf/assist_bpf.h"
#include "../base/assist.h"
#include "../base/sys.h"
#include "watch.h"
#include <errno.h>
#include <linux/bpf.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define AT_ONCE 256 /* events, until the monitor looks at other things */

/* The ring buffer, as the kernel maps it: a page of ours, then one of the kernel's
 * and the data, twice in a row. */
static struct {
	unsigned long *consumed;
	const unsigned long *produced;
	const char *data;
	int fd; /* -1: no source of events */
} ring = { .fd = -1 };

static int sockets[2] = { -1, -1 }; /* ours; the one that a helper takes */
static struct urt__assist own = { -1, -1 };

static void ring_close(void)
{
	size_t page = sysconf(_SC_PAGESIZE);

	if (ring.consumed)
		munmap(ring.consumed, page);
	if (ring.produced)
		munmap((void *)ring.produced, page + 2 * URT_TOLD_RING);
	if (ring.fd >= 0)
		close(ring.fd);
	memset(&ring, 0, sizeof(ring));
	ring.fd = -1;
}

/* Takes the descriptor over, in place of the last one, or closes it. */
static int ring_open(int fd)
{
	size_t page = sysconf(_SC_PAGESIZE);
	void *ours = NULL, *theirs = NULL;
	int err = urt__sys_mmap(&ours, page, PROT_READ | PROT_WRITE, MAP_SHARED,
				fd, 0);

	if (!err)
		err = urt__sys_mmap(&theirs, page + 2 * URT_TOLD_RING,
				    PROT_READ, MAP_SHARED, fd, page);
	if (err) {
		if (ours)
			munmap(ours, page);
		close(fd);
		return err;
	}
	ring_close();
	ring.fd = fd;
	ring.consumed = ours;
	ring.produced = theirs;
	ring.data = (char *)theirs + page;
	return 0;
}

/* The next event, if it is complete; moves *at behind it. */
static const struct urt_told *ring_next(unsigned long *at)
{
	const uint32_t *head;
	uint32_t len;

	if (*at == __atomic_load_n(ring.produced, __ATOMIC_ACQUIRE))
		return NULL;
	head = (const uint32_t *)(ring.data + (*at & (URT_TOLD_RING - 1)));
	len = __atomic_load_n(head, __ATOMIC_ACQUIRE);
	if (len & BPF_RINGBUF_BUSY_BIT)
		return NULL;
	*at += (BPF_RINGBUF_HDR_SZ + (len & ~BPF_RINGBUF_DISCARD_BIT) + 7) &
	       ~7u;
	return (const struct urt_told *)(head + 2);
}

void urt__told_read(void (*hear)(unsigned index, int tid, int64_t ran_ns,
				 int64_t ns))
{
	unsigned long at;
	const struct urt_told *t;

	if (ring.fd < 0)
		return;
	at = *ring.consumed;
	for (unsigned i = 0; i < AT_ONCE && (t = ring_next(&at)); i++) {
		hear(t->index, t->tid, t->ran_ns, t->ns);
		/* Release: the kernel may write there from now on. It wakes
		 * this thread for an event that begins at this position: see
		 * ring_next. */
		__atomic_store_n(ring.consumed, at, __ATOMIC_SEQ_CST);
	}
}

/* ---- which process loads the program ---- */

static int load_own(void)
{
	const struct urt__stats_slot *slot =
		urt__stats_slot(urt__rt.stats_page, 0);
	struct urt__assisted self = { .pid = getpid(),
				      .word_tls = slot->word_tls };
	struct stat st;
	int err;

	if (stat("/proc/self/ns/pid", &st))
		return -*__errno_location();
	self.ns_dev = st.st_dev;
	self.ns_ino = st.st_ino;
	err = urt__assist_load(&own, &self);
	if (err)
		return err;
	err = ring_open(own.ring);
	own.ring = -1; /* it is the mapping's now */
	if (err)
		urt__assist_unload(&own);
	return err;
}

static void say(int err)
{
	urt__print(
		"uring_rt: URT_ASSIST=on: no reports of blocked threads: %s; the monitor looks for them instead%s\n",
		strerror(-err),
		err == -EPERM ? " (CAP_BPF and CAP_PERFMON are needed; or "
				"use `sudo urt assist`)"
			      : " (`urt doctor` says more)");
}

/* Sets fd to the descriptor that came with the offer, or to -1. */
static ssize_t receive(struct urt_told_offer *offer, int *fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec v = { offer, sizeof(*offer) };
	struct msghdr m = { .msg_iov = &v,
			    .msg_iovlen = 1,
			    .msg_control = control.bytes,
			    .msg_controllen = sizeof(control.bytes) };
	ssize_t n = recvmsg(sockets[0], &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&m);

	*fd = -1;
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(fd, CMSG_DATA(c), sizeof(int));
	return n;
}

void urt__told_offered(void)
{
	struct urt_told_offer offer = { 0 };
	int fd, err = -EPROTO;
	ssize_t n = receive(&offer, &fd);

	if (n < 0)
		return;
	if (own.link >= 0) {
		err = -EALREADY;
	} else if (n == sizeof(offer) && offer.magic == URT_TOLD_MAGIC &&
		   offer.ring == URT_TOLD_RING &&
		   offer.entry == sizeof(struct urt_told) && fd >= 0) {
		err = ring_open(fd);
		fd = -1;
	}
	if (fd >= 0)
		close(fd);
	n = send(sockets[0], &err, sizeof(err), MSG_DONTWAIT | MSG_NOSIGNAL);
	(void)n; /* a helper that is gone needs no answer */
}

int urt__told_fd(void)
{
	return ring.fd;
}

int urt__told_socket(void)
{
	return sockets[0];
}

/* A program without the resources for this continues without it. */
void urt__told_open(void)
{
	const char *wish = getenv("URT_ASSIST");
	int err;

	if (!urt__sys_own_sockets(sockets, SOCK_SEQPACKET | SOCK_CLOEXEC))
		urt__stats_slot(urt__rt.stats_page, 0)->told_socket =
			sockets[1];
	else
		sockets[0] = sockets[1] = -1;
	if (!wish || strcmp(wish, "on"))
		return;
	err = load_own();
	if (err)
		say(err);
}

void urt__told_close(void)
{
	urt__assist_unload(&own);
	ring_close();
	for (int i = 0; i < 2; i++) {
		if (sockets[i] >= 0)
			close(sockets[i]);
		sockets[i] = -1;
	}
}
