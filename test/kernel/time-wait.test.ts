import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import type { ProofState } from '../../src/prove/proof-state.ts';
import { demand, outbound } from '../planner/demands.ts';
import { type Bench, startBench } from './bench-pod.ts';
import { stateOf, withWholeTimeWait } from './experiment.ts';

const portRange = { low: 40_000, high: 40_079 };
const ports = 80;

/** What is planned for a pod that has `live` connections and closes so many a second, of which the proof sees one burst. */
const churning = (live: number, closesPerSecond: number): ProofState =>
  withWholeTimeWait(
    stateOf(
      demand({
        pod: { hostNetwork: false, declaredPorts: [], portRange, kubeletReservesPorts: true },
        outbound: [outbound({ connections: live, closesPerSecond })],
      }),
    ),
  );

const openAndClose = async (bench: Bench, count: number): Promise<void> => {
  const { open: plan, listeners } = bench.topology.flows[0]!;
  const accepting = bench.peer.accept({ listeners, from: 0, until: count });
  await bench.pod.open({ plan, from: 0, until: count, window: ports });
  await accepting;
  await bench.pod.close();
  await bench.peer.close();
};

const openMore = async (bench: Bench): Promise<{ readonly count: number; readonly errno: number }> => {
  const { open: plan, listeners } = bench.topology.flows[0]!;
  const accepting = bench.peer.accept({ listeners, from: 0, until: ports });
  const { count, errno } = await bench.pod.open({ plan, from: 0, until: ports, window: ports });
  bench.peer.stop();
  await accepting;
  return { count, errno };
};

it('what the pod closed first keeps its ports: 1/s for 61 s leaves 19 of 80', async () => {
  const state = churning(19, 1);
  expect(state.plan.connections.reachable).toBe(19);
  expect(state.sysctls.map(({ name }) => name)).not.toContain('net.ipv4.tcp_tw_reuse');
  await using bench = await startBench(state);
  await openAndClose(bench, 61);
  await delay(2000);
  expect(await openMore(bench)).toEqual({ count: 19, errno: 99 });
});

it('where the plan sets tcp_tw_reuse they are free again after its delay', async () => {
  const state = churning(20, 30);
  expect(state.plan.feasible).toBe(true);
  expect(state.sysctls).toContainEqual({ name: 'net.ipv4.tcp_tw_reuse', value: '1', setBy: 'Agent' });
  await using bench = await startBench(state);
  await openAndClose(bench, 40);
  await delay(2000);
  expect(await openMore(bench)).toEqual({ count: ports, errno: 0 });
});
