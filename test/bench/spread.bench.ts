// What choosing address and port inside connect() costs, and what it gives: the rate in each tenth of the range, with and
// without. Needs root, gcc and clang; 70 s, for the kernel's own choice takes most of it. Run: node test/bench/spread.bench.ts
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { ownCgroup2 } from '../../src/linux/cgroups.ts';
import { createNamespaceWorker } from '../../src/linux/namespace-worker.ts';
import { libbpf } from '../../src/linux/bpf/libbpf.ts';
import type { SpreadPod } from '../../src/linux/spread/pod-entry.ts';
import { PodMaps } from '../../src/linux/spread/pod-maps.ts';
import type { PortRange } from '../../src/planner/demand.ts';
import { podSourceIps } from '../../src/prove/topology.ts';
import { ipText } from '../../src/prove/topology-text.ts';
import { ensureBpfObject } from '../cluster/lab/bpf-object.ts';
import { startBench } from '../kernel/bench-pod.ts';
import { stateOf } from '../kernel/experiment.ts';
import { makeSpreadSetting, openTestSpreader, peerIp, peerPorts, podIps } from '../kernel/spread-setting.ts';
import { demand, outbound } from '../planner/demands.ts';

const widest: PortRange = { low: 1024, high: 65_535 };
const defaultRange: PortRange = { low: 32_768, high: 60_999 };
const [port] = peerPorts;
const rounds = 15;
const connectionsPerRound = 6000;
const signal = AbortSignal.timeout(600_000);

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

const entryOf = (addresses: readonly string[], range: PortRange): SpreadPod => ({
  addresses,
  range,
  reservedPorts: [],
  chooses: 'Tuples',
  timeWaitReuse: { of: 'Nothing', delayMs: 1000 },
});

type Way = 'without the program' | 'no entry' | 'with an entry';
const ways: readonly Way[] = ['without the program', 'no entry', 'with an entry'];

/** Nanoseconds of one connect() in an empty range of a new pod. */
const nsPerConnect = async (way: Way): Promise<number> => {
  using spreader = await openTestSpreader();
  await using pod = await makeSpreadSetting(1, widest);
  if (way !== 'without the program') spreader.attach(pod.cgroup);
  if (way === 'with an entry') spreader.setPod(pod.cookie, entryOf(podIps(1), widest));
  await using connector = await pod.start();
  await connector.open(peerIp, port, 1000);
  const { ns, opened } = await connector.open(peerIp, port, connectionsPerRound);
  return ns / opened;
};

const connects = async (): Promise<ReadonlyMap<Way, number>> => {
  const times = new Map<Way, number[]>(ways.map((way) => [way, []]));
  for (let round = 0; round < rounds; round += 1) {
    // Another one first each time: a machine that is slower for a while is so for all.
    for (let turn = 0; turn < ways.length; turn += 1) {
      const way = ways[(turn + round) % ways.length] ?? 'no entry';
      times.get(way)?.push(await nsPerConnect(way));
    }
  }
  return new Map([...times].map(([way, values]) => [way, median(values)]));
};

/** What the kernel itself counts for a program, its own counting (some 20 ns) included. */
const nsOfProgram = async (hasEntry: boolean): Promise<number> => {
  const counting = '/proc/sys/kernel/bpf_stats_enabled';
  const path = await ensureBpfObject('spread', { signal, onProgress: say });
  const object = libbpf().load({ path, programs: ['spread4'], maps: new Map() });
  const program = object.programs.get('spread4') ?? -1;
  const read = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+)$`, 'm').exec(readFileSync(`/proc/self/fdinfo/${program}`, 'utf8'))?.[1]);
  await using pod = await makeSpreadSetting(1, widest);
  const cgroup = openSync(pod.cgroup, 'r');
  const link = libbpf().link(program, cgroup, 'Connect4');
  if (hasEntry) new PodMaps(libbpf(), object.maps).set(pod.cookie, entryOf(podIps(1), widest));
  writeFileSync(counting, '1');
  await using connector = await pod.start();
  await connector.open(peerIp, port, 10_000);
  writeFileSync(counting, '0');
  const ns = read('run_time_ns') / read('run_cnt');
  for (const fd of [link, cgroup]) closeSync(fd);
  object.close();
  return ns;
};

interface Filling {
  readonly addresses: number;
  readonly range: PortRange;
  readonly isSpread: boolean;
}

/** Opens until the kernel says no; the moments when each tenth of `total` was open, in milliseconds. */
const fill = async ({ addresses, range, isSpread }: Filling) => {
  const pod = { hostNetwork: false, declaredPorts: [], portRange: range, kubeletReservesPorts: true };
  const extraAddresses = { ...demand().extraAddresses, maximumExtra: addresses - 1 };
  const flow = outbound({ connections: 1_000_000, portSelection: 'Kernel' });
  const planned = stateOf(demand({ pod, extraAddresses, outbound: [flow] }), 4_000_000);
  // Without us four addresses are worth one to a program that binds nothing.
  const state = { ...planned, spreading: { chooses: 'Tuples' } as const };
  await using bench = await startBench(state);
  using spreader = await openTestSpreader();
  const [cookie] = await createNamespaceWorker({ signal }).run(bench.podPath, [{ operation: 'ReadNetnsCookie' }]);
  if (!cookie.ok) throw new Error(cookie.failure.message);
  spreader.attach(ownCgroup2() ?? '/sys/fs/cgroup');
  if (isSpread) spreader.setPod(cookie.value, entryOf(podSourceIps(state).map(ipText), range));
  const { open: plan, listeners, window } = bench.topology.flows[0]!;
  const total = addresses * (range.high - range.low + 1);
  const began = performance.now();
  const tenths: number[] = [];
  const ended = new AbortController();
  const watching = (async () => {
    while (!ended.signal.aborted) {
      while (tenths.length < 10 && bench.opened() >= (total * (tenths.length + 1)) / 10)
        tenths.push(performance.now() - began);
      await delay(1);
    }
  })();
  const accepting = bench.peer.accept({ listeners, from: 0, until: 1_000_000 });
  const { count, errno } = await bench.pod.open({ plan, from: 0, until: 1_000_000, window });
  const seconds = (performance.now() - began) / 1000;
  ended.abort();
  bench.peer.stop();
  await Promise.all([watching, accepting]);
  while (tenths.length < 10) tenths.push(seconds * 1000);
  return { count, errno, seconds, tenths, total };
};

const rates = ({ tenths, total }: { readonly tenths: readonly number[]; readonly total: number }): string =>
  tenths
    .map((ms, at) => Math.round((total / 10 / Math.max(1, ms - (tenths[at - 1] ?? 0))) * 1000))
    .map((rate) => rate.toLocaleString('en').padStart(7))
    .join('');

const report = async (label: string, filling: Filling): Promise<void> => {
  const filled = await fill(filling);
  const rate = Math.round(filled.count / filled.seconds).toLocaleString('en');
  say(
    `${label}: ${filled.count.toLocaleString('en')} in ${filled.seconds.toFixed(1)} s, ${rate}/s, errno ${filled.errno}`,
  );
  say(`  per second in each tenth: ${rates(filled)}`);
};

say(`One connect() in an empty range, median of ${rounds} × ${connectionsPerRound}:`);
const base = await connects();
for (const [way, ns] of base) say(`  ${way.padEnd(20)} ${(ns / 1000).toFixed(2)} µs`);
const [idle, busy] = [await nsOfProgram(false), await nsOfProgram(true)];
const share = (100 * idle) / (base.get('without the program') ?? 1);
say(
  `The program by the kernel's count: ${idle.toFixed(0)} ns without an entry (${share.toFixed(2)} %), ${busy.toFixed(0)} ns with`,
);
const one = { addresses: 1, range: widest };
await report('1 address, 1024–65535, ours', { ...one, isSpread: true });
await report('4 addresses, 32768–60999, ours', { addresses: 4, range: defaultRange, isSpread: true });
await report('4 addresses, 1024–65535, ours', { addresses: 4, range: widest, isSpread: true });
await report("1 address, 1024–65535, the kernel's choice", { ...one, isSpread: false });
process.exit();
