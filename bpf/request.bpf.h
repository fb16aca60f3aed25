/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* A request of io_uring: the fields that the programs read. The suffix lets libbpf
 * match struct io_kiocb. Since Linux 5.19, user_data is in its completion entry. */
#ifndef URT_REQUEST_BPF_H
#define URT_REQUEST_BPF_H

struct io_cqe___urt {
	u64 user_data;
} __attribute__((preserve_access_index));

struct io_kiocb___urt {
	u8 opcode;
	struct io_cqe___urt cqe;
} __attribute__((preserve_access_index));

/* What the program asked for. An opcode that the kernel lacks is only here. The program
 * can write to it meanwhile. */
struct io_uring_sqe___urt {
	u8 opcode;
} __attribute__((preserve_access_index));

/* Its trace events, as far as the programs read them. The offset differs. */
#define URING_EVENT(name)                       \
	struct trace_event_raw_##name##___urt { \
		void *req;                      \
	} __attribute__((preserve_access_index))

URING_EVENT(io_uring_submit_req);
URING_EVENT(io_uring_poll_arm);
URING_EVENT(io_uring_queue_async_work);
URING_EVENT(io_uring_complete);

struct trace_event_raw_io_uring_req_failed___urt {
	void *req;
	u8 opcode;
} __attribute__((preserve_access_index));

struct trace_event_raw_io_uring_cqe_overflow___urt {
	u64 user_data;
} __attribute__((preserve_access_index));

#endif
