// SPDX-License-Identifier: MIT
/*
 * A TLS connection as a stream, over wire.c, which sends and receives for it.
 *
 * OpenSSL reads and writes memory only, so no function of OpenSSL suspends, and
 * the thread's error queue, read right after a call, is that call's.
 *
 * Invariant S1, in addition to those of wire.c: the reader never waits to send, since
 * the other side may be waiting for it to read. Output of its call (an answer to
 * KeyUpdate, an alert) goes out at once if possible, otherwise with the next write.
 *
 * A write is accepted when it has been encrypted, or when the kernel that
 * encrypts it has taken it. If OpenSSL's output cannot be sent, the call still
 * returns how much was accepted; the next call, or a flush, returns the error.
 */
#define _GNU_SOURCE
#include "tls.h"
#include <linux/sockios.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define LINGER_NS INT64_C(1000000000)

/* ---- OpenSSL's calls --------------------------------------------------- */

enum call { HANDSHAKE, READ, WRITE, SHUTDOWN };

/* The reason of a failure, SSL_ERROR_SSL or _SYSCALL; the error queue still has
 * it. */
static int because(struct connection *c)
{
	int reason = ERR_GET_REASON(ERR_peek_last_error());
	long verified = SSL_get_verify_result(c->ssl);

	if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
		ERR_clear_error();
		return urt__tls_because(
			-EACCES, X509_verify_cert_error_string(verified));
	}
	if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE ||
	    (reason >= SSL_R_SSLV3_ALERT_NO_CERTIFICATE &&
	     reason <= SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN) ||
	    reason == SSL_R_TLSV1_ALERT_UNKNOWN_CA ||
	    reason == SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED)
		return urt__tls_because(-EACCES, "certificate refused");
	if (c->keys_lost)
		return urt__tls_because(
			-EPROTO, "the other side has new keys, which the "
				 "kernel cannot change");
	if (c->ended)
		return urt__tls_because(-ECONNRESET,
					"the connection was cut short");
	return urt__tls_because(-EPROTO, "TLS");
}

/* One call. > 0: its result; 0: the end; -EAGAIN: it needs to receive. */
static int call_openssl(struct connection *c, enum call call, void *buf,
			size_t len)
{
	int ret, err;

	ERR_clear_error();
	switch (call) {
	case HANDSHAKE:
		ret = SSL_do_handshake(c->ssl);
		break;
	case READ:
		ret = SSL_read(c->ssl, buf, len);
		break;
	case WRITE:
		ret = SSL_write(c->ssl, buf, len);
		break;
	default: /* asked once; 0: the other side has not sent it yet */
		if (c->new_keys)
			return urt__tls_end_of_kernels(c);
		if (SSL_in_init(c->ssl)) /* new keys, not yet sent */
			SSL_do_handshake(c->ssl);
		ret = SSL_get_shutdown(c->ssl) & SSL_SENT_SHUTDOWN ||
				      SSL_shutdown(c->ssl) >= 0
			      ? 1
			      : -1;
	}
	if (ret > 0)
		return ret;
	err = SSL_get_error(c->ssl, ret);
	if (err == SSL_ERROR_ZERO_RETURN)
		return 0;
	return err == SSL_ERROR_WANT_READ ? -EAGAIN : because(c);
}

static int call_locked(struct connection *c, enum call call, void *buf,
		       size_t len, bool *made)
{
	size_t before;
	int ret;

	pthread_mutex_lock(&c->lock);
	before = c->out.end;
	ret = call_openssl(c, call, buf, len);
	if (c->kernel_sends && SSL_get_key_update_type(c->ssl) >= 0)
		c->new_keys = true; /* W6 */
	c->text |= call == WRITE && ret > 0;
	*made = c->out.end > before;
	pthread_mutex_unlock(&c->lock);
	return ret;
}

/*
 * Repeats the call until it is done. Its output is sent even if it failed,
 * since an alert tells the other side why.
 */
static int call_until(struct connection *c, enum call call, void *buf,
		      size_t len, int64_t deadline_ns)
{
	bool made = false;
	int ret, err;

	for (;;) {
		ret = call_locked(c, call, buf, len, &made);
		err = made ? urt__tls_send(c, call == READ ? 0 : deadline_ns)
			   : 0;
		if (call == READ)
			err = 0;
		if (ret != -EAGAIN) /* a handshake has to arrive */
			return call == HANDSHAKE && ret > 0 && err ? err : ret;
		if (!err)
			err = urt__tls_receive(c, deadline_ns);
		if (err)
			return err;
	}
}

/* ---- the stream -------------------------------------------------------- */

static ssize_t tls_read(void *self, void *buf, size_t len, int64_t deadline_ns)
{
	if (len > INT32_MAX)
		len = INT32_MAX;
	return call_until(self, READ, buf, len, deadline_ns);
}

static ssize_t tls_write(void *self, const void *buf, size_t len,
			 int64_t deadline_ns)
{
	struct connection *c = self;
	size_t done = 0;
	bool made;
	int ret;

	if (c->new_keys)
		return urt__tls_because(
			-EPROTO, "the other side wants new keys, which the "
				 "kernel cannot change");
	if (c->kernel_sends)
		return urt__tls_send_plain(c, buf, len, deadline_ns);
	ret = urt__tls_send(c, deadline_ns); /* of earlier calls */
	/* Several records go out in one send. */
	while (ret >= 0 && done < len && done < 4 * URT__TLS_RECORD) {
		size_t n = len - done < URT__TLS_RECORD ? len - done
							: URT__TLS_RECORD;

		ret = call_locked(c, WRITE, (char *)buf + done, n, &made);
		if (ret > 0)
			done += ret;
	}
	if (!done)
		return ret;
	urt__tls_send(c, deadline_ns);
	return done;
}

static bool is_gone(int err)
{
	return err == -EPIPE || err == -ECONNRESET;
}

/* If the other side is gone, it does not miss an answer to its new keys. */
static int tls_flush(void *self, int64_t deadline_ns)
{
	struct connection *c = self;
	int err = urt__tls_send(c, deadline_ns);
	bool text;

	pthread_mutex_lock(&c->lock);
	text = c->text;
	pthread_mutex_unlock(&c->lock);
	return is_gone(err) && !text ? 0 : err;
}

static int say_end(struct connection *c, int64_t deadline_ns)
{
	int ret = call_until(c, SHUTDOWN, NULL, 0, deadline_ns);

	return ret < 0 ? ret : urt__tls_send(c, deadline_ns);
}

/* Bytes that the other side's system has not taken yet. */
static int not_taken(const struct connection *c)
{
	int n;

	return ioctl(c->fd, SIOCOUTQ, &n) ? 0 : n;
}

/*
 * A socket that is closed with unread bytes, or that receives bytes afterwards, sends
 * a reset, and the bytes that it has not delivered yet are lost. With TLS 1.3,
 * the other side often sends such bytes: a server's tickets, an answer to new
 * keys. So close waits for the other side's end, for LINGER_NS, and longer
 * while that side takes data.
 */
static void linger(struct connection *c, int64_t deadline_ns)
{
	int before, now = not_taken(c);

	if (c->ended || SSL_get_shutdown(c->ssl) & SSL_RECEIVED_SHUTDOWN ||
	    urt_shutdown(c->fd, SHUT_WR, deadline_ns))
		return;
	do {
		int64_t enough_ns = urt_after(LINGER_NS);

		if (enough_ns > deadline_ns)
			enough_ns = deadline_ns;
		if (urt__tls_drop_rest(c, enough_ns) != -ETIME)
			return;
		before = now;
		now = not_taken(c);
	} while (now < before && urt_now() < deadline_ns);
}

static int end(struct connection *c, int64_t deadline_ns)
{
	int ret = say_end(c, deadline_ns);

	if (!ret)
		linger(c, deadline_ns);
	/* All written data have been flushed; the other side may be gone. */
	return is_gone(ret) ? 0 : ret;
}

static int tls_close(void *self, int64_t deadline_ns)
{
	struct connection *c = self;
	int ret = end(c, deadline_ns);

	urt_close(c->fd);
	return ret;
}

static void tls_free(void *self)
{
	struct connection *c = self;

	SSL_free(c->ssl);
	pthread_mutex_destroy(&c->lock);
	urt_lent_return(c->in.data);
	free(c->out.data);
	free(c->wire.data);
	free(c);
}

static const struct urt_stream_io io = { .read = tls_read,
					 .write = tls_write,
					 .flush = tls_flush,
					 .close = tls_close,
					 .free = tls_free };

static struct connection *connection_new(struct urt_tls *t, int fd)
{
	struct connection *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	pthread_mutex_init(&c->lock, NULL);
	c->fd = fd;
	c->ssl = SSL_new(t->ctx);
	if (!c->ssl || !urt__tls_set_bio(c)) {
		tls_free(c);
		return NULL;
	}
	if (t->kernel)
		urt__tls_offer_kernel(c);
	return c;
}

/* The peer that a client wants: a name is sent as SNI, an IP address is not. */
static int want_name(struct urt_tls *t, struct connection *c, const char *name)
{
	X509_VERIFY_PARAM *p = SSL_get0_param(c->ssl);
	SSL_SESSION *session;

	if (strlen(name) >= sizeof(c->name))
		return urt__tls_because(-EINVAL, "a name over 255 bytes");
	strcpy(c->name, name);
	if (X509_VERIFY_PARAM_set1_ip_asc(p, name) != 1) {
		ERR_clear_error();
		if (SSL_set_tlsext_host_name(c->ssl, name) != 1 ||
		    SSL_set1_host(c->ssl, name) != 1)
			return urt__tls_because(-EINVAL, "the name");
	}
	SSL_set_ex_data(c->ssl, urt__tls_name_index, c->name);
	session = urt__tls_session(t, name);
	if (session)
		SSL_set_session(c->ssl, session);
	SSL_SESSION_free(session);
	return 0;
}

static void know_protocol(struct connection *c)
{
	const unsigned char *name;
	unsigned len;

	SSL_get0_alpn_selected(c->ssl, &name, &len);
	if (len)
		memcpy(c->protocol, name, len);
}

static int handshake(struct connection *c, size_t size,
		     struct urt_stream **stream, int64_t deadline_ns)
{
	int ret = call_until(c, HANDSHAKE, NULL, 0, deadline_ns);

	if (ret > 0) {
		c->exactly = false;
		know_protocol(c);
		*stream = urt_stream_over(&io, c, size);
		if (*stream)
			return 0;
		ret = urt__tls_because(-ENOMEM, "out of memory");
	}
	tls_free(c);
	return ret ? ret
		   : urt__tls_because(-ECONNRESET,
				      "the other side ended the handshake");
}

int urt_tls_client(struct urt_tls *t, int fd, const char *name, size_t size,
		   struct urt_stream **stream, int64_t deadline_ns)
{
	struct connection *c = connection_new(t, fd);
	int err;

	if (!c)
		return urt__tls_because(-ENOMEM, "out of memory");
	SSL_set_connect_state(c->ssl);
	err = want_name(t, c, name);
	if (err) {
		tls_free(c);
		return err;
	}
	return handshake(c, size, stream, deadline_ns);
}

int urt_tls_server(struct urt_tls *t, int fd, size_t size,
		   struct urt_stream **stream, int64_t deadline_ns)
{
	struct connection *c = connection_new(t, fd);

	if (!c)
		return urt__tls_because(-ENOMEM, "out of memory");
	SSL_set_accept_state(c->ssl);
	if (!(SSL_get_verify_mode(c->ssl) & SSL_VERIFY_FAIL_IF_NO_PEER_CERT))
		SSL_set_verify(c->ssl, SSL_VERIFY_NONE, NULL);
	return handshake(c, size, stream, deadline_ns);
}

/* The host of "tcp:[::1]:443" and its like, without the rest. */
static int host_of(const char *address, char name[URT__TLS_NAME])
{
	const char *end = strrchr(address, ':');
	size_t len;

	if (!strncmp(address, "tcp:", 4))
		address += 4;
	if (!end || end <= address)
		return urt__tls_because(-EINVAL, "an address without a host");
	if (*address == '[') {
		address++;
		end--;
	}
	len = strcspn(address, "%");
	if (address + len > end)
		len = end - address;
	if (len >= URT__TLS_NAME)
		return urt__tls_because(-EINVAL, "a name over 255 bytes");
	memcpy(name, address, len);
	name[len] = '\0';
	return 0;
}

int urt_tls_dial(struct urt_tls *t, const char *address, size_t size,
		 struct urt_stream **stream, int64_t deadline_ns)
{
	char name[URT__TLS_NAME];
	int err = host_of(address, name), fd;

	if (err)
		return err;
	fd = urt_dial(address, deadline_ns);
	if (fd < 0)
		return urt__tls_because(fd, "dialling");
	err = urt_tls_client(t, fd, name, size, stream, deadline_ns);
	if (err)
		urt_close(fd);
	return err;
}

int urt_tls_shutdown(struct urt_stream *s, int64_t deadline_ns)
{
	struct connection *c = urt_stream_self(s, &io);
	int err = c ? urt_stream_flush(s, deadline_ns) : -EINVAL;

	return err ? err : say_end(c, deadline_ns);
}

int urt_tls_end(struct urt_stream *s, int64_t deadline_ns)
{
	struct connection *c = urt_stream_self(s, &io);
	int err = c ? urt_stream_flush(s, deadline_ns) : -EINVAL, ended;

	if (!c)
		return err;
	ended = end(c, deadline_ns);
	urt_stream_free(s);
	return err ? err : ended;
}

/* The rest of urt_tls_sendfile, where OpenSSL encrypts. */
static ssize_t send_by_buffer(struct urt_stream *s, int in, off_t *offset,
			      size_t len, int64_t deadline_ns)
{
	size_t size = 4 * URT__TLS_RECORD, done = 0;
	char *buf = malloc(size);
	ssize_t n = buf ? 1 : -ENOMEM, sent;

	while (n > 0 && done < len) {
		n = urt_pread(in, buf, len - done < size ? len - done : size,
			      *offset, deadline_ns);
		if (n <= 0)
			break;
		sent = urt_stream_write(s, buf, n, deadline_ns);
		if (sent > 0) {
			*offset += sent;
			done += sent;
		}
		if (sent < n) /* the next call has the error */
			n = sent < 0 ? sent : urt_stream_flush(s, deadline_ns);
	}
	if (n >= 0)
		n = urt_stream_flush(s, deadline_ns);
	free(buf);
	return done ? (ssize_t)done : n;
}

ssize_t urt_tls_sendfile(struct urt_stream *s, int in, off_t *offset,
			 size_t len, int64_t deadline_ns)
{
	struct connection *c = urt_stream_self(s, &io);
	int err = c && offset ? urt_stream_flush(s, deadline_ns) : -EINVAL;

	if (err)
		return err;
	return c->kernel_sends
		       ? urt__tls_send_file(c, in, offset, len, deadline_ns)
		       : send_by_buffer(s, in, offset, len, deadline_ns);
}

int urt_tls_update_keys(struct urt_stream *s)
{
	struct connection *c = urt_stream_self(s, &io);
	int ok;

	if (!c || SSL_version(c->ssl) < TLS1_3_VERSION)
		return urt__tls_because(-EINVAL, "no connection of TLS 1.3");
	if (c->kernel_sends)
		return urt__tls_because(-EOPNOTSUPP,
					"the kernel cannot change keys");
	pthread_mutex_lock(&c->lock);
	ok = SSL_key_update(c->ssl, SSL_KEY_UPDATE_REQUESTED);
	pthread_mutex_unlock(&c->lock);
	return ok ? 0 : urt__tls_because(-EINVAL, "SSL_key_update");
}

int urt_tls_in_kernel(const struct urt_stream *s)
{
	const struct connection *c = urt_stream_self(s, &io);

	return c ? (c->kernel_sends ? URT_TLS_SENDS : 0) |
			       (c->kernel_receives ? URT_TLS_RECEIVES : 0)
		 : 0;
}

struct ssl_st *urt_tls_ssl(const struct urt_stream *s)
{
	const struct connection *c = urt_stream_self(s, &io);

	return c ? c->ssl : NULL;
}

const char *urt_tls_protocol(const struct urt_stream *s)
{
	const struct connection *c = urt_stream_self(s, &io);

	return c ? c->protocol : "";
}

bool urt_tls_resumed(const struct urt_stream *s)
{
	SSL *ssl = urt_tls_ssl(s);

	return ssl && SSL_session_reused(ssl);
}
