// SPDX-License-Identifier: MIT
// What the demo measures of Node without a server:
//
//   units sleep N      N promises that a timer will resolve
//   units suspended N  N async functions that wait for a promise: what is
//                      captured of each, and nothing else
//
// Prints numbers as tools/demo/measure/parts.c does. Needs --expose-gc.
'use strict';
const fs = require('fs');

const [what, count] = [process.argv[2], Number(process.argv[3])];

const status = (field) =>
  Number(new RegExp(`^${field}:\\s*(\\d+)`, 'm').exec(fs.readFileSync('/proc/self/status'))[1]);

const resolvers = new Array(count).fill(null);

async function suspended(i) {
  const ms = i % 1000; // something to capture, as a request has
  await new Promise((resolve) => { resolvers[i] = resolve; });
  return ms;
}

async function sleeper() {
  await new Promise((resolve) => { setTimeout(resolve, 3600 * 1000); });
}

const start = what === 'sleep' ? sleeper : suspended;
global.gc();
const rss = status('VmRSS');
const heap = process.memoryUsage().heapUsed;
const begin = process.hrtime.bigint();
for (let i = 0; i < count; i++) start(i);
const took = process.hrtime.bigint() - begin;
global.gc();
console.log(`count=${count} create_ns=${took} rss=${(status('VmRSS') - rss) * 1024} ` +
  `threads=${status('Threads')} heap=${process.memoryUsage().heapUsed - heap}`);
process.exit(0);
