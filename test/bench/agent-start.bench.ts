/**
 * What the agent adds to the start of real containers: a program in Go starts pods by CRI on a real node (containerd, runc,
 * CNI), one after the other and four at once, as fast as they start. No plugin, the agent with planned pods and with others,
 * and a plugin in Go that answers a limit take turns.
 *
 *     npm run bench -- agent-start [PODS] [ROUNDS]       default 16 4, some 3 minutes; as root
 */
import { interruptible, report } from '../cluster/command-line.ts';
import type { Cluster } from '../cluster/lab/cluster.ts';
import { type AgentWork, workFor } from './agent-start/agent-work.ts';
import type { Arm } from './agent-start/arm.ts';
import { type Batch, type Crowd, StartSetting } from './agent-start/setting.ts';
import { ended } from './agent/agent-program.ts';

const [pods = 16, rounds = 4] = process.argv.slice(2).map(Number);
const crowds: readonly Crowd[] = [
  { pods, atOnce: 1 },
  { pods, atOnce: 4 },
];
const noPlugin: Arm = { name: 'no plugin', plugin: 'None', isPlanned: true };
const arms: readonly Arm[] = [
  noPlugin,
  { name: 'agent, planned pods', plugin: 'Agent', isPlanned: true },
  { name: 'agent, other pods', plugin: 'Agent', isPlanned: false },
  { name: 'plugin in Go', plugin: 'Go', isPlanned: true },
];

interface Turn {
  readonly arm: Arm;
  readonly crowd: Crowd;
  readonly batch: Batch;
  /** For each pod, from its start to its end. */
  readonly work: AgentWork;
}

async function turnOf(
  setting: StartSetting,
  cluster: Cluster,
  { arm, crowd }: Pick<Turn, 'arm' | 'crowd'>,
): Promise<Turn> {
  const before = await setting.agentWork(cluster, arm);
  const batch = await setting.startPods(cluster, arm, crowd);
  return { arm, crowd, batch, work: workFor(crowd.pods, before, await setting.agentWork(cluster, arm)) };
}

async function turnsOf(setting: StartSetting, cluster: Cluster, arm: Arm): Promise<readonly Turn[]> {
  const plugin = arm.plugin === 'None' ? undefined : await setting.startPlugin(cluster, arm.plugin);
  try {
    await setting.startPods(cluster, arm, { pods: 1, atOnce: 1 });
    const turns: Turn[] = [];
    for (const crowd of crowds) turns.push(await turnOf(setting, cluster, { arm, crowd }));
    return turns;
  } finally {
    if (plugin !== undefined) await ended(plugin, 'SIGTERM');
  }
}

type Pod = Batch['pods'][number];
const whole = ({ sandboxMs, createMs, startMs }: Pod): number => sandboxMs + createMs + startMs;

function quantile(values: readonly number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.ceil((values.length - 1) * share)] ?? NaN;
}
const median = (values: readonly number[]): number => quantile(values, 0.5);
const medianOf = (batch: Batch): number => median(batch.pods.map(whole));

/** Of each round by itself: what else the machine does differs less within one. */
function added(turns: readonly Turn[], bare: readonly Turn[]): readonly number[] {
  return turns.map(({ batch }, round) => medianOf(batch) - medianOf(bare[round]?.batch ?? batch));
}

const columns = (values: readonly number[]): string => values.map((value) => value.toFixed(1).padStart(8)).join('');

function row(turns: readonly Turn[], bare: readonly Turn[]): string {
  const all = turns.flatMap(({ batch }) => batch.pods);
  const steps = [whole, (pod: Pod) => pod.sandboxMs, (pod: Pod) => pod.createMs, (pod: Pod) => pod.startMs];
  const [total = [], ...parts] = steps.map((step) => all.map(step));
  const perSecond = median(turns.map(({ batch }) => batch.pods.length / batch.seconds));
  const more = added(turns, bare);
  const figures = [...parts.map(median), median(total), quantile(total, 0.99), perSecond, median(more)];
  const range = `${Math.min(...more).toFixed(0)} to ${Math.max(...more).toFixed(0)}`;
  const own = [median(turns.map(({ work }) => work.answerMs)), median(turns.map(({ work }) => work.cpuMs))];
  return `${columns(figures)}  ${range.padEnd(12)}${columns(own)}`;
}

function print(turns: readonly Turn[]): void {
  for (const crowd of crowds) {
    const of = (arm: Arm) => turns.filter((turn) => turn.arm === arm && turn.crowd === crowd);
    console.log(`\n${crowd.atOnce} at once, ms: medians of ${rounds} rounds of ${crowd.pods} pods`);
    console.log(
      `${' '.repeat(20)} sandbox  create   start   whole     p99   per s   added  by rounds    answers     CPU`,
    );
    for (const arm of arms) console.log(arm.name.padEnd(20) + row(of(arm), of(noPlugin)));
  }
}

/** Another one begins each time. */
const inTurn = (round: number): readonly Arm[] => arms.map((_, at) => arms[(at + round) % arms.length] ?? noPlugin);

await interruptible(async (signal) => {
  await using setting = new StartSetting({ signal, onProgress: report });
  const cluster = await setting.prepare();
  const turns: Turn[] = [];
  for (let round = 0; round < rounds; round += 1) {
    for (const arm of inTurn(round)) {
      signal.throwIfAborted();
      turns.push(...(await turnsOf(setting, cluster, arm)));
    }
    report(`round ${round + 1} of ${rounds}`);
  }
  print(turns);
});
