/**
 * Our list-and-watch beside client-node's informer and client-go's, on a real API server with many pods of about 8 KB:
 * seconds until synced, memory, and the longest time that the event loop stood still. Each reader runs in a process and on a
 * core of its own, etcd and the server on another; rounds alternate.
 *
 *     node test/bench/list-watch.bench.ts [PODS] [ROUNDS] [DIRECTORY]       default 10000 3
 *
 * With a directory the pods stay there for the next run.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { type CrowdedServer, readerCore, startCrowdedServer } from './list-watch/crowd.ts';

interface Figures {
  readonly seconds: number;
  readonly peakMiB: number;
  /** A program in Go has no event loop. */
  readonly longestStallMs?: number;
}

interface Reader {
  readonly name: string;
  readonly command: (server: CrowdedServer, pods: string) => readonly string[];
}

const ofOurs = new URL('list-watch/reader.ts', import.meta.url).pathname;

const inNode = (name: string, reader: string): Reader => ({
  name,
  command: ({ kubeconfig }, pods) => [process.execPath, ofOurs, reader, kubeconfig, pods],
});
const inGo = (name: string, ...flags: readonly string[]): Reader => ({
  name,
  command: ({ program, kubeconfig }, pods) => [
    program,
    '-follow',
    `-kubeconfig=${kubeconfig}`,
    `-pods=${pods}`,
    ...flags,
  ],
});

const readers: readonly Reader[] = [
  inNode('ours, WatchList', 'watchList'),
  inNode('ours, pages', 'pages'),
  inNode('client-node', 'informer'),
  inNode('client-node, pages', 'informerInPages'),
  inGo('client-go', '-trim=false'),
  inGo('client-go, trimmed', '-trim'),
];

/** What it says last is why a reader failed, which is a result too. */
async function runReader(reader: Reader, server: CrowdedServer, pods: string): Promise<Figures | string> {
  try {
    const command = ['--cpu-list', readerCore, ...reader.command(server, pods)];
    const { stdout } = await promisify(execFile)('taskset', command, { timeout: 300_000 });
    return JSON.parse(stdout) as Figures;
  } catch (error) {
    const { stderr = '' } = error as { readonly stderr?: string };
    return /^(?:\w*Error.*: |the informer )(.*)$/m.exec(stderr)?.[0] ?? String(error);
  }
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;

function mediansOf(figures: readonly Figures[]): Figures {
  const stalls = figures.flatMap(({ longestStallMs }) => longestStallMs ?? []);
  return {
    seconds: median(figures.map(({ seconds }) => seconds)),
    peakMiB: median(figures.map(({ peakMiB }) => peakMiB)),
    ...(stalls.length === 0 ? {} : { longestStallMs: median(stalls) }),
  };
}

function print(results: ReadonlyMap<string, Figures | string>): void {
  console.log('reader              seconds  peak MiB  longest stall ms   (medians)');
  const ours = results.get('ours, WatchList');
  for (const [name, figures] of results) {
    if (typeof figures === 'string') {
      console.log(`${name.padEnd(18)}  ${figures}`);
      continue;
    }
    const { seconds, peakMiB, longestStallMs } = figures;
    const stall = longestStallMs === undefined ? '–' : longestStallMs.toFixed(0);
    const columns = `${seconds.toFixed(2).padStart(8)} ${peakMiB.toFixed(0).padStart(9)} ${stall.padStart(17)}`;
    console.log(
      `${name.padEnd(18)} ${columns}${ours === figures || typeof ours !== 'object' ? '' : ratios(figures, ours)}`,
    );
  }
}

function ratios(theirs: Figures, ours: Figures): string {
  const times = (key: keyof Figures): string => ((theirs[key] ?? NaN) / (ours[key] ?? NaN)).toFixed(1);
  const stall = theirs.longestStallMs === undefined ? '' : `, ${times('longestStallMs')} × the stall`;
  return `   ${times('seconds')} × the time, ${times('peakMiB')} × the memory${stall}`;
}

async function main(pods: string, rounds: number, directory?: string): Promise<void> {
  const crowd = { pods: Number(pods), namespaces: 100, apps: Math.max(100, Math.floor(Number(pods) / 10)) };
  const server = await startCrowdedServer(crowd, directory);
  try {
    const results = new Map<string, (Figures | string)[]>(readers.map(({ name }) => [name, []]));
    for (let round = 0; round < rounds; round += 1) {
      for (const reader of readers) results.get(reader.name)?.push(await runReader(reader, server, pods));
    }
    console.log(`${pods} pods, ${rounds} rounds`);
    const failure = (all: readonly (Figures | string)[]) => all.find((one) => typeof one === 'string');
    const summary = [...results].map(([name, all]) => {
      return [name, failure(all) ?? mediansOf(all.filter((one) => typeof one !== 'string'))] as const;
    });
    print(new Map(summary));
  } finally {
    await server.stop();
  }
}

const [pods = '10000', rounds = '3', directory] = process.argv.slice(2);
await main(pods, Number(rounds), directory);
process.exit(0);
