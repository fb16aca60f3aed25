// SPDX-License-Identifier: MIT
// Model `node`: Node's net module; a promise continuation per suspended
// request, on the heap, continued by the event loop. The same handling as
// service/http.c. With a third argument, /cpu is handed to worker threads:
// Node's way out for CPU work; with "redis", the backend is Redis, to which all
// clients share some connections.
'use strict';
const cluster = require('cluster');
const net = require('net');
const os = require('os');
const { performance } = require('perf_hooks');
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');

// The same rounds as in service/http.c, counted once per ms of CPU.
let sink = 1;
function spin(rounds) {
  let x = sink | 1;
  while (rounds--) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
  }
  sink = x;
}

let roundsPerMs = 0;
function calibrate() {
  const rounds = 500000;
  let best = Infinity;
  for (let i = 0; i < 12; i++) { // the first ones are not compiled yet
    const begin = process.cpuUsage();
    spin(rounds);
    const { user, system } = process.cpuUsage(begin);
    if (user + system > 0) best = Math.min(best, user + system);
  }
  roundsPerMs = rounds * 1000 / best;
}
const burn = (ms) => spin(Math.round(roundsPerMs * ms));

if (!isMainThread) {
  roundsPerMs = workerData; // counted where nothing else was running
  parentPort.on('message', (ms) => {
    burn(ms);
    parentPort.postMessage(null);
  });
  return;
}

function processes() {
  return os.availableParallelism ? os.availableParallelism() : os.cpus().length;
}

// One process for each CPU; the first one hands the connections round.
if (process.argv.includes('cluster') && cluster.isPrimary) {
  for (let i = 0; i < processes(); i++) cluster.fork();
  return;
}
// Killed, the first one cannot tell the others to end: they find it gone.
if (cluster.isWorker) {
  process.on('uncaughtException', (e) => {
    if (e.code !== 'EPIPE') throw e;
    process.exit(0);
  });
}

const [port, backendPort] = process.argv.slice(2, 4).map(Number);
const useWorkers = process.argv.includes('workers');
const redis = process.argv.includes('redis');
const HTTP_MAX = 4096;
const HTTP_MAX_MS = 60000;
const ASKS = 3; // of a chain, and of a fan
const BACKENDS = 4; // loopback addresses that the built-in backend listens on
const POOL = cluster.isWorker ? Math.floor(64 / processes()) : 64; // connections to Redis

const CLOSING = 'Connection: close\r\n';
const response = (status, body, field = CLOSING) =>
  Buffer.from(`HTTP/1.1 ${status}\r\nContent-Length: ${body.length}\r\n${field}\r\n${body}`);
const OK = response('200 OK', 'ok\n', '');
const OK_TELL = response('200 OK', 'ok\n', 'Connection: keep-alive\r\n'); // HTTP/1.0
const OK_CLOSE = response('200 OK', 'ok\n');
const BAD = response('400 Bad Request', 'bad\n');
const NOT_FOUND = response('404 Not Found', 'no such\n');
const TOO_LARGE = response('431 Request Header Fields Too Large', 'big\n');

const HEAD = /^GET (\/[\x21-\x7e]*) HTTP\/1\.([01])\r\n(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n)*\r\n$/;
const BODY = /\r\n(?:transfer-encoding:|content-length:(?![ \t]*0+\r\n))/i;

const CONNECTION = /\r\nconnection:(.*)\r\n/i;

// The answer, which says what becomes of the connection: "close" wins.
function answer(head, old) {
  const m = CONNECTION.exec(head);
  if (!m) return old ? OK_CLOSE : OK;
  const words = [];
  for (const one of head.matchAll(/\r\nconnection:(.*)(?=\r\n)/gi))
    words.push(...one[1].split(',').map((word) => word.trim().toLowerCase()));
  if (words.includes('close')) return OK_CLOSE;
  if (!old) return OK;
  return words.includes('keep-alive') ? OK_TELL : OK_CLOSE;
}

function parse(head) {
  const m = HEAD.exec(head);
  if (!m || BODY.test(head)) return { error: BAD };
  const ok = answer(head, m[2] === '0');
  if (m[1] === '/') return { ok };
  const p = /^\/(wait|chain|fan|cpu)\?ms=(.*)$/.exec(m[1]);
  if (!p) return { error: NOT_FOUND };
  if (!/^[0-9]+$/.test(p[2]) || Number(p[2]) > HTTP_MAX_MS) return { error: BAD };
  if (p[1] === 'cpu') return { ok, cpu: Number(p[2]) };
  return { ok, wait: Number(p[2]), asks: p[1] === 'wait' ? 1 : ASKS, atOnce: p[1] === 'fan' };
}

// Worker threads, each with the requests that it has not answered yet.
class Workers {
  constructor(n) {
    this.all = Array.from({ length: n }, () => {
      const w = { thread: new Worker(__filename, { workerData: roundsPerMs }), waiting: [] };
      w.thread.on('message', () => w.waiting.shift()());
      return w;
    });
    this.ready = Promise.all(this.all.map((w) =>
      new Promise((resolve) => w.thread.once('online', resolve))));
  }

  burn(ms) {
    const w = this.all.reduce((a, b) => (b.waiting.length < a.waiting.length ? b : a));
    w.thread.postMessage(ms);
    return new Promise((resolve) => w.waiting.push(resolve));
  }
}

let opened = 0;

// A connection to the backend: one request at a time.
class Backend {
  constructor() {
    const host = redis ? '127.0.0.1' : `127.0.0.${1 + opened++ % BACKENDS}`;
    this.closed = false;
    this.socket = net.connect({ port: backendPort, host, noDelay: true });
    this.socket.setNoDelay(true);
    this.socket.on('data', (chunk) => {
      this.got += chunk.length;
      if (chunk[0] === 0x2d) this.socket.destroy(); // "-": Redis refused
      else if (this.got >= this.expected) this.resolve();
    });
    this.socket.on('error', () => {});
    this.socket.on('close', () => {
      this.closed = true;
      if (this.reject) this.reject(new Error('closed'));
    });
  }

  ask(ms) {
    if (this.closed) return Promise.reject(new Error('closed')); // while it was idle
    this.got = 0;
    if (redis) {
      const value = String(ms);
      const key = `urt:${ms}`;
      this.expected = 5 + 4 + value.length + 2;
      this.socket.write(`*3\r\n$3\r\nSET\r\n$${key.length}\r\n${key}\r\n$${value.length}\r\n${value}\r\n` +
        `*2\r\n$3\r\nGET\r\n$${key.length}\r\n${key}\r\n`);
    } else {
      this.expected = 3;
      this.socket.write(`${ms}\n`);
    }
    return new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }
}

// Connections for all clients; who finds none free waits in line.
const pool = {
  free: [],
  count: 0,
  line: [],

  async take() {
    if (this.free.length) return this.free.pop();
    if (this.count < POOL) {
      this.count++;
      return new Backend();
    }
    return new Promise((resolve) => this.line.push(resolve));
  },

  give(b) {
    if (b.closed) b = this.line.length ? new Backend() : null;
    if (!b) this.count--;
    else if (this.line.length) this.line.shift()(b);
    else this.free.push(b);
  },
};

async function askPooled(ms) {
  const b = await pool.take();
  try {
    await b.ask(ms);
  } finally {
    pool.give(b);
  }
}

calibrate();
const workers = useWorkers ? new Workers(processes()) : null;

const server = net.createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
  socket.setNoDelay(true); // older ones do not know it as an option
  let buf = null;
  let busy = false;
  let ended = false; // the client has sent all it wants to
  const backends = []; // of this client, as many as it has needed

  async function askAll(req) {
    const ask = (i) => {
      if (redis) return askPooled(req.wait);
      if (!backends[i]) backends[i] = new Backend();
      return backends[i].ask(req.wait);
    };
    if (req.atOnce && !redis) await Promise.all([...Array(req.asks).keys()].map(ask));
    else for (let i = 0; i < req.asks; i++) await ask(i);
  }

  // The last answer. What the client still sends is read and dropped, up to its
  // end: a close would reset the connection.
  const finish = (answer) => {
    ended = true;
    buf = null;
    socket.end(answer);
    socket.resume();
  };

  async function serve() {
    busy = true;
    while (buf) {
      const end = buf.indexOf('\r\n\r\n');
      if (end < 0 ? buf.length >= HTTP_MAX : end + 4 > HTTP_MAX) return finish(TOO_LARGE);
      if (end < 0) break;
      const req = parse(buf.latin1Slice(0, end + 4));
      if (req.error) return finish(req.error);
      buf = end + 4 < buf.length ? buf.subarray(end + 4) : null;
      if (req.asks) await askAll(req);
      if (req.cpu && workers) await workers.burn(req.cpu);
      else if (req.cpu) burn(req.cpu);
      if (req.ok === OK_CLOSE) return socket.end(OK_CLOSE, () => socket.destroy());
      if (!socket.write(req.ok)) await new Promise((resolve) => socket.once('drain', resolve));
    }
    busy = false;
    if (ended) socket.end();
    else socket.resume();
  }

  socket.on('data', (chunk) => {
    if (ended) return;
    buf = buf ? Buffer.concat([buf, chunk]) : chunk;
    if (!busy) serve().catch(() => socket.destroy());
    else if (buf.length >= HTTP_MAX) socket.pause();
  });
  socket.on('end', () => {
    if (!ended && !busy) socket.end();
    ended = true;
  });
  socket.on('error', () => {});
  socket.on('close', () => backends.forEach((b) => b.socket.destroy()));
});

// Not before the workers run: what they open to start could not be had later.
(workers ? workers.ready : Promise.resolve()).then(() =>
  server.listen({ port, host: '127.0.0.1', backlog: 4096 }));

// How much memory the requests hold that are suspended now.
process.on('SIGUSR2', () => {
  if (global.gc) global.gc();
  const m = process.memoryUsage();
  process.stdout.write(`heap=${m.heapUsed} outside=${m.external}\n`);
});

// How many events the loop has handled so far, each by a callback; since Node
// 20.18. Continuations of promises that such a callback runs are not counted.
process.on('SIGHUP', () => {
  const m = performance.nodeTiming && performance.nodeTiming.uvMetricsInfo;
  process.stdout.write(m ? `user=${m.events} loops=${m.loopCount}\n` : 'none\n');
});
