import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { demand, inbound } from '../planner/demands.ts';
import { startBench } from './bench-pod.ts';
import { stateOf } from './experiment.ts';

it.each([
  { backlog: 7, opensPerSecond: 1, somaxconn: 'default', queue: 8 },
  { backlog: 300, opensPerSecond: 1, somaxconn: 'default', queue: 301 },
  { backlog: 6000, opensPerSecond: 1, somaxconn: 'default', queue: 4097 },
  { backlog: 6000, opensPerSecond: 4500, somaxconn: 'as planned for 4,500/s', queue: 4500 },
])(
  'a backlog of $backlog and somaxconn $somaxconn take $queue connections that nobody accepts',
  async ({ backlog, opensPerSecond, queue }) => {
    const flow = inbound({ connections: queue + 20, listenBacklog: backlog, opensPerSecond });
    const state = stateOf(demand({ inbound: [flow] }));
    const accept = state.plan.limits.find(({ limit }) => limit === 'AcceptQueue');
    expect(Math.max(accept?.capacity ?? 0, accept?.needed ?? 0)).toBe(queue);
    await using bench = await startBench(state);
    const wiring = bench.topology.flows[0]!;
    const opening = bench.peer.open({ plan: wiring.open, from: 0, until: queue + 20, window: queue + 20 });
    // Longer than the first retry of the SYNs that were dropped.
    await expect.poll(bench.opened, { timeout: 10_000 }).toBe(queue);
    await delay(1200);
    bench.peer.stop();
    expect((await opening).count).toBe(queue);
  },
);
