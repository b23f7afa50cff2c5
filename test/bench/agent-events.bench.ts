// Events of pods through containerd's own side of NRI at 100 a second: the agent as the image has it, beside a plugin in Go
// that answers the same from memory. Run: npm run bench -- agent-events [PER SECOND] [SECONDS] [ROUNDS] (as root)
import { AgentSetting, measure, type Times } from './agent/setting.ts';

const [perSecond = 100, seconds = 10, rounds = 5] = process.argv.slice(2).map(Number);
// The kubelet's own most.
const load = { pods: 110, perSecond, seconds };
const events = ['RunPodSandbox', 'CreateContainer', 'PostStartContainer'] as const;
type Round = Readonly<Record<'agent' | 'go', Readonly<Record<string, Times>>>>;

const us = (value: number): string => value.toFixed(0).padStart(8);
const row = (what: string, of: Times | undefined): string =>
  `${what.padEnd(8)}${us(of?.p50Us ?? 0)} µs p50 ${us(of?.p99Us ?? 0)} µs p99 ${us(of?.maxUs ?? 0)} µs longest\n`;
const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

async function oneRound(setting: AgentSetting): Promise<Round> {
  const agent = await measure(setting, load, { start: () => setting.startAgent() });
  return { agent, go: await measure(setting, load, { start: () => setting.startGoPlugin() }) };
}

function medians(done: readonly Round[], who: 'agent' | 'go', event: string): Times {
  const of = (figure: keyof Times): number => median(done.map((round) => round[who][event]?.[figure] ?? 0));
  return { p50Us: of('p50Us'), p99Us: of('p99Us'), maxUs: of('maxUs') };
}

using setting = new AgentSetting();
await setting.prepare();
const done: Round[] = [];
for (let round = 0; round < rounds; round += 1) {
  const { agent, go } = await oneRound(setting);
  done.push({ agent, go });
  for (const event of events) process.stdout.write(`${event}\n${row('agent', agent[event])}${row('go', go[event])}`);
}
process.stdout.write(`\nmedians of ${rounds} rounds\n`);
for (const event of events) {
  const [agent, go] = [medians(done, 'agent', event), medians(done, 'go', event)];
  process.stdout.write(`${event}\n${row('agent', agent)}${row('go', go)}`);
  const ratios = [agent.p50Us / go.p50Us, agent.p99Us / go.p99Us].map((ratio) => ratio.toFixed(2));
  process.stdout.write(`ratio   ${ratios[0]} p50, ${ratios[1]} p99\n`);
}
