import { execFileSync } from 'node:child_process';
import { release, totalmem } from 'node:os';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import { createNamespaceWorker } from '../../src/linux/namespace-worker.ts';
import { parseNumbers, parsePageBytes, readNodeFacts } from '../../src/linux/node-facts.ts';
import { startShell } from './child-program.ts';
import { makeNetworkNamespace } from './network-namespace.ts';

const { signal } = new AbortController();
const sysctl = (name: string): string => execFileSync('sysctl', ['-n', name], { encoding: 'utf8' }).trim();

test('the facts are what sysctl, getconf and the kernel say', async () => {
  const facts = await readNodeFacts({ signal });
  expect(facts).toMatchObject({
    kernelRelease: release(),
    memoryBytes: totalmem(),
    pageBytes: Number(execFileSync('getconf', ['PAGESIZE'])),
    nrOpen: Number(sysctl('fs.nr_open')),
    fileMax: Math.min(Number(sysctl('fs.file-max')), Number.MAX_SAFE_INTEGER),
    epollMaxUserWatches: Number(sysctl('fs.epoll.max_user_watches')),
    tcpMemMaximumPages: Number(sysctl('net.ipv4.tcp_mem').split('\t')[2]),
    somaxconn: Number(sysctl('net.core.somaxconn')),
    maxTwBuckets: Number(sysctl('net.ipv4.tcp_max_tw_buckets')),
  });
  expect(facts.filesUsed).toBeGreaterThan(0);
});

test('without CAP_SYS_RESOURCE the runtime gives at most its own hard limit', async () => {
  await using runtime = await startShell(
    'exec setpriv --bounding-set=-sys_resource --inh-caps=-sys_resource -- ' +
      "sh -c 'ulimit -Sn 100; ulimit -Hn 200; echo ready; sleep 604'",
  );
  expect(await readNodeFacts({ signal, runtimePid: runtime.pid })).toMatchObject({
    runtimeNofile: { soft: 100, hard: 200 },
    runtimeCanRaiseNofile: false,
    settableNofile: 200,
  });
});

test('a proc mount that says nothing gives no facts but those of the process', async () => {
  const procRoot = new URL('./proc-that-says-nothing', import.meta.url).pathname;
  const facts = await readNodeFacts({ signal, procRoot, runtimePid: 7 });
  const known = Object.entries(facts).filter(([, value]) => value !== undefined);
  expect(Object.fromEntries(known)).toEqual({
    canRaiseNofile: false,
    runtimeCanRaiseNofile: true,
    runtimeNofile: { soft: 1024, hard: 524_288 },
  });
});

test("the settings of a network namespace are its own, and the machine's are not there", async () => {
  using netns = makeNetworkNamespace();
  const worker = createNamespaceWorker({ signal });
  const writing = [{ operation: 'WriteSysctl', name: 'net.core.somaxconn', value: '77' }] as const;
  await worker.run(netns.path, writing);
  const facts = await readNodeFacts({ signal, nodeNamespace: { worker, netnsPath: netns.path } });
  worker.close();
  expect(facts).toMatchObject({ somaxconn: 77, tcpMemMaximumPages: undefined });
});

test('a runtime that has ended is gone', async () => {
  await expect(readNodeFacts({ signal, runtimePid: 2 ** 30 })).rejects.toMatchObject({ kind: 'Gone' });
});

test.each([
  ['10 0 2466177\n', [10, 0, 2_466_177]],
  ['1\t2\t3', [1, 2, 3]],
  ['9223372036854775807', [Number.MAX_SAFE_INTEGER]],
  ['max', []],
  ['-1', []],
  ['', []],
  [undefined, []],
])('the numbers of %j', (text, numbers) => {
  expect(parseNumbers(text)).toEqual(numbers);
});

test('the page size is the value after AT_PAGESZ (6), wherever that is', () => {
  const pair = fc.tuple(fc.bigInt({ min: 7n, max: 60n }), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }));
  fc.assert(
    fc.property(fc.array(pair), fc.array(pair), (before, after) => {
      const words = [...before, [6n, 65_536n] as const, ...after].flat();
      expect(parsePageBytes(Buffer.from(new BigUint64Array(words).buffer))).toBe(65_536);
      expect(parsePageBytes(Buffer.from(new BigUint64Array(before.flat()).buffer))).toBeUndefined();
    }),
  );
});
