import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { ipText } from '../../src/prove/topology-text.ts';
import type { Demand } from '../../src/planner/demand.ts';
import { type Bench, startBench } from '../kernel/bench-pod.ts';
import { hundredPorts, stateOf, withWholeTimeWait } from '../kernel/experiment.ts';
import { makeNetworkNamespace } from '../linux/network-namespace.ts';
import { demand, inbound, outbound } from '../planner/demands.ts';
import { connectionBudget } from './command.ts';

const program = new URL('../../src/bin/connection-budget.ts', import.meta.url).pathname;

const podWith = (declaredPorts: readonly number[]): Demand['pod'] => ({
  hostNetwork: false,
  declaredPorts,
  portRange: hundredPorts,
  kubeletReservesPorts: true,
});

const doctor = (...args: readonly string[]): unknown => {
  const { stdout, stderr } = connectionBudget(['doctor', '-o', 'json', ...args]);
  expect(stderr).toBe('');
  return JSON.parse(stdout);
};

const doctorOf = (bench: Bench, ...args: readonly string[]): unknown => doctor('--pid', String(bench.pod.pid), ...args);

/** The pod opens its last flow up to so many; how many it has then, and the errno that stopped it. */
const open = async (bench: Bench, from: number, until: number) => {
  const { open: plan, listeners } = bench.topology.flows.at(-1)!;
  const accepting = bench.peer.accept({ listeners, from, until });
  const { count, errno } = await bench.pod.open({ plan, from, until, window: 1000 });
  bench.peer.stop();
  await accepting;
  return { count, errno };
};

const targetOf = (bench: Bench) => {
  const { ip, port } = bench.topology.flows.at(-1)!.open.targets[0]!;
  return { address: ipText(ip), port };
};

const portRow = (subject: string, used: number, capacity: number) => ({
  limit: 'net.ipv4.ip_local_port_range',
  scope: 'Pod',
  subject,
  used,
  capacity,
  left: capacity - used,
  unit: 'ports',
});

describe('a pod with a hundred ports', () => {
  it('of which 60 are used has 40 left, they bind first, and exactly 40 more fit', async () => {
    const flows = demand({ pod: podWith([]), outbound: [outbound({ connections: 150, portSelection: 'Kernel' })] });
    await using bench = await startBench(stateOf(flows));
    expect(await open(bench, 0, 60)).toEqual({ count: 60, errno: 0 });
    const { address, port } = targetOf(bench);
    const { stdout } = connectionBudget(['doctor', '--pid', String(bench.pod.pid)]);
    expect(stdout).toContain(`: 60 of 100 ports to ${address}:${port}; 40 left; this binds first\n`);
    expect(doctorOf(bench)).toMatchObject({
      kind: 'Doctor',
      target: { kind: 'Process', pid: bench.pod.pid, networkNamespace: `/proc/${bench.pod.pid}/ns/net` },
      sockets: { established: 60, timeWait: 0, listen: 0 },
      ports: { low: 40_000, high: 40_099, reserved: 0, taken: 0, usable: 100 },
      bindsFirst: portRow(`${address}:${port}`, 60, 100),
      destinationCount: 1,
      destinations: [{ localAddress: '10.0.0.2', address, port, established: 60, timeWait: 0, used: 60, left: 40 }],
      settings: { 'net.ipv4.ip_local_port_range': '40000 40099' },
    });
    expect(await open(bench, 60, 150)).toEqual({ count: 60 + 40, errno: 99 });
    expect(doctorOf(bench)).toMatchObject({ bindsFirst: portRow(`${address}:${port}`, 100, 100) });
  });

  it('has three fewer for two that are reserved and one that listens', async () => {
    const flows = demand({
      pod: podWith([40_010, 40_011, 40_050]),
      inbound: [inbound({ connections: 1, port: 40_050, listenBacklog: 77 })],
      outbound: [outbound({ connections: 150 })],
    });
    await using bench = await startBench(stateOf(flows));
    await open(bench, 0, 57);
    const { address, port } = targetOf(bench);
    expect(doctorOf(bench)).toMatchObject({
      ports: { reserved: 3, taken: 0, usable: 97 },
      bindsFirst: portRow(`${address}:${port}`, 57, 97),
      listeners: [{ address: '0.0.0.0', port: 40_050, sockets: 1, backlog: 77, waiting: 0, connections: 0 }],
    });
    expect(await open(bench, 57, 150)).toEqual({ count: 97, errno: 99 });
  });

  it('has those in TIME_WAIT used that it closed first, and says so', async () => {
    const flows = demand({ pod: podWith([]), outbound: [outbound({ connections: 150 })] });
    await using bench = await startBench(withWholeTimeWait(stateOf(flows)));
    await open(bench, 0, 30);
    await bench.pod.close();
    await bench.peer.close();
    const { address, port } = targetOf(bench);
    expect(doctorOf(bench)).toMatchObject({
      sockets: { established: 0, timeWait: 30 },
      bindsFirst: portRow(`${address}:${port}`, 30, 100),
      destinations: [{ established: 0, timeWait: 30, used: 30, left: 70 }],
      notes: [{ kind: 'TimeWaitHoldsPorts', severity: 'Wrong' }],
    });
    expect(await open(bench, 0, 150)).toEqual({ count: 70, errno: 99 });
  });

  it('that its program binds early shares them among all destinations', async () => {
    const early = outbound({ connections: 150, binding: 'Early', destinationAddresses: 10 });
    await using bench = await startBench(stateOf(demand({ pod: podWith([]), outbound: [early] })));
    await open(bench, 0, 80);
    expect(doctorOf(bench)).toMatchObject({
      bindsFirst: portRow('all destinations', 80, 100),
      destinationCount: 10,
      notes: [expect.objectContaining({ kind: 'LimitNear' }), { kind: 'PortCliff' }, { kind: 'BoundEarly' }],
    });
    expect(await open(bench, 80, 150)).toEqual({ count: 80 + 20, errno: 98 });
  });

  it('that its program binds late has all of them for each destination', async () => {
    const late = outbound({ connections: 150, portSelection: 'Kernel', destinationAddresses: 10 });
    await using bench = await startBench(stateOf(demand({ pod: podWith([]), outbound: [late] })));
    await open(bench, 0, 80);
    expect(doctorOf(bench, '--top', '3')).toMatchObject({
      destinationCount: 10,
      destinations: [{ used: 8 }, { used: 8 }, { used: 8, left: 92 }],
      notes: [],
    });
  });
});

it('a program that does not accept has a full queue, which overflowed', async () => {
  const flows = demand({ inbound: [inbound({ connections: 20, port: 8080, listenBacklog: 7 })] });
  await using bench = await startBench(stateOf(flows));
  const opening = bench.peer.open({ plan: bench.topology.flows[0]!.open, from: 0, until: 12, window: 12 });
  await expect.poll(bench.opened, { timeout: 10_000 }).toBe(8);
  const report = doctorOf(bench);
  bench.peer.stop();
  await opening;
  expect(report).toMatchObject({
    listeners: [{ port: 8080, backlog: 7, waiting: 8, connections: 8 }],
    counters: { listenOverflows: expect.any(Number) as number },
    notes: [{ kind: 'QueueFull' }, { kind: 'QueueOverflowed' }, { kind: 'BacklogSmall', severity: 'Remark' }],
  });
});

describe('a namespace', () => {
  it('is found by its name and by its path', () => {
    using netns = makeNetworkNamespace();
    const target = { kind: 'Namespace', pid: null, command: null, networkNamespace: netns.path };
    for (const asked of [netns.name, netns.path])
      expect(doctor('--netns', asked)).toMatchObject({ target, processes: [], destinations: [], listeners: [] });
  });

  it('has the processes that are in it', () => {
    const { processes } = doctor('--netns', '/proc/self/ns/net', '--all') as { processes: readonly { pid: number }[] };
    expect(processes.map(({ pid }) => pid)).toContain(process.pid);
  });
});

it('without a target it is this machine, with the descriptors of every process', () => {
  expect(doctor('--all')).toMatchObject({
    target: { kind: 'Machine', pid: null },
    processes: expect.arrayContaining([expect.objectContaining({ pid: process.pid, exactness: 'Exact' })]) as unknown,
    limits: expect.arrayContaining([expect.objectContaining({ limit: 'fs.file-max', scope: 'Node' })]) as unknown,
    notes: expect.arrayContaining([expect.objectContaining({ kind: 'OtherNamespaces' })]) as unknown,
  });
});

const asUser = (...args: readonly string[]) =>
  spawnSync(
    'setpriv',
    ['--reuid=65534', '--regid=65534', '--clear-groups', process.execPath, program, 'doctor', ...args],
    {
      encoding: 'utf8',
      cwd: '/',
    },
  );

describe('an ordinary user', () => {
  it('gets the sockets of his own namespace', () => {
    const { status, stdout } = asUser('-o', 'json');
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ sockets: { listen: expect.any(Number) as number } });
  });

  it('is told which right another namespace takes', () => {
    using netns = makeNetworkNamespace();
    expect(asUser('--netns', netns.name)).toMatchObject({
      status: 4,
      stdout: '',
      stderr: expect.stringMatching(/EPERM.*CAP_SYS_ADMIN/) as string,
    });
    expect(asUser('--pid', '1')).toMatchObject({
      status: 4,
      stderr: expect.stringMatching(/EACCES.*CAP_SYS_PTRACE/) as string,
    });
  });
});

describe('bad input', () => {
  it.each([
    { args: ['--pid', 'x'], said: '--pid x: must be the number of a process' },
    { args: ['--pid', '0'], said: '--pid 0: must be the number of a process' },
    { args: ['--pid', '2147483647'], said: '--pid 2147483647: no such process' },
    { args: ['--netns', 'no-such-name'], said: '--netns no-such-name: no such namespace' },
    { args: ['--netns', '/dev/null'], said: '--netns /dev/null: is no network namespace' },
    { args: ['--netns', ''], said: '--netns : must be a name or a path' },
    { args: ['--netns', 'a', '--pid', '1'], said: '--pid and --netns: must not be given together' },
    { args: ['--top', '0'], said: '--top 0: must be a whole number' },
  ])('$args ends with 2 and says $said', ({ args, said }) => {
    expect(connectionBudget(['doctor', ...args])).toMatchObject({
      status: 2,
      stdout: '',
      stderr: expect.stringContaining(said) as string,
    });
  });
});
