// The doctor beside ss(8) on a namespace that has both ends of so many connections, whose number is the argument. Both take
// turns, so that a busy machine slows both. Needs root and iproute2. Run: node test/bench/doctor.bench.ts 50000
import { execFileSync, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { examine } from '../../src/cli/doctor.ts';
import { withBothEnds } from './both-ends.ts';

const rounds = 5;

interface Figures {
  readonly seconds: number;
  readonly peakMiB: number;
  readonly sockets: number;
}

/** In a process of its own: what a look costs, without the start of Node. */
const measure = async (pid: string): Promise<Figures> => {
  const began = performance.now();
  const { object } = await examine({ pid, top: '10' }, AbortSignal.timeout(120_000));
  const seconds = (performance.now() - began) / 1000;
  const { sockets } = object as { readonly sockets: Readonly<Record<string, number>> };
  const { established = 0, listen = 0, timeWait = 0 } = sockets;
  return { seconds, peakMiB: process.resourceUsage().maxRSS / 1024, sockets: established + listen + timeWait };
};

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

const timed = (command: readonly string[]): number => {
  const [file = '', ...args] = command;
  const began = performance.now();
  const { status, stderr } = spawnSync(file, args, { stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command.join(' ')}: ${stderr}`);
  return (performance.now() - began) / 1000;
};

const compare = (pid: number): void => {
  const self = fileURLToPath(import.meta.url);
  const program = fileURLToPath(new URL('../../src/bin/connection-budget.ts', import.meta.url));
  const inside = ['nsenter', `--net=/proc/${pid}/ns/net`];
  const commands = {
    'the whole command': [process.execPath, program, 'doctor', '--pid', String(pid)],
    'ss -tan': [...inside, 'ss', '-tan'],
    'ss -s': [...inside, 'ss', '-s'],
  } as const;
  const looks: Figures[] = [];
  const seconds = new Map<string, number[]>();
  for (let round = 0; round < rounds; round += 1) {
    const printed = execFileSync(process.execPath, [self, 'measure', String(pid)], { encoding: 'utf8' });
    looks.push(JSON.parse(printed) as Figures);
    for (const [name, command] of Object.entries(commands))
      seconds.set(name, [...(seconds.get(name) ?? []), timed(command)]);
  }
  const look = median(looks.map((each) => each.seconds));
  const tell = (name: string, own: number, rest: string): void =>
    void process.stdout.write(`${name.padEnd(24)} ${own.toFixed(3)} s, ${(own / look).toFixed(2)} × the look${rest}\n`);
  const peak = Math.round(median(looks.map(({ peakMiB }) => peakMiB)));
  process.stdout.write(`${looks[0]?.sockets ?? 0} sockets in the namespace, median of ${rounds}\n`);
  tell('the look', look, `, peak RSS ${peak} MiB`);
  for (const [name, values] of seconds) tell(name, median(values), '');
};

const [first = '50000', pid = ''] = process.argv.slice(2);
if (first === 'measure') process.stdout.write(JSON.stringify(await measure(pid)));
else await withBothEnds(Number(first), ({ clientPid }) => compare(clientPid));
process.exit();
