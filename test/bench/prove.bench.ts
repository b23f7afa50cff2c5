// Pairs of connections per second between two network namespaces: the holders of a proof against a C program that makes the
// same calls. Both take turns, so that a busy machine slows both. Needs root and gcc. Run: node test/bench/prove.bench.ts
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createNamespaceWorker } from '../../src/linux/namespace-worker.ts';
import { runFlow } from '../../src/prove/flow-run.ts';
import { startHolder } from '../../src/prove/holder.ts';
import { startRecord } from '../../src/prove/leftovers.ts';
import { makeNamespaces } from '../../src/prove/namespaces.ts';
import { openCounters } from '../../src/prove/phase-run.ts';
import { topologyFor } from '../../src/prove/topology.ts';
import { ipText } from '../../src/prove/topology-text.ts';
import { stateOf } from '../kernel/experiment.ts';
import { container, demand, inbound } from '../planner/demands.ts';

const rounds = 3;
/** Long enough that what Node compiles at first is no part of it: a proof that is worth timing is as large. */
const connections = 240_000;
const addresses = 4;

const folder = mkdtempSync(join(tmpdir(), 'pairs-'));
const program = join(folder, 'pairs');
execFileSync('gcc', ['-O2', '-Wall', '-o', program, new URL('pairs.c', import.meta.url).pathname]);

const state = stateOf(
  demand({
    containers: [container({ reservedDescriptors: 0 })],
    inbound: [inbound({ connections, clients: { addresses, portsPerAddress: 64_512 } })],
  }),
  1_000_000,
);
const topology = topologyFor(state);
const wiring = topology.flows[0]!;
const { open: plan, window } = wiring;

interface Place {
  readonly record: ReturnType<typeof startRecord>;
  readonly namespaces: Awaited<ReturnType<typeof makeNamespaces>>;
  readonly signal: AbortSignal;
}

/** A new pair of namespaces each time: what was closed before lingers in the old ones. */
const inPlace = async (measure: (place: Place) => Promise<number>): Promise<number> => {
  const signal = AbortSignal.timeout(120_000);
  await using made = new AsyncDisposableStack();
  const closing = made.adopt(new AbortController(), (controller) => controller.abort());
  const worker = createNamespaceWorker({ signal: closing.signal });
  const record = made.use(startRecord());
  const namespaces = made.use(await makeNamespaces(topology, { worker, record, signal }));
  return await measure({ record, namespaces, signal });
};

const byHolders = async ({ record, namespaces, signal }: Place): Promise<number> => {
  await using made = new AsyncDisposableStack();
  const counters = made.use(openCounters());
  const start = async (name: 'pod' | 'peer', listeners: (typeof topology)['peerListeners']) => {
    const holder = made.use(await startHolder({ counterFd: counters.fd, record, signal }));
    const unlimited = { adopt: undefined, reservedDescriptors: 0, room: undefined, descriptorsPerConnection: 1 };
    await holder.prepare({ ...unlimited, netnsPath: namespaces.pathOf(name), listeners });
    return holder;
  };
  const pod = await start('pod', topology.podListeners[0] ?? []);
  const peer = await start('peer', []);
  const began = performance.now();
  await runFlow(wiring, { openers: [peer], acceptors: [pod] }, { counters, signal, lookMs: 2 });
  return (performance.now() - began) / 1000;
};

const byProgram = async ({ namespaces }: Place): Promise<number> => {
  const [target, source] = [plan.targets[0]!, plan.sourceIps[0]!];
  const paths = [namespaces.pathOf('peer'), namespaces.pathOf('pod')];
  const rest = [
    ipText(target.ip),
    String(target.port),
    ipText(source),
    ...[addresses, connections, window].map(String),
  ];
  return Number(execFileSync(program, [...paths, ...rest], { encoding: 'utf8' }));
};

if (plan.sourceIps.some((ip, at) => ip !== plan.sourceIps[0]! + at))
  throw new Error('clients do not follow each other');

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

const seconds: Readonly<Record<'holders' | 'program', number[]>> = { holders: [], program: [] };
for (let round = 0; round <= rounds; round += 1) {
  seconds.program.push(await inPlace(byProgram));
  seconds.holders.push(await inPlace(byHolders));
}
rmSync(folder, { recursive: true });

const rateOf = (times: readonly number[]): number => Math.round(connections / median(times.slice(1)));
const [holders, c] = [rateOf(seconds.holders), rateOf(seconds.program)];
process.stdout.write(
  `${connections} pairs, median of ${rounds}: holders ${holders}/s, C ${c}/s, ratio ${(holders / c).toFixed(2)}\n`,
);
process.exit();
