/* SPDX-License-Identifier: MIT */
/*
 * The server's side of TLS for the model coroutine-tls: uring_rt's TLS
 * (urt_tls.h), TLS 1.3, with a certificate that is made at the start and signed
 * by itself. Where urt is built without TLS, tls_open fails.
 */
#ifndef URT_SERVICE_TLS_H
#define URT_SERVICE_TLS_H

#include <stdbool.h>

struct urt_stream;

/* False: an error message was printed. */
bool tls_open(void);

/* Makes the handshake. NULL: it failed. May suspend. */
struct urt_stream *tls_accept(int fd);

/* As urt_linger, and as urt_tls_end. May suspend. */
void tls_linger(struct urt_stream *);
void tls_end(struct urt_stream *);

#endif
