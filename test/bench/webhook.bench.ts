/**
 * Our webhook, in the operator as the image has it, beside one written with controller-runtime, VPA's admission controller,
 * one written with Pepr, and node:https alone: an 8 KiB pod over TLS. Requests a second of CPU time, so that other work on
 * the machine does not count; latencies at 200 a second; memory; then pods created through a real API server with us,
 * with controller-runtime's and with none. Rounds alternate, figures are medians. Peers are built into the cache, at first for some minutes.
 *
 *     sh ./bootstrap test/bench/webhook.bench.ts [SECONDS] [ROUNDS]       default 2 5
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildBundle, ensureOwnGoProgram, ensurePepr, ensureVpa } from './webhook-peers/builds.ts';
import { createPods } from './webhook-peers/creations.ts';
import { cpuSecondsOf, type Load, load, loadWithoutFailure, median, residentMiBOf } from './webhook-peers/measure.ts';
import { type Peer, startPeers } from './webhook-peers/peers.ts';
import { type Setting, startSetting } from './webhook-peers/setting.ts';

interface Bench {
  /** Of each peer before its first load. */
  readonly restingMiB: ReadonlyMap<Peer, number>;
  readonly program: string;
  readonly body: string;
  readonly seconds: number;
  readonly rounds: number;
  readonly peers: readonly Peer[];
}

const connectionCounts = [1, 16, 64] as const;
const fixedPerSecond = 200;

const loadOf = ({ body, seconds }: Bench, { url }: Peer): Load => ({
  url,
  body,
  contains: '"patch":',
  connections: 16,
  seconds,
});

/** Until it patches: VPA and Pepr fill their caches first. Then its memory, and load that its compiler learns from. */
const warmUp = async (bench: Bench, peer: Peer): Promise<number> => {
  for (let attempt = 1; ; attempt += 1) {
    const outcome = await load(bench.program, { ...loadOf(bench, peer), connections: 1, seconds: 0.2 }).catch(String);
    if (typeof outcome !== 'string' && outcome.failed === 0) break;
    if (attempt === 60)
      throw new Error(`${peer.name}: ${typeof outcome === 'string' ? outcome : outcome.firstFailure}`);
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
  const restingMiB = await residentMiBOf(peer.pid);
  await loadWithoutFailure(bench.program, { ...loadOf(bench, peer), seconds: 4 });
  return restingMiB;
};

/** Every peer in each round, each time another one first. */
const inTurns = async <T>(
  { peers, rounds }: Bench,
  measure: (peer: Peer) => Promise<T>,
): Promise<ReadonlyMap<Peer, readonly T[]>> => {
  const results = new Map<Peer, T[]>(peers.map((peer) => [peer, []]));
  for (let round = 0; round < rounds; round += 1) {
    const first = round % peers.length;
    for (const peer of [...peers.slice(first), ...peers.slice(0, first)]) results.get(peer)?.push(await measure(peer));
  }
  return results;
};

const requestsPerCpuSecond = async (bench: Bench, peer: Peer, connections: number): Promise<number> => {
  const before = await cpuSecondsOf(peer.pid);
  const { answers } = await loadWithoutFailure(bench.program, { ...loadOf(bench, peer), connections });
  return answers / ((await cpuSecondsOf(peer.pid)) - before);
};

type Row = readonly string[];

const printTable = (rows: readonly Row[]): void => {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  for (const row of rows) {
    console.log(
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
        .join('  '),
    );
  }
};

const whole = (value: number): string => Math.round(value).toLocaleString('en-US');

const throughput = async (bench: Bench): Promise<void> => {
  const columns: ReadonlyMap<Peer, readonly number[]>[] = [];
  for (const connections of connectionCounts) {
    columns.push(await inTurns(bench, async (peer) => requestsPerCpuSecond(bench, peer, connections)));
  }
  const [ours] = bench.peers;
  const cells = (peer: Peer): Row =>
    columns.flatMap((column) => {
      const theirs = column.get(peer) ?? [];
      const ratios = theirs.map((rate, round) => (column.get(ours ?? peer)?.[round] ?? 0) / rate);
      return [whole(median(theirs)), `${median(ratios).toFixed(2)}×`];
    });
  console.log('\nrequests a second of CPU time, and ours ÷ theirs');
  printTable([
    ['', ...connectionCounts.flatMap((count) => [`${count} connections`, 'ours ÷'])],
    ...bench.peers.map((peer) => [peer.name, ...cells(peer)]),
  ]);
};

const milliseconds = (values: readonly number[]): string => (median(values) / 1000).toFixed(2);

const latency = async (bench: Bench): Promise<void> => {
  const results = await inTurns(bench, async (peer) => {
    const options = { ...loadOf(bench, peer), perSecond: fixedPerSecond };
    return { ...(await loadWithoutFailure(bench.program, options)), residentMiB: await residentMiBOf(peer.pid) };
  });
  console.log(`\nlatency at ${fixedPerSecond} a second over 16 connections, and resident memory`);
  printTable([
    ['', 'p50 ms', 'p99 ms', 'MiB at rest', 'MiB after load'],
    ...[...results].map(([peer, answers]) => [
      peer.name,
      milliseconds(answers.map(({ p50Us }) => p50Us)),
      milliseconds(answers.map(({ p99Us }) => p99Us)),
      whole(bench.restingMiB.get(peer) ?? 0),
      whole(median(answers.map(({ residentMiB }) => residentMiB))),
    ]),
  ]);
};

const creations = async ({ program, seconds, rounds, peers }: Bench, setting: Setting): Promise<void> => {
  const [ours, theirs] = peers;
  if (ours === undefined || theirs === undefined) return;
  const results = await createPods({ program, seconds, rounds, operatorPid: ours.pid, theirs }, setting);
  console.log('\npods created through the API server over 16 connections; CPU time of the webhook’s whole process');
  printTable([
    ['', 'a second', 'p50 ms', 'p99 ms', 'API server CPU ms', 'webhook CPU ms'],
    ...results.map(({ name, perSecond, p50Us, p99Us, serverCpuMs, webhookCpuMs }) => [
      name,
      whole(perSecond),
      (p50Us / 1000).toFixed(2),
      (p99Us / 1000).toFixed(2),
      serverCpuMs.toFixed(2),
      webhookCpuMs.toFixed(2),
    ]),
  ]);
};

const measureAll = async (
  dir: string,
  setting: Setting,
  options: Omit<Bench, 'body' | 'restingMiB'>,
): Promise<void> => {
  const body = join(dir, 'review.json');
  const text = JSON.stringify(setting.review);
  await writeFile(body, text);
  const { rounds, seconds, peers } = options;
  console.log(`one review is ${whole(Buffer.byteLength(text))} bytes; ${rounds} rounds of ${seconds} s`);
  const restingMiB = new Map<Peer, number>();
  const bench: Bench = { ...options, body, restingMiB };
  for (const peer of peers) restingMiB.set(peer, await warmUp(bench, peer));
  await throughput(bench);
  await latency(bench);
  await creations(bench, setting);
};

const main = async (seconds: number, rounds: number): Promise<void> => {
  const dir = await mkdtemp(join(tmpdir(), 'webhook-bench-'));
  const vpa = await ensureVpa();
  const program = await ensureOwnGoProgram('load');
  const controllerRuntime = await ensureOwnGoProgram('controller-runtime');
  const pepr = await ensurePepr();
  const operator = await buildBundle('operator', join(dir, 'image'));
  const setting = await startSetting(dir, vpa.crds);
  const peers = await startPeers(dir, { vpa, controllerRuntime, pepr, operator }, setting);
  try {
    await measureAll(dir, setting, { program, seconds, rounds, peers });
  } finally {
    for (const peer of peers) await peer.stop();
    await setting.client.close();
    await setting.server.stop();
    await rm(dir, { recursive: true });
  }
};

await main(Number(process.argv[2] ?? 2), Number(process.argv[3] ?? 5));
