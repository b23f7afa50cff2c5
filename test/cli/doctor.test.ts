import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { makeNetworkNamespace } from '../linux/network-namespace.ts';
import { type Bench, startBench } from '../kernel/bench-pod.ts';
import { hundredPorts, stateOf } from '../kernel/experiment.ts';
import { demand, inbound, outbound } from '../planner/demands.ts';
import { connectionBudget } from './command.ts';

const pod = {
  hostNetwork: false,
  declaredPorts: [40_010, 40_011],
  portRange: hundredPorts,
  kubeletReservesPorts: true,
};

const doctor = (...args: readonly string[]): Record<string, unknown> => {
  const { stdout, stderr } = connectionBudget(['doctor', '-o', 'json', ...args]);
  expect(stderr).toBe('');
  return JSON.parse(stdout) as Record<string, unknown>;
};

/** The pod opens so many more of its first flow; what it holds then, and the errno that stopped it. */
const open = async (bench: Bench, from: number, until: number) => {
  const { open: plan, listeners } = bench.topology.flows.at(-1)!;
  const accepting = bench.peer.accept({ listeners, from, until });
  const { count, errno } = await bench.pod.open({ plan, from, until, window: 1000 });
  bench.peer.stop();
  await accepting;
  return { count, errno };
};

describe('a pod with a hundred ports, two reserved, one of its own listener, and 57 connections', () => {
  const flows = demand({
    pod,
    inbound: [inbound({ connections: 1, port: 40_050, listenBacklog: 77 })],
    outbound: [outbound({ connections: 150, portSelection: 'Kernel' })],
  });
  const ports = {
    limit: 'net.ipv4.ip_local_port_range',
    scope: 'Pod',
    subject: '100.64.0.1:10000',
    used: 57,
    capacity: 97,
    left: 40,
    unit: 'ports',
  };

  it('has 40 ports left, which bind first, and exactly 40 more fit', async () => {
    await using bench = await startBench(stateOf(flows));
    expect(await open(bench, 0, 57)).toEqual({ count: 57, errno: 0 });
    const report = doctor('--pid', String(bench.pod.pid));
    expect(report).toMatchObject({
      kind: 'Doctor',
      target: { kind: 'Process', pid: bench.pod.pid, networkNamespace: `/proc/${bench.pod.pid}/ns/net` },
      sockets: { established: 57, timeWait: 0, listen: 1 },
      ports: { low: 40_000, high: 40_099, reserved: 2, taken: 1, usable: 97 },
      bindsFirst: ports,
      destinations: [{ localAddress: '10.0.0.2', address: '100.64.0.1', port: 10_000, established: 57, left: 40 }],
      listeners: [{ address: '0.0.0.0', port: 40_050, sockets: 1, backlog: 77, waiting: 0, connections: 0 }],
      settings: { 'net.ipv4.ip_local_port_range': '40000 40099' },
    });
    expect(await open(bench, 57, 150)).toEqual({ count: 57 + 40, errno: 99 });
    expect(doctor('--pid', String(bench.pod.pid))).toMatchObject({ bindsFirst: { used: 97, left: 0 } });
  });
});
