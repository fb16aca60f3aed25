/* SPDX-License-Identifier: MIT */
/*
 * liburing's header, and definitions of newer kernels that the headers of
 * Debian 12 (liburing 2.3) or Ubuntu 22.04 (2.1) lack. The values are the
 * kernel's ABI (include/uapi/linux/io_uring.h) and never change. struct open_how
 * is liburing's, too: 2.1 defines it itself, others include <linux/openat2.h>.
 */
#ifndef URT_RING_ABI_H
#define URT_RING_ABI_H

#include <liburing.h>
#include <stdint.h>

#ifndef IORING_SETUP_SUBMIT_ALL
#define IORING_SETUP_SUBMIT_ALL (1U << 7)
#endif
#ifndef IORING_SETUP_TASKRUN_FLAG
#define IORING_SETUP_COOP_TASKRUN (1U << 8)
#define IORING_SETUP_TASKRUN_FLAG (1U << 9)
#endif
#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER (1U << 12)
#endif
#ifndef IORING_SETUP_DEFER_TASKRUN
#define IORING_SETUP_DEFER_TASKRUN (1U << 13)
#endif
#ifndef IORING_SETUP_NO_SQARRAY
#define IORING_SETUP_NO_SQARRAY (1U << 16)
#endif

#ifndef IORING_SQ_TASKRUN
#define IORING_SQ_TASKRUN (1U << 2)
#endif

#ifndef IORING_ENTER_REGISTERED_RING
#define IORING_ENTER_REGISTERED_RING (1U << 4)
#endif
#ifndef IORING_ENTER_NO_IOWAIT
#define IORING_ENTER_NO_IOWAIT (1U << 7)
#endif
#ifndef IORING_FEAT_NO_IOWAIT
#define IORING_FEAT_NO_IOWAIT (1U << 17)
#endif

#ifndef IORING_RECVSEND_POLL_FIRST
#define IORING_RECVSEND_POLL_FIRST (1U << 0)
#endif
#ifndef IORING_CQE_F_SOCK_NONEMPTY
#define IORING_CQE_F_SOCK_NONEMPTY (1U << 2)
#endif
#ifndef IORING_CQE_F_NOTIF
#define IORING_CQE_F_NOTIF (1U << 3)
#endif
#ifndef IORING_CQE_F_BUF_MORE
#define IORING_CQE_F_BUF_MORE (1U << 4)
#endif

#ifndef IORING_ASYNC_CANCEL_ALL
#define IORING_ASYNC_CANCEL_ALL (1U << 0)
#endif
#ifndef IORING_ASYNC_CANCEL_ANY
#define IORING_ASYNC_CANCEL_ANY (1U << 2)
#endif

/* Of enum io_uring_op and io_uring_register_op: no macros, so named here. */
#define URT__REGISTER_RING_FDS	 20
#define URT__UNREGISTER_RING_FDS 21

#define URT__REGISTER_PBUF_RING	    22
#define URT__REGISTER_SEND_MSG_RING 31

#define URT__PBUF_RING_INC 2 /* consumed in pieces, 6.12 */

/* struct io_uring_buf_reg and io_uring_buf, which liburing 2.1 lacks. */
struct urt__buf_reg {
	uint64_t ring_addr;
	uint32_t entries;
	uint16_t group, flags;
	uint64_t unused[3];
};

struct urt__buf {
	uint64_t addr;
	uint32_t len;
	uint16_t bid;
	uint16_t tail; /* of the whole ring, in its first entry */
};

#endif
