import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';

import { createNamespaceWorker, type NamespaceWorker } from '../../src/linux/namespace-worker.ts';
import { withQuickVisits } from '../../src/linux/quick-visits.ts';
import { readSysctl } from '../../src/linux/sysctls.ts';
import { makeNetworkNamespace } from './network-namespace.ts';

const portRange = 'net.ipv4.ip_local_port_range';
const readPortRange = { operation: 'ReadSysctl', name: portRange } as const;
const writePortRange = { operation: 'WriteSysctl', name: portRange, value: '10240 65535' } as const;

const onStranded = (error: Error): never => {
  throw error;
};
const threads = (): number => readdirSync('/proc/self/task').length;

let controller: AbortController;
let worker: NamespaceWorker;
beforeEach(() => {
  controller = new AbortController();
  worker = withQuickVisits(createNamespaceWorker({ signal: controller.signal }), { onStranded });
});
afterEach(() => worker.close());

test('what is quick is done in the namespace, at once, without a further thread', async () => {
  using netns = makeNetworkNamespace();
  const [before, threadsBefore] = [readSysctl(portRange), threads()];
  const operations = [readPortRange, writePortRange, { operation: 'ReadSocketTotals' }] as const;
  expect(await worker.run(netns.path, operations)).toMatchObject([
    { ok: true, value: '32768 60999' },
    { ok: true, value: '10240 65535' },
    { ok: true, value: { tcpInUse: 0 } },
  ]);
  expect({ range: readSysctl(portRange), threads: threads() }).toEqual({ range: before, threads: threadsBefore });
});

test('a sysctl is written where what is there does not do', async () => {
  using netns = makeNetworkNamespace();
  const ensure = { operation: 'EnsureSysctl', name: 'net.core.somaxconn', value: '5499' } as const;
  const written = { ok: true, value: { value: '5499', isWritten: true } };
  expect(await worker.run(netns.path, [ensure])).toEqual([written]);
  expect(
    await worker.run(netns.path, [ensure, { ...ensure, value: '4096' }, { ...ensure, value: 'many' }]),
  ).toMatchObject([
    { value: { value: '5499', isWritten: false } },
    { value: { value: '5499', isWritten: false } },
    { ok: false, failure: { kind: 'InvalidInput', syscall: 'write' } },
  ]);
});

test('what may wait for others is done by a thread', async () => {
  using netns = makeNetworkNamespace();
  const threadsBefore = threads();
  const [range, addresses] = await worker.run(netns.path, [readPortRange, { operation: 'ListAddresses' }]);
  expect({ range, addresses }).toEqual({
    range: { ok: true, value: '32768 60999' },
    addresses: { ok: true, value: [] },
  });
  expect(threads()).toBeGreaterThan(threadsBefore);
});

test('a thread that is started after a visit is at home too', async () => {
  using netns = makeNetworkNamespace();
  await worker.run(netns.path, [writePortRange]);
  const [own] = await worker.run('/proc/self/ns/net', [readPortRange, { operation: 'ListAddresses' }]);
  expect(own).toEqual({ ok: true, value: readSysctl(portRange) });
});

test.each([
  ['/run/netns/no-such', { kind: 'Gone', errno: 2 }],
  ['/proc/self/ns/mnt', { kind: 'InvalidInput', errno: 22 }],
  ['run/netns/a', { kind: 'InvalidInput' }],
])('%s is refused, and the next visit made', async (path, failure) => {
  await expect(worker.run(path, [readPortRange])).rejects.toMatchObject({ name: 'LinuxError', ...failure });
  expect(await worker.run('/proc/self/ns/net', [readPortRange])).toMatchObject([{ ok: true }]);
});

test('an aborted or closed one is not made', async () => {
  using netns = makeNetworkNamespace();
  const aborted = worker.run(netns.path, [writePortRange], AbortSignal.abort());
  await expect(aborted).rejects.toMatchObject({ kind: 'Aborted' });
  expect(await worker.run(netns.path, [readPortRange])).toEqual([{ ok: true, value: '32768 60999' }]);
  worker.close();
  await expect(worker.run(netns.path, [readPortRange])).rejects.toMatchObject({ kind: 'Aborted' });
});

test('a program that cannot come back ends before anything else of it runs', () => {
  using netns = makeNetworkNamespace();
  const program = new URL('./stranded-program.ts', import.meta.url).pathname;
  const { status, stdout } = spawnSync(process.execPath, [program, netns.path], { encoding: 'utf8' });
  expect({ status, stdout }).toEqual({ status: 7, stdout: `cannot come back from ${netns.path}: EINVAL\n` });
});
