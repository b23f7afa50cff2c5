import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { container, demand, inbound, outbound } from '../planner/demands.ts';
import { bindBucketBytes, socketBytes } from '../../src/planner/kernel.ts';
import { startBench } from './bench-pod.ts';
import { experiment, stateOf } from './experiment.ts';

it('each end of 60,000 connections takes what the planner reckons, within a twentieth', async () => {
  const connections = 60_000;
  const { seen, result } = await experiment(
    demand({ containers: [container()], inbound: [inbound({ connections })] }),
    1_000_000,
  );
  expect(seen).toEqual({ reached: connections, stoppedBy: null });
  // The clients' source ports are distinct: a bind bucket for one end of the two.
  const predicted = socketBytes + bindBucketBytes / 2;
  expect(result.kernelBytesPerEnd).toBeGreaterThan(0.95 * predicted);
  expect(result.kernelBytesPerEnd).toBeLessThan(1.05 * predicted);
});

const memoryCgroups = '/sys/fs/cgroup/memory';

/** A memory cgroup (v1) of its own, as a pod has. */
const memoryCgroup = () => {
  const path = `${memoryCgroups}/connection-budget-test-${process.pid}`;
  mkdirSync(path);
  return {
    add: (pid: number): void => writeFileSync(`${path}/cgroup.procs`, String(pid)),
    chargedBytes: (): number => Number(readFileSync(`${path}/memory.kmem.usage_in_bytes`, 'utf8')),
    [Symbol.dispose]: () => rmdirSync(path),
  };
};

it.runIf(existsSync(`${memoryCgroups}/cgroup.procs`)).each([
  { does: 'accepts', flows: { inbound: [inbound({ connections: 15_000 })] } },
  { does: 'opens', flows: { outbound: [outbound({ connections: 15_000, destinationAddresses: 2 })] } },
])('what a pod $does is charged to it with no more than is planned', async ({ does, flows }) => {
  const state = stateOf(demand({ containers: [container()], ...flows }), 1_000_000);
  using cgroup = memoryCgroup();
  await using bench = await startBench(state);
  cgroup.add(bench.pod.pid);
  const before = cgroup.chargedBytes();
  const { open: plan, listeners, window, connections } = bench.topology.flows[0]!;
  const [opener, acceptor] = does === 'opens' ? [bench.pod, bench.peer] : [bench.peer, bench.pod];
  const accepting = acceptor.accept({ listeners, from: 0, until: connections });
  await opener.open({ plan, from: 0, until: connections, window });
  expect((await accepting).count).toBe(connections);
  const charged = cgroup.chargedBytes() - before;
  expect(charged).toBeGreaterThan(0);
  expect(charged).toBeLessThanOrEqual(state.plan.chargedMemoryBytes);
});
