// The ways into a network namespace, each reading one sysctl there. Run: node test/bench/setns.bench.ts (as root)
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

import { enterNetworkNamespace } from '../../src/linux/libc.ts';
import { createNamespaceWorker } from '../../src/linux/namespace-worker.ts';
import { makeNetworkNamespace } from '../linux/network-namespace.ts';

const SYSCTL = 'net.ipv4.ip_local_port_range';
const FILE = '/proc/sys/net/ipv4/ip_local_port_range';

async function main(): Promise<void> {
  using netns = makeNetworkNamespace();
  const { path } = netns;
  const worker = createNamespaceWorker({ signal: new AbortController().signal });
  const readers = Array.from({ length: 20 }, () => ({ operation: 'ReadSysctl', name: SYSCTL }) as const);
  const readInChild = ['-e', `require('node:fs').readFileSync('${FILE}')`];
  report('setns, one read, setns back, inside the thread', 5000, await insideThread(path));
  report('request to the worker, 1 read', 5000, await timesOf(5000, () => worker.run(path, readers.slice(0, 1))));
  report('request to the worker, 20 reads', 2000, await timesOf(2000, () => worker.run(path, readers)));
  const viaNsenter = () => execFileSync('nsenter', [`--net=${path}`, 'cat', FILE]);
  report('nsenter and cat', 100, await timesOf(100, viaNsenter));
  const viaNode = () => execFileSync('nsenter', [`--net=${path}`, process.execPath, ...readInChild]);
  report('a Node child', 20, await timesOf(20, viaNode));
  worker.close();
}

async function timesOf(count: number, action: () => unknown): Promise<readonly number[]> {
  const times: number[] = [];
  for (let turn = 0; turn < count * 1.2; turn += 1) {
    const start = process.hrtime.bigint();
    await action();
    times.push(Number(process.hrtime.bigint() - start) / 1000);
  }
  return times.slice(-count);
}

function insideThread(path: string): Promise<readonly number[]> {
  const thread = new Worker(new URL(import.meta.url), { workerData: path });
  return new Promise((resolve, reject) => thread.once('message', resolve).once('error', reject));
}

async function measureInThread(path: string): Promise<void> {
  const home = openSync('/proc/self/ns/net', 'r');
  const call = { syscall: 'setns', attempt: 'visit' };
  const times = await timesOf(5000, () => {
    const target = openSync(path, 'r');
    enterNetworkNamespace(target, call);
    readFileSync(FILE, 'utf8');
    enterNetworkNamespace(home, call);
    closeSync(target);
  });
  parentPort?.postMessage(times, []);
}

function report(what: string, count: number, times: readonly number[]): void {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number): string => (sorted[Math.floor(count * share)] ?? 0).toFixed(1).padStart(9);
  process.stdout.write(`${what.padEnd(48)}${at(0.5)} µs median ${at(0.99)} µs p99\n`);
}

await (isMainThread ? main() : measureInThread(String(workerData)));
