// SPDX-License-Identifier: MIT

// Model `java`: java.net sockets; a virtual thread for each connection, whose
// stack is copied to the heap while the request is suspended. The same handling
// as service/http.c. With "pool", /cpu runs on a pool of kernel threads, Java's
// way out for CPU work; with "redis", the backend is Redis, to which all clients
// share some connections.
//
//	Server PORT BACKEND_PORT [pool] [redis]
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.List;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executors;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.atomic.AtomicInteger;

import static java.nio.charset.StandardCharsets.ISO_8859_1;

final class Server {
	static final int HTTP_MAX = 4096;
	static final int HTTP_MAX_MS = 60000;
	static final int BACKENDS = 4; // loopback addresses of the built-in one
	static final int POOL = 64; // connections to Redis

	static final String CLOSING = "Connection: close\r\n";
	static final byte[] OK = response("200 OK", "", "ok\n");
	static final byte[] OK_TELL = // HTTP/1.0
			response("200 OK", "Connection: keep-alive\r\n", "ok\n");
	static final byte[] OK_CLOSE = response("200 OK", CLOSING, "ok\n");
	static final byte[] BAD = response("400 Bad Request", CLOSING, "bad\n");
	static final byte[] MISSING = response("404 Not Found", CLOSING, "no such\n");
	static final byte[] LARGE =
			response("431 Request Header Fields Too Large", CLOSING, "big\n");

	static boolean redis;
	static int backendPort;
	static ExecutorService burners; // null: requests burn on their own threads
	static final AtomicInteger opened = new AtomicInteger();
	static final BlockingQueue<Backend> pool = new ArrayBlockingQueue<>(POOL);

	static byte[] response(String status, String field, String body) {
		return ("HTTP/1.1 " + status + "\r\nContent-Length: " + body.length() + "\r\n"
				+ field + "\r\n" + body).getBytes(ISO_8859_1);
	}

	/** One head: buf[at..end), and what it asks for. */
	static final class Request {
		static final String TOKEN = "!#$%&'*+-.^_`|~";
		final byte[] buf;
		char kind; // 0 for /, 'w' for /wait, 'c' for /cpu
		int ms;
		byte[] answer;

		Request(byte[] buf) {
			this.buf = buf;
		}

		boolean has(int at, int end, String text) {
			return end - at >= text.length()
					&& matches(at, at + text.length(), text, false);
		}

		/** Whether buf[at..end) is the text, in lower case if `fold`. */
		boolean matches(int at, int end, String text, boolean fold) {
			if (end - at != text.length())
				return false;
			for (int i = 0; i < text.length(); i++) {
				int c = buf[at + i];
				if (fold && c >= 'A' && c <= 'Z')
					c += 'a' - 'A';
				if (c != text.charAt(i))
					return false;
			}
			return true;
		}

		int lineEnd(int at) {
			while (buf[at] != '\r' || buf[at + 1] != '\n')
				at++;
			return at;
		}

		static boolean isToken(int c) {
			return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
					|| TOKEN.indexOf(c) >= 0;
		}

		byte[] line(int end) {
			int path = 4, after = end - 9;
			if (after <= path || !has(0, end, "GET ")
					|| !has(after, end, " HTTP/1.")
					|| buf[end - 1] != '0' && buf[end - 1] != '1' || buf[path] != '/')
				return BAD;
			for (int i = path; i < after; i++)
				if (buf[i] <= 0x20 || buf[i] == 0x7f)
					return BAD;
			answer = buf[end - 1] == '0' ? OK_CLOSE : OK;
			if (after == path + 1)
				return answer;
			for (String route : new String[] {"/wait?ms=", "/cpu?ms="}) {
				if (!has(path, after, route))
					continue;
				kind = route.charAt(1);
				return number(path + route.length(), after) ? answer : BAD;
			}
			return MISSING;
		}

		boolean number(int at, int end) {
			boolean any = at < end;
			for (ms = 0; at < end && ms <= HTTP_MAX_MS; at++) {
				if (buf[at] < '0' || buf[at] > '9')
					return false;
				ms = ms * 10 + buf[at] - '0';
			}
			return any && ms <= HTTP_MAX_MS;
		}

		/** A request has no body here; what announces one is malformed. */
		boolean hasBody(int at, int colon, int end) {
			if (matches(at, colon, "transfer-encoding", true))
				return true;
			if (!matches(at, colon, "content-length", true))
				return false;
			int i = colon + 1;
			while (i < end && (buf[i] == ' ' || buf[i] == '\t'))
				i++;
			if (i == end)
				return true;
			while (i < end && buf[i] == '0')
				i++;
			return i < end;
		}

		boolean lists(int at, int end, String word) {
			while (at <= end) {
				int comma = at;
				while (comma < end && buf[comma] != ',')
					comma++;
				int from = at, to = comma;
				while (from < to && (buf[from] == ' ' || buf[from] == '\t'))
					from++;
				while (to > from && (buf[to - 1] == ' ' || buf[to - 1] == '\t'))
					to--;
				if (matches(from, to, word, true))
					return true;
				at = comma + 1;
			}
			return false;
		}

		/** The fields up to the empty line at `end`. "close" wins. */
		boolean fieldsAreGood(int at, int end) {
			boolean close = false, old = answer == OK_CLOSE;
			for (int next; at < end; at = next + 2) {
				next = lineEnd(at);
				int colon = at;
				while (colon < next && isToken(buf[colon]))
					colon++;
				if (colon == at || colon == next || buf[colon] != ':'
						|| hasBody(at, colon, next))
					return false;
				for (int i = colon + 1; i < next; i++)
					if (buf[i] != '\t' && (buf[i] >= 0 && buf[i] < 0x20
							|| buf[i] == 0x7f))
						return false;
				if (!matches(at, colon, "connection", true))
					continue;
				close |= lists(colon + 1, next, "close");
				if (old && lists(colon + 1, next, "keep-alive"))
					answer = OK_TELL;
			}
			if (close)
				answer = OK_CLOSE;
			return true;
		}

		/** The first `end` bytes of the buffer are a whole head. */
		void parse(int end) {
			kind = 0;
			int line = lineEnd(0);
			byte[] first = line(line);
			if (first != BAD && !fieldsAreGood(line + 2, end - 2))
				first = BAD;
			if (first == BAD || first == MISSING)
				answer = first;
		}

		boolean isLast() {
			return answer != OK && answer != OK_TELL;
		}
	}

	/** A connection to the backend, opened when it is first needed. */
	static final class Backend {
		Socket socket;

		void ask(int ms) throws IOException {
			if (socket == null) {
				socket = new Socket("127.0.0."
						+ (redis ? 1 : 1 + opened.getAndIncrement() % BACKENDS), backendPort);
				socket.setTcpNoDelay(true);
			}
			String text = ms + "\n";
			int length = 3;
			if (redis) {
				String value = "" + ms, key = "urt:" + ms;
				text = "*3\r\n$3\r\nSET\r\n$" + key.length() + "\r\n" + key + "\r\n$"
						+ value.length() + "\r\n" + value + "\r\n*2\r\n$3\r\nGET\r\n$"
						+ key.length() + "\r\n" + key + "\r\n";
				length = 5 + 4 + value.length() + 2;
			}
			socket.getOutputStream().write(text.getBytes(ISO_8859_1));
			byte[] reply = socket.getInputStream().readNBytes(length);
			if (reply.length < length || reply[0] == '-')
				throw new IOException("the backend refused");
		}

		void close() throws IOException {
			if (socket != null)
				socket.close();
			socket = null;
		}
	}

	static void ask(Backend own, int ms) throws IOException, InterruptedException {
		if (!redis) {
			own.ask(ms);
			return;
		}
		Backend b = pool.take();
		try {
			b.ask(ms);
		} catch (IOException e) {
			b.close();
			throw e;
		} finally {
			pool.add(b);
		}
	}

	static int headEnd(byte[] buf, int n) {
		for (int i = 3; i < n; i++)
			if (buf[i] == '\n' && buf[i - 1] == '\r' && buf[i - 2] == '\n'
					&& buf[i - 3] == '\r')
				return i + 1;
		return 0;
	}

	/** Answers until the client has said all, or the last answer is given; whether
	 *  that refuses what the client may still be sending. */
	static boolean requests(InputStream in, OutputStream out, Backend backend)
			throws IOException, InterruptedException {
		byte[] buf = new byte[HTTP_MAX];
		Request request = new Request(buf);
		int n = 0;
		for (;;) {
			int end = headEnd(buf, n);
			if (end == 0 && n == HTTP_MAX) {
				out.write(LARGE);
				return true;
			}
			if (end == 0) {
				int got = in.read(buf, n, HTTP_MAX - n);
				if (got < 0)
					return false;
				n += got;
				continue;
			}
			request.parse(end);
			if (request.answer != BAD && request.answer != MISSING) {
				if (request.kind == 'w')
					ask(backend, request.ms);
				if (request.kind == 'c')
					burn(request.ms);
			}
			out.write(request.answer);
			if (request.isLast())
				return request.answer == BAD || request.answer == MISSING;
			n -= end;
			System.arraycopy(buf, end, buf, 0, n);
		}
	}

	static void serve(Socket client) {
		Backend backend = new Backend();
		try (client) {
			client.setTcpNoDelay(true);
			InputStream in = client.getInputStream();
			if (requests(in, client.getOutputStream(), backend)) {
				client.shutdownOutput(); // a close would reset it
				while (in.skip(HTTP_MAX) > 0)
					;
			}
		} catch (IOException | InterruptedException e) {
			// The client or the backend is gone: so is the connection.
		} finally {
			try {
				backend.close();
			} catch (IOException e) {
				// It is closed all the same.
			}
		}
	}

	// The same rounds as in service/http.c, counted once per ms of CPU.
	static int spin(int x, int rounds) {
		for (; rounds > 0; rounds--) {
			x ^= x << 13;
			x ^= x >>> 17;
			x ^= x << 5;
		}
		return x;
	}

	static volatile int sink; // so that the work is not optimised away
	static int roundsPerMs;

	static void burn(int ms) {
		Runnable work = () -> sink = spin(sink | 1, roundsPerMs * ms);
		if (burners == null)
			work.run();
		else
			CompletableFuture.runAsync(work, burners).join();
	}

	static void calibrate() {
		final int rounds = 500000;
		long best = Long.MAX_VALUE;
		ThreadMXBean thread = ManagementFactory.getThreadMXBean();
		for (int i = 0; i < 20; i++) {
			long begin = thread.getCurrentThreadCpuTime();
			sink = spin(sink | 1, rounds);
			best = Math.min(best, thread.getCurrentThreadCpuTime() - begin);
		}
		roundsPerMs = (int) (rounds * 1000000L / best);
	}

	// The first virtual thread that waits for a socket makes the poller of the JVM. If no
	// descriptor is left then, none can ever wait for a socket.
	static void makePoller() throws IOException, InterruptedException {
		InetAddress here = InetAddress.getByName("127.0.0.1");
		try (ServerSocket listening = new ServerSocket(0, 1, here);
				Socket near = new Socket(here, listening.getLocalPort());
				Socket far = listening.accept()) {
			Thread reader = Thread.startVirtualThread(() -> {
				try {
					far.getInputStream().read();
				} catch (IOException e) {
					// It has waited, or nobody can.
				}
			});
			while (reader.isAlive() && reader.getState() != Thread.State.WAITING)
				Thread.sleep(1);
			near.shutdownOutput();
			reader.join();
		}
	}

	public static void main(String[] args) throws IOException, InterruptedException {
		backendPort = Integer.parseInt(args[1]);
		redis = List.of(args).contains("redis");
		if (List.of(args).contains("pool"))
			burners = Executors.newFixedThreadPool(Runtime.getRuntime().availableProcessors());
		while (pool.remainingCapacity() > 0)
			pool.add(new Backend());
		calibrate();
		makePoller();
		ServerSocket listening = new ServerSocket(Integer.parseInt(args[0]), 4096,
				InetAddress.getByName("127.0.0.1"));
		for (;;) {
			try {
				Socket client = listening.accept();
				Thread.startVirtualThread(() -> serve(client));
			} catch (IOException e) {
				Thread.sleep(10); // no descriptor is left
			}
		}
	}
}
