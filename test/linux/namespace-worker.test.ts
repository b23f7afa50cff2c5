import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readdirSync, readlinkSync, rmdirSync } from 'node:fs';
import { readlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import type { ResultOf, WriteSysctl } from '../../src/linux/namespace-operations.ts';
import { createNamespaceWorker, type NamespaceWorker } from '../../src/linux/namespace-worker.ts';
import { isSameSysctlValue, readSysctl } from '../../src/linux/sysctls.ts';
import { runModule, startProgram, until } from './child-program.ts';
import { makeNetworkNamespace } from './network-namespace.ts';

const PORT_RANGE = 'net.ipv4.ip_local_port_range';
const readPortRange = { operation: 'ReadSysctl', name: PORT_RANGE } as const;
const writePortRange = { operation: 'WriteSysctl', name: PORT_RANGE, value: '10240 65535' } as const;

let controller: AbortController;
let worker: NamespaceWorker;
beforeEach(() => {
  controller = new AbortController();
  worker = createNamespaceWorker({ signal: controller.signal });
});
afterEach(() => controller.abort());

describe('a visit', () => {
  test('sets the port range of the namespace and leaves this one as it is', async () => {
    using netns = makeNetworkNamespace();
    const before = readSysctl(PORT_RANGE);
    expect(await worker.run(netns.path, [readPortRange, writePortRange])).toEqual([
      { ok: true, value: '32768 60999' },
      { ok: true, value: '10240 65535' },
    ]);
    expect(await worker.run(netns.path, [readPortRange])).toEqual([{ ok: true, value: '10240 65535' }]);
    expect(readSysctl(PORT_RANGE)).toBe(before);
    expect(await worker.run('/proc/self/ns/net', [readPortRange])).toEqual([{ ok: true, value: before }]);
  });

  test('goes on after an operation that the kernel refuses', async () => {
    using netns = makeNetworkNamespace();
    const results = await worker.run(netns.path, [
      { operation: 'WriteSysctl', name: PORT_RANGE, value: '60000 50000' },
      { operation: 'ReadSysctl', name: 'net.ipv4.tcp_mem' },
      { operation: 'ReadSysctl', name: 'fs.nr_open' },
      writePortRange,
    ]);
    expect(results).toMatchObject([
      { ok: false, failure: { kind: 'InvalidInput', errno: 22, syscall: 'write' } },
      { ok: false, failure: { kind: 'NotFound', errno: 2 } },
      { ok: false, failure: { kind: 'InvalidInput' } },
      { ok: true, value: '10240 65535' },
    ]);
  });

  test('writes by a proc mount of its own', async () => {
    using netns = makeNetworkNamespace();
    using proc = mountProc();
    const own = createNamespaceWorker({ signal: controller.signal, procRoot: proc.path });
    const results = await own.run(netns.path, [writePortRange, { operation: 'ReadSocketTotals' }]);
    expect(results).toMatchObject([
      { ok: true, value: '10240 65535' },
      { ok: true, value: { tcpInUse: 0 } },
    ]);
    own.close();
  });

  test('is refused by a proc mount that is read-only', async () => {
    using netns = makeNetworkNamespace();
    using proc = mountProc('ro');
    const own = createNamespaceWorker({ signal: controller.signal, procRoot: proc.path });
    expect(await own.run(netns.path, [writePortRange, readPortRange])).toMatchObject([
      { ok: false, failure: { kind: 'NotPermitted', errno: 30, syscall: 'write' } },
      { ok: true, value: '32768 60999' },
    ]);
    own.close();
  });

  test('writes lists of ports that the kernel reads back in its own form', async () => {
    using netns = makeNetworkNamespace();
    const name = 'net.ipv4.ip_local_reserved_ports';
    const range = fc.tuple(fc.integer({ min: 1, max: 60_000 }), fc.integer({ min: 0, max: 9 }));
    const list = fc
      .array(range, { maxLength: 40 })
      .map((ranges) => ranges.map(([low, more]) => `${low}-${low + more}`));
    await fc.assert(
      fc.asyncProperty(list, async (ports) => {
        const value = ports.join(',');
        const [result] = await worker.run(netns.path, [{ operation: 'WriteSysctl', name, value }]);
        expect(result).toSatisfy(
          (read: ResultOf<WriteSysctl>) => read.ok && isSameSysctlValue(name, value, read.value),
        );
      }),
    );
  });

  test('sees the sockets of the namespace and its full accept queue', async () => {
    using netns = makeNetworkNamespace();
    const inside = ['nsenter', `--net=${netns.path}`, process.execPath, '-e'];
    const listen = "net.createServer().listen({port: 1883, backlog: 1}, () => console.log('ready'))";
    // Six connects against a program that stands still: min(1, somaxconn) + 1 are taken, four overflow at least once.
    const connect = "for (let i = 0; i < 6; i++) net.connect(1883, '127.0.0.1').on('connect', () => console.log('up'))";
    await using server = await startProgram([...inside, listen]);
    await until(() => server.output().includes('ready'));
    process.kill(server.pid, 'SIGSTOP');
    await using clients = await startProgram([...inside, connect]);
    await until(() => clients.output().split('up').length === 3);
    const [result] = await worker.run(netns.path, [{ operation: 'ReadSocketTotals' }]);
    expect(result).toMatchObject({ ok: true, value: { tcp6InUse: 3, activeOpens: 6, tcpTimeWait: 0 } });
    expect(result).toMatchObject({ value: { listenOverflows: expect.toSatisfy((count: number) => count >= 4) } });
  });

  test('is invisible to all other threads, and over when it is answered', async () => {
    using netns = makeNetworkNamespace();
    const home = readlinkSync('/proc/thread-self/ns/net');
    const visits = Array.from({ length: 200 }, () => worker.run(netns.path, [readPortRange]));
    const looks = Array.from({ length: 200 }, () => readlink('/proc/thread-self/ns/net'));
    expect(new Set(await Promise.all(looks))).toEqual(new Set([home]));
    expect(new Set((await Promise.all(visits)).map(([result]) => JSON.stringify(result))).size).toBe(1);
    expect(readlinkSync('/proc/thread-self/ns/net')).toBe(home);
    const threads = readdirSync('/proc/self/task').map((thread) => readlinkSync(`/proc/self/task/${thread}/ns/net`));
    expect(new Set(threads)).toEqual(new Set([home]));
    expect(namespaceDescriptors()).toHaveLength(1);
  });
});

describe('a path', () => {
  test('that is gone says so, and the next request is served', async () => {
    const netns = makeNetworkNamespace();
    await worker.run(netns.path, []);
    netns[Symbol.dispose]();
    await expect(worker.run(netns.path, [])).rejects.toMatchObject({ kind: 'Gone', syscall: 'open', errno: 2 });
    expect(await worker.run('/proc/self/ns/net', [])).toEqual([]);
  });

  test.each(['/proc/self/ns/mnt', '/dev/null', 'run/netns/a', '', '/run/\0'])(
    '%j is no network namespace',
    async (path) => {
      await expect(worker.run(path, [])).rejects.toMatchObject({ name: 'LinuxError', kind: 'InvalidInput' });
    },
  );
});

describe('a worker', () => {
  test('that cannot come home is replaced', async () => {
    using netns = makeNetworkNamespace();
    await worker.run(netns.path, []);
    // The worker's way home now leads to /dev/null, which setns(2) refuses; the descriptor ends with the worker.
    closeSync(namespaceDescriptors()[0]!);
    openSync('/dev/null', 'r');
    await expect(worker.run(netns.path, [writePortRange])).rejects.toMatchObject({
      kind: 'WorkerFailed',
      message: `cannot come back from ${netns.path}: EINVAL`,
      cause: { errno: 22 },
    });
    expect(await worker.run(netns.path, [readPortRange])).toEqual([{ ok: true, value: '10240 65535' }]);
    expect(await worker.run('/proc/self/ns/net', [readPortRange])).toEqual([
      { ok: true, value: readSysctl(PORT_RANGE) },
    ]);
  });

  test('that takes too long is replaced, and who waited is served', async () => {
    using netns = makeNetworkNamespace();
    const discarded: string[] = [];
    const onDiscarded = (kind: string): void => void discarded.push(kind);
    const hasty = createNamespaceWorker({ signal: controller.signal, timeoutMs: 500, onDiscarded });
    await hasty.run(netns.path, []);
    const endless = hasty.run(
      netns.path,
      Array.from({ length: 500_000 }, () => readPortRange),
    );
    const waiting = hasty.run(netns.path, [readPortRange]);
    await expect(endless).rejects.toMatchObject({ kind: 'TimedOut' });
    expect({ discarded, inARow: hasty.failuresInARow }).toEqual({ discarded: ['TimedOut'], inARow: 1 });
    expect(await waiting).toEqual([{ ok: true, value: '32768 60999' }]);
    expect(hasty.failuresInARow).toBe(0);
  });

  test('whose body is missing fails each request', async () => {
    const workerUrl = new URL('./no-such-thread.ts', import.meta.url);
    const broken = createNamespaceWorker({ signal: controller.signal, workerUrl });
    await expect(broken.run('/proc/self/ns/net', [])).rejects.toMatchObject({ kind: 'WorkerFailed' });
    await expect(broken.run('/proc/self/ns/net', [])).rejects.toMatchObject({ kind: 'WorkerFailed' });
    expect(broken.failuresInARow).toBe(2);
  });

  test('that is closed rejects what waits and what comes', async () => {
    const runs = [worker.run('/proc/self/ns/net', []), worker.run('/proc/self/ns/net', [])];
    const settled = Promise.allSettled(runs);
    controller.abort();
    expect(await settled).toMatchObject([{ reason: { kind: 'Aborted' } }, { reason: { kind: 'Aborted' } }]);
    await expect(worker.run('/proc/self/ns/net', [])).rejects.toMatchObject({ kind: 'Aborted' });
  });

  test('that is closed while its thread loads a native module takes nothing with it', () => {
    expect(runModule('./closed-while-loading-program.ts', [])).toBeGreaterThan(10);
  });

  test('does not perform what was aborted while it waited', async () => {
    using netns = makeNetworkNamespace();
    const caller = new AbortController();
    const first = worker.run(netns.path, [readPortRange]);
    const second = worker.run(netns.path, [writePortRange], caller.signal);
    caller.abort();
    await expect(second).rejects.toMatchObject({ kind: 'Aborted' });
    await first;
    expect(await worker.run(netns.path, [readPortRange])).toEqual([{ ok: true, value: '32768 60999' }]);
    await expect(worker.run(netns.path, [], AbortSignal.abort())).rejects.toMatchObject({ kind: 'Aborted' });
  });
});

function namespaceDescriptors(): readonly number[] {
  return readdirSync('/proc/self/fd')
    .filter((fd) => linkOf(fd).startsWith('net:['))
    .map(Number);
}

function linkOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return '';
  }
}

function mountProc(options = 'rw'): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), 'connbudget-proc-'));
  execFileSync('mount', ['-t', 'proc', '-o', options, 'proc', path]);
  return {
    path,
    [Symbol.dispose]: () => {
      execFileSync('umount', [path]);
      rmdirSync(path);
    },
  };
}
