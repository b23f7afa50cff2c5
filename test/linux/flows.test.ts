import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';

import { flowSources } from '../../src/linux/flows/flow-counter.ts';
import type { FlowCount } from '../../src/linux/flows/flow-match.ts';
import { peerPorts } from '../kernel/spread-setting.ts';
import { runModule } from './child-program.ts';
import { flowsObject, makePod, match, openTestCounter, type Pod } from './flow-setting.ts';
import { makeNetworkNamespace } from './network-namespace.ts';

const [first, second, third, fourth] = peerPorts;
const signal = AbortSignal.timeout(120_000);

const mqtt = match({ localPorts: [first] });
const near = match({
  remotes: [
    { ip: '127.0.0.1', port: first },
    { ip: '::1', port: first },
  ],
});
const mapped = match({ remotes: [{ ip: '127.0.0.1', port: third }] });
const service = match({ remotePorts: [fourth] });
const web = match({ hasRest: true });

const live = (established: number): FlowCount => ({ established, timeWait: 0 });

/** Both ends are in the namespace: each connection is one that was accepted and one that was opened. */
const connect = async ({ connector }: Pod, rows: readonly (readonly [ip: string, port: number, count: number])[]) => {
  for (const [ip, port, count] of rows) expect(await connector.open(ip, port, count)).toMatchObject({ opened: count });
};

const rows = [
  ['127.0.0.1', first, 5],
  ['127.0.0.2', first, 3],
  ['::1', first, 2],
  ['::ffff:127.0.0.1', third, 4],
  ['127.0.0.3', fourth, 6],
] as const;

describe.each(flowSources)('by %s', (source) => {
  test('sockets are told apart by local port, remote address and remote port, in both families', async () => {
    await using pod = await makePod();
    using counter = await openTestCounter(source);
    await connect(pod, rows);
    expect(counter.source).toBe(source);
    expect(await counter.count(pod.path, [mqtt, near, mapped, service, web], signal)).toEqual(
      [5 + 3 + 2, 5 + 2, 4, 6, 3].map(live),
    );
  });

  test('the rest is what was opened, not what another listener accepted', async () => {
    await using pod = await makePod();
    using counter = await openTestCounter(source);
    await connect(pod, rows);
    expect(await counter.count(pod.path, [web], signal)).toEqual([live(5 + 3 + 2 + 4 + 6)]);
  });

  test('TIME_WAIT is counted apart, with its flow', async () => {
    await using pod = await makePod();
    using counter = await openTestCounter(source);
    await connect(pod, [['127.0.0.1', first, 7]]);
    await pod.connector.close(1, 0, 'fin');
    await connect(pod, [
      ['127.0.0.1', first, 2],
      ['::1', second, 1],
    ]);
    const counts = (): Promise<readonly FlowCount[]> => counter.count(pod.path, [near, web], signal);
    await expect.poll(counts, { timeout: 10_000 }).toEqual([{ established: 2, timeWait: 7 }, live(1)]);
  });

  test('what waits for the end of its peer is neither established nor in TIME_WAIT', async () => {
    await using pod = await makePod();
    using counter = await openTestCounter(source);
    expect(await pod.connector.listen('127.0.0.1', 7100)).toBe(0);
    await connect(pod, [['127.0.0.1', 7100, 4]]);
    await pod.connector.close(1, 0, 'fin');
    const counts = (): Promise<readonly FlowCount[]> => counter.count(pod.path, [web], signal);
    await expect.poll(counts, { timeout: 10_000 }).toEqual([live(0)]);
  });

  test('two namespaces with the same ports are kept apart, one after the other and again', async () => {
    await using one = await makePod();
    await using other = await makePod();
    using counter = await openTestCounter(source);
    await connect(one, [['127.0.0.1', first, 3]]);
    await connect(other, [['127.0.0.1', first, 8]]);
    expect(await counter.count(one.path, [mqtt, near], signal)).toEqual([live(3), live(3)]);
    expect(await counter.count(other.path, [near, mqtt], signal)).toEqual([live(8), live(8)]);
    expect(await counter.count(one.path, [mqtt, web], signal)).toEqual([live(3), live(3)]);
  });

  test('more sockets than one read takes are all counted', async () => {
    await using pod = await makePod();
    using counter = await openTestCounter(source);
    await connect(pod, [['127.0.0.1', first, 9000]]);
    expect(await counter.count(pod.path, [mqtt, near], signal)).toEqual([live(9000), live(9000)]);
  });

  test('a namespace that goes after it was entered is counted to the end', async () => {
    const netns = makeNetworkNamespace();
    const isThere = (): boolean => existsSync(netns.path);
    using counter = await openTestCounter(source, () => isThere() && netns[Symbol.dispose]());
    expect(await counter.count(netns.path, [web], signal)).toEqual([live(0)]);
    expect(isThere()).toBe(false);
    await expect(counter.count(netns.path, [web], signal)).rejects.toMatchObject({ kind: 'Gone' });
  });

  test('passes that are asked for at once take turns', async () => {
    await using one = await makePod();
    await using other = await makePod();
    using counter = await openTestCounter(source);
    await connect(one, [['127.0.0.1', first, 3]]);
    await connect(other, [['127.0.0.1', first, 8]]);
    const paths = [one.path, '/nowhere/netns', other.path];
    const counts = await Promise.allSettled(paths.map((path) => counter.count(path, [mqtt], signal)));
    expect(counts).toMatchObject([{ value: [live(3)] }, { reason: { kind: 'Gone' } }, { value: [live(8)] }]);
  });

  test('a port that is none is refused by name', async () => {
    using counter = await openTestCounter(source);
    await expect(counter.count('/proc/self/ns/net', [match({ localPorts: [65_536] })], signal)).rejects.toMatchObject({
      kind: 'InvalidInput',
      message: 'port: 65536, must be 1 to 65535',
    });
  });
});

test('without the compiled program the reason says so', async () => {
  using counter = await openTestCounter('SockDiag');
  expect(counter.reason).toBe('cannot open the eBPF object /nowhere/flows.bpf.o: ENOENT');
});

test('without the right to load a program the reason says so, and sockets are counted all the same', async () => {
  const wrapper = ['setpriv', '--bounding-set=-sys_admin,-bpf,-perfmon', '--inh-caps=-all'];
  expect(runModule('flow-source-program.ts', [await flowsObject()], wrapper)).toEqual({
    source: 'SockDiag',
    reason: expect.stringMatching(/^cannot load count_flows: EPERM/),
  });
});
